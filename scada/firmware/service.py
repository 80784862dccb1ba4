"""Firmware campaigns of a site: implements `ports.Firmware` and `ports.HealthSource`. It wires; the table decides.

What a person does is audited, then written to the disk, then done. What the field says is written a moment later, and
asked again after a restart: nothing is sent to a concentrator before it has said how its devices stand.
"""

from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from scada.clock import SiteClock
from scada.commands import Actor, Origin, Role
from scada.errors import StartError, StorageError
from scada.firmware import board
from scada.firmware.campaign import Campaign, Progress
from scada.firmware.hearing import Hearing
from scada.firmware.keeper import Keeper
from scada.firmware.machine import RUNNING, Event
from scada.firmware.orders import NOT_SENT, Orders
from scada.firmware.runner import Runner
from scada.ports import Audit, FirmwareGateway, Health, Registry, TagSink, Unsubscribe
from scada.rollout import CampaignRequest, CampaignStatus, StoredImage, UpdateFilter, UpdateState, UpdateStatus
from scada.settings import FirmwareSettings
from scada.tags import Batch

log = Logger()

TICK_S: Final = 0.25                    # real time
TRUST_S: Final = 10.0                   # the same, between two looks whether makers of what is sent are still trusted
SYSTEM: Final = Actor("system", Role.ADMINISTRATOR, origin=Origin.SYSTEM)


