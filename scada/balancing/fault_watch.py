"""Faults of the inner network as they happen: `safety` and `arcing` for all meters at once, reading by reading. Pure.

A sign becomes a fault when it was seen in two readings at least and for some seconds, and is over when it was not seen for
longer. A reading that is missing or not good says nothing: what held goes on holding, what was beginning begins anew.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.arcing import IN_SERIES, STEP, TURNS, WINDOW_S
from scada.balancing.findings import LEAST_SAMPLES, NOMINAL, Fault
from scada.balancing.safety import BAND, GONE, INTACT, OTHERS, SHIFTED, star_point
from scada.clock import NS

FAULTS: Final = (Fault.BROKEN_NEUTRAL, Fault.LOST_PHASE, Fault.HIGH_VOLTAGE, Fault.LOW_VOLTAGE, Fault.ARCING)     # columns
BEGINS_NS: Final = np.array([10, 5, 60, 60, 0]) * NS        # seen for so long: a motor's start is over by then
ENDS_NS: Final = np.array([60, 30, 60, 60, 600]) * NS       # not seen for so long: an arc pauses
GAP_NS: Final = 120 * NS                # readings farther apart do not tell what was between them
ARC_GAP_NS: Final = 5 * NS              # `arcing` wants them this near
FALLS: Final = 0.1                      # of the current, with the voltage: less is the noise of other loads
SLOTS: Final = int(WINDOW_S)


def signs(voltage: NDArray[np.float64], nominal: float = NOMINAL) -> NDArray[np.bool_]:
    """
    Return which signs a reading of each meter shows.

    Parameters
    ----------
    voltage : ndarray of float64, shape (n, 3)
        Phase to neutral; NaN shows nothing. [V]
    nominal : float
        [V]

    Returns
    -------
    signs : ndarray of bool, shape (n, 4)
        Broken neutral, lost phase, high and low voltage. What one of the first two explains is not also called high or low;
        a meter without any voltage is out, and shows nothing.
    """
    share = voltage / nominal
    shift, radius = star_point(voltage)
    gone, usual = share < GONE, (share >= OTHERS[0]) & (share <= OTHERS[1])
    lost = (gone | usual).all(axis=1) & gone.any(axis=1) & usual.any(axis=1)
    broken = (np.abs(radius / nominal - 1.0) <= INTACT) & (shift > SHIFTED * nominal) & (voltage.min(axis=1) > 0) & ~lost
    plain = ~(lost | broken)
    high = (share > 1.0 + BAND).any(axis=1) & plain
    low = ((share < 1.0 - BAND) & ~gone).any(axis=1) & plain
    return np.column_stack([broken, lost, high, low])


class FaultWatch:
    """The memory of n meters between their readings. `holding` (n, 5) are the faults in the order of `FAULTS`."""

    def __init__(self, holding: NDArray[np.bool_]) -> None:
        self.holding = holding.copy()
        shape = self.holding.shape
        self.since = np.zeros(shape, dtype=np.int64)        # first reading with the sign [ns]; 0: none
        self._without = np.zeros(shape, dtype=np.int64)     # first reading without
        self._seen = np.zeros(shape, dtype=np.int64)        # readings with it
        self._at = np.zeros(len(holding), dtype=np.int64)
        self._arc = _Arcs(len(holding))

    def look(
        self, voltage: NDArray[np.float64], current: NDArray[np.float64], good: NDArray[np.bool_], at: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """
        Take one reading of every meter; returns which faults hold now, (n, 5).

        Parameters
        ----------
        voltage, current : ndarray of float64, shape (n, 3)
            Phase to neutral, and magnitudes; without currents (NaN) nothing is said of arcing. [V], [A]
        good : ndarray of bool, shape (n,)
            Whether the voltages can be believed.
        at : ndarray of int64, shape (n,)
            Time of the reading; one that is no newer than the last says nothing. [ns]
        """
        says = good & ~np.isnan(voltage).any(axis=1) & (at > self._at)
        torn = says & (at - self._at > GAP_NS)
        self.since[torn] = self._without[torn] = self._seen[torn] = 0
        near = says & (at - self._at <= ARC_GAP_NS)
        seen = np.column_stack([signs(voltage), self._arc.look(voltage, current, says, near, at)])
        with_it, without = says[:, None] & seen, says[:, None] & ~seen
        instant = np.broadcast_to(at[:, None], seen.shape)
        # A fault that holds keeps its beginning through readings without it, until it is over.
        self.since = np.where(with_it & (self.since == 0), instant, self.since)
        self._seen = np.where(with_it, self._seen + 1, np.where(without & ~self.holding, 0, self._seen))
        self._without = np.where(with_it, 0, np.where(without & (self._without == 0), instant, self._without))
        self.since = np.where(without & ~self.holding, 0, self.since)
        least = np.where(BEGINS_NS > 0, LEAST_SAMPLES, 1)
        begins = with_it & (instant - self.since >= BEGINS_NS) & (self._seen >= least)
        ends = without & self.holding & (instant - self._without >= ENDS_NS)
        self.holding = (self.holding | begins) & ~ends
        self.since = np.where(ends, 0, self.since)
        self._at = np.where(says, at, self._at)
        return self.holding


class _Arcs:
    """Changes of direction of each phase in the last minute, a slot a second."""

    def __init__(self, size: int) -> None:
        self._voltage = np.full((size, 3), np.nan)
        self._current = np.full((size, 3), np.nan)
        self._sign = np.zeros((size, 3))
        self._counts = np.zeros((3, SLOTS, size, 3), dtype=np.uint8)       # turns, falls, falls with the current
        self._second = 0

    def look(
        self, voltage: NDArray[np.float64], current: NDArray[np.float64], says: NDArray[np.bool_],
        near: NDArray[np.bool_], at: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Which meters show an arc on any phase, (n,)."""
        second = max(int(at.max(initial=0)) // NS, self._second)
        passed = min(second - self._second, SLOTS)
        self._counts[:, (second - np.arange(passed)) % SLOTS] = 0
        self._second = second
        step = np.where(near[:, None], voltage - self._voltage, 0.0)
        large = np.abs(np.nan_to_num(step)) > STEP * NOMINAL
        sign = np.sign(step)
        turn = large & (self._sign * sign < 0)
        change = current - self._current
        fall = large & (step < 0) & ~np.isnan(change)
        slot = self._counts[:, second % SLOTS]
        slot += np.stack([turn, fall, fall & (change < -FALLS * np.abs(self._current))]).astype(np.uint8)
        self._sign = np.where(large, sign, np.where((says & ~near)[:, None], 0.0, self._sign))
        self._voltage = np.where(says[:, None], voltage, self._voltage)
        self._current = np.where(says[:, None], current, self._current)
        turns, falls, with_current = self._counts.sum(axis=1, dtype=np.int64)
        arc = (turns >= TURNS) & (falls > 0) & (with_current >= IN_SERIES * falls)
        return np.asarray(arc.any(axis=1))
