"""The API as a program uses it: bearer token in, JSON out, reasons with every refusal."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from hmi.api.samples import page
from hmi.api.series import outdated
from scada.clock import NS
from scada.historian.queries import Queries
from scada.ports import TagHistory
from scada.series import Instant, Line
from scada.tags import Quality
from tests.hmi.conftest import Person
from tests.hmi.fakes import PASSWORD, World


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def bearer(client: FlaskClient, name: str = "dispatcher") -> dict[str, str]:
    answer = client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 201
    assert "scada_session" not in answer.headers.get("Set-Cookie", "")
    return {"Authorization": f"Bearer {answer.json['token']}"}


def test_without_a_token_the_api_answers_401_in_json(client: FlaskClient) -> None:
    answer = client.get("/api/v1/status")

    assert answer.status_code == 401
    assert set(answer.json) == {"error", "reasons"}


def test_a_log_in_by_form_data_is_refused(client: FlaskClient) -> None:
    """Another site's page can send a form without asking, but not JSON."""
    answer = client.post("/api/v1/session", data={"name": "viewer", "password": PASSWORD})

    assert answer.status_code == 400


def test_a_wrong_password_is_401_and_guessing_is_429(client: FlaskClient) -> None:
    tries = [client.post("/api/v1/session", json={"name": "viewer", "password": "no"}).status_code for _ in range(6)]

    assert tries == [401] * 5 + [429]


def test_a_token_ends_with_its_session(client: FlaskClient) -> None:
    headers = bearer(client)
    assert client.delete("/api/v1/session", headers=headers).status_code == 200
    assert client.get("/api/v1/status", headers=headers).status_code == 401


def test_a_role_that_may_not_is_told_so_in_our_words(client: FlaskClient) -> None:
    """Not in those of the web library, which speak of resources."""
    answer = client.post(
        "/api/v1/dispatch/select", json={"group": "LG-1", "off_for_s": 600}, headers=bearer(client, "viewer")
    )

    assert (answer.status_code, answer.json["error"]) == (403, "Your role does not allow this.")


def test_status_tells_the_parts_and_the_alarms(client: FlaskClient) -> None:
    body = client.get("/api/v1/status", headers=bearer(client)).json

    assert body["ok"] is False
    assert [part["part"] for part in body["parts"]] == ["dmesh", "modbus", "influx:main"]
    assert body["alarms"]["counts"]["high"] == [1, 1]
    assert body["monitor_only"] is False


def test_a_shed_by_the_api_is_audited_as_coming_from_the_command_line(client: FlaskClient, world: World) -> None:
    headers = bearer(client)
    selection = client.post("/api/v1/dispatch/select", json={"group": "LG-ev", "off_for_s": 1800}, headers=headers)
    command = client.post("/api/v1/dispatch/execute", json={"selection": selection.json["id"]}, headers=headers)
    for _ in range(20):
        world.tick()
    seen = client.get(f"/api/v1/dispatch/commands/{command.json['id']}", headers=headers).json

    assert (selection.status_code, command.status_code) == (201, 202)
    assert seen["state"] == "active"
    assert seen["origin"] == "cli"
    assert sum(seen["counts"].values()) == seen["total"] == len(seen["members"])
    restored = client.post("/api/v1/dispatch/restore", json={"command": seen["id"]}, headers=headers)
    assert restored.json["state"] == "closed"


def test_reasons_are_english_for_a_program_and_in_the_page_s_language_for_its_dialogs(
    client: FlaskClient, person: Callable[..., Person]
) -> None:
    """The acknowledge dialog shows what it gets; a program compares it."""
    asked = {"alarm": "nothing", "comment": ""}
    dispatcher = person("dispatcher", "ro")
    page = dispatcher.client.post("/api/v1/alarms", json=asked, headers={"X-CSRF-Token": dispatcher.token})
    program = client.post("/api/v1/alarms", json=asked, headers=bearer(client))

    assert page.json["reasons"] == ["nu există alarma nothing de confirmat"]
    assert program.json["reasons"] == ["there is no alarm nothing to acknowledge"]


