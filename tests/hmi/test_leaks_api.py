"""Leaks and meters worth replacing for programs."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.hmi.fakes import World
from tests.hmi.test_api import bearer


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_leaks_are_chosen_by_state_and_medium_and_come_in_pages(client: FlaskClient) -> None:
    """Without states: those that nobody has settled; the strongest first."""
    headers = bearer(client)
    everything = client.get("/api/v1/leaks", headers=headers).json
    first = client.get("/api/v1/leaks?size=1&page=2", headers=headers).json
    over = client.get("/api/v1/leaks?state=over", headers=headers).json

    assert everything["total"] == len(everything["leaks"]) >= 2
    assert first["leaks"] == everything["leaks"][1:2]
    assert first["pages"] == everything["total"]
    assert {one["state"] for one in over["leaks"]} == {"over"}
    media = {one["medium"] for one in everything["leaks"]}
    for medium in sorted(media):
        chosen = client.get(f"/api/v1/leaks?medium={medium}", headers=headers).json["leaks"]
        assert chosen == [one for one in everything["leaks"] if one["medium"] == medium]


def test_a_leak_has_its_nights_and_is_decided_by_who_may(client: FlaskClient, world: World) -> None:
    """Who saw an older state is refused, and the audit has the other."""
    one = client.get("/api/v1/leaks/1", headers=bearer(client)).json
    body = {"state": "told", "was": "new", "note": "rang"}
    dispatcher = bearer(client, "dispatcher")
    refused = client.post("/api/v1/leaks/1", json=body, headers=bearer(client, "viewer"))
    done = client.post("/api/v1/leaks/1", json=body, headers=dispatcher)
    again = client.post("/api/v1/leaks/1", json=body, headers=dispatcher)

    assert len(one["nights"]) >= 3
    assert refused.status_code == 403
    assert (done.status_code, done.json["state"], done.json["changes"][-1]["note"]) == (200, "told", "rang")
    assert again.status_code == 409
    assert "look again" in again.json["reasons"][0]
    assert [(row.action, row.target) for row in world.audit.rows][-1] == ("leak.decide", "1")


def test_the_night_says_what_it_cannot_tell_and_what_is_always_on(client: FlaskClient) -> None:
    night = client.get("/api/v1/leaks/night", headers=bearer(client)).json

    assert night["day"]
    assert {one["why"] for one in night["unknown"]} >= {"coarse"}
    assert night["standby"][0]["power"] > 0


def test_meters_worth_replacing_come_by_their_gain_with_the_currency(client: FlaskClient) -> None:
    headers = bearer(client)
    found = client.get("/api/v1/recalibration", headers=headers).json
    second = client.get("/api/v1/recalibration?size=1&page=2", headers=headers).json
    water = client.get("/api/v1/recalibration?medium=water", headers=headers).json

    gains = [one["gain"] for one in found["rows"]]
    assert gains == sorted(gains, reverse=True)
    assert found["worth"] >= 1
    assert found["currency"]
    assert second["rows"] == found["rows"][1:2]
    assert {one["medium"] for one in water["rows"]} <= {"water"}


@pytest.mark.parametrize(("path", "body", "status"), [
    ("leaks/99", None, 404), ("leaks?state=dry", None, 400), ("leaks?medium=beer", None, 400), ("leaks?size=0", None, 400),
    ("leaks/99", {"state": "told"}, 404), ("leaks/1", {"state": "dry"}, 400), ("leaks/1", {}, 400),
    ("leaks/1", {"state": "over"}, 409), ("recalibration?medium=beer", None, 400), (f"leaks/{2**63}", None, 404),
])
def test_what_is_asked_wrongly_is_told(client: FlaskClient, path: str, body: dict[str, str] | None, status: int) -> None:
    headers = bearer(client, "engineer")
    answer = client.get(f"/api/v1/{path}", headers=headers) if body is None else client.post(
        f"/api/v1/{path}", json=body, headers=headers
    )

    assert answer.status_code == status, answer.json
    assert answer.json["error"] or answer.json["reasons"]
