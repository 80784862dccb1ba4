"""Who may do what: found by walking all routes, so that a new page cannot be forgotten."""

from collections.abc import Callable

import pytest
from flask import Flask

from hmi.access import (
    ACKNOWLEDGE,
    ADOPT,
    AUDITORS,
    COSTS,
    DECIDE,
    DECIDE_LEAKS,
    DISPATCH,
    EVERYBODY,
    IMPORT,
    INSTALL,
    LOCAL,
    PHOTOS,
    PUBLIC,
    READ_NOW,
    ROLL_OUT,
    STAFF,
    roles_of,
)
from scada.commands import Role
from tests.hmi.conftest import Person
from tests.hmi.fakes import World

EXPECTED = {
    "login.page": PUBLIC,
    "login.logout": EVERYBODY,
    "account.page": EVERYBODY,
    "account.password": EVERYBODY,
    "account.language": PUBLIC,
    "overview.page": STAFF,
    "transformer.page": STAFF,
    "losses.page": STAFF,
    "balance.index": STAFF,
    "balance.page": STAFF,
    "phases.page": STAFF,
    "mesh.page": STAFF,
    "collection.page": STAFF,
    "collection.ask": READ_NOW,
    "api.collection": STAFF,
    "api.leaks": STAFF,
    "api.leak": STAFF,
    "api.leak_night": STAFF,
    "api.decide_leak": DECIDE_LEAKS,
    "api.recalibration": STAFF,
    "api.asked": STAFF,
    "api.ask": READ_NOW,
    "api.concentrator_info": STAFF,
    "concentrators.page": STAFF,
    "concentrators.set_parameter": ADOPT,
    "concentrators.reboot": ADOPT,
    "concentrators.discovery": ADOPT,
    "api.concentrator_parameters": STAFF,
    "api.set_concentrator_parameters": ADOPT,
    "api.reboot_concentrator": ADOPT,
    "api.concentrator_discovery": ADOPT,
    "api.cancel_repeats": DISPATCH,
    "clocks.page": STAFF,
    "mesh.adopt": ADOPT,
    "meters.index": STAFF,
    "meter.page": STAFF,
    "meter.changes": STAFF,
    "reads.page": STAFF,
    "reads.read": READ_NOW,
    "reads.task": STAFF,
    "reads.cancel": READ_NOW,
    "supplies.page": STAFF,
    "supplies.one": STAFF,
    "supplies.disconnect": DISPATCH,
    "supplies.reconnect": DISPATCH,
    "supplies.confirm": DISPATCH,
    "supplies.withdraw": DISPATCH,
    "supplies.hold": DISPATCH,
    "supplies.release": DISPATCH,
    "supplies.local": LOCAL,
    "api.every_supply": STAFF,
    "api.one_supply": STAFF,
    "api.disconnect": DISPATCH,
    "api.reconnect": DISPATCH,
    "api.confirm": DISPATCH,
    "api.withdraw": DISPATCH,
    "api.hold": DISPATCH,
    "api.release": DISPATCH,
    "api.local": LOCAL,
    "dispatch.page": STAFF,
    "dispatch.select": DISPATCH,
    "dispatch.review": DISPATCH,
    "dispatch.execute": DISPATCH,
    "dispatch.command": STAFF,
    "dispatch.restore": DISPATCH,
    "alarms.page": STAFF,
    "alarms.journal": STAFF,
    "alarms.rows": STAFF,
    "events.page": STAFF,
    "alarms.suppressed": STAFF,
    "outages.page": STAFF,
    "phases.keep": DECIDE,
    "phases.order": STAFF,
    "phases.settle": DECIDE,
    "suspects.page": STAFF,
    "suspects.one": STAFF,
    "suspects.decide": DECIDE,
    "leaks.page": STAFF,
    "leaks.crew": STAFF,
    "leaks.one": STAFF,
    "leaks.decide": DECIDE_LEAKS,
    "recalibration.page": STAFF,
    "recalibration.order": STAFF,
    "recalibration.medium": STAFF,
    "recalibration.change": COSTS,
    "alarms.acknowledge": ACKNOWLEDGE,
    "audit.page": AUDITORS,
    "tags.page": STAFF,
    "api.log_in": PUBLIC,
    "api.log_out": EVERYBODY,
    "api.status": STAFF,
    "api.select": DISPATCH,
    "api.execute": DISPATCH,
    "api.restore": DISPATCH,
    "api.commands": STAFF,
    "api.command": STAFF,
    "api.groups": STAFF,
    "api.read": READ_NOW,
    "api.reads": STAFF,
    "api.task": STAFF,
    "api.cancel": READ_NOW,
    "api.alarms": STAFF,
    "api.events": STAFF,
    "api.acknowledge": ACKNOWLEDGE,
    "api.tags": STAFF,
    "api.history": STAFF,
    "api.instant": STAFF,
    "api.hourly": STAFF,
    "api.profile": STAFF,
    "api.changes": STAFF,
    "api.estimates": STAFF,
    "api.sums": STAFF,
    "api.samples": STAFF,
    "api.balance": STAFF,
    "api.recompute": IMPORT,
    "api.cases": STAFF,
    "api.case": STAFF,
    "api.decide_case": DECIDE,
    "api.suspect_groups": STAFF,
    "walkby.page": IMPORT,
    "walkby.upload": IMPORT,
    "api.walkby": IMPORT,
    "modules.page": STAFF,
    "modules.one": STAFF,
    "modules.step": ADOPT,
    "modules.do": ADOPT,
    "swaps.module": ADOPT,
    "swaps.swap_module": ADOPT,
    "swaps.meter": ADOPT,
    "swaps.swap_meter": ADOPT,
    "groups.page": STAFF,
    "api.modules": STAFF,
    "api.module": STAFF,
    "api.step": ADOPT,
    "api.swap": ADOPT,
    "api.group_keys": STAFF,
    "firmware.page": STAFF,
    "firmware.draft": ROLL_OUT,
    "firmware.campaign": STAFF,
    "firmware.review": ROLL_OUT,
    "firmware.act": ROLL_OUT,
    "api.images": STAFF,
    "api.campaigns": STAFF,
    "api.draft": ROLL_OUT,
    "api.campaign": STAFF,
    "api.campaign_modules": STAFF,
    "api.act": ROLL_OUT,
    "install.page": INSTALL,
    "install.module": INSTALL,
    "install.begun": INSTALL,
    "install.asked": INSTALL,
    "install.step": INSTALL,
    "install.photo": INSTALL,
    "install.confirm": INSTALL,
    "install.picture": PHOTOS,
    "dials.page": STAFF,
    "dials.point": STAFF,
    "dials.enter": IMPORT,
    "api.installations": INSTALL,
    "api.install_module": INSTALL,
    "api.begin_module": INSTALL,
    "api.ask_module": INSTALL,
    "api.put_into_service": INSTALL,
    "api.put_photo": INSTALL,
    "api.table_of_dials": STAFF,
    "api.one_dial": STAFF,
    "api.enter_dials": IMPORT,
}
FILLED = {
    "name": "T01", "kind": "retire", "eui": "00124b00000003e9", "selection_id": "S0001", "command_id": "00",
    "task_id": "00", "number": "1", "doing": "pause", "int:channel": "0", "point": "P-01-004",
}


