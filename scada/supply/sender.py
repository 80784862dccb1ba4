"""Brings confirmed switches to the field, each command once: the only place that calls `SupplyGateway.switch_supply`.

A command is on disk as sent before it is handed over. Where it may have left and nobody knows (a broken link, a restart),
the concentrator is asked; only what never came there is sent.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.clock import NS, SiteClock
from scada.commands import Action, MemberReport, MemberState
from scada.errors import CommandRejected, LinkError, StorageError
from scada.ports import SupplyGateway
from scada.supplies import IN_THE_FIELD, Local, Step, SupplyOrder, SwitchAction, SwitchState
from scada.supply import record as steps
from scada.supply import rules
from scada.supply.book import Book
from scada.supply.record import Record
from scada.supply.rules import Place
from scada.supply.store import News

MONITOR_ONLY = "monitor-only"
NOT_CONNECTED = "concentrator not connected"
UNTRUSTED = "the server's clock is not synchronised"
NOT_IN_REGISTRY = "not in the registry"


class Sender:
    """`place` says where a supply is now; `running` whether anything may still leave."""

    log = Logger()

    def __init__(
        self, gateway: SupplyGateway, book: Book, clock: SiteClock, place: Callable[[str], Place | None],
        locals_: Mapping[str, Local], running: Callable[[], bool], *, monitor_only: bool,
    ) -> None:
        self._gateway, self._book, self._clock, self._place = gateway, book, clock, place
        self._locals, self._running, self._monitor_only = locals_, running, monitor_only
        self._driving: set[str] = set()
        self.orders = 0

    def drive(self, point: str) -> None:
        """Take the switch of a supply as far as it goes now; what waits is tried again when this is called again."""
        record = self._book.get(point)
        waits = record.switch is not None and record.switch.state in (SwitchState.CONFIRMED, SwitchState.ASKING)
        if not waits or point in self._driving or not self._running():
            return
        self._driving.add(point)

        def over(outcome: object) -> None:
            self._driving.discard(point)
            if isinstance(outcome, Failure) and not outcome.check(StorageError):    # its owner has said why
                self.log.failure("a supply could not be switched", outcome)

        Deferred.fromCoroutine(self._drive(point)).addBoth(over)

    def reported(self, reports: Sequence[MemberReport], points: Mapping[bytes, str]) -> None:
        """What the field says of commands of ours; `points` by command id."""
        for report in reports:
            point = points.get(report.command_id)
            place = self._place(point) if point is not None else None
            if point is None or place is None or report.eui != place.supply.eui or report.link_id != place.link_id:
                continue
            self._book.change(point, lambda record, now, one=report: _taken(record, one, now)).addCallbacks(  # type: ignore[misc]
                lambda record: self.drive(record.point), self._failed
            )

    # ------------------------------------------------------------------ private
    async def _drive(self, point: str) -> None:
        """Ask first where need be, then send; one command at most, so that a link that keeps breaking is not hammered."""
        if self._state(point) is SwitchState.ASKING:
            await self._ask(point)
        if self._state(point) is SwitchState.CONFIRMED and self._running():
            await self._send(point)

    def _state(self, point: str) -> SwitchState | None:
        switch = self._book.get(point).switch
        return switch.state if switch is not None else None

    async def _ask(self, point: str) -> None:
        """Nobody knows whether it came: ask, never repeat."""
        record, place = self._book.get(point), self._place(point)
        step = record.switch.step if record.switch else None
        if step is None or place is None:
            return
        try:
            known = await self._gateway.inquire(step.command_id, place.link_id)
        except LinkError:
            return
        step_on, line = (steps.accepted, "known") if known else (steps.never_came, "never_came")
        await self._book.change(point, lambda record, now: (step_on(record, now), [News(line)]))

    async def _send(self, point: str) -> None:
        place = self._place(point)
        why = self._never(point, place)
        if why or place is None:
            await self._give_up(point, why)
            return
        if wait := await self._ready(place):
            await self._book.change(point, lambda record, now: (steps.waits(record, wait), []))
            return
        record = await self._book.change(point, self._sending)
        switch, step = record.switch, record.switch.step if record.switch else None
        if switch is None or step is None or switch.state is not SwitchState.SENT:
            return
        # The disk took its time: what forbids it now keeps it from leaving, and for certain nothing has left.
        if (why := self._never(point, self._place(point))) or not self._running():
            why = why or "the server is stopping"
            await self._give_up(point, why)
            return
        await self._hand_over(point, place, step, switch.action, switch.not_after)

    async def _hand_over(self, point: str, place: Place, step: Step, action: SwitchAction, not_after: int) -> None:
        self.orders += 1
        order = SupplyOrder(
            step.command_id, place.link_id, place.index, place.supply.eui,
            Action.SUPPLY_OFF if action is SwitchAction.DISCONNECT else Action.SUPPLY_ON, step.holder, not_after // NS,
        )
        try:
            await self._gateway.switch_supply(order)
        except CommandRejected as error:
            why = "; ".join(error.reasons)
            await self._book.change(point, lambda record, now: (
                steps.refused(record, now, why) if _of(record, step) else record, [News("refused", detail=why)]
            ))
        except LinkError as error:
            why = str(error)
            await self._book.change(point, lambda record, now: (
                steps.unsure(record, now, why) if _of(record, step) else record, [News("unsure", detail=why)]
            ))
        else:
            await self._book.change(point, lambda record, now: (
                steps.accepted(record, now) if _of(record, step) else record, [News("accepted")]
            ))

    async def _give_up(self, point: str, why: str) -> None:
        """Nothing has left, and nothing will."""
        line = [News("not_sent", detail=why)]
        await self._book.change(point, lambda record, now: (steps.not_sent(record, now, why), line))

    def _sending(self, record: Record, now: int) -> tuple[Record, Iterable[News]]:
        if why := steps.obstacle(record, now):
            return steps.not_sent(record, now, why), [News("not_sent", detail=why)]
        step = record.switch.step if record.switch else None
        return steps.sending(record, now), [News("sent", detail=step.holder if step else "")]

    def _never(self, point: str, place: Place | None) -> str:
        """What keeps this switch from leaving for good, "" = nothing."""
        if self._monitor_only:
            return MONITOR_ONLY
        if place is None:
            return NOT_IN_REGISTRY
        record = self._book.get(point)
        return steps.obstacle(record, self._clock.now()) or "; ".join(rules.remote(place, self._locals))

    async def _ready(self, place: Place) -> str:
        """What it waits for, "" = nothing."""
        if not self._clock.trusted():
            return UNTRUSTED
        if not self._gateway.link_up(place.link_id):
            return NOT_CONNECTED
        try:
            return await self._gateway.obstacle(place.link_id, place.index, place.supply.eui)
        except (LinkError, CommandRejected) as error:
            return "; ".join(error.reasons) if isinstance(error, CommandRejected) else str(error)

    def _failed(self, failure: Failure) -> None:
        failure.trap(StorageError)                          # the book's health says so; the field is asked again


def _of(record: Record, step: Step) -> bool:
    """Whether this is still the command that the record waits for."""
    now = record.switch.step if record.switch else None
    return now is not None and now.command_id == step.command_id


def _taken(record: Record, report: MemberReport, now: int) -> tuple[Record, Iterable[News]]:
    """What one report of the field makes of a supply, and the line of history that says so."""
    switch, at = record.switch, report.at or now
    step = switch.step if switch else None
    current = step is not None and step.command_id == report.command_id
    if report.state in (MemberState.EXECUTED, MemberState.RESTORED):
        held = report.reason == steps.HELD
        after = steps.executed(
            record, report.command_id, at, still_held=held, supplied=report.state is MemberState.RESTORED
        )
        by_hand = record.by_hand and not after.by_hand
        news = [News("by_hand" if by_hand else "executed", detail="held" if held else "")]
    elif not current or switch is None or switch.state not in IN_THE_FIELD:
        return record, []
    elif report.state is MemberState.RECEIVED:
        after, news = steps.received(record, at), [News("received")]
    elif report.state is MemberState.REFUSED:
        after, news = steps.refused(record, at, report.reason), [News("refused", detail=report.reason)]
    elif report.state is MemberState.NO_ANSWER:
        after, news = steps.silent(record, at, report.reason or steps.NO_ANSWER), [News("no_answer", detail=report.reason)]
    else:
        return record, []
    return after, news if after is not record else []
