"""The balancing service: every second per transformer, every hour and day per group, also after trouble."""

import attrs
import numpy as np
import pytest
from twisted.logger import globalLogPublisher

from scada.balancing.compute import DAY_S
from scada.clock import HOUR_S, NS
from scada.errors import StartError
from scada.intervals import IntervalStatus
from scada.site import Medium, MeterPeriod, Point
from scada.tags import Batch, Quality
from tests.balancing.world import FEED, METER, World, estate
from tests.metering.world import HOUR, house

BALANCED = (1000.0,) * 3 + (0.0,) * 3 + (1000.0,) * 3 + (5.0,) * 3
ONE_PHASE = (23_000.0, 0.0, 0.0) + (0.0,) * 3 + (23_000.0, 0.0, 0.0) + (100.0, 0.0, 0.0)


def hour_passes(world, register, used, *, delivered=True):
    """The meter is read just before and just after the next full hour; the members deliver theirs."""
    nxt = world.clock.hour() + 1
    world.until(nxt, -1)
    world.read(register)
    world.until(nxt, 1)
    world.read(register)
    if delivered:
        for n, pulses in enumerate(used):
            world.intervals.deliver(n + 1, 0, nxt - 1, [pulses])
    world.settle()


# ---------------------------------------------------------------------------------------------- every second
def test_a_transformer_is_computed_once_a_second_from_one_snapshot():
    """Three equal phases of 1 kW at a nameplate of 100 kVA."""
    world = World().start()
    world.read(100.0, phases=BALANCED)
    world.settle()

    assert world.tag("T01/power_active_total")[0] == 3000.0
    assert world.tag("T01/power_active_l2")[0] == 1000.0
    assert world.tag("T01/power_apparent_total")[0] == 3000.0
    assert world.tag("T01/loading")[0] == pytest.approx(3.0)
    assert world.tag("T01/imbalance_i2_i1")[0] == pytest.approx(0.0, abs=1e-9)
    assert world.tag("T01/imbalance_max_deviation")[0] == 0.0
    assert world.tag("T01/current_neutral_calc")[0] == pytest.approx(0.0, abs=1e-9)


def test_the_figures_carry_the_time_and_the_quality_of_the_meter():
    """A silent meter makes its transformer stale; the last figures stay to be seen."""
    world = World().start()
    world.read(100.0, phases=ONE_PHASE)
    at = world.clock.now()
    world.settle()
    assert world.tag("T01/imbalance_i2_i1") == (pytest.approx(100.0), Quality.GOOD, at)

    world.reactor.advance(31)
    world.bus.sweep()
    world.settle()

    assert world.tag("T01/imbalance_i2_i1")[:2] == (pytest.approx(100.0), Quality.BAD_STALE)
    assert world.tag("T01/loading")[1] is Quality.BAD_STALE


def test_a_meter_that_is_cut_off_makes_its_transformer_so_within_the_second():
    """The driver knows at once; nobody waits for the figures to grow old."""
    world = World().start()
    world.read(100.0, phases=ONE_PHASE)
    world.settle()

    world.bus.disconnected("T01-meter")
    world.settle(1)

    assert world.tag("T01/power_active_total")[:2] == (23_000.0, Quality.BAD_NOT_CONNECTED)


def test_what_did_not_move_is_not_published_again():
    """A meter polled every ten seconds must not fill the history ten times."""
    world = World().start()
    world.read(100.0, phases=BALANCED)
    world.settle(10)

    assert len([batch for batch in world.batches if batch.device == "T01"]) == 1


def test_without_load_the_shares_say_that_there_is_none():
    """NaN with a reason; the powers are good zeros."""
    world = World().start()
    world.read(100.0)
    world.settle()

    value, quality, _ = world.tag("T01/imbalance_i2_i1")
    assert np.isnan(value)
    assert quality is Quality.BAD_OUT_OF_RANGE
    assert world.tag("T01/power_active_total")[:2] == (0.0, Quality.GOOD)


def test_a_meter_without_reactive_power_still_gives_all_that_needs_no_angle():
    """The figures that cannot be made say so, and only they."""
    world = World()
    short = attrs.evolve(METER, name="small", tags=tuple(tag for tag in METER.tags if "reactive" not in tag.point))
    world.site = attrs.evolve(world.site, transformers=(attrs.evolve(world.site.transformers[0], meter="small"),))
    world.registry.replace(world.site)
    world.bus.add_device(short)
    world.start()
    world.bus.publish(batch_now("small", [*BALANCED[:3], *BALANCED[6:], 5.0], world))
    world.settle()

    assert world.tag("T01/imbalance_i2_i1")[1] is Quality.BAD_CONFIG
    assert world.tag("T01/imbalance_max_deviation")[:2] == (0.0, Quality.GOOD)
    assert world.tag("T01/loading")[1] is Quality.GOOD


