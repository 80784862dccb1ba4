"""The main job, end to end, through the real processes: field, tags, history, balance, API, a command back."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
import yaml

from scada.simulate.district import make_district
from scada.site import NORMAL_LOSS, Medium, ModuleState

from .harness import Api, Site, run_apart, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
FORGOTTEN = make_district().concentrators[0].modules[56].eui     # of C01: meters the water at the entry of the building


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One demo-like site at 600 x for all the tests of this file."""
    made = Site(tmp_path_factory.mktemp("slice"), speed=600.0, opcua=True, field=("--history", "6"))
    made.prepare()
    forget_a_module(made)
    for name, role in (("viewer1", "viewer"), ("dispatcher1", "dispatcher"), ("engineer1", "engineer")):
        made.add_user(name, role)
    made.start_field()
    made.start_server()
    yield made
    made.close()


def forget_a_module(site: Site) -> None:
    """One module of C01, whose adoption is automatic, is left out too: the meter at the entry of the building."""
    entered = yaml.safe_load((site.folder / "site.yaml").read_text(encoding="utf-8"))
    for kind in ("modules", "meters"):
        entered[kind] = [one for one in entered[kind] if int(one["eui"], 16) != FORGOTTEN]
    (site.folder / "site.yaml").write_text(yaml.safe_dump(entered, sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="module")
def dispatcher(site: Site) -> Api:
    return site.log_in("dispatcher1")


def tag(api: Api, name: str) -> dict[str, Any]:
    found = api("GET", f"/api/v1/tags?q={name}")["tags"]
    return next((one for one in found if one["id"] == name), {"quality": "none", "value": None})


def tag_is_good(api: Api, name: str) -> Any:
    def look() -> Any:
        one = tag(api, name)
        return one if one["quality"] == "good" else None

    return wait_for(look, f"{name} to be good")


def test_every_part_is_well(site: Site) -> None:
    """/healthz says so, part by part."""

    def all_well() -> Any:
        health = site.health()
        return health if health and health["ok"] else None

    health = wait_for(all_well, f"all parts to be well: {site.health()}")

    assert {"dmesh", "modbus", "historian", "balancing", "alarms", "opcua", "hmi", "loop"} <= {
        part["part"].split(":")[0] for part in health["parts"]
    }


def test_the_transformer_is_balanced_every_second(site: Site, dispatcher: Api) -> None:
    """Phases of the Modbus meter become loading, imbalance and neutral current."""
    tag_is_good(dispatcher, "T01/power_active_total")
    loading = tag_is_good(dispatcher, "T01/loading")
    snapshot = {one["id"]: one["value"] for one in dispatcher("GET", "/api/v1/tags?q=T01/power_active")["tags"]}
    phases = [snapshot[f"T01/power_active_l{phase}"] for phase in (1, 2, 3)]

    assert all(value > 0 for value in phases)
    assert snapshot["T01/power_active_total"] == pytest.approx(sum(phases), rel=1e-6)
    assert 0 < loading["value"] < 150
    assert tag_is_good(dispatcher, "T01/imbalance_i2_i1")["unit"] == "%"


def modules_by_state(site: Site) -> dict[str, dict[int, str]]:
    """{state: {EUI: name}} as the registry exports it."""
    exported = site.folder / "exported.yaml"
    site.scada("site", "export", str(site.config), str(exported))
    found: dict[str, dict[int, str]] = {}
    for one in yaml.safe_load(exported.read_text(encoding="utf-8"))["modules"]:
        found.setdefault(one.get("state", ModuleState.DISCOVERED), {})[int(str(one["eui"]), 16)] = one["name"]
    return found


def adopt(site: Site, who: str, eui: int) -> int:
    """The button on the network page; the HTTP status."""
    api = site.log_in(who)
    request = Request(f"{site.base}/network/adopt", method="POST", data=urlencode({"eui": f"{eui:016x}"}).encode())
    request.add_header("Authorization", f"Bearer {api.token}")
    with urlopen(request, timeout=15) as answer:
        return int(answer.status)


def test_modules_that_nobody_entered_are_adopted_automatically_or_by_an_engineer(site: Site, dispatcher: Api) -> None:
    """Plug & play: three modules of C02 wait as discovered, one of C01 is active at once; an adopted one has live tags."""
    strangers = {module.eui for module in make_district().modules if not module.registered}

    def discovered() -> bool:
        return modules_by_state(site).get("discovered", {}).keys() >= strangers

    wait_for(discovered, "the modules that announced themselves", every=1.0)
    before = modules_by_state(site)
    chosen = min(strangers)
    with pytest.raises(HTTPError) as refused:
        adopt(site, "viewer1", chosen)
    status = adopt(site, "engineer1", chosen)
    after = modules_by_state(site)

    assert before["discovered"].keys() == strangers
    assert FORGOTTEN in before["active"]
    assert refused.value.code == 403
    assert status == 200                                    # of the network page, where the form leads
    assert after["discovered"].keys() == strangers - {chosen}
    for adopted in (after["active"][chosen], after["active"][FORGOTTEN]):
        assert tag_is_good(dispatcher, f"{adopted}/link_rssi_down")["value"] < 0


def test_sensors_beside_the_meters_arrive_with_unit_and_quality(site: Site, dispatcher: Api) -> None:
    """SAMPLES through the real driver: the temperature of a stairwell, the supply that a concentrator sees."""
    celsius = tag_is_good(dispatcher, "C01-010-sensors/temperature")
    volts = tag_is_good(dispatcher, "C02-sensors/voltage")

    assert (celsius["unit"], volts["unit"]) == ("°C", "V")
    assert 10 < celsius["value"] < 30
    assert 200 < volts["value"] < 250


def test_an_hour_is_balanced_when_its_data_are_there(site: Site) -> None:
    """Feed from register differences, members from pulses; the command line reads the same store."""

    def complete() -> Any:
        said = json.loads(site.scada("balance", str(site.config), "BG-T01", "--json").stdout)
        rows = [row for row in said["rows"] if row["completeness"] == 1.0 and row["imbalance"] is not None]
        return rows or None

    row = wait_for(complete, "a complete hour of BG-T01", limit=120, every=2.0)[-1]

    assert row["feed"] > row["members"] > 0
    assert row["imbalance"] == pytest.approx(row["feed"] - row["members"])
    assert row["uncertainty"] > 0


def test_what_the_cables_lose_is_computed_and_deducted(site: Site, dispatcher: Api) -> None:
    """The site file of the district holds its network: losses on the bus, and in the balance instead of a usual share."""
    lost = tag_is_good(dispatcher, "T01-losses/technical_loss")

    def deducted() -> Any:
        said = json.loads(site.scada("balance", str(site.config), "BG-T01", "--json").stdout)
        return [row for row in said["rows"] if row["completeness"] == 1.0 and row["technical"]]

    row = wait_for(deducted, "an hour with its losses", limit=120, every=2.0)[-1]

    assert lost["unit"] == "kWh"
    assert lost["value"] > 0.3                              # the iron alone
    assert 0.3 < row["technical"] < 0.1 * row["feed"]
    assert row["technical"] != pytest.approx(NORMAL_LOSS[Medium.ELECTRICITY] * row["feed"], rel=1e-6)


def test_history_is_readable_as_table_json_and_csv(site: Site) -> None:
    """`scada read` of a metering point and of a tag, while the server runs."""
    point = first_point(site)
    as_json = json.loads(site.scada("read", str(site.config), point, "--json").stdout)
    as_csv = site.scada("read", str(site.config), point, "--csv").stdout
    samples = json.loads(site.scada("read", str(site.config), "T01-meter/power_active_total", "--json").stdout)
    unknown = run_apart("read", str(site.config), "no such point")

    assert as_json["unit"] == "kWh"
    assert any(row["value"] is not None for row in as_json["rows"])
    assert as_csv.splitlines()[0] == "at,value [kWh],quality"
    qualities = [row["quality"] for row in samples["rows"]]
    assert set(qualities) <= {"good", "bad_not_connected"}      # the server may have been up before the field was
    assert qualities.count("good") > len(qualities) / 2
    assert unknown.returncode == 2
    assert "Traceback" not in unknown.stderr
    assert "no metering point 'no such point'" in unknown.stderr


def first_point(site: Site) -> str:
    import yaml

    points = yaml.safe_load((site.folder / "site.yaml").read_text(encoding="utf-8"))["points"]
    return str(next(point["name"] for point in points if point["medium"] == "electricity"))


def test_a_group_is_shed_and_comes_back_by_itself(site: Site, dispatcher: Api) -> None:
    """Select, review, execute; a result per module; supply is back when the time is over."""
    tag_is_good(dispatcher, "T01-meter/power_active_total")
    selection = dispatcher("POST", "/api/v1/dispatch/select", {"group": "LG-BOILERS", "off_for_s": 600, "reason": "test"})
    command = dispatcher("POST", "/api/v1/dispatch/execute", {"selection": selection["id"]})
    again = dispatcher("POST", "/api/v1/dispatch/execute", {"selection": selection["id"]})

    def closed() -> Any:
        now = dispatcher("GET", f"/api/v1/dispatch/commands/{command['id']}")
        return now if now["state"] in ("closed", "failed") else None

    end = wait_for(closed, "the command to be closed", limit=90)
    states = [member["state"] for member in end["members"]]
    switched_off = {fact[0] for fact in truth_loads(site) if not fact[1]}

    assert again["id"] == command["id"]
    assert end["state"] == "closed"
    assert len(states) == len(selection["members"])
    assert states.count("restored") >= 0.8 * len(states), states
    assert len(switched_off) >= states.count("restored")


def truth_loads(site: Site) -> list[tuple[int, bool, int]]:
    from scada.simulate.truth import read_truth

    return read_truth(site.truth_file).loads


def test_a_group_with_a_protected_consumer_is_refused_by_the_desk(site: Site, dispatcher: Api) -> None:
    """Whatever the page or the program says."""
    with pytest.raises(HTTPError) as refused:
        dispatcher("POST", "/api/v1/dispatch/select", {"group": "LG-MIXED", "off_for_s": 300, "reason": "test"})
    reasons = " ".join(json.load(refused.value)["reasons"])

    assert "protected" in reasons
    assert "red" in reasons.lower()


def test_a_viewer_may_look_but_not_shed(site: Site) -> None:
    """The role of the real user decides."""
    viewer = site.log_in("viewer1")

    assert viewer("GET", "/api/v1/tags?q=T01")["tags"]
    with pytest.raises(HTTPError) as refused:
        viewer("POST", "/api/v1/dispatch/select", {"group": "LG-BOILERS", "off_for_s": 300, "reason": ""})
    assert refused.value.code == 403


def test_the_command_line_sheds_with_the_rights_of_its_user(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """`scada dispatch` goes through the same desk."""
    monkeypatch.setenv("SCADA_PASSWORD", "a long enough password")
    listed = json.loads(site.scada("dispatch", "list", str(site.config), "--user", "dispatcher1", "--json").stdout)
    refused = site.scada(
        "dispatch", "shed", str(site.config), "LG-MIXED", "--off-for", "300", "--user", "dispatcher1", "--yes", check=False
    )

    assert listed
    assert refused.returncode == 3
    assert "protected" in refused.stderr


def test_the_command_line_sheds_a_group_and_follows_it_to_its_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """`scada dispatch shed … --yes --follow --json`: executed by real modules, back by themselves, one JSON at the end."""
    monkeypatch.setenv("SCADA_PASSWORD", "a long enough password")
    done = site.scada(
        "dispatch", "shed", str(site.config), "LG-AC", "--off-for", "600", "--reason", "test", "--user", "dispatcher1",
        "--yes", "--follow", "--json",
    )
    command = json.loads(done.stdout)
    restored = {int(member["eui"], 16) for member in command["members"] if member["state"] == "restored"}
    last = {eui: supplied for eui, supplied, _ in truth_loads(site)}

    assert (command["state"], command["group"], command["actor"]) == ("closed", "LG-AC", "dispatcher1")
    assert len(restored) >= 0.6 * len(command["members"]) > 3
    assert restored <= {eui for eui, supplied, _ in truth_loads(site) if not supplied}
    assert all(last[eui] for eui in restored)
    assert f"{command['id']} closed" in done.stderr


def test_everything_a_person_did_is_in_the_audit(site: Site, dispatcher: Api) -> None:
    """Log-in, selection, execution, refusal; the chain holds."""
    from scada.registry.service import open_registry

    database = open_registry(f"sqlite:///{site.folder / 'data' / 'registry.sqlite'}")
    rows = database.audit.page(size=200)

    assert {"login", "shed.select", "shed.execute", "module.adopt"} <= {row.action for row in rows}
    assert database.audit.verify() is None


def test_status_shows_the_running_server(site: Site) -> None:
    """As a table and as JSON."""
    said = json.loads(site.scada("status", str(site.config), "--json", check=False).stdout)
    table = run_apart("status", str(site.config)).stdout

    assert {part["part"] for part in said["parts"]} >= {"dmesh", "modbus", "loop"}
    assert "dmesh" in table


def test_check_finds_the_configuration_sound(site: Site) -> None:
    """The configuration that runs is one that `scada check` likes."""
    assert "ok" in site.scada("check", str(site.config)).stdout


def test_the_data_directory_is_for_us_alone(site: Site) -> None:
    """Nobody else may read keys, hashes or history."""
    secret = [path for path in (site.folder / "data").iterdir() if path.suffix in (".key", ".store", ".pem")]
    loose = [path for path in secret if path.stat().st_mode & 0o077]

    assert (site.folder / "data").stat().st_mode & 0o077 == 0
    assert secret
    assert loose == []


def test_no_part_spoke_under_another_parts_name(site: Site, dispatcher: Api) -> None:
    """After all of the above the bus has refused nothing: every device has one owner, every batch its shape."""
    assert tag_is_good(dispatcher, "server.process/bus_values")["value"] > 1000
    assert tag_is_good(dispatcher, "server.process/bus_refused")["value"] == 0
