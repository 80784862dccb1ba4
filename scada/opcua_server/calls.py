"""What an OPC UA method asks of the desk, as the user who is really logged in: his role and areas decide."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from twisted.logger import Logger

from scada.commands import Action, Actor, CommandStatus, MemberState, Origin, Role, Selection, ShedRequest
from scada.errors import CommandRejected, LinkError
from scada.opcua_server.link import Answer
from scada.ports import Account, Desk

log = Logger()
NAMED: Final = 5                        # members named in one answer
OUTSIDE: Final = frozenset({Role.SUBSCRIBER, Role.INSTALLER})       # they would read the values of everybody
COMMANDERS: Final = frozenset({Role.DISPATCHER, Role.ADMINISTRATOR})


class DeskCalls:
    """Answers method calls; the account is looked up anew for each, so a withdrawn right counts at once."""

    def __init__(self, desk: Desk, account: Callable[[str], Awaitable[Account | None]]) -> None:
        self._desk, self._account = desk, account

    async def answer(self, user: str, method: str, arguments: Sequence[Any]) -> Answer:
        account = await self._account(user)
        if account is None or account.disabled or account.role in OUTSIDE:
            return Answer("BadUserAccessDenied", (), f"the account {user} may not log in any more")
        actor = Actor(account.name, account.role, account.areas, Origin.OPCUA)
        try:
            return await self._run(actor, method, arguments)
        except CommandRejected as refusal:
            allowed = actor.role in COMMANDERS
            return Answer("BadRequestNotAllowed" if allowed else "BadUserAccessDenied", (), "; ".join(refusal.reasons))
        except LinkError as error:
            return Answer("BadCommunicationError", (), str(error))
        except Exception:                                  # whatever it is, the client must get an answer
            log.failure("OPC UA method {method} of {user}", method=method, user=user)
            return Answer("BadInternalError", (), "the server could not carry this out; its log says why")

    async def _run(self, actor: Actor, method: str, arguments: Sequence[Any]) -> Answer:
        match method, list(arguments):
            case "ShedGroup", [str() as group, int() as off_for, str() as reason]:
                return await self._at_once(actor, ShedRequest(group, off_for, reason))
            case "LimitGroup", [str() as group, int() as level, int() as hold, str() as reason]:
                return await self._at_once(actor, ShedRequest(group, hold, reason, Action.LIMIT, level))
            case "EconomyGroup", [str() as group, int() as hold, str() as reason]:
                return await self._at_once(actor, ShedRequest(group, hold, reason, Action.ECO))
            case "SelectShed", [str() as group, int() as off_for, str() as reason]:
                selection = await self._desk.select(actor, ShedRequest(group, off_for, reason))
                return Answer("Good", (
                    selection.id, len(selection.members), selection.may_not_answer, selection.expected_w,
                    _reviewed(selection),
                ))
            case "ExecuteShed", [str() as selection_id]:
                status = await self._desk.execute(actor, selection_id)
                return Answer("Good", (status.id, _said(status)))
            case "RestoreGroup", [str() as command]:
                if self._desk.command(command) is None:
                    return Answer("BadNotFound", (), f"no command {command}")
                return Answer("Good", (_said(await self._desk.restore(actor, command)),))
            case "CommandState", [str() as command]:
                found = self._desk.command(command)
                if found is None:
                    return Answer("BadNotFound", (), f"no command {command}")
                counts = (MemberState.EXECUTED, MemberState.REFUSED, MemberState.NO_ANSWER)
                measured = (found.confirmation.value if found.confirmation else "", *found.measured_w)
                return Answer("Good", (found.state.value, *(found.count(state) for state in counts), *measured))
        return Answer("BadInvalidArgument", (), f"{method} does not take these arguments")

    async def _at_once(self, actor: Actor, request: ShedRequest) -> Answer:
        """Select and execute, for programs."""
        selection = await self._desk.select(actor, request)
        status = await self._desk.execute(actor, selection.id)
        return Answer("Good", (status.id, _said(status, selection.warnings)))


def _reviewed(selection: Selection) -> str:
    """What a person should know before the selection is executed."""
    request = selection.request
    sentences = [f"{request.group}: {len(selection.members)} loads, off for {request.off_for_s} s, nothing is sent yet"]
    named = [f"{member.device} ({member.obstacle})" for member in selection.hindered[:NAMED]]
    if named:
        left = selection.may_not_answer - NAMED
        more = f" and {left} more" if left > 0 else ""
        sentences.append(f"may not answer: {', '.join(named[:NAMED])}{more}")
    return "; ".join([*sentences, *selection.warnings])


def _said(status: CommandStatus, warnings: Sequence[str] = ()) -> str:
    """One sentence for the person at the other end."""
    what = {
        Action.SHED: f"off for {status.off_for_s} s",
        Action.LIMIT: f"at most {status.level_w} W each for {status.off_for_s} s",
        Action.ECO: f"economy for {status.off_for_s} s",
    }.get(status.action, status.action.name.lower())
    sentences = [f"{status.group}: {len(status.members)} loads, {what}, {status.state.value}"]
    if status.monitor_only:
        sentences.append("monitor-only mode: nothing was sent to the field")
    return "; ".join([*sentences, *warnings])
