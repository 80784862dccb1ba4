"""Events at the command line: of a module, a point, a tag, a group; a page at a time; for people and for programs."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.clock import NS
from scada.events import KeptEvent, Stream
from scada.historian.event_rows import EVENT_FILE, open_events, store_events

START = 1_767_225_600 * NS              # 2026-01-01T00:00Z, 02:00 at the site


def kept(second: int, source: str, kind: str = "magnet", stream: Stream = Stream.DEVICE, **other: Any) -> KeptEvent:
    said = {"state": "raised", "sequence": second, "at": START + second * NS, "time_good": True, "received": START + NS}
    return KeptEvent(stream=stream, source=source, kind=kind, **said | other)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two modules; the first was known by its EUI alone before, and one is a member of both groups."""
    path = tmp_path / "scada.yaml"
    path.write_text(
        "site: {name: North, timezone: Europe/Chisinau}\nhistorian: {retention: {event_days: 30}}\n", encoding="utf-8",
    )
    (tmp_path / "site.yaml").write_text(
        "concentrators: [{name: C01, link_id: 'C0FFEE01'}]\n"
        "modules: [{eui: 00124B0000000001, name: M1, concentrator: C01, index: 1, state: active},"
        " {eui: 00124B0000000002, name: M2, concentrator: C01, index: 2, state: active, adapter: AD220/50}]\n"
        "points: [{name: P1, medium: electricity}, {name: P2, medium: electricity}]\n"
        "meters: [{serial: S1, point: P1, eui: 00124B0000000001, channel: 0, pulses_per_unit: 1000,"
        " valid_from: '2025-01-01T00:00Z'}]\n"
        "balance_groups: [{name: BG, medium: electricity, members: [P1, P2]}]\n", encoding="utf-8",
    )
    imported = CliRunner().invoke(main, ["site", "import", str(path), str(tmp_path / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    with closing(open_events(tmp_path / "data" / "history" / EVENT_FILE)) as database:
        store_events(database, [
            kept(1, "00124b0000000001"), kept(2, "M1.ch0", text="said so"), kept(3, "M2"), kept(4, "M1", "power_down"),
            kept(5, "M1/battery", "low", Stream.ALARM, value=3.1, limit=3.2, unit="V", state="acknowledged", by="ana"),
            kept(6, "C01", at=0, time_good=False),
        ])
    return path


def run(config: Path, *words: str) -> Result:
    period = () if "--from" in words else ("--from", "2026-01-01T02:00", "--to", "2026-01-01T05:00")
    return CliRunner().invoke(main, ["historian", "events", str(config), *words, *period])


def sequences(config: Path, *words: str) -> list[int]:
    done = run(config, *words, "--json")
    assert done.exit_code == 0, done.output
    return [one["sequence"] for one in json.loads(done.stdout)["events"]]


def test_of_whom_they_are(config: Path) -> None:
    """Newest first; a module also under its EUI, a point by its modules, a tag alone."""
    assert sequences(config) == [5, 4, 3, 2, 6, 1]
    assert sequences(config, "M1") == [5, 4, 2, 1]
    assert sequences(config, "P1") == [5, 4, 2, 1]
    assert sequences(config, "--group", "BG") == [5, 4, 2, 1]
    assert sequences(config, "M1/battery") == [5]
    assert sequences(config, "C01") == [6]
    assert sequences(config, "M1", "--kind", "magnet", "--kind", "low") == [5, 2, 1]
    assert sequences(config, "--stream", "alarm") == [5]
    assert sequences(config, "--from", "2026-01-01T02:00:03", "--to", "2026-01-01T02:00:05") == [4, 3]


def test_page_by_page(config: Path) -> None:
    """The place of the next page is said to people and to programs."""
    first = json.loads(run(config, "--most", "4", "--json").stdout)
    second = json.loads(run(config, "--most", "4", "--before", first["older"], "--json").stdout)

    assert [one["sequence"] for page in (first, second) for one in page["events"]] == [5, 4, 3, 2, 6, 1]
    assert second["older"] is None
    assert f"--before {first['older']}" in run(config, "--most", "4").stderr


def test_for_people_and_in_full_for_programs(config: Path) -> None:
    """Both times of a device that does not trust its clock; value, limit and who acknowledged."""
    shown = " ".join(run(config, "--most", "6").stdout.split())
    rows = {one["sequence"]: one for one in json.loads(run(config, "--json").stdout)["events"]}

    assert "2026-01-01 02:00:01+02:00 (received)" in shown
    assert "3.1 V (limit 3.2)" in shown
    assert "said so" in shown
    assert rows[6]["at"] == "1970-01-01T00:00:00Z"
    assert rows[6]["moment"] == "2026-01-01T00:00:01Z"
    assert (rows[5]["by"], rows[5]["device"], rows[5]["limit"], rows[5]["stream"]) == ("ana", "M1", 3.2, "alarm")


def test_what_cannot_be_asked_is_a_sentence(config: Path) -> None:
    """A group nobody knows, two questions at once, a place that is none."""
    assert "BX" in run(config, "--group", "BX").output
    assert run(config, "--group", "BX").exit_code != 0
    assert "not both" in run(config, "M1", "--group", "BG").output
    assert "no place" in run(config, "--before", "x").output


def test_status_retention_and_verify_speak_of_them(config: Path) -> None:
    """As of every other kind."""
    def asked(command: str) -> Any:
        return json.loads(CliRunner().invoke(main, ["historian", command, str(config), "--json"]).stdout)

    assert asked("status")["bytes"]["events"] > 0
    assert asked("verify")["events"] == 6
    assert [(one["kind"], one["rows"]) for one in asked("retention")] == [("events", 6)]
