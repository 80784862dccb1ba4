"""Hands the orders of a command to the field, each once: the only place that calls `FieldGateway.send` and `retry`."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

import attrs
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.clock import SiteClock
from scada.columns import Pairs
from scada.commands import CommandStatus, GroupOrder, MemberState, RetryOrder, Selection
from scada.dr_dispatch import guards, lifecycle, local, pace, planner
from scada.dr_dispatch.book import Book, Reactor
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.course import Course
from scada.dr_dispatch.images import Images
from scada.dr_dispatch.local import Say
from scada.dr_dispatch.members import Members
from scada.dr_dispatch.pursuit import Counters, Pursuit
from scada.dr_dispatch.roll import Roll
from scada.dr_dispatch.status import status_of
from scada.errors import CommandRejected, DataRejected, LinkError
from scada.ports import FieldGateway
from scada.settings import DispatchSettings


class Sender:
    log = Logger()

    def __init__(
        self,
        settings: DispatchSettings,
        gateway: FieldGateway,
        clock: SiteClock,
        book: Book,
        course: Course,
        pursuit: Pursuit,
        counters: Counters,
        running: Callable[[], bool],
        reactor: Reactor,
        images: Images,
    ) -> None:
        self._settings, self._gateway, self._clock, self._book = settings, gateway, clock, book
        self._course, self._pursuit, self._counters, self._running = course, pursuit, counters, running
        self._reactor, self._images = reactor, images

    def addressed(self, command: Command) -> Command:
        """A new command with the present start of every concentrator it goes to: it must be in the journal with them."""
        boots = tuple(map(self._gateway.boot, command.members.roll.links))
        return attrs.evolve(command, members=Members.fresh(command.members.roll, boots))

    async def send(self, command: Command) -> CommandStatus:
        """Hand every order of a new command over, some a turn; what the field says to them is the pursuit's."""
        self._course.put(lifecycle.unaddressed(command, planner.UNKNOWN_MEMBER, self._clock.now()))
        signed = False
        for number, batch in enumerate(pace.batches(planner.orders(command))):
            if number:
                await pace.next_turn(self._reactor)
            say = self._images.say
            first = next((one for one in batch if not self._obstacle(command, one.link_id, say)), None)
            if first is not None and not signed:            # not of one that is down: the signature is for the others
                signed = True
                await self._signed(first)
            news, sent = self._judge(command, batch)
            self._course.change(command.id, partial(_marked, news))
            for order in sent:
                self._counters.orders_sent += 1
                self._pursuit.follow(order, maybeDeferred(self._gateway.send, order))
        return status_of(self._book.get(command.id) or command)

    async def _signed(self, order: GroupOrder) -> None:
        """Once for all: thousands of orders that each wait for the same disk would all go on in one turn of the loop."""
        with suppress(LinkError, CommandRejected, DataRejected):               # each order will say it of itself
            await self._gateway.sign(order)

    def prepare(self, selection: Selection, number: int) -> None:
        """While a person reviews: concentrators learn who is in the group, and its key. Nothing is switched by it."""
        if not self._settings.monitor_only and isinstance(selection.members, Roll):
            preparing = Deferred.fromCoroutine(self._prepare(selection.members, number, selection.epoch))
            preparing.addErrback(lambda failure: self.log.failure("preparing a group failed", failure))

    async def _prepare(self, members: Roll, number: int, epoch: int) -> None:
        for turn, batch in enumerate(pace.batches(planner.addressed(members))):
            if turn:
                await pace.next_turn(self._reactor)
            up = [(link_id, pairs) for link_id, pairs in batch if self._running() and self._gateway.link_up(link_id)]
            asked = [maybeDeferred(self._gateway.prepare, link_id, number, epoch, pairs) for link_id, pairs in up]
            # No more than these at once: an answer that waits behind thousands of others comes too late.
            await gatherResults([one.addErrback(self._unprepared) for one in asked])

    def _unprepared(self, failure: Failure) -> None:
        """The order will do it itself, and say what is wrong."""
        if not failure.check(LinkError, CommandRejected, DataRejected):
            self.log.failure("preparing a concentrator failed", failure)

    async def retry(self, command: Command, orders: Sequence[RetryOrder]) -> None:
        """Have orders repeated that are written down already."""
        for number, batch in enumerate(pace.batches(orders)):
            if number:
                await pace.next_turn(self._reactor)
            say = self._images.say
            for order in batch:
                if self._obstacle(command, order.link_id, say, Pairs.of(order.members).euis.tolist()):
                    continue
                # A restore may have been asked for meanwhile: nobody is to hear of the shed after it.
                if not self._book.restores(command.id):
                    self._counters.retries_sent += 1
                    self._pursuit.follow_retry(order, maybeDeferred(self._gateway.retry, order))

    def _judge(
        self, command: Command, orders: Sequence[GroupOrder]
    ) -> tuple[dict[int, tuple[MemberState, str]], list[GroupOrder]]:
        """What becomes of every order's members, by link, and the orders that may leave in this very turn."""
        say = self._images.say
        obstacles = {order.link_id: self._obstacle(command, order.link_id, say) for order in orders}
        news = {
            link_id: (MemberState.NOT_SENT if obstacle else MemberState.SENT, obstacle)
            for link_id, obstacle in obstacles.items()
        }
        return news, [order for order in orders if not obstacles[order.link_id]]

    def _obstacle(self, command: Command, link_id: int, say: Say, euis: Iterable[int] | None = None) -> str:
        """What keeps the frame from leaving at this very moment, "" = nothing."""
        if self._settings.monitor_only or command.monitor_only:
            return lifecycle.MONITOR_ONLY
        if not self._running():
            return "the server is stopping"
        if not guards.in_time(self._clock.now(), command.not_after):
            return lifecycle.EXPIRED
        if not self._clock.trusted():
            return "the server's clock is not synchronised"
        if not self._gateway.link_up(link_id):
            return "concentrator not connected"
        return local.obstacle(command, link_id, say, euis)


def _marked(news: dict[int, tuple[MemberState, str]], command: Command, now: int) -> Command:
    return lifecycle.mark_links(command, news, now)
