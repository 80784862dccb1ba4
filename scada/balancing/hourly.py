"""The balance of a group: what was fed in, what the members took, and how sure the difference is. Pure.

Energy here is kWh or m³, whatever the group's medium is. Intervals are hours, or site days of 23, 24 or 25 of them.
"""

from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.register import Feed
from scada.tags import BAD, Quality

ESTIMATE_ERROR: Final = 0.5             # of an estimated hour: nothing says how far off it is; half of it, both ways


@attrs.frozen(eq=False)
class Members:
    """What the members of a group took during intervals, as far as it was delivered."""

    # Of several groups each is (g, k).
    energy: NDArray[np.float64]             # (k,) sum of what is present; NaN where nothing is
    doubt: NDArray[np.float64]              # (k,) half-width
    present: NDArray[np.int64]              # (k,) member-hours that are present, measured or estimated
    expected: NDArray[np.int64]             # (k,) member-hours there should be
    estimated: NDArray[np.int64]            # (k,) of the present ones, those that are estimates
    common: NDArray[np.float64]             # (k,) of the energy, what the common needs took
    generation: NDArray[np.float64]         # (k,) what was generated locally, positive; the energy has it as negative
    doubtful: NDArray[np.int64]             # (k,) of the present ones, those that are uncertain, no estimates

    def of(self, group: int) -> "Members":
        """Of one of several groups, (k,)."""
        return Members(*(getattr(self, name)[group] for name in FIELDS))


