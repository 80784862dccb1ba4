"""Compacting gives room back and changes nothing else."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from scada.errors import StartError, StorageError
from scada.historian import compacting as module
from scada.historian.compacting import compact
from scada.historian.store import EmbeddedIntervals
from scada.historian.verification import verify
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.historian.test_crash import rotten_head

MONTH = "intervals-2026-01.sqlite"
TRUTH = np.random.default_rng(5).integers(0, 30_000, (200, 48))


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Two days, and the room of many blocks that were replaced."""
    reactor = PumpedReactor()
    store = EmbeddedIntervals(tmp_path, reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block(TRUTH, record=1)))
    store.close()
    with closing(sqlite3.connect(tmp_path / MONTH)) as database, database:
        database.execute("PRAGMA user_version = 3")
        columns = "interval_s, day, block, version, 'x', zeroblob(200000), counts, NULL, NULL"
        database.execute(f"INSERT INTO damaged SELECT {columns} FROM block")
        database.commit()
        database.execute("DELETE FROM damaged")
    return tmp_path


def test_room_is_given_back_and_the_content_is_the_same(history: Path) -> None:
    """With all that a file knows about itself; the second time there is nothing to do."""
    size = (history / MONTH).stat().st_size
    done, again = compact(history), compact(history)
    store = EmbeddedIntervals(history, PumpedReactor())
    store.open()
    counts = store.read(np.arange(200), FIRST_HOUR, 48).counts
    store.close()
    with closing(sqlite3.connect(history / MONTH)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()

    assert [path.name for path in done.files] == [MONTH]
    assert size - (history / MONTH).stat().st_size >= 400_000
    assert done.before - done.after >= 400_000
    assert (again.files, again.before, again.after) == ([], done.after, done.after)
    assert np.array_equal(counts, TRUTH)
    assert version == 3
    assert verify(history).ok


def test_without_room_on_the_disk_nothing_is_begun(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle would stop the server too."""
    before = (history / MONTH).read_bytes()
    monkeypatch.setattr(module, "COPIES", 10**9)
    with pytest.raises(StorageError, match=f"to write {MONTH} anew needs"):
        compact(history)

    assert (history / MONTH).read_bytes() == before


def test_a_spoilt_file_is_left_and_named(history: Path) -> None:
    """The others are compacted all the same."""
    spoilt = history / "intervals-2025-12.sqlite"
    spoilt.write_bytes((history / MONTH).read_bytes())
    rotten_head(spoilt)
    before = spoilt.read_bytes()
    done = compact(history)

    assert spoilt.read_bytes() == before
    assert [spoilt.name in text for text in done.damaged] == [True]
    assert [path.name for path in done.files] == [MONTH]


def test_a_running_server_is_not_compacted(history: Path) -> None:
    """It would wait for its own files."""
    store = EmbeddedIntervals(history, PumpedReactor())
    store.open()
    with pytest.raises(StartError, match="another process writes"):
        compact(history)
    store.close()
