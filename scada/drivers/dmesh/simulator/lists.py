"""Changes of the module list that a server orders: another module on an index, or none. A mix-in of the state."""

from typing import Any, Final

import attrs

from scada.drivers.dmesh.messages import ModuleAdd, ModuleEntry, ModuleRemove, ModuleReplace
from scada.drivers.dmesh.numbers import MAX_MODULES, Code
from scada.drivers.dmesh.simulator.control import Control
from scada.drivers.dmesh.simulator.handing import Handing
from scada.drivers.dmesh.simulator.mesh import Mesh
from scada.drivers.dmesh.simulator.subnet import Listener, SimModule

WRAP: Final = 2**32


class Lists:
    """What it needs is made by `ConcentratorState`."""

    control: Control
    handing: Handing
    mesh: Mesh
    listener: Listener | None
    generations: dict[int, tuple[SimModule, ...]]
    _all: tuple[SimModule, ...]
    _by_eui: dict[int, SimModule]
    _place: dict[int, int]
    _gone: set[int]
    _unheard: set[int]                      # indices whose new module nobody has heard yet
    _wired: dict[int, int]                  # index -> EUI under which the world knows what hangs there
    _bases: dict[tuple[int, int], int]      # (index, channel) -> what the module before had counted
    _registers: dict[tuple[int, int], int]
    _awaited: dict[int, int]                # index -> EUI of who was added and is not in this subnet, or not yet
    keep_list: Any

    def _tree_grew(self) -> None:
        raise NotImplementedError

    @property
    def generation(self) -> int:
        raise NotImplementedError

    @property
    def modules(self) -> tuple[SimModule, ...]:
        raise NotImplementedError

    @property
    def awaited(self) -> tuple[ModuleEntry, ...]:
        """Who was added to the list and never heard: nothing is known of them."""
        return tuple(ModuleEntry(index, eui, 0) for index, eui in sorted(self._awaited.items()))

    @property
    def free_indices(self) -> tuple[int, ...]:
        """Of nobody, not even of a module that has left or is still to come."""
        taken = self._place.keys() | self._awaited.keys()
        return tuple(index for index in range(1, MAX_MODULES + 1) if index not in taken)

    def change_list(self, message: ModuleAdd | ModuleReplace | ModuleRemove, now: float) -> Code:
        """Change the list, durably before the answer; a repeat is answered with DUPLICATE."""
        if isinstance(message, ModuleAdd):
            return self._add(message, now)
        there = {module.index: module for module in self.modules}
        euis = {module.eui for module in self.modules} | set(self._awaited.values())
        if isinstance(message, ModuleReplace):
            if message.new_eui in euis:
                return Code.DUPLICATE
        elif message.eui not in euis:
            return Code.DUPLICATE
        if message.generation == self.generation and self._awaited.get(message.index) == message.eui:
            del self._awaited[message.index]
            if isinstance(message, ModuleReplace):
                self._awaited[message.index] = message.new_eui
            return self._changed(self.modules)
        module = there.get(message.index)
        if message.generation != self.generation or module is None or module.eui != message.eui:
            return Code.INTERLOCK
        if isinstance(message, ModuleReplace):
            self._take_place(module, message.new_eui)
            self._heard_soon(module.index, now)
        else:
            self._gone.add(module.index)
            self.generations[self.generation + 1] = tuple(one for one in self.modules if one.index != module.index)
        self.control.unsettle(module.index)
        if isinstance(message, ModuleReplace):
            self.handing.newcomer(module.index)
        self.keep_list()
        self._tree_grew()
        return Code.OK

    def _add(self, message: ModuleAdd, now: float) -> Code:
        """One that was removed is back; of another the list has the name until it joins, which many never do."""
        if message.eui in {module.eui for module in self.modules} | set(self._awaited.values()):
            return Code.DUPLICATE
        if message.generation != self.generation:
            return Code.INTERLOCK
        own = self._by_eui.get(message.eui)
        if own is not None and self._all[self._place[own.index]].eui != own.eui:
            own = None                                      # its place is its heir's
        free = self.free_indices if own is None else (own.index,)      # where one of ours hangs is not for a list to say
        if not free or (message.index and message.index not in free):
            return Code.NO_SPACE
        if own is None or own.joins_at > now:
            self._awaited[message.index or free[0]] = message.eui
            return self._changed(self.modules)
        self._gone.discard(own.index)
        self._unheard.add(own.index)
        self._heard_soon(own.index, now)
        self.control.unsettle(own.index)
        self.handing.newcomer(own.index)
        return self._changed(tuple(sorted((*self.modules, own), key=lambda one: self._place[one.index])))

    def _changed(self, modules: tuple[SimModule, ...]) -> Code:
        self.generations[self.generation + 1] = modules
        self.keep_list()
        self._tree_grew()
        return Code.OK

    def _come(self, present: tuple[SimModule, ...]) -> None:
        """Who was waited for is there."""
        euis, indices = {one.eui for one in present}, {one.index for one in present}
        self._awaited = {
            index: eui for index, eui in self._awaited.items() if eui not in euis and index not in indices
        }

    def _take_place(self, module: SimModule, eui: int) -> None:
        """The wires stay: what the world knows by the first EUI is now counted by another module, from 0."""
        heir = attrs.evolve(module, eui=eui)
        self._wired.setdefault(module.index, module.eui)
        for (index, channel), register in self._registers.items():
            if index == module.index:
                self._bases[index, channel] = (self._bases.get((index, channel), 0) + register) % WRAP
                self._registers[index, channel] = 0
        self._all = tuple(heir if one.index == module.index else one for one in self._all)
        self._by_eui[eui] = heir
        self._unheard.add(module.index)
        self.generations[self.generation + 1] = tuple(
            heir if one.index == module.index else one for one in self.modules
        )

    def _heard_soon(self, index: int, now: float) -> None:
        heard = now + max(1.0, float(self.mesh.travel_s[self._place[index]]))
        self.control.at(heard, lambda at: self._hear_first(index))

    def _hear_first(self, index: int) -> None:
        self._unheard.discard(index)
        if self.listener is not None:
            self.listener.modules_joined(tuple(one for one in self.modules if one.index == index))
        self._tree_grew()

    def list_memory(self) -> dict[str, Any]:
        """What the list and the new modules keep over a restart, as JSON."""
        return {
            "gone": sorted(self._gone), "euis": [[index, self._all[self._place[index]].eui] for index in self._wired],
            "bases": [[*key, base] for key, base in self._bases.items()], "awaited": list(self._awaited.items()),
        }

    def recall_list(self, memory: dict[str, Any]) -> None:
        """Go on from what `list_memory` gave."""
        for index, eui in memory["euis"]:
            self._take_place(self._all[self._place[index]], eui)
        self._unheard.clear()
        self._awaited = dict(memory.get("awaited", ()))
        self._bases = {(index, channel): base for index, channel, base in memory["bases"]}
        if set(memory["gone"]) - self._gone:
            self._gone |= set(memory["gone"])
            self.generations[self.generation + 1] = tuple(one for one in self.modules if one.index not in self._gone)
        self._tree_grew()
