"""A command as everybody but the desk sees it."""

from collections.abc import Sequence

from scada.commands import CommandStatus, MemberResult, MemberState
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.outages import ends


def status_of(command: Command) -> CommandStatus:
    """The command as everybody else sees it."""
    return CommandStatus(
        id=command.id.hex(),
        action=command.action,
        group=command.group,
        actor=command.actor,
        origin=command.origin,
        state=command.state,
        off_for_s=command.off_for_s,
        not_after=command.not_after,
        made=command.made,
        ends=ends(command),
        monitor_only=command.monitor_only,
        reason=command.reason,
        members=tuple(
            MemberResult(progress.member, progress.state, progress.reason, progress.changed) for progress in command.members
        ),
        effects=command.effects,
    )


def counts(command: Command) -> dict[str, int]:
    """Members by state, for the audit and for people."""
    states: Sequence[MemberState] = [progress.state for progress in command.members]
    return {state.name.lower(): states.count(state) for state in dict.fromkeys(states)}