def test_a_refused_shed_is_409_with_every_reason(client: FlaskClient) -> None:
    answer = client.post("/api/v1/dispatch/select", json={"group": "LG-lifts", "off_for_s": 5}, headers=bearer(client))

    assert answer.status_code == 409
    assert len(answer.json["reasons"]) == 2


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"group": 1, "off_for_s": 60},
        {"group": "LG-ev", "off_for_s": "60"},
        {"group": "LG-ev", "off_for_s": True},
    ],
)
def test_a_body_that_does_not_fit_is_400_and_says_what_was_expected(client: FlaskClient, body: Any) -> None:
    answer = client.post("/api/v1/dispatch/select", json=body, headers=bearer(client))

    assert answer.status_code == 400
    assert "expected" in answer.json["error"]


def test_a_viewer_may_look_but_not_command(client: FlaskClient) -> None:
    headers = bearer(client, "viewer")

    assert client.get("/api/v1/dispatch/commands", headers=headers).status_code == 200
    assert (
        client.post("/api/v1/dispatch/select", json={"group": "LG-ev", "off_for_s": 60}, headers=headers).status_code == 403
    )


def test_missing_hours_are_null_with_their_quality(client: FlaskClient) -> None:
    body = client.get("/api/v1/points/P-01-003/hourly?hours=48", headers=bearer(client)).json
    pairs = list(zip(body["values"], body["quality"], strict=True))

    assert len(pairs) == 48
    assert {quality for value, quality in pairs if value is None} == {"bad_waiting"}
    assert {quality for value, quality in pairs if value is not None} == {"good", "good_backfill"}


@pytest.mark.parametrize("path", ["points/none/hourly", "balances/none", "dispatch/commands/none", "nothing"])
def test_what_does_not_exist_is_404_in_json(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/api/v1/{path}", headers=bearer(client))

    assert answer.status_code == 404
    assert answer.json["error"]


@pytest.mark.parametrize(
    "path",
    [
        "points/P-01-003/hourly?hours=99999999",
        "points/P-01-003/hourly?hours=x",
        "balances/BG-T01?span=7200",
        "balances/BG-T01?first=-1",
        "tags?size=0",
        "history?minutes=0",
    ],
)
def test_numbers_out_of_bounds_are_400(client: FlaskClient, path: str) -> None:
    assert client.get(f"/api/v1/{path}", headers=bearer(client)).status_code == 400


def test_a_balance_names_its_unit_and_completeness(client: FlaskClient) -> None:
    body = client.get("/api/v1/balances/BG-T01?span=3600", headers=bearer(client)).json

    assert body["unit"] == "kWh"
    assert len(body["start"]) == len(body["completeness"]) == len(body["imbalance"])
    assert min(body["completeness"]) == 0.62


def test_the_last_minutes_have_quality_and_completeness_and_a_gap_is_null(client: FlaskClient) -> None:
    """What a trend is drawn from when nothing but its minutes is said."""
    body = client.get("/api/v1/history?tag=T01-meter/power_active_l1&minutes=60", headers=bearer(client)).json
    series = body["series"][0]
    missing = [quality for value, quality in zip(series["values"], series["quality"], strict=True) if value is None]

    assert body["minutes"] == 60
    assert set(missing) == {"bad_not_connected"}
    assert len(series["values"]) <= 1200
    assert series["samples"] == 3600
    assert series["completeness"] == pytest.approx(1 - 119 / 3600)


def test_a_tag_in_steps_has_quality_and_completeness(client: FlaskClient, world: World) -> None:
    """The fake tag is bad for two minutes of every hour: less complete, and its steps of a minute are null."""
    now = world.services.clock.seconds() // 3600 * 3600
    path = f"/api/v1/history?tag=T01-meter/power_active_l1&first={now - 7200}&last={now}"
    hours = client.get(f"{path}&step=1h&how=max", headers=bearer(client)).json["series"][0]
    minutes = client.get(f"{path}&step=1min", headers=bearer(client)).json["series"][0]

    assert (hours["how"], hours["unit"], hours["at_s"], hours["end_s"]) == ("max", "W", [now - 7200, now - 3600], now)
    assert hours["completeness"] == [pytest.approx(1 - 119 / 3600)] * 2
    assert hours["quality"] == ["good", "good"]
    assert (minutes["how"], len(minutes["values"])) == ("mean", 120)
    assert (minutes["values"][21], minutes["quality"][21], minutes["completeness"][21]) == (None, "bad_not_connected", 0.0)
    assert max(value for value in minutes["values"] if value) <= max(hours["values"])


def test_a_day_of_seconds_is_drawn_in_as_many_points_as_asked_and_gaps_are_null(client: FlaskClient) -> None:
    """86,400 samples in 600 points, one null for each of the 24 gaps at least."""
    path = "/api/v1/history?tag=T01-meter/power_active_l1&minutes=1440&points=600"
    line = client.get(path, headers=bearer(client)).json["series"][0]

    assert len(line["at_s"]) == len(line["values"]) == len(line["quality"]) <= 600
    assert line["at_s"] == sorted(line["at_s"])
    assert line["values"].count(None) >= 23
    assert line["samples"] == 86_400
    assert 0.95 < line["completeness"] < 0.98


def test_a_point_s_hours_in_site_days_are_sums_of_what_is_there(client: FlaskClient) -> None:
    """A year of hours in 366 values or so; in points for drawing as many as asked."""
    path = "/api/v1/points/P-01-003/hourly?hours=8760"
    days = client.get(f"{path}&step=1d", headers=bearer(client)).json
    line = client.get(f"{path}&points=500", headers=bearer(client)).json

    assert (days["unit"], days["how"]) == ("kWh", "sum")
    assert 365 <= len(days["values"]) <= 367
    assert len(days["values"]) == len(days["quality"]) == len(days["completeness"]) == len(days["at_s"])
    assert 0.9 < days["completeness"][100] <= 1.0
    assert len(line["values"]) <= 500
    assert None in line["values"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("step=1x", "step: '1x' is no step"), ("step=1s&size=5001", "size: expected a whole number from 1 to 5000"),
        ("step=1h&points=100", "step or points, not both"), ("step=1h&how=median", "how: expected one of mean"),
        ("points=5", "points: expected a whole number from 6 to 5000"), ("points=9999999", "from 6 to 5000"),
        ("step=1h&first=2000&last=1000", "the range ends before it begins"),
    ],
)
def test_more_than_can_be_drawn_is_refused_by_name(client: FlaskClient, query: str, said: str) -> None:
    answer = client.get(f"/api/v1/history?tag=T01-meter/power_active_l1&{query}", headers=bearer(client))

    assert answer.status_code == 400
    assert said in answer.json["error"]


