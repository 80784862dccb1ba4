"""A plan of meters in one CSV file: planned modules, every mistake at once, and nothing lost of what is there."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from scada.bench import registry as bench
from scada.cli import main
from scada.errors import ConfigError
from scada.registry.database import RegistryDatabase, open_registry
from scada.site import Directory, Medium, ModuleState, Site
from tests.registry.sites import ENGINEER, HIGH, a_site

HOUR = 490_896
HEAD = "concentrator,eui,point,serial,pulses_per_unit,channel,medium,consumer,phases,start_register\n"
EUI = "00000000000000A1"


@pytest.fixture
def database(tmp_path: Path) -> RegistryDatabase:
    found = open_registry(f"sqlite:///{tmp_path}/registry.sqlite")
    found.replace(a_site(), ENGINEER)
    return found


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plan.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plan_makes_modules_consumers_points_and_meters(database: RegistryDatabase, tmp_path: Path) -> None:
    """Two meters on one module, one consumer; what nobody has heard is planned and has no index."""
    plan = written(tmp_path, HEAD + (
        f"C01,{EUI},PX,S1,1000,0,,KX,L2,12.5\n"
        f"C01,{EUI},WX,S2,100,1,water,KX,L2,\n"
    ))
    outcome = database.plan(plan, ENGINEER, HOUR)
    directory = Directory(outcome.site)
    module = directory.module_of_eui[0xA1]

    assert (module.state, module.index, module.channels, module.name) == (ModuleState.PLANNED, 0, 2, "C01-000000A1")
    assert [one.medium for one in (directory.point["PX"], directory.point["WX"])] == [Medium.ELECTRICITY, Medium.WATER]
    assert directory.meters_of_point["PX"][0].start_register == 12.5
    assert directory.meters_of_point["WX"][0].valid_from == HOUR
    assert directory.consumer["KX"].phases == "L2"
    assert outcome.added["meters"] == 2


def test_every_mistake_is_named_with_its_line_and_nothing_is_imported(database: RegistryDatabase, tmp_path: Path) -> None:
    before = database.load()
    plan = written(tmp_path, HEAD + (
        "C01,XYZ,PX,S1,1000,0,,,,\n"
        f"C99,{EUI},PY,S2,1000,0,,,,\n"
        f"C01,{EUI},PZ,S3,fast,0,,,,\n"
        f"C01,00000000000000A2,,S4,1000,0,,,,\n"
    ))
    with pytest.raises(ConfigError) as refused:
        database.plan(plan, ENGINEER, HOUR)
    lines = [problem.line for problem in refused.value.problems]

    assert lines == [2, 3, 4, 5]
    assert "C99" in str(refused.value)
    assert database.load() == before


def test_a_thing_that_is_said_twice_must_be_the_same(database: RegistryDatabase, tmp_path: Path) -> None:
    plan = written(tmp_path, HEAD + f"C01,{EUI},PX,S1,1000,0,,,,\nC02,{EUI},PY,S2,1000,1,,,,\n")
    with pytest.raises(ConfigError, match=f"C02 here and C01 in line 2; expected the same for {EUI}"):
        database.plan(plan, ENGINEER, HOUR)


def test_a_module_that_is_there_keeps_its_state_and_index(database: RegistryDatabase, tmp_path: Path) -> None:
    plan = written(tmp_path, HEAD + f"C01,{HIGH:016X},PX,S1,1000,1,,,,\n")
    site = database.plan(plan, ENGINEER, HOUR).site
    module = Directory(site).module_of_eui[HIGH]

    assert (module.state, module.index, module.name) == (ModuleState.ACTIVE, 1, "C01-001")


def test_a_header_that_lacks_a_column_says_which(database: RegistryDatabase, tmp_path: Path) -> None:
    plan = written(tmp_path, "concentrator;eui;point;colour\n")
    with pytest.raises(ConfigError) as refused:
        database.plan(plan, ENGINEER, HOUR)

    assert {problem.key for problem in refused.value.problems} == {"colour", "serial", "pulses_per_unit"}


def test_a_thousand_lines_go_in_with_progress_and_are_the_same_read_back(tmp_path: Path) -> None:
    """The same maker of plans as the measurement of 100,000."""
    database = open_registry(f"sqlite:///{tmp_path}/r.sqlite")
    database.replace(Site(concentrators=bench.concentrators(3000)), ENGINEER)
    path, told = tmp_path / "plan.csv", []
    bench.write_plan(path, 3000)
    site = database.plan(path, ENGINEER, HOUR, lambda done, of: told.append((done, of))).site
    database._site = None

    assert database.load() == site
    assert len(site.meters) == len(site.modules) == 3000
    assert told[-1] == (3001, 3001)
    assert len(told) > 1


def test_the_command_plans_swaps_and_says_so(tmp_path: Path) -> None:
    """`scada site plan`, then `scada site swap` with registers; a wrong word is a usage error."""
    config = tmp_path / "scada.yaml"
    config.write_text("site: {name: North, timezone: Europe/Chisinau}\ndata_dir: data\n", encoding="utf-8")
    (tmp_path / "concentrators.csv").write_text("name,link_id\nC01,4A1000C1\n", encoding="utf-8")
    run = CliRunner()
    imported = run.invoke(main, ["site", "import", str(config), str(tmp_path / "concentrators.csv")])
    plan = written(tmp_path, HEAD + f"C01,{EUI},PX,S1,1000,0,,,,\n")
    planned = run.invoke(main, ["site", "plan", str(config), str(plan)])
    wrong = run.invoke(main, ["site", "swap", str(config), EUI, "00000000000000B2", "--meter", "0:colour=red"])
    early = run.invoke(main, ["site", "swap", str(config), EUI, "00000000000000B2", "--meter", "0:final=12"])

    assert imported.exit_code == planned.exit_code == 0, planned.output
    assert "modules" in planned.output
    assert wrong.exit_code == 2
    assert "unknown colour; expected final, start, serial, constant, channel" in wrong.output
    assert early.exit_code == 3
    assert "is planned; only a module in service can be replaced" in early.output
