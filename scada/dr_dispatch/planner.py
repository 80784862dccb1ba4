"""From a group to the orders that leave: who the members are, what was reviewed, one order a concentrator."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.columns import Pairs
from scada.commands import TIMED, GroupOrder, LoadClass, Member, MemberState, ShedRequest
from scada.dr_dispatch import roll
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.roll import Roll, roll_of
from scada.site import IN_SERVICE, Directory, Load, LoadGroup, Module, ModuleState

UNKNOWN_MEMBER: Final = "not in the registry"
NAMED: Final = 20                       # so many obstacles and transformers are named in warnings


def freeze(directory: Directory, group: LoadGroup, now: int = 0) -> Roll:
    """Every member of a group as it stands in the registry now [ns, site time], with what would keep it from answering.

    A command addresses the whole group, so nobody is left out here: an obstacle says that a member will probably not
    answer, and takes its power out of the expected effect. What forbids a shed is a guard, and refuses the command.
    """
    found = roll_of(_rows(directory, group, now // (HOUR_S * NS)))
    found.seen(frozenset([-1]))         # what is made of it once is made here: a large group is frozen in a thread
    return found


def _rows(directory: Directory, group: LoadGroup, hour: int) -> Iterator[tuple[Member, int]]:
    modules, loads, concentrators = directory.module_of_eui, directory.load_of_eui, directory.concentrator
    for eui in group.members:
        module, load = modules.get(eui), loads.get(eui)
        concentrator = concentrators.get(module.concentrator) if module else None
        yield Member(
            eui=eui,
            device=module.name if module else f"{eui:016x}",
            concentrator=concentrator.name if concentrator else "",
            link_id=concentrator.link_id if concentrator else 0,
            index=module.index if module else 0,
            title=load.title if load else "",
            load_class=load.load_class if load else LoadClass.RED,
            rated_w=load.rated_w if load else 0.0,
            obstacle=_obstacle(module) if module and concentrator else UNKNOWN_MEMBER,
        ), _flags(directory, eui, load, hour)


def _obstacle(module: Module) -> str:
    if module.state is ModuleState.LOST:
        return "module lost"
    return "" if module.state in IN_SERVICE else f"module not in service: {module.state}"


def _flags(directory: Directory, eui: int, load: Load | None, hour: int) -> int:
    if load is None:
        return roll.NO_LOAD
    flags = roll.NEVER * load.never | roll.MANUAL * load.manual_restore
    for name in behind(directory, eui, load, hour):
        consumer = directory.consumer.get(name)
        flags |= roll.UNKNOWN_CONSUMER if consumer is None else roll.PROTECTED * consumer.protected
    return flags


def behind(directory: Directory, eui: int, load: Load, hour: int) -> set[str]:
    """Whose load it is, and who is metered by its module, now or from some day on: a load behind it is theirs too."""
    found = {load.consumer}
    for period in directory.meters_of_eui.get(eui, ()):
        point = directory.point.get(period.point)
        if point is not None and (period.valid_to is None or period.valid_to > hour):
            found.add(point.consumer)
    return found - {""}


def seen(members: Roll, link_up: Callable[[int], bool]) -> Roll:
    """The same members, with the concentrators that are not connected now."""
    return members.seen(frozenset(place for place, link in enumerate(members.links) if link and not link_up(link)))


def digest(group: LoadGroup, request: ShedRequest, members: Roll) -> str:
    """SHA-256 over what a person reviews and a command carries; what changes by the minute (obstacles) stays out."""
    reviewed = [
        request.group, group.number, group.epoch, int(group.load_class), request.off_for_s, int(request.action),
        request.level_w, members.digest.hex(),
    ]
    return hashlib.sha256(json.dumps(reviewed, separators=(",", ":")).encode()).hexdigest()


def warnings(members: Roll, directory: Directory, *, monitor_only: bool) -> tuple[str, ...]:
    """What a person should know before executing, though it forbids nothing."""
    found = []
    if monitor_only:
        found.append("monitor-only: nothing will be sent")
    found += [f"{count} of {len(members)} members: {obstacle}" for obstacle, count in _obstacles(members)[:NAMED]]
    if by_hand := int(np.count_nonzero(members.flags & roll.MANUAL)):
        found.append(f"{by_hand} loads must be switched on by hand afterwards")
    if len(members) and not members.reachable.any():
        found.append("no member is expected to answer now")
    blind = [name for name in transformers(members, directory) if not directory.transformer[name].meter]
    found += [f"transformer {name} has no meter: the effect will not be seen" for name in blind[:NAMED]]
    found += [
        f"concentrator {name} has no transformer in the registry: the effect will not be seen"
        for name in without_transformer(members, directory)[:NAMED]
    ]
    return tuple(found)


def _obstacles(members: Roll) -> list[tuple[str, int]]:
    """What keeps how many from answering, the most frequent first."""
    counts = np.bincount(members.obstacle, minlength=len(members.obstacles))
    found = [(text, int(count)) for text, count in zip(members.obstacles, counts, strict=True) if text and count]
    for place in members.down:
        free = int(np.count_nonzero(members.obstacle[members.part(place)] == 0))
        if free:
            found.append((roll.not_connected(members.names[place]), free))
    return sorted(found, key=lambda one: -one[1])


def transformers(members: Roll, directory: Directory) -> list[str]:
    """Transformers at which the effect of a shed shows."""
    names = {directory.concentrator[name].transformer for name in members.names if name}
    return sorted(names & directory.transformer.keys())


def without_transformer(members: Roll, directory: Directory) -> list[str]:
    """Concentrators of members whose transformer nobody knows."""
    known = directory.concentrator
    return sorted(name for name in members.names if name and known[name].transformer not in directory.transformer)


def expected_w(members: Roll) -> float:
    """Rated power of the members that can be reached. [W]"""
    return float(members.rated_w[members.reachable].sum())


def jitter(off_for_s: int, configured_s: int) -> int:
    """Spread of the restore: it lies inside `off_for`, and leaves at least half of it. [s]"""
    return min(configured_s, off_for_s // 2)


def orders(command: Command) -> Iterator[GroupOrder]:
    """One order a concentrator, over every member that can be addressed there and has not been given up."""
    members = command.members
    for place, link_id in enumerate(members.roll.links):
        share, chosen = members.shares[place], members.roll.pairs[place]
        if chosen is None or share.counts[MemberState.SELECTED] < len(share.state):
            part = members.roll.part(place)
            left = members.roll.addressable[part] & (share.state == MemberState.SELECTED)
            chosen = pairs(members.roll, place, left)
        if chosen:
            yield GroupOrder(
                command_id=command.id,
                link_id=link_id,
                group=command.number,
                epoch=command.epoch,
                action=command.action,
                load_class=command.load_class,
                off_for_s=command.off_for_s if command.action in TIMED else 0,
                not_after=command.not_after // NS,
                restore_jitter_s=command.jitter_s,
                repeat=command.repeat,
                members=chosen,
                level_w=command.level_w,
            )


def addressed(members: Roll) -> Iterator[tuple[int, Pairs]]:
    """Link id and members of every concentrator that an order can go to."""
    for place, link_id in enumerate(members.links):
        chosen = members.pairs[place] or pairs(members, place, members.addressable[members.part(place)])
        if chosen:
            yield link_id, chosen


def pairs(members: Roll, place: int, chosen: NDArray[np.bool_]) -> Pairs:
    """(index, EUI) of some members of one concentrator, by index."""
    part = members.part(place)
    return roll.pairs_of(members.indices[part][chosen], members.eui[part][chosen])
