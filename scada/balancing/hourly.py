"""The balance of a group: what was fed in, what the members took, and how sure the difference is. Pure.

Energy here is kWh or m³, whatever the group's medium is. Intervals are hours, or site days of 23, 24 or 25 of them.
"""

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.register import Feed
from scada.tags import BAD


@attrs.frozen(eq=False)
class Members:
    """What the members of a group took during intervals, as far as it was delivered."""

    energy: NDArray[np.float64]             # (k,) sum of what is present; NaN where nothing is
    doubt: NDArray[np.float64]              # (k,) half-width
    present: NDArray[np.int64]              # (k,) member-hours that are present
    expected: NDArray[np.int64]             # (k,) member-hours there should be


def members_over(
    values: NDArray[np.float64],
    quality: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    accuracy: float,
    resolution: NDArray[np.float64],
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
    accuracy : float
        Relative limit of error of a member's meter (0.01 for class 1): one and the same error in every hour
        of an interval, independent between meters. [1]
    resolution : ndarray of float64, shape (n,)
        One pulse of each member: an interval may lack a part of one at its start and its end. [kWh or m³]
    """
    usable = ((quality < BAD) & ~np.isnan(values))[:, : bounds[-1]]
    taken = np.where(usable, values[:, : bounds[-1]], 0.0)
    each = np.add.reduceat(taken, bounds[:-1], axis=1)                      # (n, k): per meter, before squaring
    present = np.add.reduceat(usable.astype(np.int64), bounds[:-1], axis=1)
    squares = (accuracy * each) ** 2 + np.where(present > 0, resolution[:, None] ** 2, 0.0)
    total = present.sum(axis=0)
    return Members(
        energy=np.where(total > 0, each.sum(axis=0), np.nan),
        doubt=np.sqrt(squares.sum(axis=0)),
        present=total,
        expected=len(values) * np.diff(bounds),
    )


def balance(feed: Feed, members: Members, feed_accuracy: float) -> dict[str, NDArray[np.float64]]:
    """
    Return the balance of adjoining intervals, in `BALANCE_COLUMNS` but for the version.

    Parameters
    ----------
    feed : Feed
        k intervals.
    members : Members
        The same intervals.
    feed_accuracy : float
        Relative limit of error of the feed's meter and its transformers. [1]

    Returns
    -------
    columns : dict of str to ndarray of float64, shape (k,)
        `feed` and `members` are given as far as they are known. `imbalance` is feed - members, negative where
        members generate, and NaN unless every member-hour is there: a partial sum is no balance. Percent is of
        the feed's magnitude, so that it has the imbalance's sign. `uncertainty` is a half-width, its
        independent parts added as squares: register at the edges, class of the feed, members.
    """
    completeness = np.where(members.expected > 0, members.present / np.maximum(members.expected, 1), 0.0)
    imbalance = np.where(members.expected == members.present, feed.energy - members.energy, np.nan)
    known = ~np.isnan(imbalance)
    some_feed = known & (np.abs(feed.energy) > 0)
    magnitude = np.where(some_feed, np.abs(feed.energy), 1.0)
    doubt = np.sqrt(feed.doubt**2 + (feed_accuracy * feed.energy) ** 2 + members.doubt**2)
    return {
        "feed": feed.energy,
        "members": members.energy,
        "imbalance": imbalance,
        "imbalance_percent": np.where(some_feed, 100.0 * imbalance / magnitude, np.nan),
        "uncertainty": np.where(known, doubt, np.nan),
        "completeness": completeness,
    }
