"""`scada balance suspects` over real stores: thieves are named with reasons, nothing is said where nothing is known."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result

from scada.balancing.casebook import Casebook
from scada.cases import Suspicion
from scada.cli import main
from scada.clock import HOUR_S
from tests.balancing import estate


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    thief = int(estate.thieves()[0][1:])
    return estate.build(tmp_path_factory.mktemp("estate"), magnets=[thief])


def run(config: Path, *words: str) -> Result:
    found = CliRunner().invoke(main, ["balance", "suspects", str(config), "--one-process", *words])
    assert found.exit_code == 0, found.output
    return found


def test_thieves_are_named_with_their_energy_and_nobody_else_is(config: Path) -> None:
    """The interval of each holds about what was taken. A magnet of the twelfth day did not begin what was always there."""
    said: dict[str, Any] = json.loads(run(config, "--json").stdout)
    named = {one["member"]: one for one in said["suspects"] if one["suspect"]}
    stolen = {f"P{n}": float(row.sum()) for n, row in enumerate(estate.robbed().stolen)}

    assert sorted(named) == sorted(estate.thieves())
    assert [one["cause"] for _, one in sorted(named.items())] == ["faulty_meter", "faulty_meter"]
    for name, one in named.items():
        assert one["energy"] == pytest.approx(stolen[name], rel=0.25)
        assert len(one["forecast"]) == len(one["registered"]) == len(one["imbalance"]) == said["days"] == estate.DAYS


def test_a_group_without_a_feed_has_not_enough_data_and_accuses_nobody(config: Path) -> None:
    said = json.loads(run(config, "BG-2", "--json").stdout)

    assert [(one["group"], one["state"], one["hours"]) for one in said["groups"]] == [("BG-2", "not_enough_data", 0)]
    assert said["suspects"] == []


def day(n: int) -> str:
    """The nth of the days that there are."""
    return datetime.fromtimestamp((estate.FIRST + 24 * n) * HOUR_S, UTC).date().isoformat()


def test_any_whole_days_are_examined_also_those_that_a_case_rests_on(config: Path) -> None:
    """Last quarter's too; a case's own days give its own figures again, of its group alone."""
    every = json.loads(run(config, "--json").stdout)
    named = json.loads(run(config, "--json", "--from", day(0), "--to", day(20)).stdout)
    short = json.loads(run(config, "--json", "--from", day(3), "--to", day(17)).stdout)
    back = json.loads(run(config, "--json", "--days", "14", "--to", day(17)).stdout)
    found = next(one for one in short["suspects"] if one["suspect"])
    book = Casebook(config.parent / "data" / "history" / "cases.sqlite", lambda *_: None)
    book.open()
    book.enter([Suspicion.from_json(found)], day(17), 1)
    book.close()
    again = json.loads(run(config, "--json", "--case", "1").stdout)

    assert named == every
    assert short == back
    assert (short["first_day"], short["days"]) == (day(3), 14)
    assert (again["first_day"], again["days"], [one["group"] for one in again["groups"]]) == (day(3), 14, ["BG-1"])
    assert found in again["suspects"]


@pytest.mark.parametrize(("words", "why"), [
    (["--from", "2026-01-01", "--days", "20"], "expected --from or --days"),
    (["--from", "2020-01-01", "--to", "2020-01-05"], "4 days up to 2020-01-05; expected 10 to 366"),
    (["--from", "2020-02-05", "--to", "2020-01-05"], "expected 10 to 366"),
    (["--to", "2199-01-01"], "is not over yet"),
    (["--case", "99"], "there is no case 99"),
    (["--case", "1", "--to", "2020-01-05"], "expected nothing beside it"),
    (["--case", "1", "BG-1"], "expected nothing beside it"),
])
def test_days_that_cannot_be_are_refused_with_what_was_expected(config: Path, words: list[str], why: str) -> None:
    found = CliRunner().invoke(main, ["balance", "suspects", str(config), *words])

    assert found.exit_code == 2
    assert why in found.output


def test_people_read_a_table_and_programs_a_line_for_each(config: Path) -> None:
    text = run(config).stdout
    rows = list(csv.DictReader(io.StringIO(run(config, "BG-1", "--csv").stdout)))

    assert all(name in text for name in estate.thieves())
    assert "its profile explains" in text
    assert "BG-2" not in text
    assert [row["member"] for row in rows if row["suspect"] == "True"] == [
        row["member"] for row in sorted(rows, key=lambda row: -float(row["score"])) if row["suspect"] == "True"
    ]


def test_processes_find_the_same(config: Path) -> None:
    """By default other processors do the arithmetic."""
    alone = run(config, "--json").stdout
    pooled = CliRunner().invoke(main, ["balance", "suspects", str(config), "--json"])

    assert pooled.exit_code == 0, pooled.output
    assert json.loads(pooled.stdout) == json.loads(alone)


def test_an_unknown_group_is_named_with_those_that_there_are(config: Path) -> None:
    found = CliRunner().invoke(main, ["balance", "suspects", str(config), "BG-9"])

    assert found.exit_code == 2
    assert "no balance group 'BG-9'" in found.output
    assert "BG-1" in found.output


def cases(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["balance", "cases", words[0], str(config), *words[1:]])


def test_cases_are_listed_and_decided_at_the_command_line(tmp_path: Path) -> None:
    """By name and in the audit, while a server may have the same file open; an outcome leaves the open ones."""
    config = tmp_path / "scada.yaml"
    config.write_text("site: {name: North, timezone: UTC}\n", encoding="utf-8")
    book = Casebook(tmp_path / "data" / "history" / "cases.sqlite", lambda *_: None)
    book.open()
    suspicion = Suspicion(
        "BG-1", "P7", True, "faulty_meter", "slow, failed or tampered meter", "kWh", 118.0, 9.0, 0.31, 12.0, "2026-03-03",
        "2026-02-20",
    )
    book.enter([suspicion, attrs.evolve(suspicion, member="BG-1", cause="unmetered", score=5.0)], "2026-03-12", 1)
    listed = json.loads(cases(config, "list", "--json").stdout)["cases"]
    done = cases(config, "set", "1", "confirmed", "--note", "shunt")
    left = json.loads(cases(config, "list", "--json").stdout)["cases"]
    text = cases(config, "list").stdout
    of_group = cases(config, "set", "2", "cleared")
    outcomes = json.loads(cases(config, "list", "--state", "confirmed", "--json").stdout)["cases"]
    again = cases(config, "set", "1", "confirmed")
    found = book.one(1)
    book.close()

    assert [(one["number"], one["member"], one["state"]) for one in listed] == [(1, "P7", "new"), (2, "BG-1", "new")]
    assert done.exit_code == 0, done.output
    assert [one["number"] for one in left] == [2]
    assert "the whole group" in text
    assert "case 2: the whole group of BG-1 is cleared" in of_group.output
    assert [one["state"] for one in outcomes] == ["confirmed"]
    assert again.exit_code == 3
    assert "case 1 is confirmed by now" in again.output
    assert found is not None
    assert found.changes[-1].note == "shunt"
    assert found.changes[-1].at > 10**18
