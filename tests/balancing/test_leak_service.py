"""Nights over real stores: leaks found, followed, decided and over; their alarms in a real book; all of it durable."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from twisted.python.threadpool import ThreadPool

from scada.alarms.service import AlarmService
from scada.balancing import leak_service
from scada.balancing.leak_service import LeakService, detail_of
from scada.balancing.leakbook import NIGHTS_KEPT, Leakbook
from scada.balancing.once_a_night import EVERY_S, RETRY_S
from scada.bus import TagBus
from scada.clock import HOUR_S, NS, SiteClock, TimeMap
from scada.commands import Actor, Role
from scada.compute import InThisProcess
from scada.errors import CommandRejected
from scada.historian.service import Historian
from scada.leaks import OPEN, Flowing, LeakNight, LeakState
from scada.metering.service import MeteringService
from scada.ports import AlarmState
from scada.registry.service import RegistryService
from scada.settings import load
from scada.site import Medium
from tests.balancing import plumbing
from tests.historian.helpers import PumpedReactor

VERA = Actor("Vera", Role.DISPATCHER)
HOLDS = {AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED}


class Quiet:
    """No device says anything."""

    def on_events(self, listener: Any) -> Any:
        return lambda: None


class Broken:
    def each(self, *_: Any) -> Any:
        raise OSError("no more processes")


class Server:
    """Registry, historian, metering, alarms and the search for leaks, an hour after midnight."""

    def __init__(self, config: Path) -> None:
        settings, self.reactor = load(config), PumpedReactor()
        self.clock = SiteClock(
            TimeMap(round(self.reactor.seconds() * NS), (plumbing.TODAY + 1) * HOUR_S * NS),
            monotonic=self.reactor.seconds, real=lambda: round(self.reactor.seconds() * NS),
        )
        self.bus = TagBus(self.clock, self.reactor)
        self.pool = ThreadPool(1, 2, "test")
        self.pool.start()
        self.registry = RegistryService(settings.registry, settings.data_dir, self.clock, self.reactor)
        self.historian = Historian(settings.historian, settings.data_dir, self.clock, self.reactor, self.bus)
        self.reactor.wait(self.registry.start())
        self.reactor.wait(self.historian.start())
        self.alarms = AlarmService(
            self.bus, Quiet(), self.registry, self.registry.audit, self.bus, self.clock, self.reactor, settings.data_dir,
            self.pool,
        )
        self.reactor.wait(self.alarms.start())
        intervals = self.historian.intervals
        self.metering = MeteringService(self.registry, intervals, intervals, self.bus, self.clock, self.reactor, self.pool)
        self.begin()

    def begin(self) -> None:
        self.leaks = LeakService(
            self.registry, self.metering, self.alarms, self.registry.audit, InThisProcess(), self.clock, self.reactor,
            self.pool, "UTC", self.historian.directory,
        )
        self.reactor.wait(self.leaks.start())

    def until(self, hour: int) -> None:
        now = round(self.reactor.seconds() * NS)
        self.clock.map = attrs.evolve(self.clock.map, real0=now, site0=hour * HOUR_S * NS)
        self.reactor.advance(EVERY_S)
        nightly = self.leaks.nightly
        if nightly.under_way is not None:
            self.reactor.pump(lambda: bool(nightly.under_way.called))
        self.shown()

    def shown(self) -> None:
        self.reactor.pump(lambda: self.leaks._showing is not None and bool(self.leaks._showing.called))

    def held(self) -> list[tuple[str, str]]:
        return sorted((one.source, one.kind) for one in self.alarms.active() if one.state in HOLDS)

    def stop(self) -> None:
        for part in (self.leaks, self.alarms, self.historian, self.registry):
            self.reactor.wait(part.stop())
        self.pool.stop()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plumbing.build(tmp_path_factory.mktemp("plumbing"))


@pytest.fixture
def server(config: Path) -> Iterator[Server]:
    (config.parent / "data" / "history" / "leaks.sqlite").unlink(missing_ok=True)
    (config.parent / "data" / "alarms.sqlite").unlink(missing_ok=True)
    one = Server(config)
    yield one
    one.stop()


def test_a_night_finds_leaks_raises_their_alarms_and_again_is_once_after_a_restart(server: Server) -> None:
    """Not before the radio has had its time. Gas is the most urgent; the detail says since when and how much."""
    server.until(plumbing.TODAY + 2)                        # made up for: yesterday's
    before = server.leaks.night().day
    server.until(plumbing.TODAY + 3)
    found, total = server.leaks.find(OPEN)
    night, held = server.leaks.night(), server.held()
    gas = next(one for one in server.alarms.active() if one.kind == "leak_gas")
    server.reactor.wait(server.leaks.stop())
    server.begin()
    server.leaks.nightly.day = ""                           # as if it had not been noted
    server.until(plumbing.TODAY + 4)
    again, _total = server.leaks.find(OPEN)

    assert (before, night.day) == (plumbing.day(plumbing.DAYS - 1), plumbing.day(plumbing.DAYS))
    assert total == len(plumbing.LEAKS)
    assert {one.flow.point for one in found} == set(plumbing.LEAKS)
    assert held == [("M0.ch0", "leak_water"), ("M1.ch0", "leak_water"), ("M6.ch0", "leak_gas"), ("M8.ch0", "leak_heat")]
    assert gas.priority.value == "high"
    assert f"G-old never takes less than 30.0 l/h since {plumbing.day(0)}" in gas.detail
    assert gas.area == "south"
    assert [(one.medium.value, one.coarse, one.no_meter, one.feeds) for one in night.media][1] == ("water", 1, 1, 1)
    assert [one.point for one in night.standby] == ["E-busy", "E-idle"]
    assert [(one.number, one.state, one.quantity) for one in again] == [
        (one.number, one.state, one.quantity) for one in found
    ]
    assert server.held() == held
    assert [len(server.leaks.one(one.number).changes) for one in again] == [1] * total
    assert found[0].opened == before


def test_a_leak_that_stops_is_over_and_its_alarm_with_it(server: Server) -> None:
    """One night that falls below; the others go on, and a night later they have run for a day more."""
    server.until(plumbing.TODAY + 3)
    first = {one.flow.point: one for one in server.leaks.find(OPEN)[0]}
    server.until(plumbing.TODAY + 26)                       # hours that are not over yet are not taken
    counts = plumbing.taken()
    mended = counts[:, -24:].copy()
    mended[0] = 0
    plumbing.keep_hours(server.historian, server.reactor, mended, plumbing.TODAY, counts[np.array(
        [n for n, one in enumerate(plumbing.POINTS) if one[0] != "W-silent"])].sum(axis=1))
    server.reactor.pump(lambda: not server.historian.intervals.health().figures["unmerged"])
    server.until(plumbing.TODAY + 27)
    over = server.leaks.one(first["W-old"].number)
    going = server.leaks.one(first["G-old"].number)

    assert over.state is LeakState.OVER
    assert over.flow.stopped == plumbing.day(plumbing.DAYS)
    assert [(one.who, one.after) for one in over.changes] == [("examination", "new"), ("examination", "over")]
    assert ("M0.ch0", "leak_water") not in server.held()
    assert ("M6.ch0", "leak_gas") in server.held()
    assert going.quantity - first["G-old"].quantity == pytest.approx(24 * 0.03, rel=0.2)
    assert server.leaks.counts()[LeakState.OVER, Medium.WATER] == 1


def test_people_decide_by_name_and_what_is_usual_has_no_alarm_any_more(server: Server) -> None:
    server.until(plumbing.TODAY + 3)
    heat = next(one for one in server.leaks.find(OPEN, Medium.HEAT)[0])
    water = next(one for one in server.leaks.find(OPEN, Medium.WATER)[0])
    server.leaks.decide(VERA, water.number, LeakState.NEW, LeakState.TOLD, " rang him ")
    done = server.leaks.decide(VERA, heat.number, LeakState.NEW, LeakState.USUAL, "circulation")
    server.reactor.pump(lambda: ("M8.ch0", "leak_heat") not in server.held())
    rows = [row for row in server.registry.audit.page() if row.action == "leak.decide"][:2]

    assert [(one.who, one.after, one.note) for one in done.changes][1:] == [("Vera", "usual", "circulation")]
    assert server.leaks.one(water.number).changes[-1].note == "rang him"
    assert ("M0.ch0", "leak_water") in server.held()
    assert [(row.actor, row.target) for row in rows] == [("Vera", str(heat.number)), ("Vera", str(water.number))]
    for actor, state, was, why in (
        (Actor("Ion", Role.VIEWER), LeakState.SEEN, None, "only dispatchers, engineers and administrators"),
        (Actor("Vera", Role.ENGINEER, ("north",)), LeakState.SEEN, None, "may not decide about leaks in area south"),
        (VERA, LeakState.OVER, None, "nobody decides that a leak is over"),
        (VERA, LeakState.SEEN, LeakState.NEW, f"leak {water.number} is told by now"),
    ):
        with pytest.raises(CommandRejected, match=why):
            server.leaks.decide(actor, water.number, was, state, "")


def test_a_night_that_fails_says_so_and_is_made_up_for(server: Server) -> None:
    good, server.leaks._compute = server.leaks._compute, Broken()
    server.until(plumbing.TODAY + 3)
    failed = next(iter(server.leaks.health()))
    server.leaks._compute = good
    server.reactor.advance(RETRY_S)
    server.until(plumbing.TODAY + 3)

    assert (failed.ok, failed.text) == (False, "the search for leaks failed; it is tried again")
    assert next(iter(server.leaks.health())).text.startswith("4 leaks run")


def test_a_leak_that_is_older_than_what_a_night_looks_at_is_followed_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three days are enough to find one; when it began is looked for further back."""
    monkeypatch.setattr(leak_service, "DAYS", 3)
    server.until(plumbing.TODAY + 3)
    found = {one.flow.point: one.flow for one in server.leaks.find(OPEN)[0]}

    assert {name: (one.since, one.at_least) for name, one in found.items()} == {
        name: (plumbing.day(begins), begins == 0) for name, (_rate, begins) in plumbing.LEAKS.items()
    }


