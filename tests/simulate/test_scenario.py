"""Scenario files: what they say, and every mistake in them at once, each with its line."""

from pathlib import Path

import pytest
import yaml

from scada.errors import ConfigError
from scada.simulate.scenario import Scenario, Target, clock, read, seconds

ROOT = Path(__file__).parents[2]
THERE = {"C01": frozenset(range(1, 61)), "C02": frozenset({1, 2})}
GOOD = """\
name: A bad morning
seed: 7
steps:
  - at: 10:00:00
    fault: magnet
    target: C01/17
    duration: 02:00:00
  - at: 00:10:00
    fault: outage
    target: C02
    expect: ["link.downs >= 1", "hours.missing == 0"]
"""


def scenario(folder: Path, text: str) -> Scenario:
    path = folder / "s.yaml"
    path.write_text(text)
    return read(path, THERE)


def test_a_scenario_is_read_in_order_of_time(tmp_path: Path) -> None:
    """Whether YAML takes a time for text or, as it does with 10:00:00, for a number."""
    found = scenario(tmp_path, GOOD)

    assert yaml.safe_load("10:00:00") == 36000
    assert [(one.at_s, one.fault, str(one.target), one.duration_s) for one in found.steps] == [
        (600, "outage", "C02", None), (36000, "magnet", "C01/17", 7200),
    ]
    assert [str(one) for one in found.steps[0].expect] == ["link.downs >= 1", "hours.missing == 0"]
    assert (found.name, found.seed) == ("A bad morning", 7)


def test_all_mistakes_are_named_at_once_each_with_its_line(tmp_path: Path) -> None:
    """Wrong fault, time, duration, target of the wrong kind or too small, unknown target, key, expectation."""
    text = """\
name: x
extra: 1
steps:
  - at: noon
    fault: thunder
    target: C01
  - at: 1
    fault: magnet
    target: C01
  - at: 1
    fault: outage
    target: C09
    duration: 0
  - at: 1
    fault: bounce
    target: C02/9
    expect: [dmesh.dropped_replay > 1]
  - at: 1
    fault: too-deep
    target: C02/2
"""
    with pytest.raises(ConfigError) as caught:
        scenario(tmp_path, text)
    found = {problem.line: problem.expected for problem in caught.value.problems}

    assert sorted(found) == [2, 4, 5, 9, 12, 13, 16, 17, 20]
    assert found[4].startswith("expected a time such as 00:10:00")
    assert found[5] == "no fault is called 'thunder'; `scada simulate faults` lists them"
    assert found[9] == "magnet is a fault of a meter; expected a module such as C01/17, found C01"
    assert found[12] == "no concentrator is called C09; expected one of C01, C02"
    assert found[16] == "C02 has no module 9"
    assert "expected NAME >= NUMBER" in found[17]
    assert found[20] == "too-deep needs a concentrator of 36 modules; C02 has 2"


@pytest.mark.parametrize(("text", "said"), [
    ("", "expected a mapping"), ("[]", "expected a mapping"), ("name: x\nsteps: []", "expected at least one"),
    ("steps: [", "not valid YAML"), ("name: a\nname: b\nsteps: []", "stands twice"), ("name: x", "missing"),
])
def test_what_is_no_scenario_says_why(tmp_path: Path, text: str, said: str) -> None:
    """Empty, a list, broken, doubled, incomplete: never a traceback."""
    with pytest.raises(ConfigError, match=said):
        scenario(tmp_path, text)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    """And says what was wanted."""
    with pytest.raises(ConfigError, match="no such file; expected a scenario in YAML"):
        read(tmp_path / "nothing.yaml")


def test_times_are_read_and_shown_the_same_way() -> None:
    """Also beyond a day."""
    for value in (0, 59, 600, 86399, 30 * 3600):
        assert seconds(clock(value)) == value
    for wrong in ("1:2", "00:60:00", -1, 1.5, True, None):
        with pytest.raises(ValueError, match="expected a time"):
            seconds(wrong)


@pytest.mark.parametrize("text", ["", "/1", "C01/", "C01/x", "C 01"])
def test_a_target_that_cannot_be_read_says_what_was_expected(text: str) -> None:
    """With both forms."""
    with pytest.raises(ValueError, match="C01, or a module of it such as C01/17"):
        Target.read(text)


def test_the_example_in_the_guide_is_a_scenario(tmp_path: Path) -> None:
    """Docs are tested."""
    guide = (ROOT / "docs" / "guide" / "simulator.md").read_text()
    block = guide.split("```yaml\n")[1].split("```")[0]

    assert len(scenario(tmp_path, block).steps) >= 3
