"""Keeps the board's tags up to date: looks at the groups when something has changed, one look at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from scada.clock import SiteClock
from scada.dr_dispatch import board, planner
from scada.dr_dispatch.board import Board
from scada.dr_dispatch.book import Book, Reactor
from scada.dr_dispatch.heavy import LARGE, Heavy
from scada.dr_dispatch.images import Images
from scada.dr_dispatch.outages import Past
from scada.ports import FieldGateway, TagSink
from scada.site import Directory
from scada.timers import cancel

AGAIN_S: Final = 2.0                    # real time between two looks at large groups


class Viewing:
    log = Logger()

    def __init__(
        self, sink: TagSink, images: Images, book: Book, gateway: FieldGateway, clock: SiteClock, heavy: Heavy,
        reactor: Reactor, running: Callable[[], bool], monitor_only: bool,
    ) -> None:
        self._board, self._images, self._book, self._gateway = Board(sink), images, book, gateway
        self._clock, self._heavy, self._reactor, self._running = clock, heavy, reactor, running
        self._monitor_only = monitor_only
        self._barred: set[str] = set()                      # groups that a member bars for ever
        self._busy = self._stale = False
        self._later: Any = None

    def registry_changed(self, directory: Directory) -> None:
        self._board.define(directory.site.load_groups)
        self._go(self._bar(directory))

    def look(self) -> None:
        """Show what there is now; during a look, once more afterwards."""
        if self._busy or self._later is not None:
            self._stale = True
            return
        self._busy, self._stale = True, False
        self._go(self._look())

    def stop(self) -> None:
        cancel(self._later)

    async def _bar(self, directory: Directory) -> None:
        self._barred = await self._images.barred(directory)
        self.look()

    async def _look(self) -> None:
        directory, most, groups = self._images.directory, 0, {}
        try:
            outages, commands = await self._images.outages(), self._book.all()
            for group in directory.site.load_groups:
                members = planner.seen(await self._images.members(directory, group), self._gateway.link_up)
                job = partial(
                    board.group_values, members, Past(members, outages), group.min_on_s, group.name in self._barred,
                    board.last_shed(commands, group.name), self._clock.now(),
                )
                most = max(most, len(members))
                groups[group.name] = await self._heavy.run(len(members), job)
            if self._running():
                self._board.refresh(self._monitor_only, len(self._book.live()), groups, self._clock.now())
        finally:
            self._busy = False
        if most > LARGE and self._running():
            self._later = self._reactor.callLater(AGAIN_S, self._rested)
        elif self._stale:
            self.look()

    def _rested(self) -> None:
        self._later = None
        if self._stale:
            self.look()

    def _go(self, work: Any) -> None:
        Deferred.fromCoroutine(work).addErrback(lambda failure: self.log.failure("groups could not be looked at", failure))
