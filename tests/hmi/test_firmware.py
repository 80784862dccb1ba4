"""Firmware on the pages and over the API: a campaign is drafted, confirmed, watched, paused; a refusal has every reason."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from scada.rollout import UpdateState
from tests.hmi.conftest import Person
from tests.hmi.fakes import PASSWORD, World

DONE, FAILED, TRANSFER = UpdateState.DONE, UpdateState.FAILED, UpdateState.TRANSFER


def image(world: World, version: str = "2.0") -> str:
    return next(one.image.id.hex() for one in world.firmware.images() if one.image.version == version)


def drafted(engineer: Person, world: World, **changes: str) -> str:
    answer: Any = engineer.post("/firmware", image=image(world), canary="3", wave="20", soak_hours="0", **changes)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["Location"])


@pytest.fixture
def api(app: Any) -> Callable[..., Any]:
    """A program that is logged in with a role."""
    client: FlaskClient = app.test_client()

    def call(role: str, method: str, path: str, **body: object) -> Any:
        token = client.post("/api/v1/session", json={"name": role, "password": PASSWORD}).json["token"]
        return client.open(path, method=method, json=body or None, headers={"Authorization": f"Bearer {token}"})

    return call


def test_an_image_says_who_signed_it_and_one_without_a_trusted_key_cannot_be_chosen(
    person: Callable[..., Person], world: World
) -> None:
    page = person("engineer").client.get("/firmware").text

    assert "Maker" in page
    assert "D100FC" in page
    assert world.firmware.images()[0].signer in page
    assert "no key that is trusted now" in page
    assert f'value="{image(world)}"' in page
    assert f'value="{image(world, "1.9")}"' not in page


def test_a_campaign_starts_only_with_the_version_typed_and_pauses_by_itself_with_the_reason(
    person: Callable[..., Person], world: World
) -> None:
    """Draft, review, confirm; then two of three fail, and the page says why it stands."""
    engineer = person("engineer")
    place = drafted(engineer, world)
    review = engineer.client.get(f"{place}/start").text
    without: Any = engineer.post(f"{place}/start", confirm="2.1")
    still_draft = world.firmware.campaign(1).state.value
    engineer.post(f"{place}/start", confirm="2.0")
    world.firmware.drill(1, DONE, FAILED, FAILED)
    page = engineer.client.get(place).text
    listed = engineer.client.get("/firmware").text

    assert 'data-confirm="2.0"' in review
    assert without.status_code == 400
    assert still_draft == "draft"
    assert "It has paused by itself:" in page
    assert "2 of 3 modules of the stage have failed" in page
    assert re.search(r"data-rate>66.7<", page)
    assert "with the new version it did not reach its concentrator (TIMEOUT); it runs 1.0" in page
    assert "2 of 3 modules of the stage have failed" in listed


def test_the_drafter_cannot_approve_and_another_person_can(person: Callable[..., Person], world: World) -> None:
    engineer, administrator = person("engineer"), person("administrator")
    place = drafted(engineer, world)
    engineer.post(f"{place}/start", confirm="2.0")
    alone: Any = engineer.post(f"{place}/approve", confirm="2.0")
    together: Any = administrator.post(f"{place}/approve", confirm="2.0")
    page = administrator.client.get(place).text

    assert alone.status_code == 409
    assert "another person approves" in alone.text
    assert together.status_code == 302
    assert world.firmware.campaign(1).approver == "administrator"
    assert f"{place}/approve" not in page


def test_pause_resume_with_retry_and_abort(person: Callable[..., Person], world: World) -> None:
    """A pause is one press; the way on is confirmed, and those that failed may try again."""
    engineer = person("engineer")
    place = drafted(engineer, world, most_failed_percent="50")
    engineer.post(f"{place}/start", confirm="2.0")
    world.firmware.drill(1, DONE, FAILED, TRANSFER)
    engineer.post(f"{place}/pause", why="storm")
    paused = world.firmware.campaign(1)
    engineer.post(f"{place}/resume", confirm="2.0", retry="1")
    resumed = world.firmware.campaign(1)
    engineer.post(f"{place}/abort", confirm="2.0")
    actions = [row.action for row in world.audit.rows if row.actor == "engineer"]

    assert (paused.state.value, paused.tripped) == ("paused", False)
    assert resumed.state.value == "canary"
    assert resumed.count(FAILED) == 0
    assert world.firmware.campaign(1).state.value == "aborted"
    assert actions[-4:] == ["firmware.start", "firmware.pause", "firmware.resume", "firmware.abort"]


def test_modules_come_a_page_at_a_time_by_state_and_stage(
    person: Callable[..., Person], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hmi.pages.firmware.MODULES", 10)
    engineer = person("engineer")
    place = drafted(engineer, world)
    engineer.post(f"{place}/start", confirm="2.0")
    world.firmware.drill(1, DONE, FAILED, TRANSFER)
    first, last = (engineer.client.get(f"{place}?page={number}").text for number in (1, 99))
    failed = engineer.client.get(f"{place}?state=failed").text
    canary = engineer.client.get(f"{place}?stage=0").text
    names = re.compile(r"<tr><td>(C0\d-\d{3})</td>")
    total = world.firmware.campaign(1).total

    assert len(names.findall(first)) == 10
    assert len(names.findall(last)) == (total % 10 or 10)
    assert not set(names.findall(first)) & set(names.findall(last))
    assert len(names.findall(failed)) == 1
    assert len(names.findall(canary)) == 3
    assert "3 in all" in canary


def test_a_viewer_sees_campaigns_and_no_button(person: Callable[..., Person], world: World) -> None:
    place = drafted(person("engineer"), world)
    viewer = person("viewer")
    pages = [viewer.client.get(path).text for path in ("/firmware", place)]

    assert "Campaign 1" in pages[0]
    assert "Draft a campaign" not in pages[0]
    assert "/start" not in pages[1]
    assert viewer.client.get(f"{place}/start").status_code == 403


def test_what_is_refused_or_no_number_is_named_and_the_form_keeps_what_was_typed(
    person: Callable[..., Person], world: World
) -> None:
    engineer = person("engineer")
    unknown: Any = engineer.post("/firmware", image=image(world), concentrators="C99", canary="0")
    nonsense: Any = engineer.post("/firmware", image=image(world), wave="many", soak_hours="nan")

    assert unknown.status_code == 409
    assert "there is no concentrator C99" in unknown.text
    assert "modules of the canary: 0; expected 1 to 10000" in unknown.text
    assert 'value="C99"' in unknown.text
    assert nonsense.status_code == 400
    assert "many is no number" in nonsense.text
    assert "nan is no number" in nonsense.text


@pytest.mark.parametrize(
    ("language", "said"), [("ro", "2 din 3 module ale etapei au eșuat"), ("ru", "не удалось у 2 из 3 модулей этапа")]
)
def test_reasons_are_in_the_language_of_the_page(
    person: Callable[..., Person], world: World, language: str, said: str
) -> None:
    engineer = person("engineer", language)
    place = drafted(engineer, world)
    engineer.post(f"{place}/start", confirm="2.0")
    world.firmware.drill(1, FAILED, FAILED, DONE)
    page = engineer.client.get(place).text

    assert said in page
    assert "it did not reach" not in page


def test_a_program_drafts_starts_and_follows(api: Callable[..., Any], world: World) -> None:
    made = api("engineer", "POST", "/api/v1/firmware/campaigns", image=image(world), canary=3, wave=20, soak_s=0)
    started = api("engineer", "POST", "/api/v1/firmware/campaigns/1/start", why="")
    world.firmware.drill(1, DONE, TRANSFER)
    seen = api("viewer", "GET", "/api/v1/firmware/campaigns/1").json
    modules = api("viewer", "GET", "/api/v1/firmware/campaigns/1/modules?state=transfer").json
    again = api("engineer", "POST", "/api/v1/firmware/campaigns/1/start", why="")

    assert made.status_code == 201
    assert started.json["state"] == "canary"
    assert seen["stages"][0] == {
        "number": 0, "total": 3, "missing_blocks": 7, "counts": {"waiting": 1, "transfer": 1, "done": 1},
    }
    assert (modules["total"], modules["modules"][0]["missing"]) == (1, 7)
    assert again.status_code == 409
    assert again.json["reasons"] == ["the campaign is canary: it cannot be told to start"]


@pytest.mark.parametrize(
    "body", [{"image": "x", "canary": "5"}, {"image": "x", "canary": True}, {"image": "x", "groups": "LG"}, {"wave": 1.5}],
)
def test_a_body_that_does_not_fit_is_400(api: Callable[..., Any], body: dict[str, object]) -> None:
    assert api("engineer", "POST", "/api/v1/firmware/campaigns", **body).status_code == 400


def test_a_dispatchers_program_is_refused_and_an_unknown_doing_is_404(api: Callable[..., Any]) -> None:
    assert api("dispatcher", "POST", "/api/v1/firmware/campaigns", image="x").status_code == 403
    assert api("engineer", "POST", "/api/v1/firmware/campaigns/1/erase", why="").status_code == 404
    assert api("viewer", "GET", "/api/v1/firmware/campaigns/7").status_code == 404