def flow(first: str, nights: tuple[float, ...], since: str, rate: float = 0.02, **more: Any) -> Flowing:
    one = Flowing("P1", Medium.WATER, True, since, True, "", rate, 0.001, rate / 0.005, first, nights)
    return attrs.evolve(one, **more)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Leakbook]:
    one = Leakbook(tmp_path / "leaks.sqlite", lambda *_: None)
    one.open()
    yield one
    one.close()


def test_nights_that_are_not_kept_any_more_stay_in_the_sum(book: Leakbook) -> None:
    """A leak of half a year: the picture is bounded, the amount is not; its beginning stays."""
    start = date(2026, 1, 1)
    for n in range(180):
        first = max(start, start + timedelta(days=n - 19))
        day = (start + timedelta(days=n + 1)).isoformat()
        book.enter([flow(first.isoformat(), (0.02,) * min(n + 1, 20), first.isoformat())], LeakNight(day), n)
    found = book.of_point("P1")

    assert found.flow.since == "2026-01-01"
    assert len(found.flow.nights) == NIGHTS_KEPT
    assert found.quantity == pytest.approx(180 * 24 * 0.02)


def test_what_somebody_called_usual_is_new_again_when_it_has_grown(book: Leakbook) -> None:
    book.enter([flow("2026-01-01", (0.02,) * 4, "2026-01-01")], LeakNight("2026-01-05"), 1)
    book.decide(VERA, 1, None, LeakState.USUAL, "")
    book.enter([flow("2026-01-02", (0.02,) * 4, "2026-01-02", 0.025)], LeakNight("2026-01-06"), 2)
    same = book.one(1).state
    book.enter([flow("2026-01-03", (0.05,) * 4, "2026-01-03", 0.05)], LeakNight("2026-01-07"), 3)
    grown = book.one(1)

    assert same is LeakState.USUAL
    assert grown.state is LeakState.NEW
    assert grown.changes[-1].who == "examination"
    assert detail_of(grown) == "P1 never takes less than 50.0 l/h since 2026-01-01: 5.8 m³ so far"


def test_another_leak_at_the_same_point_is_another_one(book: Leakbook) -> None:
    book.enter([flow("2026-01-01", (0.02,) * 4, "2026-01-01")], LeakNight("2026-01-05"), 1)
    book.enter([flow("2026-01-01", (0.02,) * 4 + (0.0,), "2026-01-01", runs=False, stopped="2026-01-05")],
               LeakNight("2026-01-06"), 2)
    book.enter([flow("2026-01-05", (0.0, 0.03, 0.03, 0.03), "2026-01-06", at_least=False)], LeakNight("2026-01-09"), 3)

    assert book.one(1).state is LeakState.OVER
    assert book.one(1).quantity == pytest.approx(4 * 24 * 0.02)
    assert book.of_point("P1").number == 2


def test_what_is_always_on_at_one_point_is_known_without_a_night(server: Server) -> None:
    """By its own hours; water has none, and who never reports has none."""
    found = server.leaks.standby("E-busy")

    assert found is not None
    assert found.point == "E-busy"
    assert found.power == pytest.approx(0.12, abs=0.005)
    assert 0.1 < found.share < 0.9
    assert [server.leaks.standby(name) for name in ("W-old", "E-silent", "nobody")] == [None, None, None]
