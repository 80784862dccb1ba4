"""Whom a campaign is for: modules by concentrator and load group, whose class and number suit the image. Pure."""

from collections.abc import Mapping

from scada.commands import Actor
from scada.firmware.campaign import Campaign, Member, Progress
from scada.firmware.judging import stages_of
from scada.rollout import MAY_ROLL_OUT, CampaignRequest, Image
from scada.site import Directory, Module, ModuleState

Said = tuple[str, str, int]             # running version, hardware class, highest anti-rollback number
Known = Mapping[int, Said]              # by EUI


def faults(actor: Actor, request: CampaignRequest, directory: Directory) -> list[str]:
    """What is wrong with a request; every reason at once."""
    found = refused_to(actor)
    found += [f"there is no concentrator {name}" for name in request.concentrators if name not in directory.concentrator]
    found += [f"there is no load group {name}" for name in request.groups if name not in directory.load_group]
    for text, value, low, high in (
        ("modules of the canary", request.canary, 1, 10_000),
        ("modules of a wave", request.wave, 1, 1_000_000),
        ("seconds of soak", request.soak_s, 0, 90 * 86_400),
        ("seconds of patience", request.patience_s, 60, 90 * 86_400),
        ("allowed failures in percent", request.most_failed_percent, 0, 50),
    ):
        if not low <= value <= high:
            found.append(f"{text}: {value:g}; expected {low} to {high}")
    return found


def refused_to(actor: Actor) -> list[str]:
    """Whether a person may do anything with firmware."""
    if actor.role in MAY_ROLL_OUT:
        return []
    return [f"{actor.name} is {actor.role}; only engineers and administrators may update firmware"]


def draft(
    number: int, actor: Actor, request: CampaignRequest, image: Image, directory: Directory, known: Known, now: int
) -> tuple[Campaign | None, list[str]]:
    """A campaign with its stages, or the reasons that forbid it. `now`: site time [ns]"""
    members, left_out, reasons = select(actor, request, image, directory, known)
    if reasons:
        return None, reasons
    staged = stages_of(members, request.canary, request.wave)
    return Campaign(
        number, image, request, actor.name, now, {one.eui: one for one in staged},
        {one.eui: Progress(changed=now) for one in staged}, left_out, began=now,
    ), []


def select(
    actor: Actor, request: CampaignRequest, image: Image, directory: Directory, known: Known
) -> tuple[list[Member], tuple[str, ...], list[str]]:
    """(members, sentences on who was left out, reasons that forbid it)."""
    asked = [one for one in directory.site.modules if _asked_for(one, request, directory)]
    unknown = other = same = newer = 0
    members = []
    for one in asked:
        running, hardware, rollback = known.get(one.eui, ("", "", 0))
        if not hardware:
            unknown += 1
        elif hardware != image.hardware:
            other += 1
        elif running == image.version:
            same += 1
        elif rollback > image.rollback:
            newer += 1
        else:
            link_id = directory.concentrator[one.concentrator].link_id
            members.append(Member(one.eui, one.name, one.concentrator, link_id, 0))
    left_out: list[str] = []
    for count, why in (
        (unknown, "nothing is known of their firmware yet"),
        (other, f"of another hardware class than {image.hardware}"),
        (same, f"run {image.version} already"),
        (newer, f"ran a number above {image.rollback} already"),
    ):
        if count:
            left_out.append(f"{count} modules left out: {why}")
    reasons = [
        f"{actor.name} may not update firmware in area {area}"
        for area in sorted({directory.concentrator[one.concentrator].area for one in members}) if not actor.covers(area)
    ]
    if not members:
        reasons.append("no module is left to update")
        reasons += left_out
    return members, tuple(left_out), reasons


def _asked_for(module: Module, request: CampaignRequest, directory: Directory) -> bool:
    if not module.index or module.state is ModuleState.DISCOVERED or module.concentrator not in directory.concentrator:
        return False
    if request.concentrators and module.concentrator not in request.concentrators:
        return False
    return not request.groups or any(module.eui in directory.load_group[name].members for name in request.groups)
