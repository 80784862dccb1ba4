"""Faults along a scenario and on demand: they begin and end when they should, and refusals say why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scada.errors import CommandRejected
from scada.simulate.faults.expect import Expectation
from scada.simulate.scenario import Scenario, Step, Target
from scada.simulate.stage import Stage
from tests.simulate.stand import RATE, TARGET, Stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.close()


def stage(stand: Stand, *steps: Step, seed: int | None = 5, said: list[str] | None = None) -> Stage:
    clients = dict(zip(("C01", "C02"), stand.clients, strict=True))
    tell = (lambda one: None) if said is None else said.append
    return Stage(clients, lambda: stand.site_s, stand.site_s, scenario=Scenario("test", seed, steps), tell=tell)


def live(stand: Stand, one: Stage, hours: float) -> None:
    for _ in range(round(hours * 3600 / RATE)):
        stand.run(RATE / 3600)
        one.run(stand.site_s)
        stand.settle()


def test_a_scenario_begins_and_ends_its_faults_at_their_times(stand: Stand) -> None:
    """An outage from minute 10 to minute 70, a stuck meter besides; afterwards everything is there."""
    said: list[str] = []
    wanted = (Expectation.read("hours.missing == 0"),)
    one = stage(
        stand, Step(600, "outage", Target("C01"), 3600, wanted), Step(1200, "pulse-stuck", Target("C01", TARGET), 7200),
        said=said,
    )
    live(stand, one, 0.5)
    during = [(each.fault, each.expect[-1]) for each in one.running]
    up = stand.service.link_up(stand.clients[0].state.link_id)
    live(stand, one, 3.5)
    seen = stand.look()

    assert during == [("outage", "hours.missing == 0"), ("pulse-stuck", "over.meter_stuck == 1")]
    assert not up
    assert [line.split(" begins")[0].split(" is over")[0] for line in said] == [
        "00:10:00 outage on C01", f"00:20:00 pulse-stuck on C01/{TARGET}",
        "01:10:00 outage on C01", f"02:20:00 pulse-stuck on C01/{TARGET}",
    ]
    assert one.running == ()
    assert (seen["hours.missing"], seen["link.downs"]) == (0, 1)
    assert stand.lost_and_doubled() == ([], [])


def test_the_same_seed_does_the_same_damage(tmp_path: Path) -> None:
    """Two runs of a scenario of random faults end with the same counters; another seed ends with others."""
    figures = []
    for number, seed in enumerate((5, 5, 6)):
        stand = Stand(tmp_path / str(number))
        live(stand, stage(stand, Step(60, "corrupt-frames", Target("C01"), 4 * 3600), seed=seed), 5)
        figures.append(stand.look())
        stand.close()
    same, again, other = figures
    # What looks like the head of a frame inside a spoilt one is chance: its cipher text is another in every session.
    chance = ("storage", "dropped_header_crc")
    counted = [name for name in same if name.startswith("dmesh.") and not any(one in name for one in chance)]

    differing = {name: (same[name], again[name]) for name in counted if same[name] != again[name]}

    assert same["dmesh.dropped_frame_crc"] > 0
    assert differing == {}
    assert [same[name] for name in counted] != [other[name] for name in counted]


@pytest.mark.parametrize(("name", "target", "why"), [
    ("thunder", Target("C01"), "no fault is called thunder"),
    ("outage", Target("C07"), "no concentrator is called C07"),
    ("outage", Target("C01", 3), "expected a concentrator such as C01"),
    ("magnet", Target("C01"), "expected a module such as C01/17"),
    ("magnet", Target("C01", 200), "C01 has no module 200"),
])
def test_what_cannot_befall_a_target_is_refused_with_the_reason(stand: Stand, name: str, target: Target, why: str) -> None:
    """And nothing is on."""
    one = stage(stand)
    with pytest.raises(CommandRejected, match=why):
        one.begin(name, target)

    assert one.running == ()


def test_a_fault_is_not_begun_twice_and_not_ended_twice(stand: Stand) -> None:
    """On one target; on another it may be."""
    one = stage(stand)
    begun = one.begin("outage", Target("C01"))
    one.begin("outage", Target("C02"))
    with pytest.raises(CommandRejected, match="outage is on C01 already"):
        one.begin("outage", Target("C01"))
    one.end(begun.number)
    with pytest.raises(CommandRejected, match="is not on"):
        one.end(begun.number)

    assert [each.told()["target"] for each in one.over] == ["C01"]
