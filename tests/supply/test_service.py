"""The service on a bench: what is on disk before it is sent, what is asked after a restart, and who is refused."""

import sqlite3
from pathlib import Path
from typing import Any

import attrs
import pytest

from scada.commands import Action, Actor, MemberState
from scada.errors import CommandRejected
from scada.supplies import Effect, Holding, HoldReason, SupplyOrder, SupplyRequest, SupplyState, SwitchAction, SwitchState
from tests.supply.fakes import ANA, CLINIC, FLAT, HOUR, ION, ROOT, SOUTH, TAP, Bench, done

OFF, ON = SwitchAction.DISCONNECT, SwitchAction.RECONNECT


def ask(bench: Bench, reason: HoldReason | None = HoldReason.DEBT, point: str = FLAT, who: Actor = ANA, **more: str) -> Any:
    action = ON if reason is None else OFF
    return done(bench.service.request(who, SupplyRequest(point, action, reason, **more)))


def confirm(bench: Bench, point: str = FLAT, who: Actor = ION) -> Any:
    return done(bench.service.confirm(who, point, bench.service.supply(point).switch.id))  # type: ignore[union-attr]


def off(bench: Bench, reason: HoldReason = HoldReason.DEBT, point: str = FLAT, **more: str) -> None:
    ask(bench, reason, point, **more)
    confirm(bench, point)
    bench.field.report(MemberState.EXECUTED)
    assert bench.service.supply(point).state is SupplyState.OFF  # type: ignore[union-attr]


def switch_state(bench: Bench, point: str = FLAT) -> SwitchState:
    return bench.service.supply(point).switch.state  # type: ignore[union-attr]


def reasons(work: Any) -> str:
    with pytest.raises(CommandRejected) as refused:
        done(work)
    return str(refused.value)


def test_nothing_leaves_before_a_second_person_and_before_the_disk(tmp_path: Path) -> None:
    """What is sent is on disk as sent, under its command id, when it is handed over."""
    bench = Bench(tmp_path)
    seen: list[tuple[str, str]] = []

    def look(order: SupplyOrder) -> None:
        with sqlite3.connect(tmp_path / "supply.sqlite") as database:
            state, steps = database.execute("SELECT state, steps FROM switch").fetchone()
        seen.append((state, order.command_id.hex() in steps))

    bench.field.before_order = look
    ask(bench)
    before = list(bench.field.orders)
    confirm(bench)

    assert before == []
    assert seen == [("sent", True)]
    assert (bench.field.orders[0].action, bench.field.orders[0].holder) == (Action.SUPPLY_OFF, "DEBT")
    assert bench.field.orders[0].not_after == bench.now + 600
    assert ("ana", "supply.disconnect") in bench.audit.rows
    assert ("ion", "supply.confirm") in bench.audit.rows


def test_the_three_acknowledgements_are_kept_apart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ask(bench)
    confirm(bench)
    accepted = switch_state(bench)
    bench.field.report(MemberState.RECEIVED)
    received = switch_state(bench)
    bench.field.report(MemberState.EXECUTED)
    executed, effect = switch_state(bench), bench.service.supply(FLAT).effect  # type: ignore[union-attr]
    bench.hours(3)
    bench.meters.came(HOUR + 1, 0)
    bench.advance(6)

    assert (accepted, received, executed) == (SwitchState.ACCEPTED, SwitchState.RECEIVED, SwitchState.EXECUTED)
    assert effect is Effect.WAITING
    assert bench.service.supply(FLAT).effect is Effect.CONFIRMED  # type: ignore[union-attr]


def test_a_disconnected_supply_that_still_counts_is_an_alarm_until_it_is_quiet(tmp_path: Path) -> None:
    """The hour of the switch has counted and says nothing; the next one does; six quiet hours end it."""
    bench = Bench(tmp_path)
    off(bench)
    bench.hours(3)
    bench.meters.came(HOUR, 700)
    bench.advance(6)
    early = set(bench.alarms.holding)
    bench.meters.came(HOUR + 1, 350)
    bench.advance(6)
    raised = set(bench.alarms.holding)
    tag = bench.bus.snapshot().get("C01-001-supply/effect")[0]
    bench.kill()
    bench.alarms.holding.clear()
    bench.fresh()                                           # the alarm is held again, from the disk
    again = set(bench.alarms.holding)
    bench.hours(8)
    for hour in range(2, 8):
        bench.meters.came(HOUR + hour, 0)
    bench.advance(6)

    assert early == set()
    assert raised == again == {("C01-001-supply", "bypass")}
    assert tag == 3
    assert bench.alarms.holding == set()


def test_a_kill_between_the_write_and_the_send_asks_first_and_then_sends_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ask(bench)

    def die(order: SupplyOrder) -> None:
        bench.kill()
        raise RuntimeError("the process is gone")

    bench.field.before_order = die
    confirm(bench)
    bench.field.before_order = lambda order: None
    lost = len(bench.field.orders)
    bench.fresh()
    bench.advance(2)

    assert lost == 0
    assert len(bench.field.asked) == 1
    assert [one.command_id for one in bench.field.orders] == bench.field.asked
    bench.field.report(MemberState.EXECUTED)
    assert bench.service.supply(FLAT).state is SupplyState.OFF  # type: ignore[union-attr]


