"""What the desk shows as tags: a device for each load group, and one for the dispatcher as a whole."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import NS
from scada.commands import Action, MemberState
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.outages import Past
from scada.dr_dispatch.roll import Roll
from scada.dr_dispatch.status import status_of
from scada.ports import TagSink
from scada.site import LoadGroup
from scada.tags import Batch, Device, Quality, TagDef

FOLDER: Final = "Load groups"
DISPATCH: Final = Device(
    "Dispatch",
    (
        TagDef("monitor_only", title="Monitor-only: nothing is sent", digits=0),
        TagDef("active_commands", title="Commands not closed", digits=0),
    ),
    title="Demand response",
)
GROUP_TAGS: Final = (
    TagDef("members", title="Members", digits=0),
    TagDef("eligible", title="Members that could be shed now", digits=0),
    TagDef("off_now", title="Members off, or perhaps off", digits=0),
    TagDef("rated_w", unit="W", title="Rated power of the members that could be shed now", digits=0),
    TagDef("last_executed", title="Members that executed the last shed", digits=0),
    TagDef("last_refused", title="Members that refused the last shed", digits=0),
    TagDef("last_no_answer", title="Members without an answer to the last shed", digits=0),
    TagDef("last_shed_w", unit="W", title="Power the last shed took off, as measured", digits=0),
    TagDef("last_shed_uncertainty_w", unit="W", title="Uncertainty of that power", digits=0),
)


class Board:
    """Publishes what has changed, and nothing else."""

    def __init__(self, sink: TagSink) -> None:
        self._sink = sink
        self._shown: dict[str, NDArray[np.float64]] = {}
        self._known: dict[str, Device] = {}

    def define(self, groups: Sequence[LoadGroup]) -> None:
        for device in (DISPATCH, *(group_device(group) for group in groups)):
            if self._known.get(device.name) != device:
                self._known[device.name] = device
                self._sink.add_device(device)

    def refresh(self, monitor_only: bool, live: int, groups: Mapping[str, NDArray[np.float64]], now: int) -> None:
        """Show the dispatcher and every group as they are now."""
        self.show(DISPATCH.name, np.array([monitor_only, live], dtype=np.float64), now)
        for name, values in groups.items():
            self.show(name, values, now)

    def show(self, name: str, values: NDArray[np.float64], now: int) -> None:
        shown = self._shown.get(name)
        if shown is not None and np.array_equal(shown, values, equal_nan=True):
            return
        self._shown[name] = values
        quality = np.where(np.isnan(values), Quality.BAD_WAITING, Quality.GOOD).astype(np.uint8)
        self._sink.publish(Batch(name, values, quality, at=now, received=now))


def group_device(group: LoadGroup) -> Device:
    return Device(group.name, GROUP_TAGS, (FOLDER,), title=group.title, area=group.area)


def group_values(
    members: Roll, past: Past, min_on_s: int, barred: bool, last: Command | None, now: int
) -> NDArray[np.float64]:
    """
    Return the values of a group's tags, in the order of `GROUP_TAGS`.

    Parameters
    ----------
    members
        Of the group, as they are now.
    past
        When they were off.
    min_on_s
        Minimum on-time of the group. [s]
    barred
        Whether the group can never be shed as it is in the registry.
    last
        The group's newest shed; without one there is no last result (NaN).
    now
        Site time. [ns]
    """
    able = members.reachable & ~past.off(now, min_on_s * NS) & (not barred)
    results: tuple[float, ...] = (np.nan,) * 5
    if last is not None:
        counts = last.members.counts
        executed = counts[MemberState.EXECUTED] + counts[MemberState.RESTORED]
        results = (executed, counts[MemberState.REFUSED], counts[MemberState.NO_ANSWER], *status_of(last).measured_w)
    off = np.count_nonzero(past.off(now))
    power = members.rated_w[able].sum()
    return np.array([len(members), np.count_nonzero(able), off, power, *results], dtype=np.float64)


def last_shed(commands: Sequence[Command], group: str) -> Command | None:
    """The newest shed of a group; `commands` oldest first."""
    return next((one for one in reversed(commands) if one.group == group and one.action is Action.SHED), None)
