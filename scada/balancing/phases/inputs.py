"""What a study of phases is made from: members' hours as powers, sorted by their phases in the registry. Pure."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import Network
from scada.balancing.phases.identify import LEAST_HOURS, MISSING, UNKNOWN, bridged
from scada.balancing.phases.orders import NAMES
from scada.balancing.phases.uneven import PHASES
from scada.phase_study import Lack, Unchecked
from scada.ports import Consumption
from scada.site import BalanceGroup, Directory, Medium
from scada.tags import BAD

MOST_MEMBERS: Final = 400               # of a study: what a low-voltage feeder has; the search goes with their square
W_PER_KWH: Final = 1000.0
INPUTS: Final = tuple(f"power_active_l{phase}" for phase in (1, 2, 3))


@attrs.frozen(eq=False)
class Inputs:
    """n consumers of one phase, over t hours in which enough of them are known."""

    points: tuple[str, ...]
    titles: tuple[str, ...]
    registered: NDArray[np.int64]           # (n,) UNKNOWN where the registry says nothing
    hours: NDArray[np.int64]                # (t,) h since 1970
    local: NDArray[np.int64]                # (t,) the same in the site's own time
    raw: NDArray[np.float64]                # (n, t) NaN where missing [W]
    profiles: NDArray[np.float64]           # (n, t) with what is usual in that hour of the day where missing [W]
    three: NDArray[np.float64]              # (t, 3) what consumers of three phases take, evenly [W]
    filled: float
    lacks: dict[Lack, tuple[int, ...]]


@attrs.frozen(eq=False)
class Given:
    """All that a study is made from; h hours, p service points."""

    of: Inputs
    feeder: NDArray[np.float64] | None      # (h, 3) NaN where missing; None without a meter [W]
    imbalance: NDArray[np.float64]          # (h,) NaN where it is not whole [kWh]
    lost: NDArray[np.float64]               # (h,) losses and the metering's own consumption, to be deducted [kWh]
    computed: NDArray[np.bool_]             # (h,) by power flow; else the normal share of the feed
    network: Network | None
    active: NDArray[np.float64]             # (h, p) of its service points, gaps filled; (h, 0) without a network [W]
    unchecked: Unchecked | None             # why there is none


def inputs(directory: Directory, group: BalanceGroup, found: Consumption, offset: NDArray[np.int64]) -> Inputs:
    """
    Sort a group's members.

    Parameters
    ----------
    directory : Directory
        The registry: a point's consumer says its phases.
    group : BalanceGroup
        Of electricity.
    found : Consumption
        Hours of `group.members`, h of them.
    offset : ndarray of int64, shape (h,)
        Of the site's time from UTC in each hour. [h]

    Returns
    -------
    inputs : Inputs
        Only members heard of in at least `LEAST_HOURS` hours, and hours in which at most a fifth of those is silent.
        With lacks where there is nothing to be studied.
    """
    lacks: dict[Lack, tuple[int, ...]] = {}
    power = W_PER_KWH * np.where(found.quality < BAD, found.values, np.nan)
    hours = found.first_hour + np.arange(power.shape[1], dtype=np.int64)
    phases = [_phases(directory, name) for name in found.points]
    heard = (~np.isnan(power)).sum(axis=1) >= LEAST_HOURS
    three = np.array([len(one) > len(NAMES[0]) for one in phases], dtype=bool)
    if group.medium is not Medium.ELECTRICITY:
        lacks[Lack.NOT_ELECTRICITY] = ()
    elif not len(phases) or three.all():
        lacks[Lack.NO_CONSUMERS] = ()
    elif len(phases) > MOST_MEMBERS:
        lacks[Lack.TOO_LARGE] = len(phases), MOST_MEMBERS
    if silent := int(np.count_nonzero(~heard)):
        lacks[Lack.SILENT] = (silent,)
    if three.any():
        lacks[Lack.THREE_PHASE] = (int(three.sum()),)
    used = np.isnan(power[heard]).mean(axis=0) <= MISSING if heard.any() else np.zeros(len(hours), dtype=bool)
    if np.count_nonzero(used) < LEAST_HOURS and Lack.NOT_ELECTRICITY not in lacks:
        lacks[Lack.FEW_HOURS] = int(np.count_nonzero(used)), LEAST_HOURS
    local = (hours + offset)[used]
    one, several = np.flatnonzero(heard & ~three), np.flatnonzero(heard & three)
    raw = power[np.ix_(one, used)]
    even = bridged(power[np.ix_(several, used)].T, local % 24).sum(axis=1) / PHASES
    points = tuple(found.points[index] for index in one)
    return Inputs(
        points, tuple(_title(directory, name) for name in points),
        np.array([NAMES.index(phases[index]) if phases[index] else UNKNOWN for index in one], dtype=np.int64),
        hours[used], local, raw, bridged(raw.T, local % 24).T,
        np.repeat(even[:, None], PHASES, axis=1), float(np.isnan(raw).mean()) if raw.size else 0.0, lacks,
    )


def feed_tags(directory: Directory, group: BalanceGroup) -> tuple[str, ...]:
    """The tags of the feed's active powers by phase: of the transformer's own meter. Empty where none is named."""
    transformer = directory.transformer.get(group.transformer)
    return tuple(f"{transformer.meter}/{point}" for point in INPUTS) if transformer and transformer.meter else ()


def _phases(directory: Directory, point: str) -> str:
    consumer = directory.consumer.get(directory.point[point].consumer)
    return consumer.phases if consumer is not None else ""


def _title(directory: Directory, point: str) -> str:
    one = directory.point[point]
    consumer = directory.consumer.get(one.consumer)
    return one.title or (consumer.title if consumer is not None else "")
