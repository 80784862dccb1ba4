"""Who counts in a group in which hour, as arrays: memberships, classes of meters, what the metering itself takes. Pure."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scada.balancing.hourly import Members
from scada.balancing.register import Feed
from scada.site import Directory
from scada.site_groups import EVER, Span, Sum, common

METER_ACCURACY: Final = 0.01            # class 1, of a meter of which nothing else is known
W_PER_KW: Final = 1000.0
Spans: TypeAlias = Sequence[tuple[int, int, int]] | NDArray[np.int64]


def running(spans: Spans, rows: int, first: int, count: int) -> NDArray[np.int64]:
    """
    Return how many spans run in each row and hour.

    Parameters
    ----------
    spans : sequence of (row, first hour, hour behind the last), or an array of them, (s, 3)
        [h since 1970]
    rows, first, count : int
        Shape of what is returned, and its first hour. [1], [h since 1970], [h]

    Returns
    -------
    running : ndarray of int64, shape (rows, count)
    """
    edges = np.zeros((rows, count + 1), dtype=np.int64)
    if len(spans):
        row, begin, end = np.array(spans, dtype=np.int64).T
        np.add.at(edges, (row, np.clip(begin - first, 0, count)), 1)
        np.add.at(edges, (row, np.clip(end - first, 0, count)), -1)
    return np.asarray(np.cumsum(edges, axis=1)[:, :count])


def accuracy_of(directory: Directory, points: Sequence[str], first: int, count: int) -> float | NDArray[np.float64]:
    """(n, count) relative limits of error by the class of the meter that hung there; one number if all are of class 1."""
    found = classes(directory, points)
    return METER_ACCURACY if found is None else limits(found, len(points), first, count)


def classes(directory: Directory, points: Sequence[str]) -> NDArray[np.float64] | None:
    """(c, 4) row, first hour, hour behind the last and limit of error of each meter; None if all are of class 1."""
    found = [
        (row, one.valid_from, EVER if one.valid_to is None else one.valid_to, one.accuracy_class / 100.0)
        for row, point in enumerate(points) for one in directory.meters_of_point.get(point, ())
    ]
    return None if all(one[3] == METER_ACCURACY for one in found) else np.array(found, dtype=np.float64)


def limits(meters: NDArray[np.float64], rows: int, first: int, count: int) -> NDArray[np.float64]:
    """(rows, count) limits of error by hour of what `classes` found; that of class 1 where no meter hung."""
    # Of each row's periods, which do not overlap, hours hold the number; 0 where no meter hung.
    row, begin, end = meters[:, :3].astype(np.int64).T
    edges = np.zeros((rows, count + 1), dtype=np.int64)
    number = 1 + np.arange(len(meters), dtype=np.int64)
    np.add.at(edges, (row, np.clip(begin - first, 0, count)), number)
    np.add.at(edges, (row, np.clip(end - first, 0, count)), -number)
    known = np.concatenate(([METER_ACCURACY], meters[:, 3]))
    return np.asarray(known[np.cumsum(edges, axis=1)[:, :count]])


def own_consumption(directory: Directory, whole: Sum, first: int, count: int) -> NDArray[np.float64]:
    """(count,) what the metering equipment of a group takes, and of groups in it that have no feed of their own. [kWh]"""
    power = np.zeros(count)
    for group, spans in whole.own:
        if group.metering_w:
            power += group.metering_w * running([(0, *span) for span in spans], 1, first, count)[0]
        if group.metering_w_each:
            power += group.metering_w_each * running(_hanging(directory, group.name, spans), 1, first, count)[0]
    return power / W_PER_KW


def registers_over(
    hourly: Feed, entire: Feed, active: NDArray[np.bool_], sign: NDArray[np.int64], shared: NDArray[np.bool_],
    bounds: NDArray[np.int64],
) -> Members:
    """
    Return what child groups took by the registers that feed them, over adjoining intervals of whole hours.

    Parameters
    ----------
    hourly : Feed
        (r, h) by hour.
    entire : Feed
        (r, k) by interval, from the register at its two ends; it is known also where an hour inside is not.
    active : ndarray of bool, shape (r, h)
        Hours in which each counts.
    sign : ndarray of int64, shape (r,)
        -1 for generation.
    shared : ndarray of bool, shape (r,)
        Common needs.
    bounds : ndarray of int64, shape (k + 1,)
        Hours where the k intervals begin, and where the last one ends.
    """
    def over(columns: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.add.reduceat(columns, bounds[:-1], axis=1))

    known = active & ~np.isnan(hourly.energy)
    wanted = over(active.astype(np.float64)).astype(np.int64)
    whole = (wanted == np.diff(bounds)) & ~np.isnan(entire.energy)
    each = np.where(whole, entire.energy, over(np.where(known, hourly.energy, 0.0)))
    doubt = np.where(whole, entire.doubt, np.sqrt(over(np.where(known, hourly.doubt, 0.0) ** 2)))
    present = np.where(whole, wanted, over(known.astype(np.float64)).astype(np.int64))
    total = present.sum(axis=0)
    signs = sign.astype(np.float64)
    return Members(
        energy=np.where(total > 0, signs @ each, np.nan),
        doubt=np.sqrt((doubt**2 + (METER_ACCURACY * each) ** 2).sum(axis=0)),
        present=total,
        expected=wanted.sum(axis=0),
        estimated=np.zeros(len(total), dtype=np.int64),
        common=(signs * shared) @ each,
        generation=(signs < 0).astype(np.float64) @ each,
        doubtful=np.zeros(len(total), dtype=np.int64),
    )


def _hanging(directory: Directory, group: str, spans: Sequence[Span]) -> list[tuple[int, int, int]]:
    """The hours of each meter that hangs at a member of a group itself."""
    return [
        (0, first, last)
        for one in directory.members_of_group.get(group, ())
        for period in directory.meters_of_point.get(one.member, ())
        for first, last in common(
            common(spans, [(one.valid_from, EVER if one.valid_to is None else one.valid_to)]),
            [(period.valid_from, EVER if period.valid_to is None else period.valid_to)],
        )
    ]
