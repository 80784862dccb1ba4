"""kill -9 at any moment, torn tails and rotten bytes: what was acknowledged is there, exactly once."""

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from scada.historian.journal import Damage, Journal, Position
from scada.historian.service import open_reader
from scada.historian.store import EmbeddedIntervals
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


def written(directory: Path, bodies: list[bytes]) -> Path:
    """A segment with some records."""
    journal = Journal(directory)
    journal.open(Position())
    journal.append(bodies)
    journal.close()
    return journal.path(1)
