"""The least largest deviation by an exact solver, for small groups. Pure; scipy is imported when it is asked for."""

from importlib import import_module
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.polish import deviations
from scada.balancing.phases.uneven import PHASES
from scada.phase_study import Lack

LARGEST: Final = 60                     # consumers up to which the exact solver is of use
SECONDS: Final = 20.0


@attrs.frozen(eq=False)
class Exact:
    """What the solver found in its time."""

    phase: NDArray[np.int64]                # (n,)
    proven: bool                            # nothing is better


@attrs.frozen(eq=False)
class Question:
    """What `answered` is asked; it can be sent."""

    profiles: NDArray[np.float64]           # (n, t) [W]
    start: NDArray[np.int64]                # (n,)
    cap: int
    fixed: NDArray[np.float64]              # (t, 3); hours in which it is NaN are left out [W]


def answered(of: Question) -> Exact | Lack:
    """Where somebody has scipy and the group is small: the answer, else why there is none."""
    if len(of.profiles) > LARGEST:
        return Lack.EXACT_TOO_LARGE
    known = ~np.isnan(of.fixed).any(axis=1)
    try:
        found = solve_worst_hour(of.profiles[:, known], of.start, of.cap, of.fixed[known])
    except ModuleNotFoundError:
        return Lack.NO_SOLVER
    return Lack.NO_ANSWER if found is None else found


def solve_worst_hour(
    profiles: NDArray[np.float64], start: NDArray[np.int64], cap: int, fixed: NDArray[np.float64] | None = None,
    seconds: float = SECONDS,
) -> Exact | None:
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
    found : Exact or None
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
    if answer.x is None:
        return None
    return Exact(np.asarray(answer.x[1:].reshape(n, PHASES).argmax(axis=1), dtype=np.int64), answer.status == 0)
