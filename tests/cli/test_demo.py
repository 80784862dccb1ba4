"""The demo: site time never jumps back, and what the user changed is kept."""

import os
from pathlib import Path

import pytest
import yaml

from scada.cli.demo import nothing_stored, resume_clock, same_district, write_config
from scada.clock import NS, TimeMap
from scada.errors import ConfigError, StartError
from scada.settings import load


def test_site_time_goes_on_where_the_demo_stopped(tmp_path: Path) -> None:
    """A night's pause is no gap, and a change of speed no jump."""
    resume_clock(tmp_path, 600.0)
    first = TimeMap.load(tmp_path / "clock.json")
    stopped = first.real0 + 10 * NS
    (tmp_path / "clock.beat").touch()
    os.utime(tmp_path / "clock.beat", ns=(stopped, stopped))
    resume_clock(tmp_path, 60.0)
    second = TimeMap.load(tmp_path / "clock.json")

    assert second.rate == 60.0
    assert abs(second.site0 - first.site(stopped)) < NS


def ports(hmi: int | None = None, modbus: int | None = None) -> dict[tuple[str | int, ...], int | None]:
    return {("hmi", "port"): hmi, ("modbus", "devices", 0, "port"): modbus}


def test_the_configuration_is_the_packaged_one_with_its_comments(tmp_path: Path) -> None:
    """A user who opens it can read it, also with ports of his own."""
    text = write_config(tmp_path, ports(hmi=8081)).read_text(encoding="utf-8")

    assert "# site time runs faster" in text
    assert yaml.safe_load(text)["hmi"]["port"] == 8081


def test_ports_given_at_a_later_start_are_taken_and_what_the_user_changed_is_kept(tmp_path: Path) -> None:
    """The first start found its port in use: the second one, with another port, must not use the first again."""
    path = write_config(tmp_path, ports())
    path.write_text(path.read_text(encoding="utf-8").replace("Demo district", "My district # mine"), encoding="utf-8")
    write_config(tmp_path, ports(hmi=8081, modbus=15021))
    write_config(tmp_path, ports())
    settings = load(path)

    assert (settings.hmi.port, settings.modbus.devices[0].port, settings.dmesh.port) == (8081, 15021, 20202)
    assert settings.site.title == "My district"


def test_a_port_whose_key_the_user_removed_is_not_lost_silently(tmp_path: Path) -> None:
    """The file is named, and the key."""
    (tmp_path / "scada.yaml").write_text("site: {name: Mine}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"scada\.yaml: hmi\.port: not there; expected the key, to set it to 8081"):
        write_config(tmp_path, ports(hmi=8081))


def test_another_district_wants_a_folder_of_its_own(tmp_path: Path) -> None:
    """Its modules would be strangers to the registry that is there."""
    same_district(tmp_path, tmp_path / "mistyped.csv", None)        # a first start that came to nothing binds nobody
    same_district(tmp_path, None, None)
    (tmp_path / "site.yaml").touch()
    same_district(tmp_path, None, None)

    with pytest.raises(StartError, match="was made with other --profiles, --loads"):
        same_district(tmp_path, tmp_path / "profiles.csv", tmp_path / "loads.csv")
    with pytest.raises(StartError, match="--concentrators or --modules"):
        same_district(tmp_path, None, None, ["--modules", "100"])


def test_a_first_start_that_came_to_nothing_does_not_cost_the_history(tmp_path: Path) -> None:
    """The port was in use; the next start still has three days to look at. Once pulses are stored, none are made up."""
    settings = load(write_config(tmp_path, ports()))
    before = nothing_stored(settings)
    (tmp_path / "data" / "history").mkdir(parents=True)
    (tmp_path / "data" / "history" / "state.sqlite").touch()
    failed = nothing_stored(settings)
    (tmp_path / "data" / "history" / "intervals-2026-11.sqlite").touch()

    assert (before, failed, nothing_stored(settings)) == (True, True, False)
