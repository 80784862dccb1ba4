"""The voltages of transformers in means of ten minutes as they pass: what the week's report is made of. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.quality import LEAST_SAMPLES, TEN_MINUTES_NS
from scada.tags import TagDef

OUTPUTS: Final = (
    TagDef("voltage_10min_l1", "V", "Voltage L1, mean of ten minutes (RMS)"),
    TagDef("voltage_10min_l2", "V", "Voltage L2, mean of ten minutes (RMS)"),
    TagDef("voltage_10min_l3", "V", "Voltage L3, mean of ten minutes (RMS)"),
)
UNBALANCE: Final = TagDef("unbalance_10min", "%", "Voltage unbalance U2/U1 of ten minutes", digits=2)
MOST_STEP_NS: Final = 5 * 10**9         # a look stands for the time since the last one, but not for more than this


class TenMinutes:
    """Sums of n transformers since the last full ten minutes of UTC; of three phases, or of k other voltages."""

    def __init__(self, size: int, voltages: int = 3) -> None:
        self.size = size
        self._squares = np.zeros((size, voltages))          # [V² ns]
        self._known = np.zeros((size, voltages))            # [ns]
        self._at = 0

    def look(
        self, voltage: NDArray[np.float64], good: NDArray[np.bool_], now: int
    ) -> tuple[int, NDArray[np.float64]] | None:
        """
        Take what is seen at `now`; returns an interval when it is over.

        Parameters
        ----------
        voltage : ndarray of float64, shape (n, k)
            [V]
        good : ndarray of bool, shape (n, k)
            Which count.
        now : int
            [ns]

        Returns
        -------
        interval : (int, ndarray of float64, shape (n, k)), optional
            Its end [ns], and root mean squares [V]; NaN where less than `LEAST_SAMPLES` of its time was seen. The interval
            in which this object was made is whole only if it was made near its beginning.
        """
        before, self._at = self._at, now
        over = None
        if before and now // TEN_MINUTES_NS != before // TEN_MINUTES_NS:
            enough = self._known >= LEAST_SAMPLES * TEN_MINUTES_NS
            mean = np.sqrt(np.where(enough, self._squares / np.maximum(self._known, 1.0), np.nan))
            over = (before // TEN_MINUTES_NS + 1) * TEN_MINUTES_NS, mean
            self._squares[:], self._known[:] = 0.0, 0.0
        step = float(np.clip(now - before, 0, MOST_STEP_NS)) if before else 0.0
        counts = good & ~np.isnan(voltage)
        self._squares += np.where(counts, np.nan_to_num(voltage) ** 2, 0.0) * step
        self._known += counts * step
        return over
