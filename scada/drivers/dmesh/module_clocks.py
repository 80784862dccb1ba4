"""How far the clocks of one subnet's modules are off, and how fast they run away, from LINK_STATS. Pure arrays.

The offset is against the concentrator's clock, positive where the module's is ahead. The rate is the median of the last
`SLOPES` slopes, so that one jump (the concentrator set it right) does not show as drift.
"""

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.drivers.dmesh.messages import LinkStat
from scada.drivers.dmesh.numbers import MAX_MODULES

SIZE: Final = MAX_MODULES + 1           # arrays by subnet index
SLOPES: Final = 3
LEAST_APART_S: Final = 600              # between two reports that make a slope
PPM: Final = 1e6


@attrs.frozen(eq=False)
class Tolerance:
    """From where on a clock is wrong."""

    offset_s: float
    drift_ppm: float


class ModuleClocks:
    """By subnet index; NaN where nothing is known."""

    def __init__(self) -> None:
        self.offset = np.full(SIZE, np.nan, dtype=np.float32)           # s
        self.heard = np.zeros(SIZE, dtype=np.int64)                     # s since 1970
        self._slopes = np.full((SLOPES, SIZE), np.nan, dtype=np.float32)     # ppm, newest last
        self.euis = np.zeros(SIZE, dtype=np.uint64)                     # whose index it is; 0: not told yet
        self._drift: NDArray[np.float64] | None = None                  # looked at far more often than told

    def follow(self, euis: NDArray[np.uint64]) -> None:
        """The module list as it is now; what was known of an index's owner before is forgotten."""
        if euis is not self.euis:
            others = (self.euis != euis) & (self.euis != 0)
            self.offset[others], self.heard[others] = np.nan, 0
            self._slopes[:, others] = np.nan
            self.euis, self._drift = euis, None

    def take(self, stats: Sequence[LinkStat]) -> None:
        """One page of LINK_STATS."""
        index = np.array([one.index for one in stats], dtype=np.int64)
        offset = np.array([one.clock_offset_ms for one in stats], dtype=np.float64) / 1000
        heard = np.array([one.heard for one in stats], dtype=np.int64)
        apart = heard - self.heard[index]
        first = np.isnan(self.offset[index])
        enough = ~first & (apart >= LEAST_APART_S)
        rows = index[enough]
        self._slopes[:-1, rows] = self._slopes[1:, rows]
        self._slopes[-1, rows] = PPM * (offset[enough] - self.offset[rows]) / apart[enough]
        self._drift = None
        news = first | enough
        self.offset[index[news]], self.heard[index[news]] = offset[news], heard[news]

    @property
    def drift(self) -> NDArray[np.float64]:
        """Rates, not to be written to; NaN for a module with fewer than two slopes. [ppm]"""
        if self._drift is None:
            known = np.isfinite(self._slopes).sum(axis=0) >= 2
            self._drift = np.full(SIZE, np.nan)
            self._drift[known] = np.nanmedian(self._slopes[:, known], axis=0)
            self._drift.flags.writeable = False
        return self._drift

    def beyond(self, tolerance: Tolerance) -> NDArray[np.bool_]:
        """Which are wrong: too far off, or running away too fast."""
        found: NDArray[np.bool_] = (np.abs(self.offset) > tolerance.offset_s) | (np.abs(self.drift) > tolerance.drift_ppm)
        return found

    def worst(self, tolerance: Tolerance, most: int) -> NDArray[np.int64]:
        """Indices of the modules that are worst, measured by what is allowed; those not known are left out."""
        share = np.fmax(np.abs(self.offset) / tolerance.offset_s, np.abs(self.drift) / tolerance.drift_ppm)
        order = np.argsort(-np.nan_to_num(share, nan=-1.0), kind="stable")
        found: NDArray[np.int64] = order[: int(np.isfinite(share).sum())][:most]
        return found
