"""Both ways together: members are accused one after the other, each as the best explanation of what is still unexplained.

The base explains the imbalance by a constant, the square of the load and honest members whose k is near zero. Every
member is tried with every pattern (`signatures`). Its score adds what the balance gains, how much less unlikely its
own change becomes if it took what it explains (way 2), and traces in its profile. The best joins the base, and all
others are tried again: one thief no longer hides behind another. A connection without a meter competes with the
members, so that nobody is accused for it unless he explains it better.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.accused import Accused
from scada.balancing.suspects.columns import DAY_H, Groups
from scada.balancing.suspects.history import Change, Windows, change
from scada.balancing.suspects.joint import Explained
from scada.balancing.suspects.search import ROUNDS, Search
from scada.balancing.suspects.signatures import signatures

NAMED: Final = 8.0                      # score to be named to people
MARGIN: Final = 2.0                     # over a connection without a meter, to be named


@attrs.frozen(eq=False)
class Ranking:
    """Scores of all members, and what those accused explain. Log-odds up to a constant."""

    score: NDArray[np.float64]              # (g, n) to rank by: accused first; NaN without enough data
    place: NDArray[np.int64]                # (g, n) round in which it was accused, from 0; -1 never
    pattern: NDArray[np.int64]              # (g, n) `Pattern` that explains best
    rate: NDArray[np.float64]               # (g, n) explained, a day in question [kWh or m3 a day]
    error: NDArray[np.float64]              # (g, n) its standard error [kWh or m3 a day]
    balance: NDArray[np.float64]            # (g, n) log-odds from the balance
    own: NDArray[np.float64]                # (g, n) log-odds from its own change and traces
    named: NDArray[np.bool_]                # (g, n) enough to be told to people
    tap: NDArray[np.float64]                # (g,) what a connection without a meter explains [kWh or m3 a day]; 0 if none
    course: NDArray[np.float64]             # (g, n, d) what an accused explains of each day, and what nobody does [kWh]
    rest: NDArray[np.float64]               # (g, d) of that, what nobody does [kWh or m3]
    changes: Change
    nothing: NDArray[np.float64]            # (g, n) as in `Signatures`


def ranking(
    groups: Groups,
    windows: Windows,
    first: Explained,
    resolution: float | NDArray[np.float64] = 0.01,
    like: NDArray[np.int64] | None = None,
    loss_term: bool | None = None,
) -> Ranking:
    """
    Return who explains what is missing in the days in question.

    Parameters
    ----------
    groups : Groups
        `windows.days` days.
    windows : Windows
    first : Explained
        Way 1 of the same groups: the noise to begin with, and which groups have enough data.
    resolution : float or ndarray of float64, shape (g, n)
        One count of the members' registers. [kWh or m3]
    like : ndarray of int64, shape (d,), optional
        As in `history.change`.
    loss_term : bool, optional
        As in `joint.explained`.

    Notes
    -----
    Valid where the days before were not all tampered with in the same way, or the tampering is in proportion
    (`Pattern.STEADY`). The constants are ours, found on the generator of tests/bench; figures in docs/performance.md
    are of other draws.
    """
    with_loss = groups.technical is None if loss_term is None else loss_term
    changes = change(groups, windows, like)
    marks = signatures(groups, changes, windows, resolution)
    search = Search(groups, windows, changes, marks, first.enough, with_loss)
    accused, residual = search.run(first.fit.variance, rounds=1)
    again = np.flatnonzero(accused.running)                # most groups are clean: the rest is for those that are not
    if len(again):
        found, rest = search.take(again).run(first.fit.variance[again], rounds=ROUNDS)
        residual[again] = rest
        accused.put(again, found)
    shown = groups.real & first.enough[:, None] & changes.enough
    is_accused = accused.place >= 0
    named = shown & is_accused & (accused.score >= NAMED) & (accused.margin >= MARGIN)
    score = np.where(shown, accused.score + 1000.0 * is_accused, np.nan)
    return Ranking(
        score, accused.place, accused.pattern, accused.rate, accused.error, accused.balance, accused.own, named,
        accused.tap, _course(accused, search, residual), residual.reshape(len(residual), -1, DAY_H).sum(axis=2), changes,
        marks.nothing,
    )


def _course(accused: Accused, search: Search, residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each accused explains day by day, with what is left unexplained: in this a beginning shows. 0 for all others."""
    count, wide = accused.place.shape
    course = np.zeros((count, wide, residual.shape[1] // DAY_H))
    group, member = np.nonzero(accused.place >= 0)
    pattern = accused.pattern[group, member]
    coefficient = accused.rate[group, member] / search.amount[group, pattern, member]
    hours = coefficient[:, None] * search.marks.columns[group, pattern, member] + residual[group]
    course[group, member] = hours.reshape(len(group), course.shape[2], DAY_H).sum(axis=2)
    return course
