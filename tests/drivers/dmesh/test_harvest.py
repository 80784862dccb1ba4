"""What many links bring in one turn is stored together, and what is wrong with one record stays its own affair."""

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from scada.drivers.dmesh import harvest, held, profile, profile_decode
from scada.drivers.dmesh.archive import Figures, Record, Sheaf
from scada.drivers.dmesh.harvest import MOST, MOST_CELLS, MOST_DAYS, Harvest
from scada.drivers.dmesh.held import AGAIN_S, PATIENCE_S
from scada.drivers.dmesh.modules import Modules, listed
from scada.drivers.dmesh.profile import Profile
from scada.errors import DataRejected, StorageBusy, StorageError
from scada.historian.store import EmbeddedIntervals
from scada.intervals import IntervalBatch, Provenance
from tests.drivers.dmesh.peers import HOUR, day, entries
from tests.drivers.dmesh.test_messages import CBOR
from tests.drivers.dmesh.test_profile import profiles, same
from tests.fakes import site_clock
from tests.historian.helpers import PumpedReactor


class Intake:
    """One link's end, which only writes down what it is told."""

    def __init__(self, link: int, *, known: bool = True, ill: bool = False) -> None:
        self.link, self.known, self.ill = link, known, ill
        self.acknowledged: list[int] = []
        self.alone: list[int] = []
        self.failures: list[Failure] = []
        self.end_hours: list[int] = []

    def modules(self, generation: int) -> Modules | None:
        return listed(generation, entries(3)) if self.known else None

    def provenance(self, number: int) -> Provenance:
        return Provenance(self.link, 7, number)

    def reached(self, end_hour: int) -> None:
        self.end_hours.append(end_hour)

    def kept(self, records: list[Record]) -> None:
        if self.ill:
            raise ZeroDivisionError
        self.acknowledged += [one.number for one in records]

    def go_alone(self, sheaf: Sheaf) -> None:
        self.alone.append(sheaf.number)

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure)
        if self.ill:
            raise ZeroDivisionError


class Disk:
    """Takes whole batches, or fails as it is told."""

    def __init__(self) -> None:
        self.batches: list[IntervalBatch] = []
        self.trouble: Exception | None = None

    def commit_batch(self, batch: IntervalBatch) -> "Deferred[Any]":
        if self.trouble is not None:
            return fail(self.trouble)
        self.batches.append(batch)
        return succeed(np.arange(len(batch.eui)))


class Stand:
    def __init__(self, *, trusted: bool = True) -> None:
        self.reactor, self.disk, self.figures = MemoryReactorClock(), Disk(), Figures()
        self.told: list[tuple[list[int], int]] = []
        store: Any = self.disk
        self.harvest = Harvest(
            store, site_clock(self.reactor, trusted=trusted), self.reactor, self.figures,
            lambda slots, first, counts, interval_s: self.told.append((slots.tolist(), first)),
        )

    def bring(self, intake: Any, number: int, block: object, current: Modules | None = None) -> None:
        self.harvest.bring(Sheaf(intake, number, block, b"", Record(number), current))

    def turn(self) -> None:
        self.reactor.advance(0)


def block(**changes: Any) -> dict[int, Any]:
    return profile.encode(day(**changes))


def test_records_of_many_links_in_one_turn_are_one_write() -> None:
    """Two links with two records each: one batch, every record told to its own link, in order."""
    stand, one, other = Stand(), Intake(1), Intake(2)
    for number in (1, 2):
        stand.bring(one, number, block())
        stand.bring(other, number, block())
    nothing_yet = len(stand.disk.batches)
    stand.turn()

    assert nothing_yet == 0
    (batch,) = stand.disk.batches
    assert [(source.link_id, source.record) for source in batch.provenance] == [(1, 1), (2, 1), (1, 2), (2, 2)]
    assert one.acknowledged == other.acknowledged == [1, 2]
    assert stand.figures.blocks == 4
    assert stand.figures.readings == batch.counts.size


def test_what_is_wrong_with_one_record_does_not_touch_the_others() -> None:
    """Nonsense, an unknown index, hours of the year 1990, a list that is not here: alone; the good ones are stored."""
    stand, good, ill, stranger = Stand(), Intake(1), Intake(2), Intake(3, known=False)
    stand.bring(good, 1, block())
    stand.bring(ill, 1, "no block")
    stand.bring(ill, 2, block(modules=(1, 9)))
    stand.bring(ill, 3, block(record_hour=200_000))
    stand.bring(stranger, 1, block())
    stand.bring(good, 2, block())
    stand.turn()

    assert good.acknowledged == [1, 2]
    assert sorted(ill.alone) == [1, 2, 3]
    assert ill.acknowledged == []
    assert stranger.alone == [1]
    assert [source.link_id for batch in stand.disk.batches for source in batch.provenance] == [1, 1]


def test_a_full_disk_is_told_to_each_link_once_and_acknowledges_nothing() -> None:
    stand, one, other = Stand(), Intake(1), Intake(2)
    stand.disk.trouble = StorageError("the disk is full")
    for intake in (one, one, other):
        stand.bring(intake, 1, block())
    stand.turn()

    assert [len(intake.failures) for intake in (one, other)] == [1, 1]
    assert one.acknowledged == other.acknowledged == []


