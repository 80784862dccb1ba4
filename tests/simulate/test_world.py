"""The simulated district: one truth, from which pulses, energy registers and live powers all come."""

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.clock import HOUR_S, NS
from scada.intervals import IntervalStatus
from scada.simulate.district import LoadKind, make_district
from scada.simulate.grid import read_transformer
from scada.simulate.world import EPOCH_H, UJ_PER_KWH, ClosedHour, World, make_world
from scada.site import Medium

START = EPOCH_H + 24 * 30


def lived(world: World, hours: float) -> list[ClosedHour]:
    world.advance(round((START + hours) * HOUR_S * NS))
    return list(world.closed_hours())


def pulses(hours: list[ClosedHour]) -> np.ndarray:  # type: ignore[type-arg]
    return np.stack([one.pulses for one in hours], axis=1)


def test_the_same_seed_lives_the_same_days() -> None:
    """Two worlds of one seed count the same pulses; another seed does not."""
    one, same, other = (pulses(lived(make_world(seed, START), 6)) for seed in (5, 5, 6))

    assert (one == same).all()
    assert one.shape != other.shape or (one != other).any()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=12))
def test_how_often_the_world_is_advanced_changes_nothing(cuts: list[float]) -> None:
    """One leap or many odd steps: the same pulses, the same energy to the last microjoule."""
    leap, steps = make_world(3, START), make_world(3, START)
    for cut in sorted(cuts):
        steps.advance(round((START + cut) * HOUR_S * NS))
    end = max(cuts) + 0.5
    lived(leap, end)
    lived(steps, end)

    assert (leap.registers == steps.registers).all()
    assert leap.transformer_uj == steps.transformer_uj


def test_what_goes_through_the_transformer_is_what_is_used_and_what_is_lost() -> None:
    """Energy is conserved: feed = consumers (as they really use) + technical losses, to a milliwatt of rounding."""
    world = make_world(1, START)
    before = sum(world.transformer_uj)
    lived(world, 24)
    feed = sum(world.transformer_uj) - before
    rounding = 3 * 24 * HOUR_S * 1000                   # a milliwatt per phase

    assert abs(feed - int(world.used_uj.sum()) - world.lost_uj) <= rounding
    assert 0.015 < world.lost_uj / feed < 0.06


def test_the_balance_shows_the_losses_and_the_theft_and_nothing_else() -> None:
    """Feed - metered members = losses + what the thief does not pay, within a pulse per meter."""
    world = make_world(1, START)
    before, registers = sum(world.transformer_uj), world.registers.copy()
    lived(world, 24)
    electric = np.array([medium is Medium.ELECTRICITY for medium in world.medium])
    constants = np.array([one.pulses_per_unit for module in world.district.modules for one in module.channels])
    metered = ((world.registers - registers) / constants)[electric].sum()
    thief = [one.name for one in world.district.consumers].index(world.district.thief.name)
    stolen = 0.4 * world.used_uj[thief] / UJ_PER_KWH
    feed = (sum(world.transformer_uj) - before) / UJ_PER_KWH

    assert stolen > 0.5
    assert feed - metered == pytest.approx(world.lost_uj / UJ_PER_KWH + stolen, abs=electric.sum() / 1000)


def test_the_thiefs_meter_shows_sixty_percent() -> None:
    """Pulses of the thief's meter against what he really used; everybody else's agree."""
    world = make_world(1, START)
    registers = world.registers.copy()
    lived(world, 24)
    names = [one.name for one in world.district.consumers]
    channels = [one for module in world.district.modules for one in module.channels]
    ratios = {
        one.consumer: (world.registers[n] - registers[n]) / one.pulses_per_unit
        / (world.used_uj[names.index(one.consumer)] / UJ_PER_KWH)
        for n, one in enumerate(channels) if one.medium is Medium.ELECTRICITY
    }
    thief = world.district.thief.name

    assert ratios.pop(thief) == pytest.approx(0.6, abs=0.002)
    assert np.allclose(list(ratios.values()), 1.0, atol=0.002)


def test_the_leaking_tap_never_rests() -> None:
    """15 l/h day and night: its meter counts in every hour, while others have hours without any water."""
    world = make_world(1, START)
    counted = pulses(lived(world, 24))
    channels = [one for module in world.district.modules for one in module.channels]
    leak = world.district.leaking.name
    water = {one.consumer: counted[n] for n, one in enumerate(channels) if one.medium is Medium.WATER and one.consumer}

    assert water[leak].min() >= 14
    assert sum(counts.min() == 0 for name, counts in water.items() if name != leak) > len(water) / 2


