"""Plug and play: what a radio module's announcement changes in a site. Pure.

The cost follows the number of modules announced, not the size of the site: a city's concentrators all say their lists
after a power cut, and nearly always nothing in them is new.
"""

from collections.abc import Iterable, Sequence

import attrs

from scada.registry.lifecycle import Happening, after
from scada.registry.names import on_the_bus
from scada.site import Adoption, Concentrator, Directory, JoinedModule, Module, ModuleState, Site


@attrs.frozen
class Joined:
    """What became of announcements."""

    site: Site
    modules: tuple[Module, ...]         # as the site has them now, in the order announced
    elsewhere: tuple[str, ...]          # registered under another concentrator than the one that announced them
    refused: int                        # unknown concentrator, or an index or channel count that cannot be


@attrs.define(eq=False)
class _Changes:
    """Modules that are no longer as the directory has them, over the directory itself."""

    directory: Directory
    modules: dict[int, Module] = attrs.field(factory=dict)
    holders: dict[tuple[str, int], int | None] = attrs.field(factory=dict)
    names: set[str] | None = None       # made at the first new module only

    def get(self, eui: int) -> Module | None:
        return self.modules.get(eui) or self.directory.module_of_eui.get(eui)

    def holder(self, place: tuple[str, int]) -> int | None:
        return self.holders[place] if place in self.holders else self.directory.module_at.get(place)

    def put(self, module: Module) -> None:
        if self.get(module.eui) != module:
            self.modules[module.eui] = module

    def free_name(self, concentrator: str, one: JoinedModule) -> str:
        if self.names is None:
            self.names = set(on_the_bus(self.directory.site))
        name = _free_name(f"{concentrator}-{one.index:03d}", one.eui, self.names)
        self.names.add(name)
        return name

    def site(self) -> Site:
        if not self.modules:
            return self.directory.site
        known = self.directory.module_of_eui
        modules = tuple(self.modules.get(one.eui, one) for one in self.directory.site.modules)
        new = tuple(module for eui, module in self.modules.items() if eui not in known)
        moved = {eui for eui, one in self.modules.items() if eui in known and known[eui].index != one.index}
        return with_new_epochs(attrs.evolve(self.directory.site, modules=(*modules, *new)), moved)


def join(site: Site, announced: Sequence[JoinedModule], directory: Directory | None = None) -> Joined:
    """
    Enter announced modules; the last announcement of an EUI counts. `directory` is that of `site`, where there is one.

    An unknown module is entered as discovered, or active where the concentrator adopts automatically. Of a known one
    index, channels and adapter are brought up to date. The radio decides who has an index: a module whose index was
    given to another one keeps index 0 ("none now") and is lost until it announces itself again. A module registered
    under another concentrator stays there: moving it is a person's decision. One that was replaced or retired stays so.
    """
    changes = _Changes(directory or Directory(site))
    elsewhere: list[str] = []
    heard: dict[int, None] = {}
    refused = 0
    for one in announced:
        concentrator = changes.directory.concentrator_of_link.get(one.link_id)
        if concentrator is None or not (1 <= one.index <= 240 and 0 <= one.channels <= 8):
            refused += 1
            continue
        heard[one.eui] = None
        known = changes.get(one.eui)
        if known is not None and known.concentrator != concentrator.name:
            elsewhere.append(f"{known.name}: registered at {known.concentrator}, heard at {concentrator.name}")
            continue
        happening = Happening.WELCOMED if concentrator.adoption is Adoption.AUTOMATIC else Happening.HEARD
        if known is not None and after(known.state, happening) is None:
            continue                                        # replaced or retired: it is over
        module = _entered(one, concentrator, happening, changes) if known is None else _refreshed(known, one, happening)
        if known is not None and changes.holder((known.concentrator, known.index)) == known.eui:
            changes.holders[known.concentrator, known.index] = None
        displaced = changes.holder((module.concentrator, module.index))
        if displaced is not None and displaced != module.eui and (other := changes.get(displaced)) is not None:
            state = after(other.state, Happening.DISPLACED) or other.state
            changes.put(attrs.evolve(other, index=0, state=state))
        changes.holders[module.concentrator, module.index] = module.eui
        changes.put(module)
    made = changes.site()
    modules = (changes.get(eui) for eui in heard)
    return Joined(made, tuple(one for one in modules if one is not None), tuple(elsewhere), refused)


def _entered(one: JoinedModule, concentrator: Concentrator, happening: Happening, changes: _Changes) -> Module:
    state = after(ModuleState.DISCOVERED, happening)
    assert state is not None
    return Module(
        eui=one.eui, name=changes.free_name(concentrator.name, one), concentrator=concentrator.name, index=one.index,
        state=state, channels=one.channels, adapter=one.adapter,
    )


def _refreshed(known: Module, one: JoinedModule, happening: Happening) -> Module:
    if known.state is ModuleState.LOST and known.index == 0:
        happening = Happening.BACK                          # it has an index again: its concentrator hears it
    state = after(known.state, happening) or known.state
    module = attrs.evolve(known, index=one.index, channels=one.channels, adapter=one.adapter or known.adapter, state=state)
    return known if module == known else module


def _free_name(wanted: str, eui: int, names: set[str]) -> str:
    """The wanted name, or if another module has it, with as much of the EUI's end as makes it its own."""
    for digits in (0, 4, 8, 16):
        name = wanted if not digits else f"{wanted}-{eui % 16**digits:0{digits}X}"
        if name not in names:
            return name
    raise AssertionError(f"the full EUI {eui:016X} makes every name unique")


def with_new_epochs(site: Site, moved: Iterable[int]) -> Site:
    """A group is held by index in the field: where a member's index changed, its epoch must too."""
    moved = set(moved)
    if not moved:
        return site
    groups = tuple(
        attrs.evolve(group, epoch=group.epoch + 1) if moved & set(group.members) else group for group in site.load_groups
    )
    return attrs.evolve(site, load_groups=groups)
