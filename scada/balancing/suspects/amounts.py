"""How much each accused took, once all are known."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.accused import Accused
from scada.balancing.suspects.columns import DAY_H
from scada.balancing.suspects.history import Change
from scada.balancing.suspects.linear import TINY, Fit
from scada.balancing.suspects.signatures import Pattern

ROUGH: Final = 0.35                     # relative sd: a pattern is not exactly what was done
PROPORTIONAL: Final = 0.2               # of one in proportion since lately: the proportion may change from hour to hour
OWN_SPREAD: Final = 1.5                 # of a usual change, over the spread of its logarithm
EXACT: Final = 0.05                     # of one in proportion, of long standing
STEP: Final = 0.005                     # of the step of the imbalance, over the last shared column (square of the load)


def settle(
    accused: Accused, solved: Fit, amount: NDArray[np.float64], base: int,
    changes: Change, usable: NDArray[np.bool_], recent: NDArray[np.bool_],
) -> None:
    """
    Set the rates of all accused, and their errors.

    First from the last regression, because when somebody was tried, others still hid behind him. A pattern follows
    what was done only roughly and so explains too little; what he lacks against his own past is the second
    measurement, and the step of the imbalance from the days before to those in question, which all accused make
    together, the third. Each corrects the others by its variance (update of normal estimates by measurements).

    Parameters
    ----------
    accused : Accused
        Is changed.
    solved : Fit
        The regression after the last round; the columns of the accused begin at `base`, in the order of their rounds.
    amount : ndarray of float64, shape (g, patterns, n)
        What coefficient 1 explains. [kWh or m3 a day]
    base : int
    changes : Change
    usable : ndarray of bool, shape (g, h)
    recent : ndarray of bool, shape (h,)
        Hours in question.
    """
    group, member = np.nonzero(accused.place >= 0)
    pattern = accused.pattern[group, member]
    column = base + accused.place[group, member]
    unit = amount[group, pattern, member]
    rate = solved.coefficient[group, column] * unit
    variance = (solved.error[group, column] * unit) ** 2
    steady = pattern == Pattern.STEADY
    variance += (np.select([steady, pattern == Pattern.FACTOR], [EXACT, PROPORTIONAL], ROUGH) * rate) ** 2
    lacks = changes.before[group, member] - changes.after[group, member]
    doubt = (OWN_SPREAD * changes.spread[group, member] * changes.before[group, member]) ** 2 + TINY
    weight = np.where(steady, 0.0, variance / (variance + doubt))
    rate = np.maximum(rate + weight * (lacks - rate), 0.0)
    variance = variance * (1.0 - weight)

    late, early = usable & recent, usable & ~recent
    step = _mean(solved.residual, late) - _mean(solved.residual, early)         # what nobody explains yet, a day
    doubtful = STEP * _mean(np.abs(solved.columns[:, base - 1]), late)
    together = np.bincount(group, variance, minlength=len(step)) + doubtful**2
    gain = variance / np.maximum(together[group], TINY)
    accused.rate[group, member] = rate + gain * step[group]
    accused.error[group, member] = np.sqrt(variance * np.maximum(1.0 - gain, 0.0))


def _mean(hourly: NDArray[np.float64], which: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(hourly.sum(axis=1, where=which) * DAY_H / np.maximum(which.sum(axis=1), 1), dtype=np.float64)
