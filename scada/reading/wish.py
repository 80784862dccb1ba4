"""From what a person asks for to the modules that are to be read, or to every reason against it at once. Pure."""

from collections.abc import Collection, Sequence
from typing import Final

from scada.commands import Actor, Role
from scada.reads import ReadMember, ReadRequest
from scada.site import Directory, Module
from scada.site_groups import points_of

READERS: Final = frozenset({Role.DISPATCHER, Role.ENGINEER, Role.INSTALLER, Role.ADMINISTRATOR})
WITHIN_S: Final = (60, 86_400)
MOST_MODULES: Final = 20_000            # in one task
LONGEST_KEY: Final = 64
NAMED: Final = 5                        # names in one reason


def not_allowed(actor: Actor) -> list[str]:
    """Reading costs the batteries of the modules, so a viewer may not."""
    if actor.role in READERS:
        return []
    return [f"{actor.name} is {actor.role.value}; only dispatchers, engineers, installers and administrators may read"]


def not_covered(directory: Directory, actor: Actor, concentrators: Collection[str]) -> list[str]:
    """A person reads where the area of the concentrator is his."""
    areas = {one.area for name in concentrators if (one := directory.concentrator.get(name)) is not None}
    return [f"{actor.name} may not read in area {area or '-'}" for area in sorted(areas) if not actor.covers(area)]


def resolve(
    directory: Directory, actor: Actor, request: ReadRequest, hour: int
) -> tuple[dict[str, tuple[ReadMember, ...]], list[str]]:
    """
    Return the modules to read by concentrator, in the order of the radio's index, and every reason against it.

    A point is read at the module of the meter that hangs there at `hour`. [h since 1970]
    """
    reasons = not_allowed(actor)
    low, high = WITHIN_S
    if not low <= request.within_s <= high:
        reasons.append(f"{request.within_s} s to answer: expected {low} to {high}")
    if len(request.key) > LONGEST_KEY or not request.key.isprintable():
        reasons.append(f"the key of a read has at most {LONGEST_KEY} printable characters")
    if not (request.points or request.modules or request.groups):
        reasons.append("nothing to read was named: expected points, modules or groups")
    euis: dict[int, None] = {}
    unknown: list[str] = []
    bare: list[str] = []
    points = list(request.points)
    for name in request.groups:
        balance, load = directory.balance_group.get(name), directory.load_group.get(name)
        if balance is None and load is None:
            unknown.append(name)
        if balance is not None:
            points += [*points_of(directory, balance), *([balance.feed_point] if balance.feed_point else [])]
        elif load is not None:
            euis.update(dict.fromkeys(load.members))
    for name in request.modules:
        module = directory.module_of_name.get(name)
        if module is None:
            unknown.append(name)
        else:
            euis[module.eui] = None
    for name in points:
        if name not in directory.point:
            unknown.append(name)
            continue
        meters = [one for one in directory.meters_of_point.get(name, ()) if _valid(one.valid_from, one.valid_to, hour)]
        if not meters:
            bare.append(name)
        euis.update((one.eui, None) for one in meters)
    if unknown:
        reasons.append(f"not in the registry: {_some(unknown)}")
    if bare and not euis:
        reasons.append(f"no meter is installed at {_some(bare)}")
    modules = [module for eui in euis if (module := directory.module_of_eui.get(eui)) is not None]
    reasons += _reasons(directory, actor, modules)
    return _by_concentrator(modules), reasons


def _reasons(directory: Directory, actor: Actor, modules: Sequence[Module]) -> list[str]:
    reasons = not_covered(directory, actor, {module.concentrator for module in modules})
    placeless = [module.name for module in modules if not 1 <= module.index <= 240]
    if placeless and len(placeless) == len(modules):
        reasons.append(f"without an index in any subnet, so not to be reached: {_some(placeless)}")
    if len(modules) > MOST_MODULES:
        reasons.append(f"{len(modules)} modules: at most {MOST_MODULES} are read by one task")
    return reasons


def _by_concentrator(modules: Sequence[Module]) -> dict[str, tuple[ReadMember, ...]]:
    """A module without an index takes part with its reason: nobody drops out in silence."""
    found: dict[str, list[ReadMember]] = {}
    for module in sorted(modules, key=lambda one: (one.concentrator, one.index)):
        reason = "" if 1 <= module.index <= 240 else "NO_ROUTE"
        member = ReadMember(module.eui, module.index, module.name, module.title, reason=reason)
        found.setdefault(module.concentrator, []).append(member)
    return {name: tuple(members) for name, members in found.items()}


def _valid(begin: int, end: int | None, hour: int) -> bool:
    return begin <= hour and (end is None or hour < end)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"