def batch_now(device, values, world):
    now = world.clock.now()
    return Batch(device, np.array(values), np.zeros(len(values), np.uint8), now, now)


def test_loading_and_imbalance_carry_their_limits():
    """The alarm service finds them in the tag's definition."""
    world = World().start()
    world.settle()

    limits = {tag.point: tag.limits for tag in world.bus.devices()["T01"].tags if tag.limits}
    assert (limits["loading"].high, limits["loading"].high_high) == (100.0, 120.0)
    assert "imbalance_i2_i1" in limits
    group = {tag.point: tag.limits for tag in world.bus.devices()["BG-1"].tags if tag.limits}
    assert (group["imbalance_percent"].low, group["imbalance_percent"].high) == (-10.0, 18.0)      # 8 % are lost as usual


# ------------------------------------------------------------------------------------------------ every hour
def test_a_whole_hour_is_balanced_stored_and_shown():
    """10 kWh in, 5 + 4 out: 1 kWh or 10 % is missing."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000, 4000))

    row = world.table()[HOUR + 1]
    assert row["feed"] == pytest.approx(10.0)
    assert row["members"] == pytest.approx(9.0)
    assert row["imbalance"] == pytest.approx(1.0)
    assert row["imbalance_percent"] == pytest.approx(10.0)
    assert row["completeness"] == 1.0
    assert row["version"] == 1.0
    assert row["uncertainty"] == pytest.approx(np.sqrt(2 * 0.01**2 + 0.1**2 + 0.05**2 + 0.04**2 + 2 * 0.001**2), rel=1e-6)
    assert world.tag("BG-1/imbalance") == (pytest.approx(1.0), Quality.GOOD, (HOUR + 2) * HOUR_S * NS)
    assert world.tag("BG-1/completeness")[0] == 100.0


def test_a_missing_member_leaves_the_hour_incomplete_until_it_comes():
    """No imbalance is named before, and the version tells that the row was computed anew."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000,))
    partial = world.table()[HOUR + 1]

    world.intervals.deliver(2, 0, HOUR + 1, [4000])
    world.settle()
    whole = world.table()[HOUR + 1]

    assert (partial["completeness"], partial["members"], partial["feed"]) == (0.5, pytest.approx(5.0), pytest.approx(10.0))
    assert np.isnan(partial["imbalance"])
    assert np.isnan(partial["uncertainty"])
    assert whole["imbalance"] == pytest.approx(1.0)
    assert whole["version"] > partial["version"]


def test_the_bus_keeps_the_newest_whole_hour_while_the_next_is_incomplete():
    """A balance that flaps to bad every hour is of no use to a control room; the completeness tells."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000, 4000))
    hour_passes(world, 1020.0, (5000,))

    assert world.tag("BG-1/imbalance")[0] == pytest.approx(1.0)
    assert world.tag("BG-1/completeness")[0] == 50.0


def test_members_that_come_before_the_feeds_edge_are_balanced_when_it_comes():
    """The concentrator may be faster than the next reading of the meter."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    world.until(HOUR + 2, -1)
    world.read(1010.0)
    world.until(HOUR + 2, 1)
    for n, pulses in enumerate((5000, 4000)):
        world.intervals.deliver(n + 1, 0, HOUR + 1, [pulses])
    world.settle()
    assert np.isnan(world.table()[HOUR + 1]["imbalance"])

    world.read(1010.01)
    world.settle()

    assert world.table()[HOUR + 1]["imbalance"] == pytest.approx(1.0, abs=0.02)


