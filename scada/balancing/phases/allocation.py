"""An allocation that is changed step by step: all single changes and all exchanges of two are scored at once. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.gram import Table
from scada.balancing.phases.uneven import PHASES

LARGEST_KICK: Final = 6                 # moves that a disturbance takes back
AXES: Final = np.eye(PHASES)

Kept = tuple[NDArray[np.int64], NDArray[np.float64], float]
Pair = tuple[int, int, int, int]        # one consumer and its phase, another and its phase


class Allocation:
    """An allocation, its score, and the product of each consumer with each phase, kept up with every move."""

    def __init__(
        self, table: Table, start: NDArray[np.int64], cap: int, can: NDArray[np.bool_], phase: NDArray[np.int64]
    ) -> None:
        self.together, self.own = table.together, np.diag(table.together).copy()
        self.start, self.cap, self.stays, self.at = start, cap, ~can, np.arange(len(start))
        self.phase, self.pulls, self.score = phase, table.pulls(phase), table.score(phase)
        self.least = 1e-9 * max(float(self.own.sum()), 1e-300)

    def kept(self) -> Kept:
        return self.phase.copy(), self.pulls.copy(), self.score

    def back_to(self, kept: Kept) -> None:
        self.phase, self.pulls, self.score = kept[0].copy(), kept[1].copy(), kept[2]

    def move(self, one: int, to: int) -> None:
        of = self.phase[one]
        if of != to:
            self.score += 3.0 * float(self.pulls[one, to] - self.pulls[one, of] + self.own[one])
            self.pulls[:, of] -= self.together[one]
            self.pulls[:, to] += self.together[one]
            self.phase[one] = to

    def disturb(self, rng: np.random.Generator) -> None:
        """Some moves are taken back, and a few consumers go anywhere."""
        away = np.flatnonzero((self.phase != self.start) & ~self.stays)
        kick = min(int(rng.integers(1, LARGEST_KICK + 1)), len(away))
        for one in rng.choice(away, kick, replace=False) if kick else ():
            self.move(int(one), int(self.start[one]))
        free = np.flatnonzero(~self.stays)
        room = min(self.cap - int(np.count_nonzero(self.phase != self.start)), max(kick // 2, 1), len(free))
        for one in rng.choice(free, room, replace=False) if room > 0 else ():
            self.move(int(one), int(rng.integers(PHASES)))

    def descend(self) -> None:
        """Make the best change, or the best exchange where none is left, until nothing helps."""
        while True:
            change = 3.0 * (self.pulls - self.pulls[self.at, self.phase][:, None] + self.own[:, None])
            change[self.at, self.phase] = np.inf
            change[self.stays] = np.inf
            away = self.phase != self.start
            moves = int(np.count_nonzero(away))
            single = change if moves < self.cap else np.where(away[:, None], change, np.inf)
            one, to = divmod(int(single.argmin()), PHASES)
            if single[one, to] < -self.least:
                self.move(one, to)
                continue
            pair = self._swap(change) if moves + 2 <= self.cap else self._exchange(change, away)
            if pair is None:
                return
            self.move(*pair[:2])
            self.move(*pair[2:])

    def _exchange(self, change: NDArray[np.float64], away: NDArray[np.bool_]) -> Pair | None:
        """One that is away goes home, and one that is at home goes: for when the cap leaves room for less than two."""
        back, free = np.flatnonzero(away & ~self.stays), np.flatnonzero(~away & ~self.stays)
        if not (len(back) and len(free)):
            return None
        best, found, at = -self.least, None, self.phase[free]
        home = AXES[self.start[back]] - AXES[self.phase[back]]
        met = 3.0 * self.together[np.ix_(back, free)]
        alone = change[back, self.start[back]][:, None]
        for step in (1, 2):
            to = (at + step) % PHASES
            total = alone + change[free, to] + met * (home[:, to] - home[:, at])
            one, other = divmod(int(total.argmin()), len(free))
            if total[one, other] < best:
                best = float(total[one, other])
                found = (int(back[one]), int(self.start[back[one]]), int(free[other]), int(to[other]))
        return found

    def _swap(self, change: NDArray[np.float64]) -> Pair | None:
        """Two consumers of different phases take each other's place: for when the cap leaves room for both."""
        best, found = -self.least, None
        on = [np.flatnonzero((self.phase == phase) & ~self.stays) for phase in range(PHASES)]
        for left, right in ((0, 1), (0, 2), (1, 2)):
            if not (len(on[left]) and len(on[right])):
                continue
            total = change[on[left], right][:, None] + change[on[right], left]
            total -= 6.0 * self.together[np.ix_(on[left], on[right])]
            one, other = divmod(int(total.argmin()), len(on[right]))
            if total[one, other] < best:
                best = float(total[one, other])
                found = (int(on[left][one]), right, int(on[right][other]), left)
        return found
