"""Takes to a concentrator who left its module list by the registry: MODULE_REPLACE and MODULE_REMOVE.

What is owed is read from the registry, where a swap is durable before anybody hears of it, and from the concentrator's own
list: an order that was lost anywhere is found owed again, after any restart of either side, until the list says it is done.
"""

from collections.abc import Callable
from typing import Final

from scada.drivers.dmesh.link import Link
from scada.drivers.dmesh.messages import ModuleRemove, ModuleReplace, Result
from scada.drivers.dmesh.modules import ModuleBook, Modules
from scada.drivers.dmesh.numbers import MAX_MODULES, Capability, Code, code_name
from scada.errors import DataRejected, LinkError
from scada.ports import Registry
from scada.site import Directory, ModuleState, Site, differing

RETRY_S: Final = 300.0                  # real time before an order that was refused or not answered is given again
OVER: Final = (ModuleState.REPLACED, ModuleState.RETIRED)
Order = ModuleReplace | ModuleRemove


def owed(directory: Directory, name: str, modules: Modules) -> Order | None:
    """
    Return the first order that a list calls for, None where it is as the registry says.

    A module that was replaced gives its index to its heir, unless the heir has one there already or belongs elsewhere;
    one that is out of service, or whose place nobody has, leaves the list. So does one that belongs elsewhere by now, as
    long as it was not heard here; and the heir itself, where it was listed before and not heard, to take the place then.
    """
    listed = {eui for _, eui in modules.pairs}
    for index, eui in modules.pairs:
        module = directory.module_of_eui.get(eui)
        if module is not None and module.concentrator != name and modules.only_names(eui):
            return ModuleRemove(modules.generation, eui, index)
        if module is None or module.concentrator != name or module.state not in OVER:
            continue
        heir = directory.module_of_eui.get(heir_of(directory, eui))
        if module.state is ModuleState.REPLACED and heir is None:
            continue                                        # nobody said who: it is for people to decide
        if heir is not None and heir.concentrator == name and heir.state not in OVER:
            if heir.eui not in listed:
                return ModuleReplace(modules.generation, eui, index, heir.eui)
            if modules.only_names(heir.eui):                     # it was planned with a place of its own, and has none yet
                return ModuleRemove(modules.generation, heir.eui, modules.index_of(heir.eui))
        return ModuleRemove(modules.generation, eui, index)
    return None


def heir_of(directory: Directory, eui: int) -> int:
    """Whoever has the place now: heirs are replaced too. 0 where nobody has."""
    seen: set[int] = set()
    while (found := directory.replacement_of_eui.get(eui)) is not None and eui not in seen:
        seen.add(eui)
        eui = found.heir
    return eui if seen else 0


def concerned(before: Site, after: Site) -> set[str]:
    """The concentrators whose list a change of the registry is about: a module left service, or went elsewhere."""
    found: set[str] = set()
    for was, now in differing(before.modules, after.modules):
        if was is None or now is None or was.eui != now.eui:
            continue
        if was.concentrator != now.concentrator:
            found |= {was.concentrator, now.concentrator}
        elif now.state in OVER and was.state not in OVER:
            found.add(now.concentrator)
    return found


class ListKeeper:
    """One session's."""

    def __init__(
        self, link: Link, book: ModuleBook, registry: Registry, seconds: Callable[[], float],
        tell: Callable[[str, str], None],                   # "replaced", "removed" or "refused", detail
    ) -> None:
        self._link, self._book, self._registry, self._seconds, self._tell = link, book, registry, seconds, tell
        self._not_before: float | None = None               # when an order that failed is given again

    def due(self) -> bool:
        """Whether it is time to try again."""
        return self._not_before is not None and self._not_before <= self._seconds() and self._link.up

    async def put_right(self, modules: Modules) -> Modules:
        """Give every order that a list calls for, one after the other; the list as it is then."""
        self._not_before = None
        for _ in range(2 * MAX_MODULES):
            order = owed(self._registry.directory, self._link.name, modules)
            if order is None:
                return modules
            self._not_before = self._seconds() + RETRY_S     # whatever happens now
            if not self._link.hello.capabilities & Capability.REGISTRY:
                self._not_before = None                     # nor will it ever, in this session
                self._tell("refused", f"{_said(order)}: its list can only be changed at the concentrator itself")
                return modules
            try:
                answer = await self._link.ask(order, Result)
            except (LinkError, DataRejected):
                return modules                              # who owns the link says why
            done = answer.code in (Code.OK, Code.DUPLICATE)
            if done:
                self._tell("replaced" if isinstance(order, ModuleReplace) else "removed", _said(order))
            elif answer.code != Code.INTERLOCK:             # another generation than ours: look again
                self._tell("refused", f"{_said(order)}: {code_name(answer.code)} {answer.text}".rstrip())
                return modules
            newest = await self._book.refresh()
            if newest is None or newest.generation == modules.generation:
                return newest or modules                    # it said yes and did nothing: not now
            modules, self._not_before = newest, None
        return modules


def _said(order: Order) -> str:
    if isinstance(order, ModuleReplace):
        return f"{order.new_eui:016X} in the place of {order.eui:016X}, index {order.index}"
    return f"{order.eui:016X}, index {order.index}"