def test_a_batch_that_the_store_rejects_is_taken_apart() -> None:
    """The store says that something in it cannot be: each record finds out by itself."""
    stand, one, other = Stand(), Intake(1), Intake(2)
    stand.disk.trouble = DataRejected("store", "no such year")
    stand.bring(one, 1, block())
    stand.bring(other, 1, block())
    stand.turn()

    assert one.alone == other.alone == [1]
    assert one.failures == other.failures == []


def test_a_listener_with_a_bug_keeps_nothing_that_is_durable_from_being_acknowledged() -> None:
    stand, one = Stand(), Intake(1)
    stand.harvest._on_durable = lambda *_: 1 / 0            # type: ignore[assignment]
    stand.bring(one, 1, block())
    stand.turn()

    assert one.acknowledged == [1]
    assert one.failures == []


def test_one_links_end_that_breaks_keeps_the_news_from_nobody_else() -> None:
    """Good news and bad: the one with the bug is given up, the others hear theirs."""
    stand, ill, one = Stand(), Intake(1, ill=True), Intake(2)
    stand.bring(ill, 1, block())
    stand.bring(one, 1, block())
    stand.turn()
    stand.disk.trouble = StorageError("the disk is full")
    stand.bring(ill, 2, block())
    stand.bring(one, 2, block())
    stand.turn()

    assert one.acknowledged == [1]
    assert len(one.failures) == 1
    assert len(ill.failures) == 2


def test_a_record_that_wakes_a_bug_is_not_the_affair_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be decoded together goes record by record, so that only the one with the bug is sent away."""
    stand, one, other = Stand(), Intake(1), Intake(2)
    monkeypatch.setattr(harvest, "decode_many", lambda blocks: 1 / 0)
    stand.bring(one, 1, block())
    stand.bring(other, 1, block())
    stand.turn()

    assert one.alone == other.alone == [1]
    assert one.failures == other.failures == []


def month(hours: int, channels: int) -> dict[int, Any]:
    """Nobody used anything: it deflates to next to nothing."""
    index, channel = np.repeat(np.arange(1, 4, dtype=np.uint16), channels), np.tile(np.arange(channels, dtype=np.uint8), 3)
    counts = np.zeros((3 * channels, hours), np.int64)
    return profile.encode(
        Profile(HOUR - hours, index, channel, counts[:, 0], counts, counts.astype(np.uint8), generation=1)
    )


def test_a_batch_is_bounded_by_what_it_inflates_to_and_by_the_days_the_store_would_open() -> None:
    """Else months from many links at once are 160 MB, which the store refuses however often they come."""
    stand, intakes = Stand(), [Intake(link) for link in range(MOST - 1)]
    wide, narrow = month(31 * 24, 6), month(31 * 24, 1)
    for intake in intakes:
        stand.bring(intake, 1, wide)
    at_once = len(stand.disk.batches)
    for intake in intakes:
        stand.bring(intake, 2, narrow)
    stand.turn()

    assert at_once > 0
    assert max(batch.counts.size for batch in stand.disk.batches) <= MOST_CELLS
    assert max(len(batch.sizes) * 31 for batch in stand.disk.batches) <= MOST_DAYS
    assert all(intake.acknowledged == [1, 2] for intake in intakes)


def test_a_record_of_the_current_list_belongs_to_the_list_it_came_under() -> None:
    """The list is replaced between the arrival and the end of the turn: index 1 was another module."""
    stand, one = Stand(), Intake(1)
    then = listed(6, tuple(attrs.evolve(entry, eui=entry.eui + 77) for entry in entries(3)))
    stand.bring(one, 1, block(generation=0), then)
    stand.turn()

    assert stand.disk.batches[0].eui.tolist() == [0xD100_0001 + 77, 0xD100_0002 + 77]


def test_a_year_that_no_file_holds_is_no_reason_to_take_a_batch_apart() -> None:
    """While our own time is not trusted nobody here says "future", and the store would refuse them all together."""
    stand, good, mad = Stand(trusted=False), Intake(1), Intake(2)
    stand.bring(good, 1, block(record_hour=HOUR + 48))
    stand.bring(mad, 1, block(record_hour=3_000_000))
    stand.turn()

    assert good.acknowledged == [1]
    assert mad.alone == [1]


def test_a_store_without_room_is_waited_for_and_no_link_is_closed() -> None:
    stand, one, other = Stand(), Intake(1), Intake(2)
    stand.disk.trouble = StorageBusy("the journal does not keep up")
    stand.bring(one, 1, block())
    stand.turn()
    stand.bring(other, 1, block())
    stand.turn()
    stand.reactor.pump([AGAIN_S] * 4)
    waiting = one.acknowledged + one.failures + other.acknowledged + other.failures
    counted, stand.disk.trouble = stand.harvest.waiting, None
    stand.reactor.advance(AGAIN_S)

    assert (waiting, counted) == ([], 2)
    assert [batch.provenance[0].link_id for batch in stand.disk.batches] == [1, 2]
    assert one.acknowledged == other.acknowledged == [1]
    assert stand.reactor.getDelayedCalls() == []


def test_a_journal_that_falls_behind_for_a_moment_closes_no_link_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real store, with room for four blocks: each turn brings three while the journal's thread is held up."""
    monkeypatch.setattr("scada.historian.commit_thread.WAITING_BLOCKS", 4)
    reactor, intakes = PumpedReactor(), [Intake(link) for link in range(1, 10)]
    store = EmbeddedIntervals(tmp_path, reactor)
    store.open()
    store.start()
    gathering = Harvest(store, site_clock(reactor), reactor, Figures())
    with store.committing.condition:
        for number, intake in enumerate(intakes, start=1):
            gathering.bring(Sheaf(intake, 1, block(), b"", Record(1)))      # type: ignore[arg-type]
            if number % 3 == 0:
                gathering.gather()
        waiting = len(store.committing), gathering.waiting
    reactor.pump(lambda: all(intake.acknowledged for intake in intakes))
    store.close()

    assert waiting == (3, 2)
    assert [intake.acknowledged for intake in intakes] == [[1]] * 9
    assert [store.cursor(link, 7) for link in range(1, 10)] == [1] * 9


