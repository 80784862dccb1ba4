"""Many records as few tables: whatever is put together, the store ends as if they had come one after the other."""

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.historian.blocks import BlockStore
from scada.historian.deliveries import deliveries
from scada.historian.dense import SLOTS
from scada.historian.journal import Position
from scada.historian.months import month_paths
from scada.historian.records import BatchRecord, decode, encode
from scada.intervals import IntervalBatch
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


turn = st.tuples(
    st.sampled_from([1, 2, 24, 30]),                            # hours
    st.lists(st.tuples(
        st.lists(st.integers(0, 5), min_size=1, max_size=4),    # channels, which two concentrators may share
        st.integers(0, 30),                                     # first hour
        st.integers(0, 3),                                      # what is counted
        st.integers(0, 2),                                      # status
    ), min_size=1, max_size=5),
)


def held_after(turns, *, together):
    """What a store holds after some turns, each as one batch or block by block; by way of the journal's bytes."""
    with TemporaryDirectory() as folder:
        store = BlockStore(Path(folder))
        store.open()
        items = []
        for hours, wanted in turns:
            blocks = [
                block(np.full((len(channels), hours), value) + np.arange(hours), record=number, first=FIRST_HOUR + first,
                      eui=np.array(channels) + 1, link=number, register=np.full(len(channels), value),
                      status=np.full((len(channels), hours), status))
                for number, (channels, first, value, status) in enumerate(wanted, start=1)
            ]
            for one in [joined(blocks)] if together else [IntervalBatch.of(one) for one in blocks]:
                slots = store.book.allot_many([(one.links, one.eui, one.channel)])[0]
                items.append((Position(1, len(items) + 1), decode(encode(BatchRecord(one, slots)))))
        for begin in range(0, len(items), len(items) if together else 1):
            store.merge(items[begin:] if together else items[begin:begin + 1])
        held = {key: (one.counts.copy(), one.registers.copy(), one.status.copy()) for key, one in store._cache.items()}
        outcome = held, store.conflicts, {link: store.state.cursors.reached(link, 7) for link in range(1, 6)}
        store.close()
        return *outcome, contradicted(Path(folder))


def joined(blocks):
    """Blocks of equally many hours as one batch."""
    def column(name):
        return np.concatenate([getattr(one, name) for one in blocks])

    return IntervalBatch(
        np.array([len(one.eui) for one in blocks]), np.array([one.first for one in blocks]),
        [one.provenance for one in blocks], column("eui"), column("channel"), column("counts"), column("register"),
        column("status"), 1,
    )


def contradicted(folder):
    """Slots whose registers contradict each other: which of those stay depends on what was merged in between."""
    found = set()
    for path in month_paths(folder):
        with closing(sqlite3.connect(path)) as database:
            found |= {slot for (slot,) in database.execute("SELECT slot FROM conflict WHERE kind = 'register'")}
    return found


@settings(max_examples=12, deadline=None)
@given(st.lists(turn, min_size=1, max_size=4))
def test_a_turns_records_as_one_batch_are_the_same_records_one_by_one(turns):
    """A module that two concentrators hear stands twice in a batch; the first that came stays, the other is a conflict."""
    together, singly = held_after(turns, together=True), held_after(turns, together=False)

    assert together[0].keys() == singly[0].keys()
    for key, (counts, registers, status) in together[0].items():
        others = singly[0][key]
        np.testing.assert_array_equal(counts, others[0])
        np.testing.assert_array_equal(status, others[2])
        clear = ~np.isin(key[2] * SLOTS + np.arange(SLOTS), list(together[3] | singly[3]))
        np.testing.assert_array_equal(registers[clear], others[1][clear])
    assert together[2] == singly[2]


def test_blocks_of_a_batch_that_follow_each_other_backwards_are_no_more_a_conflict_than_one_by_one():
    """Whether a register contradicts what came before depends on what came before."""
    turns = [(2, [([0], 29, 0, 0), ([0], 27, 0, 0)])]

    assert held_after(turns, together=True)[1] == held_after(turns, together=False)[1] == 0


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
