"""Tells a concentrator whom to expect: MODULE_ADD for modules that are planned at it and not on its list.

Like what else a list owes (`lists.py`) it is read from the registry and from the list, and kept nowhere. Additions are many
where the rest is rare: a plan of 240 modules costs 240 short requests, one after the other, and not 240 lists.
"""

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from scada.drivers.dmesh.link import Link
from scada.drivers.dmesh.lists import RETRY_S, heir_of
from scada.drivers.dmesh.messages import ModuleAdd, Result
from scada.drivers.dmesh.modules import ModuleBook, Modules
from scada.drivers.dmesh.numbers import MAX_MODULES, Capability, Code, code_name
from scada.errors import DataRejected, LinkError
from scada.ports import Registry
from scada.site import Directory, ModuleState

NAMED: Final = 8                        # modules that an entry of the audit names; the others are counted


def additions(directory: Directory, name: str, modules: Modules) -> tuple[ModuleAdd, ...]:
    """
    Return what a list lacks of the modules that are planned at a concentrator, those with an index of their own first.

    One whose index somebody else has there waits until the registry knows who has it. The heir of a module that is still
    listed takes that place (MODULE_REPLACE) and none besides.
    """
    taken, listed = set(modules.index.tolist()), {eui for _, eui in modules.pairs}
    known = directory.module_of_eui
    heirs = {
        heir_of(directory, eui) for eui in listed
        if (one := known.get(eui)) is not None and one.state is ModuleState.REPLACED
    }
    lacking = [
        (index, eui) for index, eui in directory.expected.get(name, ())
        if eui not in listed and eui not in heirs and index not in taken
    ]
    lacking.sort(key=lambda one: not one[0])
    return tuple(ModuleAdd(modules.generation, eui, index) for index, eui in lacking)


def news_for(before: Directory, after: Directory) -> set[str]:
    """The concentrators at which a change of the registry lets somebody be expected who was not."""
    if before.expected is after.expected:
        return set()
    return {
        name for name, now in after.expected.items()
        if now is not (was := before.expected.get(name, ())) and now != was and (not was or not set(now) <= set(was))
    }


@attrs.define
class _Batch:
    """What became of the orders on one list."""

    generation: int                     # that the list has by now, as far as it is known
    added: list[ModuleAdd] = attrs.field(factory=list)
    refused: dict[str, list[int]] = attrs.field(factory=dict)   # why -> EUIs
    stop: bool = False                  # no more for now
    stale: bool = False                 # the list is another one


class ListFiller:
    """One session's."""

    def __init__(
        self, link: Link, book: ModuleBook, registry: Registry, seconds: Callable[[], float],
        tell: Callable[[str, str], None],                   # "added" or "refused", detail
    ) -> None:
        self._link, self._book, self._registry, self._seconds, self._tell = link, book, registry, seconds, tell
        self._not_before: float | None = None               # when there is something to do again
        self._refused: dict[int, float] = {}                # EUI -> not before
        self._told: set[tuple[int, str]] = set()            # who was refused, and why
        self._busy = False

    def due(self) -> bool:
        """Whether it is time to look at the list again."""
        return not self._busy and self._not_before is not None and self._not_before <= self._seconds() and self._link.up

    def wake(self) -> None:
        """Somebody is expected who was not; the next look at this link begins it."""
        self._not_before = self._seconds()

    async def fill(self, modules: Modules) -> Modules:
        """Give every addition that a list calls for; the list as it is then. An unusable answer is `DataRejected`."""
        if self._busy or not self._link.hello.capabilities & Capability.REGISTRY:
            return modules
        self._busy, self._not_before = True, None
        try:
            for _ in range(MAX_MODULES):
                if not (orders := self._owed(modules)):
                    break
                batch = await self._give(orders, modules.generation)
                if not batch.added and not batch.stale:
                    break
                newest = await self._book.refresh()
                if newest is None or newest.generation == modules.generation:
                    self._later()                           # it said that something changed, and nothing has
                    return newest or modules
                modules = newest
                if batch.stop:
                    break
        except LinkError:                                   # who owns the link says why
            self._later()
        except DataRejected:                                # it does not know such an order, or has no list
            self._later()
            raise
        finally:
            self._busy = False
        return modules

    def _owed(self, modules: Modules) -> tuple[ModuleAdd, ...]:
        """Without those that were refused a moment ago, and no more than there is room for."""
        now = self._seconds()
        orders = additions(self._registry.directory, self._link.name, modules)
        if held := [until for one in orders if (until := self._refused.get(one.eui, now)) > now]:
            self._not_before = min(held)
            orders = tuple(one for one in orders if self._refused.get(one.eui, now) <= now)
        room = MAX_MODULES - len(modules)
        if len(orders) > room:
            self._refuse({f"no place: the list has {MAX_MODULES} at most": [one.eui for one in orders[room:]]})
        return orders[:room]

    async def _give(self, orders: Sequence[ModuleAdd], generation: int) -> _Batch:
        """Each change raises the generation by one: where nobody else changes the list, it need not be fetched between."""
        batch, full = _Batch(generation), False
        try:
            for order in orders:
                if full and not order.index:
                    batch.refused.setdefault(code_name(Code.NO_SPACE), []).append(order.eui)
                    continue
                answer = await self._link.ask(attrs.evolve(order, generation=batch.generation), Result)
                match answer.code:
                    case Code.OK:
                        batch.added.append(order)
                        batch.generation += 1
                        self._refused.pop(order.eui, None)
                    case Code.INTERLOCK | Code.DUPLICATE:   # not the list that we know: look again
                        batch.stale = True
                        break
                    case Code.BUSY:
                        batch.stop = True
                        self._later()
                        break
                    case code:
                        full |= code == Code.NO_SPACE and not order.index
                        why = f"{code_name(code)} {answer.text}".rstrip()
                        batch.refused.setdefault(why, []).append(order.eui)
        finally:                                            # also when the link breaks: what was done was done
            if batch.added:
                self._tell("added", _said([one.eui for one in batch.added]))
            self._refuse(batch.refused)
        return batch

    def _refuse(self, refused: dict[str, list[int]]) -> None:
        """Told once; given again later."""
        for why, euis in refused.items():
            fresh = [eui for eui in euis if (eui, why) not in self._told]
            self._told |= {(eui, why) for eui in fresh}
            self._refused |= dict.fromkeys(euis, self._seconds() + RETRY_S)
            self._later()
            if fresh:
                self._tell("refused", f"{_said(fresh)}: {why}")

    def _later(self) -> None:
        self._not_before = self._seconds() + RETRY_S


def _said(euis: Sequence[int]) -> str:
    more = f" and {len(euis) - NAMED} more" if len(euis) > NAMED else ""
    return ", ".join(f"{eui:016X}" for eui in euis[:NAMED]) + more
