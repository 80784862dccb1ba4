"""The installer's page and the dials: step by step without scripts, once however often it is tapped, by whom it may be."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest
from flask import Flask

from scada.clock import NS
from scada.dial import DialSource, read_dial
from scada.dial_file import reading_of
from scada.site import Directory, Medium, MeterPeriod, ModuleState, Point
from tests.fakes import png
from tests.hmi.conftest import Person
from tests.hmi.fakes import MODULES, PASSWORD, World

EUI = 0x00124B0000000000 + 2000 + MODULES            # heard at C02, and nobody has adopted it
HEX = f"{EUI:016x}"
FIELDS = {"serial": "W-4711", "medium": "water", "constant": "10", "point": "", "dial": "00123.400", "at": "1767261600",
          "photo": "", "key": "tap-1"}


def clear(world: World) -> None:
    """The waiting module loses the meter that the district gives it."""
    site = world.registry.directory.site
    meters = tuple(one for one in site.meters if one.eui != EUI)
    world.registry.directory = Directory(attrs.evolve(site, meters=meters))


@pytest.fixture
def installer(person: Callable[..., Person], world: World) -> Person:
    clear(world)
    return person("installer")


def get(who: Person, path: str, **query: str) -> Any:
    return who.client.get(f"{path}?{urlencode(query)}" if query else path)


def test_an_installer_lands_on_his_page_and_sees_no_other(app: Flask, person: Callable[..., Person]) -> None:
    """No consumption, no alarms, no menu of the control room."""
    who = person("installer")
    token = re.search(r'name="csrf" value="([^"]+)"', get(who, "/account").text)
    assert token is not None
    who.client.post("/logout", data={"csrf": token[1]})
    page = who.client.get("/login").text
    again = re.search(r'name="csrf" value="([^"]+)"', page)
    assert again is not None
    answer = who.client.post("/login", data={"csrf": again[1], "name": "installer", "password": PASSWORD})

    assert answer.location == "/install"
    assert get(who, "/").status_code == 403
    assert get(who, "/meters").status_code == 403
    text = get(who, "/install").text
    assert 'href="/alarms"' not in text
    assert 'class="brand" href="/install"' in text


def test_a_wrong_number_is_told_and_stays_in_the_field(installer: Person) -> None:
    """Which place, and what it might be."""
    answer = get(installer, "/install", eui="00124BO0000003E9")

    assert answer.status_code == 400
    assert "&#39;O&#39; at place 7 is no hexadecimal digit (0-9, A-F); perhaps 0" in answer.text
    assert 'value="00124BO0000003E9"' in answer.text


def test_a_number_as_the_label_groups_it_leads_to_the_module(installer: Person) -> None:
    grouped = "-".join(HEX[n:n + 2] for n in range(0, 16, 2)).upper()
    answer = get(installer, "/install", eui=grouped)

    assert answer.location == f"/install/{HEX}"
    text = get(installer, f"/install/{HEX}").text
    assert "C02-024" in text
    assert "Heard by" in text
    assert "Begin the installation" in text


def test_a_module_nobody_knows_is_looked_for(installer: Person) -> None:
    """The page does not end there: radio takes its minutes."""
    text = get(installer, "/install/00000000deadbeef").text

    assert "No concentrator has heard this module" in text
    assert "data-install=" in text


def test_the_whole_way_without_scripts(installer: Person, world: World) -> None:
    """Begin, meter, dial, photo, confirm; what was said is carried from step to step; afterwards it is in the list."""
    client, base = installer.client, f"/install/{HEX}/0"
    client.post(f"/install/{HEX}/begin", data={"csrf": installer.token})
    first = get(installer, base).text
    key = re.search(r'name="key" value="([0-9a-f]{32})"', first)
    assert key is not None
    said = {"key": key[1], "serial": "W-4711", "medium": "water", "constant": "10", "point": ""}
    dial = get(installer, base, step="dial", **said).text
    photo = get(installer, base, step="photo", dial="00123,400", **said).text
    at = re.search(r'name="at" value="(\d+)"', photo)
    assert at is not None
    sent = client.post(f"{base}/photo", content_type="multipart/form-data", data={
        "csrf": installer.token, **said, "dial": "00123,400", "at": at[1], "file": (BytesIO(png(9, 9)), "x.exe"),
    })
    confirm = client.get(sent.location).text
    name = re.search(r'name="photo" value="([0-9a-f]{32}\.png)"', confirm)
    assert name is not None
    form = {"csrf": installer.token, **said, "dial": "00123,400", "at": at[1], "photo": name[1]}
    answers = [client.post(base, data=form) for _ in range(2)]
    done = client.get(answers[1].location).text

    assert "in m³" in dial
    assert "00123,400" in confirm
    assert [one.status_code for one in answers] == [302, 302]
    assert "Meter W-4711 is installed at C02-024-0." in done
    assert world.registry.directory.module_of_eui[EUI].state is ModuleState.ACTIVE
    (period,) = [one for one in world.registry.directory.site.meters if one.eui == EUI]
    assert (period.serial, period.pulses_per_unit, period.start_register) == ("W-4711", 10.0, 123.4)
    assert len(world.registry.dials.rows) == 1
    listed = get(installer, "/install").text
    assert "W-4711" in listed
    assert "00123.400" in listed
    picture = client.get(f"/install/photos/{name[1]}")
    assert (picture.mimetype, picture.data) == ("image/png", png(9, 9))
    assert "sandbox" in picture.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("wrong", "step", "said"), [
    ({"serial": ""}, "dial", "serial number is missing"), ({"constant": "x"}, "dial", "Expected a number above 0"),
    ({"constant": "0"}, "confirm", "Expected a number above 0"), ({"dial": "12a"}, "photo", "with the zeros in front"),
    ({"medium": "steam"}, "dial", "Choose one of the media"),
])
def test_a_fault_leads_back_to_its_step_and_is_told_there(
    installer: Person, world: World, wrong: dict[str, str], step: str, said: str
) -> None:
    """Whichever step was asked for; nothing of the rest is lost."""
    text = get(installer, f"/install/{HEX}/0", step=step, **{**FIELDS, **wrong}).text

    assert said in text
    assert 'value="tap-1"' in text
    assert world.registry.dials.rows == []


def test_a_refusal_is_told_on_the_page_and_can_be_put_right(installer: Person, world: World) -> None:
    """Two modules cannot have one point's meter."""
    busy = next(one for one in world.registry.directory.site.meters if one.point == "W-01-005")
    form = {"csrf": installer.token, **FIELDS, "point": "W-01-005"}
    answer = installer.client.post(f"/install/{HEX}/0", data=form)

    assert answer.status_code == 409
    assert f"meter {busy.serial} hangs at W-01-005 already" in answer.text
    assert 'value="W-01-005"' in answer.text
    assert world.registry.dials.rows == []


