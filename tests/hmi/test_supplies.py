"""Single supplies on the pages and over the API: two persons, holders and their tags, the say on site, languages."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.hmi.conftest import Person
from tests.hmi.fakes import PASSWORD, World

POINT = "P-01-004"
BASE = f"/supplies/{POINT}"


@pytest.fixture
def api(app: Flask, world: World) -> Callable[..., Any]:
    """A program that is logged in with a role."""
    client = app.test_client()

    def call(role: str, method: str, path: str, **body: object) -> Any:
        token = client.post("/api/v1/session", json={"name": role, "password": PASSWORD}).json["token"]
        return client.open(f"/api/v1{path}", method=method, json=body or None, headers={"Authorization": f"Bearer {token}"})

    return call


def switch_of(world: World, point: str = POINT) -> str:
    found = world.supplies.supply(point)
    assert found is not None
    assert found.switch is not None
    return found.switch.id


def off(person: Callable[..., Person], world: World, reason: str = "debt", point: str = POINT) -> None:
    """Two persons switch it off."""
    person("dispatcher").post(f"/supplies/{point}/disconnect", reason=reason, note="bill 17")
    person("administrator").post(f"/supplies/{point}/confirm", switch=switch_of(world, point))
    world.supplies.step()


def test_a_supply_goes_off_only_when_another_person_confirms(person: Callable[..., Person], world: World) -> None:
    """Who asked sees that another must confirm, and is refused; the second person sees the button."""
    dispatcher, second = person("dispatcher"), person("administrator")
    dispatcher.post(f"{BASE}/disconnect", reason="debt", note="bill 17")
    mine, theirs = dispatcher.client.get(BASE).text, second.client.get(BASE).text
    dispatcher.post(f"{BASE}/confirm", switch=switch_of(world))
    alone = dispatcher.client.get(BASE).text
    pending = second.client.get("/supplies?show=pending").text
    second.post(f"{BASE}/confirm", switch=switch_of(world))
    world.supplies.step()
    done = dispatcher.client.get(BASE).text

    assert "another person must confirm" in mine
    assert f"{BASE}/confirm" not in mine
    assert f"{BASE}/confirm" in theirs
    assert "dispatcher asked for it: another person must confirm" in alone
    assert POINT in pending
    assert "○ off" in done
    assert "executed" in done
    assert [row.action for row in world.audit.rows][-2:] == ["supply.requested", "supply.confirmed_by"]


def test_it_returns_only_when_everybody_has_released_it(person: Callable[..., Person], world: World) -> None:
    off(person, world)
    dispatcher = person("dispatcher")
    dispatcher.post(f"{BASE}/hold", reason="crew", tag="T-7", name="Rusu")
    debt, crew = world.supplies.records[POINT].holders
    dispatcher.post(f"{BASE}/release", holder=debt.id)
    dispatcher.post(f"{BASE}/reconnect")
    held = dispatcher.client.get(BASE).text
    dispatcher.post(f"{BASE}/release", holder=crew.id, tag="T-8", name="Rusu")
    wrong = dispatcher.client.get(BASE).text
    dispatcher.post(f"{BASE}/release", holder=crew.id, tag="T-7", name="Rusu")
    dispatcher.post(f"{BASE}/reconnect")
    person("administrator").post(f"{BASE}/confirm", switch=switch_of(world))
    world.supplies.step()

    assert "held off by crew T-7 Rusu: all of them must release it first" in held
    assert "with the number and the name on its tag" in wrong
    assert "● on" in dispatcher.client.get(BASE).text


def test_a_valve_is_let_go_and_never_opened_from_here(person: Callable[..., Person], world: World) -> None:
    point = "W-01-005"
    off(person, world, "leak", point)
    dispatcher = person("dispatcher")
    (leak,) = world.supplies.records[point].holders
    dispatcher.post(f"/supplies/{point}/release", holder=leak.id, note="Rusu looked, dry")
    dispatcher.post(f"/supplies/{point}/reconnect")
    person("administrator").post(f"/supplies/{point}/confirm", switch=switch_of(world, point))
    world.supplies.step()
    page = dispatcher.client.get(f"/supplies/{point}").text

    assert "○ off" in page
    assert "somebody on site must switch it by hand" in page
    assert "A valve is never opened from here" in page


def test_an_area_in_local_is_not_switched_and_says_so(person: Callable[..., Person], world: World) -> None:
    person("engineer").post("/supplies", local="1", area="south", note="team in the substation")
    dispatcher = person("dispatcher")
    dispatcher.post(f"{BASE}/disconnect", reason="danger")
    page, listed = dispatcher.client.get(BASE).text, dispatcher.client.get("/supplies").text

    assert "area:south is in local since engineer said so: nothing is switched from here" in page
    assert "team in the substation" in listed
    assert world.supplies.records == {}


def test_a_bypass_stands_where_nobody_overlooks_it(person: Callable[..., Person], world: World) -> None:
    off(person, world)
    world.supplies.bypass(POINT)

    assert "412 pulses in the last hours" in person("viewer").client.get(BASE).text
    assert POINT in person("viewer").client.get("/supplies?show=bypass").text


def test_a_viewer_sees_everything_and_no_button(person: Callable[..., Person], world: World) -> None:
    off(person, world)
    pages = [person("viewer").client.get(path).text for path in ("/supplies", BASE)]

    assert all(POINT in page for page in pages)
    assert not any(f'action="{BASE}' in page or 'action="/supplies"' in page for page in pages)
    assert person("viewer").post(f"{BASE}/disconnect", reason="debt").status_code == 403


@pytest.mark.parametrize(("language", "words"), [("ro", "așteaptă a doua persoană"), ("ru", "ждёт второго лица")])
def test_states_and_refusals_are_in_the_language_of_the_page(
    person: Callable[..., Person], world: World, language: str, words: str
) -> None:
    dispatcher = person("dispatcher", language)
    dispatcher.post(f"{BASE}/disconnect", reason="debt")
    dispatcher.post(f"{BASE}/confirm", switch=switch_of(world))
    page = dispatcher.client.get(BASE).text

    assert words in page
    assert "another person must confirm" not in page


def test_the_api_says_the_same_and_refuses_with_every_reason(api: Callable[..., Any], world: World) -> None:
    every = api("viewer", "GET", "/supplies").json["supplies"]
    asked = api("dispatcher", "POST", f"/supplies/{POINT}/disconnect", reason="crew", tag="T-7", name="Rusu")
    switch = asked.json["switch"]["id"]
    alone = api("dispatcher", "POST", f"/supplies/{POINT}/confirm", switch=switch)
    sure = api("administrator", "POST", f"/supplies/{POINT}/confirm", switch=switch)
    world.supplies.step()
    found = api("viewer", "GET", f"/supplies/{POINT}").json
    protected = api("dispatcher", "POST", "/supplies/P-01-006/disconnect", reason="debt")
    nonsense = api("dispatcher", "POST", f"/supplies/{POINT}/disconnect", reason="whim")
    nowhere = api("viewer", "GET", "/supplies/P-99")

    assert POINT in [one["point"] for one in every]
    assert (asked.status_code, alone.status_code, sure.status_code) == (202, 409, 202)
    assert found["state"] == "off"
    assert found["holders"][0]["tag"] == "T-7"
    assert found["history"][0]["what"] == "executed"
    assert protected.json["reasons"] == ["K01006 is a protected consumer: its supply is switched off in danger only"]
    assert (nonsense.status_code, nowhere.status_code) == (400, 404)
