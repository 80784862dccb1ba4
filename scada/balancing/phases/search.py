"""The search for a better allocation under a cap on moves: descend, disturb, descend again. Pure and deterministic.

All changes of one consumer, and all exchanges of two, are scored at once from the table of products; the hours are not
looked at again.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.gram import Table
from scada.balancing.phases.uneven import PHASES

KICKS: Final = 800                      # disturbances; 240 consumers then take about a second of processor time
LARGEST_KICK: Final = 6                 # moves that a disturbance takes back
WORSE: Final = 0.02                     # that is accepted as the next place to search from
PATIENCE: Final = 60                    # disturbances without a better score, then back to the best
AXES: Final = np.eye(PHASES)

Pair = tuple[int, int, int, int]        # one consumer and its phase, another and its phase


def search(
    table: Table, start: NDArray[np.int64], cap: int, movable: NDArray[np.bool_] | None = None,
    begin: NDArray[np.int64] | None = None, kicks: int = KICKS, seed: int = 1,
) -> NDArray[np.int64]:
    """
    Return an allocation with at most `cap` consumers elsewhere than in `start`, of the lowest score that was found.

    Parameters
    ----------
    table : Table
        How allocations are scored.
    start : ndarray of int64, shape (n,)
        Where everybody hangs now: 0, 1, 2.
    cap : int
        Most consumers that may be moved.
    movable : ndarray of bool, shape (n,), optional
        Who may be moved at all.
    begin : ndarray of int64, shape (n,), optional
        Another allocation within the cap to search from.
    kicks : int
        Disturbances.
    seed : int
        Of their choice: the same table, start and seed give the same answer.

    Returns
    -------
    phase : ndarray of int64, shape (n,)
        Never worse than `begin` or `start`.

    Raises
    ------
    ValueError
        If `begin` is beyond the cap.

    Notes
    -----
    An iterated local search. No bound on the distance from the optimum is known; what was measured against searches many
    times as long is `phase_advice_gap` in docs/performance.md.
    """
    can = np.ones(len(start), dtype=bool) if movable is None else np.asarray(movable, dtype=bool)
    first = np.array(start if begin is None else begin, dtype=np.int64)
    if np.count_nonzero(first != start) > cap:
        raise ValueError(f"the search begins with {np.count_nonzero(first != start)} moves; the cap is {cap}")
    if cap <= 0 or not can.any():
        return first
    rng, state = np.random.default_rng(seed), _State(table, start, cap, can, first)
    state.descend()
    best, here, stale = state.kept(), state.kept(), 0
    for _ in range(kicks):
        state.back_to(here)
        state.disturb(rng)
        state.descend()
        if state.score < here[2] + WORSE * abs(here[2]):
            here = state.kept()
        stale += 1
        if state.score < best[2] - state.least:
            best, stale = state.kept(), 0
        elif stale % PATIENCE == 0:
            here = best
    return best[0]


class _State:
    """An allocation, its score, and the product of each consumer with each phase, kept up with every move."""

    def __init__(
        self, table: Table, start: NDArray[np.int64], cap: int, can: NDArray[np.bool_], phase: NDArray[np.int64]
    ) -> None:
        self.together, self.own = table.together, np.diag(table.together).copy()
        self.start, self.cap, self.stays, self.at = start, cap, ~can, np.arange(len(start))
        self.phase, self.pulls, self.score = phase, table.pulls(phase), table.score(phase)
        self.least = 1e-9 * max(float(self.own.sum()), 1e-300)

    def kept(self) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        return self.phase.copy(), self.pulls.copy(), self.score

    def back_to(self, kept: tuple[NDArray[np.int64], NDArray[np.float64], float]) -> None:
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
            pair = self._exchange(change, away) if moves >= self.cap else self._swap(change) if moves + 2 <= self.cap else None
            if pair is None:
                return
            self.move(*pair[:2])
            self.move(*pair[2:])

    def _exchange(self, change: NDArray[np.float64], away: NDArray[np.bool_]) -> Pair | None:
        """One that is away goes home, and one that is at home goes: for when the cap is reached."""
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
