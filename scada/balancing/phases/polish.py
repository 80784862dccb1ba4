"""What is left of the worst hour, once the sum of squares is small: a polish of the largest deviation. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.gram import Score
from scada.balancing.phases.uneven import PHASES, allocated

SLACK: Final = 0.005                    # of the score, which may be lost for a better worst hour
ROUNDS: Final = 60


def deviations(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each phase less the mean of the three: (..., 3) in, (..., 3) out. [W]"""
    return np.asarray(power - power.mean(axis=-1, keepdims=True))


def even_worst_hour(
    profiles: NDArray[np.float64], table: Score, start: NDArray[np.int64], phase: NDArray[np.int64], cap: int,
    fixed: NDArray[np.float64] | None = None, movable: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """
    Return `phase` with its largest hourly deviation made smaller by single changes and exchanges.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        No NaN. [W]
    table : Score
        The score, of which at most `SLACK` of its value at `phase` is given up.
    start, phase : ndarray of int64, shape (n,)
        Where everybody hangs now, and the allocation to polish.
    cap : int
        Most consumers that may be elsewhere than in `start`.
    fixed : ndarray of float64, shape (t, 3), optional
        What stays on each phase. [W]
    movable : ndarray of bool, shape (n,), optional

    Returns
    -------
    phase : ndarray of int64, shape (n,)
        Its largest deviation, of any phase in any hour, is not larger than that of the `phase` given.
    """
    can = np.ones(len(start), dtype=bool) if movable is None else np.asarray(movable, dtype=bool)
    phase, limit = phase.copy(), (1.0 + SLACK) * table.score(phase)
    away_from = deviations(allocated(profiles, phase) + (0.0 if fixed is None else fixed))             # (t, 3)
    for _ in range(ROUNDS):
        now = float(np.abs(away_from).max(initial=0.0))
        best, found = now * (1 - 1e-9), None
        backs = [-1, *np.flatnonzero((phase != start) & can)]
        for back in backs:                              # at most `cap` of them; -1: nobody goes back
            trial, moved = away_from, phase
            if back >= 0:
                trial, moved = away_from.copy(), phase.copy()
                trial[:, moved[back]] -= profiles[back]
                trial[:, start[back]] += profiles[back]
                moved[back] = start[back]
            room = limit - table.score(moved)
            dear = table.gains(moved, table.pulls(moved)) > room
            value, one, to = _best_single(profiles, trial, moved, start, cap, can, dear)
            if value < best:
                best, found = value, moved.copy()
                found[one] = to
        if found is None:
            return phase
        phase = found
        away_from = deviations(allocated(profiles, phase) + (0.0 if fixed is None else fixed))
    return phase


def _best_single(
    profiles: NDArray[np.float64], away_from: NDArray[np.float64], phase: NDArray[np.int64], start: NDArray[np.int64],
    cap: int, can: NDArray[np.bool_], dear: NDArray[np.bool_],
) -> tuple[float, int, int]:
    """The largest deviation after the best change of one consumer, who it is and where to."""
    at, away = np.arange(len(phase)), phase != start
    leaves = np.abs(away_from[:, phase].T - profiles).max(axis=1)                                      # (n,)
    stays = np.abs(away_from).max(axis=0)                                                              # (3,)
    value = np.empty((len(phase), PHASES))
    for to in range(PHASES):
        comes = np.abs(away_from[:, to] + profiles).max(axis=1)
        value[:, to] = np.maximum(np.maximum(comes, leaves), stays[(PHASES - phase - to) % PHASES])
    moves = int(np.count_nonzero(away)) + (np.arange(PHASES) != start[:, None]) - away[:, None]
    value[(moves > cap) | ~can[:, None] | dear] = np.inf
    value[at, phase] = np.inf
    one, to = divmod(int(value.argmin()), PHASES)
    return float(value[one, to]), one, to
