"""A scenario is judged: what was expected, what was seen, and an exit status that a machine can use."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from scada.cli import main
from scada.errors import ConfigError
from scada.simulate.judge import judge
from scada.simulate.truth import read_truth
from scada.simulate.wire_log import read as read_wire

START = 1_767_261_600
SCENARIO = """\
name: Short
steps:
  - {at: 00:40:00, fault: magnet, target: C01/17, duration: 01:30:00, expect: ["link.downs == 0"]}
  - {at: 00:45:00, fault: outage, target: C02, duration: 01:00:00}
  - {at: 01:00:00, fault: jammed-valve, target: C01/8, duration: 00:20:00}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(SCENARIO)
    return path


def test_what_was_expected_is_compared_with_what_was_seen_since_each_fault_began(scenario: Path, tmp_path: Path) -> None:
    """Faults of the catalogue hold with their own expectations; one that is wrong is shown with what was seen."""
    (folder := tmp_path / "head").mkdir()
    found = judge(scenario, folder, start_s=START, truth=tmp_path / "truth.jsonl", record=tmp_path / "wire.jsonl")
    unmet = [(one.fault, str(one.expected), one.seen) for one in found.verdicts if not one.met]

    assert unmet == [("magnet", "link.downs == 0", 1)]
    assert (found.met, found.lost, found.doubled) == (False, 0, 0)
    assert {one.fault for one in found.verdicts} == {"magnet", "outage", "jammed-valve"}
    assert any("NOT MET" in line for line in found.lines())
    assert len(read_truth(tmp_path / "truth.jsonl").counted) > 500
    assert {one.way for one in read_wire(tmp_path / "wire.jsonl")} == {"open", "up", "down", "close"}


def test_the_command_prints_the_judgement_and_ends_with_it(scenario: Path) -> None:
    """0 where all was seen, 1 where not; the same for machines."""
    good = SCENARIO.replace(', expect: ["link.downs == 0"]', "").replace("outage, target: C02", "noise, target: C02")
    scenario.write_text(good)
    done = CliRunner().invoke(main, ["simulate", "--scenario", str(scenario), "--judge", "--start", "2026-01-01T10:00Z"])
    wanted = 'noise, target: C01, expect: ["event.COVER_OPEN >= 1"]'
    scenario.write_text(good.replace("jammed-valve, target: C01/8", wanted))
    failed = CliRunner().invoke(
        main, ["simulate", "--scenario", str(scenario), "--judge", "--json", "--start", "2026-01-01T10:00Z"]
    )
    told = json.loads(failed.output)

    assert (done.exit_code, failed.exit_code) == (0, 1)
    assert "00:40:00 magnet on C01/17" in done.output
    assert done.output.splitlines()[-1].startswith("9 of 9 expectations met; readings archived and not held: 0")
    assert [(one["expected"], one["seen"]) for one in told["verdicts"] if not one["met"]] == [("event.COVER_OPEN >= 1", 0)]


def test_judging_needs_a_scenario(scenario: Path) -> None:
    """And what is wrong in one is said before anything is lived through."""
    scenario.write_text(SCENARIO.replace("C01/17", "C09/17"))
    nothing = CliRunner().invoke(main, ["simulate", "--judge"])
    wrong = CliRunner().invoke(main, ["simulate", "--scenario", str(scenario), "--judge"])

    assert nothing.exit_code == 2
    assert "--judge belongs to --scenario" in nothing.output
    assert wrong.exit_code != 0


def test_a_fault_that_needs_a_firmware_campaign_is_refused(scenario: Path, tmp_path: Path) -> None:
    """Nobody is there who would run one; nothing is lived through for a verdict that must be wrong."""
    scenario.write_text(SCENARIO.replace("outage, target: C02", "wrong-signature, target: C02"))

    with pytest.raises(ConfigError, match=r"wrong-signature cannot be judged: a firmware campaign needs an image"):
        judge(scenario, tmp_path, start_s=START)
