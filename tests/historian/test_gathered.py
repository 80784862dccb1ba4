"""Many channels read at once say what each says by itself."""

from pathlib import Path

import numpy as np
import pytest

from scada.historian.blocks import BlockStore
from scada.historian.database import ReadPool
from scada.historian.journal import Position
from scada.historian.reader import BlockReader
from scada.historian.records import BatchRecord
from scada.historian.slots import SlotBook
from scada.intervals import MISSING
from tests.historian.helpers import FIRST_HOUR, block

HOURS = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Channels in six blocks of the store, hours and quarters, with status bits and holes."""
    chance = np.random.default_rng(9)
    records = []
    for number in range(12):
        slots = np.sort(chance.choice(6 * 256, 40, replace=False))
        interval_s = 900 if number % 3 == 2 else 3600
        per_hour = 3600 // interval_s
        counts = chance.integers(0, 900, (40, 30 * per_hour))
        counts[chance.random(counts.shape) < 0.1] = MISSING
        made = block(
            counts, first=(FIRST_HOUR + int(chance.integers(0, 30))) * per_hour, eui=slots + 1, interval_s=interval_s,
            status=np.where(chance.random(counts.shape) < 0.05, 4, 0), record=number + 1,
        )
        records.append(BatchRecord.of(made, slots))
    store = BlockStore(tmp_path)
    store.open()
    store.merge([(Position(1, number), record) for number, record in enumerate(records, 1)])
    store.close()
    return tmp_path


def test_all_at_once_is_the_same_as_one_by_one(folder: Path) -> None:
    """In any order, also a channel twice and one nobody knows."""
    pool = ReadPool()
    reader = BlockReader(folder, pool, SlotBook())
    slots = np.random.default_rng(1).integers(-1, 6 * 256, 500)
    slots[:3] = 700, 700, -1
    every = reader.read(slots, FIRST_HOUR - 2, HOURS + 4)
    for line, slot in enumerate(slots.tolist()):
        alone = reader.read(np.array([slot]), FIRST_HOUR - 2, HOURS + 4)
        assert every.counts[line].tolist() == alone.counts[0].tolist()
        assert every.status[line].tolist() == alone.status[0].tolist()
    known = (every.counts != MISSING).sum()
    pool.close()

    assert known > 1000
    assert every.status.any()
    assert (every.counts[2] == MISSING).all()