def test_a_gap_of_the_feeds_meter_costs_certainty_not_the_hour():
    """Forty minutes without Modbus around the full hour: interpolated, and the doubt says how far."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    world.until(HOUR + 1, 2400)
    world.read(1010.0)
    world.until(HOUR + 2, 1200)
    world.read(1020.0)
    for n in range(2):
        world.intervals.deliver(n + 1, 0, HOUR + 1, [7000])
    world.settle()

    row = world.table()[HOUR + 1]
    assert row["feed"] == pytest.approx(15.0)
    assert row["uncertainty"] > 5.0


def test_a_gap_beyond_the_limit_is_no_feed_and_a_day_across_it_still_is():
    """Eight hours of silence: their single hours are not known, what went through in the whole day is."""
    start = HOUR - HOUR % 24 + 22                           # a winter midnight in Chisinau
    world = World(start=(start - 1) * HOUR_S).start()
    hour_passes(world, 1000.0, (0, 0))
    for hour in range(24):
        if not 6 <= hour < 14:
            hour_passes(world, 1001.0 + hour, (500, 500))
        else:
            world.until(start + hour + 1, 1)
            for n in range(2):
                world.intervals.deliver(n + 1, 0, start + hour, [500])
            world.settle()

    hours, day = world.table(), world.table(DAY_S)[start]
    assert np.isnan(hours[start + 8]["feed"])
    assert hours[start + 3]["imbalance"] == pytest.approx(0.0, abs=1e-6)
    assert day["feed"] == pytest.approx(24.0)
    assert day["members"] == pytest.approx(24.0)
    assert day["completeness"] == 1.0
    assert day["imbalance"] == pytest.approx(0.0, abs=1e-6)


def test_hours_that_closed_while_the_server_was_down_are_computed_after_it():
    """The members' archives came before the restart was over; the register is interpolated across the gap."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    world.stop()
    world.until(HOUR + 3, 600)
    for n in range(2):
        world.intervals.deliver(n + 1, 0, HOUR + 1, [5000, 5000])
    world.restart()
    assert np.isnan(world.table()[HOUR + 1]["imbalance"])

    world.read(1025.0)
    world.settle()

    row = world.table()[HOUR + 1]
    assert row["completeness"] == 1.0
    assert row["feed"] == pytest.approx(25.0 * 3599 / (2 * 3600 + 601))
    assert row["uncertainty"] > 5.0


def test_edges_that_only_the_history_knows_are_found_there():
    """A crash between the reading and its storing must not lose the hour."""
    world = World()
    for hour, register in ((HOUR - 2, 500.0), (HOUR - 1, 512.0)):
        world.live.keep(FEED, (hour * HOUR_S - 2) * NS, register, Quality.GOOD)
        world.live.keep(FEED, (hour * HOUR_S - 1) * NS, 9e3, Quality.BAD_NOT_CONNECTED)
        world.live.keep(FEED, (hour * HOUR_S + 1) * NS, 9e3, Quality.BAD_NOT_CONNECTED)
        world.live.keep(FEED, (hour * HOUR_S + 2) * NS, register, Quality.GOOD)
    for n in range(2):
        world.intervals.deliver(n + 1, 0, HOUR - 2, [6000])
    world.start()

    assert world.table()[HOUR - 2]["feed"] == pytest.approx(12.0)
    assert world.table()[HOUR - 2]["imbalance"] == pytest.approx(0.0, abs=1e-9)
    assert ("register", FEED, HOUR_S) in world.results.rows


def test_the_same_commit_twice_changes_no_version():
    """At-least-once delivery must not look like a correction."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000, 4000))
    puts = len(world.results.puts)
    world.batches.clear()

    world.intervals.deliver(1, 0, HOUR + 1, [5000])
    world.settle()

    assert len(world.results.puts) == puts
    assert not [batch for batch in world.batches if batch.device == "BG-1"]


def test_local_generation_makes_a_negative_feed_and_a_negative_imbalance():
    """The register runs back by 8 kWh while the flats use 2: 10 kWh come from their roofs."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 992.0, (1000, 1000))

    row = world.table()[HOUR + 1]
    assert (row["feed"], row["imbalance"]) == (pytest.approx(-8.0), pytest.approx(-10.0))
    assert row["imbalance_percent"] == pytest.approx(-125.0)


def test_a_feed_can_be_a_metering_point():
    """A water meter at the house's entry counts pulses like everybody else."""
    site = house(3, 100.0, Medium.WATER)
    group = attrs.evolve(
        estate().balance_groups[0], medium=Medium.WATER, feed_tag="", feed_point="P2", members=("P0", "P1")
    )
    world = World(attrs.evolve(site, balance_groups=(group,))).start()
    world.until(HOUR + 1, 60)
    for n, pulses in enumerate((100, 200, 350)):
        world.intervals.deliver(n + 1, 0, HOUR, [pulses])
    world.settle()

    row = world.table()[HOUR]
    assert (row["feed"], row["members"], row["imbalance"]) == (3.5, 3.0, pytest.approx(0.5))
    assert next(tag.unit for tag in world.bus.devices()["BG-1"].tags if tag.point == "feed") == "m³"


