"""Who counts in a group, as columns for sums of many groups at once; made once for each content of the registry. Pure."""

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.counting import METER_ACCURACY, classes, limits, running
from scada.site import BalanceGroup, Directory, MemberRole
from scada.site_groups import ALWAYS, Part, Sum, sum_of

MADE_FROM: Final = ("balance_groups", "balance_members", "points", "meters")      # of a site


@attrs.frozen(eq=False)
class Columns:
    """The n points that count in one group, and what else does."""

    whole: Sum
    points: tuple[str, ...]
    known: NDArray[np.bool_]                # (n,) the registry has them; others are expected and never present
    sign: NDArray[np.int64]                 # (n,) -1 for generation
    shared: NDArray[np.bool_]               # (n,) common needs
    resolution: NDArray[np.float64]         # (n,) coarsest pulse of the meters a point ever had [kWh or m³]
    spans: NDArray[np.int64] | None         # (s, 3) row, first hour, hour behind the last; None: all always count
    accuracy: NDArray[np.float64]           # (n,) relative limit of error, of the first meter of each point
    classes: NDArray[np.float64] | None     # (c, 4) row, first hour, hour behind the last, limit of error; None: as it was
    registers: tuple[Part, ...]             # child feeds that are registers
    own: bool                               # metering equipment takes something


class Roster:
    """Columns of groups, each made when it is asked for first."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._made: dict[str, Columns] = {}

    def fits(self, directory: Directory) -> bool:
        """Whether nothing that columns are made from has changed."""
        mine, site = self._directory.site, directory.site
        return all(getattr(mine, kind) is getattr(site, kind) for kind in MADE_FROM)

    def of(self, group: BalanceGroup) -> Columns:
        found = self._made.get(group.name)
        if found is None:
            found = self._made[group.name] = columns(self._directory, group)
        return found


def columns(directory: Directory, group: BalanceGroup) -> Columns:
    """Return the columns of a group."""
    whole = sum_of(directory, group)
    parts = [part for part in whole.parts if part.counting]
    points = [part for part in parts if part.point]
    names = tuple(part.point for part in points)
    always = all(part.counting == ALWAYS for part in points)
    spans = np.array([(row, *span) for row, part in enumerate(points) for span in part.counting], dtype=np.int64)
    return Columns(
        whole, names,
        np.array([name in directory.point for name in names], dtype=np.bool_),
        signs(points), shared(points),
        np.array([pulse(directory, name) for name in names], dtype=np.float64),
        None if always else spans.reshape(-1, 3),
        *_accuracy(classes(directory, names), len(names)),
        tuple(part for part in parts if not part.point),
        any(one.metering_w or one.metering_w_each for one, _ in whole.own),
    )


def _accuracy(
    found: NDArray[np.float64] | None, points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Of each point, and all of it where meters of different classes hung at one point in turn."""
    each = np.full(points, METER_ACCURACY)
    if found is None:
        return each, None
    row = found[::-1, 0].astype(np.intp)
    each[row] = found[::-1, 3]                              # the first one of a point is written last
    return each, found if (each[found[:, 0].astype(np.intp)] != found[:, 3]).any() else None


def active_in(groups: Sequence[Columns], start: NDArray[np.int64], first: int, count: int) -> NDArray[np.bool_] | None:
    """(n, count) hours in which each point of groups, whose rows begin at `start`, counts; None: all of them always do."""
    if all(one.spans is None for one in groups):
        return None
    active = np.ones((int(start[-1]), count), dtype=np.bool_)
    for one, begin in zip(groups, start.tolist(), strict=False):
        if one.spans is not None:
            rows = len(one.points)
            active[begin:begin + rows] = running(one.spans, rows, first, count) > 0
    return active


def accuracy_in(groups: Sequence[Columns], start: NDArray[np.int64], first: int, count: int) -> float | NDArray[np.float64]:
    """(n, count) or (n, 1) relative limits of error likewise; one number if all meters are of class 1."""
    steady = np.concatenate([one.accuracy for one in groups])
    if all(one.classes is None for one in groups):
        return METER_ACCURACY if (steady == METER_ACCURACY).all() else steady[:, None]
    limit = np.repeat(steady[:, None], count, axis=1)
    for one, begin in zip(groups, start.tolist(), strict=False):
        if one.classes is not None:
            rows = len(one.points)
            limit[begin:begin + rows] = limits(one.classes, rows, first, count)
    return limit


def signs(parts: Sequence[Part]) -> NDArray[np.int64]:
    return np.array([part.sign for part in parts], dtype=np.int64)


def shared(parts: Sequence[Part]) -> NDArray[np.bool_]:
    return np.array([part.role is MemberRole.COMMON for part in parts], dtype=np.bool_)


def pulse(directory: Directory, point: str) -> float:
    """The coarsest pulse of the meters a point ever had. [kWh or m³]"""
    periods = directory.meters_of_point.get(point, ())
    return max((1.0 / period.pulses_per_unit for period in periods), default=0.0)
