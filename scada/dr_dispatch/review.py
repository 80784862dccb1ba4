"""What a person reviews before a shed, and whether it still is what was reviewed."""

from typing import Final

import numpy as np

from scada.clock import NS
from scada.commands import Actor, Selection
from scada.dr_dispatch import guards, planner
from scada.dr_dispatch.guards import Image, clock_time

SHOWN: Final = 1000                     # members with an obstacle that a reviewer is shown
UNKNOWN_SELECTION: Final = "no such selection; it may have expired: select again"


def selection(identity: str, image: Image) -> Selection:
    """What is reviewed, of an image no guard objects to."""
    assert image.group is not None                          # or `group_exists` had spoken
    monitor_only = image.settings.monitor_only
    return Selection(
        id=identity,
        digest=planner.digest(image.group, image.request, image.members),
        actor=image.actor.name,
        request=image.request,
        area=image.group.area,
        epoch=image.group.epoch,
        members=image.members,
        expected_w=planner.expected_w(image.members),
        warnings=planner.warnings(image.members, image.directory, monitor_only=monitor_only),
        made=image.now,
        expires=image.now + int(image.settings.selection_seconds * image.rate * NS),        # people read in real time
        monitor_only=monitor_only,
        may_not_answer=int(np.count_nonzero(~image.members.reachable)),
        hindered=tuple(image.members[at] for at in np.flatnonzero(~image.members.reachable)[:SHOWN].tolist()),
    )


def objections(reviewed: Selection, image: Image) -> tuple[str, ...]:
    """Every reason why a reviewed selection must not run now."""
    digest = planner.digest(image.group, reviewed.request, image.members) if image.group else None
    return (*holds(reviewed, image.actor, digest, image.now), *guards.refusals(image))


def holds(reviewed: Selection, actor: Actor, digest_now: str | None, now: int) -> tuple[str, ...]:
    """Every reason against running a selection itself: what was reviewed is what runs, in time, by who reviewed it."""
    reasons = []
    if reviewed.actor != actor.name:
        reasons.append(f"selected by {reviewed.actor}; only {reviewed.actor} may execute it")
    if now >= reviewed.expires:
        reasons.append(f"the selection expired at {clock_time(reviewed.expires)}: select again")
    if digest_now is not None and digest_now != reviewed.digest:
        reasons.append("the group has changed since the review: select again")
    return tuple(reasons)
