"""Carries out the steps of concentrators: paced, a few links at a time, never beside more urgent work."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.clock import SiteClock
from scada.errors import LinkError, StorageError
from scada.firmware.campaign import Campaign, Progress
from scada.firmware.steps import Activate, Ask, Block, Offer, Step, Subnet, Verify, next_step
from scada.firmware.store import Package
from scada.ports import FirmwareGateway
from scada.rollout import Lack, UpdateState
from scada.settings import FirmwareSettings

log = Logger()

LOOKS: Final = 100                      # concentrators a turn: of 240 modules each, 10 ms
REST_S: Final = 30.0                    # real time that a link is left alone after BUSY or a time-out
TAKEN: Final = frozenset({"OK", "ACCEPTED", "DUPLICATE"})
Key = tuple[int, int]                   # (campaign, link id)


@attrs.define
class Counters:
    blocks: int = 0
    offers: int = 0
    trouble: int = 0                    # answers that were none, or BUSY


class Runner:
    """`save` makes a campaign durable, with what changed of some modules; nothing leaves before it."""

    def __init__(
        self, settings: FirmwareSettings, gateway: FirmwareGateway, clock: SiteClock, reactor: Any,
        save: Callable[[Campaign, Iterable[int]], Awaitable[None]], package: Callable[[bytes], Package | None],
        content: Callable[[bytes], Awaitable[bytes]],
    ) -> None:
        self._settings, self._gateway, self._clock, self._reactor = settings, gateway, clock, reactor
        self._save, self._package, self._content = save, package, content
        self.counters = Counters()
        self._subnets: dict[Key, Subnet] = {}
        self._turn: deque[tuple[Campaign, int]] = deque()
        self._known: set[int] = set()                       # campaigns whose links are in `_turn`
        self._busy: set[Key] = set()
        self._rests: dict[Key, float] = {}
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    # ------------------------------------------------------------------ what the field says
    def link_changed(self, link_id: int) -> None:
        """A new session knows nothing of the one before: ask first."""
        for key in [one for one in self._subnets if one[1] == link_id]:
            del self._subnets[key]
        for key in [one for one in self._rests if one[1] == link_id]:
            del self._rests[key]

    def lacks(self, campaign: Campaign, lack: Lack) -> None:
        subnet = self._subnets.get((campaign.number, lack.link_id))
        if subnet is not None and subnet.offered:
            subnet.lack, subnet.next_block = lack, 0

    # ------------------------------------------------------------------ turns
    def look(self, campaigns: Iterable[Campaign]) -> None:
        """Begin with links that are free; call it now and then."""
        running = {one.number: one for one in campaigns if one.running}
        for campaign in running.values():
            if campaign.number not in self._known:
                self._known.add(campaign.number)
                self._turn.extend((campaign, link_id) for link_id in campaign.of_link)
        for _ in range(min(LOOKS, len(self._turn))):
            campaign, link_id = self._turn[0]
            self._turn.popleft()
            if campaign.over or self._stopped:
                self._known.discard(campaign.number)
                self._subnets.pop((campaign.number, link_id), None)
                continue
            self._turn.append((campaign, link_id))
            if len(self._busy) >= self._settings.links_under_way:
                return
            self._begin(campaign, link_id)

    def _begin(self, campaign: Campaign, link_id: int) -> None:
        key = (campaign.number, link_id)
        if key in self._busy or self._clock.monotonic() < self._rests.get(key, 0.0):
            return
        if self._step(campaign, link_id) is None:
            return
        self._busy.add(key)

        def over(outcome: Any) -> Any:
            self._busy.discard(key)
            return outcome

        def failed(failure: Failure) -> None:
            self._rests[key] = self._clock.monotonic() + REST_S
            self.counters.trouble += 1
            if not failure.check(LinkError, StorageError):
                log.failure("firmware campaign {number}, link {link:08x}", failure, number=campaign.number, link=link_id)

        Deferred.fromCoroutine(self._work(campaign, link_id)).addBoth(over).addErrback(failed)

    def _step(self, campaign: Campaign, link_id: int) -> Step | None:
        """The next thing that may be sent now; the gateway says whether the link is free."""
        if self._stopped or not campaign.running:
            return None
        obstacle = self._gateway.obstacle(link_id)          # first: it costs less than a look at every module
        if obstacle or not (wanted := campaign.wanted(link_id)):
            return None
        if obstacle is None:
            self._fail(campaign, wanted, "its concentrator does not take firmware")
            return None
        subnet = self._subnets.setdefault((campaign.number, link_id), Subnet())
        return next_step(subnet, wanted, self._clock.monotonic())

    async def _work(self, campaign: Campaign, link_id: int) -> None:
        while (step := self._step(campaign, link_id)) is not None:
            subnet = self._subnets[campaign.number, link_id]
            if not await self._send(campaign, link_id, subnet, step):
                return
            await deferLater(self._reactor, self._settings.block_pause_seconds)

    async def _send(self, campaign: Campaign, link_id: int, subnet: Subnet, step: Step) -> bool:
        """Whether to go on at once."""
        gateway, image, now = self._gateway, campaign.image, self._clock.monotonic()
        match step:
            case Ask():
                await gateway.ask(link_id)
                subnet.answered = True
            case Offer(modules):
                package = self._package(image.id)
                if package is None:
                    return False
                await self._mark(campaign, modules, UpdateState.WAITING, UpdateState.TRANSFER)
                if not self._still(campaign, link_id, subnet):
                    return False
                subnet.lack, subnet.next_block, subnet.offered, subnet.offered_at = None, 0, modules, now
                self.counters.offers += 1
                try:
                    code = await gateway.offer(link_id, package.manifest, package.signature, modules)
                except LinkError:
                    subnet.offered = frozenset()
                    raise
                return self._accepted(campaign, link_id, subnet, code, modules, "the offer")
            case Block(number):
                content = await self._content(image.id)
                if not self._still(campaign, link_id, subnet):
                    return False
                data = content[number * image.block_size:(number + 1) * image.block_size]
                code = await gateway.block(link_id, image.id, number, data)
                self.counters.blocks += 1
                if code in TAKEN:
                    subnet.next_block = max(subnet.next_block, number + 1)
                return self._accepted(campaign, link_id, subnet, code, campaign.wanted(link_id), "a block")
            case Verify(modules):
                subnet.told |= {(Verify, eui): now for eui in modules}
                code = await gateway.verify(link_id, image.id, modules)
                return self._accepted(campaign, link_id, subnet, code, (), "the check")
            case Activate(modules):
                await self._mark(campaign, modules, UpdateState.VERIFIED, UpdateState.ACTIVATING)
                if not self._still(campaign, link_id, subnet):
                    return False
                subnet.told |= {(Activate, eui): now for eui in modules}
                code = await gateway.activate(link_id, image.id, modules)
                return self._accepted(campaign, link_id, subnet, code, (), "the activation")
        return True

    def _accepted(
        self, campaign: Campaign, link_id: int, subnet: Subnet, code: str, modules: Iterable[int], what: str
    ) -> bool:
        """A refusal is final for the modules it is about, unless it says that it passes."""
        if code in TAKEN:
            subnet.denied = subnet.denied and what != "the offer"
            return True
        if code == "DENIED" and what == "the offer" and not subnet.denied:      # which of them ran a higher number?
            subnet.denied, subnet.answered, subnet.offered = True, False, frozenset()
            return True
        if code == "UNKNOWN" and what != "the offer":       # it has lost our offer: from the beginning, with what it has
            subnet.offered, subnet.lack = frozenset(), None
            return True
        if code == "INTERLOCK":                             # it has another module list: from the beginning, with that
            self._subnets.pop((campaign.number, link_id), None)
            return False
        if code == "DENIED" and what != "the offer":        # its devices stand otherwise than we think
            subnet.answered = False
            return True
        if code not in ("BUSY", "TIMEOUT", "NO_ROUTE"):
            self._fail(campaign, modules, f"the concentrator refused {what}: {code}")
        self._rests[campaign.number, link_id] = self._clock.monotonic() + REST_S
        self.counters.trouble += 1
        return False

    def _still(self, campaign: Campaign, link_id: int, subnet: Subnet) -> bool:
        """Whether nothing has changed while the disk was waited for: not the session, not a person's mind, not urgency."""
        same = self._subnets.get((campaign.number, link_id)) is subnet
        return same and campaign.running and not self._stopped and self._gateway.obstacle(link_id) == ""

    async def _mark(self, campaign: Campaign, modules: Iterable[int], before: UpdateState, then: UpdateState) -> None:
        """Write down what is about to be sent."""
        now, moved = self._clock.now(), []
        for eui in modules:
            one = campaign.progress[eui]
            if one.state is before:
                missing = campaign.image.blocks if then is UpdateState.TRANSFER else one.missing
                campaign.put(eui, Progress(then, "", missing, now))
                moved.append(eui)
        await self._save(campaign, moved)

    def _fail(self, campaign: Campaign, modules: Iterable[int], why: str) -> None:
        now = self._clock.now()
        failed = [eui for eui in modules if campaign.put(eui, Progress(UpdateState.FAILED, why, 0, now))]
        saved: Any = self._save(campaign, failed)
        Deferred.fromCoroutine(saved).addErrback(lambda failure: failure.trap(StorageError))
