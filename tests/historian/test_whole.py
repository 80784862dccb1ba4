"""Whole blocks from elsewhere read back equal, change nothing that is held, and may be entered again."""

from pathlib import Path

import numpy as np
import pytest

from scada.historian.dense import SLOTS
from scada.historian.offline import ClosedHistory
from scada.historian.service import open_reader
from scada.historian.whole import Entered, WholeDay
from scada.intervals import MISSING
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
