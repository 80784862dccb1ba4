"""Site files: what is written is read back the same, and what a person got wrong is told with its place."""

import tempfile
from pathlib import Path

import attrs
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from scada.errors import ConfigError
from scada.registry import exchange
from scada.registry.database import open_registry
from scada.registry.draft import put_into
from scada.site import Site
from tests.registry.sites import ENGINEER, HIGH, a_site, same, sites, sqlite

FORMATS = pytest.mark.parametrize("name", ["site.yaml", "folder"])


def problems_of(path: Path, old: Site | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        put_into(exchange.read(path), old or Site())
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]


@FORMATS
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(site=sites())
def test_any_valid_site_survives_export_and_import_into_an_empty_registry(name: str, site: Site) -> None:
    """Through the file and through the database, for random sites."""
    with tempfile.TemporaryDirectory() as folder:
        exchange.write(site, Path(folder, name))
        database = open_registry(sqlite(Path(folder)))
        imported = database.import_file(Path(folder, name), ENGINEER).site
        stored = open_registry(sqlite(Path(folder)))

        assert same(imported, site)
        assert same(stored.load(), site)
        database.close()
        stored.close()


@FORMATS
def test_importing_the_same_file_twice_changes_nothing(tmp_path: Path, name: str) -> None:
    """The second import writes no row: generation and audit stay where they were."""
    exchange.write(a_site(), tmp_path / name)
    database = open_registry(sqlite(tmp_path))
    first = database.import_file(tmp_path / name, ENGINEER)
    rows = database.audit.count()
    second = database.import_file(tmp_path / name, ENGINEER)

    assert not first.unchanged
    assert second.unchanged
    assert (second.site, database.audit.count()) == (first.site, rows)
    database.close()


def test_the_yaml_export_is_one_line_a_thing_and_reads_the_same_in_any_yaml_reader(tmp_path: Path) -> None:
    """An EUI of decimal digits only stays text for readers that guess types, and defaults are left out."""
    exchange.write(a_site(), tmp_path / "site.yaml")
    text = (tmp_path / "site.yaml").read_text()
    read = yaml.safe_load(text)

    assert read["modules"][2] == {"eui": "0000000000000003", "name": "C02-001", "concentrator": "C02", "index": 1}
    assert read["meters"][0]["valid_from"] == "2024-10-04T00:00Z"
    assert read["load_groups"][0]["members"] == [f"{HIGH + 1:016X}", f"{HIGH:016X}"]
    assert "- {name: F1, transformer: T01}\n" in text


def test_values_without_quotes_are_read_by_the_type_of_their_field(tmp_path: Path) -> None:
    """YAML would take the EUI for a number, `no` for false and the time for a date."""
    (tmp_path / "site.yaml").write_text(
        "concentrators: [{name: no, link_id: 00000010}]\n"
        "modules: [{eui: 1234567890123456, name: 007, concentrator: no, index: 1}]\n"
        "points: [{name: p, medium: Water}]\n"
        "meters: [{serial: 12e3, point: p, eui: 1234567890123456, channel: 0, pulses_per_unit: 100,"
        " valid_from: 2026-01-01T00:00:00Z}]\n"
    )
    site = put_into(exchange.read(tmp_path / "site.yaml"), Site()).site

    assert site.modules[0].eui == 0x1234567890123456
    assert (site.modules[0].name, site.modules[0].concentrator) == ("007", "no")
    assert site.concentrators[0].link_id == 0x10
    assert (site.meters[0].serial, site.meters[0].valid_from) == ("12e3", 490896)


