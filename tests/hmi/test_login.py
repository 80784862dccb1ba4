"""Coming in: sessions, their end, the limit on guessing, and what the audit keeps."""

from collections.abc import Callable

import attrs
import pytest
from flask import Flask
from twisted.internet.task import Clock

from hmi.app import create_app
from hmi.sessions import MAX_SESSIONS, Sessions
from scada.commands import Origin, Role
from scada.ports import Account
from scada.settings import HmiSettings
from tests.hmi.conftest import Person, form_token, log_in
from tests.hmi.fakes import PASSWORD, World


def attempt(app: Flask, name: str, password: str) -> int:
    client = app.test_client()
    return client.post(
        "/login", data={"csrf": form_token(client, "/login"), "name": name, "password": password}
    ).status_code


def test_a_log_in_leads_to_the_page_that_was_asked_for(app: Flask) -> None:
    client = app.test_client()
    asked = client.get("/balance/BG-T01?span=month")
    target = asked.headers["Location"]
    answer = client.post(
        target,
        data={
            "csrf": form_token(client, target),
            "name": "viewer",
            "password": PASSWORD,
            "next": "/balance/BG-T01?span=month",
        },
    )

    assert answer.headers["Location"] == "/balance/BG-T01?span=month"


@pytest.mark.parametrize(
    "target",
    [
        "https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "javascript:1",
        "/\t/elsewhere.example", "/\n/elsewhere.example", "/x\r\nSet-Cookie: a=b",
    ],
)
def test_a_log_in_never_leads_to_another_site(app: Flask, target: str) -> None:
    client = app.test_client()
    token = form_token(client, "/login")
    answer = client.post("/login", data={"csrf": token, "name": "viewer", "password": PASSWORD, "next": target})

    assert answer.headers["Location"] == "/"


def test_log_in_log_out_and_failures_are_in_the_audit_without_the_password(app: Flask, world: World) -> None:
    attempt(app, "viewer", "my secret typed wrongly")
    client = log_in(app, "viewer")
    client.post("/logout", data={"csrf": form_token(client)})
    rows = [(row.action, row.actor) for row in world.audit.rows]

    assert rows == [("login.failed", "viewer"), ("login", "viewer"), ("logout", "viewer")]
    assert "secret" not in repr(world.audit.rows)
    assert PASSWORD not in repr(world.audit.rows)


def test_after_a_log_out_the_cookie_is_worth_nothing(app: Flask) -> None:
    client = log_in(app, "viewer")
    cookie = client.get_cookie("scada_session")
    client.post("/logout", data={"csrf": form_token(client)})
    client.set_cookie("scada_session", cookie.value)

    assert client.get("/").headers["Location"].startswith("/login")


def test_guessing_a_password_is_slowed_down_per_name_and_the_right_one_waits_too(app: Flask, reactor: Clock) -> None:
    results = [attempt(app, "viewer", "wrong") for _ in range(5)]
    now, other = attempt(app, "viewer", PASSWORD), attempt(app, "engineer", PASSWORD)
    reactor.advance(301)
    later = attempt(app, "viewer", PASSWORD)

    assert results == [401] * 5
    assert (now, other, later) == (429, 302, 302)


def test_guessing_many_names_from_one_address_is_slowed_down(app: Flask) -> None:
    results = [attempt(app, f"name{n}", "wrong") for n in range(31)]

    assert results[-1] == 429


def test_a_disabled_account_and_an_endless_password_are_refused(app: Flask) -> None:
    assert attempt(app, "gone", PASSWORD) == 401
    assert attempt(app, "viewer", "x" * 300) == 401


def test_an_idle_session_ends_and_background_requests_do_not_keep_it(app: Flask, reactor: Clock) -> None:
    client = log_in(app, "viewer")
    for _ in range(9):
        reactor.advance(3600)
        client.get("/alarms/rows", headers={"X-Background": "1"})

    assert client.get("/").status_code == 302


def test_a_used_session_goes_on(app: Flask, reactor: Clock) -> None:
    client = log_in(app, "viewer")
    for _ in range(9):
        reactor.advance(3600)
        client.get("/alarms")

    assert client.get("/").status_code == 200


