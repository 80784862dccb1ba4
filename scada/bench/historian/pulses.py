"""Pulses of a city's meters, as they look to a compressor: made once, repeated in another order."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian.dense import SLOTS
from scada.historian.whole_rows import WholeDay

FIRST_HOUR: Final = 490_896             # 2026-01-01T00:00Z
FIRST_DAY: Final = FIRST_HOUR // 24
POOL: Final = 128                       # different blocks
LINK: Final = 0xBE000001
FIRST_EUI: Final = 0x00124B0000000001


@attrs.frozen(eq=False)
class Pulses:
    """`counts` (p, 256, 24): a thousand pulses a kWh, lognormal consumption, two peaks a day, noise of its own."""

    counts: NDArray[np.int64]
    registers: NDArray[np.int64]        # (p, 256)

    @classmethod
    def make(cls, seed: int = 1, size: int = POOL) -> "Pulses":
        rng = np.random.default_rng(seed)
        hours = np.arange(24)
        shape = 0.6 + 0.5 * np.exp(-((hours - 8) / 2.5) ** 2) + 0.9 * np.exp(-((hours - 20) / 3.0) ** 2)
        mean = rng.lognormal(5.5, 0.8, (size, SLOTS, 1))
        return cls(rng.poisson(mean * shape).astype(np.int64), rng.integers(0, 2**31, (size, SLOTS)))

    def pick(self, day: int, numbers: NDArray[np.int64]) -> NDArray[np.intp]:
        """Which of the pool each block is on a day."""
        return (numbers * 31 + day * 57) % len(self.counts)

    def day(self, day: int, numbers: NDArray[np.int64]) -> WholeDay:
        which = self.pick(day, numbers)
        return WholeDay(day, numbers, self.counts[which], self.registers[which])

    def of(self, slots: NDArray[np.int64], first_day: int, days: int) -> NDArray[np.int64]:
        """(n, 24 x days) of channels."""
        parts = [self.counts[self.pick(day, slots // SLOTS), slots % SLOTS] for day in range(first_day, first_day + days)]
        return np.concatenate(parts, axis=1)


def euis(meters: int) -> NDArray[np.uint64]:
    return np.uint64(FIRST_EUI) + np.arange(meters, dtype=np.uint64)
