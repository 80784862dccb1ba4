"""What becomes of a method call in the main process, whatever the desk or the account is like."""

from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, fail, succeed

from scada.commands import Action, Actor, CommandState, CommandStatus, Origin, Role, Selection, ShedRequest
from scada.errors import CommandRejected, LinkError
from scada.opcua_server.calls import DeskCalls
from scada.opcua_server.link import Answer
from scada.ports import Account

STATUS = CommandStatus(
    "ab" * 16, Action.SHED, "LG-1", "dana", Origin.OPCUA, CommandState.SENDING, 600, 0, 0, 0, True, "peak", ()
)


@attrs.define
class Desk:
    """Answers with what it is told to."""

    selection: Any = None
    seen: list[Actor] = attrs.Factory(list)
    wished: list[ShedRequest] = attrs.Factory(list)
    monitor_only: bool = True

    def select(self, actor: Actor, request: ShedRequest) -> "Deferred[Selection]":
        self.seen.append(actor)
        self.wished.append(request)
        made = Selection("S1", "", actor.name, request, "", 1, (), 0.0, (), 0, 0, True)
        return succeed(made) if self.selection is None else fail(self.selection)

    def execute(self, actor: Actor, selection_id: str) -> "Deferred[CommandStatus]":
        return succeed(STATUS)

    def restore(self, actor: Actor, command_id: str) -> "Deferred[CommandStatus]":
        return succeed(attrs.evolve(STATUS, action=Action.RESTORE, state=CommandState.RESTORING, monitor_only=False))

    def command(self, command_id: str) -> CommandStatus | None:
        return STATUS if command_id == STATUS.id else None


def answer(desk: Desk, account: Account | None, method: str, *arguments: Any) -> Answer:
    """Run one call to its end; nothing here waits."""
    calls = DeskCalls(desk, lambda name: succeed(account))             # type: ignore[arg-type]
    got: list[Answer] = []
    Deferred.fromCoroutine(calls.answer("dana", method, arguments)).addCallback(got.append)
    return got[0]


DANA = Account("dana", Role.DISPATCHER, ("north",))
SHED = ("ShedGroup", "LG-1", 600, "peak")


def test_the_desk_sees_the_account_as_it_is_now() -> None:
    """Name, role, areas, and that it came over OPC UA."""
    desk = Desk()

    made = answer(desk, DANA, *SHED)

    assert desk.seen == [Actor("dana", Role.DISPATCHER, ("north",), Origin.OPCUA)]
    assert made == Answer(
        "Good", (STATUS.id, "LG-1: 0 loads, off for 600 s, sending; monitor-only mode: nothing was sent to the field")
    )


@pytest.mark.parametrize("account", [
    None, attrs.evolve(DANA, disabled=True), attrs.evolve(DANA, role=Role.SUBSCRIBER),
    attrs.evolve(DANA, role=Role.INSTALLER),
])
def test_an_account_that_is_gone_or_disabled_never_reaches_the_desk(account: Account | None) -> None:
    """Also when its session is still open."""
    desk = Desk()

    assert answer(desk, account, *SHED).status == "BadUserAccessDenied"
    assert desk.seen == []


@pytest.mark.parametrize(("role", "status"), [
    (Role.DISPATCHER, "BadRequestNotAllowed"), (Role.ADMINISTRATOR, "BadRequestNotAllowed"),
    (Role.VIEWER, "BadUserAccessDenied"), (Role.INTEGRATOR, "BadUserAccessDenied"), (Role.ENGINEER, "BadUserAccessDenied"),
])
def test_a_refusal_names_every_reason_and_says_whose_fault_it_is(role: Role, status: str) -> None:
    """Who may never command is told so by the status; who may, is told that this request is not allowed."""
    made = answer(Desk(CommandRejected(["red load", "no data"])), attrs.evolve(DANA, role=role), *SHED)

    assert made == Answer(status, (), "red load; no data")


def test_a_broken_link_and_a_bug_are_answers_too() -> None:
    """A client never waits for an answer that does not come."""
    assert answer(Desk(LinkError("C01", "no link")), DANA, *SHED) == Answer("BadCommunicationError", (), "C01: no link")
    assert answer(Desk(RuntimeError("secret detail")), DANA, *SHED).status == "BadInternalError"
    assert "secret" not in answer(Desk(RuntimeError("secret detail")), DANA, *SHED).reasons


@pytest.mark.parametrize("method", ["CommandState", "RestoreGroup"])
def test_an_unknown_command_is_not_found(method: str) -> None:
    """Neither state nor restore."""
    assert answer(Desk(), DANA, method, "cd" * 16) == Answer("BadNotFound", (), f"no command {'cd' * 16}")


def test_a_restore_says_what_it_does() -> None:
    """One sentence."""
    assert answer(Desk(), DANA, "RestoreGroup", STATUS.id) == Answer("Good", ("LG-1: 0 loads, restore, restoring",))


@pytest.mark.parametrize("call", [("ShedGroup", "LG-1"), ("ShedGroup", "LG-1", "600", "x"), ("Reboot",)])
def test_what_the_network_process_should_have_refused_is_refused_here_too(call: tuple[Any, ...]) -> None:
    """The main process does not trust the one that faces the network."""
    assert answer(Desk(), DANA, *call).status == "BadInvalidArgument"


def test_a_limit_and_economy_go_through_the_same_desk() -> None:
    """Level, time and reason arrive as they were asked for."""
    desk = Desk()
    said = [
        answer(desk, DANA, "LimitGroup", "LG-1", 500, 3600, "peak"), answer(desk, DANA, "EconomyGroup", "LG-1", 600, ""),
    ]

    assert [one.status for one in said] == ["Good", "Good"]
    assert desk.wished == [
        ShedRequest("LG-1", 3600, "peak", Action.LIMIT, 500), ShedRequest("LG-1", 600, "", Action.ECO),
    ]