def test_cookies_are_http_only_and_secure_behind_a_tls_proxy(world: World) -> None:
    hmi = HmiSettings(behind_tls_proxy=True)
    client = create_app(attrs.evolve(world.services, hmi=hmi)).test_client()
    cookie = client.get("/login").headers["Set-Cookie"]

    assert {"HttpOnly", "Secure", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}


def test_a_changed_password_ends_the_other_sessions_and_lets_the_newcomer_in(
    app: Flask, person: Callable[[str], Person]
) -> None:
    thief, newcomer = person("newcomer"), person("newcomer")
    answer = newcomer.post("/account/password", old=PASSWORD, new="a longer secret", again="a longer secret")

    assert answer.headers["Location"] == "/account?done=1"
    assert newcomer.client.get("/").status_code == 200
    assert thief.client.get("/").headers["Location"].startswith("/login")
    assert attempt(app, "newcomer", PASSWORD) == 401


@pytest.mark.parametrize(
    ("old", "new", "again", "said"),
    [
        (PASSWORD, "a longer secret", "another secret", "differ"),
        ("wrong", "a longer secret", "a longer secret", "not right"),
        (PASSWORD, "short", "short", "fewer than 10"),
        (PASSWORD, PASSWORD, PASSWORD, "the old one"),
        (PASSWORD, "", "", "empty"),
    ],
)
def test_a_bad_new_password_is_refused_with_the_reason(
    person: Callable[[str], Person], old: str, new: str, again: str, said: str
) -> None:
    answer = person("viewer").post("/account/password", old=old, new=new, again=again)

    assert answer.status_code == 400
    assert said in answer.text


def test_a_chosen_language_stays_with_the_account(app: Flask, world: World, person: Callable[[str], Person]) -> None:
    someone = person("viewer")
    someone.post("/language", language="ru", next="/alarms")

    assert 'lang="ru"' in someone.client.get("/alarms").text
    assert world.users.account("viewer").language == "ru"


def test_an_account_without_a_language_of_its_own_reads_the_sites(world: World) -> None:
    """A new colleague on a Romanian site does not begin in English."""
    site = world.services.site.model_copy(update={"language": "ro"})
    client = create_app(attrs.evolve(world.services, site=site)).test_client()
    client.post("/login", data={"csrf": form_token(client, "/login"), "name": "viewer", "password": PASSWORD})

    assert world.users.account("viewer").language == ""
    assert '<html lang="ro">' in client.get("/alarms").text


def test_sessions_are_bounded(app: Flask) -> None:
    """The oldest goes when there are too many: memory is not a visitor's to fill."""
    sessions = app.extensions["sessions"]
    tokens = [sessions.open(Account(f"viewer{n % 50}", Role.VIEWER), Origin.HMI) for n in range(MAX_SESSIONS + 10)]

    assert len(sessions) == MAX_SESSIONS
    assert sessions.find(tokens[0]) is None
    assert sessions.find(tokens[-1]) is not None


@pytest.mark.parametrize(("behind_proxy", "seen"), [(True, "10.9.8.7"), (False, "127.0.0.1")])
def test_the_visitors_address_comes_from_the_proxy_only_where_there_is_one(
    world: World, behind_proxy: bool, seen: str
) -> None:
    """Else anybody could write himself a new address for every guess."""
    app = create_app(attrs.evolve(world.services, hmi=HmiSettings(behind_tls_proxy=behind_proxy)))
    app.test_client().post(
        "/api/v1/session", json={"name": "viewer", "password": "wrong"}, headers={"X-Forwarded-For": "10.9.8.7"}
    )

    assert seen in world.audit.rows[-1].detail


