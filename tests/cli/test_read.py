"""`scada read`: numbers with their unit, and an answer to every name and time that cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.clock import NS
from scada.historian.livefiles import LiveFiles
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


def test_one_format_at_a_time(config: Path) -> None:
    """--json and --csv together were JSON, silently."""
    assert "--json or --csv, not both" in read(config, "T01/loading", "--json", "--csv").stderr