def test_every_error_of_a_yaml_file_is_named_at_once_with_line_and_key(tmp_path: Path) -> None:
    """Errors of writing, of references and of the whole come in one list, in the order of the file."""
    (tmp_path / "site.yaml").write_text(
        """\
transformers: [{name: T01, rated_kva: -5}]
feeders:
  - {name: F1, transformer: T99}
  - name: F2
    transfromer: T01
concentrators:
  - {name: C01, link_id: 4A1000}
  - {name: C02, link_id: 4A1000C2}
  - {name: C02, link_id: 4A1000C3}
modules:
  - {eui: 0000000000000001, name: M1, concentrator: C01, index: 1}
  - {eui: 0000000000000002, name: M1, concentrator: C02, index: 1}
  - {eui: 0000000000000003, name: M3, concentrator: C02, index: 1}
  - {eui: 0000000000000004, name: M4, concentrator: C02, index: [241]}
consumers: [{name: K1, phases: L1L4}, {name: K1}]
points: [{name: P1, medium: electricity}, {name: P2, medium: steam}, {name: W1, medium: water}]
meters:
  - {serial: a, point: P1, eui: 0000000000000001, channel: 0, pulses_per_unit: 1000, valid_from: 2026-01-01T00:30Z}
  - {serial: b, point: P2, eui: 0000000000000001, channel: 0, pulses_per_unit: many, valid_from: 2026-01-01T00:00Z}
  - {serial: c, point: P9, eui: 00000000000000AA, channel: 0, pulses_per_unit: 1, valid_from: 2026-01-01T00:00Z}
  - {serial: d, point: P1, eui: 0000000000000002, channel: 0, pulses_per_unit: 1, valid_from: 2026-01-01T00:00Z}
  - {serial: e, point: P1, eui: 0000000000000003, channel: 0, pulses_per_unit: 1, valid_from: 2026-02-01T00:00Z}
loads: [{eui: 0000000000000001, load_class: yellow, never: perhaps}]
load_groups:
  - {name: LG-1, number: 7, load_class: green, members: [0000000000000001, 0000000000000002]}
  - {name: LG-2, number: 7, load_class: green}
balance_groups:
  - {name: BG-1, medium: electricity, feed_point: W1, members: [P1, P1, P8]}
gateways: []
"""
    )

    assert problems_of(tmp_path / "site.yaml") == [
        "site.yaml:1: transformers.0.rated_kva: expected a number above 0, found -5.0",
        "site.yaml:3: feeders.0.transformer: no transformer T99; expected one that exists",
        "site.yaml:5: feeders.1.transfromer: unknown field; expected one of name, transformer, title",
        "site.yaml:7: concentrators.0.link_id: expected 8 hexadecimal digits, found '4A1000'",
        "site.yaml:9: concentrators.2.name: stands twice, first in site.yaml:8",
        "site.yaml:12: modules.1.name: 'M1' stands twice, the other is 0000000000000001; expected it once",
        "site.yaml:13: modules.2.index: '1' stands twice, the other is 0000000000000002; expected it once",
        "site.yaml:14: modules.3.index: expected one value, found a list",
        "site.yaml:15: consumers.1.name: stands twice, first in site.yaml:15",
        "site.yaml:15: consumers.0.phases: expected one of L1, L2, L3, L1L2, L1L3, L2L3, L1L2L3 or nothing, found 'L1L4'",
        "site.yaml:16: points.1.medium: expected one of electricity, water, gas, heat, found 'steam'",
        "site.yaml:18: meters.0.valid_from: expected a full hour in UTC such as 2026-01-01T00:00Z, "
        "found '2026-01-01T00:30Z'",
        "site.yaml:19: meters.1.pulses_per_unit: expected a number such as 12.5, found 'many'",
        "site.yaml:20: meters.2.point: no point P9; expected one that exists",
        "site.yaml:20: meters.2.eui: no module 00000000000000AA; expected one that exists",
        "site.yaml:22: meters.4.valid_from: overlaps meter 'd' on the same point (2026-01-01T00:00Z to open); "
        "expected one meter at a time",
        "site.yaml:23: loads.0.never: expected true or false, found 'perhaps'",
        "site.yaml:25: load_groups.0.members: no load 0000000000000002; expected one that exists",
        "site.yaml:26: load_groups.1.number: '7' stands twice, the other is LG-1; expected it once",
        "site.yaml:28: balance_groups.0.members: no point or balance group P8; expected one that exists",
        "site.yaml:28: balance_groups.0.members: P1 stands twice; expected each member once",
        "site.yaml:28: balance_groups.0.feed_point: point W1 measures water; expected electricity",
        "site.yaml:29: gateways: unknown; expected one of transformers, feeders, linecodes, sections, concentrators, "
        "modules, consumers, points, meters, loads, load_groups, balance_groups, balance_members, replacements, "
        "supplies, meter_terms",
    ]


def test_names_with_spaces_and_quotes_survive_the_lists_of_csv(tmp_path: Path) -> None:
    """Lists are separated by spaces; a member that has one itself is quoted."""
    renamed = {"P1": "flat 1, kitchen", "P2": "d'Artagnan \"2\""}
    site = a_site()
    site = attrs.evolve(
        site,
        points=tuple(attrs.evolve(one, name=renamed.get(one.name, one.name)) for one in site.points),
        meters=tuple(attrs.evolve(one, point=renamed[one.point]) for one in site.meters),
        balance_groups=(attrs.evolve(site.balance_groups[0], members=tuple(renamed.values())), *site.balance_groups[1:]),
        supplies=tuple(attrs.evolve(one, point=renamed[one.point]) for one in site.supplies),
    )
    exchange.write(site, tmp_path / "folder")

    assert put_into(exchange.read(tmp_path / "folder"), Site()).site == site


