"""Hands the orders of a command to the field, each once: the only place that calls `FieldGateway.send`."""

from collections.abc import Callable

import attrs
from twisted.internet.defer import maybeDeferred

from scada.clock import SiteClock
from scada.commands import CommandStatus, GroupOrder, MemberState
from scada.dr_dispatch import guards, lifecycle, planner
from scada.dr_dispatch.book import Book
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.course import Course
from scada.dr_dispatch.pursuit import Counters, Pursuit
from scada.dr_dispatch.status import status_of
from scada.ports import FieldGateway
from scada.settings import DispatchSettings


class Sender:
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
    ) -> None:
        self._settings, self._gateway, self._clock, self._book = settings, gateway, clock, book
        self._course, self._pursuit, self._counters, self._running = course, pursuit, counters, running

    def addressed(self, command: Command) -> Command:
        """A new command with the present start of every concentrator it goes to: it must be in the journal with them."""
        boots = {link_id: self._gateway.boot(link_id) for link_id in {one.member.link_id for one in command.members}}
        members = tuple(attrs.evolve(one, boot=boots[one.member.link_id]) for one in command.members)
        return attrs.evolve(command, members=members)

    def send(self, command: Command) -> CommandStatus:
        """Hand every order of a new command over; what the field says to them is the pursuit's."""
        self._course.put(lifecycle.unaddressed(command, planner.UNKNOWN_MEMBER, self._clock.now()))
        for order in planner.orders(command):
            self._hand_over(command, order)
        return status_of(self._book.get(command.id) or command)

    def _hand_over(self, command: Command, order: GroupOrder) -> None:
        obstacle = self._obstacle(command, order.link_id)
        state = MemberState.NOT_SENT if obstacle else MemberState.SENT
        self._course.change(command.id, lambda one, now: lifecycle.mark(one, order.link_id, state, obstacle, now))
        if not obstacle:
            self._counters.orders_sent += 1
            self._pursuit.follow(order, maybeDeferred(self._gateway.send, order))

    def _obstacle(self, command: Command, link_id: int) -> str:
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
        return ""
