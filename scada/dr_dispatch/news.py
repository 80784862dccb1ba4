"""Tells listeners which commands have changed, once a loop turn: a listener's bug cannot stop a command on its way."""

from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger

from scada.commands import CommandStatus
from scada.dr_dispatch.book import Book, Reactor
from scada.dr_dispatch.heavy import LARGE
from scada.dr_dispatch.status import status_of
from scada.ports import Unsubscribe
from scada.timers import cancel

LARGE_S: Final = 0.25                   # real time: what happens to a large command is told together


class News:
    log = Logger()

    def __init__(self, book: Book, reactor: Reactor, running: Callable[[], bool], told: Callable[[], None]) -> None:
        self._book, self._reactor, self._running, self._told = book, reactor, running, told
        self.listeners: list[Callable[[CommandStatus], None]] = []
        self._changed: dict[bytes, None] = {}               # commands the listeners have not heard of yet; ordered
        self._announcing: Any = None

    def subscribe(self, listener: Callable[[CommandStatus], None]) -> Unsubscribe:
        self.listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self.listeners:
                self.listeners.remove(listener)

        return unsubscribe

    def changed(self, identity: bytes) -> None:
        self._changed[identity] = None
        command = self._book.get(identity)
        self.announce(LARGE_S if command is not None and len(command.members) > LARGE else 0)

    def announce(self, within: float = 0) -> None:
        """Tell everybody soon, also where nothing but the surroundings of the commands has changed."""
        if self._announcing is None and self._running():
            self._announcing = self._reactor.callLater(within, self._tell)

    def stop(self) -> None:
        cancel(self._announcing)

    def _tell(self) -> None:
        self._announcing = None
        changed, self._changed = self._changed, {}
        for identity in changed:
            command = self._book.get(identity)
            if command is None:
                continue
            status = status_of(command)
            for listener in tuple(self.listeners):
                try:
                    listener(status)
                except Exception:           # a bus: one listener's bug must not silence the others
                    self.log.failure("a listener of the command desk failed")
        self._told()