def test_what_the_concentrator_knows_is_never_sent_again(tmp_path: Path) -> None:
    """After a restart, and after a link that broke between the command and its answer."""
    bench = Bench(tmp_path)
    ask(bench)
    confirm(bench)
    bench.kill()
    bench.fresh()
    bench.advance(3)
    restarted = len(bench.field.orders)
    bench.field.report(MemberState.EXECUTED)
    bench.field.say = "breaks"
    ask(bench, HoldReason.CREW, tag="T1", name="Rusu")
    confirm(bench)
    bench.field.known.add(bench.field.orders[-1].command_id)
    bench.advance(3)

    assert restarted == 1
    assert len(bench.field.orders) == 2
    assert switch_state(bench) is SwitchState.ACCEPTED


def test_a_request_survives_a_restart_and_expires_without_its_second_person(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ask(bench)
    bench.kill()
    bench.fresh()
    waits = switch_state(bench)
    bench.advance(901)
    refused = reasons(bench.service.confirm(ION, FLAT, bench.service.supply(FLAT).switch.id))  # type: ignore[union-attr]

    assert waits is SwitchState.REQUESTED
    assert switch_state(bench) is SwitchState.EXPIRED
    assert "does not wait any more" in refused
    assert bench.field.orders == []


def test_it_waits_for_its_link_and_its_key_but_not_beyond_its_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.field.up = False
    ask(bench)
    confirm(bench)
    down = bench.service.supply(FLAT).switch  # type: ignore[union-attr]
    bench.field.up, bench.field.waits = True, "the module's own key is on its way to it"
    bench.advance(2)
    key = bench.service.supply(FLAT).switch  # type: ignore[union-attr]
    bench.advance(600)
    bench.field.waits = ""
    bench.advance(3)

    assert (down.state, down.reason) == (SwitchState.CONFIRMED, "concentrator not connected")  # type: ignore[union-attr]
    assert "key is on its way" in key.reason  # type: ignore[union-attr]
    assert switch_state(bench) is SwitchState.NOT_SENT
    assert bench.field.orders == []


def test_monitor_only_sends_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, monitor_only=True)
    ask(bench)
    confirm(bench)

    assert bench.field.orders == []
    assert bench.service.supply(FLAT).switch.reason == "monitor-only"  # type: ignore[union-attr]


