"""Block planning: every point in one block, no block too long, as few blocks as the gaps allow."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from scada.drivers.modbus.plan import Block, plan
from scada.drivers.modbus.template import DataType, Point, Ratio, Register, WordOrder


def point(address: int, kind: DataType = DataType.FLOAT32, register: Register = Register.INPUT) -> Point:
    return Point(f"p{address}", register, address, kind, WordOrder.BIG, 1.0, "", "", Ratio.NONE, None, None, 1, 10.0)


one_point = st.builds(point, st.integers(0, 0xFFFF - 4), st.sampled_from(DataType), st.sampled_from(Register))


@given(st.lists(one_point, min_size=1, max_size=60), st.integers(4, 125), st.integers(0, 125))
def test_every_point_lies_in_exactly_one_block_that_is_not_too_long(
    wanted: Sequence[Point], longest: int, gap: int
) -> None:
    """Whatever the map looks like."""
    blocks = plan(wanted, longest, gap)

    assert all(sum(block.holds(one) for block in blocks) >= 1 for one in wanted)
    assert all(1 <= block.count <= longest for block in blocks)
    assert all(block.address >= 0 and block.end <= 0x10000 for block in blocks)


def test_neighbours_are_read_together_and_tables_apart() -> None:
    """Input and holding registers never share a request."""
    blocks = plan([point(0), point(2), point(2, register=Register.HOLDING)], 80, 0)

    assert set(blocks) == {Block(Register.INPUT, 0, 4), Block(Register.HOLDING, 2, 2)}


def test_a_gap_is_read_across_only_where_it_is_allowed() -> None:
    """Some devices refuse a block with an undefined register in it."""
    assert len(plan([point(0), point(10)], 80, 7)) == 2
    assert plan([point(0), point(10)], 80, 8) == (Block(Register.INPUT, 0, 12),)


def test_a_block_ends_where_the_device_gives_no_more() -> None:
    """80 registers is what the SDM630 answers at most."""
    blocks = plan([point(2 * number) for number in range(41)], 80, 0)

    assert blocks == (Block(Register.INPUT, 0, 80), Block(Register.INPUT, 80, 2))
