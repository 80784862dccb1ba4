"""Pages and API of the life of modules: found among a city's, shown before it changes, done once, refused with reasons."""

import re
import time
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
from flask import Flask

from hmi.life import NEXT, OFFERED, FormError, eui_of, hour_of, meter_of
from scada.commands import Role
from scada.ports import Priority
from scada.registry.lifecycle import after
from scada.registry.stepping import HAPPENING
from scada.site import Concentrator, Directory, Module, ModuleState, Site, StepKind
from tests.hmi.conftest import Person
from tests.hmi.fakes import PASSWORD, World

OLD, NEW = 0x00124B0000000000 + 1003, 0xAB_0001


def swap_form(**changes: str) -> dict[str, str]:
    hour = "2026-01-01T14:00"
    return {"new": f"{NEW:016X}", "hour": hour, "final-0": "812,5", "serial-0": "E-9", "start-0": "0"} | changes


def module(world: World, eui: int = OLD) -> Module:
    return world.registry.directory.module_of_eui[eui]


@pytest.mark.parametrize("state", ModuleState)
def test_what_is_offered_is_what_the_life_cycle_allows(state: ModuleState) -> None:
    """The page knows no package: its table is held against the registry's."""
    allowed = {kind for kind, happening in HAPPENING.items() if after(state, happening) is not None}

    assert set(OFFERED[state]) - {StepKind.MOVE} == allowed
    assert (StepKind.MOVE in OFFERED[state]) is (state not in (ModuleState.REPLACED, ModuleState.RETIRED))


def test_the_list_counts_every_state_and_filters_by_it(person: Callable[..., Person]) -> None:
    client = person("viewer").client
    lost = client.get("/modules?state=lost").text
    found = client.get("/modules?q=c02-024").text

    assert re.findall(r"lost (\d+)</a>", lost) == ["1"]
    assert "C01-013" in lost
    assert "C01-014" not in lost
    assert re.findall(r">(C\d\d-\d{3})</a>", found) == ["C02-024"]


def test_a_hundred_thousand_modules_are_paged_by_the_server_in_well_under_a_second(
    person: Callable[..., Person], world: World
) -> None:
    """The page is as large as with fifty; counting happens once for every registry."""
    modules = tuple(
        Module(n, f"C01-{n:06d}", "C01", 0, ModuleState.ACTIVE if n % 10 else ModuleState.LOST) for n in range(1, 100_001)
    )
    world.registry.directory = Directory(Site(concentrators=(Concentrator("C01", 1),), modules=modules))
    client = person("viewer").client
    client.get("/modules")
    begun = time.monotonic()
    page = client.get("/modules?state=lost&page=150").text
    took = time.monotonic() - begun

    assert page.count("<tr>") <= 52
    assert "C01-075000" in page
    assert "10000" in page
    assert took < 1.0


def test_a_swap_is_shown_first_and_changes_nothing_until_it_is_confirmed(
    person: Callable[..., Person], world: World
) -> None:
    """Old period with its final register, new period, load, groups' epochs, and that the concentrator is told."""
    who = person("engineer")
    before = world.registry.directory.site
    shown: Any = who.post("/modules/C01-003/swap", step="preview", **swap_form())

    assert shown.status_code == 200
    assert "<h1>Put another module in the place of C01-003</h1>" in shown.text
    assert "This will change" in shown.text
    assert "812.500" in shown.text
    assert "epoch 1" in shown.text
    assert "epoch 2" in shown.text
    assert 'name="step" value="do"' in shown.text
    assert world.registry.directory.site is before

    done: Any = who.post("/modules/C01-003/swap", step="do", **swap_form())
    again: Any = who.post("/modules/C01-003/swap", step="do", **swap_form())

    assert (done.status_code, again.status_code) == (302, 302)
    assert module(world).state is ModuleState.REPLACED
    assert len([one for one in world.registry.directory.site.meters if one.serial == "E-9"]) == 1
    page = who.client.get("/modules/C01-003").text
    assert "Its place has" in page


def test_a_meter_is_exchanged_under_the_same_module(person: Callable[..., Person], world: World) -> None:
    """The counted register stands in the form; the new meter needs a number."""
    who = person("engineer")
    form = who.client.get("/meters/P-01-003/swap").text
    nameless: Any = who.post("/meters/P-01-003/swap", step="preview", **swap_form(**{"serial-0": ""}))
    done: Any = who.post("/meters/P-01-003/swap", step="do", **swap_form())
    last = world.registry.directory.meters_of_point["P-01-003"][-1]

    assert 'value="4711.250"' in form
    assert nameless.status_code == 400
    assert "The number of the new meter is missing." in nameless.text
    assert done.status_code == 302
    assert (last.serial, last.eui, last.start_register) == ("E-9", OLD, 0.0)
    assert module(world).state is ModuleState.ACTIVE


