"""`scada balance voltage`: a week of a store that was written, for people and for programs."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.historian.livefiles import LiveFiles
from scada.historian.samples import Samples

MEAN_NS = 600 * 10**9
MONDAY_NS = 1_767_564_000 * 10**9           # 2026-01-05T00:00 in Chisinau: week 2 of 2026 begins


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scada.yaml"
    path.write_text("site: {name: North, timezone: Europe/Chisinau}\n", encoding="utf-8")
    (tmp_path / "site.yaml").write_text("transformers: [{name: T01}]\n", encoding="utf-8")
    imported = CliRunner().invoke(main, ["site", "import", str(path), str(tmp_path / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    files = LiveFiles(tmp_path / "data" / "history")
    files.open()
    at = MONDAY_NS + MEAN_NS * np.arange(1, 1009, dtype=np.int64)
    volts = np.where(np.arange(1008) < 60, 200.0, 231.0)    # 6 % of the week too low on L2
    tags = {1: np.full(1008, 230.0), 2: volts, 3: np.full(1008, 232.0), 4: np.linspace(0.5, 1.5, 1008)}
    for number, values in tags.items():
        point = f"voltage_10min_l{number}" if number < 4 else "unbalance_10min"
        files.append([(number, f"T01.voltage/{point}")], Samples(
            np.full(1008, number, dtype=np.int32), at, values, np.zeros(1008, np.uint8)))
    files.close()
    return path


def voltage(config: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["balance", "voltage", str(config), *options])


def test_a_week_by_its_number(config: Path) -> None:
    """Whole, from Monday to Monday in site time; the phase that was low for more than 5 % of it does not comply."""
    said = json.loads(voltage(config, "T01", "--week", "2026-W02", "--json").output)
    shown = voltage(config, "T01", "--week", "2026-W02")

    assert (said["first"], said["last"]) == ("2026-01-04T22:00:00Z", "2026-01-11T22:00:00Z")
    assert said["whole"]
    assert [one["complies"] for one in said["phases"]] == [True, False, True]
    assert (said["phases"][1]["beyond"], said["phases"][1]["lowest_v"]) == (60, 200.0)
    assert said["unbalance"]["complies"]
    assert said["unbalance"]["highest"] == pytest.approx(0.015)
    assert shown.exit_code == 0
    assert "94.0" in shown.output
    assert "unbalance of the voltages" in shown.output


def test_a_week_with_nothing_says_so(config: Path) -> None:
    """No figures are null, and a person is told that the week is not whole."""
    said = json.loads(voltage(config, "T01", "--week", "2025-W02", "--json").output)

    assert [one["share"] for one in said["phases"]] == [None] * 3
    assert not said["whole"]
    assert said["unbalance"] is None
    assert "no unbalance of the voltages: the meter has none" in voltage(config, "T01", "--week", "2025-W02").output
    assert "not a whole week" in voltage(config, "T01", "--week", "2025-W02").output


def test_what_cannot_be_is_an_error_that_says_what_was_expected(config: Path) -> None:
    """A transformer that is not there, a week that is none."""
    assert "there are T01" in voltage(config, "T09").output
    assert "expected 2026-W47" in voltage(config, "T01", "--week", "47").output
    assert "--to goes with --from" in voltage(config, "T01", "--to", "2026-01-05").output
    assert "expected an earlier week" in voltage(config, "T01", "--from", "2026-W02", "--to", "2026-W01").output


def test_any_number_of_weeks_one_row_each(config: Path) -> None:
    """From the week a day is in, up to the one before the end; 53 weeks a year and a change of the clocks are nothing."""
    said = json.loads(voltage(config, "T01", "--from", "2025-12-31", "--to", "2026-W04", "--json").output)
    shown = voltage(config, "T01", "--from", "2026-W01", "--to", "2026-01-20").output
    year = json.loads(voltage(config, "T01", "--from", "2020-W40", "--to", "2021-W15", "--json").output)

    assert [one["week"] for one in said] == ["2026-W01", "2026-W02", "2026-W03"]
    assert [one["first"] for one in said][1] == "2026-01-04T22:00:00Z"
    assert [one["whole"] for one in said] == [False, True, False]
    assert said[1]["phases"][1]["beyond"] == 60
    rows = {line.split("│")[1].strip(): line for line in shown.splitlines() if "-W" in line}
    assert list(rows) == ["2026-W01", "2026-W02", "2026-W03", "2026-W04"]
    assert [cell.strip() for cell in rows["2026-W02"].split("│")[2:-1]] == [
        "1008", "100.0", "94.0", "100.0", "200.0", "232.0", "no", "1.45", "yes",
    ]
    assert [one["week"] for one in year][12:16] == ["2020-W52", "2020-W53", "2021-W01", "2021-W02"]
    assert len({one["week"] for one in year}) == len(year) == 28