class FirmwareService:
    def __init__(
        self, settings: FirmwareSettings, registry: Registry, gateway: FirmwareGateway, audit: Audit, clock: SiteClock,
        reactor: Any, data_dir: Path, pool: ThreadPool, sink: TagSink, *, monitor_only: bool,
    ) -> None:
        self._gateway, self._clock, self._sink, self._monitor_only = gateway, clock, sink, monitor_only
        self._keeper = Keeper(data_dir, reactor, pool, gateway.read_manifest)
        self._orders = Orders(self._keeper, registry, audit, clock, monitor_only=monitor_only)
        self._runner = Runner(
            settings, gateway, clock, reactor, self._keeper.save, self._keeper.packages.get, self._keeper.content
        )
        self._hearing = Hearing(self._keeper, self._runner, gateway, clock)
        self._running = False
        self._shown: tuple[float, ...] = ()
        self._unsubscribe: list[Unsubscribe] = []
        self._loop = LoopingCall(self._tick)
        self._trust = LoopingCall(lambda: Deferred.fromCoroutine(self._pause_what_is_not_trusted()))
        self._loop.clock = self._trust.clock = reactor

    # ------------------------------------------------------------------ life
    def start(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            await self._keeper.open()
        except StorageError as error:
            raise StartError("firmware", str(error), "check the disk, or move the file away") from None
        self._running = True
        self._sink.add_device(board.BOARD)
        self._unsubscribe = [
            self._gateway.on_firmware(self._hearing.heard), self._gateway.on_link(self._hearing.link_changed)
        ]
        self._loop.start(TICK_S, now=True)
        self._trust.start(TRUST_S, now=False)

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._running = False
        self._runner.stop()
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        for loop in (self._loop, self._trust):
            if loop.running:
                loop.stop()
        try:
            await self._keeper.close()
        except StorageError as error:
            log.error("{error}", error=str(error))

    def health(self) -> Iterable[Health]:
        keeper = self._keeper
        live = [one for one in keeper.campaigns.values() if not one.over]
        stuck = [f"campaign {one.number} has paused by itself: {one.why}" for one in live if one.tripped]
        texts = [f"{len(live)} firmware campaigns not closed"]
        if self._monitor_only:
            texts.append(NOT_SENT)
        text = "; ".join([*texts, *stuck, *([keeper.trouble] if keeper.trouble else [])])
        figures = {name: float(value) for name, value in attrs.asdict(self._runner.counters).items()}
        figures["devices_known"] = float(len(keeper.known))
        yield Health("firmware", self._running and not stuck and not keeper.trouble, text, figures)

    # ------------------------------------------------------------------ Firmware: looking
    def images(self) -> tuple[StoredImage, ...]:
        return self._keeper.images()

    def campaigns(self) -> tuple[CampaignStatus, ...]:
        return tuple(one.status() for one in reversed(tuple(self._keeper.campaigns.values())))

    def campaign(self, number: int) -> CampaignStatus | None:
        found = self._keeper.campaigns.get(number)
        return found.status() if found else None

    def updates(self, number: int, wanted: UpdateFilter) -> tuple[tuple[UpdateStatus, ...], int]:
        found = self._keeper.campaigns.get(number)
        return found.updates(wanted) if found else ((), 0)

    # ------------------------------------------------------------------ Firmware: doing
    def draft(self, actor: Actor, request: CampaignRequest) -> "Deferred[CampaignStatus]":
        return _status(self._orders.draft(actor, request))

    def start_canary(self, actor: Actor, number: int) -> "Deferred[CampaignStatus]":
        return _status(self._orders.act(actor, number, "start", Event.START))

    def approve(self, actor: Actor, number: int) -> "Deferred[CampaignStatus]":
        return _status(self._orders.approve(actor, number))

    def pause(self, actor: Actor, number: int, why: str) -> "Deferred[CampaignStatus]":
        return _status(self._orders.act(actor, number, "pause", Event.PAUSE, _told(f"paused by {actor.name}", why)))

    def resume(self, actor: Actor, number: int, *, retry: bool) -> "Deferred[CampaignStatus]":
        campaign = self._keeper.campaigns.get(number)
        event = Event.RESUME_WAVE if campaign and campaign.stage else Event.RESUME_CANARY
        return _status(self._orders.act(actor, number, "resume", event, retry=retry))

    def abort(self, actor: Actor, number: int, why: str) -> "Deferred[CampaignStatus]":
        return _status(self._orders.act(actor, number, "abort", Event.ABORT, _told(f"aborted by {actor.name}", why)))

    # ------------------------------------------------------------------ turns
    def _tick(self) -> None:
        try:
            now, live = self._clock.now(), self._keeper.live()
            for campaign in live:
                self._advance(campaign, now)
            self._hearing.ask()
            if not self._monitor_only:
                self._runner.look(live)
            self._keeper.forget_contents()
            self._keeper.flush_if_idle()
            self._show(now)
        except Exception:                                   # one bad turn must not end all that follow
            log.failure("the turn of the firmware campaigns failed")

    def _advance(self, campaign: Campaign, now: int) -> None:
        if late := campaign.late(now):
            for eui in late:
                campaign.put(eui, Progress(UpdateState.FAILED, "no answer in time", campaign.progress[eui].missing, now))
            self._keeper.later(campaign, late)
        event = campaign.due(now)
        if event is None:
            return
        why = ""
        if event is Event.TROUBLE:
            why = f"{campaign.failed()} of {campaign.size} modules of the stage have failed"
        self._happened(campaign, event, now, why)

    async def _pause_what_is_not_trusted(self) -> None:
        """A key may be withdrawn because it is in wrong hands: nothing more of what it signed goes out."""
        try:
            for campaign in [one for one in self._keeper.live() if one.state in RUNNING]:
                _image, why = await self._keeper.trusted_image(campaign.image.id.hex())
                if why and self._running:
                    self._happened(campaign, Event.TROUBLE, self._clock.now(), why)
        except StorageError as error:                       # the next look is soon
            log.error("{error}", error=str(error))

    def _happened(self, campaign: Campaign, event: Event, now: int, why: str) -> None:
        if not campaign.apply(event, now, why):
            return
        self._keeper.later(campaign, ())
        log.info("firmware campaign {number}: {event}, it is {state} now", number=campaign.number, event=event.value,
                 state=campaign.state.value)
        recorded = self._orders.audited(SYSTEM, event.value, campaign, stage=campaign.stage, why=why)
        complaint = "firmware campaign {number}: {event} is not in the audit: {error}"
        Deferred.fromCoroutine(recorded).addErrback(
            lambda failure: log.error(complaint, number=campaign.number, event=event.value, error=failure.getErrorMessage())
        )

    def _show(self, now: int) -> None:
        shown = board.values(self._keeper.campaigns.values())
        if tuple(shown) != self._shown:
            self._shown = tuple(shown)
            self._sink.publish(Batch(board.BOARD.name, shown, np.zeros(len(shown), dtype=np.uint8), now, now))


def _status(doing: Coroutine[Any, Any, Campaign]) -> "Deferred[CampaignStatus]":
    return Deferred.fromCoroutine(doing).addCallback(lambda campaign: campaign.status())


def _told(who: str, why: str) -> str:
    return f"{who}: {why}" if why else who
