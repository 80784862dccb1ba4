"""What forbids a command: every guard a function of one image of the site; all of them speak at once.

A command addresses a whole group by radio, so what forbids it for one member forbids it for the group: nobody could be
left out of a multicast. Guards never trust what a user interface has checked before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.commands import TIMED, Action, Actor, LoadClass, Role, ShedRequest
from scada.dr_dispatch import planner, roll
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.local import Say, in_words, members_in_local
from scada.dr_dispatch.outages import Outages, Past
from scada.dr_dispatch.roll import Roll
from scada.settings import DispatchSettings
from scada.site import Directory, LoadGroup
from scada.tags import UNCERTAIN, Device, Snapshot, tag_id

COMMANDERS: Final = frozenset({Role.DISPATCHER, Role.ADMINISTRATOR})
REST_S: Final = 1800                    # in any period of class limit + this, a load is off for the class limit at most
MOST_W: Final = 1_000_000                # of a limit for one load
NAMED: Final = 5                        # so many members are named in one reason
EFFECT: Final = "power_active"          # points of a transformer's meter that the effect of a shed is judged by


@attrs.frozen(eq=False)
class Image:
    """Everything a guard may look at, at one instant."""

    now: int                            # ns, site time
    rate: float                         # site seconds per real second
    trusted: bool                       # server time
    actor: Actor
    request: ShedRequest
    settings: DispatchSettings
    directory: Directory
    group: LoadGroup | None
    members: Roll
    outages: tuple[Outages, ...]        # over all groups and commands, running ones included
    snapshot: Snapshot
    devices: Mapping[str, Device]
    say: Say                            # of people on site

    @cached_property
    def past(self) -> Past:
        """What the members have behind them."""
        return Past(self.members, self.outages)

    @property
    def class_limit_s(self) -> int:
        """Longest shed of the group's class; 0 for red. [site s]"""
        return class_limit(self.settings, self.group.load_class) if self.group else 0


Guard = Callable[[Image], Iterable[str]]


def class_limit(settings: DispatchSettings, load_class: LoadClass) -> int:
    """Longest time a load of a class may be off. [site s]"""
    return {
        LoadClass.RED: 0,
        LoadClass.YELLOW: settings.max_off_yellow_s,
        LoadClass.GREEN: settings.max_off_green_s,
    }[load_class]


def may_command(image: Image) -> Iterable[str]:
    yield from authority(image.actor)
    if image.group:
        yield from areas_covered(image.actor, image.group.name, image.group.area, image.members, image.directory)


def nowhere_local(image: Image) -> Iterable[str]:
    """The radio reaches the whole group, so one member in local forbids it for all."""
    if image.group:
        yield from map(in_words, members_in_local(image.say, image.group.area, image.members))


def group_exists(image: Image) -> Iterable[str]:
    if image.group is None:
        yield f"there is no load group {image.request.group}"
    elif not len(image.members):
        yield f"{image.group.name} has no members"
    elif not 1 <= image.group.number <= 255:
        yield f"{image.group.name} has number {image.group.number}; the radio knows groups 1 to 255"


def nothing_red(image: Image) -> Iterable[str]:
    if image.group and image.group.load_class is LoadClass.RED:
        yield f"{image.group.name} is a red group: red loads are never switched off"
    nameless = (image.members.flags & roll.NO_LOAD).astype(bool)
    if red := _named(image, ~nameless & (image.members.load_class == LoadClass.RED)):
        yield f"red load in the group: {red}"
    if named := _named(image, nameless):
        yield f"no load in the registry, so its class is not known: {named}"


def nothing_never(image: Image) -> Iterable[str]:
    if never := _named(image, (image.members.flags & roll.NEVER).astype(bool)):
        yield f"marked as never to be switched off: {never}"


def nobody_protected(image: Image) -> Iterable[str]:
    consumers, flags = image.directory.consumer, image.members.flags
    if found := _named(image, (flags & roll.PROTECTED).astype(bool), lambda name: consumers[name].title or name,
                       lambda name: name in consumers and consumers[name].protected):
        yield f"protected consumer in the group: {found}"
    if found := _named(image, (flags & roll.UNKNOWN_CONSUMER).astype(bool), str, lambda name: name not in consumers):
        yield f"consumer not in the registry, so not known to be unprotected: {found}"


