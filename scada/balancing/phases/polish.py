"""What is left of the worst hour, once the sum of squares is small: a polish of the largest deviation. Pure."""

from importlib import import_module
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.gram import Table
from scada.balancing.phases.uneven import PHASES, allocated

SLACK: Final = 0.02                     # of the score at the start of the allocation that may be given up for a better worst hour
ROUNDS: Final = 60
LARGEST: Final = 60                     # consumers up to which the exact solver is of use


def deviations(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each phase less the mean of the three: (..., 3) in, (..., 3) out. [W]"""
    return np.asarray(power - power.mean(axis=-1, keepdims=True))


def even_worst_hour(
    profiles: NDArray[np.float64], table: Table, start: NDArray[np.int64], phase: NDArray[np.int64], cap: int,
    fixed: NDArray[np.float64] | None = None, movable: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """
    Return `phase` with its largest hourly deviation made smaller by single changes and exchanges.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        No NaN. [W]
    table : Table
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
            value, one, to = _best_single(profiles, trial, moved, start, cap, can)
            if value < best:
                candidate = moved.copy()
                candidate[one] = to
                if table.score(candidate) <= limit:
                    best, found = value, candidate
        if found is None:
            return phase
        phase = found
        away_from = deviations(allocated(profiles, phase) + (0.0 if fixed is None else fixed))
    return phase


def _best_single(
    profiles: NDArray[np.float64], away_from: NDArray[np.float64], phase: NDArray[np.int64], start: NDArray[np.int64],
    cap: int, can: NDArray[np.bool_],
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
    value[(moves > cap) | ~can[:, None]] = np.inf
    value[at, phase] = np.inf
    one, to = divmod(int(value.argmin()), PHASES)
    return float(value[one, to]), one, to


def solve_worst_hour(
    profiles: NDArray[np.float64], start: NDArray[np.int64], cap: int, fixed: NDArray[np.float64] | None = None,
    seconds: float = 20.0,
) -> NDArray[np.int64] | None:
    """
    Return the allocation with the least largest deviation by an exact solver, for small groups. Needs scipy.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        At most `LARGEST` consumers; no NaN. [W]
    start : ndarray of int64, shape (n,)
    cap : int
        Most consumers that may be moved.
    fixed : ndarray of float64, shape (t, 3), optional
        [W]
    seconds : float
        Time limit of the solver.

    Returns
    -------
    phase : ndarray of int64, shape (n,), or None
        The best within the time; None if the solver found none.

    Raises
    ------
    ValueError
        If there are more than `LARGEST` consumers: beyond, the solver proves nothing in minutes and the search is better.
    ModuleNotFoundError
        If scipy is not installed; the server does without it.
    """
    n, t = profiles.shape
    if n > LARGEST:
        raise ValueError(f"{n} consumers are too many for the exact solver; at most {LARGEST}")
    optimize = import_module("scipy.optimize")
    base = deviations(np.zeros((t, PHASES)) if fixed is None else fixed)
    # variables: z, then x[i, f]; deviation of f = base + sum over i of p_i (x[i, f] - 1/3)
    rows = np.zeros((PHASES * t, 1 + PHASES * n))
    for f in range(PHASES):
        rows[f * t:(f + 1) * t, 1 + f::PHASES] = profiles.T
    rest = (base - profiles.sum(axis=0)[:, None] / PHASES).T.ravel()
    below, above = rows.copy(), rows.copy()
    below[:, 0], above[:, 0] = -1.0, 1.0
    once = np.concatenate([np.zeros((n, 1)), np.kron(np.eye(n), np.ones((1, PHASES)))], axis=1)
    stay = np.zeros((1, 1 + PHASES * n))
    stay[0, 1 + PHASES * np.arange(n) + start] = 1.0
    answer = optimize.milp(
        c=np.eye(1, 1 + PHASES * n)[0], integrality=np.r_[0, np.ones(PHASES * n)],
        bounds=optimize.Bounds(0, np.r_[np.inf, np.ones(PHASES * n)]),
        constraints=[
            optimize.LinearConstraint(below, -np.inf, -rest), optimize.LinearConstraint(above, -rest, np.inf),
            optimize.LinearConstraint(once, 1, 1), optimize.LinearConstraint(stay, n - cap, n),
        ],
        options={"time_limit": seconds},
    )
    return None if answer.x is None else np.asarray(answer.x[1:].reshape(n, PHASES).argmax(axis=1), dtype=np.int64)
