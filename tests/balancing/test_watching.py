"""The watch on a real bus with the real book: heat as tags and kept, faults as alarms, voltages of ten minutes."""

import attrs
import numpy as np
import pytest

from scada.alarms.service import AlarmService
from scada.balancing.watching import PER_TURN, WatchService
from scada.bus import TagBus
from scada.clock import NS
from scada.ports import Priority
from scada.settings import TransformerSettings
from scada.site import Site, Transformer
from scada.tags import Batch, Device, Quality, TagDef
from tests.alarms.test_service import Field, MemoryAudit
from tests.fakes import InlinePool, LoopClock, site_clock
from tests.metering.world import FixedRegistry

POINTS = (*(f"voltage_l{n}_n" for n in (1, 2, 3)), *(f"current_l{n}" for n in (1, 2, 3)))
METER = Device("T01-meter", tuple(TagDef(point, stale_after=30 * NS) for point in POINTS), ("Transformer",))
RISER = attrs.evolve(METER, name="riser-7", area="south")
OUTDOORS = Device("Weather", (TagDef("temperature", "°C"),))
SITE = Site(transformers=(Transformer("T01", "", 100.0, "north", "T01-meter"),))
RATED = 100_000.0 / 690.0                   # A


class World:
    def __init__(self, folder, rate=1.0, **settings):
        self.folder, self.settings = folder, TransformerSettings(**settings)
        self.reactor = LoopClock()
        self.clock = site_clock(self.reactor, rate=rate)
        self.build()

    def build(self):
        bus, registry, pool = TagBus(self.clock, self.reactor), FixedRegistry(SITE), InlinePool()
        self.bus, self.registry = bus, registry
        for device in (METER, RISER, OUTDOORS):
            bus.add_device(device)
        self.batches = []
        bus.subscribe(self.batches.extend, name="test")
        self.alarms = AlarmService(
            bus, Field(), registry, MemoryAudit(), bus.of("alarms"), self.clock, self.reactor, self.folder, pool
        )
        self.watch = WatchService(
            self.settings, registry, bus, self.alarms, bus.of("watching"), self.clock, self.reactor, self.folder, pool
        )
        self.parts = (self.alarms, self.watch)
        for part in self.parts:
            assert part.start().called
        self.changes = []
        self.alarms.subscribe(self.changes.append)

    def restart(self, away=0):
        for part in reversed(self.parts):
            assert part.stop().called
        self.reactor.advance(away)
        self.build()

    def seconds(self, count, loading=0.5, volts=(230.0, 231.0, 229.0), riser=None, quality=Quality.GOOD):
        for _ in range(count):
            now = self.clock.now()
            for name, row in (("T01-meter", volts), ("riser-7", riser or volts)):
                values = np.array([*row, *([loading * RATED] * 3)])
                self.bus.publish(Batch(name, values, np.full(6, quality, np.uint8), now, now))
            self.reactor.advance(1.0)

    def get(self, tag):
        value, quality, _at = self.bus.snapshot().get(tag)
        return value, quality

    def said(self):
        return [(one.source, one.kind, one.state.value) for one in self.changes if one.kind.startswith("safety_")]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_the_heat_of_a_transformer_is_tags_beside_its_figures(world):
    """Half of the rated load at 20 °C: what the equations say of the steady state, uncertain while the past is unknown."""
    world.seconds(15)
    oil, quality = world.get("T01.thermal/top_oil")

    assert oil == pytest.approx(20 + 55 * (2.25 / 6) ** 0.8, abs=0.1)
    assert quality == Quality.UNCERTAIN_ESTIMATED
    assert world.get("T01.thermal/minutes_left") == (2880.0, Quality.UNCERTAIN_ESTIMATED)
    assert world.get("T01.thermal/loading_phase") == (pytest.approx(50.0), Quality.GOOD)
    assert world.bus.devices()["T01.thermal"].path == ("Transformer", "T01")


def test_heat_stays_fresh_where_the_site_s_time_runs_faster(tmp_path):
    """It is computed in real time: between two of its values a fast demo lives through ten minutes."""
    world = World(tmp_path, rate=60.0)
    world.seconds(15)
    world.reactor.advance(9.0)
    world.bus.sweep()

    assert world.get("T01.thermal/top_oil")[1] == Quality.UNCERTAIN_ESTIMATED


