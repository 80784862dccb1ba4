"""A configuration is checked as a whole: every problem at once, each with file, line, key and what was expected."""

from pathlib import Path
from typing import Any

import pytest

from scada.errors import ConfigError
from scada.settings import Settings, examine, load

GOOD = """\
site:
  name: North
data_dir: store
modbus:
  devices:
    - {name: T01-meter, template: eastron_sdm630, host: 127.0.0.1}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "scada.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    return [(problem.line, problem.key, problem.expected) for problem in caught.value.problems]


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """The same file works from any working directory."""
    settings = load(write(tmp_path, GOOD))

    assert settings.data_dir == tmp_path / "store"
    assert settings.path(settings.dmesh.keys_file, "keys.store") == tmp_path / "store" / "keys.store"


def test_a_new_site_only_monitors_and_opcua_is_closed() -> None:
    """The defaults are the safe ones."""
    settings = Settings.model_validate({"site": {"name": "North"}})

    assert settings.dispatch.monitor_only
    assert not settings.opcua.allow_unencrypted
    assert not settings.opcua.trust_any_client
    assert settings.clock.trust == "ntp"
    assert settings.hmi.host == "127.0.0.1"


def test_all_problems_are_named_at_once_with_their_lines(tmp_path: Path) -> None:
    """One run of `scada check` is enough."""
    found = problems(
        tmp_path,
        "site:\n  name: North\n  timezone: Europe/Chisinov\nhmi:\n  prot: 8080\ndmesh:\n  port: 99999\n"
        "modbus:\n  devices:\n    - name: a/b\n      template: x\n",
    )

    assert [(line, key) for line, key, _ in found] == [
        (3, "site.timezone"),
        (5, "hmi.prot"),
        (7, "dmesh.port"),
        (10, "modbus.devices.0.name"),
        (10, "modbus.devices.0.host"),
    ]
    assert "no time zone 'Europe/Chisinov'" in found[0][2]
    assert found[1][2].startswith("unknown key")
    assert "found 99999" in found[2][2]
    assert found[4][2].startswith("missing")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("site: [", 1, "not valid YAML"),
        ("- a list", 1, "expected a mapping"),
        ("", 1, "expected a mapping"),
        ("site: {name: North}\nhmi: {port: 20202}\n", 2, "20202 is also dmesh.port; the ports must differ"),
        ("site: {name: North}\nhmi: {port: 8081}\nhmi: {port: 8082}\n", 3, "stands twice"),
        ("site: {name: 5}\n", 1, "expected text (in quotes, if it looks like a number), found 5"),
        ("site: {name: N}\nmodbus: [1]\n", 2, "expected a mapping of keys, found [1]"),
        ("site: {name: N}\nhmi: {port: many}\n", 2, "expected a whole number, found 'many'"),
        ("site: {name: N}\ndispatch: {repeat: 9}\n", 2, "expected at most 5, found 9"),
        ("site: {name: N}\nopcua: {enabled: maybe}\n", 2, "expected true or false, found 'maybe'"),
    ],
)
def test_a_file_that_is_no_configuration_says_so(tmp_path: Path, text: str, line: int, said: str) -> None:
    """Whatever is in the file, the answer is a sentence with a place."""
    found = problems(tmp_path, text)

    assert len(found) == 1
    assert found[0][0] in (line, line + 1)
    assert said in found[0][2]


@pytest.mark.parametrize("text", ["site: &a {name: N, x: *a}\n", "site: " + "[" * 3000 + "]" * 3000])
def test_a_file_without_a_bottom_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    """Not by the interpreter's recursion limit."""
    assert "nested too deeply, or refers to itself" in problems(tmp_path, text)[0][2]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file; expected a configuration"):
        load(tmp_path / "nowhere.yaml")


def test_a_fault_in_one_section_hides_none_between_sections(tmp_path: Path) -> None:
    """A wrong value, a name that stands twice and two ports that are the same, in one run."""
    device = "    - {name: M, template: t, host: h}\n"
    found = problems(
        tmp_path, "site: {nam: N}\nopcua: {port: 8080}\nhistorian: {influx: [{url: 'http://a'}, {url: 'http://b'}]}\n"
        "modbus:\n  devices:\n" + device * 2,
    )

    assert [(line, key) for line, key, _ in found] == [
        (1, "site.name"), (1, "site.nam"), (2, "opcua.port"), (3, "historian.influx.1.name"), (7, "modbus.devices.1.name"),
    ]