def test_every_route_says_who_may_use_it(app: Flask) -> None:
    """Deny by default: a view nobody classified is open to nobody, and this test names it."""
    assert {rule.endpoint: roles_of(app, rule.endpoint) for rule in app.url_map.iter_rules()} == EXPECTED


def test_an_unclassified_view_is_refused_to_everybody(app: Flask, person: Callable[[str], Person]) -> None:
    app.add_url_rule("/forgotten", "forgotten", lambda: "secret")
    answer = person("administrator").client.get("/forgotten")

    assert answer.status_code == 403
    assert "secret" not in answer.text


@pytest.mark.parametrize("role", [None, *Role])
def test_the_matrix_of_roles_and_routes_holds(app: Flask, person: Callable[[str], Person], role: Role | None) -> None:
    """Every route with every role: either refused, or something else than refused."""
    someone = person(role.value) if role else None
    client = someone.client if someone else app.test_client()
    token = someone.token if someone else ""
    for rule in app.url_map.iter_rules():
        roles = EXPECTED[rule.endpoint]
        if roles == PUBLIC or rule.endpoint in ("login.logout", "api.log_out"):
            continue
        url = rule.rule
        for name, value in FILLED.items():
            url = url.replace(f"<{name}>", value).replace(f"<int:{name}>", value)
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            status = client.open(url, method=method, headers={"X-CSRF-Token": token}).status_code
            if role is None:
                assert status in (302, 401, 403), (method, url, status)
            elif role in roles:
                assert status not in (401, 403, 500), (method, url, status)
            else:
                assert status == 403, (method, url, status)


def test_every_post_without_the_forms_token_is_refused(app: Flask, world: World, person: Callable[[str], Person]) -> None:
    """Another site's page can make a browser post, but it cannot read the token."""
    someone = person("administrator")
    before = len(world.audit.rows)
    for rule in app.url_map.iter_rules():
        if "POST" not in rule.methods or rule.endpoint == "api.log_in":
            continue
        url = rule.rule.replace("<command_id>", "00").replace("<int:number>", "1").replace("<int:channel>", "0")
        for wrong in ({}, {"csrf": "0" * 64}):
            answer = someone.client.post(url, data=wrong)
            assert answer.status_code == 403, url

    assert len(world.audit.rows) == before


def test_one_browsers_token_is_no_use_in_another(person: Callable[[str], Person]) -> None:
    first, second = person("dispatcher"), person("administrator")
    answer = second.client.post("/logout", data={"csrf": first.token})

    assert answer.status_code == 403


def test_a_newcomer_sees_nothing_before_the_password_is_changed(app: Flask, person: Callable[[str], Person]) -> None:
    newcomer = person("newcomer")
    for rule in app.url_map.iter_rules():
        if "GET" not in rule.methods or EXPECTED[rule.endpoint] == PUBLIC or rule.endpoint == "account.password":
            continue
        url = rule.rule
        for name, value in FILLED.items():
            url = url.replace(f"<{name}>", value).replace(f"<int:{name}>", value)
        answer = newcomer.client.get(url)
        assert (answer.status_code, answer.headers.get("Location")) in ((302, "/account/password"), (403, None)), url
