"""Many records as few tables: whatever is put together, the store ends as if they had come one after the other."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.historian.blocks import BlockStore
from scada.historian.deliveries import deliveries
from scada.historian.journal import Position
from scada.historian.records import BatchRecord
from tests.historian.helpers import FIRST_HOUR, block

record = st.tuples(
    st.lists(st.integers(0, 5), min_size=1, max_size=4),        # channels, perhaps one of them twice
    st.integers(0, 30),                                         # first hour
    st.sampled_from([1, 2, 24, 30]),                            # hours
    st.integers(0, 3),                                          # what is counted
)


def records_of(book, wanted):
    found = []
    for number, (channels, first, hours, value) in enumerate(wanted, start=1):
        eui = np.array(channels, dtype=np.uint64) + np.uint64(1)
        counts = np.full((len(channels), hours), value) + np.arange(hours)
        one = block(counts, record=number, first=FIRST_HOUR + first, eui=eui, register=np.full(len(channels), 7))
        found.append(BatchRecord.of(one, book.allot(1, one.eui, one.channel)))
    return found


def content(batches):
    """Everything a store holds after some merges, conflicts included."""
    with TemporaryDirectory() as folder:
        store = BlockStore(Path(folder))
        store.open()
        number = 0
        for wanted in batches:
            items = []
            for one in records_of(store.book, wanted):
                number += 1
                items.append((Position(1, number), one))
            store.merge(items)
        held = {key: (dense.counts.copy(), dense.registers.copy()) for key, dense in store._cache.items()}
        conflicts = store.conflicts
        store.close()
    return held, conflicts


@settings(max_examples=60, deadline=None)
@given(st.lists(record, min_size=1, max_size=8))
def test_one_merge_of_many_records_is_many_merges_of_one(wanted):
    """Pulses, registers and the number of conflicts; overlaps, repeats and days that follow each other included."""
    together, alone = content([wanted]), content([[one] for one in wanted])

    assert together[0].keys() == alone[0].keys()
    for key, (counts, registers) in together[0].items():
        np.testing.assert_array_equal(counts, alone[0][key][0])
        np.testing.assert_array_equal(registers, alone[0][key][1])
    assert together[1] == alone[1]


def test_what_a_site_delivers_for_one_hour_is_one_table(tmp_path):
    """Thirty records of twenty channels each are entered in one go."""
    store = BlockStore(tmp_path)
    store.open()
    found = []
    for number in range(30):
        eui = np.arange(20, dtype=np.uint64) + np.uint64(1 + 20 * number)
        one = block(np.ones((20, 1)), record=number + 1, eui=eui)
        found.append(BatchRecord.of(one, store.book.allot(1, one.eui, one.channel)))
    (table,) = deliveries(found)

    assert table.counts.shape == (600, 1)
    assert (np.diff(table.slots) > 0).all()
    store.close()
