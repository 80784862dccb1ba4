"""Validated hours at the command line: entered with a method and a name, read when asked for, and the raw ones stay."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.historian.backup import back_up
from scada.historian.service import open_reader
from scada.historian.store import EmbeddedIntervals
from scada.intervals import MISSING
from tests.historian.helpers import PumpedReactor, block

START_S = 1_767_225_600                  # 2026-01-01T00:00Z
HOUR = START_S // 3600
RANGE = ("--from", "2026-01-01", "--to", "2026-01-01T06:00")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Six hours of which two are missing; the register behind them says that 900 pulses were counted in the gap."""
    path = tmp_path / "scada.yaml"
    path.write_text("site: {name: North, timezone: UTC}\n", encoding="utf-8")
    (tmp_path / "site.yaml").write_text(
        "concentrators: [{name: C01, link_id: 'C0FFEE01'}]\n"
        "modules: [{eui: 00124B0000000001, name: M1, concentrator: C01, index: 1, state: active}]\n"
        "points: [{name: P1, medium: electricity}]\n"
        "meters: [{serial: S1, point: P1, eui: 00124B0000000001, channel: 0, pulses_per_unit: 1000,"
        " valid_from: '2025-01-01T00:00Z'}]\n", encoding="utf-8",
    )
    imported = CliRunner().invoke(main, ["site", "import", str(path), str(tmp_path / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    reactor = PumpedReactor()
    store = EmbeddedIntervals(tmp_path / "data" / "history", reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block([[100, 200, MISSING, MISSING]], first=HOUR, register=[5000])))
    reactor.wait(store.commit(block([[500, 600]], first=HOUR + 4, register=[6200])))
    store.close()
    return path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def enter(config: Path, method: str, *more: str) -> Result:
    return run("historian", "estimate", str(config), "P1", "--method", method, *(more or RANGE))


def rows(config: Path, *more: str) -> list[Any]:
    found = json.loads(run("read", str(config), "P1", *RANGE, "--json", *more).output)["rows"]
    return [(row["value"], row["quality"]) for row in found]


RAW = [(0.1, "good"), (0.2, "good"), (None, "bad_stale"), (None, "bad_stale"), (0.5, "good"), (0.6, "good")]


def test_what_the_register_says_is_shared_out_over_the_gap_and_raw_stays_raw(config: Path) -> None:
    """Who asks for validated hours gets them, marked; who does not gets what was delivered."""
    done = enter(config, "spread")

    assert done.exit_code == 0, done.output
    assert "2 hours spread, 0.900 kWh together" in done.output
    assert rows(config) == RAW
    assert rows(config, "--validated") == [
        *RAW[:2], (0.45, "uncertain_estimated"), (0.45, "uncertain_estimated"), *RAW[4:]
    ]
    steps = json.loads(run("read", str(config), "P1", *RANGE, "--step", "1d", "--validated", "--json").output)["rows"]
    assert [row["value"] for row in steps] == [pytest.approx(2.3)]


def test_the_last_one_stands_all_are_listed_and_earlier_states_can_be_asked_for(config: Path) -> None:
    """With method, person and note; withdrawn, the raw value counts again."""
    enter(config, "spread")
    enter(config, "value", "--from", "2026-01-01T02:00", "--to", "2026-01-01T03:00", "--value", "0.3", "--note", "dial")
    by_hand = rows(config, "--validated")
    enter(config, "withdrawn")
    listed = json.loads(run("historian", "estimates", str(config), "P1", *RANGE, "--json").output)["estimates"]

    assert by_hand[2:4] == [(0.3, "substituted"), (0.45, "uncertain_estimated")]
    assert rows(config, "--validated") == RAW
    assert [(one["hour"][11:13], one["value"], one["method"], one["note"]) for one in listed] == [
        ("02", 0.45, "spread", ""), ("03", 0.45, "spread", ""), ("02", 0.3, "value", "dial"),
        ("02", None, "withdrawn", ""), ("03", None, "withdrawn", ""),
    ]
    assert all(one["by"] for one in listed)
    store = open_reader(config.parent / "data" / "history").estimates
    first, *_, last = store.history("P1", HOUR, 6)
    assert [one.value for one in store.standing(["P1"], HOUR, 6, first.at)] == [0.45, 0.45]
    assert store.standing(["P1"], HOUR, 6, last.at) == ()
    assert "spread" in run("historian", "estimates", str(config), "P1", *RANGE).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("typical", *RANGE), "the weeks before do not tell"),
        (("withdrawn", *RANGE), "nothing validated stands there"),
        (("spread", "--from", "2026-01-01", "--to", "2026-01-01T02:00"), "no hour is missing there"),
        (("value", *RANGE), "--value belongs to --method value"),
        (("spread", "--from", "2026-01-01", "--to", "2199-01-01"), "hours that are over"),
        (("value", *RANGE, "--value", "-1"), "not negative"),
    ],
)
def test_what_cannot_be_said_is_refused_and_nothing_is_entered(config: Path, words: tuple[str, ...], said: str) -> None:
    done = enter(config, *words)

    assert done.exit_code != 0
    assert said in done.stderr
    assert open_reader(config.parent / "data" / "history").estimates.history("P1", HOUR, 6) == ()


def test_a_backup_has_them(config: Path, tmp_path: Path) -> None:
    """They are nowhere else."""
    enter(config, "interpolated")
    back_up(config.parent / "data" / "history", tmp_path / "copy", lambda name, done: None)

    found = open_reader(tmp_path / "copy").estimates.standing(["P1"], HOUR, 6)
    assert [(one.hour - HOUR, one.value) for one in found] == [(2, pytest.approx(0.3)), (3, pytest.approx(0.4))]
