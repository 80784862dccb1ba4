"""Cases for programs, and lists of suspects and balances by transformer, feeder and state."""

import re
from collections.abc import Callable

import attrs
import pytest
from flask import Flask
from flask.testing import FlaskClient

from hmi.pages.balance import _state
from hmi.whereabouts import whereabouts
from scada.site import BalanceGroup, Directory, Feeder, Medium
from tests.hmi.conftest import Person
from tests.hmi.fakes import World
from tests.hmi.test_api import bearer


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def district(world: World) -> World:
    """P-01-003 is on F1, P-01-004 on F2, both of T01; a second case is of P-01-004."""
    site = world.registry.directory.site
    feeders = {"P-01-003": "F1", "P-01-004": "F2"}
    of = {one.consumer: feeders[one.name] for one in site.points if one.name in feeders}
    world.registry.directory = Directory(attrs.evolve(
        site, feeders=(Feeder("F1", "T01"), Feeder("F2", "T01")),
        consumers=tuple(attrs.evolve(one, feeder=of.get(one.name, "")) for one in site.consumers),
    ))
    cases = world.services.cases
    cases.book.enter([attrs.evolve(cases.suspicion, member="P-01-004", score=3.0)], "2026-03-12", 1)
    return world


def found(client: FlaskClient, query: str) -> list[str]:
    answer = client.get(f"/api/v1/cases?{query}", headers=bearer(client))
    assert answer.status_code == 200, answer.json
    assert answer.json["total"] == len(answer.json["cases"])
    return [one["member"] for one in answer.json["cases"]]


@pytest.mark.parametrize(("query", "members"), [
    ("", ["P-01-003", "P-01-004"]), ("feeder=F1", ["P-01-003"]), ("transformer=T01&feeder=F2", ["P-01-004"]),
    ("transformer=T01", ["P-01-003", "P-01-004"]), ("transformer=T02", []), ("feeder=F9", []),
    ("state=confirmed", []), ("state=new&state=confirmed", ["P-01-003", "P-01-004"]), ("feeder=F1&transformer=T02", []),
])
def test_cases_are_chosen_by_where_they_are_and_by_what_became_of_them(
    district: World, client: FlaskClient, query: str, members: list[str]
) -> None:
    """The strongest first; not decided ones, unless states are named."""
    assert found(client, query) == members


def test_a_case_of_a_whole_group_has_its_name_as_member_and_is_on_its_feeders(district: World, client: FlaskClient) -> None:
    """With what nobody explains, each day."""
    whole = attrs.evolve(
        district.cases.suspicion, member="BG-T01", cause="technical", unassigned=(0.5,) * 20, score=1.0
    )
    district.cases.book.enter([whole], "2026-03-12", 1)
    number = client.get("/api/v1/cases", headers=bearer(client)).json["cases"][-1]["number"]
    one = client.get(f"/api/v1/cases/{number}", headers=bearer(client)).json

    assert found(client, "feeder=F1") == ["P-01-003", "BG-T01"]
    assert found(client, "transformer=T02") == []
    assert (one["group"], one["member"], one["cause"]) == ("BG-T01", "BG-T01", "technical")
    assert one["unassigned"] == [0.5] * 20


def test_a_case_has_its_days_and_its_history_and_is_decided_by_who_may(district: World, client: FlaskClient) -> None:
    one = client.get("/api/v1/cases/1", headers=bearer(client)).json
    assert len(one["forecast"]) == len(one["imbalance"]) == 20
    assert None in one["imbalance"]
    assert [change["after"] for change in one["changes"]] == ["new"]

    body = {"state": "confirmed", "was": "new", "note": "shunt"}
    assert client.post("/api/v1/cases/1", json=body, headers=bearer(client, "dispatcher")).status_code == 403
    engineer = bearer(client, "engineer")
    done = client.post("/api/v1/cases/1", json=body, headers=engineer)
    assert (done.status_code, done.json["state"], done.json["changes"][-1]["note"]) == (200, "confirmed", "shunt")
    again = client.post("/api/v1/cases/1", json=body, headers=engineer)
    assert again.status_code == 409
    assert "look again" in again.json["reasons"][0]
    assert client.get("/api/v1/cases", headers=engineer).json["counts"] == {
        "new": 1, "inspection": 0, "confirmed": 1, "cleared": 0,
    }


@pytest.mark.parametrize(("path", "body", "status"), [
    ("cases/99", None, 404), ("cases?state=guilty", None, 400), ("cases?transformer=T99", None, 404),
    ("cases?size=100000", None, 400), ("cases/99", {"state": "new"}, 404), ("cases/1", {"state": "guilty"}, 400),
    ("cases/1", {}, 400), ("suspects/groups?transformer=T99", None, 404),
])
def test_what_is_not_there_or_cannot_be_is_said(
    client: FlaskClient, path: str, body: dict[str, str] | None, status: int
) -> None:
    headers = bearer(client, "engineer")
    answer = client.get(f"/api/v1/{path}", headers=headers) if body is None else client.post(
        f"/api/v1/{path}", json=body, headers=headers
    )
    assert answer.status_code == status


def test_groups_that_are_not_in_order_are_chosen_the_same_way(district: World, client: FlaskClient) -> None:
    every, there = (
        client.get(f"/api/v1/suspects/groups{query}", headers=bearer(client)).json for query in ("", "?transformer=T01")
    )
    assert [one["group"] for one in every["groups"]] == ["BG-house"]
    assert every["groups"][0]["unassigned_a_day"] is None
    assert there["groups"] == []


def test_the_page_of_suspects_keeps_its_filter_in_tabs_and_counts_by_it(
    district: World, person: Callable[..., Person]
) -> None:
    text = person("viewer").client.get("/suspects?feeder=F2").text

    assert "P-01-004</a>" in text
    assert "P-01-003</a>" not in text
    assert re.search(r'which=open&amp;feeder=F2" aria-current="true">[^<]*<b>1</b>', text)


def test_balances_are_chosen_by_place_and_by_the_state_of_their_newest_hour(
    district: World, person: Callable[..., Person]
) -> None:
    """The newest hours of the fakes are incomplete."""
    client = person("viewer").client

    def groups(query: str) -> list[str]:
        return re.findall(r'href="/balance/([^"/?]+)"><b>', client.get(f"/balance?{query}").text)

    assert groups("") == groups("state=incomplete") == ["BG-T01", "BG-house"]
    assert groups("transformer=T01") == groups("feeder=F1") == ["BG-T01"]
    assert groups("state=over") == groups("feeder=F9") == groups("transformer=T02") == []
    assert "Nothing found." in client.get("/balance?state=over").text


def test_a_feeder_of_which_only_the_name_is_known_is_a_place_too(district: World) -> None:
    """Consumers name it, though no network has it."""
    site = district.registry.directory.site
    directory = Directory(attrs.evolve(site, feeders=()))

    assert whereabouts(directory, "", "F1").groups == frozenset({"BG-T01"})


@pytest.mark.parametrize(("imbalance", "state"), [(17.0, "whole"), (19.0, "over"), (-11.0, "over")])
def test_a_balance_is_over_by_what_is_beyond_expected_losses(imbalance: float, state: str) -> None:
    """As the message of the day judges it: eight per cent are lost as usual."""
    row = {"imbalance": imbalance, "imbalance_percent": imbalance, "feed": 100.0, "by_estimates": 0.0, "whole": 1.0}

    assert _state(BalanceGroup("G", Medium.ELECTRICITY), row) == state
