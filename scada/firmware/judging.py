"""What a device's word means for a module of a campaign, and who takes an image when: pure."""

from collections.abc import Iterable
from typing import Final

import attrs

from scada.firmware.campaign import Member, Progress
from scada.rollout import DeviceReport, DeviceState, Image, UpdateState

FURTHER: Final = {
    DeviceState.RECEIVING: UpdateState.TRANSFER,
    DeviceState.COMPLETE: UpdateState.COMPLETE,
    DeviceState.VERIFIED: UpdateState.VERIFIED,
    DeviceState.ACTIVATING: UpdateState.ACTIVATING,
}
WHY: Final = {                          # what some result codes mean for firmware (docs/dmlp.md, section 9)
    "TIMEOUT": "with the new version it did not reach its concentrator ({code}); it runs {running}",
    "CRYPTO": "its copy of the image fails the check ({code}); it runs {running}",
}


def judge(image: Image, before: Progress, report: DeviceReport, now: int) -> Progress:
    """What a report means for a module of a campaign with `image`; only the running version is success."""
    ours = report.image == image.id
    tried = before.state is not UpdateState.WAITING
    if report.running == image.version and not (ours and report.state == DeviceState.FAILED):
        return _moved(before, UpdateState.DONE, "", 0, now)
    if ours and report.state == DeviceState.FAILED:
        # Of an earlier try there may be a failure still, which says nothing of this one.
        why = WHY.get(report.reason, "the module says {code}; it runs {running}")
        why = why.format(code=report.reason, running=report.running)
        return _moved(before, UpdateState.FAILED, why, report.missing, now) if tried else before
    if before.state is UpdateState.DONE:
        return _moved(before, UpdateState.FAILED, f"it went back to {report.running}", report.missing, now)
    if before.state is UpdateState.FAILED:
        return before
    if unfit := misfit(image, report):
        return _moved(before, UpdateState.FAILED, unfit, report.missing, now)
    state = FURTHER.get(DeviceState(report.state)) if report.state in DeviceState._value2member_map_ else None
    if not ours or not tried or state is None:
        return before
    return _moved(before, state, "", report.missing, now)


def misfit(image: Image, report: DeviceReport) -> str:
    """Why a device must never be offered an image; "" if it may."""
    if report.hardware != image.hardware:
        return f"it is of hardware class {report.hardware or '?'}; the image is for {image.hardware}"
    if report.rollback > image.rollback:
        return f"it ran number {report.rollback} already; the image has {image.rollback}"
    return ""


def stages_of(members: Iterable[Member], canary: int, wave: int) -> tuple[Member, ...]:
    """
    Who takes it when: the canary is spread over the concentrators, the waves follow them one after the other.

    A fault of one concentrator must not hide in a canary that is all its own; a broadcast of blocks serves a whole
    subnet at the price of one module.
    """
    by_link: dict[str, list[Member]] = {}
    for one in sorted(members, key=lambda one: one.device):
        by_link.setdefault(one.concentrator, []).append(one)
    first: list[Member] = []
    columns = [iter(found) for _, found in sorted(by_link.items())]
    while columns and len(first) < canary:
        for column in tuple(columns):
            found_next = next(column, None)
            if found_next is None:
                columns.remove(column)
            elif len(first) < canary:
                first.append(found_next)
    chosen = {one.eui for one in first}
    rest = [one for _, found in sorted(by_link.items()) for one in found if one.eui not in chosen]
    return (
        *(attrs.evolve(one, stage=0) for one in first),
        *(attrs.evolve(one, stage=1 + place // wave) for place, one in enumerate(rest)),
    )


def _moved(before: Progress, state: UpdateState, reason: str, missing: int, now: int) -> Progress:
    same = (before.state, before.reason, before.missing) == (state, reason, missing)
    return before if same else Progress(state, reason, missing, now)