def test_a_swap_that_cannot_be_is_refused_with_its_reasons_and_the_form_stays_filled_in(
    person: Callable[..., Person], world: World
) -> None:
    who = person("engineer", "ro")
    taken = f"{OLD + 1:016X}"
    answer: Any = who.post("/modules/C01-003/swap", step="do", **swap_form(new=taken))

    assert answer.status_code == 409
    assert taken in answer.text
    assert 'value="812,5"' in answer.text
    assert "must be new" not in answer.text                  # in the language of the page
    assert module(world).state is ModuleState.ACTIVE


def test_a_step_shows_what_it_changes_and_is_done_by_one_button(person: Callable[..., Person], world: World) -> None:
    """Commission, then adopt; the focus is on the button, so that Enter does it."""
    who = person("engineer")
    shown = who.client.get("/modules/C02-024/step/commission").text
    before = module(world, 0x00124B0000000000 + 2024).state
    done: Any = who.post("/modules/C02-024/step/commission")

    assert re.search(r'<button class="primary"[^>]* autofocus>', shown)
    assert "discovered" in shown
    assert (before, done.status_code) == (ModuleState.DISCOVERED, 302)
    assert module(world, 0x00124B0000000000 + 2024).state is ModuleState.COMMISSIONING
    assert who.client.get("/modules/C02-024/step/dance").status_code == 404


def test_a_module_with_meters_is_not_taken_out_and_the_page_says_why(person: Callable[..., Person], world: World) -> None:
    who = person("engineer")
    shown = who.client.get("/modules/C01-003/step/retire").text
    done: Any = who.post("/modules/C01-003/step/retire")

    assert "has meters" in shown
    assert "data-control autofocus" not in shown             # nothing to confirm
    assert done.status_code == 409


def test_a_viewer_sees_a_module_and_no_button(person: Callable[..., Person]) -> None:
    client = person("viewer").client

    assert "/swap" not in client.get("/modules/C01-003").text
    assert client.get("/modules/C01-003/swap").status_code == 403
    assert client.get("/modules/C01-003/step/retire").status_code == 403


@pytest.mark.parametrize("kind", sorted(NEXT))
def test_an_event_leads_to_the_page_where_it_is_solved(
    person: Callable[..., Person], world: World, kind: str
) -> None:
    """From the list of alarms to the module, with what to do, in every case."""
    alarm = world.alarms.raise_("C01-003", kind, Priority.MEDIUM)
    world.alarms.set(attrs.evolve(alarm, detail="C01-003: registered at C01, heard at C02"))
    client = person("engineer").client
    alarms = client.get("/alarms").text
    page = client.get("/modules/C01-003").text

    assert 'href="/modules/C01-003#next"' in alarms
    assert "What to do next" in page
    if kind == "wrong_subnet":
        assert "/modules/C01-003/step/move?concentrator=C02" in page
    elif kind != "module_gone_heard":
        assert "/modules/C01-003/swap" in page


def test_a_module_that_is_heard_elsewhere_is_moved_from_there(person: Callable[..., Person], world: World) -> None:
    who = person("engineer")
    shown = who.client.get("/modules/C01-003/step/move?concentrator=C02").text
    who.post("/modules/C01-003/step/move", concentrator="C02")

    assert "C02" in shown
    assert module(world).concentrator == "C02"


def test_the_page_of_a_group_names_who_lacks_its_key_first(person: Callable[..., Person], world: World) -> None:
    page = person("viewer").client.get("/groups/LG-boilers").text
    state = world.services.group_keys.group_keys("LG-boilers")
    assert state is not None
    rows = re.findall(r">(C\d\d-\d{3})</a>", page)
    lacking = {world.registry.directory.module_of_eui[eui].name for share in state.shares for eui in share.missing}

    assert set(rows[: len(lacking)]) == lacking
    assert f"{state.held} of {state.members}" in page
    assert "the epoch before" not in page or state.epoch > 1


def bearer(app: Flask, role: Role = Role.ENGINEER) -> tuple[Any, dict[str, str]]:
    client = app.test_client()
    token = client.post("/api/v1/session", json={"name": role.value, "password": PASSWORD}).json["token"]
    return client, {"Authorization": f"Bearer {token}"}


