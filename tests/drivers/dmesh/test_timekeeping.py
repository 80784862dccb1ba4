"""Clocks: judged, slewed or stepped; what goes back over stored hours is never silent."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed

from scada.clock import HOUR_S
from scada.drivers.dmesh import messages
from scada.drivers.dmesh.messages import LinkStat, Pong, TimeSet
from scada.drivers.dmesh.module_clocks import SIZE, ModuleClocks, Tolerance
from scada.drivers.dmesh.numbers import ClockMode
from scada.drivers.dmesh.simulator import clocks
from scada.drivers.dmesh.simulator.clocks import ModuleCrystals, SlewedClock
from scada.drivers.dmesh.timekeeping import MOST_HOURS, SLEW_LIMIT_S, ClockRecord, Measure, decide, measured
from scada.errors import StorageError
from scada.events import DeviceEvent, EventCode
from scada.intervals import MISSING, IntervalStatus
from tests.drivers.dmesh.peers import HOUR, Bench, Wire, bench, record
from tests.drivers.dmesh.test_simulator_session import bench as sessions
from tests.fakes import NOON
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
seconds = st.floats(-3 * HOUR_S, 3 * HOUR_S) | st.floats(-5e9, 5e9)


# ------------------------------------------------------------------------------------------------ what is decided
@given(offset=seconds, within=st.floats(0, 4), held=st.none() | st.integers(HOUR - 3, HOUR + 3), at=st.floats(0, 7200))
def test_a_clock_never_goes_back_over_stored_hours_without_an_event(
    offset: float, within: float, held: int | None, at: float
) -> None:
    """Whatever the clock shows, and whatever is known of what is stored."""
    measure = Measure(NOON + at, offset, within)
    plan = decide(measure, "C01", held)
    doubtful = [
        hour for hour in range(int(measure.at // HOUR_S), int(measure.at // HOUR_S) + MOST_HOURS)
        if (hour + 1) * HOUR_S <= measure.theirs and (held is None or hour < held)
    ] if offset > 0 else []

    if plan.mode is ClockMode.STEP:
        assert plan.code is (EventCode.CLOCK_SET_BACK if doubtful else EventCode.CLOCK_SET)
        assert list(plan.hours) == doubtful
        assert plan.detail.startswith("C01: ")
    else:
        assert abs(offset) - within <= SLEW_LIMIT_S
        assert (plan.code, list(plan.hours)) == (None, [])


@given(offset=st.floats(-SLEW_LIMIT_S, SLEW_LIMIT_S))
def test_half_a_minute_is_slewed_and_not_a_step(offset: float) -> None:
    """Also at the edge of an hour."""
    assert decide(Measure(NOON, offset, 0.0), "C01", None).mode is ClockMode.SLEW


def test_the_event_names_from_when_to_when_and_the_hours() -> None:
    """For people, in UTC, and in order."""
    back = decide(Measure(NOON + 60, 2 * HOUR_S, 0.1), "C01", HOUR + 1)
    lost = decide(Measure(NOON + 60, 120.0 - NOON, 0.1), "C01", HOUR)

    assert back.detail == (
        "C01: clock set back from 2026-01-01 12:01:00 UTC to 2026-01-01 10:01:00 UTC over stored hours: "
        "2026-01-01 10:00 - 2026-01-01 11:00, marked as doubtful"
    )
    assert lost.detail == "C01: clock was lost, set from 1970-01-01 00:03:00 UTC to 2026-01-01 10:01:00 UTC"


def test_a_peer_that_knows_only_seconds_leaves_half_of_one_open() -> None:
    """Half of the round trip on top; milliseconds leave only that."""
    assert measured(NOON, 0.2, NOON, 0, trusted=True) == Measure(NOON + 0.1, pytest.approx(0.4), pytest.approx(0.6))
    assert measured(NOON, 0.2, NOON, 100, trusted=True) == Measure(
        NOON + 0.1, pytest.approx(0.0, abs=1e-6), pytest.approx(0.1)
    )


# --------------------------------------------------------------------------------------------------- the rates
@pytest.mark.parametrize("ppm", [-80.0, -5.0, 0.0, 20.0, 300.0])
def test_the_rate_is_found_though_the_clock_is_set_right_every_hour(ppm: float) -> None:
    """Every seventh comparison is off by seconds (a bad round trip): the median does not follow it."""
    clock, found = SlewedClock(ppm, NOON, 12.0), ClockRecord()
    dice = np.random.default_rng(1)
    for hour in range(24):
        now = NOON + hour * HOUR_S
        bad = 3.0 if hour % 7 == 3 else 0.0
        offset = clock.offset(now) + dice.normal(0, 0.01) + bad
        found.take(Measure(now, offset, 0.05))
        clock.slew(-offset)
        found.ordered(ClockMode.SLEW, offset)

    assert found.drift == pytest.approx(ppm, abs=8.0)


def test_no_rate_is_told_from_two_hours_and_none_from_before_a_step() -> None:
    """A first judgement takes three hours; a step begins anew."""
    found = ClockRecord()
    for hour in range(3):
        found.take(Measure(NOON + hour * HOUR_S, 0.001 * hour, 0.01))
    early = found.drift
    found.take(Measure(NOON + 3 * HOUR_S, 0.003, 0.01))
    late = found.drift
    found.ordered(ClockMode.STEP, 0.0)
    found.take(Measure(NOON + 4 * HOUR_S, -500.0, 0.01))

    assert np.isnan(early)
    assert late == pytest.approx(0.278, abs=0.01)
    assert found.drift == late
    assert found.steps == 1


def test_who_knows_only_seconds_is_judged_later() -> None:
    """Half a second open at both ends is 50 ppm only after half a day or so."""
    found = ClockRecord()
    told = []
    for hour in range(10):
        found.take(Measure(NOON + hour * HOUR_S, 0.5, 0.6))
        told.append(found.drift)

    assert np.isnan(told[:8]).all()
    assert told[-1] == 0.0


def stats(hour: float, offsets: dict[int, float]) -> list[LinkStat]:
    heard = int(NOON + hour * HOUR_S)
    return [LinkStat(one, 1, 0, -70, -70, 990, 9, 4, 3600, 3500, heard, round(1000 * off)) for one, off in offsets.items()]


def test_a_module_that_its_concentrator_sets_right_shows_its_rate_and_no_jump() -> None:
    """Module 1 gains 0.36 s an hour and is set right once; module 2 keeps time; 3 was heard once."""
    found, allowed = ModuleClocks(), Tolerance(10.0, 90.0)
    for hour, off in enumerate((1.0, 1.36, 0.0, 0.36, 0.72)):
        found.take(stats(hour, {1: off, 2: 0.5} | ({3: 11.0} if hour == 0 else {})))

    assert found.drift[1] == pytest.approx(100.0, abs=0.5)
    assert found.drift[2] == 0.0
    assert np.isnan(found.drift[3])
    assert np.flatnonzero(found.beyond(allowed)).tolist() == [1, 3]
    assert found.worst(allowed, 9).tolist() == [1, 3, 2]


def test_another_owner_of_an_index_starts_without_a_past() -> None:
    """The list of modules says who it is."""
    found, euis = ModuleClocks(), np.arange(SIZE, dtype=np.uint64)
    found.follow(euis)
    drifts = []
    for hour in range(4):
        found.take(stats(hour, {1: 5.0, 2: 5.0}))
        drifts.append(found.drift[2])                       # looked at between the news
    other = euis.copy()
    other[1] = 999
    found.follow(other)

    assert np.isnan(found.offset[1])
    assert found.offset[2] == 5.0
    assert np.isnan(drifts[:2]).all()
    assert drifts[2:] == [0.0, 0.0]
    assert np.isnan(found.drift[1])
    assert found.drift[2] == 0.0


# ------------------------------------------------------------------------------------------- the simulated clock
@given(
    ppm=st.floats(-40, 40), orders=st.lists(st.tuples(st.floats(0.1, 3000), st.floats(-60, 60)), min_size=1, max_size=20)
)
def test_a_slewed_clock_never_goes_back_and_never_runs_faster_than_it_may(
    ppm: float, orders: list[tuple[float, float]]
) -> None:
    """Orders come in the middle of others."""
    clock, now = SlewedClock(ppm, 0.0), 0.0
    for passed, correction in orders:
        before = clock.read(now)
        clock.slew(correction)
        after = clock.read(now + passed)
        now += passed

        assert after - before > 0
        assert abs(after - before - passed) <= (clocks.SLEW_RATE + abs(ppm) * 1e-6) * passed + 1e-9


def test_a_concentrator_slews_modules_that_are_more_than_two_seconds_off() -> None:
    """A crystal of 400 ppm is never far off, and the others neither."""
    found = ModuleCrystals(np.arange(1, 5), NOON, np.random.default_rng(3))
    found.hurry(2, 400.0)
    seen = np.array([found.offsets(NOON + hour * HOUR_S) for hour in range(48)])

    assert np.abs(seen).max() < clocks.CORRECT_S + 1.6
    assert np.diff(seen[:, 1]).max() > 1.0


def test_a_late_time_set_puts_the_clock_right_all_the_same() -> None:
    """It tells what was measured: a message that waited four seconds does not make the clock four seconds slow."""
    one = sessions()
    _, peer = one.session()
    one.state.clock.step(-7.0)
    peer.ask(TimeSet(NOON - 4, ClockMode.SLEW, 80, 0, 7000))

    assert one.state.clock.offset(NOON + HOUR_S) == pytest.approx(0.0, abs=0.3)


# ------------------------------------------------------------------------------------------------- in the driver
def ahead(site: Bench, seconds: int) -> Wire:
    """A concentrator that is ahead until it has been set."""
    wire = Wire(site.service)
    off = [seconds]

    def taken(order: TimeSet) -> messages.Result:
        off[0] = 0
        return messages.Result(0)

    wire.replies[messages.Ping] = lambda ping: Pong(ping.time, ping.time + off[0], True, 1)
    wire.replies[TimeSet] = taken
    return wire


def listen(site: Bench, result: "Deferred[None] | None" = None) -> list[DeviceEvent]:
    told: list[DeviceEvent] = []

    def hear(events: Any) -> "Deferred[None]":
        told.extend(events)
        return result or succeed(None)

    site.service.on_events(hear)
    return told


def test_set_back_over_stored_hours_is_told_and_marks_them(tmp_path: Path) -> None:
    """Two hours ahead, and nobody knows what is on its way: both hours of every channel are in doubt."""
    site = bench(tmp_path)
    told = listen(site)
    wire = ahead(site, 2 * HOUR_S).shake()
    (marked,) = site.store.blocks

    assert [(one.device, one.code, one.raised) for one in told] == [("C01", EventCode.CLOCK_SET_BACK, True)]
    assert [(one.mode, one.correction_ms) for one in wire.said(TimeSet)] == [(ClockMode.STEP, -7_200_001)]
    assert (marked.first, marked.counts.shape) == (HOUR, (3, 2))
    assert (marked.counts == MISSING).all()
    assert (marked.status == IntervalStatus.CLOCK_INVALID).all()
    assert marked.provenance.record == 0
    assert site.value("C01-time/offset") == pytest.approx(0.0, abs=0.01)
    assert site.value("C01-time/steps") == 1


def test_a_step_that_cannot_be_told_is_not_made(tmp_path: Path) -> None:
    """The disk of the alarms refuses: the clock stays wrong, and nothing is silent."""
    site = bench(tmp_path)
    listen(site, fail(StorageError("the disk is full")))
    wire = ahead(site, 2 * HOUR_S).shake()

    assert wire.said(TimeSet) == []
    assert site.store.blocks == []


def test_when_nothing_is_stored_between_a_step_back_is_an_event_like_any_other(tmp_path: Path) -> None:
    """Its archive is here, and ends before: nothing is in doubt."""
    site = bench(tmp_path)
    told = listen(site)
    wire = Wire(site.service)
    wire.peer.hello = attrs.evolve(wire.peer.hello, newest=1)
    wire.shake()
    wire.say(record(1))
    wire.replies[messages.Ping] = lambda ping: Pong(ping.time, ping.time + 2 * HOUR_S, True)
    before = len(site.store.blocks)
    for _ in range(400):
        site.reactor.advance(10.0)
        wire.say(messages.Ping(1))

    assert {one.code for one in told} == {EventCode.CLOCK_SET}
    assert len(site.store.blocks) == before


def test_a_wrong_module_clock_is_counted_and_shown(tmp_path: Path) -> None:
    """The tags have limits, so it is an alarm; the view names the module."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    wire.say(messages.LinkStats(0, 1, NOON, tuple(stats(0, {1: 12.5, 2: -0.5}))))
    view = site.service.clocks("C01")

    assert site.value("C01-time/modules_beyond") == 1
    assert site.value("C01-time/module_offset") == 12.5
    assert view is not None
    assert [(one.index, one.beyond) for one in view.worst] == [(1, True), (2, False)]
    limits = {one.point: one.limits for one in site.bus.devices()["C01-time"].tags}
    assert limits["modules_beyond"] is not None


