"""Module lists of one concentrator by generation: whose module an index was when a record was written."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred

from scada.drivers.dmesh.link import Link
from scada.drivers.dmesh.messages import GetModules, ModuleEntry, ModuleList, Result
from scada.drivers.dmesh.numbers import MAX_MODULES, Code, code_name
from scada.errors import DataRejected, LinkError
from scada.site import JoinedModule, Module, ModuleState

KEPT: Final = 16                        # generations remembered per link


@attrs.frozen(eq=False)
class Modules:
    """
    One generation of the list, as arrays: a city's lists as objects would be a third of a million of them, and the
    garbage collector would walk them all every now and then, while the loop stands.
    """

    generation: int
    index: NDArray[np.uint8]            # (n,) subnet index of each module listed
    euis: NDArray[np.uint64]            # (241,) by subnet index; 0 where there is none
    channels: NDArray[np.uint8]         # (n,)
    tree: NDArray[np.int16]             # (n, 3): level, parent, RSSI [dBm]
    adapters: tuple[str, ...]           # (n,) actuator types

    def __len__(self) -> int:
        return len(self.index)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(subnet index, EUI) of each."""
        return list(zip(self.index.tolist(), self.euis[self.index].tolist(), strict=True))

    def names(self, eui: int) -> bool:
        """Whether a module is listed."""
        return bool((self.euis == eui).any())

    def index_of(self, eui: int) -> int:
        """Of a module that is listed."""
        return int(np.flatnonzero(self.euis == eui)[0])

    def only_names(self, eui: int) -> bool:
        """Whether a module is listed and was never heard (see `only_named`)."""
        rows = self.euis[self.index] == eui
        return bool(rows.any()) and not self._known[rows].any()

    @property
    def known(self) -> list[tuple[int, int]]:
        """(subnet index, EUI) of each that is not only named."""
        index = self.index[self._known]
        return list(zip(index.tolist(), self.euis[index].tolist(), strict=True))

    @property
    def present(self) -> int:
        """How many these are."""
        return int(self._known.sum())

    @property
    def _known(self) -> NDArray[np.bool_]:
        return np.asarray((self.channels != 0) | (self.tree[:, [0, 2]] != 0).any(axis=1), dtype=np.bool_)

    def tells_as(self, entries: tuple[ModuleEntry, ...]) -> bool:
        """Whether this list says the same of these modules: their index, and how many channels they have."""
        rows = dict(zip(self.pairs, self.channels.tolist(), strict=True))
        return all(rows.get((one.index, one.eui)) == one.channels for one in entries)

    @property
    def entries(self) -> tuple[ModuleEntry, ...]:
        """The modules as objects, made now."""
        rows = zip(self.pairs, self.channels.tolist(), self.adapters, self.tree.tolist(), strict=True)
        return tuple(
            ModuleEntry(index, eui, channels, adapter, level, parent, rssi)
            for (index, eui), channels, adapter, (level, parent, rssi) in rows
        )


def only_named(entry: ModuleEntry) -> bool:
    """Whether a module is on a list because somebody put it there, and has not said a word yet: nothing is known of it."""
    return not entry.level and not entry.rssi and not entry.channels


def unheard(entry: ModuleEntry, module: Module | None) -> bool:
    """The same, also of one that took another's place: its channels are that one's, and the registry has it as planned."""
    planned = module is not None and module.state is ModuleState.PLANNED
    return only_named(entry) or (planned and not entry.level and not entry.rssi)


def listed(generation: int, entries: tuple[ModuleEntry, ...]) -> Modules:
    """A list from its entries."""
    euis = np.zeros(MAX_MODULES + 1, dtype=np.uint64)
    euis[[entry.index for entry in entries]] = [entry.eui for entry in entries]
    euis.flags.writeable = False
    return Modules(
        generation,
        np.array([entry.index for entry in entries], dtype=np.uint8),
        euis,
        np.array([entry.channels for entry in entries], dtype=np.uint8),
        np.array([(entry.level, entry.parent, entry.rssi) for entry in entries], dtype=np.int16).reshape(-1, 3),
        tuple(entry.adapter for entry in entries),
    )


def joined(link_id: int, entries: tuple[ModuleEntry, ...]) -> tuple[JoinedModule, ...]:
    """The entries as the registry takes them."""
    return tuple(
        JoinedModule(
            entry.eui, link_id, entry.index, entry.channels, entry.adapter, entry.level, entry.parent, entry.rssi
        )
        for entry in entries
    )


class ModuleBook:
    """Fetches lists once each; whoever needs a list that is on its way waits for the same answer."""

    def __init__(self, link: Link, renewed: Callable[[Modules], None] = lambda modules: None) -> None:
        """`renewed` is told of every current list, before anybody who waits for it."""
        self._link, self._renewed = link, renewed
        self._held: OrderedDict[int, Modules | None] = OrderedDict()       # None: the concentrator no longer has it
        self._coming: dict[int, list[Deferred[Modules | None]]] = {}
        self.current: Modules | None = None

    def of(self, generation: int) -> "Deferred[Modules | None]":
        """
        The list of a generation; 0 is the current one, as far as it is known.

        None where the concentrator has no such list any more; fails with `LinkError` when the link breaks, with
        `DataRejected` when what comes is no list.
        """
        waiting: Deferred[Modules | None] = Deferred()
        if generation == 0 and self.current is not None:
            waiting.callback(self.current)
        elif generation in self._held:
            waiting.callback(self._held[generation])
        elif generation in self._coming:
            self._coming[generation].append(waiting)
        else:
            self._coming[generation] = [waiting]
            Deferred.fromCoroutine(self._fetch(generation)).addBoth(self._arrived, generation)
        return waiting

    def held(self, generation: int) -> Modules | None:
        """The list of a generation where it is here already."""
        return self._held.get(generation) if generation else self.current

    def refresh(self) -> "Deferred[Modules | None]":
        """Ask for the current list again."""
        self.current = None
        return self.of(0)

    async def _fetch(self, generation: int) -> Modules | None:
        entries: list[ModuleEntry] = []
        page, pages, asked = 0, 1, generation
        while page < pages:
            answer = await self._link.ask(GetModules(asked, page), ModuleList)
            if isinstance(answer, Result):
                if answer.code == Code.UNKNOWN:
                    return None
                raise LinkError(self._link.name, f"has no module list at present: {code_name(answer.code)}")
            if (asked and answer.generation != asked) or answer.page != page:
                raise DataRejected(self._link.name, "sent another page of the module list than was asked for")
            asked, pages = answer.generation, min(answer.pages, MAX_MODULES)
            entries += answer.modules
            page += 1
        return listed(asked, tuple(entries))

    def _arrived(self, outcome: object, generation: int) -> None:
        waiting = self._coming.pop(generation)
        if isinstance(outcome, Modules) or outcome is None:
            if isinstance(outcome, Modules):
                self._keep(outcome.generation, outcome)
                if generation == 0:
                    self.current = outcome
                    self._renewed(outcome)
            elif generation:
                self._keep(generation, None)
        for one in waiting:
            one.callback(outcome)       # type: ignore[arg-type]  # a Failure goes down the errback chain

    def _keep(self, generation: int, modules: Modules | None) -> None:
        self._held[generation] = modules
        if len(self._held) > KEPT:
            self._held.popitem(last=False)
