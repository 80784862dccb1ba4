"""What became of what was sent: answers, reports, and questions where neither came. Only questions leave from here."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.columns import Reports, reports_of
from scada.commands import GroupOrder, MemberReport, MemberState, RetryOrder
from scada.dr_dispatch import lifecycle, pace
from scada.dr_dispatch.book import Book, Reactor
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.heavy import LARGE
from scada.errors import CommandRejected, LinkError
from scada.ports import FieldGateway
from scada.timers import cancel

TOGETHER_S: Final = 0.1                 # real time for which news of a large command is gathered
TAKEN_AT_ONCE: Final = 64               # concentrators whose news is taken in one turn of the loop

Change = Callable[[Command, int], Command]              # of a command at a site time [ns]


@attrs.define
class Counters:
    """Of the desk, since start."""

    selected: int = 0
    executed: int = 0
    restored: int = 0
    refused: int = 0                    # requests, by guards
    orders_sent: int = 0
    orders_failed: int = 0
    retries_sent: int = 0
    retries_failed: int = 0
    inquiries: int = 0
    stray_reports: int = 0              # about commands nobody knows, or that are over
    audit_failures: int = 0
    pruned: int = 0                     # commands that were too old for the journal


class Pursuit:
    """Follows orders into the field; changes commands only through `change`."""

    log = Logger()

    def __init__(
        self, book: Book, gateway: FieldGateway, change: Callable[[bytes, Change], None], counters: Counters,
        reactor: Reactor,
    ) -> None:
        self._reactor = reactor
        self._marks: dict[bytes, dict[int, tuple[MemberState, str]]] = {}      # news of large commands, by link
        self._reports: dict[bytes, deque[Reports]] = {}
        self._taking: Any = None
        self._more: Any = None
        self._book, self._gateway, self._change, self._counters = book, gateway, change, counters
        self._unsure: set[tuple[bytes, int]] = set()        # (command, link) that must be asked about
        self._asking: set[tuple[bytes, int]] = set()        # those that are being asked about

    def follow(self, order: GroupOrder, answer: "Deferred[None]") -> None:
        """Take the concentrator's answer to an order that has just been handed over."""
        key = (order.command_id, order.link_id)
        answer.addCallbacks(lambda _: self._mark(key, MemberState.ACCEPTED), lambda failure: self._failed(key, failure))

    def follow_retry(self, order: RetryOrder, answer: "Deferred[bool]") -> None:
        """Take the answer to a retry: one that is lost is in doubt again, and is asked about before the next."""
        key = (order.command_id, order.link_id)
        answer.addCallbacks(
            lambda knows: None if knows else self._told(key, False), lambda failure: self._retry_failed(key, failure)
        )

    def certain(self, identity: bytes, link_id: int) -> bool:
        """Whether nothing has to be asked before a concentrator may be told of a command again."""
        key = (identity, link_id)
        return self._gateway.link_up(link_id) and key not in self._unsure and key not in self._asking

    def doubt(self, command: Command) -> None:
        """This server has restarted: whatever it knows of a command may be old."""
        self._unsure |= {(command.id, link_id) for link_id in command.members.roll.links}

    def link_changed(self, link_id: int, up: bool) -> None:
        for key in [key for key in self._asking if key[1] == link_id]:
            self._asking.discard(key)                       # no answer comes over a link that broke
        if up:
            self._unsure |= {(one.id, link_id) for one in self._book.live() if lifecycle.unanswered(one, link_id)}
            self.ask()

    def reported(self, reports: Sequence[MemberReport]) -> None:
        for mine in reports_of(reports):
            command = self._book.get(mine.command_id)
            if command is None or not command.live:
                self._counters.stray_reports += len(mine)
                continue
            self._fold(mine.command_id, [mine])
            for ended in self._book.ended_by(command) if command.restores else ():
                self._fold(ended.id, lifecycle.restored_by(command, ended.id, [mine]))

    def ask(self) -> None:
        """Ask connected concentrators about commands of which we do not know what became; some a turn of the loop."""
        asked = 0
        for key in sorted(self._unsure - self._asking):
            identity, link_id = key
            command = self._book.get(identity)
            if command is None or command.monitor_only or not lifecycle.unanswered(command, link_id):
                self._unsure.discard(key)
            elif self._gateway.link_up(link_id):
                if asked == pace.A_TURN:
                    self._ask_more()
                    return
                asked += 1
                self._asking.add(key)
                self._counters.inquiries += 1
                self._await(key, maybeDeferred(self._gateway.inquire, identity, link_id))

    def _ask_more(self) -> None:
        def go_on() -> None:
            self._more = None
            self.ask()

        if self._more is None:
            self._more = self._reactor.callLater(0, go_on)

    def _await(self, key: tuple[bytes, int], answer: "Deferred[Any]") -> None:
        answer.addCallbacks(lambda knows: self._told(key, knows), lambda failure: self._not_told(key, failure))

    def _told(self, key: tuple[bytes, int], knows: bool) -> None:
        self._asking.discard(key)
        self._unsure.discard(key)
        if knows:
            self._mark(key, MemberState.ACCEPTED)
        else:
            boot = self._gateway.boot(key[1])
            self._change(key[0], lambda command, now: lifecycle.unknown_to(command, key[1], boot, now))

    def _not_told(self, key: tuple[bytes, int], failure: Failure) -> None:
        self._asking.discard(key)                           # still unsure: the next tick or the next link asks again
        if not failure.check(LinkError):
            self.log.failure("asking about command {command} failed", failure, command=key[0].hex())

    def _failed(self, key: tuple[bytes, int], failure: Failure) -> None:
        self._counters.orders_failed += 1
        if failure.check(CommandRejected):
            self._mark(key, MemberState.REFUSED, failure.getErrorMessage())
            return
        if not failure.check(LinkError):
            self.log.failure("sending command {command} failed", failure, command=key[0].hex())
        self._unsure.add(key)                               # it may have arrived: asked about, never sent again

    def _retry_failed(self, key: tuple[bytes, int], failure: Failure) -> None:
        self._counters.retries_failed += 1
        if failure.check(CommandRejected):
            return                                          # the members stay silent; time decides
        if not failure.check(LinkError):
            self.log.failure("telling command {command} again failed", failure, command=key[0].hex())
        self._unsure.add(key)

    def _mark(self, key: tuple[bytes, int], state: MemberState, reason: str = "") -> None:
        self._marks.setdefault(key[0], {})[key[1]] = (state, reason)
        self._take_soon(key[0])

    def _fold(self, identity: bytes, reports: Sequence[Reports]) -> None:
        self._reports.setdefault(identity, deque()).extend(reports)
        self._take_soon(identity)

    def _take_soon(self, identity: bytes) -> None:
        """At once, but for a large command: news of many of its concentrators costs little more than that of one."""
        command = self._book.get(identity)
        if command is None or len(command.members) <= LARGE:
            while identity in self._marks or identity in self._reports:
                self._take(identity)
        elif self._taking is None:
            self._taking = self._reactor.callLater(TOGETHER_S, self._take_some)

    def _take_some(self) -> None:
        """Let some of the news that is held together happen now, and the rest in the next turns."""
        self._taking = None
        for identity in [*dict.fromkeys([*self._marks, *self._reports])][:1]:
            self._take(identity)
        if self._marks or self._reports:
            self._taking = self._reactor.callLater(0, self._take_some)

    def take_all(self) -> None:
        """Let all of it happen before the server stops."""
        cancel(self._taking)
        cancel(self._more)
        while self._marks or self._reports:
            self._take(next(iter([*self._marks, *self._reports])))

    def _take(self, identity: bytes) -> None:
        """Marks first: a concentrator accepts a command before it reports on it."""
        marks, reports = self._marks.get(identity, {}), self._reports.get(identity, deque())
        news = {link_id: marks.pop(link_id) for link_id in list(marks)[: 8 * TAKEN_AT_ONCE]}
        told = [reports.popleft() for _ in range(0 if marks else min(len(reports), TAKEN_AT_ONCE))]
        if not marks:
            self._marks.pop(identity, None)
        if not reports:
            self._reports.pop(identity, None)

        def taken(command: Command, now: int) -> Command:
            command = lifecycle.mark_links(command, news, now) if news else command
            return lifecycle.fold(command, told, now) if told else command

        self._change(identity, taken)
