"""The examination of every night over real stores: case files opened once, kept through restarts, decided by people."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.python.threadpool import ThreadPool

from scada.balancing import leakbook
from scada.balancing.casebook import FILE as CASES
from scada.balancing.casebook import Casebook
from scada.balancing.nightly import NightlyService
from scada.balancing.once_a_night import EVERY_S, RETRY_S
from scada.balancing.phases import orderbook
from scada.bus import TagBus
from scada.cases import CaseState, Suspicion
from scada.clock import HOUR_S, NS, SiteClock, TimeMap
from scada.commands import Actor, Role
from scada.compute import InThisProcess
from scada.errors import CommandRejected
from scada.historian.backup import back_up
from scada.historian.inspection import CASE_FILES
from scada.historian.restoring import restore
from scada.historian.service import Historian
from scada.historian.store import EmbeddedIntervals
from scada.historian.verification import verify
from scada.metering.service import MeteringService
from scada.registry.service import RegistryService
from scada.settings import load
from tests.balancing import estate
from tests.historian.helpers import PumpedReactor

ENGINEER = Actor("Vera", Role.ENGINEER)
OPEN = (CaseState.NEW, CaseState.INSPECTION)


class Broken:
    """No processor to be had."""

    def each(self, *_: Any) -> Any:
        raise OSError("no more processes")


class Results:
    """`ports.Balances` of the real results."""

    def __init__(self, historian: Historian) -> None:
        self._historian = historian

    def table(self, group: str, span_s: int, first: int, last: int) -> Any:
        return self._historian.results.get("balance", group, span_s, first, last)


class Server:
    """Registry, historian, metering and the nightly examination, an hour after midnight."""

    def __init__(self, config: Path) -> None:
        settings, self.reactor = load(config), PumpedReactor()
        self.clock = SiteClock(
            TimeMap(round(self.reactor.seconds() * NS), (estate.TODAY + 1) * HOUR_S * NS), monotonic=self.reactor.seconds,
            real=lambda: round(self.reactor.seconds() * NS),
        )
        bus = TagBus(self.clock, self.reactor)
        self.pool = ThreadPool(1, 2, "test")
        self.pool.start()
        self.registry = RegistryService(settings.registry, settings.data_dir, self.clock, self.reactor)
        self.historian = Historian(settings.historian, settings.data_dir, self.clock, self.reactor, bus)
        self.reactor.wait(self.registry.start())
        self.reactor.wait(self.historian.start())
        intervals = self.historian.intervals
        self.metering = MeteringService(self.registry, intervals, intervals, bus, self.clock, self.reactor, self.pool)
        self.zone = settings.site.timezone
        self.begin()

    def begin(self) -> None:
        self.night = NightlyService(
            self.registry, self.metering, Results(self.historian), self.historian.events, self.registry.audit,
            InThisProcess(), self.clock, self.reactor, self.pool, self.zone, self.historian.directory,
        )
        self.reactor.wait(self.night.start())

    def until(self, hour: int) -> None:
        now = round(self.reactor.seconds() * NS)
        self.clock.map = attrs.evolve(self.clock.map, real0=now, site0=hour * HOUR_S * NS)
        self.reactor.advance(EVERY_S)

    def examined(self) -> None:
        self.reactor.pump(lambda: self.night.nightly.under_way is not None and bool(self.night.nightly.under_way.called))

    def stop(self) -> None:
        for part in (self.night, self.historian, self.registry):
            self.reactor.wait(part.stop())
        self.pool.stop()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return estate.build(tmp_path_factory.mktemp("estate"))


@pytest.fixture
def server(config: Path) -> Iterator[Server]:
    (config.parent / "data" / "history" / "cases.sqlite").unlink(missing_ok=True)
    one = Server(config)
    yield one
    one.stop()


def members(server: Server, *states: CaseState) -> list[str]:
    found, total = server.night.find(states or OPEN)
    assert total == len(found)
    return sorted(one.suspicion.member for one in found)


def test_a_night_opens_a_case_for_each_suspect_and_again_is_once(server: Server) -> None:
    """Not before the radio has had its time; a restart makes no second examination of the same day. A group without a feed
    can never be in order, and is not said to be out of it."""
    before = server.night.nightly.under_way
    server.until(estate.TODAY + 2)
    server.examined()
    first = server.night.find(OPEN)[0]
    day, states = server.night.night()
    server.night.nightly.day = ""                                  # as if it had not been noted
    server.until(estate.TODAY + 3)
    server.examined()
    server.reactor.wait(server.night.stop())
    server.begin()
    server.until(estate.TODAY + 4)
    quiet = server.night.nightly.under_way

    assert before is None
    assert sorted(one.suspicion.member for one in first) == sorted(estate.thieves())
    assert [one.number for one in server.night.find(OPEN)[0]] == [one.number for one in first]
    assert [len(server.night.one(one.number).changes) for one in first] == [1, 1]
    assert "BG-2" not in [one.group for one in states]
    assert first[0].opened == first[0].seen == day
    assert quiet is None


def test_a_decision_is_kept_with_who_when_and_why_and_is_in_the_audit(server: Server) -> None:
    """What was decided is an outcome: the same suspicion of the next night opens nothing."""
    server.until(estate.TODAY + 2)
    server.examined()
    case = server.night.find(OPEN)[0][0]
    server.night.decide(ENGINEER, case.number, CaseState.NEW, CaseState.INSPECTION, " going there ")
    done = server.night.decide(ENGINEER, case.number, None, CaseState.CONFIRMED, "shunt")
    server.night.nightly.day = ""
    server.until(estate.TODAY + 3)
    server.examined()
    rows = [row for row in server.registry.audit.page() if row.action == "case.decide"]

    assert [(one.who, one.before, one.after, one.note) for one in done.changes] == [
        ("examination", "", "new", ""), ("Vera", "new", "inspection", "going there"),
        ("Vera", "inspection", "confirmed", "shunt"),
    ]
    assert all(one.at // NS // HOUR_S == estate.TODAY + 2 for one in done.changes[1:])
    assert case.suspicion.member not in members(server)
    assert server.night.counts()[CaseState.CONFIRMED] == 1
    assert [(row.actor, row.target) for row in rows] == [("Vera", str(case.number))] * 2


@pytest.mark.parametrize(("actor", "number", "was", "why"), [
    (Actor("Ion", Role.DISPATCHER), 1, None, "only engineers and administrators may decide about suspects"),
    (Actor("Vera", Role.ENGINEER, ("north",)), 1, None, "may not decide about suspects in area south"),
    (ENGINEER, 99, None, "there is no case 99"),
    (ENGINEER, 1, CaseState.INSPECTION, "case 1 is new by now: look again"),
])
def test_who_may_not_or_saw_another_state_is_refused_and_nothing_changes(
    server: Server, actor: Actor, number: int, was: CaseState | None, why: str
) -> None:
    server.until(estate.TODAY + 2)
    server.examined()
    audited = len(server.registry.audit.page())

    with pytest.raises(CommandRejected, match=why):
        server.night.decide(actor, number, was, CaseState.CLEARED, "")

    assert server.night.one(1).state is CaseState.NEW
    assert len(server.registry.audit.page()) == audited


def test_a_night_that_fails_says_so_enters_nothing_and_is_made_up_for(server: Server) -> None:
    good, server.night._compute = server.night._compute, Broken()
    server.until(estate.TODAY + 2)
    server.examined()
    failed = next(iter(server.night.health()))
    server.night._compute = good
    server.reactor.advance(RETRY_S + EVERY_S)
    server.examined()
    well = next(iter(server.night.health()))

    assert (failed.ok, failed.text) == (False, "the examination of balance groups failed; it is tried again")
    assert well.ok
    assert members(server) == sorted(estate.thieves())
    assert f"{len(estate.thieves())} open cases" in well.text


def suspicion(since: str, score: float = 10.0) -> Suspicion:
    return Suspicion(
        "BG-1", "P1", True, "faulty_meter", "slow", "kWh", 10.0, 1.0, 0.3, score, since, "2026-01-01", (1.0, float("nan")),
    )


def test_a_backup_beside_the_server_has_the_cases_as_they_were_at_one_instant(tmp_path: Path) -> None:
    """Every decision that was made before it began, whole, with its history; and a restore brings them back."""
    history, reactor = tmp_path / "history", PumpedReactor()
    store = EmbeddedIntervals(history, reactor)
    store.open()
    store.start()
    book = Casebook(history / CASES, lambda *_: None)
    book.open()
    book.enter([attrs.evolve(suspicion("2026-01-01"), member=f"P{n}") for n in range(200)], "2026-01-20", 1)
    before, going = threading.Event(), True

    def decide() -> None:
        for number in range(1, 201):
            book.decide(ENGINEER, number, None, CaseState.CONFIRMED, "x" * 400, at=number, day="2026-01-21")
            if number == 20:
                before.set()
            if not going:
                return

    thread = threading.Thread(target=decide)
    thread.start()
    before.wait(30)
    back_up(history, tmp_path / "copy")
    going = False
    thread.join()
    book.close()
    store.close()
    assert verify(tmp_path / "history").findings == []
    restore(tmp_path / "copy", tmp_path / "again")
    book = Casebook(tmp_path / "again" / CASES, lambda *_: None)
    book.open()
    found, total = book.find(tuple(CaseState), 0, 500)
    decided = [book.one(one.number) for one in found if one.state is CaseState.CONFIRMED]
    book.close()

    assert total == 200
    assert len(decided) >= 20
    assert sorted(one.number for one in decided if one) == list(range(1, len(decided) + 1))
    assert all(one is not None and len(one.changes) == 2 and one.changes[1].note for one in decided)


def test_all_files_of_cases_are_known_to_backups() -> None:
    """The history's package does not know whose they are, only their names."""
    assert set(CASE_FILES) == {CASES, leakbook.FILE, orderbook.FILE}