def test_the_api_shows_and_does_the_same(app: Flask, world: World) -> None:
    """A dry run changes nothing; again is once."""
    client, headers = bearer(app)
    wish = {"new_eui": f"{NEW:016x}", "at": "2026-01-01T12:00Z", "meters": [
        {"channel": 0, "final_register": 812, "serial": "E-9", "start_register": 0.0}]}
    path = f"/api/v1/modules/{OLD:016x}/swap"
    dry = client.post(path, json=wish | {"dry_run": True}, headers=headers).json
    still = module(world).state
    done = client.post(path, json=wish, headers=headers).json
    again = client.post(path, json=wish, headers=headers).json
    found = client.get(f"/api/v1/modules/{OLD:016x}", headers=headers).json

    assert (dry["done"], still) == (False, ModuleState.ACTIVE)
    assert dry["change"]["closed"][0]["final_register"] == 812.0
    assert done["change"] == dry["change"]
    assert (again["done"], again["change"]["nothing"]) == (True, True)
    assert (found["state"], found["heir"]) == ("replaced", f"{NEW:016x}")


@pytest.mark.parametrize("named", [[], [{"channel": 0, "serial": "E-9"}]])
def test_a_final_register_that_nobody_read_is_the_counted_one(app: Flask, world: World, named: list[Any]) -> None:
    """For a channel that is named without it as for one that is not named at all."""
    client, headers = bearer(app)
    wish = {"new_eui": f"{NEW:016x}", "at": "2026-01-01T12:00Z", "meters": named}
    done = client.post(f"/api/v1/modules/{OLD:016x}/swap", json=wish, headers=headers).json

    assert done["change"]["closed"][0]["final_register"] == 4711.25


def test_the_form_left_empty_closes_with_the_counted_register_and_warns_where_there_is_none(
    person: Callable[..., Person], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = person("engineer")
    filled: Any = who.post("/meters/P-01-003/swap", step="preview", **swap_form(**{"final-0": ""}))
    monkeypatch.setattr(world.services.metering, "register", lambda points, hour: np.full(len(points), np.nan))
    unknown = who.client.get("/meters/P-01-003/swap").text
    empty: Any = who.post("/meters/P-01-003/swap", step="preview", **swap_form(**{"final-0": ""}))

    assert "4,711.250" in filled.text
    assert "read it off its dial" in unknown
    assert "not given" in empty.text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("steps", {"step": "dance"}, 400), ("steps", {"step": "retire"}, 409),
        ("swap", {"new_eui": "12", "at": "2026-01-01T12:00Z"}, 400),
        ("swap", {"new_eui": "0" * 15 + "9", "at": "noon"}, 400),
        ("swap", {"new_eui": "0" * 15 + "9", "at": "2026-01-01T12Z", "meters": [{"channel": True}]}, 400),
        ("swap", {"new_eui": "0" * 15 + "9", "at": "2026-01-01T12Z", "meters": [{"channel": 0, "serial": 9}]}, 400),
    ],
)
def test_the_api_names_what_it_cannot_read(app: Flask, path: str, body: dict[str, Any], status: int) -> None:
    client, headers = bearer(app)
    answer = client.post(f"/api/v1/modules/{OLD:016x}/{path}", json=body, headers=headers)

    assert answer.status_code == status
    assert answer.json["error"]


def test_the_api_lists_modules_and_says_how_far_a_groups_key_has_come(app: Flask) -> None:
    client, headers = bearer(app, Role.VIEWER)
    lost = client.get("/api/v1/modules?state=lost&size=5", headers=headers).json
    keys = client.get("/api/v1/groups/LG-boilers/keys", headers=headers).json

    assert [one["name"] for one in lost["modules"]] == ["C01-013"]
    assert client.get("/api/v1/modules?state=gone", headers=headers).status_code == 400
    assert keys["held"] < keys["members"]
    assert {one["name"] for one in keys["concentrators"]} == {"C01", "C02"}


@pytest.mark.parametrize("text", ["", "noon", "2026-01-01T12:30"])
def test_an_hour_that_is_none_is_a_sentence(app: Flask, text: str) -> None:
    with app.test_request_context(), pytest.raises(FormError):
        hour_of(text, "Europe/Chisinau")


def test_what_people_type_is_read() -> None:
    """EUIs with separators, decimal commas, site time; what is left out stays as it was."""
    said = meter_of({"final-2": "1 812,5", "serial-2": " N7 ", "channel-2": "1"}, 2)

    assert eui_of("00-12-4B:00 00.00.03 EB") == 0x00124B00000003EB
    assert (said.final_register, said.serial, said.new_channel, said.start_register) == (1812.5, "N7", 1, None)
    assert hour_of("2026-01-01T14:00", "Europe/Chisinau") * 3600 == 1767268800