def test_the_entry_of_a_building_counts_all_its_water_and_a_little_more() -> None:
    """The master meter of building 1: the sum of its members and the losses between."""
    world = make_world(1, START)
    counted = pulses(lived(world, 24)).sum(axis=1)
    building = {one.name: one.building for one in world.district.consumers}
    channels = [one for module in world.district.modules for one in module.channels]
    entry = sum(counted[n] / one.pulses_per_unit for n, one in enumerate(channels) if one.entry_of == "B1")
    members = sum(
        counted[n] / one.pulses_per_unit for n, one in enumerate(channels)
        if one.medium is Medium.WATER and building.get(one.consumer) == "B1"
    )

    assert entry - members == pytest.approx(0.006 * 24, abs=0.06)


def test_a_shed_load_really_falls_and_comes_back_larger() -> None:
    """Boilers off for a quarter of an hour in the morning: the transformer sees less, and more than before afterwards."""
    off, free = make_world(1, START), make_world(1, START)
    boilers = [m.eui for m in off.district.modules if m.actuator and m.actuator.kind is LoadKind.BOILER]
    at = 5.25                                           # 07:15 local
    for world in (off, free):
        lived(world, at)
    drawn = off.transformer().active.sum()
    for eui in boilers:
        off.switch(eui, False)
    assert off.transformer().active.sum() < drawn - 5000

    for world in (off, free):
        lived(world, at + 0.25)
    during = free.used_uj.sum() - off.used_uj.sum()
    for eui in boilers:
        off.switch(eui, True)
    for world in (off, free):
        lived(world, at + 4)
    missing = free.used_uj.sum() - off.used_uj.sum()

    assert during / UJ_PER_KWH > 2
    assert missing < 0.4 * during


def test_a_magnet_is_seen_in_the_status_of_its_hour() -> None:
    """The status bit of the module with the magnet, in its hour and in no other."""
    world = make_world(1, START)
    hours = lived(world, 8)
    magnet = world.district.magnet
    seen = {(int(eui), one.hour) for one in hours for eui in world.eui[one.status == IntervalStatus.MAGNET]}

    assert seen == {(magnet.eui, START + magnet.after)}


def test_registers_go_on_where_an_earlier_simulation_would_have_left_them() -> None:
    """A simulator that starts later shows larger registers, so that a restart is no reset."""
    early, late = make_world(1, START), make_world(1, START + 500)

    assert (late.registers >= early.registers).all()
    assert sum(late.transformer_uj) > sum(early.transformer_uj)


@pytest.mark.parametrize("seed", range(6))
def test_every_district_is_whole(seed: int) -> None:
    """Two subnets of sixty modules, a thief, a leak, three modules to discover, loads of all classes."""
    district = make_district(seed)

    assert [len(one.modules) for one in district.concentrators] == [60, 60]
    assert len({module.eui for module in district.modules}) == 120
    assert sum(not module.registered for module in district.concentrators[1].modules) == 3
    assert district.thief.meter_factor == 0.6
    assert district.leaking.leak_l_per_h == 15
    assert {len(module.channels) for module in district.modules} == {1, 2, 3}
    assert all(len(module.channels) <= 2 for module in district.modules if module.actuator)
    assert any(module.actuator.never for module in district.modules if module.actuator)


def test_more_modules_than_a_subnet_holds_are_refused() -> None:
    """240 is the most (domain A1)."""
    district = make_district(1)
    crowded = attrs.evolve(district.concentrators[0], modules=district.modules * 3)

    with pytest.raises(ValueError, match="a subnet holds 240"):
        attrs.evolve(district, concentrators=(crowded,))


def test_the_transformer_meter_is_consistent_in_itself() -> None:
    """S² = P² + Q², I = S / U, |I_N| of three equal phases with equal power factor is small."""
    reading = read_transformer(np.array([20e3, 10e3, 0.0]), np.zeros(3), 1e6)

    assert np.allclose(reading.apparent**2, reading.active**2 + reading.reactive**2)
    assert np.allclose(reading.current * reading.voltage, reading.apparent)
    one, two, three = reading.voltage                       # a third of a turn apart
    assert np.allclose(reading.sides**2, [
        one**2 + two**2 + one * two, two**2 + three**2 + two * three, three**2 + one**2 + three * one
    ])
    assert abs(reading.current[0] - reading.current[1]) < reading.neutral_current < reading.current[0]


def test_time_stops_exactly_where_it_was_told_to() -> None:
    """Between two changes of the appliances energy is power x time, to the microjoule."""
    world = make_world(1, START)
    world.advance(START * HOUR_S * NS + 20 * NS)
    before, drawn = sum(world.transformer_uj), world.transformer().active.sum()
    world.advance(START * HOUR_S * NS + 23_456 * NS // 1000)

    assert world.at == START * HOUR_S * NS + 23_456 * NS // 1000
    assert sum(world.transformer_uj) - before == round(drawn * 1000) * 3456
    world.advance(START * HOUR_S * NS)
    assert world.at == START * HOUR_S * NS + 23_456 * NS // 1000
