"""Which registers to ask for in one request: as few blocks as the device's limits allow."""

from collections.abc import Sequence

import attrs

from scada.drivers.modbus.template import Point, Register


@attrs.frozen
class Block:
    """A run of registers read in one request."""

    register: Register
    address: int
    count: int

    @property
    def end(self) -> int:
        return self.address + self.count

    def holds(self, point: Point) -> bool:
        return (
            self.register is point.register
            and self.address <= point.address
            and point.address + point.width <= self.end
        )


def plan(points: Sequence[Point], max_registers: int, max_gap: int) -> tuple[Block, ...]:
    """
    Return the blocks that cover every point, in order of table and address.

    Parameters
    ----------
    points
        What is wanted, in any order; overlapping points share registers.
    max_registers
        Longest block. [registers]
    max_gap
        Longest run of unwanted registers inside a block; 0 where a device refuses undefined registers. [registers]
    """
    blocks: list[Block] = []
    for point in sorted(points, key=lambda point: (point.register, point.address)):
        if blocks and blocks[-1].register is point.register:
            last = blocks[-1]
            end = max(last.end, point.address + point.width)
            if point.address - last.end <= max_gap and end - last.address <= max_registers:
                blocks[-1] = attrs.evolve(last, count=end - last.address)
                continue
        blocks.append(Block(point.register, point.address, point.width))
    return tuple(blocks)