@pytest.mark.parametrize("data", [b"<script>alert(1)</script>", b"GIF89a" + bytes(50)])
def test_what_is_no_photo_is_refused_by_its_bytes(installer: Person, world: World, data: bytes) -> None:
    form = {"csrf": installer.token, **FIELDS, "file": (BytesIO(data), "meter.jpg")}
    answer = installer.client.post(f"/install/{HEX}/0/photo", data=form, content_type="multipart/form-data")

    assert "step=photo" in answer.location
    assert "expected a JPEG, PNG or WebP picture" in installer.client.get(answer.location).text
    assert world.services.dials.photos == {}        # type: ignore[attr-defined]


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("installer", 404), ("dispatcher", 404)])
def test_photos_are_shown_to_those_who_may(person: Callable[..., Person], role: str, status: int) -> None:
    """And nothing but photos: a path is no name."""
    assert person(role).client.get("/install/photos/..%2Fregistry.sqlite").status_code in (status, 404)
    assert person(role).client.get("/install/photos/x.jpg").status_code == status


def test_a_planned_meter_is_offered_as_planned(person: Callable[..., Person]) -> None:
    """Serial, constant and point of the plan stand in the form; the point cannot be changed there."""
    text = get(person("installer"), f"/install/{HEX}/0").text

    assert 'value="E200024"' in text
    assert re.search(r'name="point" value="P-02-024"[^>]*readonly', text)


