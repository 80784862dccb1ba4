"""One supply through the real server and the real simulated field: two persons, kill -9, the meter's pulses, and back."""

import sqlite3
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml

from scada.simulate.truth import read_truth
from tests.nursery import Process

from .harness import PASSWORD, Api, Site, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
LIVE = ("bypassed-supply", "jammed-supply")                 # faults of the simulator that are played here


def supply(api: Api, point: str) -> Any:
    return api("GET", f"/api/v1/supplies/{point}")


def refused(api: Api, path: str, body: dict[str, Any]) -> int:
    try:
        api("POST", path, body)
    except HTTPError as error:
        return error.code
    return 0


def test_a_supply_goes_off_by_two_persons_and_comes_back_when_nobody_holds_it(make_site: Callable[..., Site]) -> None:
    """The server is killed when the command is on disk as sent; the next life asks, and the module executes it once.

    The meter's pulses then confirm it, and a crew's lock-out keeps it off when the debt is paid.
    """
    patient = {"supply": {"confirm_seconds": 86400, "not_after_seconds": 86400}}      # a restart takes hours of this site
    site = make_site(speed=600.0, changes=patient)
    site.prepare()
    for name in ("dispatcher1", "dispatcher2"):
        site.add_user(name, "dispatcher")
    site.start_field()
    site.start_server()
    one, two = site.log_in("dispatcher1"), site.log_in("dispatcher2")
    wait_for(lambda: site.figure("dmesh", "links_up") == 2, "both concentrators")
    every = one("GET", "/api/v1/supplies")["supplies"]
    contactors = [each["point"] for each in every if each["kind"] == "contactor" and not each["protected"]]
    point = contactors[1]                                   # the first is marked NEVER in its module
    base = f"/api/v1/supplies/{point}"
    asked = one("POST", f"{base}/disconnect", {"reason": "debt", "note": "bill 17"})
    alone = refused(one, f"{base}/confirm", {"switch": asked["switch"]["id"]})
    two("POST", f"{base}/confirm", {"switch": asked["switch"]["id"]})

    def sent() -> bool:
        with sqlite3.connect(f"file:{site.folder}/data/supply.sqlite?mode=ro", uri=True) as database:
            states = [row[0] for row in database.execute("SELECT state FROM switch")]
        return states in (["sent"], ["accepted"])

    wait_for(sent, "the command on disk as sent", every=0.01)
    assert site.server is not None
    site.server.kill()
    site.start_server()
    one, two = site.log_in("dispatcher1"), site.log_in("dispatcher2")
    off = wait_for(lambda: _in_state(one, point, "off"), "the supply off", every=0.3)
    quiet = wait_for(lambda: _with_effect(one, point), "the meter's silence", limit=90, every=0.5)
    held = one("POST", f"{base}/hold", {"reason": "crew", "tag": "T-7", "name": "Rusu"})
    debt, crew = (each["id"] for each in held["holders"])
    one("POST", f"{base}/release", {"holder": debt})
    still = refused(one, f"{base}/reconnect", {})
    other = refused(two, f"{base}/release", {"holder": crew, "tag": "T-8", "name": "Rusu"})
    one("POST", f"{base}/release", {"holder": crew, "tag": "T-7", "name": "Rusu"})
    one("POST", f"{base}/reconnect", {})
    followed = Process(
        site.folder, "supply", "supply", "confirm", str(site.config), point, "-u", "dispatcher2", "--yes", "--follow",
        env={"SCADA_PASSWORD": PASSWORD},
    )
    status = followed.popen.wait(90)
    on = supply(one, point)
    switched = [(eui, on) for eui, on, _ in read_truth(site.truth_file).supplies]

    assert alone == 409
    assert off["switch"]["confirmed_by"] == "dispatcher2"
    assert quiet["effect"] == "confirmed"
    assert (still, other) == (409, 409)
    assert status == 0, followed.output
    assert on["state"] == "on"
    assert on["holders"] == []
    assert [on for _, on in switched] == [False, True]
    assert {"requested", "confirmed_by", "sent", "executed", "hold", "release"} <= {each["what"] for each in on["history"]}


def test_a_bridged_contactor_is_found_by_its_meter_and_a_jammed_one_says_so(make_site: Callable[..., Site]) -> None:
    """Both faults by the simulator's panel. One has been executed and counts all the same; of the other nobody knows."""
    site = make_site(speed=600.0, changes={"supply": {"confirm_seconds": 86400, "not_after_seconds": 86400}})
    panel = site.folder / "panel.json"
    site.field_options = ("--panel", str(panel))
    site.prepare()
    for name in ("dispatcher1", "dispatcher2"):
        site.add_user(name, "dispatcher")
    site.start_field()
    site.start_server()
    one, two = site.log_in("dispatcher1"), site.log_in("dispatcher2")
    site.wait_field()
    every = one("GET", "/api/v1/supplies")["supplies"]
    points = [each["point"] for each in every if each["kind"] == "contactor" and not each["protected"]][1:3]
    described = yaml.safe_load((site.folder / "site.yaml").read_text(encoding="utf-8"))
    eui_of = {each["point"]: each["eui"] for each in described["supplies"]}
    module_of = {each["eui"]: each for each in described["modules"]}
    for fault, point in zip(LIVE, points, strict=True):
        module = module_of[eui_of[point]]
        target = f"{module['concentrator']}/{module['index']}"
        site.scada("simulate", "fault", fault, "--target", target, "--panel", str(panel))
        asked = one("POST", f"/api/v1/supplies/{point}/disconnect", {"reason": "debt", "note": "bill 18"})
        two("POST", f"/api/v1/supplies/{point}/confirm", {"switch": asked["switch"]["id"]})
    bridged, stays = points
    jammed = wait_for(lambda: _refused(one, stays), "the refusal", limit=90, every=0.5)
    found = wait_for(lambda: _with_effect(one, bridged), "what its meter says", limit=120, every=0.5)
    kinds = wait_for(lambda: {"bypass", "actuator_fault"} <= (said := _alarms(one)) and said, "both alarms", every=0.5)

    assert (found["state"], found["effect"]) == ("off", "bypass")
    assert jammed["state"] == "unknown"                     # a drive that stopped half-way may be anywhere
    assert {"bypass", "actuator_fault"} <= kinds
    assert [on for _, on, _ in read_truth(site.truth_file).supplies] == []


def _refused(api: Api, point: str) -> Any:
    found = supply(api, point)
    return found if "TIMEOUT" in str(found["switch"]) else None


def _alarms(api: Api) -> set[str]:
    return {each["kind"] for each in api("GET", "/api/v1/alarms")["alarms"]}


def _in_state(api: Api, point: str, state: str) -> Any:
    found = supply(api, point)
    return found if found["state"] == state else None


def _with_effect(api: Api, point: str) -> Any:
    found = supply(api, point)
    return found if found["effect"] in ("confirmed", "bypass") else None
