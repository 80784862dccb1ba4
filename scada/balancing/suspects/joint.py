"""Way 1: the imbalance explained by all members' profiles together, a constant and the square of the load.

A meter that registers the share a of what it should leaves k = (1 - a) / a of its own profile in the imbalance. All
profiles are regressed at once, because homes resemble each other: plain correlation of a profile with the imbalance
finds the busiest, not the guilty (`resemblance` stands beside the picture, nothing decides by it). The idea of
regressing the feeder's surplus on the members' readings is that of Yip et al., "Detection of energy theft and defective
smart meters in smart grids using linear regression", Int. J. Electr. Power Energy Syst. 91 (2017); the loss term,
weights and the gate on size are ours.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import DAY_H, Groups
from scada.balancing.suspects.linear import TINY, Fit, fit, level, weights

SURE: Final = 4.0                       # t at least
LARGE: Final = 0.10                     # k at least: less is class, clock and place on the line
LOSS_SPREAD: Final = 3.0                # a home loses up to so many times the square law's share
CONFIDENCE: Final = 1.645               # two-sided 90 %
MOST_LOSS: Final = 0.15
WEAK: Final = 2.0                       # prior sd of k: only there for meters that never move
LEAST_DAYS: Final = 7
SPARE_HOURS: Final = 48                 # usable hours over the number of coefficients


@attrs.frozen(eq=False)
class Explained:
    """What each member's profile explains of its group's imbalance. NaN where there is not enough data."""

    factor: NDArray[np.float64]             # (g, n) k: missing over registered [1]
    error: NDArray[np.float64]              # (g, n) standard error of k [1]
    t: NDArray[np.float64]                  # (g, n) k over its error
    score: NDArray[np.float64]              # (g, n) k over its error and the spread of honest members: to rank by
    energy: NDArray[np.float64]             # (g, n) k times what was registered in all hours [kWh or m3]
    half_width: NDArray[np.float64]         # (g, n) of its 90 % interval [kWh or m3]
    share: NDArray[np.float64]              # (g, n) of the group's imbalance, in usable hours [1]
    loss: NDArray[np.float64]               # (g,) energy of the square-law part over feed [1]
    gate: NDArray[np.float64]               # (g,) size that k must pass [1]
    alarm: NDArray[np.bool_]                # (g, n) sure and large
    enough: NDArray[np.bool_]               # (g,) days and hours suffice
    hours: NDArray[np.int64]                # (g,) usable
    fit: Fit


def design(groups: Groups, loss_term: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the columns (g, n + 1 or 2, h): members, a constant, the square of the feed; and the weights (g, h)."""
    mean = level(groups.feed, groups.usable)
    shared = [np.where(groups.usable, 1.0, 0.0)]
    if loss_term:
        shared.append(groups.feed**2 / mean[:, None])
    columns = np.concatenate([groups.seen, np.stack(shared, axis=1)], axis=1)
    return columns, weights(groups.feed, groups.usable)


