"""When a meter is worth verifying or replacing: what running it loses against what replacing it costs (C8).

A meter loses by failures that nobody notices and by drift. The loss of a year grows with age; a replacement costs
once. The mean yearly cost of meters that are replaced at age T is (cost + losses up to T) / T; its least value is
what a meter may lose in a year: a meter that is expected to lose more should be replaced now. This is replacement at
the age of least mean cost, the classical policy of reliability theory; the reading of the brief, replace when what it
has lost equals the cost, is given beside it.
"""

import attrs
import numpy as np
from attrs.validators import ge, gt, le
from numpy.typing import NDArray

from scada.balancing.suspects.failures import STEP, FailureCurve


@attrs.frozen
class Terms:
    """What the reckoning rests on."""

    tariff: float = attrs.field(validator=ge(0))                       # [money/kWh or money/m3]
    cost: float = attrs.field(validator=gt(0))                         # verifying and replacing one meter [money]
    curve: FailureCurve = attrs.field(factory=FailureCurve.bathtub)
    lost: float = attrs.field(default=0.4, validator=[ge(0), le(1)])   # share that a failed meter does not register [1]
    noticed: float = attrs.field(default=0.2, validator=ge(0))         # chance a year that a failure is noticed [1/a]
    drift: float = attrs.field(default=0.0005, validator=ge(0))        # share lost more with each year [1/a]
    longest: float = attrs.field(default=40.0, validator=gt(1))        # age that is looked at [a]


@attrs.frozen(eq=False)
class Recalibration:
    """Of n meters. Money of the terms."""

    loss: NDArray[np.float64]               # (n,) expected in the next year [money/a]
    bearable: NDArray[np.float64]           # (n,) least mean yearly cost of a meter in this place [money/a]
    gain: NDArray[np.float64]               # (n,) a year, of replacing now: loss - bearable [money/a]
    interval: NDArray[np.float64]           # (n,) age of least mean cost [a]; the longest age if there is none before
    paid: NDArray[np.float64]               # (n,) age at which it has lost what replacing costs [a]; inf if never
    order: NDArray[np.intp]                 # (n,) meters by gain, the largest first


def recalibration(
    yearly: NDArray[np.float64], age: NDArray[np.float64], terms: Terms, factor: NDArray[np.float64] | None = None
) -> Recalibration:
    """
    Return whom to replace, and when.

    Parameters
    ----------
    yearly : ndarray of float64, shape (n,)
        What passes each meter in a year. [kWh or m3]
    age : ndarray of float64, shape (n,)
        Since it was made or last verified. [a]
    terms : Terms
    factor : ndarray of float64, shape (n,), optional
        Way 1's k of a meter that is known to lose; NaN where nothing is known. Missing over registered. [1]

    Raises
    ------
    ValueError
        If a quantity or an age is negative or not a number.
    """
    wrong = np.flatnonzero(~((yearly >= 0) & (age >= 0) & np.isfinite(yearly) & np.isfinite(age)))
    if len(wrong):
        raise ValueError(f"meters {wrong[:10].tolist()}: yearly quantity and age from 0 expected")
    months, failed = terms.curve.failed(terms.noticed, terms.longest + 1.0)
    share = terms.lost * failed + terms.drift * months                         # of what passes, at each age
    behind = np.concatenate([[0.0], np.cumsum(0.5 * (share[1:] + share[:-1]) * STEP)])
    next_year = np.interp(age + 1.0, months, behind, right=np.nan) - np.interp(age, months, behind, right=np.nan)
    next_year = np.where(np.isfinite(next_year), next_year, share[-1])
    worth = yearly * terms.tariff
    loss = worth * next_year
    if factor is not None:
        loss = np.where(np.isfinite(factor), worth * np.maximum(factor, 0.0), loss)

    need = np.divide(terms.cost, worth, out=np.full(len(worth), np.inf), where=worth > 0)
    interval = _interval(need, months, behind, terms.longest)
    bearable = (terms.cost + worth * np.interp(interval, months, behind)) / interval
    paid = np.interp(need, behind, months, right=np.inf)
    gain = loss - bearable
    return Recalibration(loss, bearable, gain, interval, paid, np.argsort(-gain, kind="stable"))


def _interval(
    need: NDArray[np.float64], months: NDArray[np.float64], behind: NDArray[np.float64], longest: float
) -> NDArray[np.float64]:
    """Age of least mean cost where replacing costs `need` full years of loss: nothing else matters, so a table will do."""
    table = np.geomspace(1e-4, 1e4, 801)
    grid = slice(12, round(longest / STEP) + 1)                           # nobody replaces in the first year
    best = ((table[:, None] + behind[grid]) / months[grid]).argmin(axis=1)
    logs = np.log(np.clip(need, table[0], table[-1]))
    return np.asarray(np.interp(logs, np.log(table), months[grid][best]), dtype=np.float64)
