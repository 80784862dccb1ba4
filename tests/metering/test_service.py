"""The metering service answers for points, and shows each channel's last delivered hour as tags."""

import attrs
import numpy as np
import pytest

from scada.bus import TagBus
from scada.clock import HOUR_S, NS
from scada.intervals import MISSING
from scada.metering.service import MeteringService
from scada.site import Medium, MeterPeriod, ModuleState
from scada.tags import Quality
from tests.fakes import InlinePool, LoopClock, site_clock
from tests.metering.world import HOUR, FixedRegistry, MemoryIntervals, house


class World:
    def __init__(self, site=None):
        self.reactor = LoopClock()
        self.clock = site_clock(self.reactor, start=HOUR * HOUR_S + 600)
        self.bus = TagBus(self.clock, self.reactor)
        self.registry, self.intervals = FixedRegistry(site or house()), MemoryIntervals()
        self.batches = []
        self.bus.subscribe(self.batches.extend, name="test")
        self.service = MeteringService(
            self.registry, self.intervals, self.intervals, self.bus, self.clock, self.reactor, InlinePool()
        )

    def start(self):
        self.service.start()
        self.settle()
        return self

    def settle(self):
        for _ in range(20):
            self.reactor.advance(0.25)

    def tag(self, name):
        return self.bus.snapshot().get(name)


@pytest.fixture
def world():
    return World()


def test_hourly_answers_in_the_order_asked_with_units(world):
    """Two points, the second asked for first."""
    world.intervals.deliver(1, 0, HOUR - 2, [1000, 2000])
    world.intervals.deliver(2, 0, HOUR - 2, [MISSING, 500])

    found = world.service.hourly(["P1", "P0"], HOUR - 2, 2)

    assert found.units == ("kWh", "kWh")
    assert np.array_equal(found.values, [[np.nan, 0.5], [1.0, 2.0]], equal_nan=True)
    assert found.quality[0, 0] == Quality.BAD_STALE


def test_an_unknown_point_is_the_callers_mistake(world):
    """A misspelt name must not look like a point without data."""
    with pytest.raises(KeyError):
        world.service.hourly(["P0", "nobody"], HOUR, 1)
    with pytest.raises(KeyError):
        world.service.register(["nobody"], HOUR)


def test_the_register_is_read_with_the_constant_of_the_meter_that_hung_there(world):
    """A base of 10,000 pulses and 500 since are 10.5 kWh; a point never heard of is NaN."""
    world.intervals.base(1, 0, HOUR - 5, 10_000)
    world.intervals.deliver(1, 0, HOUR - 5, [500])

    assert np.array_equal(world.service.register(["P0", "P1"], HOUR), [10.5, np.nan], equal_nan=True)


def test_a_delivered_hour_becomes_tags_at_the_end_of_that_hour(world):
    """1500 pulses at 1000 a kWh in one hour: 1.5 kWh, 1500 W, and the register behind it."""
    world.start()
    world.intervals.base(1, 0, HOUR - 1, 8000)
    world.intervals.deliver(1, 0, HOUR - 1, [1500], status=16)
    world.settle()

    assert world.tag("C01-001.ch0/energy_hour") == (1.5, Quality.GOOD, HOUR * HOUR_S * NS)
    assert world.tag("C01-001.ch0/register")[0] == 9.5
    assert world.tag("C01-001.ch0/power_mean")[0] == 1500.0
    assert world.tag("C01-001.ch0/hour_status")[0] == 16.0
    assert world.tag("C01-002.ch0/energy_hour")[1] is Quality.BAD_WAITING


def test_a_doubtful_hour_is_shown_as_doubtful(world):
    """A magnet was there: the energy and the power are uncertain, the status bits themselves are not."""
    world.start()
    world.intervals.deliver(1, 0, HOUR - 1, [1500], status=4)
    world.settle()

    assert world.tag("C01-001.ch0/energy_hour")[1] is Quality.UNCERTAIN_LAST_KNOWN
    assert world.tag("C01-001.ch0/power_mean")[1] is Quality.UNCERTAIN_LAST_KNOWN
    assert world.tag("C01-001.ch0/hour_status")[:2] == (4.0, Quality.GOOD)


def test_the_device_stands_under_its_concentrator_and_module_and_is_named_after_its_consumer(world):
    """Site/Concentrator/Module/Channel is where people look for it over OPC UA."""
    world.start()

    device = world.bus.devices()["C01-001.ch0"]
    assert device.path == ("C01", "C01-001")
    assert (device.title, device.area) == ("Flat 0", "north")
    assert all(tag.stale_after == 26 * HOUR_S * NS for tag in device.tags)


