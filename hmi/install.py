"""What an installer sees of one module: who hears it and how well, and what each of its channels has counted. Pure."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

import attrs
import numpy as np

from hmi.encode import finite, milliseconds
from scada.clock import HOUR_S, NS
from scada.intervals import MISSING
from scada.ports import ChannelPulses
from scada.reads import OVER, ChannelReading, ReadMember, ReadTask
from scada.site import IN_SERVICE, UNIT_OF_MEDIUM, Directory, MeshNode, MeshView, MeterPeriod, Module, ModuleState

HOUR_NS: Final = HOUR_S * NS
MOST_CHANNELS: Final = 8
UNKNOWN: Final = "unknown"              # the state of a module that is neither planned nor heard


@attrs.frozen
class Heard:
    """A concentrator that hears the module."""

    concentrator: str
    rssi_dbm: float
    at: int                             # ns
    home: bool


@attrs.frozen
class ChannelSeen:
    channel: int
    period: MeterPeriod | None          # planned or installed here
    unit: str
    installed: bool
    pulses: int | None                  # register, by the newest read on demand, else at the start of the hour
    read_at: int                        # ns; 0 = never
    first_pulse: int                    # ns of the first that is known of the last day; 0 = none seen
    counted: int                        # pulses of the last day, as far as delivered


@attrs.frozen
class ModuleSeen:
    eui: int
    module: Module | None
    state: str
    link_up: bool
    node: MeshNode | None
    parent: str                         # name; "" where not known, or where nobody hears it
    heard: tuple[Heard, ...]            # the newest first
    channels: tuple[ChannelSeen, ...]
    asking: str                         # id of a read under way; "" = none

    @property
    def in_service(self) -> bool:
        return self.module is not None and self.module.state in IN_SERVICE


def seen(
    directory: Directory, views: Iterable[MeshView], eui: int, pulses: ChannelPulses | None, tasks: Sequence[ReadTask],
    confirmed: frozenset[str],
) -> ModuleSeen:
    """Everything that is known of a module; `confirmed` are the points whose dial was read at an installation."""
    module = directory.module_of_eui.get(eui)
    post = module.concentrator if module is not None else ""     # whoever stands in a module list is in the registry
    node, home, heard = None, None, []
    for view in views:
        mine = next((one for one in view.nodes if one.eui == eui), None) if view.concentrator == post else None
        if mine is not None:
            node, home = mine, view
            heard.append(Heard(view.concentrator, mine.rssi_up_dbm, mine.heard, True))
        heard += [Heard(view.concentrator, one.rssi_dbm, one.heard, False) for one in view.overheard if one.eui == eui]
    heard.sort(key=lambda one: -one.at)
    readings = sorted(_readings(tasks, post, eui), key=lambda one: one.at)
    asking = next((one.id for one in tasks if one.state not in OVER and _asks(one, post, eui)), "")
    channels = range(min(max(module.channels, 1), MOST_CHANNELS)) if module is not None else ()
    return ModuleSeen(
        eui, module, UNKNOWN if module is None else module.state.value, home is not None and home.link_up, node,
        _parent(directory, home, node), tuple(heard),
        tuple(_channel(directory, eui, one, pulses, readings, confirmed) for one in channels), asking,
    )


def _parent(directory: Directory, view: MeshView | None, node: MeshNode | None) -> str:
    if view is None or node is None or not node.level:
        return ""
    if node.parent == 0:
        return view.concentrator
    eui = directory.module_at.get((view.concentrator, node.parent))
    return directory.module_of_eui[eui].name if eui in directory.module_of_eui else str(node.parent)


def _members(task: ReadTask, concentrator: str, eui: int) -> Iterable[ReadMember]:
    """The module's own part in a read of perhaps a whole city."""
    shares = (share for share in task.shares if share.concentrator == concentrator)
    return (member for share in shares for member in share.members if member.eui == eui)


def _asks(task: ReadTask, concentrator: str, eui: int) -> bool:
    return any(True for _ in _members(task, concentrator, eui))


def _readings(tasks: Sequence[ReadTask], concentrator: str, eui: int) -> Iterable[ChannelReading]:
    for task in tasks:
        for member in _members(task, concentrator, eui):
            yield from (one for one in member.readings if one.code == "OK")


def _channel(
    directory: Directory, eui: int, channel: int, pulses: ChannelPulses | None, readings: Sequence[ChannelReading],
    confirmed: frozenset[str],
) -> ChannelSeen:
    periods = directory.meters_of_eui.get(eui, ())
    period = next((one for one in periods if one.channel == channel and one.valid_to is None), None)
    point = directory.point.get(period.point) if period is not None else None
    mine = [one for one in readings if one.channel == channel]
    register, read_at = (mine[-1].pulses, mine[-1].at) if mine else (None, 0)
    counted, first = 0, 0
    if pulses is not None and channel < len(pulses.counts):
        counts = np.where(pulses.counts[channel] == MISSING, 0, pulses.counts[channel])
        counted = int(counts.sum())
        if counted:
            first = (pulses.first_hour + int(np.argmax(counts > 0)) + 1) * HOUR_NS
        if register is None and pulses.register[channel] != MISSING:
            register = int(pulses.register[channel])
            read_at = (pulses.first_hour + pulses.counts.shape[1]) * HOUR_NS
    moved = next((after.at for before, after in pairwise(mine) if after.pulses != before.pulses), 0)
    serves = directory.module_of_eui[eui].state in IN_SERVICE - {ModuleState.COMMISSIONING}
    installed = period is not None and (period.point in confirmed or (serves and period.start_register is not None))
    return ChannelSeen(
        channel, period, UNIT_OF_MEDIUM[point.medium] if point is not None else "", installed, register, read_at,
        min(one for one in (first, moved) if one) if first or moved else 0, counted,
    )


def encoded(found: ModuleSeen) -> dict[str, Any]:
    """As the API and the page's script have it."""
    module, node = found.module, found.node
    return {
        "eui": f"{found.eui:016x}", "name": module.name if module else "", "state": found.state,
        "concentrator": module.concentrator if module else "", "link_up": found.link_up, "parent": found.parent,
        "level": (node.level or None) if node else None,
        "rssi_down_dbm": finite(node.rssi_down_dbm) if node else None,
        "rssi_up_dbm": finite(node.rssi_up_dbm) if node else None,
        "delivery_percent": finite(node.delivery * 100) if node else None,
        "heard_ms": milliseconds(node.heard) if node else 0,
        "heard_by": [
            {"concentrator": one.concentrator, "rssi_dbm": finite(one.rssi_dbm), "at_ms": milliseconds(one.at),
             "home": one.home}
            for one in found.heard
        ],
        "asking": found.asking,
        "channels": [
            {
                "channel": one.channel, "point": one.period.point if one.period else "",
                "serial": one.period.serial if one.period else "",
                "pulses_per_unit": one.period.pulses_per_unit if one.period else None, "installed": one.installed,
                "pulses": one.pulses, "read_ms": milliseconds(one.read_at), "counted_24h": one.counted,
                "first_pulse_ms": milliseconds(one.first_pulse),
            }
            for one in found.channels
        ],
    }
