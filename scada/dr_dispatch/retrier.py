"""Sees to it that silent members are told again: written down first, then sent; asked about first after any doubt."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from scada.clock import SiteClock
from scada.dr_dispatch import retries
from scada.dr_dispatch.book import Book
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.course import Course
from scada.dr_dispatch.images import Images
from scada.dr_dispatch.pursuit import Pursuit
from scada.dr_dispatch.sender import Sender
from scada.errors import StorageError
from scada.settings import DispatchSettings


class Retrier:
    log = Logger()

    def __init__(
        self,
        settings: DispatchSettings,
        clock: SiteClock,
        book: Book,
        images: Images,
        course: Course,
        pursuit: Pursuit,
        sender: Sender,
        running: Callable[[], bool],
    ) -> None:
        self._settings, self._clock, self._book, self._images = settings, clock, book, images
        self._course, self._pursuit, self._sender, self._running = course, pursuit, sender, running
        self._busy = False

    def look(self) -> None:
        """Tell again whoever is due; one round at a time."""
        if self._busy or not self._running() or not self._clock.trusted():
            return
        self._busy = True

        def over(outcome: object) -> object:
            self._busy = False
            return outcome

        round_ = Deferred.fromCoroutine(self._round()).addBoth(over)
        round_.addErrback(lambda failure: self.log.failure("telling silent members again failed", failure))

    async def _round(self) -> None:
        for command in self._book.live():
            await self._again(command)

    async def _again(self, command: Command) -> None:
        now = self._clock.now()
        orders = retries.orders(
            command, self._settings, self._images.directory, lambda link_id: self._pursuit.certain(command.id, link_id),
            bool(self._book.restores(command.id)), now,
        )
        if not orders:
            return
        self._course.put(retries.told_again(command, orders, now))
        try:
            await self._book.keep(command.id)
        except StorageError:                                # the book says so itself; what is not written is not sent
            return
        orders = retries.still_allowed(command, orders, self._images.directory)
        await self._sender.retry(command, orders)
