"""Reads on demand on the pages and over the API: asked, watched, cancelled, refused with every reason."""

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.hmi.conftest import Person
from tests.hmi.fakes import PASSWORD, World


@pytest.fixture
def api(app: object, world: World) -> Callable[..., object]:
    """A program that is logged in with a role."""
    client: FlaskClient = app.test_client()  # type: ignore[attr-defined]

    def call(role: str, method: str, path: str, **body: object) -> object:
        token = client.post("/api/v1/session", json={"name": role, "password": PASSWORD}).json["token"]
        return client.open(path, method=method, json=body or None, headers={"Authorization": f"Bearer {token}"})

    return call


def test_a_meter_is_read_from_its_page_and_the_register_stands_in_its_unit(
    person: Callable[..., Person], world: World
) -> None:
    """The button, the task, the register; audited under the person's name."""
    engineer = person("engineer")
    page = engineer.client.get("/meters/P-01-003").text
    answer = engineer.post("/reads", points="P-01-003")
    asked = engineer.client.get(answer.headers["Location"]).text
    world.reading.step()
    world.reading.step()
    read = engineer.client.get(answer.headers["Location"]).text

    assert 'action="/reads"' in page
    assert "no answer yet" in asked
    assert "asked; the answers come by radio" in asked
    assert re.search(r"4,711.000 kWh", read)
    assert [row.action for row in world.audit.rows if row.actor == "engineer"][-1] == "read.request"


def test_reasons_and_states_are_in_the_language_of_the_page(person: Callable[..., Person], world: World) -> None:
    engineer = person("engineer", "ro")
    engineer.post("/reads", modules="C01-001, C01-002")
    listed = engineer.client.get("/reads").text
    refused = engineer.client.get(engineer.post("/reads", points="nowhere").headers["Location"]).text

    assert "întrebat; răspunsurile vin prin radio" in listed
    assert "C01-001, C01-002" in listed
    assert "nu sunt în registru: nowhere" in refused


def test_a_viewer_sees_the_queue_and_no_button(person: Callable[..., Person], world: World) -> None:
    person("engineer").post("/reads", points="P-01-003")
    viewer = person("viewer")
    pages = [viewer.client.get(path).text for path in ("/reads", "/meters/P-01-003", "/network", f"/reads/{1:032x}")]

    assert "P-01-003" in pages[0]
    assert not any("Read now" in page or "Cancel" in page for page in pages)


def test_a_long_list_comes_a_page_at_a_time(person: Callable[..., Person], world: World) -> None:
    """Fifty a page, newest first; the open ones alone on request."""
    engineer = person("engineer")
    for _ in range(60):
        engineer.post("/reads", points="P-01-003")
    first, second = (engineer.client.get(f"/reads?page={number}").text for number in (1, 2))
    engineer.post(f"/reads/{60:032x}/cancel")
    still_open = engineer.client.get("/reads?open=1").text

    assert first.count("data-read=") == 50
    assert second.count("data-read=") == 10
    assert f"{60:032x}" in first
    assert f"{60:032x}" not in still_open


def test_a_program_reads_follows_and_cancels(api: Callable[..., object], world: World) -> None:
    made = api("dispatcher", "POST", "/api/v1/reads", groups=["BG-house"], within_s=600, priority="urgent", key="k1")
    world.reading.step()
    task = api("viewer", "GET", f"/api/v1/reads/{made.json['id']}").json
    cancelled = api("dispatcher", "POST", f"/api/v1/reads/{made.json['id']}/cancel").json
    again = api("dispatcher", "POST", f"/api/v1/reads/{made.json['id']}/cancel")

    assert made.status_code == 202
    assert (task["state"], task["priority"], task["key"]) == ("partial", "urgent", "k1")
    assert next(one for one in task["modules"] if one["readings"])["readings"][0]["pulses"] == 4_711_000
    assert cancelled["state"] == "cancelled"
    assert again.status_code == 409
    assert again.json["reasons"] == ["the read is over already"]


@pytest.mark.parametrize(
    "body",
    [{"points": "P-01-003"}, {"points": [1]}, {"points": ["P-01-003"], "within_s": "soon"}, {"priority": "now"},
     {"modules": ["x"] * 5001}],
)
def test_a_body_that_does_not_fit_is_400(api: Callable[..., object], body: dict[str, object]) -> None:
    assert api("engineer", "POST", "/api/v1/reads", **body).status_code == 400


def test_a_viewers_program_is_refused(api: Callable[..., object]) -> None:
    assert api("viewer", "POST", "/api/v1/reads", points=["P-01-003"]).status_code == 403
