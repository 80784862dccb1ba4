"""What forbids a command: every guard a function of one image of the site; all of them speak at once.

A command addresses a whole group by radio, so what forbids it for one member forbids it for the group: nobody could be
left out of a multicast. Guards never trust what a user interface has checked before.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs

from scada.clock import HOUR_S, NS
from scada.commands import Action, Actor, LoadClass, Member, Role, ShedRequest
from scada.dr_dispatch import planner
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.outages import Outage
from scada.settings import DispatchSettings
from scada.site import Directory, Load, LoadGroup
from scada.tags import UNCERTAIN, Device, Snapshot, tag_id

COMMANDERS: Final = frozenset({Role.DISPATCHER, Role.ADMINISTRATOR})
REST_S: Final = 1800                    # in any period of class limit + this, a load is off for the class limit at most
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
    members: tuple[Member, ...]
    outages: Mapping[int, Sequence[Outage]]     # by EUI: over all groups and commands, running ones included
    snapshot: Snapshot
    devices: Mapping[str, Device]

    @property
    def loads(self) -> Iterator[tuple[Member, Load]]:
        """Members with a load in the registry."""
        for member in self.members:
            load = self.directory.load_of_eui.get(member.eui)
            if load is not None:
                yield member, load

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


def group_exists(image: Image) -> Iterable[str]:
    if image.group is None:
        yield f"there is no load group {image.request.group}"
    elif not image.members:
        yield f"{image.group.name} has no members"
    elif not 1 <= image.group.number <= 255:
        yield f"{image.group.name} has number {image.group.number}; the radio knows groups 1 to 255"


def nothing_red(image: Image) -> Iterable[str]:
    if image.group and image.group.load_class is LoadClass.RED:
        yield f"{image.group.name} is a red group: red loads are never switched off"
    if red := [member.device for member, load in image.loads if load.load_class is LoadClass.RED]:
        yield f"red load in the group: {some(red)}"
    known = image.directory.load_of_eui
    if nameless := [member.device for member in image.members if member.eui not in known]:
        yield f"no load in the registry, so its class is not known: {some(nameless)}"


def nothing_never(image: Image) -> Iterable[str]:
    if never := [member.device for member, load in image.loads if load.never]:
        yield f"marked as never to be switched off: {some(never)}"


def nobody_protected(image: Image) -> Iterable[str]:
    consumers = image.directory.consumer
    at_module = _consumers_at_modules(image)
    protected, unknown = [], []
    for member, load in image.loads:
        for name in {load.consumer, *at_module.get(member.eui, ())} - {""}:
            if name not in consumers:
                unknown.append(f"{member.device} ({name})")
            elif consumers[name].protected:
                protected.append(f"{member.device} ({consumers[name].title or name})")
    if protected:
        yield f"protected consumer in the group: {some(protected)}"
    if unknown:
        yield f"consumer not in the registry, so not known to be unprotected: {some(unknown)}"


def class_matches(image: Image) -> Iterable[str]:
    if image.group is None:
        return
    if other := [
        f"{member.device} ({load.load_class.name.lower()})"
        for member, load in image.loads
        if load.load_class not in (image.group.load_class, LoadClass.RED)
    ]:
        yield f"load of another class than {image.group.load_class.name.lower()} in the group: {some(other)}"


def off_for_allowed(image: Image) -> Iterable[str]:
    off_for = image.request.off_for_s
    if off_for <= 0:
        yield f"off for {off_for} s: expected more than 0, a shed without an end is never sent"
    if image.group is None:
        return
    limit = min(image.class_limit_s, image.group.max_off_s)
    if off_for > limit:
        yield f"off for {off_for} s is more than the {limit} s allowed for {image.group.name}"


def not_off_already(image: Image) -> Iterable[str]:
    off = [
        member.device
        for member in image.members
        if any(outage.begin <= image.now < outage.end for outage in image.outages.get(member.eui, ()))
    ]
    if off:
        yield f"off already, or perhaps off, by another command: {some(off)}"


def rested(image: Image) -> Iterable[str]:
    """Minimum on-time of every group a member belongs to, since whatever group it was last off with."""
    min_on_s: dict[int, int] = {}
    for group in image.directory.site.load_groups:
        for eui in group.members:
            min_on_s[eui] = max(min_on_s.get(eui, 0), group.min_on_s)
    tired, until = [], 0
    for member in image.members:
        back = max((one.end for one in image.outages.get(member.eui, ()) if one.end <= image.now), default=0)
        ready = back + min_on_s.get(member.eui, 0) * NS
        if back and image.now < ready:
            tired.append(member.device)
            until = max(until, ready)
    if tired:
        yield f"back on too recently, minimum on-time until {clock_time(until)}: {some(tired)}"


def rolling_off_time(image: Image) -> Iterable[str]:
    limit_s = image.class_limit_s
    if not 0 < image.request.off_for_s <= limit_s:          # `off_for_allowed` speaks of that
        return
    begin = image.now - (limit_s + REST_S - image.request.off_for_s) * NS
    over = [
        member.device
        for member in image.members
        if sum(outage.overlap(begin, image.now) for outage in image.outages.get(member.eui, ()))
        > (limit_s - image.request.off_for_s) * NS
    ]
    if over:
        yield f"with this shed off for more than {limit_s} s within {limit_s + REST_S} s: {some(over)}"


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
    group_exists,
    nothing_red,
    nothing_never,
    nobody_protected,
    class_matches,
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
    actor: Actor, group: str, area: str, members: Iterable[Member], directory: Directory
) -> Iterable[str]:
    """Areas of the real person: the group's and that of every concentrator a member is on, for a shed as for a restore.

    What has no area, or is no longer in the registry, is nobody's area: only who may act everywhere may command there.
    """
    if not actor.covers(area):
        yield f"{actor.name} may not command in area {area or '(none)'}"
    concentrators = {member.concentrator for member in members if member.concentrator}
    known = (directory.concentrator.get(name) for name in concentrators)
    for other in sorted({one.area if one else "" for one in known} - {area}):
        if not actor.covers(other):
            yield f"{actor.name} may not command in area {other or '(none)'}, where members of {group} are"


def restorable(
    command: Command | None, restores: Iterable[Command], actor: Actor, trusted: bool, directory: Directory
) -> tuple[str, ...]:
    """Every reason against giving the supply back early."""
    reasons = list(authority(actor))
    if command is not None:
        members = [progress.member for progress in command.members]
        reasons += areas_covered(actor, command.group, command.area, members, directory)
    if command is None:
        reasons.append("no such command")
    elif command.action is not Action.SHED:
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


def some(names: Sequence[str]) -> str:
    """A list fit for a sentence."""
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


def clock_time(at: int) -> str:
    return datetime.fromtimestamp(at / NS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _consumers_at_modules(image: Image) -> dict[int, set[str]]:
    """Consumers metered by the members' modules, now or from some day on: a load behind the same module is theirs."""
    found: dict[int, set[str]] = {}
    for member in image.members:
        for period in image.directory.meters_of_eui.get(member.eui, ()):
            point = image.directory.point.get(period.point)
            still = period.valid_to is None or period.valid_to * HOUR_S * NS > image.now
            if still and point is not None and point.consumer:
                found.setdefault(member.eui, set()).add(point.consumer)
    return found