def is_estimated(quality: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """What nobody measured: worked out, or a person's figure."""
    return np.asarray((quality == Quality.UNCERTAIN_ESTIMATED) | (quality == Quality.SUBSTITUTED))


def is_doubtful(quality: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Measured, and summed, but not to be relied on."""
    return np.asarray(quality == Quality.UNCERTAIN_LAST_KNOWN)


def members_over(
    values: NDArray[np.float64],
    quality: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    accuracy: float | NDArray[np.float64],
    resolution: NDArray[np.float64],
    active: NDArray[np.bool_] | None = None,
    sign: NDArray[np.int64] | None = None,
    common: NDArray[np.bool_] | None = None,
    start: NDArray[np.int64] | None = None,
) -> Members:
    """
    Return the sum over members of what is present and not bad, over adjoining intervals of whole hours.

    Parameters
    ----------
    values : ndarray of float64, shape (n, h)
        Hourly quantity of each member; NaN where missing. [kWh or m³]
    quality : ndarray of uint8, shape (n, h)
        `Quality`; bad values are not summed.
    bounds : ndarray of int64, shape (k + 1,)
        Columns where the k intervals begin, and where the last one ends.
    accuracy : float or ndarray of float64, shape (n, 1) or (n, h)
        Relative limit of error of a member's meter (0.01 for class 1): one and the same error in every hour
        of an interval, independent between meters. [1]
    resolution : ndarray of float64, shape (n,)
        One pulse of each member: an interval may lack a part of one at its start and its end. [kWh or m³]
    active : ndarray of bool, shape (n, h), optional
        Hours in which each member counts; always, if left out. Others are neither expected nor summed.
    sign : ndarray of int64, shape (n,), optional
        -1 for local generation.
    common : ndarray of bool, shape (n,), optional
        Members that are common needs.
    start : ndarray of int64, shape (g + 1,), optional
        Rows where the members of each of g groups begin, and where the last ones end: everything is returned as (g, k).
        One group of all rows if left out, and (k,).

    Notes
    -----
    An estimated hour may be off by half of itself (`ESTIMATE_ERROR`), whatever the class of its meter. That is a choice of
    ours, no figure of a standard; the errors of one member's estimates are taken as one and the same.
    """
    width = int(bounds[-1])
    groups = np.array([0, len(values)]) if start is None else start
    usable = ((quality < BAD) & ~np.isnan(values))[:, :width]
    wanted = np.ones(usable.shape, dtype=np.bool_) if active is None else active[:, :width]
    usable = usable & wanted
    taken = np.where(usable, values[:, :width], 0.0)
    guessed = usable & is_estimated(quality[:, :width])
    unsure = usable & is_doubtful(quality[:, :width])
    limit = accuracy[:, :width] if isinstance(accuracy, np.ndarray) else accuracy
    each = _over(taken, bounds)                                             # (n, k): per meter, before squaring
    present = _over(usable.astype(np.int64), bounds)
    one_class = not isinstance(accuracy, np.ndarray) and not guessed.any()
    off = accuracy * each if one_class else _over(np.where(guessed, ESTIMATE_ERROR, limit) * taken, bounds)
    squares = off**2 + np.where(present > 0, resolution[:, None] ** 2, 0.0)
    total = _together(present, groups)
    none = np.zeros(total.shape)

    def counted(some: NDArray[np.bool_]) -> NDArray[np.int64]:
        return _together(_over(some.astype(np.int64), bounds), groups) if some.any() else none.astype(np.int64)

    positive = sign is None or bool((sign > 0).all())
    signed = each if positive or sign is None else sign[:, None] * each
    if active is None:
        expected = np.diff(groups)[:, None] * np.diff(bounds)
    else:
        expected = _together(_over(wanted.astype(np.int64), bounds), groups)
    energy = _together(signed, groups)
    found = Members(
        energy=np.where(total > 0, energy, np.nan),
        doubt=np.sqrt(_together(squares, groups)),
        present=total,
        expected=expected,
        estimated=counted(guessed),
        common=none if common is None or not common.any() else _together(np.where(common[:, None], signed, 0.0), groups),
        generation=none if positive or sign is None else _together(np.where(sign[:, None] < 0, each, 0.0), groups),
        doubtful=counted(unsure),
    )
    return found if start is not None else found.of(0)


FIELDS: Final = tuple(field.name for field in attrs.fields(Members))


def together(one: Members, other: Members) -> Members:
    """The sum of two sets of members over the same intervals; their errors are independent."""
    present = one.present + other.present
    return Members(
        energy=np.where(present > 0, np.nan_to_num(one.energy) + np.nan_to_num(other.energy), np.nan),
        doubt=np.hypot(one.doubt, other.doubt),
        present=present,
        expected=one.expected + other.expected,
        estimated=one.estimated + other.estimated,
        common=one.common + other.common,
        generation=one.generation + other.generation,
        doubtful=one.doubtful + other.doubtful,
    )


def _together(rows: NDArray[Any], start: NDArray[np.int64]) -> NDArray[Any]:
    """Sums over the rows of each group, (g, k); 0 for a group without rows, which `reduceat` alone would not give."""
    found = np.zeros((len(start) - 1, rows.shape[1]), rows.dtype)
    some = np.flatnonzero(np.diff(start))
    if len(some):
        found[some] = np.add.reduceat(rows, start[some], axis=0)
    return found


def _over(columns: NDArray[Any], bounds: NDArray[np.int64]) -> NDArray[Any]:
    """Sums over adjoining intervals, (n, k); also of no rows."""
    if len(bounds) == columns.shape[1] + 1:
        return columns                                      # each hour is an interval
    return np.asarray(np.add.reduceat(columns, bounds[:-1], axis=1))


def balance(
    feed: Feed,
    members: Members,
    feed_accuracy: float | NDArray[np.float64],
    technical: NDArray[np.float64] | None = None,
    own: NDArray[np.float64] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """
    Return the balance of adjoining intervals, in `BALANCE_COLUMNS` but for the version.

    Parameters
    ----------
    feed : Feed
        k intervals; or (g, k) of g groups, as all that follows.
    members : Members
        The same intervals.
    feed_accuracy : float or ndarray of float64, shape (k,)
        Relative limit of error of the feed's meter and its transformers. [1]
    technical : ndarray of float64, shape (k,), optional
        Technical loss of the group's network; NaN where none is computed. [kWh or m³]
    own : ndarray of float64, shape (k,), optional
        Own consumption of the metering equipment. [kWh]

    Returns
    -------
    columns : dict of str to ndarray of float64, shape (k,)
        `feed` and `members` are given as far as they are known. `imbalance` is feed - members, negative where
        members generate, and NaN unless every member-hour is there: a partial sum is no balance. Percent is of
        the feed's magnitude, so that it has the imbalance's sign. `uncertainty` is a half-width, its
        independent parts added as squares: register at the edges, class of the feed, members. `unexplained` is
        imbalance - technical - own, known where the imbalance is; where no technical loss is computed it is still in it.
        `completeness` is what was measured: an estimate makes a balance possible, not complete. `estimated` is the share of
        the members' hours, or of the feed's where that is more; `doubtful` is the same of hours that are summed as
        uncertain: a magnet, a doubtful clock, a loss of power.
    """
    some = np.maximum(members.expected, 1)
    completeness = np.where(members.expected > 0, (members.present - members.estimated) / some, 0.0)
    guessed = np.where(members.expected > 0, members.estimated / some, 0.0)
    unsure = np.where(members.expected > 0, members.doubtful / some, 0.0)
    everything = (members.expected == members.present) & (members.expected > 0)
    imbalance = np.where(everything, feed.energy - members.energy, np.nan)
    known = ~np.isnan(imbalance)
    some_feed = known & (np.abs(feed.energy) > 0)
    magnitude = np.where(some_feed, np.abs(feed.energy), 1.0)
    lost = np.full(feed.energy.shape, np.nan) if technical is None else technical
    used = np.zeros(feed.energy.shape) if own is None else own
    doubt = np.sqrt(feed.doubt**2 + (feed_accuracy * feed.energy) ** 2 + members.doubt**2)
    return {
        "feed": feed.energy,
        "members": members.energy,
        "imbalance": imbalance,
        "imbalance_percent": np.where(some_feed, 100.0 * imbalance / magnitude, np.nan),
        "uncertainty": np.where(known, doubt, np.nan),
        "completeness": completeness,
        "estimated": guessed if feed.estimated is None else np.maximum(guessed, feed.estimated),
        "doubtful": unsure if feed.doubtful is None else np.maximum(unsure, feed.doubtful),
        "common": np.where(np.isnan(members.energy), np.nan, members.common),
        "generation": np.where(np.isnan(members.energy), np.nan, members.generation),
        "technical": lost,
        "own": used,
        "unexplained": imbalance - np.nan_to_num(lost) - used,
    }
