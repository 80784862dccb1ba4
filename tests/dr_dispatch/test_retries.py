"""Silent members are told again: only they, only in time, never blindly, and never what has been taken back."""

from itertools import pairwise
from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import Deferred

from scada.commands import CommandStatus, MemberState
from scada.dr_dispatch import pace
from scada.dr_dispatch.heavy import LARGE
from scada.errors import CommandRejected, LinkError
from scada.site import Concentrator, Load, LoadGroup, Module, ModuleState, Site
from tests.dr_dispatch.fakes import ANNA, EVERYBODY, LINKS, Bench, done, site

M = MemberState
FIRST, SECOND = LINKS


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def broadcast(bench: Bench, *answered: int) -> CommandStatus:
    """A shed that every concentrator took, and some members executed."""
    status = bench.shed()
    bench.gateway.accept()
    bench.report(status.id, M.EXECUTED, *answered)
    return status


def told(bench: Bench) -> list[tuple[int, tuple[int, ...]]]:
    return [(order.link_id, tuple(eui for _, eui in order.members)) for order in bench.gateway.retries]


def test_after_the_collecting_time_the_silent_members_and_only_they_are_told_again(bench: Bench) -> None:
    """One order a concentrator, with the command's own id and end; nobody who has answered is in it."""
    status = broadcast(bench, *EVERYBODY[:2], EVERYBODY[3], EVERYBODY[4], EVERYBODY[5])
    bench.wait(110)
    before = list(bench.gateway.retries)
    bench.wait(20)

    assert before == []
    assert told(bench) == [(FIRST, (EVERYBODY[2],))]
    (order,) = bench.gateway.retries
    assert order.command_id.hex() == status.id
    assert order.not_after * 10**9 == status.not_after
    assert bench.now(status.id).members[2].reason == "repeats to this module: 1"
    assert len(bench.gateway.orders) == 2                   # and no second broadcast


def test_retries_go_on_at_their_pace_until_not_after_and_end_there(bench: Bench) -> None:
    """After 120 s, then every 60 s: three in 300 s."""
    status = broadcast(bench, *EVERYBODY[1:])
    bench.wait(600)

    assert told(bench) == [(FIRST, (EVERYBODY[0],))] * 3
    first = bench.now(status.id).members[0]
    assert (first.state, first.reason) == (M.NO_ANSWER, "repeats to this module: 3")


def test_one_who_answers_a_retry_is_told_no_more(bench: Bench) -> None:
    """He has executed: off from now for `off_for`, as any other."""
    status = broadcast(bench, *EVERYBODY[1:])
    bench.wait(130)
    bench.report(status.id, M.EXECUTED, EVERYBODY[0])
    bench.wait(160)

    assert len(bench.gateway.retries) == 1
    assert bench.states(status.id)[0] is M.EXECUTED


def test_a_shed_that_is_being_restored_is_told_to_nobody(bench: Bench) -> None:
    """The silent would be switched off after everybody else is back. The restore itself is told again."""
    status = broadcast(bench, *EVERYBODY[1:])
    done(bench.desk.restore(ANNA, status.id))
    bench.gateway.accept()
    bench.wait(290)

    assert {order.command_id.hex() for order in bench.gateway.retries} == {bench.desk.commands()[0].id}
    assert bench.desk.commands()[0].id != status.id


@pytest.mark.parametrize("what", ["never", "protected", "moved", "gone"])
def test_whom_the_registry_forbids_meanwhile_is_not_told_again(bench: Bench, what: str) -> None:
    """The broadcast is out; a retry need not repeat the mistake."""
    broadcast(bench, *EVERYBODY[2:])
    whole = site()
    if what == "never":
        whole = attrs.evolve(whole, loads=(attrs.evolve(whole.loads[0], never=True), *whole.loads[1:]))
    elif what == "protected":
        whole = attrs.evolve(whole, consumers=(attrs.evolve(whole.consumers[0], protected=True), *whole.consumers[1:]))
    elif what == "moved":
        whole = attrs.evolve(whole, modules=(attrs.evolve(whole.modules[0], index=9), *whole.modules[1:]))
    else:
        whole = attrs.evolve(whole, loads=whole.loads[1:])
    bench.registry.become(whole)
    bench.wait(130)

    assert told(bench) == [(FIRST, (EVERYBODY[1],))]


def test_who_comes_into_local_is_not_told_again_and_the_others_are(bench: Bench) -> None:
    """A point leaves its own modules out, an area all of its concentrators; when it is remote again they are told."""
    broadcast(bench, *EVERYBODY[2:])
    bench.local.scopes = ["point:PC01-001"]
    bench.wait(130)
    of_a_point = told(bench)
    bench.local.scopes = ["area:north"]
    bench.wait(60)
    of_an_area = told(bench)
    bench.local.scopes = []
    bench.wait(20)

    assert of_a_point == [(FIRST, (EVERYBODY[1],))]
    assert of_an_area == of_a_point
    assert {eui for _, told_ in told(bench)[1:] for eui in told_} == set(EVERYBODY[:2])


