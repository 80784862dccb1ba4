"""Plug and play: what a radio module's announcement changes in a site. Pure."""

from collections.abc import Iterable, Sequence

import attrs

from scada.registry.names import on_the_bus
from scada.site import Adoption, Concentrator, Directory, JoinedModule, Module, ModuleState, Site


@attrs.frozen
class Joined:
    """What became of announcements."""

    site: Site
    modules: tuple[Module, ...]         # as the site has them now, in the order announced
    elsewhere: tuple[str, ...]          # registered under another concentrator than the one that announced them
    refused: int                        # unknown concentrator, or an index or channel count that cannot be


def join(site: Site, announced: Sequence[JoinedModule]) -> Joined:
    """
    Enter announced modules; the last announcement of an EUI counts.

    An unknown module is entered as discovered, or active where the concentrator adopts automatically. Of a known one
    index, channels and adapter are brought up to date. The radio decides who has an index: a module whose index was
    given to another one keeps index 0 ("none now") and is lost until it announces itself again. A module registered
    under another concentrator stays there: moving it is a person's decision.
    """
    directory = Directory(site)
    modules = dict(directory.module_of_eui)
    names = set(on_the_bus(site))
    holders = {(module.concentrator, module.index): module.eui for module in site.modules if module.index}
    elsewhere: list[str] = []
    heard: dict[int, None] = {}
    refused = 0
    for one in announced:
        concentrator = directory.concentrator_of_link.get(one.link_id)
        if concentrator is None or not (1 <= one.index <= 240 and 0 <= one.channels <= 8):
            refused += 1
            continue
        heard[one.eui] = None
        known = modules.get(one.eui)
        if known is not None and known.concentrator != concentrator.name:
            elsewhere.append(f"{known.name}: registered at {known.concentrator}, heard at {concentrator.name}")
            continue
        module = _entered(one, concentrator, names) if known is None else _refreshed(known, one, concentrator)
        names.add(module.name)
        if known is not None and holders.get((known.concentrator, known.index)) == known.eui:
            del holders[known.concentrator, known.index]
        displaced = holders.get((module.concentrator, module.index))
        if displaced is not None:
            modules[displaced] = attrs.evolve(modules[displaced], index=0, state=_without_index(modules[displaced]))
        holders[module.concentrator, module.index] = module.eui
        modules[one.eui] = module
    changed = {eui for eui, module in modules.items() if directory.module_of_eui.get(eui) != module}
    if changed:
        site = _with_new_epochs(attrs.evolve(site, modules=tuple(modules.values())), directory, changed)
    return Joined(site, tuple(modules[eui] for eui in heard), tuple(elsewhere), refused)


def _entered(one: JoinedModule, concentrator: Concentrator, names: set[str]) -> Module:
    return Module(
        eui=one.eui, name=_free_name(f"{concentrator.name}-{one.index:03d}", one.eui, names),
        concentrator=concentrator.name, index=one.index, state=_welcome(concentrator),
        channels=one.channels, adapter=one.adapter,
    )


def _refreshed(known: Module, one: JoinedModule, concentrator: Concentrator) -> Module:
    back = known.state is ModuleState.LOST and known.index == 0
    state = _welcome(concentrator) if known.state is ModuleState.DISCOVERED else ModuleState.ACTIVE if back else known.state
    return attrs.evolve(
        known, index=one.index, channels=one.channels, adapter=one.adapter or known.adapter, state=state
    )


def _welcome(concentrator: Concentrator) -> ModuleState:
    return ModuleState.ACTIVE if concentrator.adoption is Adoption.AUTOMATIC else ModuleState.DISCOVERED


def _without_index(module: Module) -> ModuleState:
    return ModuleState.DISCOVERED if module.state is ModuleState.DISCOVERED else ModuleState.LOST


def _free_name(wanted: str, eui: int, names: set[str]) -> str:
    """The wanted name, or if another module has it, with as much of the EUI's end as makes it its own."""
    for digits in (0, 4, 8, 16):
        name = wanted if not digits else f"{wanted}-{eui % 16**digits:0{digits}X}"
        if name not in names:
            return name
    raise AssertionError(f"the full EUI {eui:016X} makes every name unique")


def _with_new_epochs(site: Site, before: Directory, changed: Iterable[int]) -> Site:
    """A group is held by index in the field: where a member's index changed, its epoch must too."""
    now = Directory(site).module_of_eui
    moved = {eui for eui in changed if eui in before.module_of_eui and before.module_of_eui[eui].index != now[eui].index}
    groups = tuple(
        attrs.evolve(group, epoch=group.epoch + 1) if moved & set(group.members) else group for group in site.load_groups
    )
    return attrs.evolve(site, load_groups=groups) if moved else site
