"""Losses computed anew on demand: who may, and what is refused."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.hmi.fakes import World
from tests.hmi.test_api import bearer


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_what_may_be_computed_anew_and_what_not(world: World, client: FlaskClient) -> None:
    """Hours that are over, transformers that have a network; engineers and administrators."""
    headers, now = bearer(client, "engineer"), world.services.clock.hour()
    ask = "/api/v1/losses/recompute"
    done = client.post(ask, headers=headers, json={"first_hour": now - 2000, "last_hour": now + 5})

    assert done.status_code == 202
    assert done.json == {"transformers": ["T01"], "groups": ["BG-T01"], "first_hour": now - 2000, "last_hour": now}
    assert world.services.losses.wished == (("T01",), now - 2000, now)
    assert world.services.audit.page()[0].action == "losses.recompute"
    for body, status in (
        ({"first_hour": now, "last_hour": now + 1}, 400), ({"first_hour": now - 1}, 400),
        ({"first_hour": now - 9, "last_hour": now, "transformers": ["T99"]}, 404),
        ({"first_hour": now - 9, "last_hour": now, "transformers": ["T02"]}, 400),
    ):
        assert client.post(ask, headers=headers, json=body).status_code == status
    body = {"first_hour": now - 9, "last_hour": now}
    assert client.post(ask, headers=bearer(client, "dispatcher"), json=body).status_code == 403
