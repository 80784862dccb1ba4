"""Disconnection and reconnection of single supplies: what people may ask for, and who hears what came of it.

Implements the ports Supplies and HealthSource. Rules are in `rules`, what happens to a supply in `record`, the way to the
field in `sender`, the meters behind it in `bypass`.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.clock import NS, SiteClock
from scada.commands import Actor, MemberReport, Origin, Role
from scada.errors import CommandRejected, StorageError
from scada.intervals import Mark
from scada.ports import (
    AlarmGroups,
    Audit,
    Health,
    IntervalReader,
    IntervalStore,
    Registry,
    SupplyGateway,
    TagSink,
    Unsubscribe,
)
from scada.settings import SupplySettings
from scada.site import Directory, Site, differing
from scada.supplies import (
    OVER,
    Holding,
    Local,
    SupplyNews,
    SupplyRequest,
    SupplyStatus,
    Switch,
    SwitchAction,
    SwitchState,
    area_scope,
    point_scope,
)
from scada.supply import record as steps
from scada.supply import rules, show
from scada.supply.book import Book, Change
from scada.supply.bypass import BypassWatch
from scada.supply.record import ALL_ON_THE_WIRE, Record
from scada.supply.rules import Place
from scada.supply.sender import Sender
from scada.supply.store import News
from scada.timers import cancel

FILE: Final = "supply.sqlite"
PER_TURN: Final = 200                   # supplies shown in one turn of the loop
PLACES: Final = ("concentrators", "points", "consumers")    # of the site: what the place of every supply is made of
EVERY_S: Final = 1.0                    # real time between two looks at what waits
METERS_S: Final = 5.0                   # real time between two looks at the meters, when hours have come
GRACE_S: Final = 300                    # site time for which an answer may still be on its way after `not_after`
SYSTEM: Final = Actor("system", Role.ADMINISTRATOR, origin=Origin.SYSTEM)


class SupplyService:
    log = Logger()

    def __init__(
        self, settings: SupplySettings, registry: Registry, gateway: SupplyGateway, audit: Audit, alarms: AlarmGroups,
        store: IntervalStore, reader: IntervalReader, sink: TagSink, clock: SiteClock, reactor: Any, data_dir: Path,
        pool: ThreadPool, *, monitor_only: bool,
    ) -> None:
        self._settings, self._registry, self._gateway, self._audit = settings, registry, gateway, audit
        self._store, self._sink, self._clock, self._reactor = store, sink, clock, reactor
        self._book = Book(data_dir / FILE, clock, reactor, pool, self._changed)
        self._sender = Sender(
            gateway, self._book, clock, self._place, self._book.locals, lambda: self._running, monitor_only=monitor_only
        )
        self._bypass = BypassWatch(self._book, registry, reader, alarms, clock, reactor, pool)
        self._points: dict[bytes, str] = {}                 # command id -> point, of each supply's last switch
        self._shown: dict[str, SupplyStatus] = {}
        self._site = Site()                                 # as it was last looked at
        self._point_of: dict[int, str] = {}                 # EUI of a module -> the point whose supply it switches
        self._waiting: dict[str, None] = {}                 # points to be shown anew
        self._refreshing: Any = None
        self._listeners: list[Callable[[SupplyStatus], None]] = []
        self._unsubscribe: list[Unsubscribe] = []
        self._running, self._hours_came, self._looking, self._refused = False, True, False, 0
        self._ticker, self._meters = LoopingCall(self._tick), LoopingCall(self._look)
        self._ticker.clock = self._meters.clock = reactor

    # ---------------------------------------------------------------------- life
    def start(self) -> "Deferred[None]":
        """Open the memory; fails with `StartError`."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        await self._book.open()
        for record in tuple(self._book.records.values()):   # what may have left is asked about, never repeated
            self._follow(record)
            await self._book.change(record.point, lambda one, now: (steps.restarted(one, now), ()))
        self._running = True
        self._registry_changed(self._registry.directory)
        self._bypass.show()
        self._unsubscribe = [
            self._gateway.on_report(lambda reports: self._reported(reports)),
            self._gateway.on_link(lambda link_id, up: self._tick()),
            self._registry.subscribe(self._registry_changed),
            self._store.subscribe(self._marked),
        ]
        self._ticker.start(EVERY_S, now=False)
        self._meters.start(METERS_S, now=False)

    def stop(self) -> "Deferred[None]":
        self._running = False
        while self._unsubscribe:
            self._unsubscribe.pop()()
        cancel(self._refreshing)
        for loop in (self._ticker, self._meters):
            if loop.running:
                loop.stop()
        return self._book.close()

    def health(self) -> Iterable[Health]:
        records = self._book.records.values()
        waiting = sum(one.switch is not None and one.switch.state is SwitchState.REQUESTED for one in records)
        off = sum(bool(one.holders) for one in records)
        text = "; ".join(one for one in (f"{off} supplies held off, {waiting} requests wait", self._book.fault) if one)
        figures = {"held": off, "waiting": waiting, "orders": self._sender.orders, "refused": self._refused}
        yield Health("supply", self._running and not self._book.fault, text, {k: float(v) for k, v in figures.items()})

    # ------------------------------------------------------------------ Supplies
    def supplies(self) -> tuple[SupplyStatus, ...]:
        found = (self.supply(one.point) for one in self._registry.directory.site.supplies)
        return tuple(one for one in found if one is not None)

    def supply(self, point: str) -> SupplyStatus | None:
        place = self._place(point)
        return None if place is None else rules.status_of(place, self._book.get(point), self._book.locals)

    def history(self, point: str, before: int | None = None, size: int = 50) -> tuple[SupplyNews, ...]:
        return self._book.history(point, before, size)

    def locals(self) -> tuple[Local, ...]:
        return tuple(self._book.locals[scope] for scope in sorted(self._book.locals))

    def subscribe(self, listener: Callable[[SupplyStatus], None]) -> Unsubscribe:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def request(self, actor: Actor, request: SupplyRequest) -> "Deferred[SupplyStatus]":
        return Deferred.fromCoroutine(self._request(actor, request))

    async def _request(self, actor: Actor, request: SupplyRequest) -> SupplyStatus:
        place = await self._known(actor, "request", request.point)
        off = request.action is SwitchAction.DISCONNECT

        def ask(record: Record, now: int) -> tuple[Record, Iterable[News]]:
            _refuse(rules.against_request(actor, place, record, request, self._book.locals))
            holding = None
            if off and request.reason is not None:
                holding = Holding(uuid4().hex[:8], request.reason, actor.name, now, request.tag, request.name, request.note)
            switch = Switch(
                uuid4().hex, request.action, actor.name, actor.origin, now, now + self._settings.confirm_seconds * NS,
                holding, request.note, changed=now,
            )
            news = [News("requested", actor.name, f"{request.action} {request.reason or ''}".strip())]
            if record.busy:
                news.insert(0, News("withdrawn", actor.name, steps.REPLACED))
            return steps.requested(record, switch), news

        detail = {"reason": request.reason, "tag": request.tag, "name": request.name, "note": request.note}
        status = await self._do(actor, request.action, place, ask, **{k: v for k, v in detail.items() if v})
        self._prepare(place)
        return status

    def confirm(self, actor: Actor, point: str, switch_id: str) -> "Deferred[SupplyStatus]":
        return Deferred.fromCoroutine(self._confirm(actor, point, switch_id))

    async def _confirm(self, actor: Actor, point: str, switch_id: str) -> SupplyStatus:
        place = await self._known(actor, "confirm", point)

        def say_yes(record: Record, now: int) -> tuple[Record, Iterable[News]]:
            _refuse(rules.against_confirmation(actor, place, record, switch_id, now, self._book.locals))
            not_after = now + self._settings.not_after_seconds * NS
            ids = [uuid4().bytes for _ in ALL_ON_THE_WIRE]
            eui = place.supply.eui
            return steps.confirmed(record, actor.name, now, not_after, ids, eui), [News("confirmed_by", actor.name)]

        status = await self._do(actor, "confirm", place, say_yes, switch=switch_id)
        self._sender.drive(point)
        return status

    def withdraw(self, actor: Actor, point: str, switch_id: str) -> "Deferred[SupplyStatus]":
        return Deferred.fromCoroutine(self._withdraw(actor, point, switch_id))

    async def _withdraw(self, actor: Actor, point: str, switch_id: str) -> SupplyStatus:
        place = await self._known(actor, "withdraw", point)

        def take_back(record: Record, now: int) -> tuple[Record, Iterable[News]]:
            _refuse(rules.against_withdrawal(actor, place, record, switch_id))
            return steps.withdrawn(record, now, f"withdrawn by {actor.name}"), [News("withdrawn", actor.name)]

        return await self._do(actor, "withdraw", place, take_back, switch=switch_id)

    def hold(self, actor: Actor, point: str, holding: Holding) -> "Deferred[SupplyStatus]":
        return Deferred.fromCoroutine(self._hold(actor, point, holding))

    async def _hold(self, actor: Actor, point: str, holding: Holding) -> SupplyStatus:
        place = await self._known(actor, "hold", point)

        def enter(record: Record, now: int) -> tuple[Record, Iterable[News]]:
            _refuse(rules.against_holding(actor, place, record, holding))
            new = attrs.evolve(holding, id=uuid4().hex[:8], by=actor.name, at=now)
            return steps.held(record, new), [News("hold", actor.name, rules.in_words(new))]

        detail = {"reason": holding.reason.value, "tag": holding.tag, "name": holding.name, "note": holding.note}
        return await self._do(actor, "hold", place, enter, **detail)

    def release(
        self, actor: Actor, point: str, holding_id: str, *, tag: str = "", name: str = "", note: str = ""
    ) -> "Deferred[SupplyStatus]":
        return Deferred.fromCoroutine(self._release(actor, point, holding_id, tag, name, note))

    async def _release(self, actor: Actor, point: str, holding_id: str, tag: str, name: str, note: str) -> SupplyStatus:
        place = await self._known(actor, "release", point)

        def let_go(record: Record, now: int) -> tuple[Record, Iterable[News]]:
            _refuse(rules.against_release(actor, place, record, holding_id, tag, name, note))
            holding = record.holding(holding_id)
            assert holding is not None
            said = f"{rules.in_words(holding)}: {note}" if note else rules.in_words(holding)
            return steps.released(record, holding_id), [News("release", actor.name, said)]

        return await self._do(actor, "release", place, let_go, holding=holding_id, tag=tag, name=name, note=note)

    def set_local(self, actor: Actor, *, point: str = "", area: str = "", local: bool, note: str = "") -> "Deferred[None]":
        return Deferred.fromCoroutine(self._set_local(actor, point, area, local, note))

    async def _set_local(self, actor: Actor, point: str, area: str, local: bool, note: str) -> None:
        place = await self._known(actor, "local", point) if point else None
        scope = point_scope(point) if point else area_scope(area)
        known = self._book.locals.get(scope)
        area = place.area if place is not None else area
        reasons = rules.against_local(actor, area, None if local else known) + rules.texts(note)
        if place is None and area not in {one.area for one in self._registry.directory.site.concentrators}:
            reasons.append(f"there is no area {area or '(none)'}")
        if (known is not None) == local:
            reasons.append(f"{scope} is in local already" if local else f"{scope} is not in local")
        action = "supply.local" if local else "supply.remote"
        if reasons:
            await self._refusal(actor, action, scope, reasons)
        await self._audit.append(actor, action, scope, note=note)
        await self._book.set_local(scope, Local(scope, actor.name, self._clock.now(), note) if local else None)
        self._look_again([point] if point else (one.point for one in self._registry.directory.site.supplies))

    # ------------------------------------------------------------------- private
    def _place(self, point: str) -> Place | None:
        return rules.place_of(self._registry.directory, point)

    async def _known(self, actor: Actor, what: str, point: str) -> Place:
        place = self._place(point)
        if not self._running:
            raise CommandRejected(["switching of supplies is not running"])
        if place is None:
            named = point[:64]
            await self._refusal(actor, f"supply.{what}", named, [f"there is no supply at {named} that can be switched"])
        assert place is not None
        return place

    async def _do(self, actor: Actor, what: str, place: Place, change: Change, **detail: Any) -> SupplyStatus:
        """Judge, audit, then judge again and change: what is not in the audit does not happen."""
        point = place.point.name
        try:
            change(self._book.get(point), self._clock.now())
            await self._audit.append(actor, f"supply.{what}", point, **detail)
            record = await self._book.change(point, change)
        except CommandRejected as error:
            await self._refusal(actor, f"supply.{what}", point, error.reasons)
            raise
        return rules.status_of(place, record, self._book.locals)

    async def _refusal(self, actor: Actor, action: str, target: str, reasons: Sequence[str]) -> None:
        """Record a refusal, then tell the person."""
        self._refused += 1
        try:
            await self._audit.append(actor, f"{action}.refused", target, reasons=list(reasons))
        except StorageError:
            self.log.error("{actor} was refused {action} {target}", actor=actor.name, action=action, target=target)
        raise CommandRejected(reasons)

    def _prepare(self, place: Place) -> None:
        """While the second person looks at it, the module may get its first key."""
        if self._gateway.link_up(place.link_id):
            self._gateway.obstacle(place.link_id, place.index, place.supply.eui).addErrback(lambda failure: None)

    def _reported(self, reports: Sequence[MemberReport]) -> None:
        mine = [one for one in reports if one.command_id in self._points]
        if mine and self._running:
            self._sender.reported(mine, self._points)

    def _follow(self, record: Record) -> None:
        for identity in [one for one, point in self._points.items() if point == record.point]:
            del self._points[identity]
        if record.switch is not None:
            self._points.update((one.command_id, record.point) for one in record.switch.steps)

    def _changed(self, point: str) -> None:
        """A supply has changed, and that is on disk: show it, tell it, and write its end into the audit."""
        self._follow(self._book.get(point))
        status = self.supply(point)
        if status is None:
            return
        before = self._shown.get(point)
        self._show(status)
        self._conclude(before, status)
        for listener in tuple(self._listeners):
            try:
                listener(status)
            except Exception:               # a bus: one listener's bug must not silence the others
                self.log.failure("a listener of the supplies failed")

    def _conclude(self, before: SupplyStatus | None, status: SupplyStatus) -> None:
        switch, was = status.switch, before.switch if before else None
        known = (was.id, was.state) if was is not None else None
        ended = switch is not None and switch.state in OVER and known != (switch.id, switch.state)
        if before is None or switch is None or not (ended or status.effect is not before.effect):
            return
        audited = self._audit.append(
            SYSTEM, f"supply.{switch.action}.{switch.state}", status.point, switch=switch.id, reason=switch.reason,
            state=status.state.value, effect=status.effect.value,
        )
        audited.addErrback(lambda failure: self.log.error("not audited: {why}", why=failure.getErrorMessage()))

    def _show(self, status: SupplyStatus) -> None:
        before = self._shown.get(status.point)
        self._shown[status.point] = status
        if before is None or show.device_of(before) != show.device_of(status):
            self._sink.add_device(show.device_of(status))
        self._sink.publish(show.batch_of(status, self._clock.now()))

    def _registry_changed(self, directory: Directory) -> None:
        """Only what has to do with the change is looked at: a city has 100,000 supplies."""
        site, before = directory.site, self._site
        self._site = site
        if site.supplies is not before.supplies:
            self._point_of = {one.eui: one.point for one in site.supplies}
        if any(getattr(site, kind) is not getattr(before, kind) for kind in PLACES):
            self._look_again(one.point for one in site.supplies)
            return
        points = [now.point for _, now in differing(before.supplies, site.supplies) if now is not None]
        modules = (now for _, now in differing(before.modules, site.modules) if now is not None)
        points += [self._point_of[one.eui] for one in modules if one.eui in self._point_of]
        self._look_again(points)

    def _look_again(self, points: Iterable[str]) -> None:
        """Show anew what may have changed, some in each turn of the loop."""
        self._waiting.update(dict.fromkeys(points))
        if self._waiting and self._refreshing is None:
            self._refreshing = self._reactor.callLater(0, self._refresh)

    def _refresh(self) -> None:
        self._refreshing = None
        for point in tuple(islice(self._waiting, PER_TURN)):
            del self._waiting[point]
            place = self._place(point)
            if place is None:
                continue
            eui = place.supply.eui
            if self._book.get(point).eui not in (0, eui):
                moved = self._book.change(point, lambda record, now, eui=eui: (  # type: ignore[misc]
                    steps.moved(record, eui), [News("another_module", detail=f"{eui:016x}")]
                ))
                moved.addErrback(self._not_written)
            elif (status := self.supply(point)) is not None and status != self._shown.get(point):
                self._changed(point) if point in self._shown else self._show(status)
        self._look_again(())

    def _marked(self, mark: Mark) -> None:
        self._hours_came = True

    # ---------------------------------------------------------------------- time
    def _tick(self) -> None:
        """Let time end what has had its time, and try again what waits."""
        now = self._clock.now()
        for record in tuple(self._book.records.values()):
            if record.busy:
                if steps.passed(record, now, GRACE_S * NS) is not record:
                    self._book.change(record.point, _passed).addErrback(self._not_written)
                self._sender.drive(record.point)

    def _look(self) -> None:
        if self._hours_came and not self._looking:
            self._hours_came, self._looking = False, True
            Deferred.fromCoroutine(self._bypass.look()).addBoth(self._looked)

    def _looked(self, outcome: object) -> None:
        self._looking = False
        if isinstance(outcome, Failure):
            self._hours_came = True                         # it is tried again
            self._not_written(outcome)

    def _not_written(self, failure: Failure) -> None:
        if failure.check(StorageError) is None:
            self.log.failure("a supply could not be looked after", failure)


def _passed(record: Record, now: int) -> tuple[Record, Iterable[News]]:
    after = steps.passed(record, now, GRACE_S * NS)
    if after is record or after.switch is None:
        return record, ()
    return after, [News(after.switch.state.value, detail=after.switch.reason)]


def _refuse(reasons: Sequence[str]) -> None:
    if reasons:
        raise CommandRejected(reasons)