def test_a_module_that_stays_silent_leaves_a_supply_that_nobody_knows(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ask(bench)
    confirm(bench)
    bench.advance(902)

    assert switch_state(bench) is SwitchState.NO_ANSWER
    assert bench.service.supply(FLAT).state is SupplyState.UNKNOWN  # type: ignore[union-attr]


def test_a_crews_lock_out_outlives_a_debt_that_is_paid(tmp_path: Path) -> None:
    """And is lifted by its own tag and name, or by an administrator who says why."""
    bench = Bench(tmp_path)
    off(bench)
    done(bench.service.hold(ANA, FLAT, Holding("", HoldReason.CREW, "", 0, "T7", "Rusu")))
    debt, crew = bench.service.supply(FLAT).holders  # type: ignore[union-attr]
    done(bench.service.release(ANA, FLAT, debt.id))
    still = reasons(bench.service.request(ANA, SupplyRequest(FLAT, ON)))
    other = reasons(bench.service.release(ION, FLAT, crew.id, tag="T8", name="Rusu"))
    wordless = reasons(bench.service.release(ROOT, FLAT, crew.id))
    done(bench.service.release(ROOT, FLAT, crew.id, note="Rusu called, all are out"))
    ask(bench, None)
    confirm(bench)
    bench.field.report(MemberState.RESTORED)

    assert "held off by crew T7 Rusu" in still
    assert "number and the name on its tag" in other
    assert "says why" in wordless
    assert bench.field.orders[-1].action is Action.SUPPLY_ON
    assert bench.service.supply(FLAT).state is SupplyState.ON  # type: ignore[union-attr]


def test_a_valve_is_only_let_go_and_is_open_when_the_field_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    off(bench, HoldReason.LEAK, TAP)
    (leak,) = bench.service.supply(TAP).holders  # type: ignore[union-attr]
    done(bench.service.release(ANA, TAP, leak.id, note="dry again"))
    ask(bench, None, TAP)
    confirm(bench, TAP)
    bench.field.report(MemberState.EXECUTED)
    let_go = bench.service.supply(TAP)
    bench.field.report(MemberState.RESTORED)
    opened = bench.service.supply(TAP)

    assert (let_go.state, let_go.by_hand) == (SupplyState.OFF, True)  # type: ignore[union-attr]
    assert (opened.state, opened.by_hand) == (SupplyState.ON, False)  # type: ignore[union-attr]
    assert bench.service.history(TAP)[0].what == "by_hand"


def test_who_may_not_and_what_may_not_be_is_refused_with_every_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    request = bench.service.request
    debt = SupplyRequest(FLAT, OFF, HoldReason.DEBT)

    assert "may not command in area north" in reasons(request(SOUTH, debt))
    assert "protected consumer" in reasons(request(ANA, SupplyRequest(CLINIC, OFF, HoldReason.DEBT)))
    assert "leak or a danger only" in reasons(request(ANA, SupplyRequest(TAP, OFF, HoldReason.DEBT)))
    assert "only water, gas and heat leak" in reasons(request(ANA, SupplyRequest(FLAT, OFF, HoldReason.LEAK)))
    assert "number of its tag" in reasons(request(ANA, SupplyRequest(FLAT, OFF, HoldReason.CREW, tag="T7")))
    assert "no supply at" in reasons(request(ANA, SupplyRequest("nowhere", OFF, HoldReason.DEBT)))
    assert "not known to be off" in reasons(bench.service.hold(ANA, FLAT, Holding("", HoldReason.DEBT, "", 0)))
    ask(bench, HoldReason.DANGER, CLINIC)
    ask(bench)
    assert "another person must confirm" in reasons(
        bench.service.confirm(ANA, FLAT, bench.service.supply(FLAT).switch.id)  # type: ignore[union-attr]
    )
    assert "waits for a second person" in reasons(request(ION, debt))
    assert ("sorin", "supply.request.refused") not in bench.audit.rows
    assert ("sorin", "supply.disconnect.refused") in bench.audit.rows
    assert bench.field.orders == []


def test_an_area_in_local_refuses_whatever_comes_from_here(tmp_path: Path) -> None:
    """Also what was asked for before, and what waits for its link."""
    bench = Bench(tmp_path)
    ask(bench)
    done(bench.service.set_local(ION, area="north", local=True, note="in the substation"))
    late = reasons(bench.service.confirm(ION, FLAT, bench.service.supply(FLAT).switch.id))  # type: ignore[union-attr]
    asked = reasons(bench.service.request(ANA, SupplyRequest(TAP, OFF, HoldReason.DANGER)))
    bench.kill()
    bench.fresh()
    kept = bench.service.locals()
    stranger = reasons(bench.service.set_local(ANA, area="north", local=False))
    done(bench.service.set_local(ION, area="north", local=False))
    confirm(bench)
    first = len(bench.field.orders)
    bench.field.up = False
    ask(bench, HoldReason.LEAK, TAP)
    confirm(bench, TAP)
    done(bench.service.set_local(ION, point=TAP, local=True))
    bench.field.up = True
    bench.advance(2)

    assert "in local since ion said so" in late
    assert "in local" in asked
    assert [one.note for one in kept] == ["in the substation"]
    assert "the same person or an administrator" in stranger
    assert first == len(bench.field.orders) == 1
    assert switch_state(bench, TAP) is SwitchState.NOT_SENT


def test_a_danger_does_not_wait_for_a_reconnection(tmp_path: Path) -> None:
    """It takes its place; what the reconnection answers later changes nothing."""
    bench = Bench(tmp_path)
    off(bench)
    (debt,) = bench.service.supply(FLAT).holders  # type: ignore[union-attr]
    done(bench.service.release(ANA, FLAT, debt.id))
    ask(bench, None)
    confirm(bench)
    ask(bench, HoldReason.DANGER)
    unknown = bench.service.supply(FLAT).state  # type: ignore[union-attr]
    confirm(bench)
    bench.field.report(MemberState.RESTORED, order=1)
    bench.field.report(MemberState.EXECUTED)

    assert unknown is SupplyState.UNKNOWN
    assert bench.service.supply(FLAT).state is SupplyState.OFF  # type: ignore[union-attr]
    assert [one.holder for one in bench.field.orders] == ["DEBT", "DEBT", "DANGER"]


def test_a_module_that_takes_the_place_of_another_knows_of_no_holder(tmp_path: Path) -> None:
    """Its contact may be on: the holders stay, and the supply is not said to be off."""
    bench = Bench(tmp_path)
    off(bench)
    site = bench.registry.directory.site
    module = attrs.evolve(site.modules[0], eui=0xB1)
    supplies = (attrs.evolve(site.supplies[0], eui=0xB1), *site.supplies[1:])
    bench.registry.replace(attrs.evolve(site, modules=(module, *site.modules[1:]), supplies=supplies))
    bench.reactor.advance(0)
    found = bench.service.supply(FLAT)
    ask(bench)
    confirm(bench)
    bench.field.report(MemberState.EXECUTED)

    assert (found.state, len(found.holders)) == (SupplyState.UNKNOWN, 1)  # type: ignore[union-attr]
    assert bench.field.orders[-1].eui == 0xB1
    assert bench.service.supply(FLAT).state is SupplyState.OFF  # type: ignore[union-attr]
