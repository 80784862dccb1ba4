"""The interval store: acknowledged means on disk, readable, and there exactly once."""

import errno
import itertools
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from scada.errors import DataRejected, StartError, StorageError
from scada.historian import batches
from scada.historian.blocks import BlockStore
from scada.historian.journal import Journal, Position
from scada.historian.months import month_path
from scada.historian.records import BatchRecord, Record, encode
from scada.historian.store import EmbeddedIntervals
from scada.intervals import MISSING, IntervalBatch, IntervalBlock, Mark, Provenance, Quarantined
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block


class Opened:
    """A store with its reactor; `again` closes and opens it as a restart would."""

    def __init__(self, directory: Path, **options: object) -> None:
        self.reactor = PumpedReactor()
        self.store = EmbeddedIntervals(directory, self.reactor, merge_delay=0.0, **options)
        self.marks: list[Mark] = []
        self.store.subscribe(self.marks.append)
        self.store.open()
        self.store.start()

    def commit(self, one: IntervalBlock) -> Mark:
        mark: Mark = self.reactor.wait(self.store.commit(one))
        assert len(mark.slots) == len(one.eui)
        return mark

    def merged(self) -> None:
        self.reactor.pump(lambda: self.store.merging.records == self.store.records and not len(self.store.merging))

    def read(self, eui: list[int], channel: list[int], hours: int = 24, first: int = FIRST_HOUR) -> np.ndarray:
        slots = self.store.slots(np.array(eui, np.uint64), np.array(channel, np.uint8))
        return self.store.read(slots, first, hours).counts


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    one = Opened(tmp_path)
    yield one
    one.store.close()


def test_what_was_committed_is_read_back_after_its_mark(opened: Opened) -> None:
    """A mark is heard when the block is readable, and names its slots."""
    counts = np.arange(60 * 24).reshape(60, 24)

    mark = opened.commit(block(counts, record=1))
    opened.reactor.pump(lambda: bool(opened.marks))
    read = opened.store.read(mark.slots, FIRST_HOUR, 24)

    assert np.array_equal(read.counts, counts)
    assert np.array_equal(opened.marks[0].slots, mark.slots)
    assert (opened.marks[0].first, opened.marks[0].intervals) == (FIRST_HOUR, 24)


def test_the_journal_is_synced_before_a_commit_is_acknowledged(tmp_path: Path) -> None:
    """The order of sync and Deferred, recorded for every one of many commits."""
    order: list[str] = []

    def fsync(file: int) -> None:
        os.fdatasync(file)
        order.append("sync")

    opened = Opened(tmp_path, fsync=fsync)
    for record in range(1, 21):
        opened.store.commit(block([[record]], record=record)).addCallback(lambda _: order.append("ack"))
        opened.reactor.pump(lambda record=record: order.count("ack") == record)
    opened.store.close()

    assert order == ["sync", "ack"] * 20


def test_what_a_crash_kept_from_being_told_is_owed_to_who_follows(tmp_path: Path) -> None:
    """Durable but not merged when the process dies: whoever follows the next one's news gets it, however late he comes."""
    opened = Opened(tmp_path)
    opened.store.merging.close()                            # nothing is merged, nothing is announced any more
    mark = opened.commit(block(np.arange(24).reshape(1, 24), record=1))
    opened.store.journal.close()
    opened.store.blocks.close()
    assert opened.store._lock is not None
    opened.store._lock.close()                              # what the end of a process does

    again = Opened(tmp_path)
    late = again.reactor.wait(again.store.follow("somebody", lambda news: None).older())

    assert [(one.first, one.intervals, one.slots.tolist()) for one in late.marks] == [
        (FIRST_HOUR, 24, mark.slots.tolist())
    ]
    again.store.close()


def test_a_failed_sync_acknowledges_nothing_and_the_next_commit_works(tmp_path: Path) -> None:
    """After EIO from fdatasync the segment is abandoned; nothing that was not synced is ever acknowledged."""
    failing = [True]

    def fsync(file: int) -> None:
        if failing[0]:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(file)

    opened = Opened(tmp_path, fsync=fsync)
    with pytest.raises(StorageError, match="input/output error"):
        opened.commit(block([[5]], record=1))
    assert opened.store.cursor(0xC0FFEE01, 7) == 0
    failing[0] = False
    opened.commit(block([[5]], record=1))

    assert opened.store.cursor(0xC0FFEE01, 7) == 1
    opened.store.close()


