"""What was known of a point and when, its quarters of an hour, and sums of groups, at the command line."""

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.historian.store import EmbeddedIntervals
from scada.intervals import MISSING
from tests.historian.helpers import PumpedReactor, block

NS = 1_000_000_000
START_S = 1_767_225_600                  # 2026-01-01T00:00Z, 02:00 at the site
HOUR = START_S // 3600


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two points of which one hour came a week late; the second has quarters of an hour."""
    path = tmp_path / "scada.yaml"
    path.write_text("site: {name: North, timezone: Europe/Chisinau}\n", encoding="utf-8")
    meters = "".join(
        f" {{serial: S{n}, point: P{n}, eui: 00124B000000000{n}, channel: 0, pulses_per_unit: 1000,"
        " valid_from: '2025-01-01T00:00Z'}," for n in (1, 2)
    )
    (tmp_path / "site.yaml").write_text(
        "concentrators: [{name: C01, link_id: 'C0FFEE01'}]\n"
        "modules: [{eui: 00124B0000000001, name: M1, concentrator: C01, index: 1, state: active},"
        " {eui: 00124B0000000002, name: M2, concentrator: C01, index: 2, state: active}]\n"
        "points: [{name: P1, medium: electricity}, {name: P2, medium: electricity}]\n"
        f"meters: [{meters.rstrip(',')}]\n"
        "balance_groups: [{name: BG, medium: electricity, members: [P1, P2]},"
        " {name: B2, medium: electricity, members: [P2]}]\n", encoding="utf-8",
    )
    imported = CliRunner().invoke(main, ["site", "import", str(path), str(tmp_path / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    reactor = PumpedReactor()
    store = EmbeddedIntervals(tmp_path / "data" / "history", reactor)
    store.open()
    store.start()
    first = block([[500, MISSING, 700]], first=HOUR, record=3)
    late = block([[600]], first=HOUR + 1, record=0, status=[[4]])
    quarters = block([[100, 110, 120, 130, 90]], first=HOUR * 4, eui=[0x00124B0000000002], record=4, interval_s=900)
    for one, at in ((first, START_S + 86_400), (quarters, START_S + 86_400), (late, START_S + 7 * 86_400)):
        reactor.wait(store.commit(attrs.evolve(one, received=at * NS)))
    store.close()
    return path


def run(*words: str, first: str = "2026-01-01T02:00", last: str = "2026-01-01T05:00") -> Result:
    done = CliRunner().invoke(main, [*words, "--from", first, "--to", last])
    assert done.exit_code == 0, done.output
    return done


def rows(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(*words, "--json").output)["rows"]
    return found


def test_a_point_is_read_as_it_was_known_when_the_bill_was_written(config: Path) -> None:
    """The hour that came late is missing then, and what was over is not still waited for; steps and sums alike."""
    then = ("--as-of", "2026-01-03")
    read = ("read", str(config), "P1")

    assert [row["value"] for row in rows(*read)] == [0.5, 0.6, 0.7]
    assert [(row["value"], row["quality"]) for row in rows(*read, *then)] == [
        (0.5, "good"), (None, "bad_stale"), (0.7, "good")
    ]
    assert [row["value"] for row in rows(*read, "--step", "1d", *then)] == [1.2]
    assert [row["value"] for row in rows(*read, "--as-of", "2026-01-01T03:30")] == [None] * 3
    assert [row["quality"] for row in rows(*read, "--as-of", "2026-01-01T03:30")] == [
        "bad_stale", "bad_waiting", "bad_waiting"
    ]
    assert [row["sum"] for row in rows("sums", str(config), "BG", *then)] == [0.96, None, 0.7]


def test_the_changes_of_hours_are_listed_with_their_sources(config: Path) -> None:
    """In JSON every field; in the table a sentence; since a day only what came later."""
    words = ("historian", "changes", str(config), "P1")
    said = json.loads(run(*words, "--json").output)
    later = json.loads(run(*words, "--since", "2026-01-05", "--json").output)

    assert said["unit"] == "kWh"
    assert [(one["start"], one["before"], one["after"], one["at"]) for one in said["changes"]] == [
        ("2026-01-01T00:00:00Z", None, 0.5, "2026-01-02T00:00:00Z"),
        ("2026-01-01T02:00:00Z", None, 0.7, "2026-01-02T00:00:00Z"),
        ("2026-01-01T01:00:00Z", None, 0.6, "2026-01-08T00:00:00Z"),
    ]
    assert later["changes"] == said["changes"][2:]
    assert (later["changes"][0]["link_id"], later["changes"][0]["record"]) == ("c0ffee01", 0)
    table = run(*words).output
    assert "c0ffee01, archive 7, record 3" in table
    assert "c0ffee01, asked for" in table


def test_quarters_of_an_hour_are_read_as_they_were_delivered(config: Path) -> None:
    """And as hours where all four are held; an interval that was not delivered is missing."""
    quarters = rows("read", str(config), "P2", "--interval", "15min")

    assert [row["value"] for row in quarters] == [0.1, 0.11, 0.12, 0.13, 0.09, *[None] * 7]
    assert quarters[1]["at"] == "2026-01-01T00:15:00Z"
    assert [row["value"] for row in rows("read", str(config), "P2")] == [0.46, None, None]
    assert [row["value"] for row in rows("read", str(config), "P1", "--interval", "30min")] == [None] * 6


def test_sums_of_groups_mix_hours_and_quarters(config: Path) -> None:
    """All groups unless some are named; how many members are in a sum is said."""
    found = rows("sums", str(config))
    lines = run("sums", str(config), "B2", "--csv").output.splitlines()

    assert [(row["group"], row["sum"], row["present"], row["members"]) for row in found] == [
        ("BG", 0.96, 2, 2), ("BG", 0.6, 1, 2), ("BG", 0.7, 1, 2),
        ("B2", 0.46, 1, 1), ("B2", None, 0, 1), ("B2", None, 0, 1),
    ]
    assert lines[1:3] == [
        "B2,2026-01-01T00:00:00Z,0.46,kWh,1,1,1.0", "B2,2026-01-01T01:00:00Z,,kWh,0,1,0.0"
    ]
    assert "1 of 2" in run("sums", str(config), "BG").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("read", "T/x", "--as-of", "2026-01-01"), "the samples of a tag are never replaced"),
        (("read", "P1", "--interval", "15min", "--step", "1d"), "expected --interval or --step"),
        (("historian", "changes", "P9"), "no metering point 'P9'"),
        (("sums", "B9"), "no balance group 'B9'; near it are"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(config: Path, words: tuple[str, ...], said: str) -> None:
    """Before anything is read."""
    place = 2 if words[0] == "historian" else 1
    done = CliRunner().invoke(main, [*words[:place], str(config), *words[place:]])

    assert done.exit_code == 2
    assert said in done.stderr