def test_a_store_without_room_is_not_waited_for_for_ever() -> None:
    stand, one = Stand(), Intake(1)
    stand.disk.trouble = StorageBusy("the journal does not keep up")
    stand.bring(one, 1, block())
    stand.turn()
    stand.reactor.pump([AGAIN_S] * int(PATIENCE_S / AGAIN_S + 1))

    assert len(one.failures) == 1
    assert stand.reactor.getDelayedCalls() == []


def test_what_waits_for_room_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "HELD_CELLS", 100)
    stand, intakes = Stand(), [Intake(link) for link in range(3)]
    stand.disk.trouble = StorageBusy("the journal does not keep up")
    for intake in intakes:
        stand.bring(intake, 1, block())
        stand.turn()

    assert [len(intake.failures) for intake in intakes] == [0, 0, 1]


def test_what_came_last_is_on_its_way_to_the_store_when_the_driver_stops() -> None:
    """And what waits for room is let go, unacknowledged; no timer is left."""
    stand, one, other = Stand(), Intake(1), Intake(2)
    stand.disk.trouble = StorageBusy("the journal does not keep up")
    stand.bring(one, 1, block())
    stand.turn()
    stand.disk.trouble = None
    stand.bring(other, 1, block())
    stand.harvest.stop()

    assert (one.acknowledged, other.acknowledged) == ([], [1])
    assert stand.reactor.getDelayedCalls() == []


def test_more_than_the_bound_never_waits() -> None:
    """The turn is long, but what it gathers is bounded."""
    stand, one = Stand(), Intake(1)
    for number in range(MOST + 1):
        stand.bring(one, number, block())

    assert len(one.acknowledged) == MOST
    stand.turn()
    assert len(one.acknowledged) == MOST + 1


def test_blocks_of_different_hours_are_told_with_their_own_hours() -> None:
    stand, one = Stand(), Intake(1)
    first = block()
    stand.bring(one, 1, first)
    stand.bring(one, 2, {**first, 0: first[0] - 24})
    stand.turn()

    assert sorted(stand.told, key=lambda told: told[1]) == [([2, 3], first[0] - 24), ([0, 1], first[0])]
    assert one.end_hours == [first[0] + 24, first[0]]


@given(st.lists(st.one_of(profiles(), CBOR), max_size=6))
def test_decoding_together_gives_what_decoding_one_by_one_gives(sent: list[Any]) -> None:
    blocks = [profile.encode(one) if isinstance(one, Profile) else one for one in sent]
    tables, refused = profile_decode.decode_many(blocks)

    singles = {place: profile_decode.decode(one) for place, one in enumerate(blocks)}
    assert refused == {place: one for place, one in singles.items() if not isinstance(one, Profile)}
    found = {}
    for table in tables:
        for at, (place, start, size) in enumerate(
            zip(table.places.tolist(), table.starts.tolist(), table.sizes.tolist(), strict=True)
        ):
            rows = slice(start, start + size)
            found[place] = Profile(
                int(table.first_hour[at]), table.index[rows], table.channel[rows], table.register[rows],
                table.counts[rows], table.status[rows], table.interval_s, int(table.generation[at]),
            )
    assert found.keys() == {place for place, one in singles.items() if isinstance(one, Profile)}
    assert all(same(found[place], singles[place]) for place in found)       # type: ignore[arg-type]


def test_a_spoilt_block_in_the_middle_is_named_and_its_neighbours_are_decoded() -> None:
    good = block()
    spoilt = {**good, 2: good[2][:2] * (len(good[2]) // 2)}         # the same module in every row
    tables, refused = profile_decode.decode_many([good, spoilt, good])

    assert list(refused) == [1]
    assert "twice" in refused[1].detail
    assert tables[0].places.tolist() == [0, 2]
