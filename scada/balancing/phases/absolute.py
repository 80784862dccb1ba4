"""The other objective: the sum over the hours of the neutral current itself, not of its square. Pure.

Squares go with the loss in the neutral and let single hours weigh much; the plain sum is the mean neutral current. No table
of products gives it, so the hours are looked at for every change, all changes of one consumer at once.
"""

from functools import cached_property
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.live import NOMINAL_ANGLES
from scada.balancing.phases.search import beginning
from scada.balancing.phases.uneven import PHASES

KICKS: Final = 120                      # disturbances; 240 consumers and a week then take about half a second
BACK, ELSEWHERE = 5, 2                  # at most so many moves are taken back by one, and so many others tried instead
CLOSE: Final = 1.02                     # times the least: from there on changes of two are looked for, which take long
FIRST: Final = 6                        # changes of one consumer from which a change of two is looked for
MOST_BACK: Final = 24                   # moves that are taken back for another one, the cheapest first
TURNS: Final = NOMINAL_ANGLES
WAYS: Final = TURNS - TURNS[:, None]    # (3, 3) from one phase to another
GAINED: Final = 1e-9


@attrs.frozen(eq=False)
class Absolute:
    """What is needed to score allocations of n consumers by the sum of the unevenness over t hours. [Wh]"""

    profiles: NDArray[np.float64]           # (n, t) [W]
    fixed: NDArray[np.complex128]           # (t,) what stays on the phases, each turned by a third [W]

    @cached_property
    def _own(self) -> NDArray[np.float64]:
        return 3.0 * self.profiles**2

    def score(self, phase: NDArray[np.integer]) -> float:
        """The sum over the hours of the unevenness."""
        return float(np.abs(self.pulls(phase)).sum())

    def pulls(self, phase: NDArray[np.integer]) -> NDArray[np.complex128]:
        """(t,): the phasor of what the phases do not share."""
        return np.asarray(self.fixed + TURNS[phase] @ self.profiles)

    def gains(self, phase: NDArray[np.integer], pulls: NDArray[np.complex128]) -> NDArray[np.float64]:
        """(n, 3): what the score would change by if this consumer alone went to that phase; 0 where it is."""
        # |pull + way * power|² without complex numbers, which take several times as long: every way is √3 long
        square, change, at = np.abs(pulls) ** 2, np.zeros((len(phase), PHASES)), np.arange(len(phase))
        now, along = float(np.sqrt(square).sum()), (np.conj(WAYS)[..., None] * pulls).real
        for step in range(1, PHASES):
            to = (phase + step) % PHASES
            length = along[phase, to]
            length *= 2.0 * self.profiles
            length += self._own
            length += square
            np.maximum(length, 0.0, out=length)
            change[at, to] = np.sqrt(length, out=length).sum(axis=1) - now
        return change


def by_mean(profiles: NDArray[np.float64], fixed: NDArray[np.float64] | None = None) -> Absolute:
    """
    Return what scores allocations by the mean neutral current at the transformer.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        Mean active power of each one-phase consumer in each hour. [W]
    fixed : ndarray of float64, shape (t, 3), optional
        What hangs on each phase and stays there. [W]

    Returns
    -------
    score : Absolute
        An hour in which a consumer or `fixed` is NaN is left out.
    """
    base = np.zeros((profiles.shape[1], PHASES)) if fixed is None else np.asarray(fixed, dtype=np.float64)
    used = ~(np.isnan(profiles).any(axis=0) | np.isnan(base).any(axis=1))
    return Absolute(profiles[:, used], base[used] @ TURNS)


