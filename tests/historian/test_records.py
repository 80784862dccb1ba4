"""Journal records: what was written, by this version or an earlier one, comes back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scada.historian.records import NUMBER_MAX, BatchRecord, decode, encode
from scada.intervals import MISSING, IntervalBatch, Provenance

# One block of two channels and three hours, as version 0.1 wrote it: kind 1.
EARLIER: str = (
    "01030201000700000000000000090000000000000015cd5b0700000000907d070000000000100e000002000000030000000201"
    "0100000000d5b370020000000000000000010300000004010000e803000000000000ffffffffffffffff0100ffff2c01040005000600"
    "000400000000"
)


@st.composite
def batches(draw: st.DrawFn) -> IntervalBatch:
    """Blocks of several concentrators, of equally many intervals."""
    sizes, h = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)), draw(st.integers(1, 5))
    n, number = sum(sizes), st.integers(0, NUMBER_MAX)
    source = tuple(
        Provenance(draw(st.integers(0, 2**32 - 1)), draw(number), draw(number)) for _ in sizes
    )
    return IntervalBatch(
        np.array(sizes), draw(hnp.arrays(np.int64, len(sizes), elements=st.integers(0, 2**40))), source,
        draw(hnp.arrays(np.uint64, n)), draw(hnp.arrays(np.uint8, n)),
        draw(hnp.arrays(np.int64, (n, h), elements=st.integers(MISSING, 2**32 - 2))),
        draw(hnp.arrays(np.int64, n, elements=st.integers(MISSING, 2**32 - 1))), draw(hnp.arrays(np.uint8, (n, h))),
        draw(st.integers(0, 2**62)), draw(st.sampled_from([900, 3600])),
    )


@given(batches())
def test_a_batch_comes_back_as_it_was_written(sent: IntervalBatch) -> None:
    slots = np.arange(len(sent.eui)) * 7
    found = decode(encode(BatchRecord(sent, slots)))

    assert isinstance(found, BatchRecord)
    assert found.slots.tolist() == slots.tolist()
    assert (found.batch.provenance, found.batch.received, found.batch.interval_s) == (
        sent.provenance, sent.received, sent.interval_s
    )
    for name in ("sizes", "first", "eui", "channel", "counts", "register", "status"):
        assert np.array_equal(getattr(found.batch, name), getattr(sent, name)), name


@given(batches(), st.data())
def test_a_batch_that_is_cut_short_is_an_error_and_nothing_else(sent: IntervalBatch, data: st.DataObject) -> None:
    body = encode(BatchRecord(sent, np.arange(len(sent.eui))))
    with pytest.raises(ValueError, match=r".*"):
        decode(body[: data.draw(st.integers(1, len(body) - 1))])


def test_a_record_of_an_earlier_version_is_read() -> None:
    """A server that is upgraded after a crash still merges what its predecessor acknowledged."""
    found = decode(bytes.fromhex(EARLIER))

    assert isinstance(found, BatchRecord)
    (block,) = found.batch.blocks()
    assert block.provenance == Provenance(0x10203, 7, 9)
    assert (block.first, block.interval_s, block.received) == (490_896, 3600, 123_456_789)
    assert block.eui.tolist() == [0x70B3_D500_0000_0001, 2]
    assert block.counts.tolist() == [[1, MISSING, 300], [4, 5, 6]]
    assert block.register.tolist() == [1000, MISSING]
    assert block.status.tolist() == [[0, 4, 0], [0, 0, 0]]
    assert found.slots.tolist() == [3, 260]


def test_blocks_of_a_batch_come_out_one_by_one() -> None:
    """In order, each with its own rows."""
    batch = IntervalBatch(
        np.array([1, 2]), np.array([10, 20]), (Provenance(1, 1, 1), Provenance(2, 1, 5)), np.arange(3, dtype=np.uint64),
        np.zeros(3, np.uint8), np.arange(6).reshape(3, 2), np.arange(3), np.zeros((3, 2), np.uint8), 0,
    )
    one, other = batch.blocks()

    assert (one.first, one.counts.tolist()) == (10, [[0, 1]])
    assert (other.first, other.counts.tolist(), other.provenance.record) == (20, [[2, 3], [4, 5]], 5)
    assert batch.links.tolist() == [1, 2, 2]
    assert {first: np.arange(3)[rows].tolist() for first, rows in batch.rows_by_first()} == {10: [0], 20: [1, 2]}
