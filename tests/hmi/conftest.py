"""The fake district, and a browser-like client that is logged in with a role."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from flask import Flask
from flask.testing import FlaskClient
from twisted.internet.task import Clock
from werkzeug.routing import Rule

from hmi.app import create_app
from tests.fakes import site_clock
from tests.hmi.fakes import PASSWORD, World


@pytest.fixture(scope="session", autouse=True)
def routes_compiled_once() -> Iterator[None]:
    """What builds a route's address depends on its text alone, and is most of the time that an app takes to make."""
    compiled, known = Rule._compile_builder, {}

    def once(rule: Rule, append_unknown: bool = True) -> Any:
        key = rule.rule, rule.subdomain, append_unknown, repr(rule.defaults)
        if key not in known:
            known[key] = compiled(rule, append_unknown)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", once)
        yield


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