def test_local_that_is_said_while_a_retry_is_written_down_keeps_it(bench: Bench) -> None:
    """It is asked about again after the disk."""
    broadcast(bench, *EVERYBODY[1:])
    bench.wait(100)
    bench.pool.held = []
    bench.wait(25)
    written = len(bench.pool.held)
    bench.local.scopes = ["area:north"]
    bench.pool.release()

    assert written
    assert told(bench) == []


def test_after_a_restart_the_concentrator_is_asked_before_anybody_is_told_again(bench: Bench) -> None:
    """kill -9 in the middle: the number of tries is on disk, and without an answer nothing leaves."""
    status = broadcast(bench, *EVERYBODY[1:])
    bench.wait(130)
    bench.gateway.knows = None                              # it does not answer
    bench.restart()
    bench.wait(80)
    silent = list(bench.gateway.retries)
    bench.gateway.knows = True
    bench.wait(40)

    assert len(silent) == 1
    assert (bytes.fromhex(status.id), FIRST) in bench.gateway.asked
    assert len(bench.gateway.retries) == 2
    assert bench.now(status.id).members[0].reason == "repeats to this module: 2"


def test_a_retry_is_on_disk_before_it_leaves(bench: Bench) -> None:
    """Whoever dies in between counts one too many, never one too few."""
    status = broadcast(bench, *EVERYBODY[1:])
    bench.wait(118)
    bench.pool.held = []
    bench.wait(10)
    before = list(bench.gateway.retries)
    bench.pool.release()
    bench.time.advance(0)

    assert before == []
    assert len(bench.gateway.retries) == 1
    assert bench.now(status.id).members[0].reason == "repeats to this module: 1"


def test_a_retry_whose_answer_is_lost_is_asked_about_first(bench: Bench) -> None:
    """LinkError: of unknown fate, like an order."""
    status = broadcast(bench, *EVERYBODY[1:])
    bench.gateway.told = LinkError("C01", "no answer")
    bench.gateway.knows = None
    bench.wait(250)

    assert len(bench.gateway.retries) == 1
    assert bench.gateway.asked.count((bytes.fromhex(status.id), FIRST)) > 1


def test_a_concentrator_that_knows_no_retries_harms_nothing(bench: Bench) -> None:
    """Its members stay silent until time decides."""
    status = broadcast(bench, *EVERYBODY[1:])
    bench.gateway.told = CommandRejected(["COMMAND_RETRY is not dealt with"])
    bench.wait(600)

    assert bench.states(status.id)[0] is M.NO_ANSWER
    assert {health.ok for health in bench.desk.health()} == {True}


def test_nothing_is_told_again_by_an_untrusted_clock_or_over_a_broken_link(bench: Bench) -> None:
    """The same last check as for an order."""
    broadcast(bench, *EVERYBODY[1:3])
    bench.gateway.link(SECOND, False)
    bench.wait(130)
    over_the_good_link = told(bench)
    bench.trusted = False
    bench.wait(100)

    assert over_the_good_link == [(FIRST, (EVERYBODY[0],))]
    assert told(bench) == over_the_good_link


def test_what_is_too_old_goes_from_the_journal_and_what_is_live_stays(tmp_path: Path) -> None:
    """Also a shed with its restore, and its members and effects; the next start does not know it any more."""
    bench = Bench(tmp_path, journal_days=7)
    old = bench.shed()
    bench.gateway.accept()
    bench.report(old.id, M.EXECUTED, *EVERYBODY)
    bench.wait(4000)
    bench.time.advance(8 * 86400)
    bench.measure()
    live = bench.shed()
    bench.time.advance(3700)
    bench.restart()

    assert bench.desk.command(old.id) is None
    assert bench.desk.command(live.id) is not None


def test_orders_of_a_large_command_leave_some_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop has its turn between; what is answered meanwhile is counted, and all of it arrives."""
    count = LARGE + 200
    links = range(1, count + 1)
    modules = tuple(Module(link, f"M{link}", f"K{link}", 1, ModuleState.ACTIVE) for link in links)
    whole = site()
    content: Site = attrs.evolve(
        whole, concentrators=tuple(Concentrator(f"K{link}", link, area="north", transformer="T01") for link in links),
        modules=modules, meters=(), points=(), consumers=(),
        loads=tuple(Load(link, whole.loads[0].load_class, rated_w=1500.0) for link in links),
        load_groups=(attrs.evolve(whole.load_groups[0], members=tuple(links)),),
    )
    assert isinstance(content.load_groups[0], LoadGroup)
    bench = Bench(tmp_path, content)
    bench.gateway.up = set(links)
    bench.gateway.boots = dict.fromkeys(links, 7)
    answers: list[CommandStatus] = []
    waiting: list[Deferred[None]] = []
    monkeypatch.setattr(pace, "next_turn", lambda _: waiting.append(Deferred()) or waiting[-1])
    bench.desk.execute(ANNA, bench.select().id).addCallback(answers.append)
    turns = [len(bench.gateway.orders)]
    while not answers:
        waiting.pop().callback(None)
        turns.append(len(bench.gateway.orders))
    bench.gateway.accept()
    bench.time.advance(1)

    assert turns[0] == pace.A_TURN
    assert max(after - before for before, after in pairwise(turns)) <= pace.A_TURN
    assert len(bench.gateway.orders) == count
    assert set(bench.states(answers[0].id)) == {M.ACCEPTED}