@pytest.mark.parametrize(
    "change", [{"disabled": True}, {"role": Role.VIEWER}, {"areas": ("NORTH",)}, {"must_change": True}, None],
    ids=["disabled", "role", "areas", "password reset", "removed"],
)
def test_rights_that_were_taken_away_end_the_open_session_at_once(
    app: Flask, world: World, change: dict[str, object] | None
) -> None:
    """Whoever was sent home in the morning must not shed load in the afternoon from a page left open."""
    client = log_in(app, "dispatcher")
    token = form_token(client)
    if change is None:
        del world.users.all["dispatcher"]
    else:
        world.users.all["dispatcher"] = attrs.evolve(world.users.all["dispatcher"], **change)
    answer = client.post("/api/v1/dispatch/select", json={"group": "LG-BOILERS", "off_for_s": 600},
                         headers={"X-CSRF-Token": token})

    assert answer.status_code in (401, 403)
    assert client.get("/dispatch").headers["Location"].startswith("/login")


def test_rights_that_were_taken_away_end_live_streams_too(world: World) -> None:
    """A stream asks nobody anything: it is told when accounts have changed."""
    sessions = Sessions(world.services.clock, 60)
    gone, stays = (sessions.find(sessions.open(world.users.all[name], Origin.HMI)) for name in ("viewer", "dispatcher"))
    world.users.all["viewer"] = attrs.evolve(world.users.all["viewer"], disabled=True)
    sessions.hold_to(world.users.accounts(), {})

    assert gone is not None
    assert stays is not None
    assert not sessions.alive(gone)
    assert sessions.alive(stays)


def test_a_password_that_somebody_else_changed_ends_the_sessions_and_ones_own_change_does_not(world: World) -> None:
    """A thief who sits in a session is thrown out by a new password."""
    sessions, accounts = Sessions(world.services.clock, 60), world.users.accounts()
    sessions.hold_to(accounts, {"viewer": "old hash", "dispatcher": "old hash"})
    theirs, own = (sessions.find(sessions.open(world.users.all[name], Origin.HMI)) for name in ("viewer", "dispatcher"))
    assert own is not None
    assert theirs is not None
    sessions.close_all_of("dispatcher", keep=own)           # what the account page does after a change
    sessions.hold_to(accounts, {"viewer": "new hash", "dispatcher": "new hash"})

    assert not sessions.alive(theirs)
    assert sessions.alive(own)


def test_a_blank_after_the_name_does_not_get_around_the_limit(app: Flask) -> None:
    client = app.test_client()
    results = [
        client.post("/api/v1/session", json={"name": "viewer" + " " * n, "password": "wrong"}).status_code for n in range(7)
    ]

    assert results == [401] * 5 + [429] * 2


def test_a_stranger_cannot_lock_a_person_out_by_guessing_at_his_name(app: Flask) -> None:
    """The limit of a name counts per address; the person at his own desk gets in."""
    stranger, desk = {"REMOTE_ADDR": "203.0.113.9"}, {"REMOTE_ADDR": "10.0.0.5"}
    body = {"name": "dispatcher", "password": "wrong"}
    guessed = [
        app.test_client().post("/api/v1/session", json=body, environ_overrides=stranger).status_code for _ in range(8)
    ]
    answer = app.test_client().post("/api/v1/session", json=body | {"password": PASSWORD}, environ_overrides=desk)

    assert guessed == [401] * 5 + [429] * 3
    assert answer.status_code == 201


def test_an_empty_bearer_token_does_not_open_the_form_check(app: Flask) -> None:
    """A cookie with an empty Authorization header is still a browser."""
    client = log_in(app, "dispatcher")
    answer = client.post("/logout", headers={"Authorization": "Bearer "})

    assert answer.status_code == 403


def test_a_log_in_that_the_registry_does_not_look_at_is_no_failure(app: Flask, world: World) -> None:
    """Otherwise a stranger's flood would count against the person whose name he uses."""
    world.users.limited = True
    body = {"name": "viewer", "password": PASSWORD}
    asked = [attempt(app, "viewer", PASSWORD) for _ in range(6)]
    asked += [app.test_client().post("/api/v1/session", json=body).status_code for _ in range(6)]
    world.users.limited = False

    assert asked == [429] * 12
    assert "login.failed" not in {row.action for row in world.audit.rows}
    assert attempt(app, "viewer", PASSWORD) == 302
