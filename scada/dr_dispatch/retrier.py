"""Sees to it that silent members are told again: written down first, then sent; asked about first after any doubt."""

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from scada.clock import SiteClock
from scada.dr_dispatch import pace, retries
from scada.dr_dispatch.book import Book, Reactor
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.course import Course
from scada.dr_dispatch.heavy import Heavy
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
        heavy: Heavy,
        reactor: Reactor,
    ) -> None:
        self._settings, self._clock, self._book, self._images = settings, clock, book, images
        self._course, self._pursuit, self._sender, self._running = course, pursuit, sender, running
        self._heavy, self._reactor = heavy, reactor
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
        now, directory = self._clock.now(), self._images.directory
        due = await self._heavy.run(len(command.members), partial(
            retries.orders, command, self._settings, directory, self._images.say,
            bool(self._book.restores(command.id)), now,
        ))
        orders = [order for order in due if self._pursuit.certain(command.id, order.link_id)]
        if not orders:
            return
        for number, batch in enumerate(pace.batches(orders)):
            if number:
                await pace.next_turn(self._reactor)
            self._course.change(command.id, partial(retries.told_again, batch))
        try:
            await self._book.keep(command.id)
        except StorageError:                                # the book says so itself; what is not written is not sent
            return
        command = self._book.get(command.id) or command
        left = await self._heavy.run(
            len(command.members),
            partial(retries.still_allowed, command, orders, self._images.directory, self._images.say),
        )
        await self._sender.retry(command, left)