def test_a_whole_group_has_a_case_beside_those_of_its_members_and_its_outcome_stays(tmp_path: Path) -> None:
    """One at most, brought up to date; what a member's decision was has nothing to do with it."""
    whole = attrs.evolve(suspicion("2026-01-01"), member="BG-1", cause="unmetered", unassigned=(1.0, float("nan")))
    book = Casebook(tmp_path / "cases.sqlite", lambda *_: None)
    book.open()
    first = book.enter([suspicion("2026-01-01"), whole], "2026-01-20", 1)
    again = book.enter([attrs.evolve(whole, cause="technical", score=3.0)], "2026-01-21", 2)
    book.decide(ENGINEER, 1, None, CaseState.CLEARED, "", at=3, day="2026-01-21")
    still = book.one(2)
    book.decide(ENGINEER, 2, None, CaseState.CONFIRMED, "a kiosk", at=4, day="2026-01-22")
    same = book.enter([whole], "2026-01-23", 5)
    done = book.one(2)
    book.close()

    assert (first, again, same) == (2, 0, 0)
    assert still is not None
    assert (still.state, still.seen, still.suspicion.cause, still.suspicion.whole) == (
        CaseState.NEW, "2026-01-21", "technical", True,
    )
    assert done is not None
    assert [(one.after, one.note) for one in done.changes] == [("new", ""), ("confirmed", "a kiosk")]


def test_after_a_decision_only_what_began_later_opens_another_case(tmp_path: Path) -> None:
    """And the older one cannot be opened again beside it."""
    book = Casebook(tmp_path / "cases.sqlite", lambda *_: None)
    book.open()
    book.enter([suspicion("2026-01-01")], "2026-01-20", 1)
    book.decide(ENGINEER, 1, None, CaseState.CLEARED, "", at=2, day="2026-01-21")
    same = book.enter([suspicion("2026-01-21")], "2026-01-22", 3)
    later = book.enter([suspicion("2026-01-22", 12.0)], "2026-02-11", 4)
    with pytest.raises(CommandRejected, match="newer open case of P1"):
        book.decide(ENGINEER, 1, None, CaseState.NEW, "", at=5, day="2026-02-11")
    first, second = book.find(tuple(CaseState))[0]
    book.close()

    assert (same, later) == (0, 1)
    assert [(first.number, first.state), (second.number, second.state)] == [(2, CaseState.NEW), (1, CaseState.CLEARED)]
    assert first.suspicion.forecast[0] == 1.0
    assert first.suspicion.forecast[1] != first.suspicion.forecast[1]