def test_the_camera_is_let_in_on_this_page_alone(installer: Person) -> None:
    assert "camera=(self)" in get(installer, "/install").headers["Permissions-Policy"]
    assert "camera=()" in get(installer, "/account").headers["Permissions-Policy"]


# ------------------------------------------------------------------------------------------------------- API
@pytest.fixture
def api(app: Flask, world: World) -> Callable[..., Any]:
    clear(world)
    tokens: dict[str, str] = {}

    def ask(method: str, path: str, who: str = "installer", **options: Any) -> Any:
        client = app.test_client()
        if who not in tokens:
            tokens[who] = client.post("/api/v1/session", json={"name": who, "password": PASSWORD}).json["token"]
        return client.open(f"/api/v1{path}", method=method, headers={"Authorization": f"Bearer {tokens[who]}"}, **options)

    return ask


BODY = {"eui": HEX, "serial": "W-1", "pulses_per_unit": 10, "dial": "00123.4", "medium": "water", "key": "k"}


def test_the_api_installs_once_under_a_key(api: Callable[..., Any], world: World) -> None:
    first, second = api("POST", "/install", json=BODY), api("POST", "/install", json=BODY)
    listed = api("GET", "/install").json["installations"]

    assert (first.status_code, second.status_code) == (201, 200)
    assert (first.json["state"], first.json["again"], second.json["again"]) == ("active", False, True)
    assert [one["dial"] for one in listed] == ["00123.4"]


@pytest.mark.parametrize(("change", "said"), [
    ({"eui": "123"}, "eui: 3 digits: expected 16"), ({"dial": "abc"}, "dial or at: 'abc': expected the dial"),
    ({"dial": True}, "expected the dial as text"), ({"channel": 9}, "channel: expected a whole number from 0 to 7"),
    ({"pulses_per_unit": "x"}, "pulses_per_unit: expected a number"),
    ({"at": "yesterday"}, "expected a time with its zone"),
    ({"key": None}, "key: expected str"),
])
def test_the_api_says_what_was_expected(api: Callable[..., Any], change: dict[str, Any], said: str) -> None:
    answer = api("POST", "/install", json={**BODY, **change})

    assert answer.status_code == 400
    assert said in answer.json["error"]


