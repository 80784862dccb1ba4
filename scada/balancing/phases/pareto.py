"""Recommended phases for several numbers of moves, and what each of them gives: the curve a person chooses from. Pure."""

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.live import maximum_deviation
from scada.balancing.phases.absolute import KICKS as KICKS_OF_MEAN
from scada.balancing.phases.absolute import Absolute, least_sum
from scada.balancing.phases.checked import Check
from scada.balancing.phases.gram import Score, Table, by_neutral
from scada.balancing.phases.polish import even_worst_hour
from scada.balancing.phases.search import KICKS, search
from scada.balancing.phases.uneven import allocated, unevenness

CAPS: Final = (1, 2, 3, 5, 10)
KICKED_HOURS: Final = 4_900_000         # disturbances times consumers times hours of the search by the plain sum
FEWEST: Final = 16
KICKS_ELSEWHERE: Final = 400            # of a second search by squares, for another beginning
SUM_KICKS_A_MOVE: Final = 4             # of that search
KICKS_A_MOVE: Final = 30                # disturbances: few moves have few places to be looked for


@attrs.frozen(eq=False)
class Point:
    """One allocation, and what it gives."""

    moves: int
    phase: NDArray[np.int64]                # (n,)
    score: float                            # over that of today; 1 is no better [1]
    unevenness: float                       # root mean square over the hours [W]
    worst: float                            # largest unevenness of an hour [W]
    deviation: float                        # mean over the hours of the largest deviation from the mean of the phases [1]
    check: Check | None                     # by power flow; None if no network is known
    worth: bool                             # no point with fewer moves is as good


def candidates(
    profiles: NDArray[np.float64], table: Score, start: NDArray[np.int64], caps: Sequence[int] = CAPS,
    fixed: NDArray[np.float64] | None = None, movable: NDArray[np.bool_] | None = None, kicks: int = KICKS,
) -> list[list[NDArray[np.int64]]]:
    """
    Return for today and each cap the allocations to choose from: as it was searched, and polished for the worst hour.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        Mean active power of each one-phase consumer in each hour. Hours with a NaN are left out. [W]
    table : Score
        How allocations are scored: `by_neutral`, `by_loss`, or both `mixed`; or `absolute.by_mean`.
    start : ndarray of int64, shape (n,)
        Today's phases.
    caps : sequence of int
        Most moves; each search begins where the one before ended, so that more moves are never worse in score.
    fixed : ndarray of float64, shape (t, 3), optional
        What stays on each phase. [W]
    movable : ndarray of bool, shape (n,), optional
        Who may be moved.
    kicks : int
        Of each search by squares; the one by the plain sum begins where that ends, and has its own.

    Returns
    -------
    found : list of lists of ndarray of int64, shape (n,)
        Today's alone first; the polished one last of each.
    """
    profiles, base = _used(profiles, fixed)
    squares = by_neutral(profiles, base) if isinstance(table, Absolute) else None
    fewer = min(max(KICKED_HOURS // max(profiles.size, 1), FEWEST), KICKS_OF_MEAN)
    found, phase = [[start.copy()]], start
    for cap in sorted(caps):
        if isinstance(table, Absolute) and squares is not None:
            by_squares = search(squares, start, cap, movable, None, min(kicks, KICKS_A_MOVE * cap))
            begins = [min(by_squares, phase, key=table.score)]
            if cap == max(caps):                            # the order for the crew: from another place as well
                begins.append(search(squares, start, cap, movable, None, min(kicks, KICKS_ELSEWHERE), seed=2))
            turns = min(fewer, SUM_KICKS_A_MOVE * cap) // len(begins)
            phase = min((
                least_sum(table, start, cap, movable, begin, turns, seed) for seed, begin in enumerate(begins, 1)
            ), key=table.score)
        elif isinstance(table, Table):
            phase = search(table, start, cap, movable, phase, kicks)
        polished = even_worst_hour(profiles, table, start, phase, cap, base, movable)
        found.append([polished] if (polished == phase).all() else [phase, polished])
    return found


def judged(
    profiles: NDArray[np.float64], table: Score, start: NDArray[np.int64], found: Sequence[Sequence[NDArray[np.int64]]],
    fixed: NDArray[np.float64] | None = None, checks: Sequence[Sequence[Check | None]] | None = None,
) -> list[Point]:
    """
    Return the points of a curve.

    Parameters
    ----------
    profiles, table, start, fixed
        As in `candidates`.
    found : sequence of sequences of ndarray of int64, shape (n,)
        From `candidates`.
    checks : sequence of sequences of Check, optional
        Of each of them, by power flow. With it, the better of the allocation and the one polished for the worst hour is
        kept, by the sum of loss and neutral current as shares of today's; without it the polished one is.

    Returns
    -------
    points : list of Point
        Caps that need no more moves than the one before are not repeated.
    """
    profiles, base = _used(profiles, fixed)
    today = table.score(start)

    def point(phase: NDArray[np.int64], check: Check | None, before: Sequence[Point]) -> Point:
        power = allocated(profiles, phase) + base
        uneven = unevenness(power)
        score = table.score(phase) / today if today > 0 else 1.0
        return Point(
            moves=int(np.count_nonzero(phase != start)), phase=phase, score=score,
            unevenness=float(np.sqrt(np.mean(uneven**2))), worst=float(uneven.max(initial=0.0)),
            deviation=float(np.nanmean(maximum_deviation(power))), check=check,
            worth=all(not _as_good(one, score, check) for one in before),
        )

    points: list[Point] = []
    for place, alike in enumerate(found):
        known = checks[place] if checks is not None else [None] * len(alike)
        made = [point(phase, check, points) for phase, check in zip(alike, known, strict=True)]
        best = made[-1] if checks is None or not points else min(made, key=lambda one: _badness(one, points[0]))
        if not points or best.moves > points[-1].moves:
            points.append(best)
    return points


def _used(
    profiles: NDArray[np.float64], fixed: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Without hours in which something is not known."""
    base = np.zeros((profiles.shape[1], 3)) if fixed is None else fixed
    used = ~(np.isnan(profiles).any(axis=0) | np.isnan(base).any(axis=1))
    return profiles[:, used], base[used]


def _badness(point: Point, today: Point) -> float:
    if point.check is None or today.check is None:
        return point.score
    return point.check.loss / max(today.check.loss, 1e-300) + point.check.neutral / max(today.check.neutral, 1e-300)


def _as_good(other: Point, score: float, check: Check | None) -> bool:
    if check is None or other.check is None:
        return other.score <= score
    return other.check.loss <= check.loss and other.check.neutral <= check.neutral
