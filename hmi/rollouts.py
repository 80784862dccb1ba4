"""What the page and the API of firmware campaigns share: what may be done with one, how far it is, and how it is told."""

from typing import Any, Final

import attrs

from hmi.encode import milliseconds
from hmi.services import Services
from scada.commands import Actor
from scada.rollout import CampaignState, CampaignStatus, StageStatus, StoredImage, UpdateState, UpdateStatus

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


# ------------------------------------------------------------------ as JSON
def image(one: StoredImage) -> dict[str, Any]:
    said = one.image
    return {
        "id": said.id.hex(), "vendor": said.vendor, "hardware": said.hardware, "version": said.version,
        "rollback": said.rollback, "size": said.size, "sha256": said.sha256.hex(), "blocks": said.blocks,
        "imported_ms": milliseconds(one.imported), "by": one.by, "signer": one.signer, "trusted": bool(one.signer),
    }


def campaign(one: CampaignStatus, *, stages: bool = True) -> dict[str, Any]:
    said, wish = one.image, one.request
    found: dict[str, Any] = {
        "number": one.number, "state": one.state.value, "stage": one.stage, "why": one.why, "tripped": one.tripped,
        "image": {
            "id": said.id.hex(), "vendor": said.vendor, "hardware": said.hardware, "version": said.version,
            "blocks": said.blocks,
        },
        "drafter": one.drafter, "approver": one.approver, "made_ms": milliseconds(one.made),
        "soak_ends_ms": milliseconds(one.soak_ends), "failed_percent": one.failed_percent, "reason": wish.reason,
        "canary": wish.canary, "wave": wish.wave, "soak_s": wish.soak_s, "patience_s": wish.patience_s,
        "most_failed_percent": wish.most_failed_percent, "concentrators": list(wish.concentrators),
        "groups": list(wish.groups), "total": one.total, "left_out": list(one.left_out),
        "counts": {state.name.lower(): n for state in UpdateState if (n := one.count(state))},
    }
    if stages:
        found["stages"] = [
            {
                "number": stage.number, "total": stage.total, "missing_blocks": stage.missing,
                "counts": {state.name.lower(): n for state, n in stage.counts.items()},
            }
            for stage in one.stages
        ]
    return found


def update(one: UpdateStatus) -> dict[str, Any]:
    return {
        "eui": f"{one.eui:016x}", "device": one.device, "concentrator": one.concentrator, "stage": one.stage,
        "state": one.state.name.lower(), "reason": one.reason, "missing": one.missing,
        "changed_ms": milliseconds(one.changed),
    }
