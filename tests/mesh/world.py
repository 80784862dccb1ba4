"""A small subnet for tests, and a monitor whose views a test sets."""

from collections.abc import Callable
from typing import Any

import attrs

from scada.clock import NS
from scada.site import Concentrator, MeshNode, MeshView, MeterPeriod, Module, ModuleState, Site
from tests.fakes import NOON

EUI = 0xD100_0000_0000_0000             # above 2^63: whoever stores it signed must bring it back


def node(index: int, parent: int, level: int, **changes: Any) -> MeshNode:
    usual = MeshNode(
        EUI + index, index, level, parent, -70.0, -72.0, 0.99, 100, 3560, 2.0, NOON * NS, battery_idle_mv=3640.0
    )
    return attrs.evolve(usual, **changes)


def view(*nodes: MeshNode, name: str = "C01", at: int = NOON, **changes: Any) -> MeshView:
    return attrs.evolve(MeshView(name, True, 1, nodes, at * NS), **changes)


def site(modules: int = 6) -> Site:
    return Site(
        concentrators=(Concentrator("C01", 1, "Bloc 1", "south"), Concentrator("C02", 2, "Bloc 2", "south")),
        modules=tuple(
            Module(EUI + n, f"C01-{n:03}", "C01", n, ModuleState.ACTIVE, building="B1") for n in range(1, modules + 1)
        ),
        meters=tuple(MeterPeriod(f"S{n}", f"P{n}", EUI + n, 0, 1000.0, NOON // 3600 - 8766) for n in range(1, modules + 1)),
    )


class Monitor:
    """A MeshMonitor by hand."""

    def __init__(self) -> None:
        self.held: dict[str, MeshView] = {}
        self.listeners: list[Callable[[str], None]] = []

    def views(self) -> tuple[MeshView, ...]:
        return tuple(self.held.values())

    def view(self, concentrator: str) -> MeshView | None:
        return self.held.get(concentrator)

    def on_mesh(self, listener: Callable[[str], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def report(self, shown: MeshView) -> None:
        self.held[shown.concentrator] = shown
        for listener in tuple(self.listeners):
            listener(shown.concentrator)
