"""A simulator that is started again goes on with its registers: no jump, nothing counted twice, nothing forgotten."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.clock import HOUR_S, NS
from scada.errors import ConfigError
from scada.simulate.field import Field
from scada.simulate.memory import FieldMemory
from scada.simulate.profiles import MeasuredDay, load_profiles
from scada.simulate.truth import TruthWriter, read_truth
from scada.simulate.world import CATCH_UP_H, UJ_PER_KWH, World, make_world
from tests.simulate.test_field import LINKS, START, at, shed_all
from tests.simulate.test_profiles import a_day, write


def resumed(memory: dict[str, Any], archive: int = 78, day: MeasuredDay | None = None, truth: Path | None = None) -> Field:
    """A new simulator that is given what the old one wrote; its own start hour is of no account."""
    memory = json.loads(json.dumps(memory))
    world = make_world(1, START + 999, day)
    world.recall(memory["world"])
    new = Field(world, dict.fromkeys(LINKS, bytes(16)), dict.fromkeys(LINKS, archive), TruthWriter(truth))
    new.recall(memory)
    return new


def remembering(day: MeasuredDay | None = None, truth: Path | None = None) -> tuple[Field, list[dict[str, Any]]]:
    """A field and all that it has told its memory."""
    one = Field(make_world(1, START, day), dict.fromkeys(LINKS, bytes(16)), dict.fromkeys(LINKS, 77), TruthWriter(truth))
    told: list[dict[str, Any]] = []
    one.remember = lambda: told.append(json.loads(json.dumps(one.memory())))
    one.remember()
    return one, told


def energies(world: World) -> list[Any]:
    return [world.at, world.registers.tolist(), world.transformer_uj, world.used_uj.tolist(), world.lost_uj]


@pytest.mark.parametrize("measured", [False, True], ids=["stochastic", "measured"])
@settings(max_examples=5, deadline=None)
@given(cuts=st.lists(st.floats(0.001, 3.0), min_size=1, max_size=3))
def test_a_stop_and_a_start_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, measured: bool, cuts: list[float]
) -> None:
    """Stopped and started at any instants, or never: the same registers, the same energy, to the last microjoule."""
    day = load_profiles(*write(tmp_path_factory.mktemp("day"), *a_day())) if measured else None
    never, (often, _) = make_world(1, START, day), remembering(day)
    for cut in sorted(cuts):
        often.run_until(at(cut))
        often = resumed(often.memory(), day=day)
    never.advance(at(3.5))
    often.run_until(at(3.5))

    assert energies(often.world) == energies(never)


@pytest.mark.parametrize("killed", [4.02, 4.1, 4.3, 5.9])
def test_what_is_lived_again_after_a_kill_is_the_same(killed: float) -> None:
    """Killed between two writings, in the middle of a shed: from the last one the very same values come back."""
    one, told = remembering()
    one.run_until(at(4))
    shed_all(one, 4)
    for step in range(1, 101):
        one.run_until(at(4 + (killed - 4) * step / 100))
    again = resumed(told[-1])
    began = again.world.at
    again.run_until(at(killed))

    assert len(told) > 5
    assert began < at(killed)
    assert energies(again.world) == energies(one.world)
    assert again.world.supplied.tolist() == one.world.supplied.tolist()


def test_a_load_that_was_off_comes_back_at_its_time(tmp_path: Path) -> None:
    """The module holds the rest of its time, whatever happens to the simulator; none is off for longer than it was told."""
    one, told = remembering()
    one.run_until(at(4))
    shed_all(one, 4)
    one.run_until(at(4.05))
    off = {eui for eui, supplied in zip(*switches(one), strict=True) if not supplied}
    again = resumed(told[-1], truth=tmp_path / "truth")
    again.run_until(at(4.5))
    back = {eui: when / HOUR_S - START - 4 for eui, supplied, when in read_truth(tmp_path / "truth").loads if supplied}

    assert len(off) > 5
    assert len(off - back.keys()) <= 1                  # one waits for a hand, up to half an hour
    assert max(back.values()) < 0.05 + 600 / HOUR_S


def switches(one: Field) -> tuple[list[int], list[bool]]:
    loads = [module for module in one.world.district.modules if module.actuator]
    names = [consumer.name for consumer in one.world.district.consumers]
    return [one.eui for one in loads], [bool(one.world.supplied[names.index(m.channels[0].consumer)]) for m in loads]


def test_hours_that_no_server_holds_survive_and_those_that_it_holds_are_forgotten(tmp_path: Path) -> None:
    """The concentrators were acknowledged up to hour 5; what the lost module keeps and what came later is told anew."""
    one, told = remembering(truth=tmp_path / "truth")
    one.run_until(at(5))
    for state in one.concentrators:
        state.acknowledge(state.archive.newest)
    one.run_until(at(7))
    again = resumed(told[-1], truth=tmp_path / "truth")
    again.run_until(at(10))
    truth = read_truth(tmp_path / "truth")
    taken = truth.acknowledged()
    retold = {
        key: count for (_, archive, _), pulses in truth.records.items() if archive == 78 for key, count in pulses.items()
    }

    assert min(hour for _, _, hour in retold) == START + 3                  # the module that is lost since then
    assert (taken | retold) == truth.counted                                # every hour of every channel, once or twice
    assert all(taken[key] == count for key, count in retold.items() if key in taken)
    assert [state.generation for state in again.concentrators] == [state.generation for state in one.concentrators]


def test_the_modules_went_on_counting_while_the_simulator_was_down() -> None:
    """A day away: the hours are in the archive, as if somebody had looked on."""
    one, _ = remembering()
    one.run_until(at(1.5))
    again, never = resumed(one.memory()), make_world(1, START)
    again.run_until(at(25.5))
    never.advance(at(25.5))

    assert energies(again.world) == energies(never)
    assert again.concentrators[0].archive.owed_since() == START


def test_a_sleep_of_a_year_keeps_nobody_waiting_and_loses_no_energy() -> None:
    """Only the last days are lived; before them registers rise at the power that stood, and never fall."""
    one, _ = remembering()
    one.run_until(at(1.5))
    before, feed = one.world.registers.copy(), sum(one.world.transformer_uj)
    again = make_world(1, START)
    again.recall(one.memory()["world"])
    again.sleep(at(8760))

    assert again.at == at(8760 - CATCH_UP_H)
    assert (again.registers >= before).all()
    assert 1e3 < (sum(again.transformer_uj) - feed) / UJ_PER_KWH < 1e6
    assert np.ptp([sum(again.transformer_uj) - feed, int(again.used_uj.sum() - one.world.used_uj.sum())
                   + again.lost_uj - one.world.lost_uj]) < 1e-3 * sum(again.transformer_uj)


def test_the_file_is_whole_or_not_there_and_is_given_back(tmp_path: Path) -> None:
    """Written beside and moved into place; a stale half of a write is of no account."""
    memory = FieldMemory(tmp_path / "field.json", "d")
    (tmp_path / "field.tmp").write_text('{"version": 1, "dist')

    assert memory.load(0) is None
    memory.save({"world": {"at_ms": 5}, "x": 0.1})
    assert memory.load(0) == {"world": {"at_ms": 5}, "x": 0.1}
    assert [one.name for one in tmp_path.iterdir()] == ["field.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ('{"version": 1, "district": "d"}', "cannot be read"),
        ('{"version": 9, "district": "d", "field": {"world": {"at_ms": 0}}}', "expected 1"),
        ('{"version": 1, "district": "other", "field": {"world": {"at_ms": 0}}}', "another seed"),
        ('{"version": 1, "district": "d", "field": {"world": {"at_ms": 90000000}}}', "25 site hours ahead"),
    ],
)
def test_a_memory_that_is_not_ours_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    """The file, what is wrong with it, and what to do."""
    (tmp_path / "field.json").write_text(text)
    with pytest.raises(ConfigError) as refused:
        FieldMemory(tmp_path / "field.json", "d").load(0)

    assert said in str(refused.value)
    assert "remove it" in str(refused.value)


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    """Nothing is raised where a connection is served; whoever looks finds the sentence."""
    memory = FieldMemory(tmp_path / "gone" / "field.json", "d")
    memory.save({})

    assert memory.broken is not None
    assert "forget its registers" in str(memory.broken)


def test_the_clock_may_stand_a_little_behind(tmp_path: Path) -> None:
    """A beat of the clock is older than the field's last hour: the field waits, it does not go back."""
    one, _ = remembering()
    one.run_until(at(2.5))
    memory = FieldMemory(tmp_path / "field.json", one.world.identity)
    memory.save(one.memory())
    loaded = memory.load(at(2))
    assert loaded is not None
    again = resumed(loaded)
    again.run_until(at(2))
    assert energies(again.world) == energies(one.world)
    again.run_until(at(2.6))
    assert again.world.at == at(2.6) // (NS // 1000) * (NS // 1000)
