"""Slots of a folder another process writes: one by one and all together say the same, and new ones are seen."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scada.historian.database import ReadPool
from scada.historian.offline import ClosedHistory
from scada.historian.slots_stored import FEW, StoredSlots

N = 3 * FEW
EUI = np.uint64(0xF0124B0000000001) + np.arange(N, dtype=np.uint64)      # beyond what SQLite's integers hold without a sign
CHANNEL = (np.arange(N) % 3).astype(np.uint8)


@pytest.fixture
def pool() -> Iterator[ReadPool]:
    made = ReadPool()
    yield made
    made.close()


def enter(directory: Path, chosen: slice) -> np.ndarray:
    with ClosedHistory(directory) as history:
        return history.whole().slots(np.full(len(EUI[chosen]), 0xC0FFEE01), EUI[chosen], CHANNEL[chosen])


def test_few_and_many_are_found_alike(tmp_path: Path, pool: ReadPool) -> None:
    """Also channels that are not there, in any order."""
    slots = enter(tmp_path, slice(N))
    order = np.random.default_rng(3).permutation(N)[:FEW - 1]
    few, many = StoredSlots(tmp_path, pool), StoredSlots(tmp_path, pool)
    strange = few.find(EUI[:2], CHANNEL[:2] + 7)

    assert np.array_equal(few.find(EUI[order], CHANNEL[order]), slots[order])
    assert np.array_equal(many.find(EUI, CHANNEL), slots)
    assert np.array_equal(many.find(EUI[order], CHANNEL[order]), slots[order])
    assert strange.tolist() == [-1, -1]
    assert np.array_equal(few.channels(slots)[0], EUI)


def test_what_is_new_is_seen_and_nothing_is_there_before(tmp_path: Path, pool: ReadPool) -> None:
    """By one that asked for few, and by one that has read all."""
    few, many = StoredSlots(tmp_path, pool), StoredSlots(tmp_path, pool)
    assert few.find(EUI[:2], CHANNEL[:2]).tolist() == [-1, -1]
    assert many.bound == 0
    first = enter(tmp_path, slice(FEW))
    assert many.find(EUI[:FEW], CHANNEL[:FEW]).tolist() == first.tolist()
    later = enter(tmp_path, slice(FEW, FEW + 2))

    assert few.find(EUI[FEW:FEW + 2], CHANNEL[FEW:FEW + 2]).tolist() == later.tolist()
    assert many.find(EUI[FEW:FEW + 2], CHANNEL[FEW:FEW + 2]).tolist() == later.tolist()
    assert many.bound > int(later.max())
