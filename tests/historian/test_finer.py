"""Channels of 15 and 30 minutes beside hourly ones: whatever the order and however often, content follows what came."""

import tempfile
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.historian.blocks import BlockStore
from scada.historian.database import ReadPool
from scada.historian.journal import Position
from scada.historian.reader import BlockReader
from scada.historian.records import BatchRecord, decode, encode
from scada.historian.slots import SlotBook
from scada.historian.verification import verify
from scada.intervals import MISSING
from tests.historian.helpers import FIRST_HOUR, block

LENGTHS: Final = (900, 1800, 3600)
HOURS: Final = 50
_chance = np.random.default_rng(11)
QUARTERS: Final = _chance.integers(0, 900, (len(LENGTHS), HOURS * 4))
REGISTER: Final = np.array([[0], [2**32 - 5_000], [77]]) + np.concatenate(
    (np.zeros((len(LENGTHS), 1), np.int64), np.cumsum(QUARTERS, axis=1)), axis=1
)


def truth(channel: int) -> np.ndarray:
    """Pulses of a channel in intervals of its own length."""
    return QUARTERS[channel].reshape(-1, LENGTHS[channel] // 900).sum(axis=1)


@st.composite
def deliveries(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """(channel, first interval, intervals)."""
    found = []
    for _ in range(draw(st.integers(1, 8))):
        channel = draw(st.integers(0, len(LENGTHS) - 1))
        size = len(truth(channel))
        first = draw(st.integers(0, size - 1))
        found.append((channel, first, draw(st.integers(1, size - first))))
    return found


def record_of(channel: int, first: int, count: int) -> BatchRecord:
    interval_s = LENGTHS[channel]
    per_hour = 3600 // interval_s
    one = block(
        truth(channel)[None, first:first + count], first=FIRST_HOUR * per_hour + first, eui=[channel + 1], record=1,
        register=[REGISTER[channel, first * (interval_s // 900)] % 2**32], interval_s=interval_s,
    )
    found = decode(encode(BatchRecord.of(attrs.evolve(one, received=first + 1), np.array([channel + 250]))))
    assert isinstance(found, BatchRecord)
    return found


@settings(max_examples=40, deadline=None)
@given(deliveries(), st.randoms(use_true_random=False))
def test_intervals_hours_and_registers_are_those_that_came(cut: list[tuple[int, int, int]], chance: object) -> None:
    """Native intervals, sums of whole hours, and registers at full hours wherever one can be worked out; all sound."""
    records = [record_of(*one) for one in cut]
    again = records + records[:2]
    chance.shuffle(again)                           # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        store = BlockStore(Path(folder))
        store.open()
        for number, record in enumerate(again, 1):
            store.merge([(Position(1, number), record)])
        conflicts = store.conflicts
        store.close()
        pool = ReadPool()
        reader = BlockReader(Path(folder), pool, SlotBook())
        slots = np.arange(len(LENGTHS)) + 250
        hourly = reader.read(slots, FIRST_HOUR, HOURS).counts
        native = [
            reader.read_intervals(slots[[one]], FIRST_HOUR * 3600 // length, HOURS * 3600 // length, length).counts[0]
            for one, length in enumerate(LENGTHS)
        ]
        registers = [reader.register(slots, FIRST_HOUR + hour) for hour in range(HOURS)]
        pool.close()
        assert verify(Path(folder)).ok
    assert conflicts == 0
    for channel, length in enumerate(LENGTHS):
        held = np.zeros(len(truth(channel)), bool)
        known = np.zeros(HOURS * 4 + 1, bool)       # registers, by quarter
        for one, first, count in cut:
            if one == channel:
                held[first:first + count] = True
                known[first * (length // 900)] = True
        expected = np.where(held, truth(channel), MISSING)
        assert native[channel].tolist() == expected.tolist()
        whole, sums = held.reshape(HOURS, -1).all(axis=1), QUARTERS[channel].reshape(HOURS, 4).sum(axis=1)
        assert hourly[channel].tolist() == np.where(whole, sums, MISSING).tolist()
        quarters = np.repeat(held, length // 900)
        for hour in range(HOURS):
            place = hour * 4
            while place >= 0 and not known[place]:
                place -= 1
                if place >= 0 and not quarters[place]:
                    place = -1
            want = REGISTER[channel, hour * 4] % 2**32 if place >= 0 else MISSING
            assert registers[hour][channel] == want, (channel, hour)