def test_heat_is_kept_over_a_restart(world):
    """Ten minutes of twice the load, then a restart: warmer than rest, cooler than the end, and it goes on from there."""
    world.seconds(15)
    world.seconds(600, loading=2.0)
    before = world.get("T01.thermal/top_oil")[0]
    world.restart(away=5)
    world.seconds(15, loading=2.0)

    assert world.get("T01.thermal/top_oil")[0] == pytest.approx(before, abs=1.0)
    assert before < 60


def test_ten_minutes_are_published_after_a_restart_too(world):
    """The transformers of the kept heat are the same as before; their voltages begin anew."""
    world.seconds(15)
    world.restart(away=5)
    world.seconds(1300)

    assert world.get("T01.voltage/voltage_10min_l1") == (pytest.approx(230.0), Quality.GOOD)
    assert world.watch._failures == 0


def test_a_broken_file_costs_the_past_and_nothing_else(world):
    """Half a file: begun anew."""
    world.seconds(15)
    for part in reversed(world.parts):
        part.stop()
    (world.folder / "heat.json").write_text('{"names": ["T01"], "oil": [5')
    world.build()
    world.seconds(15)

    assert world.get("T01.thermal/top_oil")[0] == pytest.approx(45.0, abs=1.0)


def test_too_hot_is_an_alarm(world):
    """A limit like any other: the hot spot over 140 °C, and no time left."""
    world.seconds(15, loading=1.8)
    kinds = {(one.source, one.kind) for one in world.alarms.active()}

    assert ("T01.thermal/hot_spot", "high_high") in kinds
    assert ("T01.thermal/minutes_left", "low_low") in kinds


def test_the_air_is_a_tag_and_else_the_setting(tmp_path):
    """A thermometer that fails is replaced by the setting."""
    world = World(tmp_path, ambient_celsius=10.0, ambient_tag="Weather/temperature")
    world.seconds(11)
    assert world.get("T01.thermal/ambient")[0] == 10.0
    now = world.clock.now()
    world.bus.publish(Batch("Weather", np.array([35.0]), np.zeros(1, np.uint8), now, now))
    world.seconds(11)

    assert world.get("T01.thermal/ambient")[0] == 35.0


def test_a_broken_neutral_is_one_alarm_with_its_evidence_and_ends(world):
    """At the riser, not at the transformer: which voltages, since when, in which area; it ends when it is mended."""
    world.seconds(10)
    began = world.clock.now()
    world.seconds(60, riser=(320.0, 150.0, 262.0))
    (alarm,) = [one for one in world.alarms.active() if one.kind.startswith("safety_")]
    world.seconds(70)

    assert [(source, kind) for source, kind, _ in world.said()] == [("riser-7", "safety_broken_neutral")] * 2
    assert (alarm.priority, alarm.area) == (Priority.HIGH, "south")
    assert alarm.detail == "L1 320.0 V, L2 150.0 V, L3 262.0 V"
    assert alarm.raised == pytest.approx(began, abs=2 * NS)


def test_a_fault_over_a_restart_is_not_raised_again_and_ends(world):
    """The book remembers; the watch asks it."""
    world.seconds(30, riser=(3.0, 231.0, 229.0))
    world.restart()
    world.seconds(30, riser=(3.0, 231.0, 229.0))
    assert world.said() == []
    world.seconds(40)

    assert [(source, kind) for source, kind, _ in world.said()] == [("riser-7", "safety_lost_phase")]
    assert world.alarms.held("safety_") == ()


def test_bad_values_raise_nothing(world):
    """Zeros and nonsense from a meter that says they are bad."""
    world.seconds(120, volts=(0.0, 400.0, 231.0), quality=Quality.BAD_SENSOR)
    world.seconds(120, volts=(0.0, 400.0, 231.0), quality=Quality.UNCERTAIN_LAST_KNOWN)

    assert world.said() == []