def test_a_full_disk_refuses_commits_clearly_and_recovers_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a record is written when the disk fills up; the torn tail is cut off before anything follows it."""
    opened = Opened(tmp_path)
    opened.commit(block([[1]], record=1))
    real, room = os.write, [40]

    def full(file: int, data: bytes) -> int:
        taken = real(file, bytes(data[:room[0]])) if room[0] else 0
        room[0] -= taken
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return taken

    with monkeypatch.context() as patched:
        patched.setattr("scada.historian.journal.os.write", full)
        for _ in range(2):
            with pytest.raises(StorageError, match="the disk is full"):
                opened.commit(block([[2]], record=2))
        assert not opened.store.health().ok
        assert "the disk is full" in opened.store.health().text
    opened.commit(block([[3]], record=2, first=FIRST_HOUR + 1))
    opened.merged()

    assert opened.store.health().ok
    opened.store.close()
    again = Opened(tmp_path)
    assert again.read([0x00124B0000000001], [0], 2).tolist() == [[1, 3]]
    assert again.store.health().figures["damaged"] == 0
    again.store.close()


def test_a_full_disk_while_merging_loses_nothing_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that cannot be merged stay in the journal, are tried again, and their marks come late but come."""
    opened = Opened(tmp_path)
    real = opened.store.blocks.state.save
    failures = [2]

    def full(items: object, changed: object = ()) -> None:
        if failures[0]:
            failures[0] -= 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        real(items, changed)

    monkeypatch.setattr("scada.historian.merge_thread.RETRY_S", 0.01)
    monkeypatch.setattr(opened.store.blocks.state, "save", full)
    opened.commit(block([[4, 5]], record=1))
    opened.reactor.pump(lambda: not failures[0])
    opened.reactor.pump(lambda: bool(opened.marks))

    assert len(opened.marks) == 1
    assert opened.read([0x00124B0000000001], [0], 2).tolist() == [[4, 5]]
    opened.store.close()


