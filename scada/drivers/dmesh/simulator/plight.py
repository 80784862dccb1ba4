"""What is wrong with a subnet at present: modules that are away, pulses that are not true, a clock that is lost.

Pure. A healthy subnet has an empty one. Faults write into it, `ConcentratorState` asks it.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.intervals import MISSING, IntervalStatus

WRAP: Final = 2**32
Ints = NDArray[np.int64]
Rows = tuple[Ints, Ints, NDArray[np.uint8]]     # registers, pulses, status


@attrs.define
class Meter:
    """
    A fault of one pulse input. It stays for ever, because a register that once went wrong stays wrong; `active` says
    whether it still counts wrongly.
    """

    index: int
    channel: int = 0
    factor: float = 1.0                     # pulses that the module counts for each that the meter gives
    status: int = 0                         # `IntervalStatus` it notices
    hole: bool = False                      # it has no record of the hour
    late: float = 0.0                       # share of the pulses that it puts into the next hour
    active: bool = True
    offset: int = 0                         # of its register against the meter's
    register: int | None = None             # what the register becomes at the next hour
    _carried: int = 0

    def bend(self, index: Ints, channel: NDArray[np.uint8], rows: Rows) -> Rows:
        register, pulses, status = rows
        found = np.flatnonzero((index == self.index) & (channel == self.channel))
        if not found.size:
            return rows
        row = int(found[0])
        register, pulses, status = register.copy(), pulses.copy(), status.copy()
        true = int(pulses[row])
        if self.register is not None:
            self.offset, self.register = self.register - int(register[row]), None
        register[row] = (int(register[row]) + self.offset) % WRAP
        counted, carried = true, 0
        if self.active:
            counted = int(true * self.factor)
            carried = int(counted * self.late)
            status[row] |= self.status
        counted += self._carried - carried
        self._carried = carried
        self.offset += counted - true
        pulses[row] = MISSING if self.active and self.hole else counted
        return register, pulses, status


@attrs.define(eq=False)
class Plight:
    """All that is wrong with one subnet."""

    away: set[int] = attrs.field(factory=set)           # cannot be reached
    welded: set[int] = attrs.field(factory=set)         # contact does not open
    jammed: set[int] = attrs.field(factory=set)         # the drive runs and the load, or the valve, does not move
    bypassed: set[int] = attrs.field(factory=set)       # the whole supply goes on past what switches it
    meters: list[Meter] = attrs.field(factory=list)
    twins: dict[int, int] = attrs.field(factory=dict)   # index -> EUI that it calls itself
    clock_lost: float = 0.0                             # s that the concentrator's clock is behind
    busy: int = 0                                       # ARCH_READs that it has no time for
    repeats: set[int] = attrs.field(factory=set)        # modules that deliver the next hour twice, once as the one before

    def bend(self, index: Ints, channel: NDArray[np.uint8], rows: Rows) -> Rows:
        for meter in self.meters:
            rows = meter.bend(index, channel, rows)
        return rows


MISDATED: Final = np.uint8(IntervalStatus.CLOCK_INVALID)