def test_a_member_with_a_dead_line_makes_the_hour_incomplete():
    """Its zero pulses are not its consumption."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000,))
    world.intervals.deliver(2, 0, HOUR + 1, [0], status=int(IntervalStatus.OPEN_CIRCUIT))
    world.settle()

    assert world.table()[HOUR + 1]["completeness"] == 0.5
    assert np.isnan(world.table()[HOUR + 1]["imbalance"])


def test_a_member_the_registry_does_not_know_is_missing_not_forgotten():
    """Otherwise its consumption would be presented as a loss."""
    world = World(estate(members=("P0", "P1", "P9"))).start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000, 4000))

    assert world.table()[HOUR + 1]["completeness"] == pytest.approx(2 / 3)


def test_a_group_that_gets_a_member_is_computed_anew():
    """The engineer sees at once what the change makes of the last days."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000, 4000))
    site = attrs.evolve(
        world.site,
        points=(*world.site.points, Point("P2", Medium.ELECTRICITY)),
        meters=(*world.site.meters, MeterPeriod("S2", "P2", 3, 0, 1000.0, HOUR - 1000)),
        balance_groups=(attrs.evolve(world.site.balance_groups[0], members=("P0", "P1", "P2")),),
    )
    world.intervals.deliver(3, 0, HOUR + 1, [1000])
    world.registry.replace(site)
    world.settle()

    row = world.table()[HOUR + 1]
    assert row["imbalance"] == pytest.approx(0.0, abs=1e-9)
    assert row["version"] == 2.0


def test_what_cannot_be_stored_stays_due():
    """A full disk for a while: said in the health, one line without a traceback in the log, and made good afterwards."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    world.results.broken = True
    heard = []
    globalLogPublisher.addObserver(heard.append)
    try:
        hour_passes(world, 1010.0, (5000, 4000))
        world.settle(30)
    finally:
        globalLogPublisher.removeObserver(heard.append)
    assert [("log_failure" in event, "stays due" in event["log_format"]) for event in heard] == [(False, True)]
    assert [health.ok for health in world.service.health()] == [False]
    assert HOUR + 1 not in world.table()

    world.results.broken = False
    world.settle(12)

    assert world.table()[HOUR + 1]["imbalance"] == pytest.approx(1.0)
    assert [health.ok for health in world.service.health()] == [True]


# ------------------------------------------------------------------------------------------------- every day
@pytest.mark.parametrize(("first", "hours"), [(492_982, 23), (498_021, 25)])
def test_days_of_23_and_25_hours_are_whole_days(first, hours):
    """Chisinau on 29 March and 25 October 2026, from local midnight to local midnight."""
    world = World(start=(first - 1) * HOUR_S).start()
    hour_passes(world, 1000.0, (0, 0))
    for hour in range(hours):
        hour_passes(world, 1010.0 + 10 * hour, (5000, 4000))

    days = world.table(DAY_S)
    assert days[first]["feed"] == pytest.approx(10.0 * hours)
    assert days[first]["members"] == pytest.approx(9.0 * hours)
    assert days[first]["imbalance"] == pytest.approx(1.0 * hours)
    assert days[first]["completeness"] == 1.0
    assert sorted(days)[-1] == first


def test_the_running_day_is_shown_as_far_as_it_is_there():
    """One hour of 24 has passed."""
    first = HOUR - HOUR % 24 + 22
    world = World(start=(first - 1) * HOUR_S).start()
    hour_passes(world, 1000.0, (0, 0))
    hour_passes(world, 1010.0, (5000, 4000))

    day = world.table(DAY_S)[first]
    assert day["completeness"] == pytest.approx(1 / 24)
    assert np.isnan(day["feed"])
    assert np.isnan(day["imbalance"])


# ------------------------------------------------------------------------------------------- start and stop
def test_a_half_hour_zone_is_refused_at_the_start_with_a_remedy():
    """Not wrong days for years."""
    with pytest.raises(StartError, match=r"site\.timezone"):
        World(timezone="Asia/Kolkata").service.start()


def test_stop_leaves_nothing_behind():
    """No delayed call survives, with news waiting or without."""
    world = World().start()
    world.intervals.deliver(1, 0, HOUR - 1, [1000])

    world.stop()

    assert [call for call in world.reactor.getDelayedCalls() if call.getTime() > world.reactor.seconds()] == []
