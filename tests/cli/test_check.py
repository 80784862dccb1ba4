"""`scada check` looks into everything a configuration names."""

import json
from pathlib import Path

import pytest
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


def test_a_mistake_in_the_configuration_hides_no_mistake_elsewhere(tmp_path: Path) -> None:
    """Every problem of every file in one run: the configuration by line, then the files it names, each by line."""
    (tmp_path / "site.yaml").write_text("feeders:\n  - {name: F1, transformer: T9}\n", encoding="utf-8")
    (tmp_path / "odd.yaml").write_text(
        "title: t\nsource: s\npoints:\n- {name: u, address: 0}\n- {name: u, address: 1, scale: 0, unit: V, unit: A}\n"
        "- {name: v, address: 2, colour: red}\n- {address: 3}\n", encoding="utf-8",
    )
    done = check(
        tmp_path,
        "site: {nam: North}\nregistry: {import_file: site.yaml}\nhmi: {prot: 1}\n"
        "modbus:\n  template_dirs: [.]\n  devices:\n    - {name: A, template: eastron_sdm630, host: h, unit: 999}\n"
        "    - {template: odd}\n"
        "    - {name: M, template: no_such_meter, host: h}\n    - {name: N, template: odd, host: h}\n"
        "historian:\n  influx:\n    - {url: nowhere, name: other}\n    - {url: 'http://h', secret_file: secret}\n",
    )
    lines = [line.removeprefix(f"error: {tmp_path}/") for line in done.stderr.splitlines()]

    assert done.exit_code == 2
    assert [": ".join(line.split(": ")[:2]) for line in lines] == [
        "scada.yaml:1: site.name", "scada.yaml:1: site.nam", "scada.yaml:3: hmi.prot",
        "scada.yaml:7: modbus.devices.0.unit", "scada.yaml:8: modbus.devices.1.name", "scada.yaml:8: modbus.devices.1.host",
        "scada.yaml:9: modbus.devices.2.template", "scada.yaml:13: historian.influx.0.url",
        "scada.yaml:14: historian.influx.1.secret_file",
        "odd.yaml:5: points.1.unit", "odd.yaml:5: points.1", "odd.yaml:5: points.1", "odd.yaml:6: points.2.colour",
        "odd.yaml:7: points.3.name", "site.yaml:2: feeders.0.transformer",
    ]
    assert done.output.splitlines()[-1].endswith("15 problem(s)")


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Australia/Lord_Howe"])
def test_a_zone_that_run_refuses_is_found(tmp_path: Path, zone: str) -> None:
    """Half-hour zones need half-hour profiles; one of the two is half an hour off only for a part of the year."""
    done = check(tmp_path, f"site:\n  name: North\n  timezone: {zone}\n")

    assert done.exit_code == 2
    assert f"scada.yaml:3: site.timezone: {zone}: days do not begin on a full UTC hour" in done.stderr


def test_a_modbus_device_may_not_have_the_name_of_something_on_the_site(tmp_path: Path) -> None:
    """In the site file, in the registry that is there already, and among the server's own tags."""
    text = (
        "site: {name: North}\nregistry: {import_file: site.yaml}\nmodbus:\n  devices:\n"
        "    - {name: T01, template: eastron_sdm630, host: h}\n    - {name: Dispatch, template: eastron_sdm630, host: h}\n"
        "    - {name: LG, template: eastron_sdm630, host: h}\n"
    )
    (tmp_path / "site.yaml").write_text("transformers: [{name: T01, meter: T01}]\n", encoding="utf-8")
    (tmp_path / "held.yaml").write_text("load_groups: [{name: LG, number: 1, load_class: yellow}]\n", encoding="utf-8")
    (tmp_path / "plain.yaml").write_text("site: {name: North}\n", encoding="utf-8")
    imported = CliRunner().invoke(main, ["site", "import", str(tmp_path / "plain.yaml"), str(tmp_path / "held.yaml")])
    assert imported.exit_code == 0, imported.output
    done = check(tmp_path, text)

    assert done.exit_code == 2
    assert [line.split("modbus.")[1].split(";")[0] for line in done.stderr.splitlines()] == [
        "devices.0.name: Modbus device T01 and transformer T01 share a name",
        "devices.1.name: Modbus device Dispatch and the desk's own tags share a name",
        "devices.2.name: Modbus device LG and load group LG share a name",
    ]


def test_an_import_that_takes_the_name_of_a_modbus_device_is_refused(tmp_path: Path) -> None:
    """A natural choice, and every poll would fail: nothing is imported."""
    (tmp_path / "scada.yaml").write_text(
        "site: {name: North}\nmodbus: {devices: [{name: T01, template: eastron_sdm630, host: h}]}\n", encoding="utf-8")
    (tmp_path / "site.yaml").write_text("transformers: [{name: T01, meter: T01}]\n", encoding="utf-8")
    done = CliRunner().invoke(main, ["site", "import", str(tmp_path / "scada.yaml"), str(tmp_path / "site.yaml")])
    held = CliRunner().invoke(main, ["site", "export", str(tmp_path / "scada.yaml"), "-", "--json"])

    assert done.exit_code == 2
    assert "Modbus device T01 and transformer T01 share a name" in done.stderr
    assert json.loads(held.output) == {}


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
