"""A meter put into service through the real server and the simulated field: planned, heard, installed, reconciled."""

import json
import sqlite3
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml

from scada.simulate.district import make_district
from tests.fakes import png

from .harness import Api, Site, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
MODULE = next(one for one in make_district().concentrators[1].modules if not one.registered)
EUI, CONSTANT, POINT = MODULE.eui, float(MODULE.channels[0].pulses_per_unit), "shop-water"


def test_a_planned_module_is_heard_installed_and_its_dial_follows_the_count(make_site: Callable[..., Site]) -> None:
    """An installer does it, twice by mistake; afterwards dial = register × constant + offset, and a reading checks it.

    A wrong reading raises the alarm, and a corrected one ends it.
    """
    site = make_site(speed=600.0, field=("--history", "3"))
    site.prepare()
    plan_a_module(site)
    for name, role in (("montor", "installer"), ("engineer1", "engineer")):
        site.add_user(name, role)
    site.start_field()
    site.start_server()
    montor, engineer = site.log_in("montor"), site.log_in("engineer1")

    seen = wait_for(lambda: heard(montor), "the planned module to be heard")
    begun = montor("POST", f"/api/v1/install/{EUI:016x}/begin")
    photo = send(site, montor, "/api/v1/install/photos", png(40, 30))
    wish = {"eui": f"{EUI:016X}", "channel": 0, "serial": "W-4711", "pulses_per_unit": CONSTANT, "dial": "00123.400",
            "photo": photo["photo"], "key": "tap-1"}
    done, again = montor("POST", "/api/v1/install", wish), montor("POST", "/api/v1/install", wish)

    assert seen["state"] == "discovered"
    assert seen["concentrator"] == "C02"
    assert begun["state"] == "commissioning"
    assert (done["state"], done["point"], done["again"], again["again"]) == ("active", POINT, False, True)
    with pytest.raises(HTTPError):
        montor("GET", "/api/v1/tags?q=T01")                # an installer sees what he installs, and no more

    one = wait_for(lambda: known(engineer), "the offset to be known", every=0.3)
    tag = f"{done['module']}.ch0/register"
    found = wait_for(lambda: together(engineer, tag), "dial and register of one hour", every=0.2)

    assert one["serial"] == "W-4711"
    assert found["dial"] == pytest.approx(found["register"] + one["offset"], abs=2 / CONSTANT)
    assert 123.4 <= found["dial"] < 123.4 + 5
    assert site.figure("dials", "meters") > 100

    wrong = {"readings": [{"point": POINT, "dial": "00923.4"}]}
    engineer("POST", "/api/v1/dials", wrong)
    wait_for(lambda: alarms(engineer), "the alarm of a dial that does not agree", every=0.3)
    right = {"readings": [{"point": POINT, "dial": f"{found['dial']:.1f}"}]}
    engineer("POST", "/api/v1/dials", right)
    wait_for(lambda: not alarms(engineer), "the end of the alarm", every=0.3)
    assert engineer("GET", "/api/v1/dials?which=failed")["dials"] == []
    assert audited(site) == 1


def plan_a_module(site: Site) -> None:
    """One of the modules that nobody knows is planned, with its meter."""
    entered = yaml.safe_load((site.folder / "site.yaml").read_text(encoding="utf-8"))
    entered["modules"].append({"eui": f"{EUI:016X}", "name": "C02-plan", "concentrator": "C02", "index": 0,
                               "state": "planned"})
    entered["points"].append({"name": POINT, "medium": "water"})
    entered["meters"].append({"serial": "W-PLAN", "point": POINT, "eui": f"{EUI:016X}", "channel": 0,
                              "pulses_per_unit": CONSTANT, "valid_from": "2026-01-01T00:00Z"})
    (site.folder / "site.yaml").write_text(yaml.safe_dump(entered, sort_keys=False), encoding="utf-8")


def heard(api: Api) -> Any:
    one = api("GET", f"/api/v1/install/{EUI:016x}")
    return one if one["state"] == "discovered" and one["heard_by"] else None


def known(api: Api) -> Any:
    one = api("GET", f"/api/v1/dials/{POINT}")["dial"]
    return one if one and one["offset"] is not None else None


def together(api: Api, tag: str) -> Any:
    """Dial and register of the same hour: the tag's hour is the one that the dial is asked for."""
    dial = api("GET", f"/api/v1/dials/{POINT}")
    tags = [one for one in api("GET", f"/api/v1/tags?q={tag}")["tags"] if one["id"] == tag]
    if dial["now"] is None or not tags or tags[0]["quality"] != "good" or tags[0]["at_ms"] != dial["now_s"] * 1000:
        return None
    return {"dial": dial["now"], "register": tags[0]["value"]}


def alarms(api: Api) -> Any:
    found = api("GET", "/api/v1/alarms")["alarms"]
    return [one for one in found if one["kind"] == "dial_mismatch" and one["state"] in ("unacknowledged", "acknowledged")]


def audited(site: Site) -> int:
    with sqlite3.connect(site.folder / "data" / "registry.sqlite") as database:
        return int(database.execute("SELECT count(*) FROM audit WHERE action = 'meter.install'").fetchone()[0])


def send(site: Site, api: Api, path: str, data: bytes) -> Any:
    request = Request(site.base + path, data=data, method="POST")
    request.add_header("Content-Type", "application/octet-stream")
    request.add_header("Authorization", f"Bearer {api.token}")
    with urlopen(request, timeout=15) as answer:
        return json.load(answer)
