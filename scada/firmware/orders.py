"""What people do with campaigns: checked, audited, written to the disk, then done; a refusal names every reason."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NoReturn

import attrs
from twisted.logger import Logger

from scada.clock import SiteClock
from scada.commands import Actor
from scada.errors import CommandRejected, StorageError
from scada.firmware import selection
from scada.firmware.campaign import Campaign
from scada.firmware.keeper import Keeper
from scada.firmware.machine import Event, after
from scada.firmware.store import COURSE
from scada.ports import Audit, Registry
from scada.rollout import CampaignRequest, CampaignState, Image

log = Logger()

LONGEST_WHY: Final = 200                # characters of a person's reason
NOT_SENT: Final = "monitor-only: nothing is sent"
GOES_ON: Final = frozenset({Event.START, Event.RESUME_CANARY, Event.RESUME_WAVE})


class Orders:
    def __init__(
        self, keeper: Keeper, registry: Registry, audit: Audit, clock: SiteClock, *, monitor_only: bool
    ) -> None:
        self._keeper, self._registry, self._audit, self._clock = keeper, registry, audit, clock
        self._monitor_only = monitor_only
        self._last = 0                                      # number given out

    async def draft(self, actor: Actor, request: CampaignRequest) -> Campaign:
        """Freeze a selection; choosing among a city's modules takes a thread."""
        directory = self._registry.directory
        request = attrs.evolve(request, reason=request.reason[:LONGEST_WHY])
        if reasons := selection.faults(actor, request, directory):
            await self._refuse(actor, "draft", request.image, reasons)
        image = await self._trusted(actor, "draft", request.image)
        self._last = max(self._last, *self._keeper.campaigns, 0) + 1
        job = partial(
            selection.draft, self._last, actor, request, image, directory, dict(self._keeper.known), self._clock.now()
        )
        campaign, reasons = await self._keeper.in_thread(job)
        if campaign is None:
            await self._refuse(actor, "draft", request.image, reasons)
        await self.audited(actor, "draft", campaign, modules=len(campaign.members), reason=request.reason)
        await self._keeper.add(campaign)
        return campaign

    async def approve(self, actor: Actor, number: int) -> Campaign:
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
        await self.audited(actor, "approve", campaign)
        campaign.approver = actor.name
        try:
            await self._keeper.save(campaign, ())
        except StorageError:
            campaign.approver = ""
            raise
        return campaign

    async def act(
        self, actor: Actor, number: int, action: str, event: Event, why: str = "", *, retry: bool = False
    ) -> Campaign:
        """Apply one event of the machine that is a person's."""
        campaign = await self._of(actor, number, action)
        goes_on, reasons = event in GOES_ON, []
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
        await self.audited(actor, action, campaign, why=why[:LONGEST_WHY], retry=retry)
        before = tuple(getattr(campaign, name) for name in COURSE)
        if not campaign.apply(event, self._clock.now(), why[:LONGEST_WHY]):     # somebody was quicker
            await self._refuse(actor, action, str(number), [unfit])
        again = campaign.retry(self._clock.now()) if retry else []
        try:
            await self._keeper.save(campaign, again)
        except StorageError:
            if goes_on:                                     # a pause holds, though nobody will remember it
                for name, value in zip(COURSE, before, strict=True):
                    setattr(campaign, name, value)
            raise
        log.info("firmware campaign {number}: {action} by {who}", number=number, action=action, who=actor.name)
        return campaign

    async def audited(self, actor: Actor, action: str, campaign: Campaign, **detail: Any) -> None:
        image = campaign.image
        what = f"{image.vendor} {image.hardware} {image.version}"
        await self._audit.append(actor, f"firmware.{action}", f"campaign {campaign.number}", image=what, **detail)

    # ------------------------------------------------------------------ private
    async def _of(self, actor: Actor, number: int, action: str) -> Campaign:
        """The campaign, for somebody who may act on all of its modules."""
        reasons = selection.refused_to(actor)
        campaign = self._keeper.campaigns.get(number)
        if campaign is None:
            await self._refuse(actor, action, str(number), [*reasons, f"there is no firmware campaign {number}"])
        known = self._registry.directory.concentrator
        areas = {known[name].area for name in campaign.concentrators if name in known}
        barred = sorted(area for area in areas if not actor.covers(area))
        reasons += [f"{actor.name} may not update firmware in area {area}" for area in barred]
        if reasons:
            await self._refuse(actor, action, str(number), reasons)
        return campaign

    def _rivals(self, campaign: Campaign) -> list[str]:
        """A concentrator offers one image a hardware class: two campaigns would end each other's offers."""
        return [
            f"campaign {one.number} for the same hardware class is under way at some of its concentrators"
            for one in self._keeper.live()
            if one is not campaign and one.image.hardware == campaign.image.hardware
            and one.of_link.keys() & campaign.of_link.keys()
        ]

    async def _trusted(self, actor: Actor, action: str, name: str) -> Image:
        """An image whose maker is trusted at this moment."""
        image, why = await self._keeper.trusted_image(name)
        if image is None or why:
            await self._refuse(actor, action, name, [why])
        return image

    async def _refuse(self, actor: Actor, action: str, target: str, reasons: Sequence[str]) -> NoReturn:
        try:
            await self._audit.append(actor, f"firmware.{action}.refused", target, reasons=list(reasons))
        except StorageError:
            log.error("{actor} was refused firmware {action} {target}", actor=actor.name, action=action, target=target)
        raise CommandRejected(reasons)
