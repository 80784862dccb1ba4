"""On which phase every one-phase consumer hangs, from hourly profiles and the feeder's three phases. Pure."""

from itertools import permutations
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.regress import ridge, weighted, whole, without_days_shape
from scada.balancing.phases.uneven import PHASES

UNKNOWN: Final = -1
LEAST_HOURS: Final = 48
MISSING: Final = 0.2                    # share of consumers that may be silent in an hour that is used
LOSS: Final = 0.06                      # of the load: more than this is not lost but taken by somebody without a meter
SURE: Final = 0.5                       # margin from which a disagreement is worth a visit


@attrs.frozen(eq=False)
class Identified:
    """What the profiles say of every consumer."""

    phase: NDArray[np.int64]                # (n,) 0, 1, 2; UNKNOWN where nothing can be said
    margin: NDArray[np.float64]             # (n,) best vote less the second, about 0 to 1; NaN if unknown
    votes: NDArray[np.float64]              # (n, 3) near 1 for the own phase, near 0 for the others
    hours: int                              # that were used


@attrs.frozen
class Disagreement:
    """A consumer that the profiles put elsewhere than the registry does."""

    consumer: int
    registered: int                         # UNKNOWN where the registry says nothing
    found: int
    margin: float


def identify(
    profiles: NDArray[np.float64], feeder: NDArray[np.float64], hours: NDArray[np.int64],
    known: NDArray[np.float64] | None = None,
) -> Identified:
    """
    Return the phase of every consumer, by four votes.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        Mean active power of each one-phase consumer. [W]
    feeder : ndarray of float64, shape (t, 3)
        Mean active power of each phase at the transformer. [W]
    hours : ndarray of int64, shape (t,)
        Hours since 1970 in the site's own time, ascending; gaps are allowed.
    known : ndarray of float64, shape (t, 3), optional
        What three-phase consumers take of each phase: a third of their total where the phases are not metered. [W]

    Returns
    -------
    identified : Identified
        UNKNOWN for a consumer that never changes or was heard in less than `LEAST_HOURS`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or fewer than `LEAST_HOURS` hours can be used.

    Notes
    -----
    Votes: ridge regression of levels, of differences from hour to hour, of what departs from the hour of the day with loud
    hours weighed down, and the best allocation in whole consumers from there. Before, a loss that grows with the square of
    a phase's load is taken off, at most `LOSS` of the load. An hour is used if the feeder is known and at most `MISSING` of
    the consumers are silent; who is silent counts with the mean of that hour of the day.

    Validity: hourly means, one-phase consumers, registers of 10 Wh or finer. With registers of 1 kWh a fifth is wrong. Two
    consumers that do the same at all times cannot be told apart. Phases are those of the feeder's meter: if its wires are
    exchanged, so are the answers (`relabelled`). Voltages, where meters deliver them, know it better [1]_.

    References
    ----------
    .. [1] A. Hoogsteyn et al., Low Voltage Customer Phase Identification Methods Based on Smart Meter Data,
       arXiv:2204.06372 (abstract read 2026-11)
    """
    n, t = profiles.shape
    if feeder.shape != (t, PHASES) or hours.shape != (t,) or (known is not None and known.shape != (t, PHASES)):
        raise ValueError(
            f"profiles {profiles.shape} want a feeder of ({t}, 3) and {t} hours; found {feeder.shape}, {hours.shape}"
        )
    rest = feeder if known is None else feeder - known
    silent = np.isnan(profiles)
    used = ~np.isnan(rest).any(axis=1) & (silent.mean(axis=0) <= MISSING)
    if np.count_nonzero(used) < LEAST_HOURS:
        raise ValueError(f"{np.count_nonzero(used)} hours can be used; at least {LEAST_HOURS} are needed")
    rest, at, heard = rest[used], hours[used], (~silent[:, used]).sum(axis=1)
    slot, follows = at % 24, np.diff(at, prepend=at[0] - 2) == 1
    consumers = bridged(profiles[:, used].T, slot)
    can = (heard >= LEAST_HOURS) & (np.ptp(consumers, axis=0) > 0)
    votes = np.full((n, PHASES), np.nan)
    if can.any():
        votes[can] = _votes(consumers[:, can], rest, slot, follows)
    order = np.sort(np.where(np.isnan(votes), 0.0, votes), axis=1)
    phase = np.where(can, np.nan_to_num(votes).argmax(axis=1), UNKNOWN)
    return Identified(phase, np.where(can, order[:, 2] - order[:, 1], np.nan), votes, len(at))


def disagreements(found: Identified, registered: NDArray[np.integer], least: float = SURE) -> list[Disagreement]:
    """Return who hangs elsewhere than `registered` (n,) says, clearest first; those below the margin are left out."""
    clear = (found.phase != UNKNOWN) & (found.phase != registered) & (np.nan_to_num(found.margin) >= least)
    order = np.flatnonzero(clear)[np.argsort(-found.margin[clear], kind="stable")]
    return [Disagreement(int(one), int(registered[one]), int(found.phase[one]), float(found.margin[one])) for one in order]


def relabelled(found: Identified, registered: NDArray[np.integer]) -> tuple[int, int, int] | None:
    """
    Return how the feeder's phases are named in the registry, if another order of names explains most disagreements.

    Then it is the transformer's meter, or the registry as a whole, that has its phases exchanged, and no crew need visit
    the consumers. Of the clear ones only; None if the names are right.
    """
    clear = (found.phase != UNKNOWN) & (registered != UNKNOWN) & (np.nan_to_num(found.margin) >= SURE)
    wrong = {
        order: int(np.count_nonzero(np.array(order)[found.phase[clear]] != registered[clear]))
        for order in permutations(range(PHASES))
    }
    best = min(wrong, key=lambda order: wrong[order])
    return (best[0], best[1], best[2]) if wrong[best] < 0.5 * wrong[0, 1, 2] else None


def bridged(consumers: NDArray[np.float64], slot: NDArray[np.int64]) -> NDArray[np.float64]:
    """(t, n) with the mean of that hour of the day where nobody answered."""
    hole = np.isnan(consumers)
    if not hole.any():
        return consumers
    total, count = np.zeros((24, consumers.shape[1])), np.zeros((24, consumers.shape[1]))
    np.add.at(total, slot, np.where(hole, 0.0, consumers))
    np.add.at(count, slot, ~hole)
    overall = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    usual = np.where(count > 0, total / np.maximum(count, 1), overall)
    return np.where(hole, usual[slot], consumers)


def _votes(
    consumers: NDArray[np.float64], rest: NDArray[np.float64], slot: NDArray[np.int64], follows: NDArray[np.bool_]
) -> NDArray[np.float64]:
    lacking = max(float(rest.sum() - consumers.sum()), 0.0)
    squares = float((rest**2).sum())
    lost = min(lacking, LOSS * float(np.abs(rest).sum())) / squares if squares > 0 else 0.0
    rest = rest - lost * rest**2
    level = ridge(consumers - consumers.mean(axis=0), rest - rest.mean(axis=0))
    after = np.flatnonzero(follows)
    steps = ridge(consumers[after] - consumers[after - 1], rest[after] - rest[after - 1])
    free, rows, values = weighted(without_days_shape(consumers, slot), without_days_shape(rest, slot), slot, follows)
    one = np.eye(PHASES)[whole(rows, values, free.argmax(axis=1))]
    return (level + steps + free + one) / 4.0
