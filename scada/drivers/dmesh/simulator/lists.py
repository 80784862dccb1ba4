"""Changes of the module list that a server orders: another module on an index, or none. A mix-in of the state."""

from typing import Any, Final

import attrs

from scada.drivers.dmesh.messages import ModuleRemove, ModuleReplace
from scada.drivers.dmesh.numbers import Code
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
    keep_list: Any

    def _tree_grew(self) -> None:
        raise NotImplementedError

    @property
    def generation(self) -> int:
        raise NotImplementedError

    @property
    def modules(self) -> tuple[SimModule, ...]:
        raise NotImplementedError

    def change_list(self, message: ModuleReplace | ModuleRemove, now: float) -> Code:
        """Change the list, durably before the answer; a repeat is answered with DUPLICATE."""
        there = {module.index: module for module in self.modules}
        euis = {module.eui for module in self.modules}
        if isinstance(message, ModuleReplace):
            if message.new_eui in euis:
                return Code.DUPLICATE
        elif message.eui not in euis:
            return Code.DUPLICATE
        module = there.get(message.index)
        if message.generation != self.generation or module is None or module.eui != message.eui:
            return Code.INTERLOCK
        if isinstance(message, ModuleReplace):
            self._take_place(module, message.new_eui)
            heard = now + max(1.0, float(self.mesh.travel_s[self._place[module.index]]))
            self.control.at(heard, lambda at: self._hear_first(module.index))
        else:
            self._gone.add(module.index)
            self.generations[self.generation + 1] = tuple(one for one in self.modules if one.index != module.index)
        self.control.unsettle(module.index)
        if isinstance(message, ModuleReplace):
            self.handing.newcomer(module.index)
        self.keep_list()
        self._tree_grew()
        return Code.OK

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

    def _hear_first(self, index: int) -> None:
        self._unheard.discard(index)
        if self.listener is not None:
            self.listener.modules_joined(tuple(one for one in self.modules if one.index == index))
        self._tree_grew()

    def list_memory(self) -> dict[str, Any]:
        """What the list and the new modules keep over a restart, as JSON."""
        return {
            "gone": sorted(self._gone), "euis": [[index, self._all[self._place[index]].eui] for index in self._wired],
            "bases": [[*key, base] for key, base in self._bases.items()],
        }

    def recall_list(self, memory: dict[str, Any]) -> None:
        """Go on from what `list_memory` gave."""
        for index, eui in memory["euis"]:
            self._take_place(self._all[self._place[index]], eui)
        self._unheard.clear()
        self._bases = {(index, channel): base for index, channel, base in memory["bases"]}
        if set(memory["gone"]) - self._gone:
            self._gone |= set(memory["gone"])
            self.generations[self.generation + 1] = tuple(one for one in self.modules if one.index not in self._gone)
        self._tree_grew()