def least_sum(
    of: Absolute, start: NDArray[np.int64], cap: int, movable: NDArray[np.bool_] | None = None,
    begin: NDArray[np.int64] | None = None, kicks: int = KICKS, seed: int = 1,
) -> NDArray[np.int64]:
    """
    Return an allocation with at most `cap` consumers elsewhere than in `start`, of the lowest sum that was found.

    Parameters
    ----------
    of : Absolute
    start : ndarray of int64, shape (n,)
        Where everybody hangs now.
    cap : int
        Most consumers that may be moved.
    movable : ndarray of bool, shape (n,), optional
    begin : ndarray of int64, shape (n,), optional
        Another allocation within the cap to search from: that of the least squares is near.
    kicks, seed : int
        Disturbances, and what they are drawn by: the same input gives the same answer.

    Returns
    -------
    phase : ndarray of int64, shape (n,)
        Never worse than `begin` or `start`.

    Raises
    ------
    ValueError
        If `begin` is beyond the cap.
    """
    can, first = beginning(start, cap, movable, begin)
    if cap <= 0 or not can.any():
        return first
    rng = np.random.default_rng(seed)
    best = _descended(of, start, cap, can, first)
    least = of.score(best)
    for _ in range(kicks):
        trial, away = best.copy(), np.flatnonzero((best != start) & can)
        back = rng.choice(away, min(len(away), int(rng.integers(1, BACK + 1))), replace=False)
        trial[back] = start[back]
        for one in rng.choice(np.flatnonzero(can), ELSEWHERE):
            if np.count_nonzero(trial != start) < cap:
                trial[one] = int(rng.integers(PHASES))
        trial = _descended(of, start, cap, can, trial, below=CLOSE * least)
        if (score := of.score(trial)) < least - GAINED * abs(least):
            best, least = trial, score
    return best if least <= of.score(start) else np.array(start, dtype=np.int64)


# ---------------------------------------------------------------------- private
def _descended(
    of: Absolute, start: NDArray[np.int64], cap: int, can: NDArray[np.bool_], phase: NDArray[np.int64],
    below: float = np.inf,
) -> NDArray[np.int64]:
    """The best change of one, else of two, until none helps; of two only where the score is below a bound."""
    while True:
        better = _single(of, start, cap, can, phase)
        if better is None and of.score(phase) < below:
            better = _double(of, start, cap, can, phase)
        if better is None:
            return phase
        phase = better


def _allowed(
    of: Absolute, start: NDArray[np.int64], cap: int, can: NDArray[np.bool_], phase: NDArray[np.int64], room: int = 0
) -> NDArray[np.float64]:
    """(n, 3) changes of the score, infinite where nothing may or would change; `room` moves more are lent."""
    change, away = of.gains(phase, of.pulls(phase)), phase != start
    moves = int(np.count_nonzero(away)) + (np.arange(PHASES) != start[:, None]) - away[:, None]
    change[(moves > cap + room) | ~can[:, None]] = np.inf
    change[np.arange(len(phase)), phase] = np.inf
    return change


def _single(
    of: Absolute, start: NDArray[np.int64], cap: int, can: NDArray[np.bool_], phase: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    change = _allowed(of, start, cap, can, phase)
    one, to = divmod(int(change.argmin()), PHASES)
    if not change[one, to] < -GAINED * max(of.score(phase), 1e-300):
        return None
    found = phase.copy()
    found[one] = to
    return found


def _double(
    of: Absolute, start: NDArray[np.int64], cap: int, can: NDArray[np.bool_], phase: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """First one of the likeliest changes, or one taken back, then the best that follows; None if no pair helps."""
    change, now = _allowed(of, start, cap, can, phase, room=1), of.score(phase)
    likely = [divmod(int(place), PHASES) for place in np.argsort(change, axis=None, kind="stable")[:FIRST]]
    away = np.flatnonzero((phase != start) & can)
    cheapest = away[np.argsort(change[away, start[away]], kind="stable")[:MOST_BACK]]
    backs = [(int(one), int(start[one])) for one in cheapest]
    best, found = now * (1 - GAINED), None
    for one, to in dict.fromkeys((*likely, *backs)):                    # a dozen or two
        if not np.isfinite(change[one, to]):
            continue
        trial = phase.copy()
        trial[one] = to
        second = _allowed(of, start, cap, can, trial)
        other, there = divmod(int(second.argmin()), PHASES)
        if (score := of.score(trial) + second[other, there]) < best:
            best, found = score, trial.copy()
            found[other] = there
    return found
