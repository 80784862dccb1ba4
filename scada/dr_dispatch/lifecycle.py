"""What becomes of a command, as tables and pure functions: members fold their reports, the command follows its members.

    SENDING ──accepted──▶ COLLECTING ──all answered──▶ ACTIVE ──restore──▶ RESTORING ──all back──▶ CLOSED
       │ └──nothing reached anybody──▶ FAILED
       └──server restarted──▶ UNKNOWN ──a concentrator knows it──▶ COLLECTING

Time only ever ends things here: an unanswered member becomes NO_ANSWER, a load that is off is presumed back. A member
nobody heard of is presumed off for as long as it could be, because the limits of a load are kept on the safe side.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.columns import Reports, reports_of
from scada.commands import Action, CommandState, MemberReport, MemberState
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.members import NEVER, STATES, WAITING, Members, Share
from scada.dr_dispatch.outages import ends, terms

ENDED_AT_ONCE: Final = 128              # concentrators for which one step ends something: a turn of the loop is short

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


def moved(
    share: Share, manual: NDArray[np.bool_], where: NDArray[np.bool_] | None, state: MemberState, reason: str | None,
    at: int | NDArray[np.int64],
) -> Share:
    """
    Members of one concentrator after the same news of each; news that cannot be true any more changes nothing.

    Parameters
    ----------
    share : Share
        As they are.
    manual : array of bool, (n,)
        Whose load must be switched on by hand: free to be switched on, but off until somebody comes.
    where : array of bool, (n,), optional
        Whom it is about; None = all of them.
    state : MemberState
        What they are said to be.
    reason : str, optional
        Why; None = what it was.
    at : int or array of int, (n,)
        Since when. [ns, site time]
    """
    able = _ALLOWED[state][share.state]
    if where is not None:
        able &= where
    if not able.any():
        return share
    now, changed = share.state.copy(), share.changed.copy()
    now[able] = state
    changed[able] = at if isinstance(at, int) else at[able]
    executed = np.where(able, at, share.executed) if state is M.EXECUTED else share.executed
    after = attrs.evolve(share, state=now, changed=changed, executed=executed)
    if state is not M.RESTORED or not (by_hand := able & manual).any():
        return after if reason is None else told(after, able, reason)
    return told(told(after, able & ~manual, reason or ""), by_hand, f"{reason}; {BY_HAND}" if reason else BY_HAND)


def told(share: Share, where: NDArray[np.bool_], reason: str) -> Share:
    """With a reason for some of them."""
    if len(share.reasons) > STATES:
        share = share.compacted()
    code, reasons = share.coded(reason)
    found = share.reason.copy()
    found[where] = code
    return attrs.evolve(share, reason=found, reasons=reasons)


def fold(command: Command, reports: Sequence[MemberReport] | Sequence[Reports], now: int) -> Command:
    """The command after what the field reported; times a device cannot have meant are brought between `made` and `now`."""
    if not command.live:
        return command
    members, changed = command.members, dict[int, Share]()
    for news in reports_of(reports):
        place = members.roll.place.get(news.link_id)
        if place is not None and len(news):
            share = changed.get(place, members.shares[place])
            changed[place] = _folded(members, place, share, news, min(max(news.at or now, command.made), now))
    return advance(attrs.evolve(command, members=members.replaced(changed)), now)


def _folded(members: Members, place: int, share: Share, news: Reports, at: int) -> Share:
    state = np.zeros(len(share.state), dtype=np.uint8)
    reason = np.zeros(len(share.state), dtype=np.uint8)
    euis = members.roll.eui[members.roll.part(place)]
    if np.array_equal(euis, news.euis):
        state, reason = news.state, news.reason
    else:
        order = np.argsort(news.euis)
        at_row = order[np.minimum(np.searchsorted(news.euis, euis, sorter=order), len(order) - 1)]
        known = news.euis[at_row] == euis
        state[known], reason[known] = news.state[at_row[known]], news.reason[at_row[known]]
    manual = members.manual(place)
    for one in np.flatnonzero(np.bincount(state, minlength=STATES)).tolist():
        where = state == one
        for code in np.flatnonzero(np.bincount(reason[where])).tolist() if one else ():
            share = moved(share, manual, where & (reason == code), M(one), news.reasons[code], at)
    return share


def mark(command: Command, link_id: int, state: MemberState, reason: str, now: int) -> Command:
    """The command after news about a whole concentrator; members that already have an answer keep it."""
    return mark_links(command, {link_id: (state, reason)}, now)


def mark_links(command: Command, news: Mapping[int, tuple[MemberState, str]], now: int) -> Command:
    """The same about many concentrators at once; where members stand alike it is worked out once."""
    members, changed = command.members, dict[int, Share]()
    known: dict[tuple[int, MemberState, str], Share] = {}
    for link_id, (state, reason) in news.items():
        place = members.roll.place.get(link_id)
        if place is None:
            continue
        share, key = members.shares[place], (id(members.shares[place]), state, reason)
        if state is M.RESTORED or key not in known:
            known[key] = moved(share, members.manual(place), ~_ANSWERED[share.state], state, reason, now)
        changed[place] = known[key]
    return advance(attrs.evolve(command, members=members.replaced(changed)), now)


def unknown_to(command: Command, link_id: int, boot: int, now: int) -> Command:
    """
    The command after a concentrator said that it knows nothing of it.

    That is proof of nothing from one that has started anew since: its modules may have heard the command before. Only
    of one whose start is still the same is it known that nobody was addressed.
    """
    place = command.members.roll.place.get(link_id)
    if place is None:
        return advance(command, now)
    if command.members.boots[place] != boot or not boot:
        return mark(command, link_id, M.NO_ANSWER, FORGOTTEN, now)
    # Who was heard to have taken or received it cannot become NOT_SENT, and stays as it is.
    return mark(command, link_id, M.NOT_SENT, NEVER_REACHED, now)


def unaddressed(command: Command, reason: str, now: int) -> Command:
    """The command when those of its members have dropped out that no order can hold: no link, or no index there."""
    members, changed = command.members, dict[int, Share]()
    lost = ~members.roll.addressable
    for place in {int(np.searchsorted(members.roll.starts, at, side="right")) - 1 for at in np.flatnonzero(lost)}:
        part = members.roll.part(place)
        changed[place] = moved(members.shares[place], members.manual(place), lost[part], M.NOT_SENT, reason, now)
    return advance(attrs.evolve(command, members=members.replaced(changed)), now)


def give_up(command: Command, reason: str, now: int) -> Command:
    """The command when it must not be sent after all."""
    members, known = command.members, dict[int, Share]()
    for place, share in enumerate(members.shares):
        if id(share) not in known:
            known[id(share)] = moved(share, members.manual(place), None, M.NOT_SENT, reason, now)
    after = {place: known[id(share)] for place, share in enumerate(members.shares)}
    return advance(attrs.evolve(command, members=members.replaced(after)), now)


def restored_by(
    restore: Command, ended: bytes, reports: Sequence[MemberReport] | Sequence[Reports]
) -> list[Reports]:
    """What the reports about a restore mean for a command it ends."""
    found = []
    for news in reports_of(reports):
        done = news.state == M.EXECUTED
        if done.any():
            count = int(np.count_nonzero(done))
            found.append(attrs.evolve(
                news, command_id=ended, euis=news.euis[done],
                state=np.full(count, M.RESTORED, dtype=np.uint8), reason=np.zeros(count, dtype=np.uint8),
                reasons=(f"restored by {restore.actor}",),
            ))
    return found


def restarted(command: Command, now: int) -> Command:
    """The command as a server that has just started must see it: whatever was being sent may have arrived."""
    if command.state is S.SENDING:
        members, known = command.members, dict[int, Share]()
        for place, share in enumerate(members.shares):
            if id(share) not in known:
                where = share.state == M.SELECTED
                known[id(share)] = moved(share, members.manual(place), where, M.SENT, RESTARTED, now)
        after = {place: known[id(share)] for place, share in enumerate(members.shares)}
        command = step(attrs.evolve(command, members=members.replaced(after)), Event.RESTARTED)
    return advance(command, now)


def advance(command: Command, now: int) -> Command:
    """The command at `now`: what time ends is ended, as much as a turn may hold, and the state follows the members."""
    if not command.live:
        return command
    members = command.members
    due = np.flatnonzero(members.times(terms(command)).wake <= now)[:ENDED_AT_ONCE].tolist()
    if due:
        members = members.replaced({place: _expired(command, place, now) for place in due})
        command = attrs.evolve(command, members=members)
    if members.all_in([M.NOT_SENT]):
        return step(command, Event.ALL_BACK if command.monitor_only else Event.NOTHING_SENT)
    if members.any_in([M.ACCEPTED, M.RECEIVED, M.EXECUTED, M.REFUSED, M.RESTORED]):
        command = step(command, Event.ACCEPTED)
    if members.all_in(_ANSWERS):
        all_ended = not (members.times(terms(command)).wake <= now).any()
        if command.action is Action.RESTORE or (now >= ends(command) and all_ended):
            return step(command, Event.ALL_BACK)
        if members.any_in([M.EXECUTED, M.RESTORED]):
            command = step(command, Event.ALL_ANSWERED)
        if members.any_in([M.RESTORED]):
            command = step(command, Event.RESTORE)
    return command


def wake(command: Command, now: int) -> int | None:
    """When `advance` will next find something to do; None if never. [ns, site time]"""
    if not command.live:
        return None
    due = int(command.members.times(terms(command)).wake.min(initial=NEVER))
    if due <= now:                      # more than one step of time may end
        return now + 1
    return min((at for at in (due, ends(command)) if now < at < NEVER), default=None)


def unanswered(command: Command, link_id: int) -> bool:
    """Whether a concentrator could still tell something about this command."""
    place = command.members.roll.place.get(link_id) if command.live else None
    if place is None:
        return False
    counts = command.members.shares[place].counts
    return any(counts[state] for state in (*WAITING, M.NO_ANSWER))


def _expired(command: Command, place: int, now: int) -> Share:
    members, term = command.members, terms(command)
    share, manual = members.shares[place], members.manual(place)
    if term.ends and share.counts[M.EXECUTED]:
        back = share.executed + term.span
        where = (share.state == M.EXECUTED) & (back <= now)
        share = moved(share, manual, where, M.RESTORED, BY_EXPIRY, back)
    if now >= term.deadline:
        share = moved(share, manual, np.isin(share.state, WAITING), M.NO_ANSWER, None, now)
    if now >= term.not_after:
        share = moved(share, manual, share.state == M.SELECTED, M.NOT_SENT, EXPIRED, now)
    return share


_ANSWERED: Final = np.isin(np.arange(STATES), list(_ANSWERS))
_ALLOWED: Final = {
    to: np.array([state in MEMBER_MOVES and to in MEMBER_MOVES[state] for state in range(STATES)])  # type: ignore[index]
    for to in M
}
