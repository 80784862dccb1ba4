"""From a group to the orders that leave: who the members are, what was reviewed, one order a concentrator."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.columns import Pairs
from scada.commands import TIMED, GroupOrder, MemberState, ShedRequest
from scada.dr_dispatch import roll
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.roll import Roll
from scada.site import IN_SERVICE, Directory, Load, LoadGroup, Module, ModuleState

UNKNOWN_MEMBER: Final = "not in the registry"
NAMED: Final = 20                       # so many obstacles and transformers are named in warnings


def freeze(directory: Directory, group: LoadGroup, now: int = 0) -> Roll:
    """Every member of a group as it stands in the registry now [ns, site time], with what would keep it from answering.

    A command addresses the whole group, so nobody is left out here: an obstacle says that a member will probably not
    answer, and takes its power out of the expected effect. What forbids a shed is a guard, and refuses the command.
    """
    hour = now // (HOUR_S * NS)
    modules, loads, concentrators = directory.module_of_eui, directory.load_of_eui, directory.concentrator
    places: dict[str, int] = {}                             # of concentrators, as they come
    count = len(group.members)
    at, index, classes, flags, obstacle = ([0] * count for _ in range(5))
    rated, devices, titles, obstacles = [0.0] * count, [""] * count, [""] * count, {"": 0}
    # Columns from the first step: objects for millions would be walked by the collector of circular garbage.
    for row, eui in enumerate(group.members):
        module, load = modules.get(eui), loads.get(eui)
        known = module is not None and module.concentrator in concentrators
        at[row] = places.setdefault(module.concentrator if module is not None and known else "", len(places))
        index[row], devices[row] = (module.index, module.name) if module else (0, f"{eui:016x}")
        why = _obstacle(module) if module and known else UNKNOWN_MEMBER
        obstacle[row] = obstacles.setdefault(why, len(obstacles))
        if load is not None:
            titles[row], rated[row], classes[row] = load.title, load.rated_w, int(load.load_class)
        flags[row] = _flags(directory, eui, load, hour)
    order = np.argsort(np.array(at, dtype=np.int64), kind="stable")
    rows = order.tolist()
    found = Roll(
        np.array(group.members, dtype=np.uint64)[order], np.array(index, dtype=np.uint8)[order],
        np.array(classes, dtype=np.uint8)[order], np.array(rated, dtype=np.float64)[order],
        np.array(flags, dtype=np.uint8)[order], np.array(obstacle, dtype=np.uint8)[order], tuple(obstacles),
        tuple([devices[row] for row in rows]), tuple([titles[row] for row in rows]),
        tuple(np.cumsum([0, *np.bincount(at, minlength=len(places)).tolist()]).tolist()) if places else (0,),
        tuple(concentrators[name].link_id if name else 0 for name in places), tuple(places),
    )
    found.seen(frozenset([-1]))         # what is made of it once is made here: a large group is frozen in a thread
    return found


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