def test_water_has_a_volume_and_no_power():
    """m³ an hour is no watt."""
    world = World(house(1, 100.0, Medium.WATER)).start()
    world.intervals.deliver(1, 0, HOUR - 1, [25])
    world.settle()

    assert world.tag("C01-001.ch0/volume_hour")[0] == 0.25
    assert world.tag("C01-001.ch0/power_mean")[1] is Quality.BAD_CONFIG


def test_what_was_delivered_before_the_start_is_shown_after_it(world):
    """A restart must not leave the tags empty until the next delivery."""
    world.intervals.deliver(1, 0, HOUR - 5, [700, 800, MISSING])
    world.start()

    assert world.tag("C01-001.ch0/energy_hour") == (0.8, Quality.GOOD, (HOUR - 3) * HOUR_S * NS)


def test_late_data_of_an_old_hour_does_not_replace_a_newer_one(world):
    """History that is filled in overnight is no news for the live value."""
    world.start()
    world.intervals.deliver(1, 0, HOUR - 1, [1000])
    world.settle()
    world.batches.clear()

    world.intervals.deliver(1, 0, HOUR - 9, [9000])
    world.settle()

    assert world.tag("C01-001.ch0/energy_hour")[0] == 1.0
    assert not [batch for batch in world.batches if batch.device == "C01-001.ch0"]


def test_a_burst_of_commits_is_one_computation(world):
    """A concentrator sends a day in many blocks; each is a mark."""
    world.start()
    reads = world.intervals.reads
    for _ in range(50):
        world.intervals.deliver(1, 0, HOUR - 1, [1000])
        world.intervals.deliver(2, 0, HOUR - 1, [1000])
    world.settle()

    assert world.intervals.reads == reads + 1
    assert world.tag("C01-002.ch0/energy_hour")[0] == 1.0


def test_a_module_nobody_adopted_has_no_tags_until_somebody_does():
    """Its data is stored all the same, and is shown at once when it is adopted."""
    site = house(1)
    found = attrs.evolve(site, modules=tuple(attrs.evolve(one, state=ModuleState.DISCOVERED) for one in site.modules))
    world = World(found).start()
    world.intervals.deliver(1, 0, HOUR - 1, [1000])
    world.settle()
    assert "C01-001.ch0" not in world.bus.devices()

    world.registry.replace(site)
    world.settle()

    assert world.tag("C01-001.ch0/energy_hour")[0] == 1.0


def test_a_meter_exchange_takes_effect_in_its_hour_without_anybody_touching_the_registry():
    """The new meter's constant counts from the hour it was installed on."""
    site = house(1)
    old, = site.meters
    site = attrs.evolve(site, meters=(
        attrs.evolve(old, valid_to=HOUR + 1), MeterPeriod("new", "P0", 1, 0, 500.0, HOUR + 1)
    ))
    world = World(site).start()
    world.intervals.deliver(1, 0, HOUR, [1000])
    world.settle()
    assert world.tag("C01-001.ch0/energy_hour")[0] == 1.0

    world.reactor.advance(2 * HOUR_S)
    world.intervals.deliver(1, 0, HOUR + 1, [1000])
    world.settle()

    assert world.tag("C01-001.ch0/energy_hour")[0] == 2.0


def test_stop_leaves_nothing_behind(world):
    """No delayed call survives, with or without news waiting."""
    world.start()
    world.intervals.deliver(1, 0, HOUR - 1, [1000])

    stopped = world.service.stop()

    assert stopped.called
    assert [call for call in world.reactor.getDelayedCalls() if call.getTime() > world.reactor.seconds()] == []


def test_a_store_that_fails_is_tried_again_and_told(world):
    """One unreadable moment must not leave a channel behind for good."""
    world.start()
    broken = world.intervals.read
    world.intervals.read = lambda *_: (_ for _ in ()).throw(OSError("disk"))
    world.intervals.deliver(1, 0, HOUR - 1, [1000])
    world.settle()
    assert [health.ok for health in world.service.health()] == [False]

    world.intervals.read = broken
    world.reactor.advance(10)
    world.settle()

    assert world.tag("C01-001.ch0/energy_hour")[0] == 1.0
    assert [health.ok for health in world.service.health()] == [True]