def test_every_error_of_a_csv_folder_is_named_with_file_and_line(tmp_path: Path) -> None:
    """Each file of the folder, in one list."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "concentrators.csv").write_text("name,link_id\nC01,4A1000C1\n")
    (folder / "modules.csv").write_text(
        "eui,name,concentrator,index,colour\n0000000000000001,M1,C01,1,red\n\n0000000000000002,M2,C09,one,\n3,M3\n"
    )
    (folder / "moduls.csv").write_text("eui\n")

    assert problems_of(folder) == [
        "site/modules.csv:1: colour: unknown field; expected one of eui, name, concentrator, index, state, channels, "
        "adapter, building, title",
        "site/modules.csv:4: modules.4.index: expected a whole number, found 'one'",
        "site/modules.csv:5: modules.5: expected 5 cells as in the header, found 2",
        "site/modules.csv:5: modules.5.eui: expected 16 hexadecimal digits, found '3'",
        "site/moduls.csv: expected the name of a kind: one of transformers, feeders, linecodes, sections, concentrators, "
        "modules, consumers, points, meters, loads, load_groups, balance_groups, balance_members, replacements, "
        "supplies, meter_terms",
    ]


def test_one_csv_of_one_kind_is_put_beside_what_the_registry_holds(tmp_path: Path) -> None:
    """References go to the registry; columns that are not there say nothing; semicolons and a BOM are read too."""
    (tmp_path / "consumers.csv").write_text("\ufeffname;phases;contract_kw\nK1;L2;7.5\nK3;;\n", encoding="utf-8")
    outcome = put_into(exchange.read(tmp_path / "consumers.csv"), a_site())

    assert [(one.name, one.title, one.phases, one.feeder, one.contract_kw) for one in outcome.site.consumers] == [
        ("K1", "Flat 1", "L2", "F1", 7.5), ("K2", "", "", "", 6.5), ("K3", "", "", "", None)
    ]
    assert (outcome.changed["consumers"], outcome.added["consumers"]) == (1, 1)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("site.yaml", "modules: [", "not valid YAML"),
        ("site.yaml", "- 1", "expected a mapping of kinds"),
        ("site.yaml", "modules: 7", "modules: expected a list"),
        ("site.yaml", "modules: [7]", "modules.0: expected a mapping of fields"),
        ("site.yaml", "modules: []\nmodules: []", "modules: stands twice"),
        ("site.yaml", "a: &a {b: *a}", "a: unknown"),
        ("modules.csv", "", "expected a header"),
        ("modules.csv", 'eui\n"1', "modules.csv:2: not valid CSV"),
        ("site.txt", "", "expected a site: a YAML file"),
    ],
)
def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path: Path, name: str, content: str, expected: str) -> None:
    """Whatever is in it, there is no traceback."""
    (tmp_path / name).write_text(content)

    assert expected in "\n".join(problems_of(tmp_path / name))


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """The two ways in which reading itself fails."""
    (tmp_path / "site.yaml").write_bytes(b"modules: \xff")

    assert "expected text in UTF-8" in problems_of(tmp_path / "site.yaml")[0]
    assert "no such file" in problems_of(tmp_path / "none.yaml")[0]
    assert "no CSV files" in problems_of(tmp_path)[0]


def test_an_export_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new content is complete before it takes the old one's place."""
    path = tmp_path / "site.yaml"
    path.write_text("old")

    def full(self: Path, *_: object, **__: object) -> None:
        self.write_bytes(b"half of the n")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ConfigError, match="No space left"):
        exchange.write(a_site(), path)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("nest", ["[", "{a: ", "- "], ids=["lists", "mappings", "dashes"])
def test_a_file_that_nests_without_end_is_refused_and_does_not_crash_the_process(tmp_path: Path, nest: str) -> None:
    """libyaml follows every bracket with a call of its own: the process ended with a segmentation fault."""
    file = tmp_path / "site.yaml"
    file.write_text("modules:\n" + nest * 200_000, encoding="utf-8")

    with pytest.raises(ConfigError, match="nested too deeply"):
        exchange.read(file)
