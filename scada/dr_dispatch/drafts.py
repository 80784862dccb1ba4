"""New commands from what a person decided: the shed of a reviewed selection, the restore of a shed."""

import attrs

from scada.clock import NS
from scada.commands import Action, Actor, CommandState, Selection
from scada.dr_dispatch import planner
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.guards import Image
from scada.dr_dispatch.members import Members
from scada.settings import DispatchSettings


def of_selection(identity: bytes, reviewed: Selection, image: Image) -> Command:
    """The command of a reviewed selection, with its members as they are in the image."""
    assert image.group is not None                          # or the selection would not hold
    group, settings, off_for_s = image.group, image.settings, reviewed.request.off_for_s
    return Command(
        id=identity,
        selection=reviewed.id,
        action=reviewed.request.action,
        group=group.name,
        number=group.number,
        epoch=group.epoch,
        load_class=group.load_class,
        area=group.area,
        actor=image.actor.name,
        origin=image.actor.origin,
        off_for_s=off_for_s,
        not_after=image.now + settings.not_after_seconds * NS,
        made=image.now,
        jitter_s=planner.jitter(off_for_s, settings.restore_jitter_s),
        repeat=settings.repeat,
        monitor_only=settings.monitor_only,
        reason=reviewed.request.reason,
        state=CommandState.SENDING,
        members=Members.fresh(image.members),
        level_w=reviewed.request.level_w,
    )


def restore(identity: bytes, of: Command, actor: Actor, settings: DispatchSettings, now: int) -> Command:
    """The command that gives back what a shed took; `now` is site time. [ns]"""
    return attrs.evolve(
        of,
        id=identity,
        selection=f"restore:{identity.hex()}",
        action=Action.RESTORE,
        actor=actor.name,
        origin=actor.origin,
        off_for_s=0,
        not_after=now + settings.not_after_seconds * NS,
        made=now,
        jitter_s=settings.restore_jitter_s,
        monitor_only=settings.monitor_only,
        state=CommandState.SENDING,
        members=Members.fresh(of.members.roll),
        restores=of.id,
        level_w=0,
        effects=(),
    )
