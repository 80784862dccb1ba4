"""kill -9 at any moment, torn tails and rotten bytes: what was acknowledged is there, exactly once."""

import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from scada.historian.database import ReadPool
from scada.historian.journal import Damage, Journal, Position
from scada.historian.records import BatchRecord, encode
from scada.historian.service import open_reader
from scada.historian.store import EmbeddedIntervals
from scada.intervals import Mark
from tests.historian.committer import CHANNELS, counts_of
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.influx import ROOT

EUIS = np.array(0x00124B0000000001 + np.arange(CHANNELS), dtype=np.uint64)
ZEROS = np.zeros(CHANNELS, np.uint8)
SECOND = 16 + 18                        # bytes of the second record: head and body


def run_committer(directory: Path, first: int, at_least: int) -> tuple["subprocess.Popen[bytes]", list[int]]:
    """The process, and the numbers it has acknowledged so far."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.historian.committer", str(directory), str(first)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    return process, [int(process.stdout.readline()) for _ in range(at_least)]


def test_every_acknowledged_block_is_readable_after_kill_9_at_random_moments(tmp_path: Path) -> None:
    """Five lives of one store, each killed after a random number of acknowledgements."""
    chance, first, acknowledged = random.Random(20261122), 1, []
    for _ in range(5):
        process, numbers = run_committer(tmp_path, first, chance.randint(20, 400))
        process.kill()
        rest, _ = process.communicate(timeout=60)
        numbers += [int(line) for line in rest.split(b"\n")[:-1]]
        acknowledged += numbers
        first = max(acknowledged) + 1

    reactor = PumpedReactor()
    store = EmbeddedIntervals(tmp_path, reactor)
    store.open()
    read = store.read(store.slots(EUIS, ZEROS), FIRST_HOUR, first + 100).counts
    conflicts = store.health().figures["conflicts"]
    slots = store.slots(EUIS, ZEROS)
    store.close()
    assert len(acknowledged) > 100
    for number in acknowledged:
        assert np.array_equal(read[:, number], counts_of(number)[:, 0]), f"record {number} was acknowledged and is lost"
    assert conflicts == 0
    assert len(np.unique(slots)) == CHANNELS


def test_another_process_reads_while_the_server_writes(tmp_path: Path) -> None:
    """`scada read` sees whole blocks and no half ones, slots included."""
    process, _ = run_committer(tmp_path, 1, 50)
    try:
        reader = open_reader(tmp_path)
        seen = 0
        while seen < 200:
            slots = reader.intervals.slots(EUIS, ZEROS)
            counts = reader.intervals.read(slots, FIRST_HOUR, 2000).counts
            present = np.flatnonzero((counts >= 0).any(axis=0))
            for number in present[::10].tolist():
                assert np.array_equal(counts[:, number], counts_of(number)[:, 0])
            seen = len(present)
        reader.close()
    finally:
        process.kill()
        process.communicate()


def test_a_torn_tail_is_cut_off_and_is_no_damage(tmp_path: Path) -> None:
    """A record whose writing was cut short was never acknowledged: what is before it stays."""
    for cut in range(1, SECOND + 20):
        directory = tmp_path / str(cut)
        path = written(directory, [b"first" * 9, b"second" * 3])
        path.write_bytes(path.read_bytes()[:-cut])
        journal = Journal(directory)

        assert journal.open(Position()) == []
        kept = [body for _, body in journal.read(Position())]
        assert kept == ([b"first" * 9] if cut <= SECOND else [])
        assert path.stat().st_size == 8 + len(kept) * (16 + 45)
        journal.append([b"third"])
        assert [body for _, body in journal.read(Position())] == [*kept, b"third"]
        journal.close()


def test_a_flipped_byte_anywhere_costs_one_record_and_is_named(tmp_path: Path) -> None:
    """The others are still read, wherever the byte is; the rotten bytes are kept as evidence."""
    bodies = [b"first" * 4, b"second" * 4, b"third" * 4]
    size = written(tmp_path / "size", bodies).stat().st_size
    for place in range(8, size):
        directory = tmp_path / str(place)
        path = written(directory, bodies)
        data = bytearray(path.read_bytes())
        data[place] ^= 0x10
        path.write_bytes(data)
        journal = Journal(directory)
        damage = journal.open(Position())

        kept = [body for _, body in journal.read(Position())]
        assert len(kept) == 2
        assert all(body in bodies for body in kept)
        assert [type(one) for one in damage] == [Damage]
        assert path.name in str(damage[0])
        assert list((directory / "damaged").iterdir())


def test_a_rotten_block_of_the_store_is_missing_and_counted_never_wrong(tmp_path: Path) -> None:
    """A block whose bytes changed on disk is not shown; new data may enter, and the evidence is kept."""
    reactor = PumpedReactor()
    store = EmbeddedIntervals(tmp_path, reactor)
    store.open()
    store.start()
    mark = reactor.wait(store.commit(block([[5, 6]], record=1)))
    reactor.pump(lambda: store.merging.records == 1)
    store.close()
    with closing(sqlite3.connect(tmp_path / "intervals-2026-01.sqlite")) as database, database:
        (counts,) = database.execute("SELECT counts FROM block").fetchone()
        database.execute("UPDATE block SET counts = ?", (counts[:-1] + bytes((counts[-1] ^ 1,)),))
    store = EmbeddedIntervals(tmp_path, reactor)
    store.open()
    store.start()

    assert store.read(mark.slots, FIRST_HOUR, 2).counts.tolist() == [[-1, -1]]
    assert "do not match their check sum" in store.health().text
    reactor.wait(store.commit(block([[5, 6]], record=2)))
    reactor.pump(lambda: store.merging.records == 1)
    assert store.read(mark.slots, FIRST_HOUR, 2).counts.tolist() == [[5, 6]]
    store.close()


def rotten_sector(path: Path) -> None:
    """The root pages of the tables are not what they were; the head of the file is."""
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    data[size:] = b"\xa5" * (len(data) - size)
    path.write_bytes(data)


def rotten_head(path: Path) -> None:
    """It is no database any more."""
    data = path.read_bytes()
    path.write_bytes(b"\xa5" * 512 + data[512:])


def damaged_month(directory: Path, reactor: PumpedReactor, damage: Callable[[Path], None]) -> Path:
    """A store, closed, with a month that the disk has spoilt."""
    store = EmbeddedIntervals(directory, reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block([[5, 6]], record=1)))
    store.close()
    path = directory / "intervals-2026-01.sqlite"
    damage(path)
    return path


@pytest.mark.parametrize("damage", [rotten_sector, rotten_head])
def test_a_damaged_month_file_is_set_aside_and_stops_neither_the_merging_nor_a_start(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Its bytes are kept, a fresh file takes what comes, readers of either file go on, and the health says it for good."""
    reactor, marks = PumpedReactor(), list[Mark]()
    path = damaged_month(tmp_path, reactor, damage)
    spoilt = path.read_bytes()
    store = EmbeddedIntervals(tmp_path, reactor)
    store.open()
    store.subscribe(marks.append)
    store.start()
    slots = store.slots(EUIS[:1], ZEROS[:1])
    assert store.read(slots, FIRST_HOUR, 3).counts.tolist() == [[-1, -1, -1]]
    assert path.name in store.health().text
    reactor.wait(store.commit(block([[7]], record=2, first=FIRST_HOUR + 2)))
    reactor.wait(store.commit(block([[8]], record=3, first=FIRST_HOUR + 800)))
    reactor.pump(lambda: len(marks) == 2)

    assert (tmp_path / f"{path.name}.damaged").read_bytes() == spoilt
    assert store.read(slots, FIRST_HOUR, 3).counts.tolist() == [[-1, -1, 7]]
    assert store.read(slots, FIRST_HOUR + 800, 1).counts.tolist() == [[8]]
    store.close()
    again = EmbeddedIntervals(tmp_path, reactor)
    again.open()
    health = again.health()
    assert again.read(slots, FIRST_HOUR, 3).counts.tolist() == [[-1, -1, 7]]
    assert (health.ok, health.figures["damaged_files"]) == (False, 1)
    assert f"{path.name}.damaged" in health.text
    again.close()