def test_voltages_of_ten_minutes_are_kept_once_and_only_whole(world):
    """The first interval, begun in its middle, may be short; a whole one is the root of the mean square."""
    world.seconds(610 - int(world.clock.now() // NS % 600))
    world.batches.clear()
    for _ in range(30):
        world.seconds(10, volts=(220.0, 230.0, 230.0))
        world.seconds(10, volts=(240.0, 230.0, 230.0))
    means = [one for one in world.batches if one.device == "T01.voltage"]

    assert len(means) == 1
    assert means[0].at % (600 * NS) == 0
    assert means[0].values == pytest.approx([np.sqrt((220**2 + 240**2) / 2), 230.0, 230.0], abs=0.4)
    world.seconds(600, quality=Quality.BAD_SENSOR)
    assert world.get("T01.voltage/voltage_10min_l1")[1] == Quality.BAD_STALE


def test_where_the_meter_has_the_voltages_between_the_phases_their_unbalance_is_known(world):
    """As it is now, and of ten minutes: the sequences' own root mean squares, over each other; elsewhere no such tags."""
    sides = ("voltage_l1_l2", "voltage_l2_l3", "voltage_l3_l1")
    assert "T01.unbalance" not in world.bus.devices()
    world.bus.add_device(attrs.evolve(METER, tags=(*METER.tags, *(TagDef(one, stale_after=30 * NS) for one in sides))))

    def seconds(count, volts, quality=Quality.GOOD):
        star = np.array(volts) * np.exp(-2j * np.pi / 3 * np.arange(3))
        for _ in range(count):
            now = world.clock.now()
            values = np.array([*volts, *([0.5 * RATED] * 3), *np.abs(star - star[[1, 2, 0]])])
            world.bus.publish(Batch("T01-meter", values, np.full(9, quality, np.uint8), now, now))
            world.reactor.advance(1.0)
        return star @ (np.exp(2j * np.pi / 3 * np.arange(3)) ** np.array([[1], [2]])).T / 3

    even, uneven = (230.0, 230.0, 230.0), (240.0, 230.0, 220.0)
    seconds(610 - int(world.clock.now() // NS % 600), even)
    world.batches.clear()
    for _ in range(30):
        calm, lean = seconds(10, even), seconds(10, uneven)
    now, quality = world.get("T01.unbalance/voltage_unbalance")
    mean, good = world.get("T01.voltage/unbalance_10min")

    assert (quality, good) == (Quality.GOOD, Quality.GOOD)
    assert now == pytest.approx(100 * abs(lean[1]) / abs(lean[0]))
    squares = [abs(one) ** 2 + abs(other) ** 2 for one, other in zip(calm, lean, strict=True)]
    assert mean == pytest.approx(100 * np.sqrt(squares[1] / squares[0]), rel=0.05)
    assert world.get("T01.voltage/voltage_10min_l2")[0] == pytest.approx(230.0)
    seconds(600, uneven, Quality.BAD_SENSOR)
    assert world.get("T01.voltage/unbalance_10min")[1] == Quality.BAD_STALE
    assert world.get("T01.unbalance/voltage_unbalance")[1] == Quality.BAD_SENSOR
    assert world.watch._failures == 0


def test_many_transformers_are_published_in_several_turns(tmp_path):
    """At the end of ten minutes those of all of them; what waits is of the same instant, and nobody is left out."""
    world = World(tmp_path)
    names = [f"X{n:03d}" for n in range(110)]
    world.registry.replace(Site(transformers=tuple(Transformer(name, "", 100.0, "", f"{name}-meter") for name in names)))
    for name in names:
        world.bus.add_device(attrs.evolve(METER, name=f"{name}-meter"))
    turns = []
    world.bus.subscribe(lambda batches: turns.append([one for one in batches if one.device.endswith(".voltage")]), name="t")
    world.seconds(605 - int(world.clock.now() // NS % 600))
    told = [one for turn in turns for one in turn]

    assert sorted(one.device for one in told) == [f"{name}.voltage" for name in names]
    assert len({(one.at, one.received) for one in told}) == 1
    assert max(map(len, turns)) <= PER_TURN


def test_a_sign_that_had_only_begun_starts_over_after_a_restart(world):
    """Nothing was read meanwhile: 5 s of a lost phase are 5 s that were seen."""
    world.seconds(20)
    world.seconds(4, riser=(3.0, 231.0, 229.0))
    world.restart(away=60)
    world.seconds(4, riser=(3.0, 231.0, 229.0))
    assert world.alarms.held("safety_") == ()
    world.seconds(4, riser=(3.0, 231.0, 229.0))

    assert world.alarms.held("safety_") == (("riser-7", "safety_lost_phase"),)
