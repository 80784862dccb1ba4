"""What the page and the API of firmware campaigns share: what may be done with one, and how far a stage is."""

from typing import Any, Final

import attrs

from hmi.services import Services
from scada.commands import Actor
from scada.rollout import CampaignState, CampaignStatus, StageStatus, UpdateState

DOINGS: Final = ("start", "approve", "pause", "resume", "abort")
S = CampaignState
OFFERED: Final[dict[CampaignState, tuple[str, ...]]] = {       # what a person may do, in the order of the buttons
    S.DRAFT: ("start", "abort"), S.CANARY: ("approve", "pause", "abort"), S.SOAK: ("approve", "pause", "abort"),
    S.WAVE: ("pause", "abort"), S.PAUSED: ("approve", "resume", "abort"), S.DONE: (), S.ABORTED: (),
}


def offered(campaign: CampaignStatus) -> tuple[str, ...]:
    return tuple(one for one in OFFERED[campaign.state] if one != "approve" or not campaign.approver)


def do(services: Services, actor: Actor, number: int, doing: str, why: str = "", *, retry: bool = False) -> CampaignStatus:
    """Carry out one of `DOINGS`; raises `CommandRejected`."""
    firmware, call = services.firmware, services.in_reactor
    done: Any
    match doing:
        case "start":
            done = call(firmware.start_canary, actor, number)
        case "approve":
            done = call(firmware.approve, actor, number)
        case "pause":
            done = call(firmware.pause, actor, number, why)
        case "resume":
            done = call(firmware.resume, actor, number, retry=retry)
        case _:
            done = call(firmware.abort, actor, number, why)
    found: CampaignStatus = done
    return found


@attrs.frozen
class Bar:
    """Widths of a hundred: updated, failed, under way."""

    done: float
    failed: float
    way: float


def bar(*stages: StageStatus) -> Bar:
    total = sum(one.total for one in stages) or 1
    share = [
        100 * sum(one.count(state) for one in stages) / total for state in (UpdateState.DONE, UpdateState.FAILED)
    ]
    return Bar(share[0], share[1], 100 * sum(one.under_way for one in stages) / total)


def delivered(stage: StageStatus, blocks: int) -> float:
    """Share of the blocks that modules in transfer have, NaN where none is in transfer."""
    wanted = stage.count(UpdateState.TRANSFER) * blocks
    return 1 - stage.missing / wanted if wanted else float("nan")
