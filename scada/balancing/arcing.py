"""Arcing contacts: a voltage that falls and comes back again and again, with the current or against it. Pure."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.findings import NOMINAL, Fault, Finding, runs

STEP: Final = 0.02                      # of nominal: a change from sample to sample that counts
WINDOW_S: Final = 60.0
TURNS: Final = 8                        # changes of direction in the window: a compressor has two a start
IN_SERIES: Final = 0.5                  # share of the falls in which the current falls, too: below, a load switches


@attrs.frozen
class Arc:
    """A finding, and what tells an arc from a load that is switched often."""

    finding: Finding                        # `value`: changes of direction in the worst window
    depth: float                            # median fall of the voltage [V]
    with_current: float                     # share of the falls in which the current fell, too; NaN without currents [1]


def arcing(
    voltage: NDArray[np.float64], period_s: float, current: NDArray[np.float64] | None = None, nominal: float = NOMINAL,
) -> list[Arc]:
    """
    Return where a phase flickers as contacts do that arc.

    Parameters
    ----------
    voltage : ndarray of float64, shape (t, 3)
        Phase to neutral. [V]
    period_s : float
        From sample to sample, at most a few seconds: means over minutes hide an arc. [s]
    current : ndarray of float64, shape (t, 3), optional
        Magnitudes at the same place. [A]
    nominal : float
        [V]

    Returns
    -------
    arcs : list of Arc
        Of each phase, from the first to the last sample of the windows with at least `TURNS` changes of direction. Left out
        is what a load explains: the voltage falls *because* the current rises.

    Raises
    ------
    ValueError
        If samples are farther apart than five seconds.

    Notes
    -----
    A contact in series interrupts: behind it voltage and current fall together. A load that is switched draws more current
    as it pulls the voltage down. No published detector was followed; thresholds are ours, tried on generated series only,
    and meters that deliver one value a second see the slow half of an arc at best. A sensor made for it is better.
    """
    if not 0 < period_s <= 5.0:
        raise ValueError(f"arcing wants samples at most 5 s apart; found {period_s} s")
    width = max(round(WINDOW_S / period_s), 2)
    found = []
    for phase in range(3):
        step = np.diff(voltage[:, phase], prepend=voltage[:1, phase])
        large = np.abs(np.nan_to_num(step)) > STEP * nominal
        places = np.flatnonzero(large)
        turns = np.zeros(len(step))
        turns[places[1:][np.diff(np.sign(step[places])) != 0]] = 1.0
        total = np.cumsum(turns)
        inside = total - np.concatenate([np.zeros(min(width, len(total))), total[:-width]])
        for begin, last in runs(inside >= TURNS, 1):
            first = max(begin - width + 1, 0)
            falls = places[(places >= first) & (places <= last) & (step[places] < 0)]
            share = _with_current(current, phase, falls)
            if share < IN_SERIES:
                continue
            part = voltage[first:last + 1, phase]
            found.append(Arc(
                Finding(Fault.ARCING, phase, first, last, float(inside[begin:last + 1].max()), float(TURNS),
                        float(np.nanmin(part)), float(np.nanmax(part))),
                depth=float(np.median(-step[falls])) if len(falls) else np.nan, with_current=share,
            ))
    return found


def _with_current(current: NDArray[np.float64] | None, phase: int, falls: NDArray[np.intp]) -> float:
    if current is None or not len(falls):
        return np.nan
    change = current[falls, phase] - current[np.maximum(falls - 1, 0), phase]
    known = ~np.isnan(change)
    return float(np.mean(change[known] < 0)) if known.any() else np.nan
