"""Consumption that never falls to zero: leaks of water, gas and heat, and what is always on in a home.

A night's flow is judged as utilities judge it (minimum night flow), but in whatever three hours are the quietest of a
day, for not everybody sleeps at night. A register that counts coarse steps shows a small flow only in some hours, so
the window grows to twice a step over the flow that is looked for: two steps or more then fall into every window of
such a leak, and its estimate is within one step over the window.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import DAY_H

WINDOW_H: Final = 3
NIGHTS: Final = 3
LEAST: Final = {"water": 0.005, "gas": 0.010, "heat": 0.05}    # looked for: 5 l/h; 10 l/h; 50 W for a day [m3/h], [kWh/h]


@attrs.frozen(eq=False)
class Flow:
    """Of n meters: what never stops."""

    least: NDArray[np.float64]              # (n, d) least mean of a window that begins in each day [unit/h]; NaN not known
    rate: NDArray[np.float64]               # (n,) mean of the least over the last known nights [unit/h]; NaN if too few
    doubt: NDArray[np.float64]              # (n,) half-width: one step over the window [unit/h]
    found: NDArray[np.bool_]                # (n,) a leak: some nights one after the other never fell below
    since: NDArray[np.int64]                # (n,) first day of those nights; -1
    window: NDArray[np.int64]               # (n,) [h]
    enough: NDArray[np.bool_]               # (n,) nights are known one after the other, and steps not too coarse
    high: NDArray[np.bool_]                 # (n, d) the night did not fall below what is looked for


@attrs.frozen(eq=False)
class Standing:
    """Of n meters: how it is at the end of the days that were looked at."""

    runs: NDArray[np.bool_]                 # (n,) a leak, and no night since it began fell below
    begun: NDArray[np.int64]                # (n,) first known day after the last one that fell below; -1
    stopped: NDArray[np.int64]              # (n,) first day that fell below after the last that did not; -1 = none


def leaks(
    hourly: NDArray[np.float64], resolution: NDArray[np.float64], least_rate: float, nights: int = NIGHTS
) -> Flow:
    """
    Return whose consumption never stops.

    Parameters
    ----------
    hourly : ndarray of float64, shape (n, h)
        Whole days of hours; NaN where missing. [m3 or kWh]
    resolution : ndarray of float64, shape (n,)
        One count of each register. [m3 or kWh]
    least_rate : float
        The flow to be found. [m3/h or kWh/h]
    nights : int
        One after the other.

    Returns
    -------
    flow : Flow

    Raises
    ------
    ValueError
        If these are not whole days, or nothing is looked for.

    Notes
    -----
    Finds every steady flow of `least_rate` or more. Blind where the window would be longer than a day: a step of 100 l
    and 5 l/h. What never stops is also a pump, a refrigerated cabinet, a circulating line: a leak is what was not there
    before.
    """
    if least_rate <= 0 or hourly.shape[1] % DAY_H or not hourly.shape[1]:
        raise ValueError(f"{hourly.shape[1]} hours and a rate of {least_rate}: whole days and more than 0 expected")
    window = np.maximum(WINDOW_H, np.ceil(2.0 * resolution / least_rate - 1e-9)).astype(np.int64)
    least = _least(hourly, np.minimum(window, DAY_H))
    step = resolution / np.minimum(window, DAY_H)
    enough = window <= DAY_H
    # whatever else is taken, a steady flow counts at least its whole steps in every window; rounding must not hide one
    steps = np.floor(least_rate * np.minimum(window, DAY_H) / np.maximum(resolution, 1e-12) + 1e-6)
    high = least >= (np.where(resolution > 0, steps * step, least_rate) * (1.0 - 1e-6))[:, None]
    known = np.isfinite(least)
    run, begun = _in_a_row(high, nights)
    enough &= _in_a_row(known, nights)[0]
    found = run & enough
    order = np.where(known, np.arange(least.shape[1]), -1)
    last = known & (order >= np.sort(order, axis=1)[:, -min(nights, order.shape[1]), None])
    number = last.sum(axis=1)
    rate = np.where(last, least, 0.0).sum(axis=1) / np.maximum(number, 1)
    rate = np.where(enough & (number >= nights), rate, np.nan)
    return Flow(least, rate, step, found, np.where(found, begun, -1), window, enough, high)


def standing(flow: Flow, nights: int = NIGHTS) -> Standing:
    """
    Return which leaks run still, since when, and when the others stopped.

    Parameters
    ----------
    flow : Flow
        Of n meters and d days.
    nights : int
        As for `leaks`.

    Notes
    -----
    One known night that falls below ends a leak, for a leak never rests; a night that is not known ends nothing.
    """
    days = np.arange(flow.least.shape[1])
    low, high = np.isfinite(flow.least) & ~flow.high, flow.high

    def last(of: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.asarray(np.where(of, days, -1).max(axis=1), dtype=np.int64)

    def first(of: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.asarray(np.where(of.any(axis=1), of.argmax(axis=1), -1), dtype=np.int64)

    lowest = last(low)
    since = high & (days > lowest[:, None])
    runs = _in_a_row(since, nights)[0] & flow.enough
    stopped = first(low & (days > last(high)[:, None]))
    return Standing(runs, first(since), stopped)


def _in_a_row(days: NDArray[np.bool_], number: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether so many days follow each other, and the first of the first such run; (n,)."""
    if days.shape[1] < number:
        return np.zeros(len(days), dtype=np.bool_), np.full(len(days), -1)
    runs = np.asarray(np.lib.stride_tricks.sliding_window_view(days, number, axis=1)).all(axis=-1)
    return np.asarray(runs.any(axis=-1)), np.asarray(runs.argmax(axis=-1), dtype=np.int64)


