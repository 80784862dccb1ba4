"""Every change of a command goes through here, and time brings each of them to its end."""

from collections.abc import Callable
from typing import Any, Final

from scada.clock import NS, SiteClock
from scada.dr_dispatch import lifecycle
from scada.dr_dispatch.book import Book, Reactor
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.pursuit import Change
from scada.timers import cancel

SOON_S: Final = 0.01                    # real time: rounding must not make the timer spin


class Course:
    def __init__(
        self,
        book: Book,
        clock: SiteClock,
        reactor: Reactor,
        running: Callable[[], bool],
        changed: Callable[[bytes], None],
        ended: Callable[[Command], None],
    ) -> None:
        self._book, self._clock, self._reactor, self._running = book, clock, reactor, running
        self._changed, self._ended = changed, ended
        self._alarm: Any = None

    def change(self, identity: bytes, change: Change) -> None:
        """Let something happen to a command, if it is known and the desk runs."""
        command = self._book.get(identity)
        if command is not None and self._running():
            self.put(change(command, self._clock.now()))

    def put(self, command: Command) -> None:
        """A command as it is now."""
        before = self._book.get(command.id)
        if not self._book.put(command):
            return
        if not command.live and before is not None and before.live:
            self._ended(command)
        self._changed(command.id)
        self._arm()

    def wake(self) -> None:
        """Site time has come to something: let it happen, and see what is next."""
        now = self._clock.now()
        for command in self._book.live():
            self.put(lifecycle.advance(command, now))
        self._arm()

    def stop(self) -> None:
        cancel(self._alarm)

    def _arm(self) -> None:
        cancel(self._alarm)
        now = self._clock.now()
        due = [wake for command in self._book.live() if (wake := lifecycle.wake(command, now)) is not None]
        if due and self._running():
            self._alarm = self._reactor.callLater(max(SOON_S, self._clock.delay((min(due) - now) / NS)), self.wake)
