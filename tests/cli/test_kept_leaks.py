"""`scada balance kept-leaks`: what the nights found, listed and decided at the terminal, in the audit."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scada.balancing.leakbook import FILE, Leakbook
from scada.cli import main
from scada.cli.read import history_dir
from scada.cli.site import registry_of
from scada.leaks import Flowing, LeakNight
from scada.settings import load
from scada.site import Medium
from tests.balancing import plumbing


def flow(point: str, medium: Medium, rate: float, weight: float) -> Flowing:
    return Flowing(point, medium, True, "2026-03-01", False, "", rate, 0.001, weight, "2026-03-01", (rate,) * 3)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site whose last night found two leaks of water and one of gas."""
    config = plumbing.build(tmp_path)
    book = Leakbook(history_dir(load(config)) / FILE, lambda *_: None)
    book.open()
    book.enter([
        flow("W-old", Medium.WATER, 0.02, 4.0), flow("W-new", Medium.WATER, 0.03, 6.0), flow("G-1", Medium.GAS, 0.02, 2.0),
    ], LeakNight("2026-03-04"), 1)
    book.close()
    return config


def ran(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["balance", "kept-leaks", words[0], str(config), *words[1:]])


def said(config: Path, *words: str) -> Any:
    found = ran(config, *words, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_the_strongest_comes_first_and_states_and_media_choose(config: Path) -> None:
    found = said(config, "list")

    assert (found["examined"], found["total"]) == ("2026-03-04", 3)
    assert [one["point"] for one in found["leaks"]] == ["W-new", "W-old", "G-1"]
    assert found["leaks"][0]["quantity"] == pytest.approx(3 * 24 * 0.03)
    assert [one["point"] for one in said(config, "list", "--medium", "gas")["leaks"]] == ["G-1"]
    assert said(config, "list", "--state", "usual")["leaks"] == []
    assert "30.0 l/h" in ran(config, "list").stdout


def test_what_became_of_one_is_kept_with_name_and_note_and_in_the_audit(config: Path) -> None:
    """And a second word on it is added, not put in its place."""
    number = said(config, "list")["leaks"][0]["number"]
    first = ran(config, "set", str(number), "told", "--note", "rang")
    second = said(config, "set", str(number), "crew", "--note", "on Tuesday")

    assert first.exit_code == 0, first.output
    assert f"leak {number}: W-new is told" in first.stdout
    assert [(one["before"], one["after"], one["note"]) for one in second["changes"]] == [
        ("", "new", ""), ("new", "told", "rang"), ("told", "crew", "on Tuesday"),
    ]
    with registry_of(config) as database:
        audited = [(row.action, row.target) for row in database.audit.page(size=10)]
    assert audited.count(("leak.decide", str(number))) == 2


@pytest.mark.parametrize(("words", "complaint"), [
    (("99", "told"), "there is no leak 99"), (("1", "over"), "Invalid value"), (("1", "new"), "Invalid value"),
    (("0", "told"), "Invalid value"),
])
def test_what_cannot_be_said_of_it_is_refused_and_nothing_changes(
    config: Path, words: tuple[str, str], complaint: str
) -> None:
    refused = ran(config, "set", *words)

    assert refused.exit_code != 0
    assert complaint in refused.output
    assert {one["state"] for one in said(config, "list")["leaks"]} == {"new"}
