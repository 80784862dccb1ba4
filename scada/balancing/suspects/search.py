"""The search of `fused`: round by round the best explanation joins the base, in many groups at once."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.accused import DAMPED, MOST, Accused, tried
from scada.balancing.suspects.amounts import settle
from scada.balancing.suspects.columns import DAY_H, Groups
from scada.balancing.suspects.history import Change, Windows
from scada.balancing.suspects.joint import design
from scada.balancing.suspects.linear import TINY, Fit, fit
from scada.balancing.suspects.signatures import Pattern, Signatures

HONEST: Final = 0.05                    # sd of k among honest members: class, clock, place on the line
GOES_ON: Final = 4.0                    # score to be looked at
ROUNDS: Final = 8


@attrs.frozen(eq=False)
class Search:
    """What stays the same in all rounds."""

    groups: Groups
    windows: Windows
    changes: Change
    marks: Signatures
    enough: NDArray[np.bool_]               # (g,)
    loss_term: bool

    @property
    def days(self) -> NDArray[np.float64]:
        """Usable days in question, (g,)."""
        used = self.groups.usable & self.windows.recent
        return np.asarray(np.maximum(used.sum(axis=1) / DAY_H, TINY), dtype=np.float64)

    @property
    def amount(self) -> NDArray[np.float64]:
        """What coefficient 1 of a pattern explains, (g, patterns, n). [kWh or m3 a day]"""
        steady = np.arange(len(Pattern)) == Pattern.STEADY
        span = np.where(steady, self.groups.usable.sum(axis=1)[:, None] / DAY_H, self.days[:, None])
        return np.asarray(self.marks.columns.sum(axis=3) / np.maximum(span, TINY)[..., None], dtype=np.float64)

    def take(self, rows: NDArray[np.intp]) -> "Search":
        """The same for some of the groups."""
        return Search(
            self.groups.take(rows), self.windows, self.changes.take(rows), self.marks.take(rows), self.enough[rows],
            self.loss_term,
        )

    def run(self, variance: NDArray[np.float64], rounds: int) -> tuple[Accused, NDArray[np.float64]]:
        """
        Return who was accused, and what is left unexplained.

        Parameters
        ----------
        variance : ndarray of float64, shape (g,)
            Of the residual to begin with.
        rounds : int
            With one round nobody is accused yet: `running` says which groups are worth more.

        Returns
        -------
        accused : Accused
        residual : ndarray of float64, shape (g, h)
            [kWh or m3]
        """
        columns, weight = design(self.groups, self.loss_term)
        base = columns.shape[1]
        marks, amount, taps = self.marks, self.amount, self._taps()
        count, _, wide, hours = marks.columns.shape
        candidates = marks.columns.reshape(count, -1, hours)
        possible = marks.possible & self.enough[:, None, None]
        accused, row = Accused.nobody(count, wide), np.arange(count)
        accused.running &= self.enough
        solved = self._honest(columns, weight, variance)
        for round_ in range(rounds):
            coefficient, error = (part.reshape(amount.shape) for part in solved.trial(candidates))
            best = accused.look(tried(coefficient, error, amount, self.changes, marks, possible))
            member = accused.score[row, best]
            tap_coefficient, tap_error = solved.trial(taps)
            tap_t = np.maximum(tap_coefficient / tap_error, 0.0)
            shape = tap_t.argmax(axis=1)
            tap = np.where(accused.tap > 0, -np.inf, np.minimum(DAMPED * 0.5 * tap_t[row, shape] ** 2, MOST))
            accused.running &= np.maximum(member, tap) >= GOES_ON
            if rounds == 1 or not accused.running.any():
                break
            is_tap = accused.running & (tap > member)
            accused.accuse(accused.running & ~is_tap, best, round_, tap)
            rate = tap_coefficient[row, shape] * taps[row, shape].sum(axis=1) / self.days
            accused.tap = np.where(is_tap, rate, accused.tap)
            joins = np.where(is_tap[:, None], taps[row, shape], marks.columns[row, accused.pattern[row, best], best])
            columns = np.concatenate([columns, np.where(accused.running[:, None], joins, 0.0)[:, None]], axis=1)
            solved = self._honest(columns, weight, solved.variance)
        settle(accused, solved, amount, base, self.changes, self.groups.usable, self.windows.recent)
        return accused, solved.residual

    def _honest(self, columns: NDArray[np.float64], weight: NDArray[np.float64], variance: NDArray[np.float64]) -> Fit:
        """The base and who has been accused: members are held near zero, what was accused is free."""
        wide = self.groups.real.shape[1]
        precision = np.full(columns.shape[:2], 1e-6)       # a column that is still empty must not be singular
        precision[:, :wide] = np.maximum(variance, TINY)[:, None] / HONEST**2
        used = self.groups.usable.sum(axis=1)
        free = used - 0.8 * self.groups.real.sum(axis=1) - 2.0                 # members near zero cost less than one each
        return fit(columns, self.groups.imbalance, weight, precision, free)

    def _taps(self) -> NDArray[np.float64]:
        """Connections without a meter, since lately: one that lives like the group, and one that is constant, (g, 2, h)."""
        recent = self.groups.usable & self.windows.recent
        together = self.changes.forecast.sum(axis=1)
        mean = np.maximum(np.abs(together).mean(axis=1, keepdims=True), TINY)
        return np.stack([np.where(recent, together / mean, 0.0), np.where(recent, 1.0, 0.0)], axis=1)