def test_a_concentrator_that_never_tells_of_module_clocks_has_no_wrong_ones(tmp_path: Path) -> None:
    """The field is 0 for everybody: nothing is known, and nothing is claimed."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    wire.say(messages.LinkStats(0, 1, NOON, tuple(stats(0, {1: 0.0, 2: 0.0}))))

    assert np.isnan(site.value("C01-time/modules_beyond"))


# ------------------------------------------------------------------------------------------------- end to end
@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A driver with its historian, a concentrator whose clock is wrong in two ways, real TCP."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.drivers.dmesh.keep_time", str(free_port()), str(tmp_path_factory.mktemp("time"))],
        cwd=ROOT, text=True, capture_output=True, timeout=60, check=False,
    )
    assert ran.stdout.startswith("{"), ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def test_a_slewed_concentrator_comes_nearer_in_small_steps(outcome: Any) -> None:
    """12 s behind: a second later it is nearer by a hundredth of a second, not by twelve."""
    before, after, passed = outcome["slewed"]

    assert outcome["measured"] == pytest.approx(-12.0, abs=0.2)
    assert 0 < after - before <= 0.01 * passed + 0.001
    assert outcome["told_first"] == []


def test_a_concentrator_two_hours_ahead_is_set_back_with_an_event_and_its_hours_marked(outcome: Any) -> None:
    """The hours that it archived too early are stored, and bear CLOCK_INVALID."""
    assert outcome["told"] == [["C01", EventCode.CLOCK_SET_BACK]]
    assert abs(outcome["offset"]) < 0.2
    assert outcome["marked"]
    assert all(one & IntervalStatus.CLOCK_INVALID for one in outcome["marked"])
