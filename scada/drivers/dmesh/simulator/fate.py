"""What befalls a concentrator and its subnet from outside: power, a spare, another tree, modules that come and go.

The half of `ConcentratorState` that faults call; a healthy concentrator never comes here.
"""

from typing import Any

import numpy as np

from scada.drivers.dmesh.messages import CommandReport, Event
from scada.drivers.dmesh.profile import Profile
from scada.drivers.dmesh.simulator.archive import Archive
from scada.drivers.dmesh.simulator.clocks import ModuleCrystals
from scada.drivers.dmesh.simulator.control import Control
from scada.drivers.dmesh.simulator.handing import Handing
from scada.drivers.dmesh.simulator.mesh import Mesh, grow
from scada.drivers.dmesh.simulator.parameters import Configuration
from scada.drivers.dmesh.simulator.subnet import WRAPPING, Listener, SimModule
from scada.drivers.dmesh.simulator.supply import Singles
from scada.events import EventCode


class Fate:
    """What it needs is made by `ConcentratorState`."""

    boot_id: int
    max_frame: int
    configuration: Configuration
    control: Control
    handing: Handing
    singles: Singles
    archive: Archive
    mesh: Mesh
    crystals: ModuleCrystals
    listener: Listener | None
    events: list[Event]
    event_cursor: int
    generations: dict[int, tuple[SimModule, ...]]
    _all: tuple[SimModule, ...]
    _by_eui: dict[int, SimModule]
    _place: dict[int, int]
    _gone: set[int]
    _owed: dict[bytes, CommandReport]
    _rng: np.random.Generator

    @property
    def generation(self) -> int:
        raise NotImplementedError

    @property
    def modules(self) -> tuple[SimModule, ...]:
        raise NotImplementedError

    def event(self, code: EventCode, raised: bool, at: float, index: int = 0, channel: int = 255) -> None:
        raise NotImplementedError

    def _make_control(self) -> Control:
        raise NotImplementedError

    def _make_singles(self) -> Singles:
        raise NotImplementedError

    def _append(self, profile: Profile) -> None:
        raise NotImplementedError

    def join(self, at: float) -> None:
        raise NotImplementedError

    def _tree_grew(self) -> None:
        raise NotImplementedError

    def restart(self, now: float) -> None:
        """Power came back: commands under way and keys are gone; the archive, and what modules hold, is not."""
        self.boot_id = (self.boot_id + 1) % 2**32
        memory, self.control = self.control.memory(), self._make_control()
        self.handing.restart()
        self.configuration.restart()
        self.control.recall(memory, now)
        self.singles = self._make_singles()
        self._owed.clear()
        self.event(EventCode.CONCENTRATOR_RESTARTED, True, now)

    def begin_archive(self, archive_id: int) -> None:
        """A spare takes over: the modules give it what nobody acknowledged, from archives of their own."""
        left = [one.profile for one in self.archive.after_all(self.archive.acknowledged)]
        self.archive = Archive(archive_id, self.max_frame - WRAPPING, self.archive.depth)
        self.events.clear()
        self.event_cursor = 0
        for profile in left:
            self._append(profile)

    def replant(self, **how: Any) -> int:
        """The tree changed (see `Mesh.replant`); the server is told. Returns how many modules have another parent."""
        moved = self.mesh.replant(**how)
        self._tree_grew()
        return moved

    def relist(self) -> None:
        """Somebody in the module list changed his name: a new generation of it."""
        self.generations[self.generation + 1] = self.modules
        if self.listener is not None:
            self.listener.modules_joined(self.modules)

    def leave(self, index: int) -> SimModule:
        """A module is taken to another subnet."""
        module = self._all[self._place[index]]
        self._gone.add(index)
        self.generations[self.generation + 1] = tuple(one for one in self.modules if one.index != index)
        if self.listener is not None:
            self.listener.modules_joined(())
        self._tree_grew()
        return module

    def admit(self, module: SimModule, now: float) -> None:
        """A module that was in another subnet joins this one."""
        self._gone.discard(module.index)
        if module.eui not in self._by_eui:
            self._all += (module,)
            self._by_eui[module.eui] = module
            self._place[module.index] = len(self._all) - 1
            self.crystals.enter(module.index)
            self.mesh = grow(np.array([one.index for one in self._all], dtype=np.int64), self._rng)
            memory, old = self.control.memory(), self.control
            self.control = self._make_control()
            here = {str(module.index): module.actuator.memory()} if module.actuator else {}
            self.control.recall(memory | here, now)
            self.control.inherit(old)
            before, self.singles = self.singles, self._make_singles()
            self.singles.inherit(before)
        self.join(now)
