"""From a group to the orders that leave: who the members are, what was reviewed, one order a concentrator."""

import hashlib
import json
from collections.abc import Callable
from typing import Final

from scada.clock import NS
from scada.commands import Action, GroupOrder, LoadClass, Member, MemberState, ShedRequest
from scada.dr_dispatch.command import Command, Progress
from scada.site import IN_SERVICE, Directory, LoadGroup, ModuleState

UNKNOWN_MEMBER: Final = "not in the registry"


def freeze(directory: Directory, group: LoadGroup, link_up: Callable[[int], bool]) -> tuple[Member, ...]:
    """Every member of a group as it stands in the registry now, with what would keep it from being reached.

    A command addresses the whole group, so nobody is left out here: an obstacle says that a member will probably not
    answer, and takes its power out of the expected effect. What forbids a shed is a guard, and refuses the command.
    """
    members = []
    for eui in group.members:
        module, load = directory.module_of_eui.get(eui), directory.load_of_eui.get(eui)
        concentrator = directory.concentrator.get(module.concentrator) if module else None
        if module is None or concentrator is None:
            obstacle = UNKNOWN_MEMBER
        elif module.state is ModuleState.LOST:
            obstacle = "module lost"
        elif module.state not in IN_SERVICE:
            obstacle = f"module not in service: {module.state}"
        elif not link_up(concentrator.link_id):
            obstacle = f"{concentrator.name} not connected"
        else:
            obstacle = ""
        members.append(
            Member(
                eui=eui,
                device=module.name if module else f"{eui:016x}",
                concentrator=concentrator.name if concentrator else "",
                link_id=concentrator.link_id if concentrator else 0,
                index=module.index if module else 0,
                title=load.title if load else "",
                load_class=load.load_class if load else LoadClass.RED,
                rated_w=load.rated_w if load else 0.0,
                obstacle=obstacle,
            )
        )
    return tuple(members)


def digest(group: LoadGroup, request: ShedRequest, members: tuple[Member, ...]) -> str:
    """SHA-256 over what a person reviews and a command carries; what changes by the minute (obstacles) stays out."""
    reviewed = [
        request.group,
        group.number,
        group.epoch,
        int(group.load_class),
        request.off_for_s,
        [[member.eui, member.link_id, member.index, int(member.load_class), member.rated_w] for member in members],
    ]
    return hashlib.sha256(json.dumps(reviewed, separators=(",", ":")).encode()).hexdigest()


def progress(members: tuple[Member, ...], directory: Directory) -> tuple[Progress, ...]:
    """The members at the start of a command."""
    loads = directory.load_of_eui
    return tuple(Progress(one, manual=one.eui in loads and loads[one.eui].manual_restore) for one in members)


def warnings(members: tuple[Member, ...], directory: Directory, *, monitor_only: bool) -> tuple[str, ...]:
    """What a person should know before executing, though it forbids nothing."""
    found = []
    if monitor_only:
        found.append("monitor-only: nothing will be sent")
    obstacles: dict[str, int] = {}
    for member in members:
        if member.obstacle:
            obstacles[member.obstacle] = obstacles.get(member.obstacle, 0) + 1
    found += [f"{count} of {len(members)} members: {obstacle}" for obstacle, count in obstacles.items()]
    if by_hand := sum(one.manual for one in progress(members, directory)):
        found.append(f"{by_hand} loads must be switched on by hand afterwards")
    if members and all(member.obstacle for member in members):
        found.append("no member is expected to answer now")
    found += [
        f"transformer {name} has no meter: the effect will not be seen"
        for name in transformers(members, directory) if not directory.transformer[name].meter
    ]
    found += [
        f"concentrator {name} has no transformer in the registry: the effect will not be seen"
        for name in without_transformer(members, directory)
    ]
    return tuple(found)


def transformers(members: tuple[Member, ...], directory: Directory) -> list[str]:
    """Transformers at which the effect of a shed shows."""
    names = {directory.concentrator[one.concentrator].transformer for one in members if one.concentrator}
    return sorted(names & directory.transformer.keys())


def without_transformer(members: tuple[Member, ...], directory: Directory) -> list[str]:
    """Concentrators of members whose transformer nobody knows."""
    names = {one.concentrator for one in members if one.concentrator}
    return sorted(name for name in names if directory.concentrator[name].transformer not in directory.transformer)


def expected_w(members: tuple[Member, ...]) -> float:
    """Rated power of the members that can be reached. [W]"""
    return sum(member.rated_w for member in members if not member.obstacle)


def jitter(off_for_s: int, configured_s: int) -> int:
    """Spread of the restore: it lies inside `off_for`, and leaves at least half of it. [s]"""
    return min(configured_s, off_for_s // 2)


def orders(command: Command) -> tuple[GroupOrder, ...]:
    """One order a concentrator, over every member that can be addressed there and has not been given up."""
    of_link: dict[int, list[tuple[int, int]]] = {}
    for progress in command.members:
        member = progress.member
        if member.link_id and member.index and progress.state is MemberState.SELECTED:
            of_link.setdefault(member.link_id, []).append((member.index, member.eui))
    return tuple(
        GroupOrder(
            command_id=command.id,
            link_id=link_id,
            group=command.number,
            epoch=command.epoch,
            action=command.action,
            load_class=command.load_class,
            off_for_s=command.off_for_s if command.action is Action.SHED else 0,
            not_after=command.not_after // NS,
            restore_jitter_s=command.jitter_s,
            repeat=command.repeat,
            members=tuple(sorted(members)),
        )
        for link_id, members in of_link.items()
    )
