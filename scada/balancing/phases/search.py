"""The search for a better allocation under a cap on moves: descend, disturb, descend again. Pure and deterministic.

All changes of one consumer, and all exchanges of two, are scored at once from the table of products; the hours are not
looked at again.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.allocation import Allocation
from scada.balancing.phases.gram import Table

KICKS: Final = 1200                     # disturbances; 240 consumers then take about a second of processor time
WORSE: Final = 0.02                     # that is accepted as the next place to search from
PATIENCE: Final = 60                    # disturbances without a better score, then back to the best


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
    can, first = beginning(start, cap, movable, begin)
    if cap <= 0 or not can.any():
        return first
    rng, state = np.random.default_rng(seed), Allocation(table, start, cap, can, first)
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


def searched(
    table: Table, start: NDArray[np.int64], caps: Sequence[int], movable: NDArray[np.bool_] | None = None,
    kicks: int = KICKS,
) -> list[NDArray[np.int64]]:
    """Return an allocation for each cap, fewest moves first; each search begins where the one before ended."""
    found, phase = [], start
    for cap in sorted(caps):
        phase = search(table, start, cap, movable, phase, kicks)
        found.append(phase)
    return found


def beginning(
    start: NDArray[np.int64], cap: int, movable: NDArray[np.bool_] | None, begin: NDArray[np.int64] | None,
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return who may be moved, and a copy of where a search begins; `ValueError` if that is beyond the cap."""
    can = np.ones(len(start), dtype=bool) if movable is None else np.asarray(movable, dtype=bool)
    first = np.array(start if begin is None else begin, dtype=np.int64)
    if np.count_nonzero(first != start) > cap:
        raise ValueError(f"the search begins with {np.count_nonzero(first != start)} moves; the cap is {cap}")
    return can, first