@pytest.mark.parametrize("url", ["http://ana:hunter2@h:8086", "htp://ana:hunter2@h", "https://h/?u=ana&p=hunter2"])
def test_a_secret_in_the_url_of_a_replica_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    """The URL stands in health, on pages and in the log."""
    ((_, key, said),) = problems(tmp_path, f"site: {{name: N}}\nhistorian: {{influx: [{{url: '{url}'}}]}}\n")

    assert key == "historian.influx.0.url"
    assert "secret_env" in said
    assert "secret_file" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("url", ["h:8086", "ftp://h", "http://", "http://[::1"])
def test_what_is_no_base_url_is_refused(tmp_path: Path, url: str) -> None:
    """At the start, not by a replica that never answers."""
    assert "expected http://host:port" in problems(
        tmp_path, f"site: {{name: N}}\nhistorian: {{influx: [{{url: '{url}'}}]}}\n")[0][2]


def test_device_names_must_differ(tmp_path: Path) -> None:
    """Two devices with one name would write into each other's tags."""
    device = "    - {name: M, template: t, host: h}\n"

    assert "the name M stands twice" in problems(tmp_path, "site: {name: N}\nmodbus:\n  devices:\n" + device * 2)[0][2]


def test_every_setting_says_what_it_is_for() -> None:
    """The reference page is generated from these sentences."""

    def undescribed(model: Any, prefix: str = "") -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            types = (field.annotation, *getattr(field.annotation, "__args__", ()))
            inner = next((one for one in types if hasattr(one, "model_fields")), None)
            if inner is not None:
                found += undescribed(inner, f"{prefix}{name}.")
            elif not field.description:
                found.append(prefix + name)
        return found

    assert undescribed(Settings) == []


def test_tls_that_is_asked_for_needs_certificates_and_a_port_of_its_own(tmp_path: Path) -> None:
    """Nobody is left listening to nothing, and no call goes out in the clear by mistake."""
    def problems(text: str) -> str:
        path = tmp_path / "scada.yaml"
        path.write_text("site: {name: N}\n" + text, encoding="utf-8")
        return "\n".join(str(problem) for problem in examine(path).problems)

    asked = problems('dmesh: {plain: false, call: [{link_id: "0001000a", host: a, tls: true}]}\n')
    same = problems("dmesh: {tls: {port: 20202, certificate: a, key: b, ca: c}}\n")
    good = problems("dmesh: {plain: false, tls: {certificate: a, key: b, ca: c}}\n")

    assert "dmesh.plain: nobody is listened to; expected `dmesh.tls` with it" in asked
    assert "dmesh.call.0.tls: needs certificates; expected `dmesh.tls` with it" in asked
    assert "dmesh.tls.port: is also dmesh.port; the ports must differ" in same
    assert good == ""


def test_a_concentrator_is_called_by_one_way_only(tmp_path: Path) -> None:
    """The same link id twice, or one that is none, is told with its place."""
    path = tmp_path / "scada.yaml"
    path.write_text(
        'site: {name: N}\ndmesh:\n  call:\n    - {link_id: "0001000a", host: a}\n    - {link_id: "0001000A", host: b}\n'
        "    - {link_id: xyz, host: c}\n",
        encoding="utf-8",
    )
    problems = [str(problem) for problem in examine(path).problems]

    assert any("dmesh.call.1.link_id" in one and "stands twice" in one for one in problems)
    assert any("dmesh.call.2.link_id" in one for one in problems)


def test_interval_data_is_not_kept_for_a_few_days_only(tmp_path: Path) -> None:
    """What is billed and corrected for a year would be asked of the field again."""
    text = GOOD + "historian: {retention: {interval_days: 30}}\n"

    assert problems(tmp_path, text) == [
        (7, "historian.retention.interval_days", "30 days of interval data are too few; expected 400 or more, or 0"),
    ]
    assert load(write(tmp_path, text.replace("30", "400"))).historian.retention.interval_days == 400
