"""`scada read`: numbers with their unit, and an answer to every name and time that cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.cli.read import MOST_SHOWN
from scada.clock import NS
from scada.historian.influx_history import InfluxHistory
from scada.historian.livefiles import LiveFiles
from scada.historian.queries import PAGE, pages
from scada.historian.samples import Samples
from scada.historian.store import EmbeddedIntervals
from scada.ports import TagHistory
from scada.settings import InfluxSettings
from tests.historian.helpers import PumpedReactor, block
from tests.influx import Influx

START_S = 1_767_225_600                  # 2026-01-01T00:00Z
TAGS = ("T01/loading", "M/voltage_l1_n", "C01/archive_lag", "BG/feed", "gone/x")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scada.yaml"
    path.write_text(
        "site: {name: North, timezone: Europe/Chisinau}\n"
        "modbus: {devices: [{name: M, template: eastron_sdm630, host: h}]}\n", encoding="utf-8",
    )
    (tmp_path / "site.yaml").write_text(
        "transformers: [{name: T01}]\nconcentrators: [{name: C01, link_id: '00000001'}]\n"
        "balance_groups: [{name: BG, medium: water}]\n", encoding="utf-8",
    )
    imported = CliRunner().invoke(main, ["site", "import", str(path), str(tmp_path / "site.yaml")])
    assert imported.exit_code == 0, imported.output
    files = LiveFiles(tmp_path / "data" / "history")
    files.open()
    numbers = np.arange(1, len(TAGS) + 1, dtype=np.int32)
    files.append(list(enumerate(TAGS, 1)), Samples(
        numbers, np.full(len(TAGS), START_S * NS, np.int64), numbers / 4, np.zeros(len(TAGS), np.uint8),
    ))
    files.close()
    return path


def read(config: Path, name: str, *options: str, first: str = "2026-01-01", last: str = "2026-01-02") -> Result:
    return CliRunner().invoke(main, ["read", str(config), name, "--from", first, "--to", last, *options])


@pytest.mark.parametrize(
    ("tag", "unit"),
    [("T01/loading", "%"), ("M/voltage_l1_n", "V"), ("C01/archive_lag", "h"), ("BG/feed", "m³"), ("gone/x", "")],
)
def test_a_tag_is_shown_with_the_unit_it_was_defined_in(config: Path, tag: str, unit: str) -> None:
    """In the table's title, in CSV's header and in JSON; nothing where nobody defines it any more."""
    table, csv, said = read(config, tag), read(config, tag, "--csv"), json.loads(read(config, tag, "--json").output)

    assert table.output.splitlines()[0] == (f"{tag} [{unit}]" if unit else tag)
    assert csv.output.splitlines()[0] == (f"at,value [{unit}],quality" if unit else "at,value,quality")
    assert (said["unit"], len(said["rows"])) == (unit, 1)


def test_a_name_that_was_never_stored_is_not_an_empty_history(config: Path) -> None:
    """The nearest names are offered."""
    done = read(config, "T01/loadin")

    assert done.exit_code == 2
    assert "no stored tag 'T01/loadin'; near it are T01/loading" in done.stderr


def test_a_tag_with_a_dead_band_is_shown_by_time_and_has_no_sum(config: Path) -> None:
    """One sample stands for the ten minutes that its band allows; how many were left out is not known."""
    files = LiveFiles(config.parent / "data" / "history")
    number = files.open()["T01/loading"]
    at = START_S * NS + 3600 * NS
    one = Samples(np.array([number], np.int32), np.array([at]), np.array([7.5]), np.zeros(1, np.uint8))
    files.append([], one, [(number, at, 600 * NS)])
    files.close()
    hours = read(config, "T01/loading", "--step", "1h", "--json", first="2026-01-01T02:00", last="2026-01-01T04:00")
    summed = read(config, "T01/loading", "--step", "1h", "--how", "sum")

    assert [row["value"] for row in json.loads(hours.output)["rows"]] == [0.25, 7.5]
    assert json.loads(hours.output)["rows"][1]["completeness"] == pytest.approx(1 / 6)
    assert summed.exit_code == 2
    assert "have no sum; expected mean" in summed.stderr


def test_a_time_without_samples_says_so(config: Path) -> None:
    """An empty table alone could be a fault."""
    done = read(config, "T01/loading", first="2025-01-01", last="2025-02-01")

    assert "nothing between 2025-01-01 00:00:00+02:00" in done.output


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("yesterday", "2026-01-02", "'yesterday' is no time"),
        ("0001-01-01", "2026-01-02", "'0001-01-01' is outside the years 1971 to 2200"),
        ("2026-01-02", "2026-01-01", "the period ends before it begins"),
    ],
)
def test_a_time_that_cannot_be_is_refused_in_a_sentence(config: Path, first: str, last: str, said: str) -> None:
    """No traceback, whatever is typed."""
    done = read(config, "T01/loading", first=first, last=last)

    assert done.exit_code == 2
    assert said in done.stderr


MANY = PAGE + 20_000


@pytest.fixture
def much(config: Path) -> Path:
    """More samples than are read at once: four a second, over 30,000 seconds, half of them rolled into chunks."""
    files = LiveFiles(config.parent / "data" / "history")
    number = files.open()["T01/loading"]
    at = START_S * NS + np.arange(1, MANY + 1, dtype=np.int64) * (NS // 4)
    for part in (slice(0, MANY // 2), slice(MANY // 2, MANY)):
        count = len(at[part])
        files.append([], Samples(
            np.full(count, number, np.int32), at[part], np.arange(MANY)[part] + 0.5, np.zeros(count, np.uint8)
        ))
        if part.start == 0:
            files.roll()
    files.close()
    return config


def test_nothing_is_left_out_of_csv_and_json(much: Path) -> None:
    """All samples, once each, oldest first; times to the millisecond where the source had them."""
    lines = read(much, "T01/loading", "--csv").output.splitlines()[1:]
    rows = json.loads(read(much, "T01/loading", "--json").output)["rows"]

    assert len(lines) == len(rows) == MANY + 1
    assert [row["value"] for row in rows[1:]] == [number + 0.5 for number in range(MANY)]
    assert [row["at"] for row in rows[:5]] == [
        "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.250Z", "2026-01-01T00:00:00.500Z", "2026-01-01T00:00:00.750Z",
        "2026-01-01T00:00:01Z",
    ]
    assert lines[1] == "2026-01-01T00:00:00.250Z,0.5,good"


def test_a_table_says_how_much_it_left_out(much: Path) -> None:
    """The newest rows are for people, all of them for programs."""
    done = read(much, "T01/loading")

    assert "2026-01-01 02:00:00+02:00" not in done.stdout
    assert "2026-01-01 10:20:00+02:00" in done.stdout
    assert f"the newest {MOST_SHOWN:,} of {MANY + 1:,} rows" in done.stderr
    assert "--csv or --json writes all" in done.stderr


def test_pages_are_bounded_and_whole_however_dense_the_samples_are(much: Path) -> None:
    """Also where a window begins inside an hour, and where what was rolled lies next to what was not."""
    from typing import cast

    from scada.historian.livefiles import LiveHistory
    from scada.historian.service import open_reader

    live = cast(LiveHistory, open_reader(much.parent / "data" / "history").live)
    first, last = START_S * NS, (START_S + 86_400) * NS
    found = list(pages(live, "T01/loading", first, last, most=7_000))

    assert max(len(page.at) for page in found) < 7_000
    assert np.concatenate([page.at for page in found]).tolist() == [first + n * (NS // 4) for n in range(MANY + 1)]


def test_a_step_a_row_says_what_stands_for_it_how_good_and_how_complete(much: Path) -> None:
    """The same in JSON, in CSV and in the table; the 30,000 s end within the ninth hour, and nothing came after."""
    said = json.loads(read(much, "T01/loading", "--step", "1h", "--how", "max", "--json").output)
    lines = read(much, "T01/loading", "--step", "1h", "--how", "max", "--csv").output.splitlines()
    table = read(much, "T01/loading", "--step", "1h", "--how", "max").output

    rows = said["rows"]
    assert (said["step"], said["how"], said["unit"], said["end"]) == ("1h", "max", "%", "2026-01-01T22:00:00Z")
    assert [row["at"] for row in rows][:3] == ["2025-12-31T22:00:00Z", "2025-12-31T23:00:00Z", "2026-01-01T00:00:00Z"]
    assert len(rows) == len(lines) - 1 == 24
    assert (rows[2]["value"], rows[2]["quality"], rows[2]["completeness"]) == (14_398.5, "good", 1.0)
    assert (rows[10]["value"], rows[10]["completeness"]) == (MANY - 0.5, pytest.approx(4801 / 14_400))
    assert (rows[0]["value"], rows[0]["quality"], rows[0]["completeness"]) == (None, "bad_waiting", 0.0)
    assert lines[0] == "at,max [%],quality,completeness"
    assert lines[3] == "2026-01-01T00:00:00Z,14398.5,good,1.0000"
    assert lines[1] == "2025-12-31T22:00:00Z,,bad_waiting,0.0000"
    assert "T01/loading, max of 1h [%]" in table
    assert "14,398.500" in table


def test_a_mean_is_what_stands_for_a_step_of_a_tag_and_a_count_has_no_unit(much: Path) -> None:
    """Where nothing is said."""
    mean = json.loads(read(much, "T01/loading", "--step", "1d", "--json").output)
    count = json.loads(read(much, "T01/loading", "--step", "1d", "--how", "count", "--json").output)

    assert (mean["how"], len(mean["rows"])) == ("mean", 1)
    assert (count["unit"], count["rows"][0]["value"]) == ("", MANY + 1)


def test_what_is_still_to_come_is_no_step(config: Path) -> None:
    """A range that reaches into the future ends now."""
    said = json.loads(read(config, "T01/loading", "--step", "1d", "--json", last="2199-01-01").output)

    assert said["end"] < "2190"
    assert len(said["rows"]) < 366 * 100


def test_hours_of_a_metering_point_become_site_days(config: Path) -> None:
    """Sums of what is held, each day as complete as it is; nothing is 0 where nothing came."""
    site = config.parent / "meter.yaml"
    site.write_text(
        "concentrators: [{name: C01, link_id: '00000001'}]\n"
        "modules: [{eui: 00124B0000000001, name: M1, concentrator: C01, index: 1, state: active}]\n"
        "points: [{name: P1, medium: electricity}]\n"
        "meters: [{serial: S1, point: P1, eui: 00124B0000000001, channel: 0, pulses_per_unit: 1000,"
        " valid_from: '2025-01-01T00:00Z'}]\n", encoding="utf-8",
    )
    imported = CliRunner().invoke(main, ["site", "import", str(config), str(site)])
    assert imported.exit_code == 0, imported.output
    reactor = PumpedReactor()
    store = EmbeddedIntervals(config.parent / "data" / "history", reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block(np.full((1, 24 + 10), 500), first=START_S // 3600 - 2)))
    store.close()
    said = json.loads(read(config, "P1", "--step", "1d", "--json", last="2026-01-04").output)
    highest = json.loads(read(config, "P1", "--step", "1d", "--how", "max", "--json", last="2026-01-04").output)

    assert (said["unit"], said["how"]) == ("kWh", "sum")
    assert [row["value"] for row in said["rows"]] == [12.0, 5.0, None]
    assert [row["completeness"] for row in said["rows"]] == [1.0, pytest.approx(10 / 24), 0.0]
    assert [row["at"] for row in said["rows"]] == ["2025-12-31T22:00:00Z", "2026-01-01T22:00:00Z", "2026-01-02T22:00:00Z"]
    assert [row["value"] for row in highest["rows"]] == [0.5, 0.5, None]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--step", "1x"), "'1x' is no step; expected 10s, 15min, 1h, 1d"),
        (("--how", "max"), "expected --step too"),
        (("--step", "1h", "--how", "median"), "'median' is not one of"),
    ],
)
def test_a_step_that_cannot_be_is_refused_in_a_sentence(config: Path, options: tuple[str, ...], said: str) -> None:
    """Before anything is read."""
    done = read(config, "T01/loading", *options)

    assert done.exit_code == 2
    assert said in done.stderr


def test_one_format_at_a_time(config: Path) -> None:
    """--json and --csv together were JSON, silently."""
    assert "--json or --csv, not both" in read(config, "T01/loading", "--json", "--csv").stderr


def test_history_is_read_from_a_replica_when_that_is_wanted(config: Path, tmp_path: Path) -> None:
    """Tags and points, of a real InfluxDB 1.6; what is held there alone is shown, and a name that is no place is told."""
    influx = Influx(tmp_path / "influx")
    influx.start()
    influx.query("CREATE DATABASE scada")
    site = config.parent / "meter.yaml"
    site.write_text(
        "concentrators: [{name: C01, link_id: '00000001'}]\n"
        "modules: [{eui: 00124B0000000001, name: M1, concentrator: C01, index: 1, state: active}]\n"
        "points: [{name: P1, medium: electricity}]\n"
        "meters: [{serial: S1, point: P1, eui: 00124B0000000001, channel: 0, pulses_per_unit: 1000,"
        " valid_from: '2025-01-01T00:00Z'}]\n", encoding="utf-8",
    )
    imported = CliRunner().invoke(main, ["site", "import", str(config), str(site)])
    assert imported.exit_code == 0, imported.output
    config.write_text(f"{config.read_text()}historian: {{influx: [{{name: city, url: '{influx.url}'}}]}}\n")
    city = InfluxHistory(InfluxSettings(url=influx.url))
    city.write([block([[500, 1500]], first=START_S // 3600)])
    city.write_tag("T01/loading", TagHistory(np.array([START_S * NS]), np.array([77.5]), np.zeros(1, np.uint8)))
    city.close()
    point = json.loads(read(config, "P1", "--place", "city", "--json").output)
    tag = json.loads(read(config, "T01/loading", "--place", "city", "--json").output)
    steps = json.loads(read(config, "P1", "--place", "city", "--step", "1d", "--json").output)
    here, nowhere = read(config, "T01/loading", "--csv"), read(config, "P1", "--place", "town")
    influx.kill()
    away = read(config, "P1", "--place", "city")

    assert [row["value"] for row in point["rows"] if row["value"] is not None] == [0.5, 1.5]
    assert (point["unit"], [row["value"] for row in tag["rows"]]) == ("kWh", [77.5])
    assert sum(row["value"] or 0.0 for row in steps["rows"]) == 2.0
    assert "77.5" not in here.output
    assert nowhere.exit_code == 2
    assert "no place 'town'; expected one of embedded, city" in nowhere.stderr
    assert away.exit_code == 1
    assert "does not answer" in away.stderr
