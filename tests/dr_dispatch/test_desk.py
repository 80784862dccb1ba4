"""The desk as a dispatcher meets it: select, review, execute, follow, restore."""

import re
import sqlite3
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import Deferred

from scada.clock import NS
from scada.commands import Action, Actor, CommandState, MemberState, Role, ShedRequest
from scada.dr_dispatch import pace
from scada.dr_dispatch.outages import ANSWER_MARGIN_S
from scada.dr_dispatch.procedure import SELECTIONS
from scada.errors import CommandRejected
from tests.dr_dispatch.fakes import ANNA, EVERYBODY, LINKS, Bench, done, euis, site

M = MemberState


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_shed_goes_from_selection_to_closed_with_a_result_for_every_member(bench: Bench) -> None:
    """The whole way: reviewed, sent once per concentrator, accepted, executed, back by expiry, closed."""
    selection = bench.select(600)
    assert selection.expected_w == 6 * 1500.0
    assert bench.gateway.orders == []

    status = bench.execute(selection)
    assert status.state is CommandState.SENDING
    assert set(bench.states(status.id)) == {M.SENT}
    assert sorted(order.link_id for order in bench.gateway.orders) == sorted(LINKS)
    assert {order.off_for_s for order in bench.gateway.orders} == {600}
    assert {order.not_after for order in bench.gateway.orders} == {status.not_after // NS}
    assert bench.gateway.orders[0].members == tuple(zip((1, 2, 3), euis(LINKS[0]), strict=True))

    bench.gateway.accept()
    assert bench.now(status.id).state is CommandState.COLLECTING
    bench.wait(40)
    bench.report(status.id, M.EXECUTED, *EVERYBODY[:5])
    bench.report(status.id, M.REFUSED, EVERYBODY[5], reason="INTERLOCK")
    assert bench.now(status.id).state is CommandState.ACTIVE
    assert bench.now(status.id).ends == bench.clock.now() + 600 * NS
    bench.wait(601)

    over = bench.now(status.id)
    assert over.state is CommandState.CLOSED
    assert [result.state for result in over.members] == [M.RESTORED] * 5 + [M.REFUSED]
    assert {result.reason for result in over.members[:5]} == {"by expiry"}
    assert over.members[5].reason == "INTERLOCK"
    assert len(bench.gateway.orders) == 2
    assert bench.audit.actions == ["shed.select", "shed.execute", "shed.closed"]
    assert bench.heard[-1] == over


def test_a_command_is_on_disk_before_a_frame_leaves(bench: Bench) -> None:
    """While the disk is slow nothing leaves; when the first frame does, the journal has the command."""
    selection = bench.select()
    bench.pool.held = []
    running = bench.desk.execute(ANNA, selection.id)
    bench.time.advance(1)
    assert bench.gateway.orders == []
    assert bench.desk.commands() == ()
    bench.pool.held, save = None, bench.pool.held[0]
    save()

    assert done(running).state is CommandState.SENDING
    assert len(bench.gateway.orders) == 2
    with sqlite3.connect(bench.path / "commands.sqlite") as database:
        assert database.execute("SELECT count(*) FROM command").fetchone() == (1,)


def test_a_selection_that_expires_while_the_disk_is_slow_is_refused_in_words_and_bars_nothing(bench: Bench) -> None:
    """Its command is given up at once: it must not keep the group from being shed for as long as it could have run."""
    selection = bench.select()
    bench.pool.held = []
    running = bench.desk.execute(ANNA, selection.id)
    bench.wait(180)
    bench.pool.release()

    with pytest.raises(CommandRejected, match="expired"):
        done(running)
    assert [one.state for one in bench.desk.commands()] == [CommandState.FAILED]
    assert bench.gateway.orders == []
    assert bench.select().expected_w > 0


def test_a_selection_that_is_pushed_out_while_the_disk_is_slow_still_runs(bench: Bench) -> None:
    """Two hundred newer reviews are no reason to leave a command that is on disk unsent."""
    selection = bench.select()
    bench.pool.held = []
    running = bench.desk.execute(ANNA, selection.id)
    for _ in range(SELECTIONS):
        bench.select()
    bench.pool.release()

    assert done(running).state is CommandState.SENDING
    assert len(bench.gateway.orders) == 2


def test_a_clock_that_is_lost_while_the_disk_is_slow_stops_the_frame(bench: Bench) -> None:
    """The last look at the clock is taken right before each frame."""
    status = bench.shed()
    bench.gateway.accept()
    bench.report(status.id, M.EXECUTED, *EVERYBODY)
    bench.pool.held = []
    running = bench.desk.restore(ANNA, status.id)
    bench.trusted = False
    bench.pool.release()
    done(running)
    restore = next(one for one in bench.desk.commands() if one.action is Action.RESTORE)

    assert {one.reason for one in restore.members} == {"the server's clock is not synchronised"}
    assert len(bench.gateway.orders) == 2
    assert bench.now(status.id).state is CommandState.ACTIVE


def test_a_selection_runs_once_and_a_repeat_answers_the_same_command(bench: Bench) -> None:
    """A double click, and the same click after a restart, is one command."""
    selection = bench.select()
    first = bench.execute(selection)
    again = bench.execute(selection)
    bench.restart()
    later = bench.execute(selection.id)

    assert first.id == again.id == later.id
    assert len(bench.gateway.orders) == 2


def test_nobody_else_executes_a_selection(bench: Bench) -> None:
    """What was reviewed by one person is not run by another, before or after."""
    selection = bench.select()
    boris = Actor("boris", Role.DISPATCHER, ("north",))
    with pytest.raises(CommandRejected, match="selected by anna"):
        bench.execute(selection, boris)
    bench.execute(selection)
    with pytest.raises(CommandRejected, match="executed by anna already"):
        bench.execute(selection, boris)


def test_a_selection_expires(bench: Bench) -> None:
    """A review that is too old is no review."""
    selection = bench.select()
    bench.wait(bench.settings.selection_seconds - 1)
    early = bench.select()
    bench.wait(1)
    with pytest.raises(CommandRejected, match="select again"):
        bench.execute(selection)
    assert bench.gateway.orders == []
    bench.execute(early)
    assert bench.gateway.orders


def test_a_person_has_the_same_time_to_review_however_fast_the_site_runs(tmp_path: Path) -> None:
    """At 60 x, two minutes of site time would be two seconds."""
    bench = Bench(tmp_path, rate=60.0)
    selection = bench.select()
    bench.time.advance(bench.settings.selection_seconds - 1)
    bench.measure()
    bench.execute(selection)

    assert bench.gateway.orders


def test_a_selection_dies_with_the_group_it_was_made_from(bench: Bench) -> None:
    """What was reviewed is what runs: any change of the members makes the selection void."""
    selection = bench.select()
    before = bench.registry.directory.site
    smaller = attrs.evolve(before.load_groups[0], members=before.load_groups[0].members[:-1])
    bench.registry.become(attrs.evolve(before, load_groups=(smaller, before.load_groups[1])))
    with pytest.raises(CommandRejected, match="changed since the review"):
        bench.execute(selection)
    assert bench.gateway.orders == []


def test_a_moved_member_makes_a_selection_void(bench: Bench) -> None:
    """An index that was given to another module would switch somebody else off."""
    selection = bench.select()
    before = bench.registry.directory.site
    modules = (attrs.evolve(before.modules[0], index=77), *before.modules[1:])
    bench.registry.become(attrs.evolve(before, modules=modules))
    with pytest.raises(CommandRejected, match="changed since the review"):
        bench.execute(selection)


def test_guards_speak_again_at_execution(bench: Bench) -> None:
    """What became protected between review and execution is not switched off."""
    selection = bench.select()
    before = bench.registry.directory.site
    consumers = (attrs.evolve(before.consumers[0], protected=True), *before.consumers[1:])
    bench.registry.become(attrs.evolve(before, consumers=consumers))
    with pytest.raises(CommandRejected, match="protected consumer"):
        bench.execute(selection)
    assert bench.gateway.orders == []


def test_guards_speak_a_last_time_after_the_disk(bench: Bench) -> None:
    """While the audit was written a consumer became protected: the command is given up, and says so."""
    selection = bench.select()
    append, slow = bench.audit.append, Deferred()
    bench.audit.append = lambda *_args, **_detail: slow  # type: ignore[method-assign]
    running = bench.desk.execute(ANNA, selection.id)
    before = bench.registry.directory.site
    consumers = (attrs.evolve(before.consumers[0], protected=True), *before.consumers[1:])
    bench.registry.become(attrs.evolve(before, consumers=consumers))
    bench.audit.append = append  # type: ignore[method-assign]
    slow.callback(None)

    with pytest.raises(CommandRejected, match="protected consumer"):
        done(running)
    assert bench.gateway.orders == []
    assert bench.desk.commands()[0].state is CommandState.FAILED


@pytest.mark.parametrize("scope", ["area:north", f"point:P{'C02-003'}"])
def test_what_comes_into_local_between_review_and_frame_is_not_shed(bench: Bench, scope: str) -> None:
    """At select, at execute, and once more after the disk: nobody is on site first and shed afterwards."""
    selection, waiting = bench.select(), bench.select()
    bench.local.scopes = [scope]
    with pytest.raises(CommandRejected, match=f"{scope} is in local since ion said so"):
        bench.select()
    with pytest.raises(CommandRejected, match=f"{scope} is in local"):
        bench.execute(selection)
    bench.local.scopes = []
    append, slow = bench.audit.append, Deferred()
    bench.audit.append = lambda *_args, **_detail: slow  # type: ignore[method-assign]
    running = bench.desk.execute(ANNA, waiting.id)
    bench.local.scopes = [scope]
    bench.audit.append = append  # type: ignore[method-assign]
    slow.callback(None)

    with pytest.raises(CommandRejected, match=f"{scope} is in local"):
        done(running)
    assert bench.gateway.orders == []


def test_orders_that_wait_for_their_turn_stay_where_local_was_said_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is asked about right before it leaves; the others of the command go on."""
    monkeypatch.setattr(pace, "A_TURN", 1)
    running = bench.desk.execute(ANNA, bench.select().id)
    bench.local.scopes = [f"point:P{'C02-001'}"]
    bench.time.advance(1)

    status = done(running)
    assert [order.link_id for order in bench.gateway.orders] == [LINKS[0]]
    assert bench.states(status.id)[3:] == [M.NOT_SENT] * 3
    assert "point:PC02-001 is in local since ion said so" in bench.now(status.id).members[3].reason


def test_a_shed_is_restored_in_local_because_it_ends_by_itself_anyway(bench: Bench) -> None:
    """Who is on site may be waiting for it, and it switches on nothing that would have stayed off."""
    status = bench.shed(900)
    bench.gateway.accept()
    bench.local.scopes = ["area:north"]
    done(bench.desk.restore(ANNA, status.id))

    assert [order.action for order in bench.gateway.orders[2:]] == [Action.RESTORE] * 2
    assert bench.audit.rows[-1][3]["local"] == ["area:north"]


def test_a_late_command_is_refused_and_never_sent(bench: Bench) -> None:
    """Nothing leaves at or after `not_after`, however long the disk took."""
    bench.settings = bench.settings.model_copy(update={"selection_seconds": 3000})
    bench.restart()
    selection = bench.select()
    append, slow = bench.audit.append, Deferred()
    bench.audit.append = lambda *_args, **_detail: slow  # type: ignore[method-assign]
    running = bench.desk.execute(ANNA, selection.id)
    bench.wait(bench.settings.not_after_seconds)
    bench.audit.append = append  # type: ignore[method-assign]
    slow.callback(None)

    status = done(running)
    assert bench.gateway.orders == []
    assert status.state is CommandState.FAILED
    assert {result.reason for result in status.members} == {"expired before it could leave"}


def test_every_refusal_is_audited_with_its_reasons(bench: Bench) -> None:
    """Who was refused what, and why, is on record."""
    viewer = Actor("vera", Role.VIEWER)
    with pytest.raises(CommandRejected):
        bench.select(99999, actor=viewer)

    name, action, target, detail = bench.audit.rows[-1]
    assert (name, action, target) == ("vera", "shed.select.refused", "LG-Y")
    assert len(detail["reasons"]) == 2


def test_monitor_only_does_everything_but_the_last_frame(tmp_path: Path) -> None:
    """Selection, journal, audit and results are real; the gateway hears nothing, not even of a restore or a restart."""
    bench = Bench(tmp_path, monitor_only=True)
    assert bench.desk.monitor_only
    selection = bench.select()
    assert selection.monitor_only
    assert "monitor-only: nothing will be sent" in selection.warnings
    status = bench.execute(selection)

    assert status.monitor_only
    assert status.state is CommandState.CLOSED
    assert {(result.state, result.reason) for result in status.members} == {(M.NOT_SENT, "monitor-only")}
    bench.restart()
    bench.gateway.link(LINKS[0], True)
    assert bench.gateway.orders == []
    assert bench.gateway.asked == []
    assert bench.now(status.id).monitor_only
    assert bench.audit.actions == ["shed.select", "shed.execute", "shed.closed"]


def test_a_restore_is_not_sent_in_monitor_only_either(bench: Bench) -> None:
    """A server that was switched to monitor-only sends nothing at all; the loads return by themselves."""
    status = bench.shed(600)
    bench.gateway.accept()
    bench.report(status.id, M.EXECUTED, *EVERYBODY)
    sent = len(bench.gateway.orders)
    bench.settings = bench.settings.model_copy(update={"monitor_only": True})
    bench.restart()
    done(bench.desk.restore(ANNA, status.id))

    assert len(bench.gateway.orders) == sent
    assert bench.now(status.id).state is CommandState.ACTIVE
    bench.wait(601)
    assert bench.now(status.id).state is CommandState.CLOSED


def test_an_untrusted_clock_sends_nothing(bench: Bench) -> None:
    """No timed command leaves a server that does not know the time."""
    selection = bench.select()
    bench.trusted = False
    with pytest.raises(CommandRejected, match="not synchronised"):
        bench.select()
    with pytest.raises(CommandRejected, match="not synchronised"):
        bench.execute(selection)
    assert bench.gateway.orders == []


def test_a_concentrator_that_is_away_gets_nothing_later(bench: Bench) -> None:
    """A link that comes up never lets a stale order out."""
    bench.gateway.link(LINKS[1], False)
    selection = bench.select()
    assert "3 of 6 members: C02 not connected" in selection.warnings
    assert selection.expected_w == 3 * 1500.0
    status = bench.execute(selection)
    bench.gateway.accept()
    bench.gateway.link(LINKS[1], True)
    bench.wait(100)

    assert [order.link_id for order in bench.gateway.orders] == [LINKS[0]]
    assert bench.states(status.id) == [M.ACCEPTED] * 3 + [M.NOT_SENT] * 3


def test_a_lost_acceptance_is_asked_about_and_not_repeated(bench: Bench) -> None:
    """A frame that may have arrived is a question, not a second frame."""
    status = bench.shed()
    bench.gateway.lose()
    assert set(bench.states(status.id)) == {M.SENT}
    bench.gateway.link(LINKS[0], False)
    bench.gateway.link(LINKS[0], True)

    assert (bytes.fromhex(status.id), LINKS[0]) in bench.gateway.asked
    assert len(bench.gateway.orders) == 2
    assert bench.states(status.id)[:3] == [M.ACCEPTED] * 3


def test_an_order_the_concentrator_refuses_says_why(bench: Bench) -> None:
    """DENIED by the concentrator is a result of each of its members."""
    status = bench.shed()
    bench.gateway.refuse("INTERLOCK")
    over = bench.now(status.id)

    assert over.state is CommandState.CLOSED
    assert {(one.state, one.reason) for one in over.members} == {(M.REFUSED, "INTERLOCK")}


def test_silence_becomes_no_answer_after_the_margin_and_counts_as_off(bench: Bench) -> None:
    """Who never answered may be off until the last moment it could be: only then is the command over."""
    status = bench.shed(600)
    bench.gateway.accept()
    bench.wait(bench.settings.not_after_seconds + ANSWER_MARGIN_S - 1)
    assert set(bench.states(status.id)) == {M.ACCEPTED}
    bench.wait(2)
    assert set(bench.states(status.id)) == {M.NO_ANSWER}
    assert bench.now(status.id).state is CommandState.COLLECTING
    with pytest.raises(CommandRejected, match="off already, or perhaps off"):
        bench.select()
    bench.wait(600 - ANSWER_MARGIN_S)
    assert bench.now(status.id).state is CommandState.CLOSED
    assert set(bench.states(status.id)) == {M.NO_ANSWER}


def test_a_late_truth_replaces_no_answer(bench: Bench) -> None:
    """A report that took longer than anybody waited is still believed."""
    status = bench.shed(900)
    bench.gateway.accept()
    bench.wait(bench.settings.not_after_seconds + ANSWER_MARGIN_S + 1)
    bench.report(status.id, M.EXECUTED, EVERYBODY[0])

    assert bench.states(status.id)[0] is M.EXECUTED


def test_an_early_restore_brings_everybody_back(bench: Bench) -> None:
    """RESTORE goes to all members; what comes back is seen on the shed."""
    status = bench.shed(900)
    bench.gateway.accept()
    bench.report(status.id, M.EXECUTED, *EVERYBODY)
    bench.wait(60)
    shown = done(bench.desk.restore(ANNA, status.id))
    assert shown.id == status.id
    assert shown.state is CommandState.RESTORING
    restores = [order for order in bench.gateway.orders if order.action is Action.RESTORE]
    assert len(restores) == 2
    assert {order.off_for_s for order in restores} == {0}
    assert {len(order.members) for order in restores} == {3}
    assert restores[0].command_id.hex() != status.id
    with pytest.raises(CommandRejected, match="under way"):
        done(bench.desk.restore(ANNA, status.id))
    bench.gateway.accept()
    bench.report(restores[0].command_id.hex(), M.EXECUTED, *EVERYBODY)

    over = bench.now(status.id)
    assert over.state is CommandState.CLOSED
    assert {(one.state, one.reason) for one in over.members} == {(M.RESTORED, "restored by anna")}
    assert bench.now(restores[0].command_id.hex()).state is CommandState.CLOSED
    with pytest.raises(CommandRejected, match="nothing is off any more"):
        done(bench.desk.restore(ANNA, status.id))


def test_a_restore_needs_role_area_and_a_shed(bench: Bench) -> None:
    """The way back goes through the same door."""
    status = bench.shed()
    with pytest.raises(CommandRejected, match="only dispatchers"):
        done(bench.desk.restore(Actor("vera", Role.VIEWER), status.id))
    with pytest.raises(CommandRejected, match="may not command in area north"):
        done(bench.desk.restore(Actor("sara", Role.DISPATCHER, ("south",)), status.id))
    with pytest.raises(CommandRejected, match="no such command"):
        done(bench.desk.restore(ANNA, "nonsense"))
    assert bench.audit.actions[-3:] == ["shed.restore.refused"] * 3


@pytest.mark.parametrize("area", ["east", ""])
def test_who_may_not_shed_a_group_may_not_restore_it_either(tmp_path: Path, area: str) -> None:
    """A concentrator of another area, or of none, bars both ways alike."""
    plain = site()
    concentrators = (plain.concentrators[0], attrs.evolve(plain.concentrators[1], area=area))
    bench = Bench(tmp_path, attrs.evolve(plain, concentrators=concentrators))
    chief = Actor("chief", Role.DISPATCHER)
    status = bench.execute(bench.select(actor=chief), chief)
    said = re.escape(f"anna may not command in area {area or '(none)'}, where members of LG-Y are")
    with pytest.raises(CommandRejected, match=said):
        bench.select()
    with pytest.raises(CommandRejected, match=said):
        done(bench.desk.restore(ANNA, status.id))

    assert bench.audit.actions[-1] == "shed.restore.refused"
    assert done(bench.desk.restore(chief, status.id)).id == status.id


def test_a_reviewer_is_warned_where_nobody_would_see_the_effect_or_answer(tmp_path: Path) -> None:
    """Allowed by configuration is not the same as known to whoever executes."""
    plain = site()
    concentrators = (attrs.evolve(plain.concentrators[0], transformer=""), plain.concentrators[1])
    bench = Bench(tmp_path, attrs.evolve(plain, concentrators=concentrators), without_transformer=True)
    bench.gateway.up.clear()

    warnings = bench.select().warnings

    assert "concentrator C01 has no transformer in the registry: the effect will not be seen" in warnings
    assert "no member is expected to answer now" in warnings
    assert bench.select().members


@pytest.mark.parametrize("up", [LINKS, LINKS[1:]])
def test_a_command_is_signed_once_before_its_first_order_for_one_that_is_up(up: tuple[int, ...], tmp_path: Path) -> None:
    """Thousands of orders must not each wait for the key store's disk, whoever happens to stand first."""
    bench = Bench(tmp_path)
    bench.gateway.up = set(up)
    bench.shed()

    assert bench.gateway.signed == [(up[0], 0)]
    assert [order.link_id for order in bench.gateway.orders] == list(up)


def test_loads_that_must_be_switched_on_by_hand_are_said_to_be(tmp_path: Path) -> None:
    """By expiry an iron is allowed to go on again; it does not."""
    whole = site()
    loads = tuple(attrs.evolve(load, manual_restore=True) for load in whole.loads)
    bench = Bench(tmp_path, attrs.evolve(whole, loads=loads))
    status = bench.shed(600)
    bench.report(status.id, M.EXECUTED, *EVERYBODY)
    bench.wait(601)

    assert {one.reason for one in bench.now(status.id).members} == {"by expiry; must be switched on by hand"}


def test_a_module_that_reports_its_release_does_not_switch_a_manual_load_on(tmp_path: Path) -> None:
    """RESTORED means that nobody holds it off any more."""
    whole = site()
    loads = tuple(attrs.evolve(load, manual_restore=True) for load in whole.loads)
    bench = Bench(tmp_path, attrs.evolve(whole, loads=loads))
    status = bench.shed(600)
    bench.report(status.id, M.EXECUTED, *EVERYBODY)
    bench.report(status.id, M.RESTORED, *EVERYBODY)

    assert {one.reason for one in bench.now(status.id).members} == {"must be switched on by hand"}


def test_a_full_disk_lets_nothing_out(bench: Bench) -> None:
    """What cannot be journalled or audited does not exist."""
    selection = bench.select()
    bench.audit.full = True
    with pytest.raises(CommandRejected, match="no space left"):
        bench.execute(selection)
    bench.audit.full = False
    with sqlite3.connect(bench.path / "commands.sqlite") as database:
        database.execute("DROP TABLE share")
    with pytest.raises(CommandRejected, match="nothing was sent"):
        bench.execute(selection)
    assert bench.gateway.orders == []
    assert bench.desk.commands() == ()
    assert not next(iter(bench.desk.health())).ok


def test_a_listener_that_fails_does_not_stop_the_others(bench: Bench) -> None:
    """A bug in a page must not stand between a command and the field."""
    heard: list[str] = []

    def broken(_: object) -> None:
        raise RuntimeError("a bug in a page")

    bench.desk._news.listeners.insert(0, broken)
    bench.desk.subscribe(lambda status: heard.append(status.id))
    status = bench.shed()
    bench.time.advance(0)

    assert heard == [status.id]


def test_site_time_drives_the_command_at_any_speed(tmp_path: Path) -> None:
    """At 60 × ten minutes of shed are ten seconds on the wall."""
    bench = Bench(tmp_path, rate=60.0)
    status = bench.shed(600)
    bench.report(status.id, M.EXECUTED, *EVERYBODY)
    bench.time.advance(9.9)
    assert bench.now(status.id).state is CommandState.ACTIVE
    bench.time.advance(0.2)
    assert bench.now(status.id).state is CommandState.CLOSED


def test_groups_and_the_desk_are_tags(bench: Bench) -> None:
    """Members, eligible, off, power and last results of a group stand on the bus."""
    bench.time.advance(0)

    def tags() -> list[float]:
        shot = bench.bus.snapshot()
        points = ("members", "eligible", "off_now", "rated_w", "last_executed", "last_refused", "last_no_answer")
        return [shot.get(f"LG-Y/{point}")[0] for point in points]

    assert tags()[:4] == [6, 6, 0, 9000]
    assert bench.bus.snapshot().get("LG-Y/last_executed")[1].name == "BAD_WAITING"
    status = bench.shed(600)
    bench.report(status.id, M.EXECUTED, *EVERYBODY[:4])
    bench.report(status.id, M.REFUSED, *EVERYBODY[4:])
    bench.time.advance(0)
    assert tags() == [6, 2, 4, 3000, 4, 2, 0]
    assert bench.bus.snapshot().get("Dispatch/active_commands")[0] == 1
    assert bench.bus.snapshot().get("Dispatch/monitor_only")[0] == 0


def test_a_stopped_desk_has_no_timers_and_refuses(bench: Bench) -> None:
    """A clean stop leaves nothing behind that could still send."""
    selection = bench.select()
    done(bench.desk.stop())

    assert bench.time.getDelayedCalls() == []
    with pytest.raises(CommandRejected, match="not running"):
        bench.execute(selection)
    assert bench.gateway.orders == []


def test_a_group_that_does_not_exist_is_a_refusal(bench: Bench) -> None:
    """A name nobody knows is answered like everything else that must not run."""
    with pytest.raises(CommandRejected, match="no load group LG-X"):
        done(bench.desk.select(ANNA, ShedRequest("LG-X", 600)))


def test_a_limit_and_economy_carry_their_level_and_end_by_themselves(bench: Bench) -> None:
    """Nothing is off meanwhile: a shed of the same group is allowed, and economy during a shed."""
    limit = bench.execute(done(bench.desk.select(ANNA, ShedRequest("LG-Y", 1800, "peak", Action.LIMIT, 500))))
    bench.gateway.accept()
    bench.report(limit.id, M.EXECUTED, *EVERYBODY)
    shed = bench.shed(600)
    bench.gateway.accept()
    bench.report(shed.id, M.EXECUTED, *EVERYBODY)
    eco = bench.execute(done(bench.desk.select(ANNA, ShedRequest("LG-Y", 1200, "", Action.ECO))))
    orders = [(one.action, one.level_w, one.off_for_s) for one in bench.gateway.orders]
    bench.wait(700)
    later = bench.now(limit.id)
    bench.wait(1800)

    assert orders == [(Action.LIMIT, 500, 1800)] * 2 + [(Action.SHED, 0, 600)] * 2 + [(Action.ECO, 0, 1200)] * 2
    assert (later.state, later.level_w) == (CommandState.ACTIVE, 500)
    assert {bench.now(one.id).state for one in (limit, shed, eco)} == {CommandState.CLOSED}
    assert {"limit.select", "limit.execute", "eco.execute", "limit.closed"} <= set(bench.audit.actions)


def test_a_restore_ends_everything_that_its_group_was_told(bench: Bench) -> None:
    """A module obeys it for the group: the limit beside the shed is over too, here as there, and told to nobody again."""
    limit = bench.execute(done(bench.desk.select(ANNA, ShedRequest("LG-Y", 1800, "", Action.LIMIT, 500))))
    bench.gateway.accept()
    bench.report(limit.id, M.EXECUTED, *EVERYBODY[1:])
    shed = bench.shed(600)
    bench.gateway.accept()
    bench.report(shed.id, M.EXECUTED, *EVERYBODY)
    done(bench.desk.restore(ANNA, shed.id))
    bench.gateway.accept()
    restore = bench.desk.commands()[0]
    bench.report(restore.id, M.EXECUTED, *EVERYBODY[1:])
    bench.wait(200)

    assert bench.now(limit.id).count(M.RESTORED) == 5
    assert bench.now(shed.id).count(M.RESTORED) == 5
    assert {order.command_id.hex() for order in bench.gateway.retries} == {restore.id}


def test_what_a_limit_was_is_read_back_after_a_restart(bench: Bench) -> None:
    """Its level too."""
    limit = bench.execute(done(bench.desk.select(ANNA, ShedRequest("LG-Y", 1800, "", Action.LIMIT, 500))))
    bench.restart()

    assert (bench.now(limit.id).action, bench.now(limit.id).level_w) == (Action.LIMIT, 500)
