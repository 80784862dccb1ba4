"""What a study of phases is made from: members' hours as powers, sorted by their phases in the registry. Pure."""

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import Network
from scada.balancing.phases.homes import Home
from scada.balancing.phases.identify import LEAST_HOURS, MISSING, UNKNOWN, bridged
from scada.balancing.phases.orders import NAMES
from scada.balancing.phases.uneven import PHASES
from scada.phase_study import Lack, Unchecked
from scada.ports import Consumption
from scada.site import BalanceGroup, Directory
from scada.tags import BAD

MOST_MEMBERS: Final = 400               # of a study: what a low-voltage feeder has; the search goes with their square
W_PER_KWH: Final = 1000.0
INPUTS: Final = tuple(f"power_active_l{phase}" for phase in (1, 2, 3))
HOPELESS: Final = (Lack.NOT_ELECTRICITY, Lack.NO_CONSUMERS, Lack.TOO_LARGE, Lack.FEW_HOURS)


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
    fixed: NDArray[np.float64]              # (t, 3) members that nobody moves, each evenly over its phases [W]
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
    whole: bool = False                     # the feeder is all that the network's transformer feeds


def inputs(
    directory: Directory, members: Sequence[Home], found: Consumption, offset: NDArray[np.int64]
) -> Inputs:
    """
    Sort the members of a group of electricity.

    Parameters
    ----------
    directory : Directory
        The registry: a point's consumer says its phases.
    members : sequence of Home, length n
        Who counts in it in these hours.
    found : Consumption
        Their hours, h of them.
    offset : ndarray of int64, shape (h,)
        Of the site's time from UTC in each hour. [h]

    Returns
    -------
    inputs : Inputs
        Only consumers heard of in at least `LEAST_HOURS` hours, and hours in which at most a fifth of those is silent.
        With lacks where there is nothing to be studied.
    """
    power = W_PER_KWH * np.where(found.quality < BAD, found.values, np.nan)
    hours = found.first_hour + np.arange(power.shape[1], dtype=np.int64)
    phases = ["" if one.feeds else _phases(directory, one.point) for one in members]
    generates = np.array([one.sign < 0 for one in members], dtype=bool)
    always = np.array([one.spans == ((found.first_hour, found.first_hour + len(hours)),) for one in members], dtype=bool)
    several = np.array(
        [one.feeds or len(its) > len(NAMES[0]) for one, its in zip(members, phases, strict=True)], dtype=bool)
    heard = (~np.isnan(power)).sum(axis=1) >= LEAST_HOURS
    lasting = always & ~generates
    used = _used(power[lasting & heard])
    lacks = _lacks(lasting, several, heard, generates, used)
    local = (hours + offset)[used]
    one = np.flatnonzero(lasting & heard & ~several)
    raw = power[np.ix_(one, used)]
    points = tuple(found.points[index] for index in one)
    stay = np.flatnonzero(np.where(lasting, heard & several, True))
    taken = bridged(power[np.ix_(stay, used)].T, local % 24).T
    counts = np.array([members[index].counts(found.first_hour, len(hours)) for index in stay.tolist()])
    share = np.array([_share(phases[index]) for index in stay.tolist()]).reshape(-1, PHASES)
    return Inputs(
        points, tuple(_title(directory, name) for name in points),
        np.array([NAMES.index(phases[index]) if phases[index] else UNKNOWN for index in one], dtype=np.int64),
        hours[used], local, raw, bridged(raw.T, local % 24).T,
        (taken * counts.reshape(len(stay), len(hours))[:, used]).T @ share,
        float(np.isnan(raw).mean()) if raw.size else 0.0, lacks,
    )


def nothing(lacks: dict[Lack, tuple[int, ...]]) -> Inputs:
    """Nobody, because of that."""
    return Inputs(
        (), (), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 0)), np.zeros((0, 0)),
        np.zeros((0, PHASES)), 0.0, lacks,
    )


def feed_tags(group: BalanceGroup) -> tuple[str, ...]:
    """The tags of the feed's active powers by phase: of the meter that feeds this very group. Empty where none is named."""
    meter = group.feed_tag.partition("/")[0]
    return tuple(f"{meter}/{point}" for point in INPUTS) if meter else ()


# ---------------------------------------------------------------------- private
def _used(power: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(h,) hours in which enough of the consumers are known."""
    return np.asarray(np.isnan(power).mean(axis=0) <= MISSING) if len(power) else np.zeros(power.shape[1], dtype=bool)


def _lacks(
    lasting: NDArray[np.bool_], several: NDArray[np.bool_], heard: NDArray[np.bool_], generates: NDArray[np.bool_],
    used: NDArray[np.bool_],
) -> dict[Lack, tuple[int, ...]]:
    lacks: dict[Lack, tuple[int, ...]] = {}
    if not (lasting & ~several).any():
        lacks[Lack.NO_CONSUMERS] = ()
    counted = {
        Lack.SILENT: lasting & ~heard, Lack.THREE_PHASE: lasting & several, Lack.PASSING: ~lasting & ~generates,
        Lack.GENERATION: generates,
    }
    lacks.update({lack: (int(which.sum()),) for lack, which in counted.items() if which.any()})
    if (hours := int(np.count_nonzero(used))) < LEAST_HOURS:
        lacks[Lack.FEW_HOURS] = hours, LEAST_HOURS
    return lacks


def _share(phases: str) -> NDArray[np.float64]:
    """(3,) of a member that nobody moves: evenly over its phases, over all where none is known."""
    on = np.array([not phases or name in phases for name in NAMES], dtype=np.float64)
    return np.asarray(on / on.sum())


def _phases(directory: Directory, point: str) -> str:
    consumer = directory.consumer.get(directory.point[point].consumer)
    return consumer.phases if consumer is not None else ""


def _title(directory: Directory, point: str) -> str:
    one = directory.point[point]
    consumer = directory.consumer.get(one.consumer)
    return one.title or (consumer.title if consumer is not None else "")