def explained(groups: Groups, loss_term: bool | None = None) -> Explained:
    """
    Return way 1 for groups.

    Parameters
    ----------
    groups : Groups
        Hours of seven days or more. Hours in which the feed or a member is missing are left out.
    loss_term : bool, optional
        Whether to fit the square of the load; by default where no technical loss was computed and subtracted.

    Returns
    -------
    explained : Explained
        An alarm needs t > 4; k > 0.10, and more than three times the loss that the square law takes (at 10 % loss a
        home at the end of a loaded phase costs that much); and the lower end of k's interval over 0.10. The interval
        of the energy holds the regression's error and the spread of honest members' k, taken from the group's median
        deviation.

    Notes
    -----
    Valid for thefts in proportion to what is registered, hourly registers of 10-100 Wh, clocks within minutes. Blind to
    a meter that registers nothing or always the same, and to thefts by the hour: way 2 and `fused` look at those.
    """
    with_loss = groups.technical is None if loss_term is None else loss_term
    columns, weight = design(groups, with_loss)
    count = groups.real.shape[1]
    target = groups.imbalance
    own = groups.real.sum(axis=1)
    hours = groups.usable.sum(axis=1)
    freedom = hours - own - (2.0 if with_loss else 1.0)
    noise = np.einsum("gh,gh->g", weight, target**2) / np.maximum(hours, 1)     # more than the residual's
    precision = np.zeros(columns.shape[:2])
    precision[:, :count] = np.maximum(1e-3 * noise, TINY)[:, None] / WEAK**2
    solved = fit(columns, target, weight, precision, freedom)

    days = groups.usable.reshape(len(hours), -1, DAY_H).any(axis=2).sum(axis=1)
    enough = np.asarray((days >= LEAST_DAYS) & (freedom >= SPARE_HOURS))
    shown = groups.real & enough[:, None]
    factor, error = solved.coefficient[:, :count], solved.error[:, :count]
    fed = np.maximum(np.abs(groups.feed).sum(axis=1), TINY)
    loss = np.zeros(len(hours))
    if with_loss:
        loss = np.clip(solved.coefficient[:, -1] * columns[:, -1].sum(axis=1) / fed, 0.0, MOST_LOSS)
    gate = np.maximum(LARGE, LOSS_SPREAD * loss)
    t = factor / np.maximum(error, TINY)
    alarm = shown & (t > SURE) & (factor > gate[:, None]) & (factor - CONFIDENCE * error > LARGE)

    registered = groups.members.sum(axis=2)
    honest = _spread(factor, error, shown)[:, None]
    score = factor / np.sqrt(error**2 + honest**2 + TINY)
    spread = np.sqrt(error**2 + (honest * (1.0 + np.maximum(factor, 0.0))) ** 2)       # loss goes with what was taken
    missing = target.sum(axis=1)
    in_hours = np.einsum("gnh->gn", columns[:, :count]) * factor
    share = in_hours / np.where(np.abs(missing) > TINY, missing, np.nan)[:, None]
    factor, error, t, score, energy, half_width, share = (
        np.where(shown, values, np.nan)
        for values in (factor, error, t, score, factor * registered, CONFIDENCE * spread * registered, share)
    )
    return Explained(factor, error, t, score, energy, half_width, share, loss, gate, alarm, enough, hours, solved)


def _spread(factor: NDArray[np.float64], error: NDArray[np.float64], shown: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much k of honest members differs beyond its error, (g,): gain of their meters, and where they are on the line."""
    hidden = np.asarray(~shown.any(axis=1))
    values = np.where(shown, factor, np.nan)
    values[hidden] = 0.0
    middle = np.nanmedian(values, axis=1, keepdims=True)
    deviation = 1.4826 * np.nanmedian(np.abs(values - middle), axis=1)
    usual = np.nanmedian(np.where(hidden[:, None], 0.0, np.where(shown, error, np.nan)), axis=1)
    return np.asarray(np.sqrt(np.maximum(deviation**2 - usual**2, 0.0)), dtype=np.float64)


def resemblance(groups: Groups) -> NDArray[np.float64]:
    """
    Return the plain correlation of each member's profile with the imbalance, for the picture only.

    Returns
    -------
    correlation : ndarray of float64, shape (g, n)
        Over usable hours; NaN where a profile or the imbalance never changes, and for rows that are no members. [1]
    """
    number = np.maximum(groups.usable.sum(axis=1), 1)
    target = groups.imbalance
    target = np.where(groups.usable, target - target.sum(axis=1, keepdims=True) / number[:, None], 0.0)
    profile = groups.seen
    profile = np.where(groups.usable[:, None], profile - profile.sum(axis=2, keepdims=True) / number[:, None, None], 0.0)
    scale = np.sqrt(np.einsum("gnh,gnh->gn", profile, profile) * np.einsum("gh,gh->g", target, target)[:, None])
    product = np.einsum("gnh,gh->gn", profile, target)
    return np.asarray(product / np.where(groups.real & (scale > TINY), scale, np.nan), dtype=np.float64)
