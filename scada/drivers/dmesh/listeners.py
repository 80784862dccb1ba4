"""Who else in the server is told what the field said."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, gatherResults

from scada.commands import MemberReport
from scada.events import DeviceEvent
from scada.ports import Unsubscribe
from scada.reads import ReadReport

L = TypeVar("L")


class Listeners:
    """Listeners of the driver's ports; a concentrator is named as the registry calls it today."""

    def __init__(self, naming: Callable[[int], str]) -> None:
        self._naming = naming
        self.told = 0                                       # events, since start
        self._events: list[Callable[[Sequence[DeviceEvent]], Deferred[None]]] = []
        self._reports: list[Callable[[Sequence[MemberReport]], None]] = []
        self._readings: list[Callable[[ReadReport], Deferred[None]]] = []
        self._links: list[Callable[[int, bool], None]] = []
        self._meshes: list[Callable[[str], None]] = []

    # ------------------------------------------------------------------ entering
    def on_events(self, listener: "Callable[[Sequence[DeviceEvent]], Deferred[None]]") -> Unsubscribe:
        return _enter(self._events, listener)

    def on_report(self, listener: Callable[[Sequence[MemberReport]], None]) -> Unsubscribe:
        return _enter(self._reports, listener)

    def on_readings(self, listener: "Callable[[ReadReport], Deferred[None]]") -> Unsubscribe:
        return _enter(self._readings, listener)

    def on_link(self, listener: Callable[[int, bool], None]) -> Unsubscribe:
        return _enter(self._links, listener)

    def on_mesh(self, listener: Callable[[str], None]) -> Unsubscribe:
        return _enter(self._meshes, listener)

    # ------------------------------------------------------------------ telling
    def events(self, events: Sequence[DeviceEvent]) -> "Deferred[Any]":
        """Fires when every listener has them on its disk; fails with the first that has not."""
        self.told += len(events)
        return gatherResults([listener(events) for listener in tuple(self._events)], consumeErrors=True)

    def reports(self, reports: Sequence[MemberReport]) -> None:
        for listener in tuple(self._reports):
            listener(reports)

    def readings(self, report: ReadReport) -> "Deferred[Any]":
        return gatherResults([listener(report) for listener in tuple(self._readings)], consumeErrors=True)

    def link(self, link_id: int, *, up: bool) -> None:
        for listener in tuple(self._links):
            listener(link_id, up)
        self.mesh(link_id)

    def mesh(self, link_id: int) -> None:
        for listener in tuple(self._meshes):
            listener(self._naming(link_id))


def _enter(listeners: list[L], listener: L) -> Unsubscribe:
    listeners.append(listener)
    return lambda: listeners.remove(listener) if listener in listeners else None