@pytest.mark.parametrize("damage", [rotten_sector, rotten_head])
def test_a_record_for_a_damaged_month_in_the_journal_does_not_prevent_the_start(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """What was acknowledged before the crash is merged into a fresh file at the start."""
    reactor = PumpedReactor()
    path = damaged_month(tmp_path, reactor, damage)
    journal = Journal(tmp_path / "journal")
    journal.open(Position(1, 0))
    journal.append([encode(BatchRecord.of(block([[7]], record=2, first=FIRST_HOUR + 2), np.array([0])))])
    journal.close()
    store = EmbeddedIntervals(tmp_path, reactor)
    store.open()
    read = store.read(np.array([0]), FIRST_HOUR, 3).counts.tolist()
    store.close()

    assert read == [[-1, -1, 7]]
    assert (tmp_path / f"{path.name}.damaged").exists()


def test_a_month_damaged_twice_keeps_both_and_its_blocks_stay_newer_than_what_a_replica_has(tmp_path: Path) -> None:
    """A replica knows a block by its version: one that began anew at 1 would never be sent again."""
    reactor, versions = PumpedReactor(), []
    for number in range(3):
        path = damaged_month(tmp_path, reactor, rotten_head) if number < 2 else tmp_path / "intervals-2026-01.sqlite"
        store = EmbeddedIntervals(tmp_path, reactor)
        store.open()
        store.start()
        reactor.wait(store.commit(block([[7]], record=2, first=FIRST_HOUR + 2 + number)))
        store.close()
        with closing(sqlite3.connect(path)) as database:
            versions += database.execute("SELECT version FROM block").fetchone()

    assert versions[0] < versions[1] < versions[2]
    assert sorted(one.name for one in tmp_path.glob("*.damaged")) == [f"{path.name}.2.damaged", f"{path.name}.damaged"]


def test_a_reader_does_not_go_on_with_a_file_that_was_set_aside(tmp_path: Path) -> None:
    """A connection kept open sees the old file for ever, in this process and in others."""
    old, new = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    for path, value in ((old, 1), (new, 2)):
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(f"CREATE TABLE t AS SELECT {value} AS v")
    pool, seen = ReadPool(), []
    for _ in range(2):
        with pool.reading(old) as database:
            assert database is not None
            seen.append(database.execute("SELECT v FROM t").fetchone()[0])
        if new.exists():
            old.rename(tmp_path / "aside")
            new.rename(old)
    pool.close()

    assert seen == [1, 2]


def written(directory: Path, bodies: list[bytes]) -> Path:
    """A segment with some records."""
    journal = Journal(directory)
    journal.open(Position())
    journal.append(bodies)
    journal.close()
    return journal.path(1)
