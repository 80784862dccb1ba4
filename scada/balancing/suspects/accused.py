"""The state of a search for suspects: who was accused in which round, and what speaks against everybody."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.history import Change, unlikely
from scada.balancing.suspects.signatures import Pattern, Signatures

DAMPED: Final = 0.35                    # of the balance's log-likelihood: errors of neighbouring hours are alike
MOST: Final = 35.0                      # that the balance can say for one member
OWN: Final = 1.5                        # weight of its own change
MOST_OWN: Final = 20.0
LONG: Final = 2.0                       # against a theft that was always there: its own past cannot speak
SMALL: Final = 3.0                      # against what is too little to matter


@attrs.frozen(eq=False)
class Tried:
    """All members with all patterns, as the next one."""

    balance: NDArray[np.float64]            # (g, patterns, n) log-odds from the balance
    own: NDArray[np.float64]                # (g, patterns, n) from its own change and traces, and against the improbable
    rate: NDArray[np.float64]               # (g, patterns, n) explained a day in question [kWh or m3 a day]
    error: NDArray[np.float64]              # (g, patterns, n) its standard error
    possible: NDArray[np.bool_]             # (g, patterns, n)


def tried(
    coefficient: NDArray[np.float64],
    error: NDArray[np.float64],
    amount: NDArray[np.float64],
    changes: Change,
    marks: Signatures,
    possible: NDArray[np.bool_],
) -> Tried:
    """
    Return what speaks for each member and pattern.

    Parameters
    ----------
    coefficient, error : ndarray of float64, shape (g, patterns, n)
        As if that column alone joined the base.
    amount : ndarray of float64, shape (g, patterns, n)
        What coefficient 1 explains. [kWh or m3 a day]
    changes, marks : Change, Signatures
    possible : ndarray of bool, shape (g, patterns, n)
    """
    t = coefficient / error
    rate = coefficient * amount
    floor = changes.quiet[:, None, None]
    before, after, ratio, spread = (
        np.nan_to_num(values)[:, None] for values in (changes.before, changes.after, changes.ratio, changes.spread)
    )
    spread = np.maximum(spread, 1e-3)
    restored = np.log((np.maximum(after, 0.0) + np.maximum(rate, 0.0) + floor) / (np.maximum(before, 0.0) + floor))
    own = OWN * np.minimum(unlikely(restored, spread) - unlikely(ratio, spread), MOST_OWN)
    steady = np.arange(len(Pattern))[:, None] == Pattern.STEADY
    own = np.where(steady, -LONG, own) + marks.trace
    own = own - SMALL * (rate < 0.10 * after + 0.5 * floor)
    balance = np.minimum(DAMPED * 0.5 * np.sign(t) * t**2, MOST)
    return Tried(balance, own, rate, error * np.abs(amount), possible)


@attrs.define(eq=False)
class Accused:
    """Grows by one member of each group that goes on, a round."""

    score: NDArray[np.float64]              # (g, n) as last tried, or when accused
    margin: NDArray[np.float64]             # (g, n) over a connection without a meter, when accused
    place: NDArray[np.int64]                # (g, n) round; -1
    pattern: NDArray[np.int64]              # (g, n)
    rate: NDArray[np.float64]               # (g, n)
    error: NDArray[np.float64]              # (g, n)
    balance: NDArray[np.float64]            # (g, n)
    own: NDArray[np.float64]                # (g, n)
    tap: NDArray[np.float64]                # (g,) [kWh or m3 a day]
    running: NDArray[np.bool_]              # (g,)

    @classmethod
    def nobody(cls, groups: int, members: int) -> "Accused":
        shape = (groups, members)
        real = (np.zeros(shape) for _ in range(6))
        score, margin, rate, error, balance, own = real
        return cls(
            score, margin, np.full(shape, -1), np.zeros(shape, np.int64), rate, error, balance, own,
            np.zeros(groups), np.ones(groups, np.bool_),
        )

    def put(self, rows: NDArray[np.intp], other: "Accused") -> None:
        """Take over what was found of some groups."""
        for field in attrs.fields(Accused):
            getattr(self, field.name)[rows] = getattr(other, field.name)

    def look(self, trial: Tried) -> NDArray[np.intp]:
        """Take the best pattern of all members not yet accused, where a group still runs; return its best member, (g,)."""
        total = np.where(trial.possible, trial.balance + trial.own, -np.inf)
        pattern = total.argmax(axis=1)
        at = pattern[:, None]

        def best(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.take_along_axis(values, at, axis=1)[:, 0]

        score = np.where(np.isfinite(best(total)), best(total), -1e3)
        free = self.running[:, None] & (self.place < 0)
        self.score[free], self.pattern[free] = score[free], pattern[free]
        for name in ("rate", "error", "balance", "own"):
            getattr(self, name)[free] = best(getattr(trial, name))[free]
        return np.asarray(np.where(self.place < 0, score, -np.inf).argmax(axis=1), dtype=np.intp)

    def accuse(self, which: NDArray[np.bool_], member: NDArray[np.intp], round_: int, tap: NDArray[np.float64]) -> None:
        """Accuse `member` of the groups `which`, where a connection without a meter would have scored `tap`."""
        row = np.flatnonzero(which)
        self.place[row, member[row]] = round_
        self.margin[row, member[row]] = self.score[row, member[row]] - np.where(np.isfinite(tap[row]), tap[row], 0.0)
