"""One concentrator itself: asked and told over a session, by whom it may be, and never without the audit."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from scada.commands import Actor, Role
from scada.concentrators import ConcentratorInfo, Parameters
from scada.drivers.dmesh.management import Management
from scada.drivers.dmesh.messages import (
    CommandCancel,
    Discovery,
    GetInfo,
    GetParam,
    Info,
    Param,
    ParamMessage,
    Reboot,
    Result,
    SetParam,
)
from scada.drivers.dmesh.numbers import Capability, Code
from scada.errors import CommandRejected
from scada.site import Concentrator
from tests.dr_dispatch.fakes import FakeAudit
from tests.drivers.dmesh.peers import Bench, Peer, Wire, bench, hello

EVA, ANNA = Actor("eva", Role.ENGINEER, ("north",)), Actor("anna", Role.DISPATCHER)
CAN = Capability.INFO | Capability.PARAMETERS | Capability.REGISTRY | Capability.GROUP_COMMANDS
COMMAND = "0123456789abcdef" * 2


class Rig:
    """A session that answers what the test says."""

    def __init__(self, folder: Path, *, can: Capability = CAN, up: bool = True, monitor_only: bool = False) -> None:
        self.site: Bench = bench(folder)
        here = self.site.registry.directory.site
        first = attrs.evolve(here.concentrators[0], area="north")
        self.site.registry.replace(attrs.evolve(here, concentrators=(first, Concentrator("C02", 77))))
        self.audit = FakeAudit()
        self.wire = Wire(self.site.service, Peer(attrs.evolve(hello(), capabilities=int(can))))
        if up:
            self.wire.shake()
        stations = self.site.service._stations
        self.management = Management(self.site.registry, self.audit, stations, monitor_only=monitor_only)   # type: ignore[arg-type]

    def ask(self, deferred: Any) -> Any:
        """The answer, or the reasons."""
        found: list[Any] = []
        deferred.addCallbacks(found.append, lambda failure: found.append(failure.value))
        self.wire.serve()
        (answer,) = found
        return list(answer.reasons) if isinstance(answer, CommandRejected) else answer


def test_information_and_parameters_are_asked_for_now_page_by_page(tmp_path: Path) -> None:
    """What is the maker's own is told by its number."""
    rig = Rig(tmp_path)
    rig.wire.replies[GetInfo] = lambda message: Info("J100UC", "1.4", 60, 3, 9)
    rig.wire.replies[GetParam] = lambda message: ParamMessage(9, message.page, 2, (
        (Param(5, 3), Param(1024, "x")) if message.page else (Param(1, "host"),)
    ))

    assert rig.ask(rig.management.info("C01")) == ConcentratorInfo("C01", "J100UC", "1.4", 60, 3, 9)
    assert rig.ask(rig.management.parameters("C01")) == Parameters(
        "C01", 9, {"server_host": "host", "radio_channel": 3, "1024": "x"}
    )
    assert rig.audit.rows == []


def test_parameters_that_change_while_they_are_told_are_of_one_version(tmp_path: Path) -> None:
    """Asked from the beginning; of one that changes them for ever nothing is told."""
    rig, versions = Rig(tmp_path), iter([1, 2, 2, 2])
    rig.wire.replies[GetParam] = lambda message: ParamMessage(
        version := next(versions), message.page, 2, (Param(5 + message.page, version),)
    )
    settled = rig.ask(rig.management.parameters("C01"))
    count = iter(range(1000))
    rig.wire.replies[GetParam] = lambda message: ParamMessage(next(count), message.page, 2, ())

    assert settled == Parameters("C01", 2, {"radio_channel": 2, "radio_window_s": 2})
    assert "not as expected" in rig.ask(rig.management.parameters("C01"))[0]


def test_what_is_told_is_in_the_audit_before_it_leaves_and_leaves_once(tmp_path: Path) -> None:
    """Parameters on the version that was looked at, a reboot, discovery, the end of repeats."""
    rig = Rig(tmp_path)
    rig.wire.replies |= {
        SetParam: lambda message: ParamMessage(10, 0, 1, message.params), Reboot: lambda message: Result(Code.ACCEPTED),
        Discovery: lambda message: Result(Code.OK), CommandCancel: lambda message: Result(Code.OK),
    }
    changed = rig.ask(rig.management.set_parameters(EVA, "C01", 9, {"radio_channel": 4}))
    rig.ask(rig.management.reboot(EVA, "C01", delay_s=5))
    rig.ask(rig.management.reboot(EVA, "C01", module="C01-002"))
    rig.ask(rig.management.discover(EVA, "C01", 600))
    rig.ask(rig.management.cancel(ANNA, "C01", COMMAND))

    assert changed == Parameters("C01", 10, {"radio_channel": 4})
    assert rig.wire.said(SetParam) == [SetParam(9, (Param(5, 4),))]
    assert rig.wire.said(Reboot) == [Reboot(5, 0), Reboot(0, 2)]
    assert rig.wire.said(Discovery) == [Discovery(600)]
    assert rig.wire.said(CommandCancel) == [CommandCancel(bytes.fromhex(COMMAND))]
    assert rig.audit.actions == [f"concentrator.{one}" for one in ("parameters", "reboot", "reboot", "discovery", "cancel")]


