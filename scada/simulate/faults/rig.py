"""What a fault may lay its hands on: one concentrator with its line, its neighbours, a module, and dice of its own."""

import random
from collections.abc import Callable

import attrs
import numpy as np

from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.client import ConcentratorClient
from scada.drivers.dmesh.simulator.line import Bend, Line
from scada.drivers.dmesh.simulator.state import ConcentratorState

Undo = Callable[[], None]


@attrs.frozen
class Rig:
    """The target of one fault. Times are site time. [s since 1970]"""

    client: ConcentratorClient
    module: int                             # subnet index
    now: Callable[[], float]
    dice: random.Random
    others: tuple[ConcentratorClient, ...] = ()     # concentrators beside it

    @property
    def state(self) -> ConcentratorState:
        return self.client.state

    @property
    def line(self) -> Line:
        return self.client.line

    @property
    def actuator(self) -> Actuator:
        """Of the module; raises `LookupError` where it has none."""
        for one in self.state.modules:
            if one.index == self.module and one.actuator is not None:
                return one.actuator
        raise LookupError(f"module {self.module} has no actuator")

    @property
    def supply(self) -> int:
        """The module, which has a whole supply behind it; raises `LookupError` where there is none."""
        if not any(one.index == self.module and one.supply is not None for one in self.state.modules):
            raise LookupError(f"module {self.module} switches no whole supply")
        return self.module

    @property
    def neighbour(self) -> ConcentratorClient:
        """Another concentrator; raises `LookupError` where there is none."""
        if not self.others:
            raise LookupError("there is no other concentrator beside it")
        return self.others[0]

    @property
    def actuators(self) -> tuple[int, ...]:
        """Indices of the modules with one."""
        return tuple(one.index for one in self.state.modules if one.actuator is not None)

    @property
    def hot(self) -> int:
        """The module that most others send through."""
        mesh = self.state.mesh
        return int(mesh.index[int(np.argmax(mesh.below))])

    def bend_up(self, bend: Bend) -> Undo:
        """Bend what the concentrator writes, until undone."""
        return _entered(self.line.up, bend)

    def bend_down(self, bend: Bend) -> Undo:
        """Bend what it hears, until undone."""
        return _entered(self.line.down, bend)


def _entered(bends: list[Bend], bend: Bend) -> Undo:
    bends.append(bend)
    return lambda: bends.remove(bend) if bend in bends else None
