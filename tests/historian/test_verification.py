"""Verifying names every byte that is not what was written, changes nothing, and works beside a server that writes."""

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from scada.clock import HOUR_S, NS
from scada.historian.inspection import inspect
from scada.historian.journal import Journal, Position
from scada.historian.livefiles import LiveFiles
from scada.historian.records import BatchRecord, encode
from scada.historian.samples import Samples
from scada.historian.store import EmbeddedIntervals
from scada.historian.verification import bytes_to_read, verify
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.historian.test_crash import rotten_head, rotten_sector
from tests.influx import ROOT

MONTH = "intervals-2026-01.sqlite"
CHANNELS = 3


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Two days of three channels merged, one record in the journal that is not, a live tag rolled and one that is not."""
    reactor, directory = PumpedReactor(), tmp_path / "history"
    store = EmbeddedIntervals(directory, reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block(np.arange(CHANNELS * 48).reshape(CHANNELS, 48), record=1)))
    store.close()
    journal = Journal(directory / "journal")
    journal.open(Position(1, 0))
    journal.append([encode(BatchRecord.of(block([[7]], record=2, first=FIRST_HOUR + 800), np.array([0])))])
    journal.close()
    files = LiveFiles(directory)
    files.open()
    files.append([(1, "T01/loading")], samples(1))
    files.roll()
    files.append([(2, "T01/load")], samples(2))
    files.close()
    return directory


def samples(number: int) -> Samples:
    at = np.array([FIRST_HOUR * HOUR_S * NS], np.int64)
    return Samples(np.array([number], np.int32), at, np.array([1.5]), np.zeros(1, np.uint8))


def flip(path: Path, query: str) -> None:
    """One bit of a blob, where it lies in the file."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (blob,) = database.execute(query).fetchone()
    data = bytearray(path.read_bytes())
    pieces = (blob[start:start + 40] for start in range(0, len(blob), 40))      # a large one is not in one place
    piece = next((one for one in pieces if one in data), blob)
    data[data.index(piece) + len(piece) - 1] ^= 1
    path.write_bytes(data)


def digests(directory: Path) -> dict[str, str]:
    """Of everything but SQLite's notes on who reads, which are memory, and an empty log."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*") if path.is_file() and path.stat().st_size and not path.name.endswith("-shm")
    }


def test_a_sound_folder_is_read_whole_and_not_changed(history: Path) -> None:
    """Every block, record and chunk once, and all bytes are told to the progress bar."""
    done: list[float] = []
    before, total = digests(history), bytes_to_read(history)
    found = verify(history, lambda _, size: done.append(size))

    assert found.ok, found.findings
    assert (found.blocks, found.records, found.chunks, found.torn) == (2, 2, 2, 0)
    assert sum(done) == pytest.approx(total)
    assert digests(history) == before


def test_a_flipped_byte_in_a_block_is_named_by_file_day_block_and_channels(history: Path) -> None:
    """Its neighbour, of the day before, is not."""
    flip(history / MONTH, "SELECT counts FROM block ORDER BY day DESC")
    (finding,) = verify(history).findings

    assert (finding.path.name, finding.block, finding.interval_s, finding.channels) == (MONTH, 0, 3600, CHANNELS)
    assert str(finding) == (
        f"{MONTH}, 2026-01-02, block 0 of 3600 s (3 channels): the bytes do not match their check sum"
    )


@pytest.mark.parametrize(
    ("name", "query", "said"),
    [
        ("live-2026-01.sqlite", "SELECT samples FROM chunk", "T01/loading, 2026-01-01T00:00Z: the bytes"),
        ("live-hot.sqlite", "SELECT samples FROM hot", "row 2 of the hot log: the bytes"),
    ],
)
def test_a_flipped_byte_in_live_history_is_named(history: Path, name: str, query: str, said: str) -> None:
    """By tag and hour where it is rolled."""
    flip(history / name, query)
    (finding,) = verify(history).findings

    assert str(finding).startswith(f"{name}, {said}")


def test_a_torn_tail_of_the_journal_is_no_damage(history: Path) -> None:
    """It was never acknowledged."""
    path = history / "journal" / "000000000002.journal"
    path.write_bytes(path.read_bytes()[:-3])
    found = verify(history)

    assert (found.ok, found.torn, found.records) == (True, 1, 1)


@pytest.mark.parametrize(("segment", "merged"), [(1, True), (2, False)])
def test_a_flipped_byte_of_the_journal_is_named_and_whether_it_matters(history: Path, segment: int, merged: bool) -> None:
    """What is in the blocks already is not lost with it."""
    path = history / "journal" / f"{segment:012d}.journal"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    (finding,) = verify(history).findings

    assert str(finding).startswith(f"{path.name}, byte 8, {len(data) - 8} bytes: the bytes do not match their check sum")
    assert ("it is merged already, nothing is lost" in finding.reason) is merged


def test_a_sound_record_that_says_nothing_is_named(history: Path) -> None:
    """The next start would pass it over, or refuse to."""
    journal = Journal(history / "journal")
    journal.open(Position(2, 0))
    journal.append([b"\x02short"])
    journal.close()
    (finding,) = verify(history).findings

    assert "not a journal record" in finding.reason


@pytest.mark.parametrize("name", [MONTH, "live-2026-01.sqlite", "state.sqlite"])
@pytest.mark.parametrize("damage", [rotten_sector, rotten_head])
def test_a_file_that_sqlite_cannot_read_is_named_and_the_others_are_read(
    history: Path, name: str, damage: Callable[[Path], None]
) -> None:
    """One spoilt file does not end the verifying."""
    damage(history / name)
    found = verify(history)

    assert {finding.path.name for finding in found.findings} == {name}
    assert found.records == 2
    assert found.chunks == (1 if name.startswith("live") else 2)


def test_a_server_that_writes_is_neither_disturbed_nor_called_damaged(tmp_path: Path) -> None:
    """Looked at again and again, while segments and blocks come and go."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.historian.committer", str(tmp_path), "1", "20000"], cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        looks = values = blocks = 0
        while looks < 5 or not (values and blocks):
            for _ in range(100):
                assert process.stdout.readline()
            found, held = verify(tmp_path), inspect(tmp_path)
            looks, values, blocks = looks + 1, held.values, found.blocks
            assert found.ok, found.findings
            assert not held.trouble
    finally:
        process.kill()
        process.communicate(timeout=60)


def test_what_is_kept_of_the_merged_journal_is_read_too(history: Path) -> None:
    """Backups take it; what is damaged in it is merged already."""
    kept = history / "journal" / "kept"
    kept.mkdir()
    data = bytearray(Journal(history / "journal").path(1).read_bytes())
    data[-3] ^= 1
    (kept / "000000000000.journal").write_bytes(data)
    (one,) = verify(history).findings

    assert one.path.parent == kept
    assert "it is merged already, nothing is lost" in one.reason
