"""A concentrator over the API: who may, what is confirmed, and what is refused in words."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from scada.commands import Role
from tests.hmi.conftest import Person, World
from tests.hmi.test_modules import bearer

API = "/api/v1/concentrators/C01"


def test_everybody_of_the_staff_may_look(app: Flask) -> None:
    client, headers = bearer(app, Role.VIEWER)

    assert client.get(f"{API}/info", headers=headers).json["model"] == "J100UC"
    assert client.get(f"{API}/parameters", headers=headers).json["values"]["radio_channel"] == 3
    assert client.get("/api/v1/concentrators/C02/info", headers=headers).status_code == 409
    assert client.post(f"{API}/reboot", json={"delay_s": 0, "confirm": "C01"}, headers=headers).status_code == 403


@pytest.mark.parametrize(("path", "body"), [
    ("reboot", {"delay_s": 0}), ("parameters", {"version": 1, "values": {"radio_channel": 4}}),
])
def test_what_cannot_be_taken_back_is_confirmed_with_the_name(
    app: Flask, world: World, path: str, body: dict[str, Any]
) -> None:
    """Without it, or with another, nothing is sent."""
    client, headers = bearer(app)
    wrong = [client.post(f"{API}/{path}", json=body | more, headers=headers) for more in ({}, {"confirm": "C02"})]
    before = list(world.services.concentrators.done)        # type: ignore[attr-defined]
    right = client.post(f"{API}/{path}", json=body | {"confirm": "C01"}, headers=headers)

    assert [one.status_code for one in wrong] == [400, 400]
    assert before == []
    assert right.status_code in (200, 202)
    assert len(world.services.concentrators.done) == 1      # type: ignore[attr-defined]


def test_discovery_is_an_engineers_and_the_end_of_repeats_a_dispatchers(app: Flask, world: World) -> None:
    engineer, his = bearer(app)
    dispatcher, hers = bearer(app, Role.DISPATCHER)
    found = [
        client.post(f"{API}/{path}", json=body, headers=headers).status_code
        for path, body in (("discovery", {"duration_s": 60}), ("cancel", {"command": "ab" * 16}))
        for client, headers in ((engineer, his), (dispatcher, hers))
    ]

    assert found == [200, 403, 403, 200]
    assert world.services.concentrators.done == [("discover", "C01", "60"), ("cancel", "C01", "ab" * 16)]   # type: ignore[attr-defined]


def test_a_value_that_is_none_is_named(app: Flask) -> None:
    client, headers = bearer(app)
    body = {"version": 1, "values": {"radio_channel": [4]}, "confirm": "C01"}

    assert client.post(f"{API}/parameters", json=body, headers=headers).status_code == 400


def test_the_page_shows_what_it_answers_and_a_reboot_wants_its_name(person: Callable[..., Person], world: World) -> None:
    """A viewer sees no form; an engineer types the name."""
    viewer = person("viewer").client.get("/concentrators/C01").text
    who = person("engineer")
    who.post("/concentrators/C01/reboot", confirm="C02")
    who.post("/concentrators/C01/set", parameter="radio_channel", value="4", version="1", confirm="")
    before = list(world.services.concentrators.done)        # type: ignore[attr-defined]
    who.post("/concentrators/C01/reboot", confirm="C01")
    who.post("/concentrators/C01/set", parameter="radio_channel", value="4", version="1", confirm="C01")
    who.post("/concentrators/C01/discovery", step="open")

    assert "J100UC" in viewer
    assert "radio_channel" in viewer
    assert "<form method=\"post\" action=\"/concentrators" not in viewer
    assert before == []
    assert world.services.concentrators.done == [           # type: ignore[attr-defined]
        ("reboot", "C01", ""), ("set", "C01", "1"), ("discover", "C01", "3600"),
    ]
    assert world.services.concentrators.values["radio_channel"] == 4        # type: ignore[attr-defined]


def test_a_concentrator_that_does_not_answer_says_so_on_its_page(person: Callable[..., Person]) -> None:
    page = person("engineer", "ro").client.get("/concentrators/C02")

    assert page.status_code == 200
    assert "C02 nu este conectat" in page.text
    assert 'href="/concentrators/C01"' in person("engineer").client.get("/network").text
