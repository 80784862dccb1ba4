"""The times for which loads are off, or may be: what limits are counted on, always on the safe side."""

import attrs

from scada.clock import NS
from scada.commands import Action, MemberState
from scada.dr_dispatch.command import Command


@attrs.frozen
class Outage:
    """A time for which a load was off, or may have been."""

    eui: int
    command: bytes
    begin: int                          # ns, site time
    end: int                            # ns, site time, exclusive

    def overlap(self, begin: int, end: int) -> int:
        """Off-time inside [begin, end). [ns]"""
        return max(0, min(self.end, end) - max(self.begin, begin))


def outages(command: Command) -> list[Outage]:
    """The times for which this command had loads off, or may have had: what limits are counted on."""
    if command.action is not Action.SHED or command.monitor_only:
        return []
    found = []
    span = command.off_for_s * NS
    for progress in command.members:
        begin = progress.executed or command.made
        match progress.state:
            case MemberState.REFUSED | MemberState.NOT_SENT:
                continue
            case MemberState.RESTORED:
                end = progress.changed
                begin = max(command.made, end - span)       # a report may have come long after the load went off
            case MemberState.EXECUTED:
                end = progress.executed + span
            case _:
                end = command.not_after + span
        found.append(Outage(progress.member.eui, command.id, begin, end))
    return found


def ends(command: Command) -> int:
    """When the last load is back by itself, as far as is known now. [ns, site time]"""
    if command.action is not Action.SHED:
        return command.not_after
    return max((outage.end for outage in outages(command)), default=command.made)
