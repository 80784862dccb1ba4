"""World, concentrators and truth on one site clock: everything happens in its order, however time is handed out."""

import math
from pathlib import Path

import numpy as np

from scada.clock import HOUR_S, NS
from scada.commands import LoadClass
from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import GroupSet, ModuleReplace, Sample
from scada.drivers.dmesh.numbers import Code, Sensor
from scada.drivers.dmesh.simulator.state import Listener
from scada.events import EventCode
from scada.simulate.field import Field, MeterValues
from scada.simulate.truth import TruthWriter, read_truth
from scada.simulate.world import EPOCH_H, UJ_PER_KWH, make_world
from tests.simulate.peer import GROUP_KEY, command

START = EPOCH_H + 24 * 30
LINKS = (0xD0C00001, 0xD0C00002)


def field(path: Path | None = None, seed: int = 1) -> Field:
    return Field(
        make_world(seed, START), dict.fromkeys(LINKS, bytes(16)), dict.fromkeys(LINKS, 77), TruthWriter(path)
    )


def at(hours: float) -> int:
    return round((START + hours) * HOUR_S * NS)


def shed_all(one: Field, hours: float) -> None:
    """Shed every load of building 1 for ten minutes."""
    state = one.concentrators[0]
    members = {module.index: module.eui for module in state.modules if module.actuator}
    state.keys.groups[1, 1] = GROUP_KEY
    group = GroupSet(1, 1, sets.bitmap(members), sets.members_digest(members.items()))
    assert state.control.set_group(group) is Code.OK
    now = at(hours) / NS
    assert state.control.take(command(now, off_for=600), now) is Code.ACCEPTED


def test_how_often_time_is_handed_out_changes_nothing(tmp_path: Path) -> None:
    """A shed in one leap of three hours or in ten-second steps: the same switches, pulses and energy."""
    leap, steps = field(tmp_path / "leap"), field(tmp_path / "steps")
    for one in (leap, steps):
        one.run_until(at(0.5))
        shed_all(one, 0.5)
    leap.run_until(at(3))
    for step in range(int(2.5 * 360)):
        steps.run_until(at(0.5) + (step + 1) * 10 * NS)

    assert (tmp_path / "leap").read_text() == (tmp_path / "steps").read_text()
    assert leap.world.transformer_uj == steps.world.transformer_uj
    assert len([supplied for _, supplied, _ in read_truth(tmp_path / "leap").loads if supplied]) > 10


def test_a_shed_saves_exactly_what_the_loads_did_not_draw(tmp_path: Path) -> None:
    """Same seed with and without the shed: while the loads are off the transformer feeds less."""
    shed, free = field(), field()
    for one in (shed, free):
        one.run_until(at(17))                           # 19:00 local
    shed_all(shed, 17)
    for one in (shed, free):
        one.run_until(at(17) + 500 * NS)

    assert (sum(free.world.transformer_uj) - sum(shed.world.transformer_uj)) / UJ_PER_KWH > 0.3
    assert not shed.world.supplied.all()


def test_red_and_never_loads_keep_their_supply_in_any_shed(tmp_path: Path) -> None:
    """The group holds every load of the building; two modules refuse by themselves."""
    one = field(tmp_path / "t")
    one.run_until(at(1))
    shed_all(one, 1)
    one.run_until(at(2))
    switched = {eui for eui, _, _ in read_truth(tmp_path / "t").loads}
    guarded = {
        module.eui for module in one.world.district.modules
        if module.actuator and (module.actuator.never or module.actuator.load_class is LoadClass.RED)
    }

    assert len(guarded) == 4
    assert not switched & guarded


def test_a_day_has_its_incidents() -> None:
    """Lost and found, magnet on and off, weak battery, a module that joins: each at its time."""
    one = field()
    one.run_until(at(12))
    told = [
        (event.code, event.raised, event.time // HOUR_S - START) for state in one.concentrators for event in state.events
    ]

    assert (EventCode.MODULE_LOST, True, 3) in told
    assert (EventCode.MODULE_LOST, False, 9) in told
    assert (EventCode.MAGNET, True, 5) in told
    assert (EventCode.MAGNET, False, 6) in told
    assert (EventCode.BATTERY_LOW, True, 2) in told
    assert [len(state.generations) for state in one.concentrators] == [1, 2]


def test_every_hour_of_every_channel_is_in_one_record(tmp_path: Path) -> None:
    """After the lost module came back nothing is missing: the records hold what the modules counted, once."""
    one = field(tmp_path / "t")
    one.run_until(at(12))
    truth = read_truth(tmp_path / "t")
    recorded = [item for pulses in truth.records.values() for item in pulses.items()]

    assert len(recorded) == len(dict(recorded))
    assert dict(recorded) == truth.counted


def test_the_meter_shows_the_energy_of_the_world() -> None:
    """energy_import is the integral that the consumers and losses add up to."""
    one = field()
    one.run_until(at(3.3))
    shown = MeterValues(one).now()

    assert np.isclose(shown["energy_import"], sum(one.world.transformer_uj) / UJ_PER_KWH, rtol=1e-12)
    assert np.isclose(shown["power_active_total"], sum(shown[f"power_active_l{phase}"] for phase in (1, 2, 3)))


def test_a_few_sensors_speak_live_each_quarter_hour() -> None:
    """Temperatures of stairwells and each concentrator's own supply; whoever listens late hears nothing old."""
    one = field()
    one.run_until(at(1))
    heard: list[Sample] = []

    class Session(Listener):
        def sensed(self, samples: tuple[Sample, ...]) -> None:
            heard.extend(samples)

    one.concentrators[0].listener = Session()
    one.run_until(at(2))
    celsius = [sample for sample in heard if sample.sensor == Sensor.TEMPERATURE]
    volts = [sample for sample in heard if sample.sensor == Sensor.VOLTAGE]

    assert {sample.time for sample in heard} == {(START + 1) * HOUR_S + quarter * 900 for quarter in (1, 2, 3, 4)}
    assert {(sample.index, sample.unit) for sample in celsius} == {(10, "°C"), (25, "°C"), (40, "°C")}
    assert all(10 < sample.value < 30 for sample in celsius)
    assert {(sample.index, sample.unit) for sample in volts} == {(0, "V")}
    assert all(220 < sample.value < 240 for sample in volts)


def test_what_hangs_at_a_module_is_switched_and_limited_after_a_swap_too() -> None:
    """The wires stay: the world knows them by the module that was there first."""
    one = field()
    one.run_until(at(1))
    state = one.concentrators[0]
    module = next(module for module in state.modules if module.actuator)
    swapped = ModuleReplace(state.generation, module.eui, module.index, 0xABCD)
    assert state.change_list(swapped, at(1) / NS) is Code.OK
    whose = next(spec.channels[0].consumer for spec in one.world.district.modules if spec.eui == module.eui)
    place = [consumer.name for consumer in one.world.district.consumers].index(whose)
    state._allowed(module.index, 0.0, False, at(1) / NS)
    limited = one.world._drawing[place]
    state._allowed(module.index, math.inf, False, at(1) / NS)
    state._switched(module.index, False, at(1) / NS)

    assert limited == 0.0
    assert not one.world.supplied[place]