def class_matches(image: Image) -> Iterable[str]:
    if image.group is None:
        return
    own, classes = image.group.load_class, image.members.load_class
    other = (classes != own) & (classes != LoadClass.RED) & ((image.members.flags & roll.NO_LOAD) == 0)
    names = [f"{image.members.devices[at]} ({LoadClass(int(classes[at])).name.lower()})"
             for at in np.flatnonzero(other)[:NAMED].tolist()]
    if names:
        said = some(names, int(np.count_nonzero(other)))
        yield f"load of another class than {own.name.lower()} in the group: {said}"


def off_for_allowed(image: Image) -> Iterable[str]:
    off_for = image.request.off_for_s
    if image.request.action is not Action.SHED:
        if not 0 < off_for <= image.settings.max_limit_s:
            yield f"for {off_for} s: expected 1 to {image.settings.max_limit_s} s, a limit without an end is never sent"
        return
    if off_for <= 0:
        yield f"off for {off_for} s: expected more than 0, a shed without an end is never sent"
    if image.group is None:
        return
    limit = min(image.class_limit_s, image.group.max_off_s)
    if off_for > limit:
        yield f"off for {off_for} s is more than the {limit} s allowed for {image.group.name}"


def action_known(image: Image) -> Iterable[str]:
    request = image.request
    if request.action not in TIMED:
        yield f"a group is shed, limited or told to economise; {request.action.name.lower()} is not for a group"
    elif request.action is Action.LIMIT and not 0 < request.level_w <= MOST_W:
        yield f"a limit of {request.level_w} W: expected 1 to {MOST_W} W for each load"
    elif request.action is not Action.LIMIT and request.level_w:
        yield "a level belongs to a limit, and to nothing else"


def not_off_already(image: Image) -> Iterable[str]:
    """A limit and economy take nothing off: they hold besides a shed, and what is off stays off until that ends."""
    if image.request.action is Action.SHED and (off := _named(image, image.past.off(image.now))):
        yield f"off already, or perhaps off, by another command: {off}"


def rested(image: Image) -> Iterable[str]:
    """Minimum on-time of every group a member belongs to, since whatever group it was last off with."""
    if image.request.action is not Action.SHED:
        return
    back = image.past.back(image.now)
    been = back > 0
    if not been.any():
        return
    ready = back + _min_on_s(image) * NS
    tired = been & (image.now < ready)
    if named := _named(image, tired):
        yield f"back on too recently, minimum on-time until {clock_time(int(ready[tired].max()))}: {named}"


def rolling_off_time(image: Image) -> Iterable[str]:
    limit_s = image.class_limit_s
    if image.request.action is not Action.SHED:
        return
    if not 0 < image.request.off_for_s <= limit_s:          # `off_for_allowed` speaks of that
        return
    begin = image.now - (limit_s + REST_S - image.request.off_for_s) * NS
    over = image.past.off_time(begin, image.now) > (limit_s - image.request.off_for_s) * NS
    if named := _named(image, over):
        yield f"with this shed off for more than {limit_s} s within {limit_s + REST_S} s: {named}"


def time_trusted(image: Image) -> Iterable[str]:
    if not image.trusted:
        yield "the server's clock is not synchronised: timed commands are not sent"


def effect_visible(image: Image) -> Iterable[str]:
    """A concentrator without a transformer is a gap in the registry, behind which no other guard can look."""
    if image.settings.without_transformer:
        return
    if blind := planner.without_transformer(image.members, image.directory):
        yield f"no transformer in the registry, so the effect would not be seen: {some(blind)}"


def transformer_fresh(image: Image) -> Iterable[str]:
    """The effect of a shed is seen at the transformer; without that view nobody sheds. Only where there is a meter."""
    for name in planner.transformers(image.members, image.directory):
        transformer = image.directory.transformer[name]
        if not transformer.meter:
            continue
        device = image.devices.get(transformer.meter)
        if device is None:
            yield f"transformer {name}: its meter {transformer.meter} has never been heard of"
            continue
        points = [point for point in device.points if point.startswith(EFFECT)] or list(device.points)
        seen = [image.snapshot.get(tag_id(device.name, point)) for point in points]
        if bad := sorted({quality.name for _, quality, _ in seen if quality >= UNCERTAIN}):
            yield f"transformer {name}: data of {device.name} is not good ({', '.join(bad)})"
            continue
        # Meters are polled in real seconds, so that is what the age limit counts, whatever the speed of site time.
        age_s = (image.now - min(at for _, _, at in seen)) / NS / image.rate
        if age_s > image.settings.transformer_fresh_seconds:
            yield f"transformer {name}: data of {device.name} is {age_s:.0f} s old"


