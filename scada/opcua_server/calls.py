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
                selection = await self._desk.select(actor, ShedRequest(group, off_for, reason))
                status = await self._desk.execute(actor, selection.id)
                return Answer("Good", (status.id, _said(status, selection.warnings)))
            case "SelectShed", [str() as group, int() as off_for, str() as reason]:
                selection = await self._desk.select(actor, ShedRequest(group, off_for, reason))
                return Answer("Good", (
                    selection.id, len(selection.members), _obstructed(selection), selection.expected_w, _reviewed(selection)
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


def _obstructed(selection: Selection) -> int:
    return sum(bool(member.obstacle) for member in selection.members)


def _reviewed(selection: Selection) -> str:
    """What a person should know before the selection is executed."""
    request = selection.request
    sentences = [f"{request.group}: {len(selection.members)} loads, off for {request.off_for_s} s, nothing is sent yet"]
    named = [f"{member.device} ({member.obstacle})" for member in selection.members if member.obstacle]
    if named:
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        sentences.append(f"may not answer: {', '.join(named[:NAMED])}{more}")
    return "; ".join([*sentences, *selection.warnings])


def _said(status: CommandStatus, warnings: Sequence[str] = ()) -> str:
    """One sentence for the person at the other end."""
    what = f"off for {status.off_for_s} s" if status.action is Action.SHED else status.action.name.lower()
    sentences = [f"{status.group}: {len(status.members)} loads, {what}, {status.state.value}"]
    if status.monitor_only:
        sentences.append("monitor-only mode: nothing was sent to the field")
    return "; ".join([*sentences, *warnings])
