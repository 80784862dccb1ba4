"""What happens to a share of a read: its state by the table, its members by what came. Pure."""

from collections.abc import Iterable
from typing import Final

import attrs

from scada.clock import NS
from scada.reading.machine import TRANSITIONS, Action, Happening
from scada.reads import ChannelReading, ReadMember, ReadReport, ReadShare, ReadState

GRACE_S: Final = 120                    # site time; the final part of a share that was sent leaves at the deadline itself
RESTARTED: Final = "server restarted; the concentrator is asked again under the same number"
ON_ITS_WAY: Final = "asked; the answers come by radio"
NO_REGISTER: Final = "no module gave a register"
NOT_SENT_IN_TIME: Final = "the deadline passed before it could be sent"
NOT_IN_TIME: Final = "the deadline passed before every module had answered"
MISSING_PART: Final = "a part of the answer is missing; asked for again"
ENDED_WITHOUT: Final = "UNKNOWN"        # the concentrator is through and said nothing of this module: not one of its own


def happened(share: ReadShare, happening: Happening, now: int, reason: str = "") -> tuple[ReadShare, tuple[Action, ...]]:
    """The share after a happening, and what is to be done once that is on disk."""
    if (share.state, happening) not in TRANSITIONS:
        return share, ()
    state, actions = TRANSITIONS[share.state, happening]
    changed = attrs.evolve(share, state=state, reason=reason)
    if Action.ASK in actions:
        changed = attrs.evolve(changed, attempts=share.attempts + 1, sent=share.sent or now)
    if changed.over:
        changed = attrs.evolve(changed, expected=0)
    return changed, actions


def timed_out(share: ReadShare, deadline: int, now: int) -> tuple[ReadShare, tuple[Action, ...]]:
    """Expire a share whose time is over: one that may be in the field gets the time its last answer needs."""
    if share.over:
        return share, ()
    sent = share.state in (ReadState.SENT, ReadState.PARTIAL)
    if now < deadline + (GRACE_S * NS if sent else 0):
        return share, ()
    after, actions = happened(share, Happening.TIME, now, NOT_IN_TIME if sent else NOT_SENT_IN_TIME)
    return _with_reasons(after, "TIMEOUT" if sent else ""), actions


def reported(share: ReadShare, report: ReadReport, now: int) -> tuple[ReadShare, tuple[Action, ...]]:
    """Take a part in; one that is here already, or comes when everything is over, changes nothing."""
    if share.over or report.part in share.parts:
        return share, ()
    parts = tuple(sorted((*share.parts, report.part)))
    last = report.part if report.final else share.last_part
    taken = attrs.evolve(share, parts=parts, last_part=last, members=_added(share.members, report.readings))
    if last < 0:
        return happened(taken, Happening.PART, now, ON_ITS_WAY)
    if len([part for part in parts if part <= last]) <= last:
        return happened(taken, Happening.MISSED, now, MISSING_PART)
    complete = _with_reasons(taken, ENDED_WITHOUT)
    if any(member.answered for member in complete.members):
        return happened(complete, Happening.WHOLE, now)
    return happened(complete, Happening.EMPTY, now, NO_REGISTER)


def _added(
    members: tuple[ReadMember, ...], readings: Iterable[tuple[int, ChannelReading]]
) -> tuple[ReadMember, ...]:
    came: dict[int, list[ChannelReading]] = {}
    for eui, reading in readings:
        came.setdefault(eui, []).append(reading)
    return tuple(
        _one(member, came[member.eui]) if member.eui in came else member for member in members
    )


def _one(member: ReadMember, came: list[ChannelReading]) -> ReadMember:
    by_channel = {reading.channel: reading for reading in (*member.readings, *came)}
    readings = tuple(by_channel[channel] for channel in sorted(by_channel))
    reason = "" if any(one.code == "OK" for one in readings) else readings[0].code
    return attrs.evolve(member, readings=readings, reason=reason)


def _with_reasons(share: ReadShare, code: str) -> ReadShare:
    """Nobody is left without a result once nothing more can come."""
    if not code:
        return share
    return attrs.evolve(share, members=tuple(
        member if member.readings else attrs.evolve(member, reason=code) for member in share.members
    ))