GUARDS: Final[tuple[Guard, ...]] = (
    may_command,
    nowhere_local,
    group_exists,
    nothing_red,
    nothing_never,
    nobody_protected,
    class_matches,
    action_known,
    off_for_allowed,
    not_off_already,
    rested,
    rolling_off_time,
    time_trusted,
    effect_visible,
    transformer_fresh,
)


FOR_EVER: Final[tuple[Guard, ...]] = (group_exists, nothing_red, nothing_never, nobody_protected, class_matches)


def barred(image: Image) -> bool:
    """Whether the group can never be shed as it is in the registry."""
    return any(True for guard in FOR_EVER for _ in guard(image))


def refusals(image: Image) -> tuple[str, ...]:
    """Every reason against a shed; empty = allowed."""
    return tuple(reason for guard in GUARDS for reason in guard(image))


def authority(actor: Actor) -> Iterable[str]:
    """Role of the real person."""
    if actor.role not in COMMANDERS:
        yield f"{actor.name} is {actor.role}; only dispatchers and administrators may command"


def areas_covered(
    actor: Actor, group: str, area: str, members: Roll, directory: Directory
) -> Iterable[str]:
    """Areas of the real person: the group's and that of every concentrator a member is on, for a shed as for a restore.

    What has no area, or is no longer in the registry, is nobody's area: only who may act everywhere may command there.
    """
    if not actor.covers(area):
        yield f"{actor.name} may not command in area {area or '(none)'}"
    known = (directory.concentrator.get(name) for name in members.names if name)
    for other in sorted({one.area if one else "" for one in known} - {area}):
        if not actor.covers(other):
            yield f"{actor.name} may not command in area {other or '(none)'}, where members of {group} are"


def restorable(
    command: Command | None, restores: Iterable[Command], actor: Actor, trusted: bool, directory: Directory
) -> tuple[str, ...]:
    """Every reason against giving the supply back early."""
    reasons = list(authority(actor))
    if command is not None:
        reasons += areas_covered(actor, command.group, command.area, command.members.roll, directory)
    if command is None:
        reasons.append("no such command")
    elif command.action not in TIMED:
        reasons.append("only a shed can be restored")
    elif not command.live:
        reasons.append(f"the command is {command.state}: nothing is off any more")
    elif any(restore.live for restore in restores):
        reasons.append("a restore of this command is under way")
    if not trusted:
        reasons.append("the server's clock is not synchronised: timed commands are not sent; loads return by themselves")
    return tuple(reasons)


def in_time(now: int, not_after: int) -> bool:
    """Nothing is sent at or after `not_after`. [ns, site time]"""
    return now < not_after


def some(names: Sequence[str], count: int | None = None) -> str:
    """A list fit for a sentence; `count` is of all of them, where not all are given."""
    shown, count = ", ".join(names[:NAMED]), len(names) if count is None else count
    return shown if count <= NAMED else f"{shown} and {count - NAMED} more"


def clock_time(at: int) -> str:
    return datetime.fromtimestamp(at / NS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _named(
    image: Image, which: NDArray[np.bool_], title: Callable[[str], str] | None = None,
    wanted: Callable[[str], bool] = lambda name: True,
) -> str:
    """Members as a list fit for a sentence, each with the consumers that are meant, if any are; "" = nobody."""
    names = []
    for at in np.flatnonzero(which)[:NAMED].tolist():
        device, eui = image.members.devices[at], int(image.members.eui[at])
        load = image.directory.load_of_eui.get(eui)
        if title is None or load is None:
            names.append(device)
        else:
            behind = planner.behind(image.directory, eui, load, image.now // (HOUR_S * NS))
            names += [f"{device} ({title(name)})" for name in sorted(behind) if wanted(name)]
    return some(names, max(len(names), int(np.count_nonzero(which))))


def _min_on_s(image: Image) -> NDArray[np.int64]:
    """The longest minimum on-time of all groups each member belongs to. [s]"""
    found = np.zeros(len(image.members), dtype=np.int64)
    for group in image.directory.site.load_groups:
        if group is image.group:
            found = np.maximum(found, group.min_on_s)
        else:
            at = image.members.places_of(np.array(group.members, dtype=np.uint64))
            np.maximum.at(found, at[at >= 0], group.min_on_s)
    return found
