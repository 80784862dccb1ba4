"""Whole blocks from elsewhere read back equal, change nothing that is held, and may be entered again."""

from pathlib import Path

import numpy as np
import pytest

from scada.historian.arrivals import Arrivals, Whence
from scada.historian.dense import SLOTS, Dense, enter, enter_registers, thinned
from scada.historian.import_intervals import enter_batches
from scada.historian.offline import ClosedHistory
from scada.historian.packing import narrow, pack, pack_each
from scada.historian.rows import encode_block
from scada.historian.service import open_reader
from scada.historian.store import EmbeddedIntervals
from scada.historian.whole import Entered
from scada.historian.whole_rows import WholeDay, made_of
from scada.intervals import MISSING, IntervalBatch
from tests.historian.helpers import FIRST_HOUR, block

DAY = FIRST_HOUR // 24
METERS = 300                            # a block, and a part of the next
LINK = 0xC0FFEE01
EUI = (0x00124B0000000001 + np.arange(METERS)).astype(np.uint64)
CHANNEL = np.zeros(METERS, np.uint8)


def day_of(slots: np.ndarray, counts: np.ndarray, registers: np.ndarray, day: int = DAY) -> WholeDay:
    """(n, 24) of channels, where their slots lie in blocks."""
    numbers = np.unique(slots // SLOTS)
    places = np.searchsorted(numbers, slots // SLOTS), slots % SLOTS
    whole = np.full((len(numbers), SLOTS, 24), MISSING, np.int64)
    first = np.full((len(numbers), SLOTS), MISSING, np.int64)
    whole[places], first[places] = counts, registers
    return WholeDay(day, numbers, whole, first)


@pytest.fixture
def counts() -> np.ndarray:
    made = np.random.default_rng(7).poisson(400, (METERS, 24))
    made[3, 5:9] = MISSING
    made[290] = MISSING
    return made


def put(directory: Path, counts: np.ndarray, registers: np.ndarray, day: int = DAY) -> Entered:
    with ClosedHistory(directory) as history:
        whole = history.whole()
        slots = whole.slots(np.full(METERS, LINK), EUI, CHANNEL)
        return whole.enter([day_of(slots, counts, registers, day)], received=1)


def test_it_reads_back_equal_with_its_registers(tmp_path: Path, counts: np.ndarray) -> None:
    """Two days: pulses, what is missing, and registers in the middle of a day."""
    registers = np.arange(METERS) * 1000
    assert put(tmp_path, counts, registers) == Entered(2, 0, 0)
    assert put(tmp_path, counts[::-1], np.full(METERS, MISSING), DAY + 1) == Entered(2, 0, 0)

    history = open_reader(tmp_path)
    slots = history.intervals.slots(EUI, CHANNEL)
    read = history.intervals.read(slots, FIRST_HOUR, 48)
    noon = history.intervals.register(slots, FIRST_HOUR + 12)
    history.close()

    assert np.array_equal(read.counts, np.concatenate((counts, counts[::-1]), axis=1))
    assert np.array_equal(noon[:3], registers[:3] + counts[:3, :12].sum(axis=1))
    assert noon[3] == MISSING


def test_entering_it_again_changes_nothing(tmp_path: Path, counts: np.ndarray) -> None:
    """As after a crash in the middle."""
    registers = np.arange(METERS) * 1000
    put(tmp_path, counts, registers)
    before = sorted(path.read_bytes() for path in tmp_path.glob("intervals-*.sqlite"))

    assert put(tmp_path, counts, registers) == Entered(0, 2, 0)
    assert sorted(path.read_bytes() for path in tmp_path.glob("intervals-*.sqlite")) == before


def test_what_the_field_sent_stays_and_contradictions_are_kept_beside_it(tmp_path: Path, counts: np.ndarray) -> None:
    """The journal holds a delivery that no start has merged: its slots and its readings are respected."""
    sent = counts[:5] + 1
    with ClosedHistory(tmp_path) as history:
        history.append([block(sent, first=FIRST_HOUR, record=1, link=LINK)])
    put(tmp_path, counts, np.full(METERS, MISSING))
    with ClosedHistory(tmp_path) as history:
        own = history.reader.slots(EUI, CHANNEL)

    assert len(set(own.tolist())) == METERS


def test_a_second_source_that_contradicts_is_counted_once(tmp_path: Path, counts: np.ndarray) -> None:
    """The first stays."""
    put(tmp_path, counts, np.full(METERS, MISSING))
    other = counts.copy()
    other[0, 0] += 1
    other[3, 5] = 77                    # a hole is filled

    assert put(tmp_path, other, np.full(METERS, MISSING)) == Entered(0, 2, 1)
    assert put(tmp_path, other, np.full(METERS, MISSING)) == Entered(0, 2, 0)
    history = open_reader(tmp_path)
    read = history.intervals.read(history.intervals.slots(EUI[:4], CHANNEL[:4]), FIRST_HOUR, 24).counts
    history.close()
    assert read[0, 0] == counts[0, 0]
    assert read[3, 5] == 77


def test_nothing_is_written_for_a_block_that_holds_nothing(tmp_path: Path) -> None:
    """An empty day costs no row."""
    nothing = np.full((METERS, 24), MISSING, np.int64)
    assert put(tmp_path, nothing, np.full(METERS, MISSING)) == Entered(0, 0, 0)


def test_a_shape_that_does_not_fit_says_what_was_expected() -> None:
    """All of it."""
    with pytest.raises(ValueError, match=r"expected \(1, 256, 24\)"):
        WholeDay(DAY, np.array([0]), np.zeros((1, 256, 23), np.int64), np.zeros((1, 256), np.int64))


@pytest.mark.parametrize("most", [100, 300, 70_000, 2**33])
@pytest.mark.parametrize("width", [1, 24])
def test_arrays_packed_together_are_the_bytes_of_each(most: int, width: int) -> None:
    """Each as narrow as it may be; also where a value stands at the head of missing ones."""
    rng = np.random.default_rng(most)
    values = rng.integers(-1, most, (40, 256))
    values[3], values[4], values[5] = MISSING, 5, rng.integers(-1, 127, 256)
    full = np.full((40, 256, width), MISSING)
    full[..., 0] = values

    assert pack_each(values, width) == [pack(narrow(one)) for one in full]


def delivered(whole: WholeDay, place: int, received: int) -> Dense:
    """A block as it is after a delivery of each link, in the order of the links."""
    dense = Dense.empty(whole.counts.shape[2])
    dense.arrivals = Arrivals.empty(dense.counts.shape)
    whence = Whence(whole.sources, whole.source_of[place])
    rows = np.arange(SLOTS)
    enter(dense, rows, 0, whole.counts[place], whole.status[place], whence)
    for column in range(24):
        assert enter_registers(dense, rows, column, whole.registers[place, :, column], whence) == []
    dense.registers = thinned(dense.registers, dense.counts)
    return dense


def test_rows_of_new_blocks_are_those_of_a_delivery(counts: np.ndarray) -> None:
    """Pulses, status bits beside and without a count, registers amid the day, and who brought what."""
    rng = np.random.default_rng(3)
    cells = (2, SLOTS, 24)
    some = np.where(rng.random(cells) < 0.9, rng.poisson(400, cells), MISSING)
    status = np.where(rng.random(cells) < 0.01, rng.integers(1, 256, cells), 0).astype(np.uint8)
    some[1, :, 7], status[1, :, 7], some[0, 5], status[0, 5] = MISSING, 0, MISSING, 0
    registers = np.full(cells, MISSING)
    registers[..., 0] = rng.integers(0, 2**32, cells[:2])
    registers[0, 5, 0] = MISSING
    some[0, 9] = 7
    registers[0, 9, 13] = (registers[0, 9, 0] + 7 * 13) % 2**32                     # it follows, and is left out
    some[0, 10, 3], registers[0, 10, 13] = MISSING, 99                              # this one does not
    sources = np.array([(1, LINK, 0, 0), (1, LINK + 1, 0, 0)])
    whole = WholeDay(DAY, np.array([4, 9]), some, registers, 3600, status, sources, rng.integers(0, 2, cells[:2]))
    made = made_of(whole, 1)
    blocks = [delivered(whole, place, 1) for place in (0, 1)]

    assert [row[:3] for row in made.rows] == [(3600, DAY, 4), (3600, DAY, 9)]
    assert [row[3:] for row in made.rows] == [encode_block(one) for one in blocks]
    assert [made.arrivals[number].joined for number in (4, 9)] == [one.arrivals.joined for one in blocks]
    assert [times(made.arrivals[number]) for number in (4, 9)] == [times(one.arrivals) for one in blocks]
    assert all(one.arrivals.joined for one in blocks)
    assert blocks[0].registers[9, 13] == MISSING


def times(arrivals: Arrivals) -> list[list[tuple[int, ...] | None]]:
    """Who brought each count and each register, by name."""
    names = [None, *map(tuple, arrivals.sources.tolist())]
    return [[names[one] for one in table.ravel().tolist()] for table in (arrivals.pulses, arrivals.registers)]


def test_blocks_that_are_made_one_by_one_are_written_while_others_are_compressed(tmp_path: Path) -> None:
    """More than one transaction, and more than wait at once; each day reads back."""
    made = np.random.default_rng(5).poisson(400, (3, SLOTS, 24))
    days = range(DAY, DAY + 80)
    with ClosedHistory(tmp_path) as history:
        whole = history.whole()
        eui = (0x00124B0000000001 + np.arange(768)).astype(np.uint64)
        slots = whole.slots(np.full(768, LINK), eui, np.zeros(768, np.uint8))
        entered = whole.enter((
            WholeDay(day, np.unique(slots // SLOTS), np.roll(made, day, axis=1), np.full((3, SLOTS), day)) for day in days
        ), received=1)
    history = open_reader(tmp_path)
    read = history.intervals.read(slots, FIRST_HOUR, 24 * len(days)).counts
    history.close()

    assert entered == Entered(240, 0, 0)
    for place, day in enumerate(days):
        assert np.array_equal(read[:, 24 * place:24 * place + 24], np.roll(made, day, axis=1).reshape(768, 24))


def test_what_is_in_memory_of_a_block_is_read_again_after_it_was_entered(tmp_path: Path) -> None:
    """Merged, entered as a whole, merged: all three are held."""
    store = EmbeddedIntervals(tmp_path, None)
    store.open()
    enter_batches(store, [IntervalBatch.of(block([[1, -1, -1]], record=1))])
    slots = store.slots(EUI[:1], CHANNEL[:1])
    day = np.full((1, 24), MISSING)
    day[0, 1] = 2
    store.blocks.whole().enter([day_of(slots, day, np.array([MISSING]))], received=1)
    enter_batches(store, [IntervalBatch.of(block([[-1, -1, 3]], record=2))])
    counts = store.read(slots, FIRST_HOUR, 3).counts.tolist()
    store.close()

    assert counts == [[1, 2, 3]]


def test_a_day_without_registers_beside_one_that_has_some_amid_it() -> None:
    """Its blocks have none, whatever shape they came in."""
    counts = np.full((1, SLOTS, 24), 5)
    spread = made_of(WholeDay(DAY, np.array([4]), counts, np.full((1, SLOTS, 24), MISSING)), 1)

    assert spread.rows == made_of(WholeDay(DAY, np.array([4]), counts, np.full((1, SLOTS), MISSING)), 1).rows
    assert spread.rows[0][-1] is None