def test_marks_are_announced_though_old_segments_cannot_be_deleted(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is merged is readable: its listeners must hear of it now, as no repetition of the merge would tell them."""
    def refused(_: Position) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(opened.store.journal, "forgettable", lambda _: True)
        patched.setattr(opened.store.journal, "forget", refused)
        opened.commit(block([[4]], record=1))
        opened.reactor.pump(lambda: len(opened.marks) == 1)
        opened.reactor.pump(lambda: not opened.store.health().ok)
        assert "cannot be deleted" in opened.store.health().text
    opened.commit(block([[5]], record=2, first=FIRST_HOUR + 1))
    opened.reactor.pump(lambda: len(opened.marks) == 2)

    opened.reactor.pump(lambda: opened.store.health().ok)


def test_the_journal_forgets_only_what_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """A block that rots between its merge and the end of its segment: the segment stays, and the operator reads why."""
    opened = Opened(tmp_path, segment_bytes=1)              # a segment a group
    opened.commit(block([[4, 5]], record=1))
    opened.merged()
    path = month_path(tmp_path, FIRST_HOUR // 24)
    with closing(sqlite3.connect(path)) as database, database:
        (sound,) = database.execute("SELECT counts FROM block").fetchone()
        database.execute("UPDATE block SET counts = ?", (sound[:-1] + b"\0",))
    opened.commit(block([[6]], record=2, first=FIRST_HOUR + 24))
    opened.reactor.pump(lambda: not opened.store.health().ok)

    assert "block 0 of day 20454 in intervals-2026-01.sqlite (do not match their check sum)" in opened.store.health().text
    assert opened.store.journal.segments() == [1, 2]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE block SET counts = ? WHERE day = 20454", (sound,))
    opened.commit(block([[7]], record=3, first=FIRST_HOUR + 48))
    opened.reactor.pump(lambda: opened.store.health().ok and opened.store.journal.segments() == [3])
    opened.store.close()


def test_what_waits_is_counted_with_all_its_bytes(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds of memory hold only if the sizes do."""
    sizes: list[int] = []
    put = opened.store.committing.put
    monkeypatch.setattr(opened.store.committing, "put", lambda item, *size: sizes.append(size[0]) or put(item, *size))
    one = block(np.ones((240, 24), int), record=1)
    mark = opened.commit(one)

    arrays = (one.eui, one.channel, one.counts, one.register, one.status, mark.slots)
    assert sizes[0] >= sum(array.nbytes for array in arrays)


def test_a_register_that_contradicts_what_follows_from_an_earlier_one_is_a_conflict(opened: Opened) -> None:
    """The base of that hour was thinned out, as it followed; the one that contradicts must be noticed all the same."""
    mark = opened.commit(block([[1, 2, 3, 4]], record=1, register=[100]))
    opened.commit(block([[3, 4]], record=2, first=FIRST_HOUR + 2, register=[103]))
    opened.merged()                                         # written, and so thinned
    opened.commit(block([[3, 4]], record=3, first=FIRST_HOUR + 2, register=[203]))
    opened.merged()

    assert opened.store.health().figures["conflicts"] == 1
    assert opened.store.register(mark.slots, FIRST_HOUR + 4).tolist() == [210]


def test_a_register_that_was_reset_contradicts_once(opened: Opened) -> None:
    """Hour by hour, as the field delivers: 100, 105, then anew from 0; the hours after it agree with the new base."""
    for hour, register in enumerate([100, 105, 0, 5, 10]):
        mark = opened.commit(block([[5]], record=hour + 1, first=FIRST_HOUR + hour, register=[register]))
        opened.merged()

    assert opened.store.health().figures["conflicts"] == 1
    assert opened.store.register(mark.slots, FIRST_HOUR + 5).tolist() == [15]


def test_a_quarantine_keeps_bodies_up_to_a_bound_for_each_concentrator(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it: reason, number and check sum, counted, also after a restart; others have a bound of their own."""
    monkeypatch.setattr("scada.historian.state.QUARANTINE_BYTES", 25)
    for link, record in ((1, 1), (1, 2), (1, 3), (2, 1)):
        opened.reactor.wait(opened.store.quarantine(Quarantined(Provenance(link, 7, record), "why", b"0123456789", 5)))
    opened.merged()
    opened.store.close()
    again = Opened(tmp_path)
    rows = again.store.blocks.state.database.execute("SELECT link, record, length(body) FROM quarantine").fetchall()
    figures = again.store.health().figures
    again.store.close()

    assert sorted(rows) == [(1, 1, 10), (1, 2, 10), (1, 3, 0), (2, 1, 10)]
    for one in (figures, opened.store.health().figures):
        assert (one["quarantined"], one["quarantined_without_body"]) == (4, 1)


def test_the_cursor_is_the_highest_record_without_a_gap_and_survives_a_restart(opened: Opened, tmp_path: Path) -> None:
    """Out of order is fine; record 0 moves nothing; another archive has its own cursor."""
    for record in (2, 3, 1, 5, 0):
        opened.commit(block([[1]], record=record))
    opened.commit(block([[1]], record=1, archive=8))

    assert opened.store.cursor(0xC0FFEE01, 7) == 3
    opened.store.close()
    again = Opened(tmp_path)
    assert again.store.cursor(0xC0FFEE01, 7) == 3
    again.commit(block([[1]], record=4))
    assert again.store.cursor(0xC0FFEE01, 7) == 5
    assert again.store.cursor(0xC0FFEE01, 8) == 1
    assert again.store.cursor(0xC0FFEE01, 9) == 0
    again.store.close()


def test_a_gap_that_will_never_be_filled_is_passed_durably_and_counted(opened: Opened, tmp_path: Path) -> None:
    """The concentrator overwrote records 1 to 9; its cursor must not stand still for ever."""
    opened.commit(block([[1]], record=10))
    opened.commit(block([[1]], record=11))
    opened.reactor.wait(opened.store.pass_gap(Provenance(0xC0FFEE01, 7, 10), 1))
    opened.merged()

    assert opened.store.cursor(0xC0FFEE01, 7) == 11
    assert opened.store.health().figures["lost_records"] == 9
    opened.store.close()
    again = Opened(tmp_path)
    assert again.store.cursor(0xC0FFEE01, 7) == 11
    again.store.close()


def test_a_quarantined_block_moves_the_cursor_and_keeps_its_evidence(opened: Opened, tmp_path: Path) -> None:
    """An unusable block must not block the archive, nor be forgotten."""
    opened.reactor.wait(opened.store.quarantine(Quarantined(Provenance(0xC0FFEE01, 7, 1), "bad sum", b"\x00\x01", 5)))
    opened.merged()

    assert opened.store.cursor(0xC0FFEE01, 7) == 1
    assert opened.store.health().figures["quarantined"] == 1
    opened.store.close()
    again = Opened(tmp_path)
    row = again.store.blocks.state.database.execute("SELECT reason, body FROM quarantine").fetchone()
    assert row == ("bad sum", b"\x00\x01")
    again.store.close()


def test_another_value_for_the_same_interval_is_kept_beside_the_first(opened: Opened) -> None:
    """A stepped clock delivers an hour twice: the first stays valid, the second is evidence, and both are counted once."""
    opened.commit(block([[7, 8]], record=1))
    opened.commit(block([[7, 9, 10]], record=2))
    opened.commit(block([[7, 9, 10]], record=2))
    opened.merged()

    assert opened.read([0x00124B0000000001], [0], 3).tolist() == [[7, 8, 10]]
    assert opened.store.health().figures["conflicts"] == 1


def test_a_repeated_block_is_acknowledged_but_is_no_news(opened: Opened) -> None:
    """Duplicates are harmless: no second mark makes the analytics work again."""
    opened.commit(block([[7, 8]], record=1))
    opened.merged()
    opened.commit(block([[7, 8]], record=1))
    opened.merged()

    assert len(opened.marks) == 1


def test_registers_follow_from_the_nearest_base_and_the_pulses_since(opened: Opened) -> None:
    """Across days, across the wrap at 2**32, and unknown where a pulse between is missing."""
    counts = np.ones((3, 48), dtype=np.int64)
    counts[1, 30] = MISSING
    mark = opened.commit(block(counts, record=1, register=[100, 100, 2**32 - 10]))
    opened.merged()

    assert opened.store.register(mark.slots, FIRST_HOUR).tolist() == [100, 100, 2**32 - 10]
    assert opened.store.register(mark.slots, FIRST_HOUR + 48).tolist() == [148, MISSING, 38]
    assert opened.store.register(mark.slots, FIRST_HOUR + 20).tolist() == [120, 120, 10]
    assert opened.store.register(mark.slots, FIRST_HOUR - 1).tolist() == [MISSING] * 3


def test_half_hours_are_kept_as_such_and_read_as_hours_when_both_are_there(opened: Opened) -> None:
    """Shorter intervals have blocks of their own."""
    mark = opened.commit(block([[1, 2, 3, MISSING]], record=1, first=FIRST_HOUR * 2, interval_s=1800))
    opened.merged()

    assert opened.store.read(mark.slots, FIRST_HOUR, 2).counts.tolist() == [[3, MISSING]]


def test_a_channel_named_twice_in_a_block_conflicts_with_itself(opened: Opened) -> None:
    """The first row stays, as everywhere."""
    mark = opened.commit(block([[1], [2]], record=1, eui=[5, 5]))
    opened.merged()

    assert mark.slots[0] == mark.slots[1]
    assert opened.read([5], [0], 1).tolist() == [[1]]
    assert opened.store.health().figures["conflicts"] == 1


@pytest.mark.parametrize(("wrong", "said"), [
    ({"interval_s": 7}, "whole part of an hour"), ({"first": -1}, "between 1970 and 2200"),
    ({"first": 10**9}, "between 1970 and 2200"), ({"register": [2**32]}, "32 bits"), ({"link": 2**32}, "32-bit link"),
])
def test_a_block_that_cannot_be_stored_is_rejected_so_that_the_driver_may_quarantine_it(
    opened: Opened, wrong: dict[str, object], said: str
) -> None:
    """It is not a storage error: sending it again would not help."""
    with pytest.raises(DataRejected, match=said):
        opened.commit(block([[1]], **wrong))


def test_more_than_the_bound_is_refused_and_what_was_taken_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst over the bound fails at once with `StorageBusy`; nothing is dropped silently."""
    monkeypatch.setattr("scada.historian.commit_thread.WAITING_BLOCKS", 10)
    opened = Opened(tmp_path)
    outcome: list[str] = []
    with opened.store.committing.condition:
        for record in range(1, 31):
            opened.store.commit(block([[1]], record=record)).addCallbacks(
                lambda _: outcome.append("ack"), lambda failure: outcome.append(failure.type.__name__)
            )
    opened.reactor.pump(lambda: len(outcome) == 30)
    opened.store.close()

    assert outcome.count("StorageBusy") == 20
    assert outcome.count("ack") == 10


def test_a_batch_counts_with_all_its_blocks_against_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is refused for want of room says so: the same may be tried again in a moment."""
    monkeypatch.setattr("scada.historian.commit_thread.WAITING_BLOCKS", 10)
    opened = Opened(tmp_path)
    outcome: list[str] = []
    with opened.store.committing.condition:
        for number in range(3):
            opened.store.commit_batch(day_of_links(4, number + 1)).addCallbacks(
                lambda _: outcome.append("ack"), lambda failure: outcome.append(failure.type.__name__)
            )
        waiting = len(opened.store.committing)
    opened.reactor.pump(lambda: len(outcome) == 3)
    opened.store.close()

    assert waiting == 8
    assert sorted(outcome) == ["StorageBusy", "ack", "ack"]


def day_of_links(links: int, record: int, apart: int = 0) -> IntervalBatch:
    """A day of one channel of each of some links, one day `apart` from link to link."""
    one, ones = np.arange(links), np.ones((links, 24), np.int64)
    return IntervalBatch(
        np.ones(links, np.int64), FIRST_HOUR + 24 * apart * one, [Provenance(int(link) + 1, 7, record) for link in one],
        one.astype(np.uint64) + 1, np.zeros(links, np.uint8), ones, ones[:, 0], np.zeros((links, 24), np.uint8), 1,
    )


def test_batches_of_many_days_count_the_blocks_they_open_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten links that each bring another day open ten blocks, not a hundred; four such batches open the same ten."""
    slots = np.arange(10) * 768
    records = [(Position(1, number), BatchRecord(day_of_links(10, number, apart=1), slots)) for number in range(1, 5)]

    assert [len(batches._days(record)) for _, record in records] == [10] * 4
    monkeypatch.setattr(batches, "MERGE_DAYS", 11)
    assert len(list(batches.mergeable(records))) == 4
    monkeypatch.setattr(batches, "MERGE_DAYS", 10)
    rest = iter(records)
    assert [len(list(batches.mergeable(rest))) for _ in range(5)] == [1, 1, 1, 1, 0]


def test_a_day_and_a_bit_of_quarters_touches_two_days() -> None:
    """Also where it begins in the evening."""
    one = block([[1] * 100], first=FIRST_HOUR * 4 + 90, interval_s=900)
    assert len(batches._days(BatchRecord.of(one, np.array([5])))) == 2


def test_more_is_merged_together_where_each_record_writes_a_little_of_the_whole_city() -> None:
    """Eighty blocks written anew for each record: as many records as make it worth it, and no more than that."""
    def records(apart: int) -> Iterator[tuple[Position, BatchRecord]]:
        for number in itertools.count(1):
            yield Position(1, number), BatchRecord(day_of_links(80, number), np.arange(80) * apart)

    assert len(list(batches.mergeable(records(1)))) == 7        # 560 blocks as they came, in one block of the store
    assert len(list(batches.mergeable(records(768)))) == 8      # eighty: 640


def test_a_journal_of_a_later_version_is_refused_with_a_sentence_and_nothing_of_it_is_passed_over(tmp_path: Path) -> None:
    """A server that is put back to an earlier version must not lose what the later one acknowledged."""
    journal = Journal(tmp_path / "journal")
    journal.open(Position())
    journal.append([encode(BatchRecord.of(block([[5]], record=1), np.array([0])))])
    later = journal.append([b"\x63 of another age"])[0]
    journal.close()
    store = EmbeddedIntervals(tmp_path, PumpedReactor())
    with pytest.raises(StartError, match=r"record of kind 99.*start the newer version"):
        store.open()
    store.close()

    assert [body for place, body in journal.read(store.blocks.state.merged) if place == later] == [b"\x63 of another age"]


def test_a_second_server_on_the_same_folder_is_refused(opened: Opened, tmp_path: Path) -> None:
    """Two writers would give one slot to two channels."""
    other = EmbeddedIntervals(tmp_path, PumpedReactor())

    with pytest.raises(StartError, match="another process writes"):
        other.open()
    other.close()


def test_a_folder_that_cannot_be_written_is_a_clear_sentence(tmp_path: Path) -> None:
    """No traceback for a wrong path."""
    (tmp_path / "file").write_text("in the way")
    store = EmbeddedIntervals(tmp_path / "file" / "history", PumpedReactor())

    with pytest.raises(StartError, match="cannot be written"):
        store.open()


@pytest.mark.parametrize("record", [2**63, 2**64 - 1, -1])
def test_a_record_number_no_file_can_hold_is_rejected_before_the_journal_and_harms_nobody_else(
    opened: Opened, tmp_path: Path, record: int
) -> None:
    """Else one mad concentrator stops the merging of all others, and the next start."""
    mad = Provenance(1, 1, record)
    with pytest.raises(DataRejected):
        opened.reactor.wait(opened.store.quarantine(Quarantined(mad, "why", b"body", 1)))
    with pytest.raises(DataRejected):
        opened.reactor.wait(opened.store.pass_gap(mad, 1))
    opened.commit(block([[1]], record=1))
    opened.merged()
    opened.store.close()
    again = Opened(tmp_path)
    again.store.close()

    assert opened.store.health().ok


def test_a_record_number_no_file_can_hold_does_not_keep_a_server_from_starting(tmp_path: Path) -> None:
    """A journal written before such numbers were refused: the record is named as damage and stepped over."""
    first = Opened(tmp_path)
    first.commit(block([[1]], record=1))
    first.merged()
    first.store.close()
    journal = Journal(tmp_path / "journal")
    journal.open(Position(1, 0))
    journal.append([encode(Quarantined(Provenance(1, 1, 2**63), "why", b"body", 1))])
    journal.close()

    again = Opened(tmp_path)
    health = again.store.health()
    again.store.close()

    assert health.figures["damaged"] == 1


def test_one_transaction_holds_a_bounded_number_of_days_in_memory_whatever_was_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three small records of eight years each took 1.4 GB, and took them again at every start."""
    monkeypatch.setattr(batches, "MERGE_DAYS", 2)
    held: list[int] = []
    merge = BlockStore.merge

    def counted(self: BlockStore, items: Sequence[tuple[Position, Record]], **more: bool) -> list[Mark]:
        held.append(len(items))
        return merge(self, items, **more)

    monkeypatch.setattr(BlockStore, "merge", counted)
    first = Opened(tmp_path)
    for day in range(9):
        first.commit(block([[1] * 24], record=day + 1, first=FIRST_HOUR + 24 * day))
    first.merged()
    first.store.close()
    journal = Journal(tmp_path / "journal")
    journal.open(Position(9, 0))
    records = [
        BatchRecord.of(block([[1] * 24], record=day + 1, first=FIRST_HOUR + 24 * day), np.array([0]))
        for day in range(9, 19)
    ]
    journal.append([encode(record) for record in records])
    journal.close()
    held.clear()
    again = Opened(tmp_path)
    counts = again.read([0x00124B0000000001], [0], 24 * 19)
    again.store.close()

    assert int(counts.sum()) == 24 * 19
    assert max(held) <= 2
    assert sum(held) == 10


def test_a_month_file_that_is_just_being_made_holds_nothing_yet(opened: Opened, tmp_path: Path) -> None:
    """Between a file and its tables somebody may read: that is no error, there is just nothing."""
    opened.commit(block([[1]], record=1))
    opened.merged()
    path = month_path(tmp_path, FIRST_HOUR // 24 + 31)
    empty = sqlite3.connect(path)
    empty.execute("PRAGMA journal_mode=WAL")
    empty.close()

    assert path.exists()
    assert opened.store.read(np.array([0]), FIRST_HOUR + 31 * 24, 1).counts.tolist() == [[MISSING]]