def test_a_module_that_nobody_hears_has_no_parent_and_no_level(
    installer: Person, api: Callable[..., Any], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its concentrator lists it with 0 for both; a fitter must not read that it is heard directly."""
    before = api("GET", f"/install/{HEX}").json
    views = tuple(
        attrs.evolve(view, nodes=tuple(
            attrs.evolve(one, parent=0, level=0) if one.eui == EUI else one for one in view.nodes
        )) for view in world.mesh.views()
    )
    monkeypatch.setattr(world.mesh, "views", lambda: views)
    after, page = api("GET", f"/install/{HEX}").json, get(installer, f"/install/{HEX}").text

    assert (bool(before["parent"]), before["level"]) == (True, 3)
    assert (after["parent"], after["level"]) == ("", None)
    assert '<span data-field="parent">–</span>' in page
    assert 'data-field="level">–</dd>' in page


def test_the_api_shows_a_module_live(api: Callable[..., Any], world: World) -> None:
    """Who hears it and how, and the pulses of its channels; asking twice asks once."""
    seen = api("GET", f"/install/{HEX}").json
    begun = api("POST", f"/install/{HEX}/begin").json
    asked = [api("POST", f"/install/{HEX}/ask").json["asking"] for _ in range(2)]

    assert (seen["state"], begun["state"]) == ("discovered", "commissioning")
    assert seen["heard_by"][0]["concentrator"] == "C02"
    assert seen["channels"][0]["counted_24h"] == 2400
    assert asked[0] == asked[1] != ""


def test_dials_are_entered_and_compared_over_the_api(api: Callable[..., Any], world: World) -> None:
    """By an engineer; two readings, the second of which is far off."""
    now = world.clock.seconds()
    hour = now // 3600 * 3600
    rows = [
        {"point": "P-01-001", "dial": "01000.0", "at": iso(hour - 36_000)},
        {"point": "P-01-001", "dial": "01006.0", "at": iso(hour - 7200)},
    ]
    made = api("POST", "/dials", "engineer", json={"readings": rows})
    again = api("POST", "/dials", "engineer", json={"readings": rows})
    clash = api("POST", "/dials", "engineer", json={"readings": [{**rows[1], "dial": "01001.0"}]})
    failed = api("GET", "/dials?which=failed", "viewer").json
    one = api("GET", "/dials/P-01-001", "viewer").json

    assert (made.json, again.json) == ({"new": 2, "known": 0}, {"new": 0, "known": 2})
    assert clash.status_code == 409
    assert api("POST", "/dials", "installer", json={"readings": rows}).status_code == 403
    assert (failed["counts"]["failed"], failed["dials"][0]["point"]) == (1, "P-01-001")
    assert failed["dials"][0]["difference"] == pytest.approx(5.2)
    assert one["now"] == pytest.approx(1001.0)
    assert [reading["dial"] for reading in one["readings"]] == ["01006.0", "01000.0"]


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


# ---------------------------------------------------------------------------------------------------- pages
def test_the_page_of_dials_begins_with_what_does_not_agree(person: Callable[..., Person], world: World) -> None:
    """Read, expected, difference with its sign, and the likely cause in words; in the visitor's language."""
    hour, directory = world.clock.hour(), world.registry.directory
    for back, dial in ((20, "01000.0"), (4, "01071.6")):
        at = (hour - back) * 3600 * NS
        reading = reading_of(directory, "P-01-001", "", at, read_dial(dial), DialSource.WALK_BY, "ana")
        world.registry.dials.put([reading])
    text, romanian = get(person("viewer"), "/dials").text, get(person("viewer", "ro"), "/dials").text

    assert "does not agree <b>1</b>" in text
    assert "1,001.6" in text
    assert "one digit of the reading is likely wrong" in text
    assert "o cifră a citirii este probabil greșită" in romanian


def test_a_reading_is_entered_on_the_page_of_its_dial(person: Callable[..., Person], world: World) -> None:
    """A viewer finds no form; what is wrong is told beside it."""
    who = person("engineer")
    wrong = who.client.post("/dials/P-01-001", data={"csrf": who.token, "dial": "12x", "source": "inspection"})
    right = who.client.post("/dials/P-01-001", data={"csrf": who.token, "dial": "01000,5", "source": "inspection"})
    text = who.client.get(right.location).text

    assert wrong.status_code == 400
    assert 'value="12x"' in wrong.text
    assert "The reading is entered." in text
    assert "01000.5" in text
    assert "Enter a reading" not in get(person("viewer"), "/dials/P-01-001").text
    assert [(one.source, one.by) for one in world.registry.dials.rows] == [(DialSource.INSPECTION, "engineer")]


def test_the_meters_page_shows_the_dial_by_the_count(person: Callable[..., Person], world: World) -> None:
    site = world.registry.directory.site
    period = MeterPeriod("N1", "N", site.modules[0].eui, 3, 1000.0, 480_000, None, 7.0)
    world.registry.directory = Directory(attrs.evolve(
        site, points=(*site.points, Point("N", Medium.ELECTRICITY)), meters=(*site.meters, period)
    ))
    hours = world.clock.hour() - 480_000

    assert f"<b>{7 + hours / 10:,.2f}</b> kWh" in get(person("viewer"), "/meters/N").text
