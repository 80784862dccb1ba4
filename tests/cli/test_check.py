"""`scada check` looks into everything a configuration names."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from scada.cli import main


def check(folder: Path, text: str, *options: str) -> Result:
    (folder / "scada.yaml").write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["check", str(folder / "scada.yaml"), *options])


def test_a_sound_configuration_is_ok(tmp_path: Path) -> None:
    """Exit status 0 and one line."""
    done = check(tmp_path, "site: {name: North}\n")

    assert done.exit_code == 0
    assert done.output.strip().endswith("scada.yaml: ok")


def test_the_files_it_names_are_checked_too(tmp_path: Path) -> None:
    """An unknown template, a broken site file and a missing secret are named in one run, with their places."""
    (tmp_path / "site.yaml").write_text("feeders:\n  - {name: F1, transformer: T9}\n", encoding="utf-8")
    done = check(
        tmp_path,
        "site: {name: North}\nregistry: {import_file: site.yaml}\n"
        "modbus: {devices: [{name: M, template: no_such_meter, host: h}]}\n"
        "historian: {influx: [{url: 'http://h:8086', secret_file: secret}]}\n",
        "--json",
    )
    said = json.loads(done.output)

    assert done.exit_code == 2
    assert not said["ok"]
    text = json.dumps(said)
    for part in ("no_such_meter", "T9", "secret_file"):
        assert part in text


def test_a_problem_has_file_line_and_key(tmp_path: Path) -> None:
    """For people on stderr, for programs as JSON."""
    done = check(tmp_path, "site: {name: North}\nhmi:\n  prot: 1\n")

    assert done.exit_code == 2
    assert "scada.yaml:3: hmi.prot: unknown key" in done.stderr


def test_what_a_site_names_is_held_against_the_configuration(tmp_path: Path) -> None:
    """A misspelt meter or register would only show as a balance without a feed: warnings, the rest is sound."""
    (tmp_path / "site.yaml").write_text(
        "transformers:\n  - {name: T01, meter: T1-meter}\n"
        "balance_groups:\n"
        "  - {name: B1, medium: electricity, feed_tag: T01-meter/energy_imported}\n"
        "  - {name: B2, medium: electricity, feed_tag: T02-meter/energy_import}\n"
        "  - {name: B3, medium: electricity, feed_tag: energy_import}\n"
        "  - {name: B4, medium: electricity, feed_tag: T01-meter/energy_import}\n", encoding="utf-8",
    )
    done = check(
        tmp_path, "site: {name: North}\nregistry: {import_file: site.yaml}\n"
        "modbus: {devices: [{name: T01-meter, template: eastron_sdm630, host: h}]}\n",
    )

    assert done.exit_code == 0, done.output
    assert [line.split("modbus.devices: ")[1] for line in done.stderr.splitlines()] == [
        "transformer T01 has the meter T1-meter, which is no Modbus device here; expected one of T01-meter",
        "balance group B1 is fed by T01-meter/energy_imported, and T01-meter has no such point; expected one of "
        "energy_import, energy_export",
        "balance group B2 is fed by T02-meter/energy_import, which is no Modbus device here; expected one of T01-meter",
        "balance group B3 is fed by energy_import; expected device/point such as T01-meter/energy_import",
    ]


def test_the_site_clock_the_database_and_the_environment_are_looked_at(tmp_path: Path) -> None:
    """What would stop `scada run`, and what would let it run without its replica."""
    done = check(
        tmp_path, "site: {name: North}\nclock: {map_file: no.json}\nregistry: {url: 'nosuch://h/d'}\n"
        "historian: {influx: [{url: 'http://h', secret_env: NOT_SET_ANYWHERE}]}\n",
    )

    assert done.exit_code == 2
    assert "clock.map_file:" in done.stderr
    assert "registry.url:" in done.stderr
    assert "warning:" in done.stderr
    assert "NOT_SET_ANYWHERE is not set here" in done.stderr
