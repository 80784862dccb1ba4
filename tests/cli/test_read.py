"""`scada read`: numbers with their unit, and an answer to every name and time that cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.cli.read import MOST_SHOWN
from scada.clock import NS
from scada.historian.livefiles import LiveFiles
from scada.historian.queries import PAGE, pages
from scada.historian.samples import Samples

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


def test_one_format_at_a_time(config: Path) -> None:
    """--json and --csv together were JSON, silently."""
    assert "--json or --csv, not both" in read(config, "T01/loading", "--json", "--csv").stderr
