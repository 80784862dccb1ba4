"""Firmware campaigns of a site: implements `ports.Firmware` and `ports.HealthSource`. It wires; the table decides.

What a person does is audited, then written to the disk, then done. What the field says is written a moment later, and
asked again after a restart: nothing is sent to a concentrator before it has said how its devices stand.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import attrs
import numpy as np
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from scada.clock import SiteClock
from scada.commands import Actor, Origin, Role
from scada.errors import CommandRejected, LinkError, StartError, StorageError
from scada.firmware import board, selection
from scada.firmware.campaign import Campaign, Progress, judge, stages_of
from scada.firmware.machine import Event, after
from scada.firmware.runner import Runner
from scada.firmware.store import COURSE, FILE, Course, FirmwareStore, Package
from scada.firmware.trust import vouched
from scada.ports import Audit, FirmwareGateway, Health, Registry, TagSink, Unsubscribe
from scada.rollout import (
    CampaignRequest,
    CampaignState,
    CampaignStatus,
    DeviceReport,
    Image,
    Lack,
    StoredImage,
    UpdateState,
)
from scada.settings import FirmwareSettings
from scada.tags import Batch

log = Logger()

TICK_S: Final = 0.25                    # real time
ASKS: Final = 2                         # concentrators asked a turn what their modules run, after their link came up
LONGEST_WHY: Final = 200                # characters of a person's reason
SYSTEM: Final = Actor("system", Role.ADMINISTRATOR, origin=Origin.SYSTEM)
NOT_SENT: Final = "monitor-only: nothing is sent"
T = TypeVar("T")


class FirmwareService:
    def __init__(
        self, settings: FirmwareSettings, registry: Registry, gateway: FirmwareGateway, audit: Audit, clock: SiteClock,
        reactor: Any, data_dir: Path, pool: ThreadPool, sink: TagSink, *, monitor_only: bool,
    ) -> None:
        self._registry, self._gateway, self._audit, self._clock = registry, gateway, audit, clock
        self._reactor, self._pool, self._sink, self._monitor_only = reactor, pool, sink, monitor_only
        self._store = FirmwareStore(data_dir / FILE)
        self._disk = DeferredLock()
        self._packages: dict[bytes, Package] = {}
        self._images: dict[bytes, Image] = {}
        self._contents: dict[bytes, bytes] = {}
        self._campaigns: dict[int, Campaign] = {}           # by number, oldest first
        self._known: dict[int, tuple[str, str, int]] = {}   # what devices run
        self._news: dict[int, DeviceReport] = {}            # of them, what is not on the disk yet
        self._dirty: dict[int, set[int]] = {}               # campaign → modules that are not on the disk yet
        self._to_ask: dict[int, None] = {}                  # links, ordered
        self._running = False
        self._shown: tuple[float, ...] = ()
        self._trouble = ""
        self._unsubscribe: list[Unsubscribe] = []
        self._runner = Runner(settings, gateway, clock, reactor, self._save, self._packages.get, self._content)
        self._loop = LoopingCall(self._tick)
        self._loop.clock = reactor

    # ------------------------------------------------------------------ life
    def start(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            await self._in_thread(self._store.open)
            await self._read_images()
            self._known = await self._in_thread(self._store.devices)
            for one in await self._in_thread(partial(self._store.campaigns, self._images)):
                self._campaigns[one.number] = one
        except StorageError as error:
            raise StartError("firmware", str(error), "check the disk, or move the file away") from None
        self._running = True
        self._sink.add_device(board.BOARD)
        self._unsubscribe = [self._gateway.on_firmware(self._heard), self._gateway.on_link(self._link_changed)]
        self._loop.start(TICK_S, now=True)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._running = False
        self._runner.stop()
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        if self._loop.running:
            self._loop.stop()
        try:
            await self._flush()
        except StorageError as error:
            log.error("{error}", error=str(error))
        await self._in_thread(self._store.close)

    def health(self) -> Iterable[Health]:
        live = [one for one in self._campaigns.values() if not one.over]
        stuck = [f"campaign {one.number} is paused: {one.why}" for one in live if one.state is CampaignState.PAUSED]
        text = f"{len(live)} firmware campaigns not closed"
        if self._monitor_only:
            text += f"; {NOT_SENT}"
        text = "; ".join([text, *stuck, *([self._trouble] if self._trouble else [])])
        figures = {name: float(value) for name, value in attrs.asdict(self._runner.counters).items()}
        yield Health("firmware", self._running and not stuck and not self._trouble, text, figures)

    # ------------------------------------------------------------------ Firmware: looking
    def images(self) -> tuple[StoredImage, ...]:
        keys = self._store.trusted()
        found = []
        for one in self._store.packages():
            image = self._gateway.read_manifest(one.manifest)
            found.append(StoredImage(image, one.imported, one.by, vouched(image, one.signature, keys)))
        return tuple(found)

    def campaigns(self) -> tuple[CampaignStatus, ...]:
        return tuple(one.status() for one in reversed(self._campaigns.values()))

    def campaign(self, number: int) -> CampaignStatus | None:
        found = self._campaigns.get(number)
        return found.status() if found else None

    # ------------------------------------------------------------------ Firmware: doing
    def draft(self, actor: Actor, request: CampaignRequest) -> "Deferred[CampaignStatus]":
        return Deferred.fromCoroutine(self._draft(actor, request))

    def start_canary(self, actor: Actor, number: int) -> "Deferred[CampaignStatus]":
        return Deferred.fromCoroutine(self._act(actor, number, "start", Event.START))

    def approve(self, actor: Actor, number: int) -> "Deferred[CampaignStatus]":
        return Deferred.fromCoroutine(self._approve(actor, number))

    def pause(self, actor: Actor, number: int, why: str) -> "Deferred[CampaignStatus]":
        return Deferred.fromCoroutine(self._act(actor, number, "pause", Event.PAUSE, why or f"by {actor.name}"))

    def resume(self, actor: Actor, number: int, *, retry: bool) -> "Deferred[CampaignStatus]":
        campaign = self._campaigns.get(number)
        event = Event.RESUME_WAVE if campaign and campaign.stage else Event.RESUME_CANARY
        return Deferred.fromCoroutine(self._act(actor, number, "resume", event, retry=retry))

    def abort(self, actor: Actor, number: int, why: str) -> "Deferred[CampaignStatus]":
        return Deferred.fromCoroutine(self._act(actor, number, "abort", Event.ABORT, why or f"by {actor.name}"))

    async def _draft(self, actor: Actor, request: CampaignRequest) -> CampaignStatus:
        directory = self._registry.directory
        request = attrs.evolve(request, reason=request.reason[:LONGEST_WHY])
        if reasons := selection.faults(actor, request, directory):
            await self._refuse(actor, "draft", request.image, reasons)
        package = await self._trusted(actor, "draft", request.image)
        image = self._images[package.id]
        members, left_out, reasons = selection.select(actor, request, image, directory, self._known)
        if reasons:
            await self._refuse(actor, "draft", request.image, reasons)
        staged = stages_of(members, request.canary, request.wave)
        now = self._clock.now()
        campaign = Campaign(
            max(self._campaigns, default=0) + 1, image, request, actor.name, now, {one.eui: one for one in staged},
            {one.eui: Progress(changed=now) for one in staged}, left_out, began=now,
        )
        self._campaigns[campaign.number] = campaign         # the number is taken
        try:
            await self._audited(actor, "draft", campaign, modules=len(staged), reason=request.reason)
            await self._disk.run(self._in_thread, partial(self._store.add_campaign, campaign))
        except StorageError:
            del self._campaigns[campaign.number]
            raise
        return campaign.status()

    async def _approve(self, actor: Actor, number: int) -> CampaignStatus:
        campaign = await self._of(actor, number, "approve")
        reasons = []
        if campaign.drafter == actor.name:
            reasons.append(f"drafted by {actor.name}: another person approves what goes beyond the canary")
        if campaign.state not in (CampaignState.CANARY, CampaignState.SOAK, CampaignState.PAUSED):
            reasons.append(f"the campaign is {campaign.state}: nothing to approve")
        if campaign.approver:
            reasons.append(f"approved by {campaign.approver} already")
        if reasons:
            await self._refuse(actor, "approve", str(number), reasons)
        await self._audited(actor, "approve", campaign)
        campaign.approver = actor.name
        try:
            await self._save(campaign, ())
        except StorageError:
            campaign.approver = ""
            raise
        return campaign.status()

    async def _act(
        self, actor: Actor, number: int, action: str, event: Event, why: str = "", *, retry: bool = False
    ) -> CampaignStatus:
        campaign = await self._of(actor, number, action)
        goes_on = event in (Event.START, Event.RESUME_CANARY, Event.RESUME_WAVE)
        reasons = []
        unfit = f"the campaign is {campaign.state}: it cannot be told to {action}"
        if after(campaign.state, event) is None:
            reasons.append(unfit)
        elif goes_on:
            if self._monitor_only:
                reasons.append(NOT_SENT)
            reasons += self._rivals(campaign)
        if reasons:
            await self._refuse(actor, action, str(number), reasons)
        if goes_on:
            await self._trusted(actor, action, campaign.image.id.hex())     # the key may have been withdrawn since
        await self._audited(actor, action, campaign, why=why[:LONGEST_WHY], retry=retry)
        before = tuple(getattr(campaign, name) for name in COURSE)
        if not campaign.apply(event, self._clock.now(), why[:LONGEST_WHY]):     # somebody was quicker
            await self._refuse(actor, action, str(number), [unfit])
        again = campaign.retry(self._clock.now()) if retry else []
        try:
            await self._save(campaign, again)
        except StorageError:
            if goes_on:                                     # a pause holds, though nobody will remember it
                for name, value in zip(COURSE, before, strict=True):
                    setattr(campaign, name, value)
            raise
        log.info("firmware campaign {number}: {action} by {who}", number=number, action=action, who=actor.name)
        return campaign.status()

    async def _of(self, actor: Actor, number: int, action: str) -> Campaign:
        """The campaign, for somebody who may act on all of its modules."""
        reasons = selection.refused_to(actor)
        campaign = self._campaigns.get(number)
        if campaign is None:
            await self._refuse(actor, action, str(number), [*reasons, f"there is no firmware campaign {number}"])
        known = self._registry.directory.concentrator
        areas = {known[one.concentrator].area for one in campaign.members.values() if one.concentrator in known}
        barred = sorted(area for area in areas if not actor.covers(area))
        reasons += [f"{actor.name} may not update firmware in area {area}" for area in barred]
        if reasons:
            await self._refuse(actor, action, str(number), reasons)
        return campaign

    def _rivals(self, campaign: Campaign) -> list[str]:
        """A concentrator offers one image a hardware class: two campaigns would end each other's offers."""
        return [
            f"campaign {one.number} for the same hardware class is under way at some of its concentrators"
            for one in self._campaigns.values()
            if one is not campaign and not one.over and one.state is not CampaignState.DRAFT
            and one.image.hardware == campaign.image.hardware and one.of_link.keys() & campaign.of_link.keys()
        ]

    async def _trusted(self, actor: Actor, action: str, image: str) -> Package:
        """An image whose maker is trusted at this moment."""
        await self._read_images()
        package = next((one for one in self._packages.values() if one.id.hex() == image), None)
        if package is None:
            await self._refuse(actor, action, image, [f"there is no image {image}; import it first"])
        keys = await self._in_thread(self._store.trusted)
        if not vouched(self._images[package.id], package.signature, keys):
            vendor = self._images[package.id].vendor
            await self._refuse(actor, action, image, [f"the signature was not made with a trusted key of {vendor}"])
        return package

    async def _read_images(self) -> None:
        """The command line imports beside us."""
        for one in await self._in_thread(self._store.packages):
            self._packages[one.id] = one
            self._images[one.id] = self._gateway.read_manifest(one.manifest)

    async def _audited(self, actor: Actor, action: str, campaign: Campaign, **detail: Any) -> None:
        image = campaign.image
        what = f"{image.vendor} {image.hardware} {image.version}"
        await self._audit.append(actor, f"firmware.{action}", f"campaign {campaign.number}", image=what, **detail)

    async def _refuse(self, actor: Actor, action: str, target: str, reasons: Sequence[str]) -> NoReturn:
        try:
            await self._audit.append(actor, f"firmware.{action}.refused", target, reasons=list(reasons))
        except StorageError:
            log.error("{actor} was refused firmware {action} {target}", actor=actor.name, action=action, target=target)
        raise CommandRejected(reasons)

    # ------------------------------------------------------------------ what the field says
    def _link_changed(self, link_id: int, up: bool) -> None:
        self._runner.link_changed(link_id)
        if up and self._gateway.obstacle(link_id) is not None:
            self._to_ask[link_id] = None

    def _heard(self, news: Sequence[DeviceReport] | Lack) -> None:
        if isinstance(news, Lack):
            self._lacks(news)
            return
        now = self._clock.now()
        for report in news:
            said = (report.running, report.hardware, report.rollback)
            if self._known.get(report.eui) != said:
                self._known[report.eui] = said
                self._news[report.eui] = report
        for campaign in self._live():
            for report in news:
                member = campaign.members.get(report.eui)
                if member is None or member.link_id != report.link_id or member.stage > campaign.stage:
                    continue
                before = campaign.progress[report.eui]
                if campaign.put(report.eui, judge(campaign.image, before, report, now)):
                    self._dirty.setdefault(campaign.number, set()).add(report.eui)

    def _lacks(self, lack: Lack) -> None:
        """Counts for the page; they are not worth a write, for the field tells them again."""
        for campaign in self._live():
            if campaign.image.id != lack.image:
                continue
            self._runner.lacks(campaign, lack)
            for eui, missing in lack.modules:
                one = campaign.progress.get(eui)
                if one is not None and one.state is UpdateState.TRANSFER and campaign.members[eui].link_id == lack.link_id:
                    campaign.put(eui, attrs.evolve(one, missing=missing))

    def _live(self) -> list[Campaign]:
        return [one for one in self._campaigns.values() if not one.over and one.state is not CampaignState.DRAFT]

    # ------------------------------------------------------------------ turns
    def _tick(self) -> None:
        try:
            now = self._clock.now()
            for campaign in self._live():
                self._advance(campaign, now)
            self._ask()
            if not self._monitor_only:
                self._runner.look(self._live())
            used = {one.image.id for one in self._live()}
            self._contents = {one: held for one, held in self._contents.items() if one in used}
            if (self._dirty or self._news) and not self._disk.locked:
                Deferred.fromCoroutine(self._flush()).addErrback(lambda failure: failure.trap(StorageError))
            self._show(now)
        except Exception:                                   # one bad turn must not end all that follow
            log.failure("the turn of the firmware campaigns failed")

    def _advance(self, campaign: Campaign, now: int) -> None:
        if late := campaign.late(now):
            for eui in late:
                campaign.put(eui, Progress(UpdateState.FAILED, "no answer in time", campaign.progress[eui].missing, now))
            self._dirty.setdefault(campaign.number, set()).update(late)
        event = campaign.due(now)
        if event is None:
            return
        why = ""
        if event is Event.TROUBLE:
            why = f"{campaign.failed()} modules of the stage have failed"
        campaign.apply(event, now, why)
        self._dirty.setdefault(campaign.number, set())
        log.info("firmware campaign {number}: {event}, it is {state} now", number=campaign.number, event=event.value,
                 state=campaign.state.value)
        recorded = self._audited(SYSTEM, event.value, campaign, stage=campaign.stage, why=why)
        complaint = "firmware campaign {number}: {event} is not in the audit: {error}"
        Deferred.fromCoroutine(recorded).addErrback(
            lambda failure: log.error(complaint, number=campaign.number, event=event.value, error=failure.getErrorMessage())
        )

    def _ask(self) -> None:
        """What the modules of a link run, as soon as it is free; that is a question, and monitor-only lets it pass."""
        for link_id in tuple(self._to_ask)[:ASKS]:
            del self._to_ask[link_id]
            obstacle = self._gateway.obstacle(link_id)
            if obstacle == "":
                self._gateway.ask(link_id).addErrback(lambda failure: failure.trap(LinkError))
            elif obstacle is not None and obstacle != "the link is down":
                self._to_ask[link_id] = None                # at the end of the queue

    def _show(self, now: int) -> None:
        shown = board.values(self._campaigns.values())
        if tuple(shown) != self._shown:
            self._shown = tuple(shown)
            self._sink.publish(Batch(board.BOARD.name, shown, np.zeros(len(shown), dtype=np.uint8), now, now))

    # ------------------------------------------------------------------ disk
    async def _save(self, campaign: Campaign, euis: Iterable[int]) -> None:
        """Durable when this returns; raises `StorageError`, and then nothing may be sent."""
        self._dirty.setdefault(campaign.number, set()).update(euis)
        await self._disk.run(self._write_out, campaign)

    async def _flush(self) -> None:
        if self._news:
            news, self._news = self._news, {}
            try:
                await self._disk.run(self._in_thread, partial(self._store.note_devices, tuple(news.values())))
            except StorageError as error:
                self._news = news | self._news
                self._trouble = str(error)
                raise
        for number in tuple(self._dirty):
            await self._disk.run(self._write_out, self._campaigns[number])

    def _write_out(self, campaign: Campaign) -> "Deferred[None]":
        """What has changed of a campaign until now; under the lock, so that no older state overwrites a newer one."""
        euis = self._dirty.pop(campaign.number, set())
        course = Course.of(campaign, euis)

        def failed(failure: Any) -> Any:
            self._dirty.setdefault(campaign.number, set()).update(euis)
            self._trouble = failure.getErrorMessage()
            return failure

        def done(_: Any) -> None:
            self._trouble = ""

        return self._in_thread(partial(self._store.save, course)).addCallbacks(done, failed)

    async def _content(self, image: bytes) -> bytes:
        if image not in self._contents:
            self._contents[image] = await self._in_thread(partial(self._store.content, image))
        return self._contents[image]

    def _in_thread(self, job: Callable[[], T]) -> "Deferred[T]":
        return deferToThreadPool(self._reactor, self._pool, job)
