"""A repair throws nothing away, brings back what can be read, and may be repeated."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scada.errors import StartError, StorageError
from scada.estimates import Estimate, Method
from scada.historian import database as module
from scada.historian.estimates import add_estimates
from scada.historian.months import NEWER
from scada.historian.repairing import repair
from scada.historian.store import EmbeddedIntervals
from scada.historian.verification import verify
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.historian.test_crash import rotten_head, rotten_sector
from tests.historian.test_verification import flip

MONTH = "intervals-2026-01.sqlite"
CHANNELS, DAYS = 250, 12
SLOTS = np.arange(CHANNELS)
TRUTH = np.random.default_rng(5).integers(0, 30_000, (CHANNELS, DAYS * 24))


def commit(directory: Path, counts: NDArray[np.int64], record: int, first: int = FIRST_HOUR) -> None:
    """The life of a server in which one block comes."""
    reactor = PumpedReactor()
    store = EmbeddedIntervals(directory, reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block(counts, record=record, first=first, register=np.full(len(counts), 5))))
    store.close()


def read(directory: Path) -> NDArray[np.int64]:
    store = EmbeddedIntervals(directory, PumpedReactor())
    store.open()
    counts = store.read(SLOTS, FIRST_HOUR, DAYS * 24).counts
    store.close()
    return counts


def rows(path: Path, query: str) -> list[tuple[int, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def rotten_page(path: Path) -> None:
    """One page in the middle is not what it was."""
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    middle = len(data) // size // 2 * size
    data[middle:middle + size] = b"\xa5" * size
    path.write_bytes(data)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Twelve days of 250 channels."""
    commit(tmp_path / "history", TRUTH, record=1)
    return tmp_path / "history"


