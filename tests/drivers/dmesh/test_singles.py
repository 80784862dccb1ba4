"""Commands to one module over one link: whose key signs them, whom they are meant for, and when nothing is sent."""

from pathlib import Path

import attrs

from scada.commands import Action, MemberState
from scada.drivers.dmesh import crypto, sets
from scada.drivers.dmesh.messages import (
    Command,
    CommandReport,
    KeyActivate,
    Refusal,
    Result,
    command_body,
)
from scada.drivers.dmesh.numbers import Capability, Code, Holder, KeyTarget
from scada.errors import CommandRejected, LinkError
from scada.supplies import SupplyOrder
from tests.drivers.dmesh.peers import LINK_ID, Bench, Peer, Wire, bench, entries, hello
from tests.drivers.dmesh.test_groups import outcome
from tests.fakes import NOON

EUI = entries(3)[1].eui
ORDER = SupplyOrder(b"c" * 16, LINK_ID, 2, EUI, Action.SUPPLY_OFF, "DEBT", NOON + 600)
CAN = hello(capabilities=int(Capability.SINGLE_COMMANDS | Capability.KEYS))
KEY = b"k" * 16


def wired(site: Bench, answer: Code = Code.ACCEPTED, greeting: object = CAN) -> Wire:
    wire = Wire(site.service, Peer(greeting)).shake()       # type: ignore[arg-type]
    wire.replies[Command] = lambda _: Result(answer)
    wire.replies[KeyActivate] = lambda _: Result(Code.OK)
    return wire


def send(site: Bench, wire: Wire, order: SupplyOrder = ORDER) -> object:
    found = outcome(site.service.switch_supply(order))
    wire.serve()
    return found[0] if found else None


def test_a_command_is_signed_with_the_modules_own_key_and_its_counter_grows(tmp_path: Path) -> None:
    site = bench(tmp_path)
    site.keys.add([((KeyTarget.MODULE, EUI), KEY)])
    wire = wired(site)
    first, again = send(site, wire), send(site, wire, attrs.evolve(ORDER, command_id=b"d" * 16))
    one, two = wire.said(Command)

    assert (first, again) == (None, None)
    assert (one.index, one.eui, one.action) == (2, EUI, Action.SUPPLY_OFF)
    assert (one.holder, one.not_after) == (Holder.DEBT, NOON + 600)
    assert one.mac == crypto.command_mac(KEY, command_body(one))
    assert two.ctr > one.ctr


def test_a_module_without_a_key_gets_one_first_and_nothing_is_sent_meanwhile(tmp_path: Path) -> None:
    site = bench(tmp_path)
    wire = wired(site)
    early = outcome(site.service.obstacle(LINK_ID, 2, EUI))
    too_soon = send(site, wire)
    wire.serve()
    ready = outcome(site.service.obstacle(LINK_ID, 2, EUI))

    assert early == ["the module's own key is on its way to it"]
    assert isinstance(too_soon, CommandRejected)
    assert ready == [""]
    assert send(site, wire) is None
    assert len(wire.said(Command)) == 1


def test_nobody_is_told_what_was_meant_for_another(tmp_path: Path) -> None:
    """An index that changed hands, a concentrator that never offered it, a time that has passed, a link that is down."""
    site = bench(tmp_path)
    site.keys.add([((KeyTarget.MODULE, EUI), KEY)])
    down = outcome(site.service.switch_supply(ORDER))[0]
    wire = wired(site)
    moved = send(site, wire, attrs.evolve(ORDER, eui=0xDEAD))
    late = send(site, wire, attrs.evolve(ORDER, not_after=NOON))
    unable = send(site, other := wired(site, greeting=hello()))

    assert isinstance(down, LinkError)
    assert "has another module at index 2" in str(moved)
    assert "too late" in str(late)
    assert "cannot command single modules" in str(unable)
    assert wire.said(Command) == other.said(Command) == []


def test_what_the_module_says_is_told_by_its_eui_and_held_is_not_the_same_as_done(tmp_path: Path) -> None:
    site = bench(tmp_path)
    site.keys.add([((KeyTarget.MODULE, EUI), KEY)])
    wire = wired(site)
    told: list[tuple[int, MemberState, str]] = []
    site.service.on_report(lambda reports: told.extend((one.eui, one.state, one.reason) for one in reports))
    for name in (b"1", b"2", b"3"):
        send(site, wire, attrs.evolve(ORDER, command_id=name * 16, action=Action.SUPPLY_ON))
    only = sets.bitmap([2])
    wire.say(CommandReport(b"1" * 16, only, only, final=True, held=only), corr=1)
    wire.say(CommandReport(b"2" * 16, only, only, only, final=True), corr=2)
    wire.say(CommandReport(b"3" * 16, only, refused=(Refusal(2, int(Code.DENIED)),), final=True), corr=3)

    assert told == [
        (EUI, MemberState.EXECUTED, "HELD"), (EUI, MemberState.RESTORED, ""), (EUI, MemberState.REFUSED, "DENIED"),
    ]


def test_a_refusal_of_the_concentrator_is_a_refusal(tmp_path: Path) -> None:
    site = bench(tmp_path)
    site.keys.add([((KeyTarget.MODULE, EUI), KEY)])

    assert "refused COMMAND: INTERLOCK" in str(send(site, wired(site, Code.INTERLOCK)))
