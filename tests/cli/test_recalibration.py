"""`scada balance recalibration` over real stores: money by what the registry holds of costs, and who is not reckoned."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from scada.cli import main
from tests.balancing import plumbing

TERMS: dict[str, Any] = {
    "meter_terms": [
        {"medium": "water", "tariff": 30.0, "verification": 100.0, "replacement": 400.0},
        {"medium": "electricity", "tariff": 3.0, "verification": 0.0, "replacement": 300.0, "ages": [0, 10, 20],
         "rates": [0.01, 0.01, 0.5]},
    ],
    "meters": [
        {"eui": f"{plumbing.EUI + n:016X}", "channel": 0, "valid_from": "2020-01-01T00:00Z", "verified": made}
        for n, made in ((0, "1996"), (9, "1998-05-20"))
    ],
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = plumbing.build(tmp_path_factory.mktemp("plumbing"))
    costs = config.parent / "costs.yaml"
    costs.write_text(yaml.safe_dump(TERMS), encoding="utf-8")
    done = CliRunner().invoke(main, ["site", "import", str(config), str(costs)])
    assert done.exit_code == 0, done.output
    return config


def ran(config: Path, *words: str) -> Result:
    found = CliRunner().invoke(main, ["balance", "recalibration", str(config), *words])
    assert found.exit_code == 0, found.output
    return found


def test_the_list_is_by_gain_and_says_where_age_and_quantity_are_from(config: Path) -> None:
    """Old meters first; what is not known to be older counts from its installation, and is marked."""
    said = json.loads(ran(config, "--all", "--json").stdout)
    rows = {one["point"]: one for one in said["rows"]}
    gains = [one["gain"] for one in said["rows"]]

    assert gains == sorted(gains, reverse=True)
    assert said["currency"] == "MDL"
    assert [rows[name]["age_from"] for name in ("W-old", "W-dry")] == ["verified", "installed"]
    assert rows["W-old"]["age"] > 29
    assert rows["W-old"]["over_days"] == 7
    assert rows["E-busy"]["yearly"] == pytest.approx((0.12 * 24 + 0.4 * 5) * 365.25, rel=0.01)
    assert rows["E-busy"]["gain"] > 0
    assert said["worth"] == sum(gain > 0 for gain in gains)


def test_who_is_not_reckoned_is_said_with_why(config: Path) -> None:
    """No costs of gas and heat; a meter without registers."""
    left = {(one["medium"], one["why"]): one["some"] for one in json.loads(ran(config, "--json").stdout)["left"]}

    assert left == {
        ("gas", "no_terms"): ["G-old", "G-dry"], ("heat", "no_terms"): ["H-old"], ("water", "no_quantity"): ["W-silent"],
    }


def test_people_read_money_and_a_work_order_has_where_it_hangs(config: Path) -> None:
    text = ran(config).stdout
    rows = list(csv.DictReader(io.StringIO(ran(config, "--csv", "--medium", "electricity", "--all").stdout)))

    assert "meters are worth replacing now" in text
    assert "nobody has entered what such meters cost" in text
    assert [row["medium"] for row in rows] == ["electricity"] * 2
    assert rows[0]["consumer"] == "Ana, ap. 1"


def test_costs_come_back_from_an_export_as_they_were(config: Path, tmp_path: Path) -> None:
    """Also by CSV; a curve is its points."""
    exported = CliRunner().invoke(main, ["site", "export", str(config), str(tmp_path / "site.yaml")])
    found = yaml.safe_load((tmp_path / "site.yaml").read_text(encoding="utf-8"))
    CliRunner().invoke(main, ["site", "export", str(config), str(tmp_path / "csv")])
    again = CliRunner().invoke(main, ["site", "import", str(config), str(tmp_path / "csv" / "meter_terms.csv")])

    assert exported.exit_code == 0, exported.output
    assert found["meter_terms"][1]["rates"] == [0.01, 0.01, 0.5]
    assert found["meters"][0]["verified"] == "1996"
    assert again.exit_code == 0, again.output
    assert json.loads(ran(config, "--json").stdout)["total"] == 7


def test_costs_that_cannot_be_are_refused_with_their_line(config: Path, tmp_path: Path) -> None:
    wrong = {
        "meter_terms": [{"medium": "gas", "tariff": -1, "verification": 0, "replacement": 1,
                         "ages": [0, 5], "rates": [0.1]}],
        "meters": [{**TERMS["meters"][0], "verified": "soon"}],
    }
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(wrong), encoding="utf-8")
    found = CliRunner().invoke(main, ["site", "import", str(config), str(tmp_path / "wrong.yaml")])

    assert found.exit_code != 0
    assert "expected a number from 0 up" in found.output
    assert "expected 2 rates" in found.output
    assert "expected a year or a day: 2014 or 2014-05-20" in found.output
