"""What many links bring in one turn is stored together, and what is wrong with one record stays its own affair."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from scada.drivers.dmesh import profile, profile_decode
from scada.drivers.dmesh.archive import Figures, Record, Sheaf
from scada.drivers.dmesh.harvest import MOST, Harvest
from scada.drivers.dmesh.modules import Modules, listed
from scada.drivers.dmesh.profile import Profile
from scada.errors import DataRejected, StorageError
from scada.intervals import IntervalBatch, Provenance
from tests.drivers.dmesh.peers import day, entries
from tests.drivers.dmesh.test_messages import CBOR
from tests.drivers.dmesh.test_profile import profiles, same
from tests.fakes import site_clock


class Intake:
    """One link's end, which only writes down what it is told."""

    def __init__(self, link: int, *, known: bool = True) -> None:
        self.link, self.known = link, known
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
        self.acknowledged += [one.number for one in records]

    def go_alone(self, sheaf: Sheaf) -> None:
        self.alone.append(sheaf.number)

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure)


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
    def __init__(self) -> None:
        self.reactor, self.disk, self.figures = MemoryReactorClock(), Disk(), Figures()
        self.told: list[tuple[list[int], int]] = []
        store: Any = self.disk
        self.harvest = Harvest(
            store, site_clock(self.reactor), self.reactor, self.figures,
            lambda slots, first, counts, interval_s: self.told.append((slots.tolist(), first)),
        )

    def bring(self, intake: Any, number: int, block: object) -> None:
        self.harvest.bring(Sheaf(intake, number, block, b"", Record(number)))

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


def test_a_listener_with_a_bug_lets_no_concentrator_wait_for_ever() -> None:
    stand, one = Stand(), Intake(1)
    stand.harvest._on_durable = lambda *_: 1 / 0            # type: ignore[assignment]
    stand.bring(one, 1, block())
    stand.turn()

    assert len(one.failures) == 1


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