def test_a_damaged_block_is_put_away_named_and_may_come_again(history: Path) -> None:
    """Its bytes stay, its version goes on, so that a replica takes what comes."""
    flip(history / MONTH, "SELECT counts FROM block ORDER BY day")
    done = repair(history)
    kept = rows(history / MONTH, "SELECT day, length(counts) > 0 FROM damaged")
    missing = read(history)

    assert [(one.day, one.channels) for one in done.blocks] == [(FIRST_HOUR // 24, CHANNELS)]
    assert (done.files, done.salvaged) == ([], 0)
    assert kept == [(FIRST_HOUR // 24, 1)]
    assert verify(history).ok
    assert (missing[:, :24] == -1).all()
    assert np.array_equal(missing[:, 24:], TRUTH[:, 24:])
    commit(history, TRUTH[:, :24], record=2)
    assert np.array_equal(read(history), TRUTH)
    assert rows(history / MONTH, "SELECT version FROM block WHERE day = (SELECT min(day) FROM block)") == [(2,)]
    assert repair(history).blocks == []


def test_notes_that_are_damaged_begin_anew_and_cost_no_hour(history: Path) -> None:
    """Who brought a block is not known any more; the block itself stays, and counts as always known."""
    flip(history / MONTH, "SELECT notes FROM arrival ORDER BY day")
    (finding,) = verify(history).findings
    store = EmbeddedIntervals(history, PumpedReactor())
    store.open()
    assert finding.day is not None                              # the notes of all days are alike
    begin = finding.day * 24
    before = store.as_of(10**18 * 2).read(SLOTS, begin, 24).counts
    store.close()
    done = repair(history)
    store = EmbeddedIntervals(history, PumpedReactor())
    store.open()
    known = store.as_of(0).read(SLOTS, FIRST_HOUR, DAYS * 24).counts
    store.close()

    assert "arrivals" in finding.reason
    assert (before == -1).all()
    assert ([one.day for one in done.notes], done.blocks) == ([finding.day], [])
    assert verify(history).ok
    hours = np.arange(DAYS * 24) + FIRST_HOUR - begin
    whole = (hours >= 0) & (hours < 24)
    assert np.array_equal(known[:, whole], TRUTH[:, whole])
    assert (known[:, ~whole] == -1).all()
    assert np.array_equal(read(history), TRUTH)


def test_a_spoilt_month_is_read_again_but_for_the_spoilt_place(history: Path) -> None:
    """At both sides of it; the spoilt file keeps its bytes under another name, and a second repair changes nothing."""
    rotten_page(history / MONTH)
    spoilt = (history / MONTH).read_bytes()
    done = repair(history)
    counts = read(history)
    same = (counts == TRUTH).reshape(CHANNELS, DAYS, 24).all(axis=(0, 2))
    whole = np.flatnonzero(same).tolist()

    assert [path.name for path in done.files] == [MONTH]
    assert done.salvaged == len(whole)
    assert DAYS - 3 <= len(whole) < DAYS
    assert {0, DAYS - 1} <= set(whole)
    assert (np.delete(counts.reshape(CHANNELS, DAYS, 24), whole, axis=1) == -1).all()
    assert (history / f"{MONTH}.damaged").read_bytes() == spoilt
    assert verify(history).ok
    again = repair(history)
    assert (again.files, again.salvaged, again.conflicts) == ([], 0, 0)


LINKS, LONG = 12, 28                    # small blocks: many rows in a page, some pages of rows
LEAF, ROWS = 0x0D, 10                   # first byte of a page of rows; so many rows has none of the small tables


def test_a_page_of_rows_that_is_spoilt_costs_its_own_rows_alone(tmp_path: Path) -> None:
    """SQLite cannot go past it: what lies before it is read from the beginning, what lies behind it from the end."""
    reactor = PumpedReactor()
    store = EmbeddedIntervals(tmp_path, reactor)
    store.open()
    store.start()
    for link in range(LINKS):
        reactor.wait(store.commit(block(np.full((1, LONG * 24), link), record=1, eui=[link + 1], link=link + 1)))
    store.close()
    path = tmp_path / MONTH
    with closing(sqlite3.connect(path)) as database:
        database.executescript("DROP TABLE arrival; VACUUM;")           # the pages of the one table alone
    held = rows(path, "SELECT day, block FROM block ORDER BY rowid")
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    leaves = [place for place in range(size, len(data), size) if data[place] == LEAF and data[place + 4] > ROWS]
    middle = leaves[len(leaves) // 2]
    data[middle:middle + size] = b"\xa5" * size
    path.write_bytes(data)
    done = repair(tmp_path)
    back = set(rows(path, "SELECT day, block FROM block"))

    assert len(leaves) >= 3
    assert done.salvaged == len(back)
    assert len(held) - 100 < len(back) < len(held) == LINKS * LONG
    assert {held[0], held[-1]} <= back <= set(held)
    assert verify(tmp_path).ok


def test_what_came_since_a_file_was_set_aside_stays(history: Path) -> None:
    """The rest of the old file joins it; a contradiction is kept, and versions lie above those a replica has."""
    (history / MONTH).rename(history / f"{MONTH}.damaged")
    other = TRUTH[:, :2].copy()
    other[0, 0] += 1
    commit(history, other, record=2)
    done = repair(history)
    counts = read(history)

    assert (done.files, done.salvaged, done.conflicts) == ([], DAYS, 1)
    assert counts[0, 0] == other[0, 0]
    assert np.array_equal(counts[:, 1:], TRUTH[:, 1:])
    assert rows(history / MONTH, "SELECT slot, kept, value FROM conflict") == [(0, other[0, 0], TRUTH[0, 0])]
    assert min(version for (version,) in rows(history / MONTH, "SELECT version FROM block")) > NEWER
    assert repair(history).salvaged == 0


def test_registers_come_back_too(history: Path) -> None:
    """With the pulses they belong to."""
    (history / MONTH).rename(history / f"{MONTH}.damaged")
    repair(history)
    store = EmbeddedIntervals(history, PumpedReactor())
    store.open()
    found = store.register(SLOTS, FIRST_HOUR + DAYS * 24)
    store.close()

    assert np.array_equal(found, 5 + TRUTH.sum(axis=1))


def test_of_a_file_that_is_no_database_nothing_comes_back(history: Path) -> None:
    """It is set aside; the next start has a sound folder."""
    rotten_head(history / MONTH)
    done = repair(history)

    assert ([path.name for path in done.files], done.salvaged) == ([MONTH], 0)
    assert verify(history).ok
    assert (read(history) == -1).all()


def test_a_file_that_only_cannot_be_read_now_is_left_alone(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is no damage."""
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(history / MONTH, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="locked"):
            repair(history)

    assert not list(history.glob("*.damaged"))
    assert np.array_equal(read(history), TRUTH)


def test_a_running_server_is_not_repaired(history: Path) -> None:
    """Two writers in one store would be worse than any damage."""
    store = EmbeddedIntervals(history, PumpedReactor())
    store.open()
    with pytest.raises(StartError, match="another process writes"):
        repair(history)
    store.close()


@pytest.mark.parametrize("damage", [rotten_head, rotten_sector])
def test_a_spoilt_state_file_is_named_with_its_remedy(history: Path, damage: Callable[[Path], None]) -> None:
    """It alone says which channel a row of a block is: neither a start nor a repair goes on without it."""
    damage(history / "state.sqlite")
    store = EmbeddedIntervals(history, PumpedReactor())
    with pytest.raises(StartError) as refused:
        store.open()
    store.close()
    with pytest.raises(StorageError) as unrepaired:
        repair(history)

    assert str(refused.value).startswith(f"historian: {history / 'state.sqlite'} is damaged: ")
    assert "make it anew from a backup: scada historian restore" in str(refused.value)
    assert str(unrepaired.value).startswith(f"{history / 'state.sqlite'} is damaged, and nothing was repaired: ")
    assert "make it anew from a backup: scada historian restore" in str(unrepaired.value)


def test_what_only_a_backup_has_is_named_and_left_as_it_is(history: Path) -> None:
    """Validated hours were entered by people; everything else is repaired."""
    add_estimates(history, [Estimate("P1", 1, 2.0, Method.VALUE, "anna", 3, "")])
    before = (history / "estimates.sqlite").read_bytes()
    rotten_head(history / "estimates.sqlite")
    spoilt = (history / "estimates.sqlite").read_bytes()
    done = repair(history)

    assert spoilt != before
    assert {one.path.name for one in done.left} == {"estimates.sqlite"}
    assert (history / "estimates.sqlite").read_bytes() == spoilt