def _least(hourly: NDArray[np.float64], window: NDArray[np.int64]) -> NDArray[np.float64]:
    """The least mean of a window that begins in each day, (n, d); windows with a missing hour do not count."""
    count, hours = hourly.shape
    known = np.isfinite(hourly)
    sums = np.pad(np.cumsum(np.where(known, hourly, 0.0), axis=1), ((0, 0), (1, 0)))
    gaps = np.pad(np.cumsum(~known, axis=1), ((0, 0), (1, 0)))
    end = np.arange(hours) + window[:, None]
    inside = np.minimum(end, hours)
    mean = (np.take_along_axis(sums, inside, axis=1) - sums[:, :-1]) / window[:, None]
    whole = (end <= hours) & (np.take_along_axis(gaps, inside, axis=1) == gaps[:, :-1])
    least = np.where(whole, mean, np.inf).reshape(count, -1, DAY_H).min(axis=2)
    return np.where(np.isfinite(least), np.maximum(least, 0.0), np.nan)


def standby(
    hourly: NDArray[np.float64], resolution: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Return what is always on, and its share of what is taken.

    Parameters
    ----------
    hourly : ndarray of float64, shape (n, h)
        Whole days of hours; NaN where missing. [kWh]
    resolution : ndarray of float64, shape (n,)
        One count of each register. [kWh]

    Returns
    -------
    power, share : ndarray of float64, shape (n,)
        Median over days of the least mean of three hours (longer where the register is coarse against 20 W) [kW], and
        its part of the mean [1]. NaN where fewer than three days are known. Refrigerators are in it: a third to half
        of it or so.
    """
    window = np.clip(np.ceil(resolution / 0.02), WINDOW_H, DAY_H).astype(np.int64)
    least = _least(hourly, window)
    known = np.isfinite(least).sum(axis=1)
    some = known >= NIGHTS
    power = np.full(len(hourly), np.nan)
    power[some] = np.nanmedian(least[some], axis=1)
    there = np.isfinite(hourly)
    mean = np.where(there, hourly, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return power, np.where(mean > 0, power / np.where(mean > 0, mean, 1.0), np.nan)