@pytest.mark.parametrize(("actor", "reason"), [
    (ANNA, "anna is dispatcher; only engineers and administrators may do this to a concentrator"),
    (Actor("sara", Role.ENGINEER, ("south",)), "sara may not command in area north"),
])
def test_who_may_not_is_told_why_and_nothing_leaves(tmp_path: Path, actor: Actor, reason: str) -> None:
    rig = Rig(tmp_path)

    assert rig.ask(rig.management.reboot(actor, "C01")) == [reason]
    assert rig.ask(rig.management.discover(actor, "C01", 60)) == [reason]
    assert rig.wire.said(Reboot) == rig.wire.said(Discovery) == []
    assert rig.audit.actions == ["concentrator.reboot.refused", "concentrator.discovery.refused"]


def test_every_reason_is_named_at_once(tmp_path: Path) -> None:
    """Monitor-only, a name nobody has, a concentrator that offers nothing or is away, a module of another."""
    rig = Rig(tmp_path, can=Capability(0), monitor_only=True)

    assert rig.ask(rig.management.set_parameters(ANNA, "C01", 1, {"colour": 1})) == [
        "no parameter is called colour",
        "anna is dispatcher; only engineers and administrators may do this to a concentrator",
        "monitor-only: nothing is sent", "C01 cannot do this: it does not offer it",
    ]
    root = Actor("root", Role.ADMINISTRATOR)
    assert rig.ask(rig.management.reboot(root, "C02", module="C01-001", delay_s=70_000)) == [
        "70000 s: expected 0 to 65535", "C01-001 is not a module of C02", "monitor-only: nothing is sent",
        "C02 is not connected",
    ]
    assert rig.ask(rig.management.cancel(root, "C09", "xyz")) == [
        "expected the 32 hexadecimal digits of a command's number", "monitor-only: nothing is sent",
        "not in the registry: C09",
    ]
    assert rig.ask(rig.management.info("C01")) == ["C01 cannot do this: it does not offer it"]


@pytest.mark.parametrize(("base", "values", "reason"), [
    (9, {"radio_channel": 2**31}, "radio_channel: expected an integer of 32 bits, or at most 128 bytes of text"),
    (9, {"apn": "ș" * 65}, "apn: expected an integer of 32 bits, or at most 128 bytes of text"),
    (9, {"apn": "\ud800"}, "apn: expected an integer of 32 bits, or at most 128 bytes of text"),
    (9, {"001024999999": 1}, "no parameter is called 001024999999"), (9, {"70000": 1}, "no parameter is called 70000"),
    (2**32, {"radio_channel": 4}, "C01 has other parameters by now: look at them again"), (9, {}, "no parameter was given"),
])
def test_what_no_parameter_can_be_is_refused_before_the_audit_says_that_it_was_sent(
    tmp_path: Path, base: int, values: dict[str, int | str], reason: str
) -> None:
    rig = Rig(tmp_path)

    assert rig.ask(rig.management.set_parameters(EVA, "C01", base, values)) == [reason]
    assert rig.wire.said(SetParam) == []
    assert rig.audit.actions == ["concentrator.parameters.refused"]


@pytest.mark.parametrize(("answer", "reason"), [
    (Result(Code.INTERLOCK), "C01 has other parameters by now: look at them again"),
    (Result(Code.BAD_ARGUMENT, text="radio_channel"), "C01 refused it: BAD_ARGUMENT: radio_channel"),
])
def test_what_the_concentrator_refuses_is_a_reason(tmp_path: Path, answer: Result, reason: str) -> None:
    rig = Rig(tmp_path)
    rig.wire.replies[SetParam] = lambda message: answer

    assert rig.ask(rig.management.set_parameters(EVA, "C01", 9, {"radio_channel": 99})) == [reason]


def test_without_its_audit_nothing_leaves(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.audit.full = True

    assert "no space" in str(rig.ask(rig.management.reboot(EVA, "C01")))
    assert rig.wire.said(Reboot) == []