@pytest.mark.parametrize(
    ("path", "mark", "begin"),
    [
        ("history?tag=T01-meter/power_active_l1&last={last}&first={first}&step=1min&size=37", "next_s", "first"),
        ("points/P-01-003/hourly?first_hour={hour}&hours={hours}&step=2h&size=5", "next_hour", "hour"),
    ],
)
def test_steps_come_a_page_at_a_time_and_are_those_of_the_whole(
    client: FlaskClient, world: World, path: str, mark: str, begin: str
) -> None:
    """However many steps a range has: each page says where the next begins, the last says null."""
    now = world.services.clock.seconds() // 3600 * 3600
    asked = {"first": now - 7000, "last": now, "hour": now // 3600 - 25, "hours": 25}
    end = {"first": now, "hour": now // 3600}

    def got(path: str) -> dict[str, Any]:
        body = client.get(f"/api/v1/{path.format(**asked)}", headers=bearer(client)).json
        return cast(dict[str, Any], body["series"][0] if "series" in body else body)

    whole = got(path.partition("&size")[0])
    values, starts, pages, following = [], [], 0, 0
    while following is not None:
        part = got(path)
        values, starts, pages, following = values + part["values"], starts + part["at_s"], pages + 1, part[mark]
        if following is not None:
            asked |= {begin: following, "hours": end["hour"] - (following if begin == "hour" else 0)}

    assert pages > 2
    assert whole[mark] is None
    assert (starts, values) == (whole["at_s"], whole["values"])


def test_any_range_is_answered_and_only_the_answer_is_bounded(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten years of a tag as a line; hours and balances begin at the oldest and say where the rest begins."""
    asked = []

    def line(_: Queries, name: str, first: int, last: int, points: int, silence: int) -> Line:
        asked.append(((last - first) // NS, points))
        return Line(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8), 0, 0.0)

    monkeypatch.setattr(Queries, "line", line)
    headers, decade = bearer(client), 3650 * 86_400
    client.get(f"/api/v1/history?tag=T01/loading&first=1000000000&last={1_000_000_000 + decade}&points=50", headers=headers)
    hours = client.get("/api/v1/points/P-01-003/hourly?first_hour=300000&hours=87600", headers=headers).json
    path = "/api/v1/balances/BG-T01?first=1000000000&last=1400000000"
    rows, days = (client.get(path + more, headers=headers).json for more in ("", "&span=86400"))

    assert asked == [(decade, 50)]
    assert (len(hours["values"]), hours["hours"], hours["next_hour"]) == (9600, 9600, 309_600)
    assert (rows["next_s"], days["next_s"]) == (1_000_000_000 + 9600 * 3600, None)


def test_only_some_long_ranges_are_read_at_once(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are told to come again, and short ones are answered; whoever is done gives his turn back."""
    again = []

    def line(_: Queries, name: str, first: int, last: int, points: int, silence: int) -> Line:
        if not again:
            again.append(client.get(path, headers=headers))
            again.append(client.get("/api/v1/history?tag=T01/loading&step=1min", headers=headers))
        return Line(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8), 0, 0.0)

    monkeypatch.setattr(Queries, "line", line)
    headers, path = bearer(client), f"/api/v1/history?tag=T01/loading&first=1&last={86_400 * 365}&points=50"
    monkeypatch.setattr("hmi.api.series._long", threading.BoundedSemaphore(1))
    first = client.get(path, headers=headers)

    assert first.status_code == 200
    assert [answer.status_code for answer in again] == [503, 200]
    assert "ask again in a moment" in again[0].json["error"]
    assert client.get(path, headers=headers).status_code == 200


def test_what_is_still_to_come_is_not_missing(client: FlaskClient, world: World) -> None:
    """A range that reaches into the future ends now: of a point with the last hour that is over."""
    now = world.services.clock.seconds()
    asked = f"/api/v1/history?tag=T01-meter/power_active_l1&first={now - 600}&last={now + 6000}&step=1min"
    tag = client.get(asked, headers=bearer(client)).json["series"][0]
    point = client.get(
        f"/api/v1/points/P-01-003/hourly?first_hour={now // 3600 - 10}&hours=30&step=1h", headers=bearer(client)
    ).json

    assert tag["end_s"] == now
    assert (point["hours"], point["end_s"]) == (10, now // 3600 * 3600)


def test_a_line_is_broken_where_a_tag_was_silent_for_longer_than_it_may_be(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bus knows how long that is; of a tag nobody defines nothing is said."""
    asked = []

    def line(_: Queries, name: str, first: int, last: int, points: int, silence: int) -> Line:
        asked.append((name, points, silence))
        return Line(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8), 0, 0.0)

    monkeypatch.setattr(Queries, "line", line)
    client.get("/api/v1/history?tag=T01-meter/power_active_l1&tag=no/tag&points=50", headers=bearer(client))

    assert asked == [("T01-meter/power_active_l1", 50, 5 * NS), ("no/tag", 50, 0)]


def test_many_tags_and_registers_at_an_instant(client: FlaskClient, world: World) -> None:
    """In the order asked, each with its time and quality; a tag nobody keeps is waiting, a point nobody has is 404."""
    at = world.services.clock.seconds() // 3600 * 3600 - 1800 - 60
    asked = f"/api/v1/instant?at={at}&tag=T01-meter/power_active_l1&tag=none&point=P-01-003"
    body = client.get(asked, headers=bearer(client)).json
    missing = client.get("/api/v1/instant?point=none", headers=bearer(client))
    many = client.get("/api/v1/instant?" + "&".join(["tag=a/b"] * 501), headers=bearer(client))

    assert [row["id"] for row in body["tags"]] == ["T01-meter/power_active_l1", "none"]
    assert (body["tags"][0]["unit"], body["tags"][0]["quality"], body["tags"][0]["at_s"]) == ("W", "good", at)
    assert body["tags"][1] == {"id": "none", "unit": "", "value": None, "quality": "bad_waiting", "at_s": None}
    assert (body["tags_completeness"], body["points_completeness"]) == (0.5, 1.0)
    assert body["points"] == [{"id": "P-01-003", "unit": "kWh", "value": 4711.25, "quality": body["points"][0]["quality"],
                               "at_s": at // 3600 * 3600}]
    assert (missing.status_code, many.status_code) == (404, 400)


def test_a_tag_that_had_fallen_silent_is_stale_at_the_instant() -> None:
    """Nobody writes down that nothing comes; what is never stale stays as it was said."""
    said = Instant(np.array([10, 10, 90, 0]), np.ones(4), np.array([0, 0, 0, 32], np.uint8))
    found = outdated(said, 100, np.array([30, 0, 30, 30]))

    assert found.quality.tolist() == [Quality.BAD_STALE, 0, 0, 32]


def test_an_alarm_is_acknowledged_once(client: FlaskClient) -> None:
    headers = bearer(client)
    body = {"alarm": "T01/loading:high", "comment": "seen"}
    first, again = (client.post("/api/v1/alarms", json=body, headers=headers) for _ in range(2))

    assert first.json["state"] == "acknowledged"
    assert again.status_code == 409


def test_a_balance_is_answered_as_it_was_known(client: FlaskClient, world: World) -> None:
    """`as_of` reaches the store; an instant of which nothing is kept is refused, with the first that is."""
    headers, now = bearer(client), world.clock.seconds()
    path = f"/api/v1/balances/BG-T01?first={now - 48 * 3600}&last={now}"
    then, today = (client.get(path + more, headers=headers).json for more in (f"&as_of={now - 86_400}", ""))
    refused = client.get(f"{path}&as_of=1000000000", headers=headers)

    assert max(then["start"]) < now - 86_400 < max(today["start"])
    assert refused.status_code == 400
    assert refused.json["error"].startswith("as_of: how balances were known is kept from ")


def test_hours_as_known_before_they_came_are_missing(client: FlaskClient, world: World) -> None:
    """`as_of` reaches the store for hours and registers; without it today's are answered."""
    headers, now = bearer(client), world.clock.hour()
    path = f"/api/v1/points/P-01-003/hourly?first_hour={now - 20}&hours=10"

    before = client.get(f"{path}&as_of={(now - 15) * 3600}", headers=headers).json["values"]
    assert None not in client.get(path, headers=headers).json["values"][8:]
    assert before[3:] == [None] * 7


def test_the_changes_of_a_point_come_a_page_at_a_time_newest_first(client: FlaskClient, world: World) -> None:
    """Bits by name, counts in the point's unit, and from whom; `since` leaves out what was known by then."""
    headers, first = bearer(client), world.clock.hour() - 1000
    path = f"/api/v1/points/P-01-003/changes?first_hour={first}&hours=48"
    one = client.get(f"{path}&size=10", headers=headers).json
    last = client.get(f"{path}&size=10&page=5", headers=headers).json
    late = client.get(f"{path}&since={(first + 26) * 3600}", headers=headers).json

    assert (one["page"], one["pages"], one["total"], len(one["changes"]), len(last["changes"])) == (1, 5, 49, 10, 9)
    assert one["changes"][0] == {
        "start_s": first * 3600, "interval_s": 3600, "kind": "joined", "at_s": (first + 26) * 3600, "before": [],
        "after": ["clock_invalid"], "link_id": "00000001", "archive_id": 0, "record": 0, "eui": "0000000000000001",
        "channel": 0,
    }
    assert (last["changes"][-1]["before"], last["changes"][-1]["after"]) == (None, 0.5)
    assert late["total"] == 1 + 48 - 24


def test_quarters_of_an_hour_have_a_length_that_is_known(client: FlaskClient) -> None:
    """15 or 30 minutes, from the interval that holds `first`."""
    headers = bearer(client)
    body = client.get("/api/v1/points/P-01-003/profile?interval_s=1800&first=1767225700&count=3", headers=headers).json

    assert (body["interval_s"], body["first_s"], body["values"]) == (1800, 1_767_225_600, [0.125] * 3)
    assert client.get("/api/v1/points/P-01-003/profile?interval_s=1000", headers=headers).status_code == 400


def test_group_sums_come_a_page_at_a_time_with_their_completeness(client: FlaskClient, world: World) -> None:
    """All groups, or those asked for; one that is not there is 404."""
    headers, names = bearer(client), list(world.registry.directory.balance_group)
    body = client.get("/api/v1/groups/sums?hours=3&size=1", headers=headers).json
    asked = client.get(f"/api/v1/groups/sums?hours=3&group={names[-1]}", headers=headers).json

    assert (body["page"], body["pages"], len(body["groups"])) == (1, len(names), 1)
    assert body["groups"][0] == {
        "group": names[0], "unit": "kWh", "members": 4, "sums": [2.5] * 3, "completeness": [0.75] * 3
    }
    assert [one["group"] for one in asked["groups"]] == [names[-1]]
    assert client.get("/api/v1/groups/sums?group=none", headers=headers).status_code == 404


def test_validated_hours_are_answered_only_to_who_asks_for_them(client: FlaskClient, world: World) -> None:
    """The answer says which series it is; another name is refused."""
    headers, now = bearer(client), world.clock.hour()
    path = f"/api/v1/points/P-01-003/hourly?first_hour={now - 2}&hours=2"
    raw, validated = (client.get(path + more, headers=headers).json for more in ("", "&series=validated"))

    assert (raw["series"], raw["values"]) == ("raw", [None, None])
    assert (validated["series"], validated["values"]) == ("validated", [0.5, 0.5])
    assert client.get(f"{path}&series=best", headers=headers).status_code == 400
    assert client.get(f"{path}&series=validated&step=1d", headers=headers).status_code == 400


def test_what_was_entered_of_validated_hours_is_listed_newest_first(client: FlaskClient, world: World) -> None:
    first = world.clock.hour() - 100
    path = f"/api/v1/points/P-01-003/estimates?first_hour={first}&hours=3&size=2"
    body = client.get(path, headers=bearer(client)).json

    assert (body["total"], body["pages"]) == (3, 2)
    assert [(one["hour"] - first, one["value"], one["method"], one["by"]) for one in body["estimates"]] == [
        (2, 0.5, "typical", "anna"), (1, 0.5, "typical", "anna")
    ]


class Kept:
    """Samples, some of them at the same instant."""

    def __init__(self, at: list[int]) -> None:
        self._at = np.array(at, dtype=np.int64)

    def read(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        which = np.flatnonzero((self._at >= first) & (self._at < last))[-limit:]
        return TagHistory(self._at[which], which.astype(np.float64), np.zeros(len(which), np.uint8))

    def at(self, tags: Sequence[str], instant: int, back: int) -> Instant:
        raise NotImplementedError


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(2, 7))
def test_pages_of_samples_leave_nothing_out_and_repeat_nothing(at: list[int], size: int) -> None:
    """Also where more is said at one instant than a page holds."""
    live, before, seen = Kept(sorted(at)), 100, []
    for _ in range(60):
        found, rest = page(live, "T/a", 2, before, size)
        seen += found.values[::-1].tolist()
        if rest is None:
            break
        assert rest < before
        before = rest
    assert seen == [float(n) for n, one in reversed(list(enumerate(sorted(at)))) if one >= 2]


def test_samples_come_a_page_at_a_time(client: FlaskClient, world: World) -> None:
    """With a mark where the next page ends, and none behind the last."""
    headers, tag, now = bearer(client), "T01/loading", world.clock.seconds()
    path, before, pages, total = f"/api/v1/samples?tag={tag}&first={now - 600}&last={now}&size=50", "", 0, 0
    while before is not None:
        body = client.get(path + (f"&before_ns={before}" if before else ""), headers=headers).json
        assert body["at_ns"] == sorted(body["at_ns"], reverse=True)
        total, pages, before = total + len(body["at_ns"]), pages + 1, body["before_ns"]
    assert total == 600
    assert pages == -(-total // 49)
    assert client.get("/api/v1/samples?tag=x", headers=headers).status_code == 400


def test_events_are_found_by_device_group_kind_and_page(client: FlaskClient, world: World) -> None:
    """Newest first; what is wrong in a question is said."""
    headers = bearer(client, "viewer")

    def ask(query: str) -> Any:
        return client.get(f"/api/v1/events?{query}", headers=headers)

    def sources(query: str) -> list[str]:
        answer = ask(query)
        assert answer.status_code == 200, answer.json
        return [one["source"] for one in answer.json["events"]]

    every = ask("size=2").json
    rest = ask(f"size=2&before={every['older']}").json

    assert [one["source"] for one in every["events"] + rest["events"]] == sources("")
    assert sources("") == ["C01-012.ch1", "C02-007", "T01/loading"]
    assert rest["older"] is None
    assert sources("device=P-01-012") == sources("device=C01-012") == ["C01-012.ch1"]
    assert sources("tag=T01/loading") == ["T01/loading"]
    assert sources("group=LG-boilers") == ["C01-012.ch1"]
    assert sources("kind=magnet&kind=high") == ["C02-007", "T01/loading"]
    assert sources("stream=alarm") == ["T01/loading"]
    assert sources(f"last={world.services.clock.seconds() - 3600}") == []
    assert {ask(query).status_code for query in ("device=a&tag=b", "stream=x", "before=x", "first=x", "size=0")} == {400}
    assert ask("group=nobody").status_code == 404
    assert (every["events"][0]["time_good"], every["events"][0]["kind"]) == (False, "event_77")
