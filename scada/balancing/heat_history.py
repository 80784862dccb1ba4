"""The heat of a transformer from the history of its load, after a start without a file or with an old one. Pure.

The paper forgets slowly: three time constants of the oil, some nine hours, are in its temperature. Who begins from nothing
takes the first load for one that has always been there, and says so until then.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.heat import Heat, stepped
from scada.ports import TagHistory
from scada.tags import BAD

REACH_NS: Final = 12 * 3600 * 10**9     # e^-(720 min / 180 min): 2 % of the oil's temperature is older than that
STEP_NS: Final = 60 * 10**9
HOLDS_NS: Final = 600 * 10**9           # a value that is left out of history has stood still for no longer


def means(history: TagHistory, edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """
    Return a tag's mean over adjoining intervals.

    Parameters
    ----------
    history : TagHistory
        Its samples, ascending; those from some time before the first edge on.
    edges : ndarray of int64, shape (k + 1,)
        [ns]

    Returns
    -------
    means : ndarray of float64, shape (k,)
        Of the good samples inside; where there is none the last sample before holds on, if it is good and not older than
        `HOLDS_NS` at the interval's end. NaN elsewhere.
    """
    good = (history.quality < BAD) & np.isfinite(history.values)
    place = np.searchsorted(history.at, edges)
    total = np.concatenate(([0.0], np.cumsum(np.where(good, history.values, 0.0))))[place]
    count = np.concatenate(([0], np.cumsum(good)))[place]
    found, many = np.diff(total), np.diff(count)
    last = place[1:] - 1
    there = (many == 0) & (last >= 0)
    held = np.full(len(found), np.nan)
    of = last[there]
    fresh = good[of] & (edges[1:][there] - history.at[of] <= HOLDS_NS)
    held[there] = np.where(fresh, history.values[of], np.nan)
    return np.where(many > 0, found / np.maximum(many, 1), held)


def replayed(
    start: Heat, phases: Sequence[TagHistory], rated: float, ambient: TagHistory | float, usual: float, first: int, now: int
) -> Heat:
    """
    Return the state of one transformer at `now`.

    Parameters
    ----------
    start : Heat
        Of one transformer, at `first` or before; all of it NaN where nothing is known.
    phases : sequence of TagHistory
        Its currents. [A]
    rated : float
        [A]
    ambient : TagHistory or float
        [°C]
    usual : float
        What is reckoned with where `ambient` is not known. [°C]
    first, now : int
        [ns]

    Notes
    -----
    Steps of a minute with the mean load of the most loaded phase; a second means little to a winding of four minutes.
    """
    edges = np.append(np.arange(first, now, STEP_NS, dtype=np.int64), now)
    amperes = np.stack([means(one, edges) for one in phases])
    load = np.abs(amperes).max(axis=0) / rated              # NaN where a phase is not known, as with live readings
    if isinstance(ambient, TagHistory):
        air = np.nan_to_num(means(ambient, edges), nan=usual)
    else:
        air = np.full(len(load), ambient)
    state = start
    known = np.flatnonzero(~np.isnan(load))
    begin = 0 if np.isfinite(start.oil[0]) else int(known[0]) if len(known) else len(load)
    for step in range(begin, len(load)):                    # minutes of some hours, of a transformer after a start
        state = stepped(state, load[step:step + 1], float(air[step]), int(edges[step + 1]))
    return state
