"""What a person does with one module, and what that changes in a site. Pure; every reason against it at once."""

from typing import Final

import attrs

from scada.registry.lifecycle import Happening, after
from scada.site import Directory, LoadGroup, Module, ModuleState, Site, SiteChange, Step, StepKind, differing

HAPPENING: Final = {
    StepKind.COMMISSION: Happening.BEGUN, StepKind.ADOPT: Happening.ADOPTED, StepKind.RETIRE: Happening.RETIRED,
}
REACHED: Final = {StepKind.COMMISSION: ModuleState.COMMISSIONING, StepKind.RETIRE: ModuleState.RETIRED}
OVER: Final = (ModuleState.REPLACED, ModuleState.RETIRED)


def stepped(site: Site, directory: Directory, step: Step) -> tuple[Site, list[str]]:
    """Return the site after a step, and every reason against it (then the site is as it was)."""
    module = directory.module_of_eui.get(step.eui)
    if module is None:
        return site, [f"no module {step.eui:016X} has announced itself"]
    if step.kind is StepKind.MOVE:
        return _moved(site, directory, module, step.concentrator)
    state = after(module.state, HAPPENING[step.kind])
    if REACHED.get(step.kind) is module.state:
        return site, []                                     # asked again: it is done
    reasons = [] if state is not None else [_not_now(module, step.kind)]
    if step.kind is StepKind.RETIRE and any(one.valid_to is None for one in directory.meters_of_eui.get(step.eui, ())):
        reasons.append(f"{module.name} has meters; close their periods, or put another module in its place")
    if reasons or state is None:
        return site, reasons
    gone = state in OVER
    changed = attrs.evolve(module, state=state, index=0 if gone else module.index)
    return _with(site, changed, tuple(_without(one, step.eui) if gone else one for one in site.load_groups)), []


def _not_now(module: Module, kind: StepKind) -> str:
    """Why a step is not in the table for this state."""
    reason = f"{module.name} is {module.state}; it is out of service already"
    if kind is StepKind.COMMISSION:
        reason = f"{module.name} is {module.state}; only a planned or discovered module can be"
    elif kind is StepKind.ADOPT:
        reason = f"{module.name} is {module.state}; only a discovered module can be adopted"
    return reason


def _moved(site: Site, directory: Directory, module: Module, where: str) -> tuple[Site, list[str]]:
    """It has no index until its new concentrator lists it, and is lost until then if it was in service."""
    if module.concentrator == where:
        return site, []
    reasons = []
    if where not in directory.concentrator:
        reasons.append(f"no concentrator {where} is in the registry")
    if module.state in OVER:
        reasons.append(f"{module.name} is {module.state}; it belongs nowhere any more")
    if reasons:
        return site, reasons
    state = after(module.state, Happening.DISPLACED) or module.state
    groups = tuple(
        attrs.evolve(one, epoch=one.epoch + 1) if module.eui in one.members else one for one in site.load_groups
    )
    return _with(site, attrs.evolve(module, concentrator=where, index=0, state=state), groups), []


def _with(site: Site, changed: Module, groups: tuple[LoadGroup, ...]) -> Site:
    """An unchanged tuple stays the same one: what is made from it need not be made again."""
    modules = tuple(changed if one.eui == changed.eui else one for one in site.modules)
    same = all(one is other for one, other in zip(groups, site.load_groups, strict=True))
    return attrs.evolve(site, modules=modules, load_groups=site.load_groups if same else groups)


def _without(group: LoadGroup, eui: int) -> LoadGroup:
    """Who leaves a group must not be commanded by its key any more: a new epoch."""
    if eui not in group.members:
        return group
    return attrs.evolve(group, epoch=group.epoch + 1, members=tuple(one for one in group.members if one != eui))


def difference(before: Site, after: Site) -> SiteChange:
    """Return what differs between a site and itself after a swap or a step."""
    meters = differing(before.meters, after.meters)
    return SiteChange(
        modules=tuple((was, now) for was, now in differing(before.modules, after.modules) if was != now),
        closed=tuple(now for was, now in meters if was is not None and was != now),
        opened=tuple(now for was, now in meters if was is None),
        loads=tuple(pair for pair in differing(before.loads, after.loads) if pair[0] != pair[1]),
        groups=tuple(pair for pair in differing(before.load_groups, after.load_groups) if pair[0] != pair[1]),
    )
