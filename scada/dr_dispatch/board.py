"""What the desk shows as tags: a device for each load group, and one for the dispatcher as a whole."""

from collections.abc import Callable, Collection, Container, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import NS
from scada.commands import Action, MemberState
from scada.dr_dispatch import planner
from scada.dr_dispatch.book import Book
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.outages import Outage
from scada.dr_dispatch.status import status_of
from scada.ports import TagSink
from scada.site import Directory, LoadGroup
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

    def refresh(
        self, directory: Directory, book: Book, link_up: Callable[[int], bool], barred: Container[str], *,
        monitor_only: bool, now: int,
    ) -> None:
        """Show the dispatcher and every group as they are now; groups that are `barred` can never be shed."""
        outages, commands = book.outages(), book.all()
        self.show(DISPATCH.name, np.array([monitor_only, len(book.live())], dtype=np.float64), now)
        for group in directory.site.load_groups:
            members = planner.freeze(directory, group, link_up)
            eligible = [
                group.name not in barred
                and not member.obstacle
                and not resting(outages.get(member.eui, ()), now, group.min_on_s)
                for member in members
            ]
            off = [one.eui for one in members if resting(outages.get(one.eui, ()), now, 0)]
            last = last_shed(commands, group.name)
            self.show(group.name, group_values([one.rated_w for one in members], eligible, off, last), now)

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
    rated_w: Sequence[float], eligible: Sequence[bool], off: Collection[int], last: Command | None
) -> NDArray[np.float64]:
    """
    Return the values of a group's tags, in the order of `GROUP_TAGS`.

    Parameters
    ----------
    rated_w
        Rated power of each member. [W]
    eligible
        Whether each member could be shed now.
    off
        EUIs of the members that are, or may be, off.
    last
        The group's newest shed; without one there is no last result (NaN).
    """
    states = [progress.state for progress in last.members] if last else []
    executed = sum(state in (MemberState.EXECUTED, MemberState.RESTORED) for state in states)
    answers = (executed, states.count(MemberState.REFUSED), states.count(MemberState.NO_ANSWER))
    results = (*(answers if last else (np.nan,) * 3), *(status_of(last).measured_w if last else (np.nan,) * 2))
    able = np.array(eligible, dtype=bool)
    power = np.array(rated_w, dtype=np.float64)[able].sum()
    return np.array([len(rated_w), able.sum(), len(off), power, *results], dtype=np.float64)


def last_shed(commands: Sequence[Command], group: str) -> Command | None:
    """The newest shed of a group; `commands` oldest first."""
    return next((one for one in reversed(commands) if one.group == group and one.action is Action.SHED), None)


def resting(outages: Sequence[Outage], now: int, min_on_s: int) -> bool:
    """Whether a member is off or has come back too recently to be shed."""
    return any(outage.begin <= now < outage.end + min_on_s * NS for outage in outages)
