"""What a cumulative register says an interval brought: readings interpolated at the edges. Pure.

Integrated power is not energy; a register is, if one is careful with the instant of its readings.
"""

from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

NS_PER_HOUR: Final = 3600 * 10**9
TICK: Final = 300 * 10**9               # ns; a register that shows more than this time's flow at once began anew


@attrs.frozen
class Rates:
    """What a register can bring in an hour, forth and back; more is no flow but a register that was reset or replaced."""

    forth: float = np.inf                   # per hour
    back: float = np.inf                    # per hour; 0 for a counter, which never falls by itself

    def allow(
        self, step: NDArray[np.float64], hours: NDArray[Any], slack: NDArray[np.float64] | float = 0.0
    ) -> NDArray[np.bool_]:
        """Whether steps of a register (k,), give or take `slack`, fit into as many hours (k,); NaN does."""
        return ~((step > self.forth * hours + slack) | (-step > self.back * hours + slack))


ANY: Final = Rates()


@attrs.frozen(eq=False)
class Edges:
    """A register at instants: its reading and how far that may be off. NaN where it is not known."""

    reading: NDArray[np.float64]            # (k,)
    doubt: NDArray[np.float64]              # (k,) half-width, same unit


def at_edges(
    edges: NDArray[np.int64],
    earlier_at: NDArray[np.int64],
    earlier: NDArray[np.float64],
    later_at: NDArray[np.int64],
    later: NDArray[np.float64],
    resolution: float,
    longest_gap: int,
    rates: Rates = ANY,
) -> Edges:
    """
    Return a register at given instants, interpolated between the readings around each.

    Parameters
    ----------
    edges : ndarray of int64, shape (k,)
        The instants. [ns since 1970]
    earlier_at, later_at : ndarray of int64, shape (k,)
        When the nearest readings at or before, and at or after, each instant were taken. [ns since 1970]
    earlier, later : ndarray of float64, shape (k,)
        Those readings; NaN where there is none. [kWh or m³]
    resolution : float
        Smallest step the register shows. [kWh or m³]
    longest_gap : int
        Time between the two readings beyond which nothing is said. [ns]
    rates : Rates
        What the register can bring in an hour.

    Returns
    -------
    edges : Edges
        Linear between the readings. A register only moves one way between two readings close together, so
        at the edge it stood between them: the doubt is the distance to the farther one, which grows with
        the gap, plus the register's resolution.

    Raises
    ------
    ValueError
        If an edge does not lie between its readings.
    """
    if ((edges < earlier_at) | (edges > later_at))[~np.isnan(earlier + later)].any():
        raise ValueError("an edge lies outside the readings around it")
    gap = later_at - earlier_at
    share = np.where(gap > 0, (edges - earlier_at) / np.maximum(gap, 1), 0.0)
    step = later - earlier
    reading = earlier + share * step
    on_a_reading = (edges == earlier_at) | (edges == later_at)
    doubt = np.where(on_a_reading, 0.0, np.maximum(share, 1 - share) * np.abs(step)) + resolution
    # A register ticks in steps of its own, by the last digit times the transformers' ratio or whenever it is refreshed:
    # what is too much for a second may be right for some minutes.
    usable = (gap <= longest_gap) & rates.allow(step, np.maximum(gap, TICK) / NS_PER_HOUR, resolution)
    return Edges(np.where(usable, reading, np.nan), np.where(usable, doubt, np.nan))


@attrs.frozen(eq=False)
class Feed:
    """Energy fed in during intervals."""

    energy: NDArray[np.float64]             # (h,) NaN where an edge is not known
    doubt: NDArray[np.float64]              # (h,) half-width from reading the register, without its class
    estimated: NDArray[np.float64] | None = None    # (h,) share of each interval's hours that are estimates; None = none
    doubtful: NDArray[np.float64] | None = None     # (h,) and of those that are uncertain


def feed_between(start: Edges, end: Edges, hours: NDArray[np.int64], rates: Rates = ANY) -> Feed:
    """
    Return what flowed between two series of edges; negative where it flowed back.

    Parameters
    ----------
    start, end : Edges
        Register at the start and at the end of each interval, shape (h,).
    hours : ndarray of int64, shape (h,)
        Length of each interval. [h]
    rates : Rates
        What the register can bring in an hour.
    """
    energy = end.reading - start.reading
    doubt = np.hypot(start.doubt, end.doubt)
    plausible = rates.allow(energy, hours, np.nan_to_num(doubt))
    return Feed(np.where(plausible, energy, np.nan), np.where(plausible, doubt, np.nan))


def broken(edges: Edges, bounds: NDArray[np.int64], rates: Rates) -> NDArray[np.bool_]:
    """
    Return which intervals a register was reset or replaced in: their two ends alone would not show it.

    Parameters
    ----------
    edges : Edges
        Register at consecutive full hours, shape (h,).
    bounds : ndarray of int64, shape (k + 1,)
        Hours, as places in `edges`, where the k adjoining intervals begin, and where the last one ends.
    rates : Rates
        What the register can bring in an hour.
    """
    known = np.flatnonzero(~np.isnan(edges.reading))
    steps, hours = np.diff(edges.reading[known]), np.diff(known)
    impossible = ~rates.allow(steps, hours, np.hypot(edges.doubt[known[:-1]], edges.doubt[known[1:]]))
    first, last = known[:-1][impossible, None], known[1:][impossible, None]
    return np.asarray(((first < bounds[1:]) & (last > bounds[:-1])).any(axis=0))
