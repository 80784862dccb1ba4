"""What becomes of a command, as tables and pure functions: members fold their reports, the command follows its members.

    SENDING ──accepted──▶ COLLECTING ──all answered──▶ ACTIVE ──restore──▶ RESTORING ──all back──▶ CLOSED
       │ └──nothing reached anybody──▶ FAILED
       └──server restarted──▶ UNKNOWN ──a concentrator knows it──▶ COLLECTING

Time only ever ends things here: an unanswered member becomes NO_ANSWER, a load that is off is presumed back. A member
nobody heard of is presumed off for as long as it could be, because the limits of a load are kept on the safe side.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Final

import attrs

from scada.clock import NS
from scada.commands import Action, CommandState, MemberReport, MemberState
from scada.dr_dispatch.command import Command, Progress
from scada.dr_dispatch.outages import ends

ANSWER_MARGIN_S: Final = 120            # site time a report may still take on its way after `not_after`

BY_EXPIRY: Final = "by expiry"
BY_HAND: Final = "must be switched on by hand"
MONITOR_ONLY: Final = "monitor-only"
EXPIRED: Final = "expired before it could leave"
RESTARTED: Final = "server restarted while sending; the concentrator is asked"
NEVER_REACHED: Final = "never reached the concentrator"
FORGOTTEN: Final = "the concentrator has started anew and does not remember it"


class Event(Enum):
    ACCEPTED = auto()                   # a concentrator has it
    NOTHING_SENT = auto()               # no member was reached or could have been
    ALL_ANSWERED = auto()               # every member has a result
    RESTORE = auto()                    # supply begins to come back, by order or by expiry
    ALL_BACK = auto()                   # no member can still be off
    RESTARTED = auto()                  # the server lost what it knew of the sending


S = CommandState
TRANSITIONS: Final[dict[tuple[CommandState, Event], CommandState]] = {
    (S.SENDING, Event.ACCEPTED): S.COLLECTING,
    (S.SENDING, Event.NOTHING_SENT): S.FAILED,
    (S.SENDING, Event.ALL_ANSWERED): S.ACTIVE,
    (S.SENDING, Event.RESTORE): S.RESTORING,
    (S.SENDING, Event.ALL_BACK): S.CLOSED,
    (S.SENDING, Event.RESTARTED): S.UNKNOWN,
    (S.UNKNOWN, Event.ACCEPTED): S.COLLECTING,
    (S.UNKNOWN, Event.NOTHING_SENT): S.FAILED,
    (S.UNKNOWN, Event.ALL_ANSWERED): S.ACTIVE,
    (S.UNKNOWN, Event.RESTORE): S.RESTORING,
    (S.UNKNOWN, Event.ALL_BACK): S.CLOSED,
    (S.COLLECTING, Event.ALL_ANSWERED): S.ACTIVE,
    (S.COLLECTING, Event.RESTORE): S.RESTORING,
    (S.COLLECTING, Event.ALL_BACK): S.CLOSED,
    (S.ACTIVE, Event.RESTORE): S.RESTORING,
    (S.ACTIVE, Event.ALL_BACK): S.CLOSED,
    (S.RESTORING, Event.ALL_BACK): S.CLOSED,
}
M = MemberState
_ANSWERS: Final = frozenset({M.EXECUTED, M.REFUSED, M.NO_ANSWER, M.NOT_SENT, M.RESTORED})
WAITING: Final = frozenset({M.SENT, M.ACCEPTED, M.RECEIVED})
# What a member may become. A repeat that a module refuses does not undo an execution; a late truth replaces a guess.
MEMBER_MOVES: Final[dict[MemberState, frozenset[MemberState]]] = {
    M.SELECTED: frozenset({M.SENT, M.ACCEPTED, M.RECEIVED}) | _ANSWERS,
    M.SENT: frozenset({M.ACCEPTED, M.RECEIVED}) | _ANSWERS,
    M.ACCEPTED: (frozenset({M.RECEIVED}) | _ANSWERS) - {M.NOT_SENT},
    M.RECEIVED: _ANSWERS - {M.NOT_SENT},
    M.NO_ANSWER: frozenset({M.EXECUTED, M.REFUSED, M.RESTORED}),
    M.NOT_SENT: frozenset({M.EXECUTED, M.REFUSED}),
    M.REFUSED: frozenset({M.EXECUTED}),
    M.EXECUTED: frozenset({M.RESTORED}),
    M.RESTORED: frozenset(),
}


def step(command: Command, event: Event) -> Command:
    """The command after an event; an event that means nothing in its state changes nothing."""
    return attrs.evolve(command, state=TRANSITIONS.get((command.state, event), command.state))


def move(progress: Progress, state: MemberState, reason: str, at: int) -> Progress:
    """One member after news of it; news that cannot be true any more changes nothing."""
    if state not in MEMBER_MOVES[progress.state]:
        return progress
    executed = at if state is M.EXECUTED else progress.executed
    if state is M.RESTORED and progress.manual:         # free to be switched on, but off until somebody comes
        reason = f"{reason}; {BY_HAND}" if reason else BY_HAND
    return attrs.evolve(progress, state=state, reason=reason, changed=at, executed=executed)


def fold(command: Command, reports: Iterable[MemberReport], now: int) -> Command:
    """The command after what the field reported; times a device cannot have meant are brought between `made` and `now`."""
    if not command.live:
        return command
    of_member: dict[tuple[int, int], list[MemberReport]] = {}
    for report in reports:
        of_member.setdefault((report.link_id, report.eui), []).append(report)
    members = []
    for progress in command.members:
        for report in of_member.get((progress.member.link_id, progress.member.eui), ()):
            at = min(max(report.at or now, command.made), now)
            progress = move(progress, report.state, report.reason, at)
        members.append(progress)
    return advance(attrs.evolve(command, members=tuple(members)), now)


def mark(command: Command, link_id: int, state: MemberState, reason: str, now: int) -> Command:
    """The command after news about a whole concentrator; members that already have an answer keep it."""
    return mark_links(command, {link_id: (state, reason)}, now)


def mark_links(command: Command, news: Mapping[int, tuple[MemberState, str]], now: int) -> Command:
    """The same about many concentrators at once: a command may have thousands, and this walks over it once."""
    members = tuple(
        move(progress, *news[progress.member.link_id], now)
        if progress.member.link_id in news and progress.state not in _ANSWERS
        else progress
        for progress in command.members
    )
    return advance(attrs.evolve(command, members=members), now)


def unknown_to(command: Command, link_id: int, boot: int, now: int) -> Command:
    """
    The command after a concentrator said that it knows nothing of it.

    That is proof of nothing from one that has started anew since: its modules may have heard the command before. Only
    of one whose start is still the same is it known that nobody was addressed.
    """
    def told(progress: Progress) -> Progress:
        if progress.member.link_id != link_id or progress.state in _ANSWERS:
            return progress
        if progress.boot == boot != 0:
            return move(progress, M.NOT_SENT, NEVER_REACHED, now)
        return move(progress, M.NO_ANSWER, FORGOTTEN, now)

    return advance(attrs.evolve(command, members=tuple(told(progress) for progress in command.members)), now)


def unaddressed(command: Command, reason: str, now: int) -> Command:
    """The command when those of its members have dropped out that no order can hold: no link, or no index there."""
    members = tuple(
        progress if progress.member.link_id and progress.member.index else move(progress, M.NOT_SENT, reason, now)
        for progress in command.members
    )
    return advance(attrs.evolve(command, members=members), now)


def give_up(command: Command, reason: str, now: int) -> Command:
    """The command when it must not be sent after all."""
    members = tuple(move(progress, M.NOT_SENT, reason, now) for progress in command.members)
    return advance(attrs.evolve(command, members=members), now)


def restored_by(restore: Command, reports: Iterable[MemberReport]) -> list[MemberReport]:
    """What the reports about a restore mean for the shed it ends."""
    return [
        attrs.evolve(report, command_id=restore.restores, state=M.RESTORED, reason=f"restored by {restore.actor}")
        for report in reports
        if report.state is M.EXECUTED
    ]


def restarted(command: Command, now: int) -> Command:
    """The command as a server that has just started must see it: whatever was being sent may have arrived."""
    if command.state is S.SENDING:
        members = tuple(
            move(progress, M.SENT, RESTARTED, now) if progress.state is M.SELECTED else progress
            for progress in command.members
        )
        command = step(attrs.evolve(command, members=members), Event.RESTARTED)
    return advance(command, now)


def advance(command: Command, now: int) -> Command:
    """The command at `now`: what time ends is ended, and the state follows the members."""
    if not command.live:
        return command
    members = tuple(_expire(command, progress, now) for progress in command.members)
    command = attrs.evolve(command, members=members)
    states = {progress.state for progress in members}
    if states <= {M.NOT_SENT}:
        return step(command, Event.ALL_BACK if command.monitor_only else Event.NOTHING_SENT)
    if states & {M.ACCEPTED, M.RECEIVED, M.EXECUTED, M.REFUSED, M.RESTORED}:
        command = step(command, Event.ACCEPTED)
    if states <= _ANSWERS:
        if command.action is Action.RESTORE or now >= ends(command):
            return step(command, Event.ALL_BACK)
        if states & {M.EXECUTED, M.RESTORED}:
            command = step(command, Event.ALL_ANSWERED)
        if M.RESTORED in states:
            command = step(command, Event.RESTORE)
    return command


def wake(command: Command, now: int) -> int | None:
    """When `advance` will next find something to do; None if never. [ns, site time]"""
    if not command.live:
        return None
    times = {ends(command)}
    for progress in command.members:
        if progress.state is M.EXECUTED:
            times.add(progress.executed + command.off_for_s * NS)
        elif progress.state is M.SELECTED:
            times.add(command.not_after)
        elif progress.state in WAITING:
            times.add(deadline(command))
    return min((time for time in times if time > now), default=None)


def deadline(command: Command) -> int:
    """When nobody waits for an answer any more. [ns, site time]"""
    return command.not_after + ANSWER_MARGIN_S * NS


def unanswered(command: Command, link_id: int) -> bool:
    """Whether a concentrator could still tell something about this command."""
    waited_for = WAITING | {M.NO_ANSWER}
    return command.live and any(
        progress.member.link_id == link_id and progress.state in waited_for for progress in command.members
    )


def _expire(command: Command, progress: Progress, now: int) -> Progress:
    if progress.state is M.EXECUTED and command.action is Action.SHED:
        back = progress.executed + command.off_for_s * NS
        if now >= back:
            return move(progress, M.RESTORED, BY_EXPIRY, back)
    if progress.state in WAITING and now >= deadline(command):
        return move(progress, M.NO_ANSWER, progress.reason, now)
    if progress.state is M.SELECTED and now >= command.not_after:
        return move(progress, M.NOT_SENT, EXPIRED, now)
    return progress
