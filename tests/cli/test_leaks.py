"""`scada balance leaks` over real stores: leaks of every medium by the nights, and what could not be told is said."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from tests.balancing import plumbing


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plumbing.build(tmp_path_factory.mktemp("plumbing"))


def ran(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["balance", "leaks", str(config), "--one-process", *words])


def said(config: Path, *words: str) -> dict[str, Any]:
    found = ran(config, *words, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_who_never_stops_is_named_with_its_flow_and_its_first_night_and_nobody_else(config: Path) -> None:
    found = said(config)
    leaks = {one["point"]: one for one in found["leaks"]}

    assert sorted(leaks) == sorted(plumbing.LEAKS)
    for name, (rate, begins) in plumbing.LEAKS.items():
        assert leaks[name]["rate"] == pytest.approx(rate, abs=leaks[name]["doubt"] + 1e-9)
        assert leaks[name]["since"] == plumbing.day(begins)
        assert leaks[name]["at_least"] is (begins == 0)
        assert leaks[name]["quantity"] == pytest.approx(24 * rate * (plumbing.DAYS - begins), rel=0.2)


def test_what_cannot_be_told_is_counted_and_named_on_request(config: Path) -> None:
    """A register of 100 l, a meter that never reports, a point without a meter; the house's master meter is left out."""
    water = next(one for one in said(config)["media"] if one["medium"] == "water")
    named = {one["point"]: one["why"] for one in said(config, "--all", "--medium", "water")["unknown"]}

    assert (water["few_nights"], water["coarse"], water["no_meter"], water["feeds"]) == (1, 1, 1, 1)
    assert named == {"W-coarse": "coarse", "W-silent": "few_nights", "W-bare": "no_meter"}


def test_a_home_has_its_standby_and_its_share(config: Path) -> None:
    found = said(config, "--medium", "electricity")

    assert [one["point"] for one in found["standby"]] == ["E-busy", "E-idle"]
    assert found["standby"][0]["power"] == pytest.approx(0.12, abs=0.005)
    assert 0.1 < found["standby"][0]["share"] < 0.9
    assert found["leaks"] == []


def test_the_crew_gets_a_line_for_each_with_where_it_hangs(config: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(ran(config, "--csv", "--medium", "water").stdout)))
    row = next(one for one in rows if one["point"] == "W-old")

    assert (row["serial"], row["module"], row["consumer"], row["building"]) == ("S0", "M0", "Ana, ap. 1", "B7")
    assert row["state"] == "runs"
    assert row["rate_unit"] == "m³/h"


def test_people_read_litres_an_hour_and_what_was_looked_at(config: Path) -> None:
    text = ran(config).stdout

    assert "20.0 l/h" in text
    assert f"before {plumbing.day(0)}" in text
    assert "count too coarse" in text
    assert "120 W" in text


def test_a_shorter_period_sees_a_later_beginning_and_a_wrong_one_is_refused(config: Path) -> None:
    """Two nights say nothing of a leak."""
    short = said(config, "--from", plumbing.day(plumbing.DAYS - 4), "W-old")
    two = ran(config, "--from", plumbing.day(plumbing.DAYS - 2))
    nobody = ran(config, "W-odl")

    assert short["days"] == 4
    assert short["leaks"][0]["since"] == plumbing.day(plumbing.DAYS - 4)
    assert two.exit_code == 2
    assert "expected 3 to 366" in two.output
    assert nobody.exit_code == 2
    assert "W-old" in nobody.output
