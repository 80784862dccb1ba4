"""Firmware campaigns for the pages: the real rules of people's orders over a keeper in memory; nothing is ever sent."""

import hashlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from scada.clock import NS
from scada.commands import Actor, Role
from scada.drivers.dmesh.updates import image_of
from scada.firmware.campaign import Campaign, Progress
from scada.firmware.machine import Event
from scada.firmware.orders import Orders
from scada.rollout import (
    CampaignRequest,
    CampaignState,
    CampaignStatus,
    Image,
    StoredImage,
    UpdateFilter,
    UpdateState,
    UpdateStatus,
)
from tests import firmware_maker as maker

FELL_BACK = "with the new version it did not reach its concentrator (TIMEOUT); it runs 1.0"


def image(version: str, signed: bool = True) -> StoredImage:
    content = maker.content()
    body = maker.manifest(content, version)
    signer = hashlib.sha256(maker.PUBLIC).hexdigest()[:16] if signed else ""
    return StoredImage(image_of(body), 1_790_000_000 * NS, "admin", signer)


class Memory:
    """What `Orders` asks of a keeper, done at once."""

    def __init__(self, euis: Iterable[int]) -> None:
        self.stored = (image("2.0"), image("1.9", signed=False))
        self.campaigns: dict[int, Campaign] = {}
        self.known = dict.fromkeys(euis, ("1.0", "D100FC", 1))

    def live(self) -> list[Campaign]:
        return [one for one in self.campaigns.values() if not one.over and one.state is not CampaignState.DRAFT]

    async def trusted_image(self, name: str) -> tuple[Image | None, str]:
        found = next((one for one in self.stored if one.image.id.hex() == name), None)
        if found is None:
            return None, f"there is no image {name}; import it first"
        return found.image, "" if found.signer else "the signature was not made with a trusted key of Maker"

    async def in_thread(self, job: Callable[[], Any]) -> Any:
        return job()

    async def add(self, campaign: Campaign) -> None:
        self.campaigns[campaign.number] = campaign

    async def save(self, campaign: Campaign, euis: Iterable[int]) -> None: ...


class FakeFirmware:
    """`drill` is what the field would say: the canary goes as it is told."""

    def __init__(self, clock: Any, registry: Any, audit: Any) -> None:
        self._clock, site = clock, registry.directory.site
        self.memory = Memory(module.eui for module in site.modules)
        keeper: Any = self.memory
        self._orders = Orders(keeper, registry, audit, clock, monitor_only=False)

    def images(self) -> tuple[StoredImage, ...]:
        return self.memory.stored

    def campaigns(self) -> tuple[CampaignStatus, ...]:
        return tuple(one.status() for one in reversed(tuple(self.memory.campaigns.values())))

    def campaign(self, number: int) -> CampaignStatus | None:
        found = self.memory.campaigns.get(number)
        return found.status() if found else None

    def updates(self, number: int, wanted: UpdateFilter) -> tuple[tuple[UpdateStatus, ...], int]:
        found = self.memory.campaigns.get(number)
        return found.updates(wanted) if found else ((), 0)

    def draft(self, actor: Actor, request: CampaignRequest) -> "Deferred[CampaignStatus]":
        return _status(self._orders.draft(actor, request))

    def start_canary(self, actor: Actor, number: int) -> "Deferred[CampaignStatus]":
        return _status(self._orders.act(actor, number, "start", Event.START))

    def approve(self, actor: Actor, number: int) -> "Deferred[CampaignStatus]":
        return _status(self._orders.approve(actor, number))

    def pause(self, actor: Actor, number: int, why: str) -> "Deferred[CampaignStatus]":
        return _status(self._orders.act(actor, number, "pause", Event.PAUSE, f"paused by {actor.name}"))

    def resume(self, actor: Actor, number: int, *, retry: bool) -> "Deferred[CampaignStatus]":
        event = Event.RESUME_WAVE if self.memory.campaigns[number].stage else Event.RESUME_CANARY
        return _status(self._orders.act(actor, number, "resume", event, retry=retry))

    def abort(self, actor: Actor, number: int, why: str) -> "Deferred[CampaignStatus]":
        return _status(self._orders.act(actor, number, "abort", Event.ABORT, f"aborted by {actor.name}"))

    # ------------------------------------------------------------------ what the field would say
    def drill(self, number: int, *states: UpdateState, reason: str = FELL_BACK) -> None:
        """Modules of the stages begun, in their order, come to these states; then the time that is due passes."""
        campaign, now = self.memory.campaigns[number], self._clock.now()
        begun = [one.eui for one in campaign.members.values() if one.stage <= campaign.stage]
        for eui, state in zip(begun, states, strict=False):
            failed, way = state is UpdateState.FAILED, state is UpdateState.TRANSFER
            campaign.put(eui, Progress(state, reason if failed else "", 7 if way else 0, now))
        if (event := campaign.due(now)) is not None:
            why = f"{campaign.failed()} of {campaign.size} modules of the stage have failed"
            campaign.apply(event, now, why if event is Event.TROUBLE else "")

    def rehearse(self) -> None:
        """Three campaigns for the eye: one is over, one has paused by itself, one is in its second wave."""
        ana, ion = (Actor(name, Role.ENGINEER) for name in ("ana", "ion"))
        image = self.memory.stored[0].image.id.hex()
        for number, (names, canary) in enumerate(((("C01",), 5), (("C01",), 6), (("C02",), 4)), 1):
            self.draft(ana, CampaignRequest(image, names, canary=canary, wave=8, soak_s=0, reason="security fix"))
            self.start_canary(ana, number)
            self.approve(ion, number)
            if number == 2:
                self.drill(number, UpdateState.DONE, UpdateState.DONE, UpdateState.FAILED, UpdateState.TRANSFER)
                continue
            for _ in range(10 if number == 1 else 4):       # canary, soak, wave after wave
                self.drill(number, *[UpdateState.DONE] * 24)
            if number == 3:
                half = [UpdateState.DONE] * 14 + [UpdateState.TRANSFER] * 4 + [UpdateState.ACTIVATING] * 2
                self.drill(number, *half)

    def step(self) -> None:
        """Blocks come in, and again from the beginning."""
        for campaign in self.memory.live():
            for eui, one in campaign.progress.items():
                if one.state is UpdateState.TRANSFER:
                    campaign.put(eui, attrs.evolve(one, missing=(one.missing - 1) % campaign.image.blocks))


def _status(doing: Coroutine[Any, Any, Campaign]) -> "Deferred[CampaignStatus]":
    return Deferred.fromCoroutine(doing).addCallback(lambda campaign: campaign.status())
