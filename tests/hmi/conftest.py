"""The fake district, and a browser-like client that is logged in with a role."""

import re
from collections.abc import Callable

import attrs
import pytest
from flask import Flask
from flask.testing import FlaskClient
from twisted.internet.task import Clock

from hmi.app import create_app
from tests.fakes import site_clock
from tests.hmi.fakes import PASSWORD, World


@pytest.fixture
def reactor() -> Clock:
    return Clock()


@pytest.fixture
def world(reactor: Clock) -> World:
    return World(site_clock(reactor), reactor)


@pytest.fixture
def app(world: World) -> Flask:
    return create_app(world.services)


def form_token(client: FlaskClient, path: str = "/account") -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path, follow_redirects=True).text)
    assert found, path
    return found.group(1)


def log_in(app: Flask, name: str, language: str = "en") -> FlaskClient:
    client = app.test_client()
    client.set_cookie("scada_language", language)
    answer = client.post("/login", data={"csrf": form_token(client, "/login"), "name": name, "password": PASSWORD})
    assert answer.status_code == 302, answer.text
    return client


@attrs.frozen
class Person:
    """A logged-in client with the token its forms carry."""

    client: FlaskClient
    token: str

    def post(self, path: str, **fields: str) -> object:
        return self.client.post(path, data={"csrf": self.token, **fields})


@pytest.fixture
def person(app: Flask) -> Callable[..., Person]:
    def enter(name: str, language: str = "en") -> Person:
        client = log_in(app, name, language)
        return Person(client, form_token(client))

    return enter
