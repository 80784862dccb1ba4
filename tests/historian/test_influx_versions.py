"""One contract for every version of InfluxDB: 1.6 is real; 2.7 and 3 Core are answers as their documentation gives them.

A real 2.x or 3 takes part when SCADA_TEST_INFLUXDB_URL names one, with SCADA_TEST_INFLUXDB_TOKEN, SCADA_TEST_INFLUXDB_ORG
and SCADA_TEST_INFLUXDB_BUCKET. The report says which servers took part, and that none was named if none was.
"""

import json
import os
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from scada.clock import SiteClock
from scada.historian.answers import Answer, Verdict
from scada.historian.back_off import BackOff
from scada.historian.backlog import Backlog
from scada.historian.events_left import EventsLeft
from scada.historian.influx import InfluxDoor
from scada.historian.past import Past
from scada.historian.results_left import ResultsLeft
from scada.historian.sender import Sender
from scada.historian.slots import SlotBook
from scada.historian.spool import Spool
from scada.settings import InfluxSettings
from tests.influx import Influx

from .recorded import BUCKET, BUCKET_ID, ORG, TOKEN, Recorded, mapping

SECRET = "SCADA_TEST_INFLUX_SECRET"
YOURS = os.environ.get("SCADA_TEST_INFLUXDB_URL", "")
KINDS = ["1.6", "2.7 recorded", "3 Core recorded", *(["yours"] if YOURS else [])]


@attrs.frozen
class Destination:
    settings: InfluxSettings
    login: tuple[str, str]              # a header

    def points(self, measurement: str) -> dict[tuple[str, int], tuple[float | None, float | None]]:
        """(tag value, ms) -> (v, q), through `/query`."""
        text = {"q": f'SELECT * FROM "{measurement}" GROUP BY "m"', "db": self.settings.database, "epoch": "ms"}
        request = urllib.request.Request(f"{self.settings.url}/query", data=urllib.parse.urlencode(text).encode())
        request.add_header(*self.login)
        with urllib.request.urlopen(request, timeout=30) as answer:
            result = json.load(answer)["results"][0]
        assert "error" not in result, result
        found = {}
        for series in result.get("series", []):
            places = {name: place for place, name in enumerate(series["columns"])}
            for row in series["values"]:
                value, quality = (row[places[name]] if name in places else None for name in ("v", "q"))
                found[series["tags"]["m"], row[0]] = (value, quality)
        return found


@pytest.fixture(params=KINDS)
def destination(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> Iterator[Destination]:
    kind = request.param
    means = {"1.6": "1.6, real", "yours": f"{YOURS}, real"}
    record_property("InfluxDB", means.get(kind, f"{kind}, from its documentation"))
    if not YOURS:
        record_property("InfluxDB 2 and 3", "no real server: SCADA_TEST_INFLUXDB_URL is not set")
    if kind == "1.6":
        real = Influx(tmp_path / "influx", auth=True)
        real.start()
        real.query("CREATE USER root WITH PASSWORD 'r00t' WITH ALL PRIVILEGES")
        real.query("CREATE DATABASE scada", user="root", password="r00t")
        monkeypatch.setenv(SECRET, "r00t")
        settings = InfluxSettings(url=real.url, user="root", secret_env=SECRET, dialect="auto")
        yield Destination(settings, ("Authorization", "Basic cm9vdDpyMDB0"))
        real.kill()
    elif kind == "yours":
        token = os.environ["SCADA_TEST_INFLUXDB_TOKEN"]
        monkeypatch.setenv(SECRET, token)
        yield Destination(InfluxSettings(
            url=YOURS, secret_env=SECRET, dialect="auto", organisation=os.environ.get("SCADA_TEST_INFLUXDB_ORG", ""),
            database=os.environ.get("SCADA_TEST_INFLUXDB_BUCKET", BUCKET),
        ), ("Authorization", f"Token {token}"))
    else:
        recorded = Recorded(kind.removesuffix(" recorded"))
        monkeypatch.setenv(SECRET, TOKEN)
        yield Destination(of(recorded, "auto"), ("Authorization", f"Token {TOKEN}"))
        recorded.close()


def of(server: Recorded, dialect: str, **more: Any) -> InfluxSettings:
    return InfluxSettings(url=server.url, dialect=dialect, database=BUCKET, organisation=ORG, secret_env=SECRET, **more)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """A 2.7 that nobody has mapped anything in."""
    monkeypatch.setenv(SECRET, TOKEN)
    server = Recorded("2.7")
    yield server
    server.close()


def write(settings: InfluxSettings, body: str, precision: str = "s") -> tuple[Answer, InfluxDoor]:
    door = InfluxDoor(settings)
    answer = door.write(body.encode(), precision)
    door.close()
    return answer, door


def fresh() -> str:
    """A measurement that nobody else writes."""
    return f"scada_test_{uuid.uuid4().hex[:12]}"


# ------------------------------------------------------------------------------------------------- the contract
def test_it_says_which_version_it_is(destination: Destination) -> None:
    """Asked before the first body, and shown to people by name."""
    _, door = write(destination.settings, f"{fresh()},m=a v=1 1767225600\n")

    assert door.server.major in (1, 2, 3)
    assert str(door.server).startswith(f"InfluxDB {door.server.major}.")


def test_what_is_written_is_read_back_and_twice_is_once(destination: Destination) -> None:
    """Both precisions that are used, a value and a quality alone; `/query` in all versions."""
    name = fresh()
    for _ in range(2):
        assert write(destination.settings, f"{name},m=a v=7,q=4 1767225600\n{name},m=b q=34 1767225600\n")[0] == (
            Answer(Verdict.STORED)
        )
    write(destination.settings, f"{name},m=a v=0.30000000000000004 1767225600123\n", "ms")

    assert destination.points(name) == {
        ("a", 1767225600000): (7.0, 4.0), ("b", 1767225600000): (None, 34.0),
        ("a", 1767225600123): (0.30000000000000004, None),
    }


def test_bad_lines_are_named_and_all_the_others_arrive(destination: Destination, tmp_path: Path) -> None:
    """First, middle and last; whether the server stored the good ones at once or nothing."""
    name = fresh()
    bad = [f"{name},m=bad{n} v= 1767225600000" for n in range(3)]
    good = [f"{name},m=good{n} v={n} 1767225600000" for n in range(4)]
    lines = [bad[0], good[0], good[1], bad[1], good[2], good[3], bad[2]]
    spool = Spool(tmp_path / "spool.sqlite", 1 << 20)
    spool.open()
    spool.put("".join(f"{line}\n" for line in lines).encode(), len(lines), 1)
    door = InfluxDoor(destination.settings)
    past = Past(tmp_path)
    store = Backlog(tmp_path, SlotBook, spool), past, ResultsLeft(tmp_path), EventsLeft(tmp_path)
    Sender("x", door, spool, *store, SiteClock(), BackOff())._send_next()
    dead = [line for line, _ in spool.dead_letters()]
    left = spool.bodies
    door.close()
    spool.close()

    assert (sorted(dead), left) == (bad, 0)
    assert destination.points(name) == {(f"good{n}", 1767225600000): (float(n), None) for n in range(4)}


def test_a_wrong_secret_is_refused_and_never_repeated(destination: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is thrown away for it, and the sentence does not contain it."""
    monkeypatch.setenv(SECRET, "not-the-secret")
    settings = attrs_of(destination.settings, dialect="v1")
    answer, _ = write(settings, f"{fresh()},m=a v=1 1767225600\n")

    assert answer.verdict is Verdict.REFUSED
    assert f"{settings.url} refuses user or secret (401)" in answer.text
    assert "not-the-secret" not in answer.text


def test_a_database_that_is_not_there_keeps_everything(destination: Destination) -> None:
    """1.x and 2.x say so; 3 makes it, so there it is only tried against the recorded one."""
    if destination.settings.url == YOURS:
        _, door = write(destination.settings, f"{fresh()},m=a v=1 1767225600\n")
        if door.server.major == 3:
            return
    answer, door = write(attrs_of(destination.settings, database="elsewhere"), f"{fresh()},m=a v=1 1767225600\n")

    assert answer.verdict is (Verdict.STORED if door.server.major == 3 else Verdict.REFUSED)
    assert door.server.major == 3 or "has no database 'elsewhere' (404)" in answer.text


def attrs_of(settings: InfluxSettings, **changes: Any) -> InfluxSettings:
    return settings.model_copy(update=changes)


# ------------------------------------------------------------------------------------------------- single versions
def test_a_dialect_that_a_version_lacks_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    """/api/v2/write came with 1.8: 1.6 would answer 404, which looks like a missing database."""
    server = Influx(tmp_path / "influx")
    server.start()
    server.query("CREATE DATABASE scada")
    answer, _ = write(InfluxSettings(url=server.url, dialect="v2"), "x,m=a v=1 1\n")
    said = server.query("SHOW MEASUREMENTS")
    server.kill()

    assert answer.verdict is Verdict.REFUSED
    assert answer.text.startswith(f"{server.url} is InfluxDB 1.6.")
    assert answer.text.endswith("takes no /api/v2/write, which came with 1.8 (expected dialect v1)")
    assert said == []


@pytest.mark.parametrize(("kind", "path"), [("2.7", "/api/v2/write"), ("3 Core", "/write")])
def test_auto_speaks_to_each_version_as_it_understands_best(
    kind: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And to one that does not say what it is, not at all."""
    monkeypatch.setenv(SECRET, TOKEN)
    server = Recorded(kind)
    write(of(server, "auto"), "x,m=a v=1 1\n")
    asked = list(server.asked)
    server.close()

    assert f"POST {path}" in asked


def test_auto_sends_nothing_to_a_server_that_does_not_say_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that may not ping 3: a dialect must be named."""
    monkeypatch.setenv(SECRET, "may-not-ping")
    server = Recorded("3 Core")
    answer, _ = write(of(server, "auto"), "x,m=a v=1 1\n")
    asked = list(server.asked)
    server.close()

    assert answer == Answer(
        Verdict.REFUSED, f"{server.url} does not say which version it is (expected dialect v1 or v2 in place of auto)"
    )
    assert asked == ["GET /ping", "GET /health"]


def test_a_server_that_is_starting_is_waited_for_and_asked_again(two: Recorded) -> None:
    """It is no server that does not say what it is: nobody has to put anything right."""
    two.starting = True
    door = InfluxDoor(of(two, "auto"))
    first = door.write(b"x,m=a v=1 1\n", "s")
    two.starting = False
    second = door.write(b"x,m=a v=1 1\n", "s")
    door.close()

    assert (first.verdict, first.text) == (Verdict.RETRY, f"{two.url} answers 503: not ready")
    assert (second.verdict, str(door.server)) == (Verdict.STORED, "InfluxDB 2.7.1")


@pytest.mark.parametrize("dialect", ["v1", "v2"])
def test_a_missing_mapping_is_made_where_the_token_may(two: Recorded, dialect: str) -> None:
    """So that /query finds the bucket, and /write too; once, not with every body."""
    door = InfluxDoor(of(two, dialect))
    answers = [door.write(b"x,m=a v=1 1\n", "s") for _ in range(3)]
    door.close()

    assert answers == [Answer(Verdict.STORED)] * 3
    assert door.note == ""
    assert [(one["database"], one["retention_policy"], one["default"], one["bucketID"]) for one in two.mappings] == [
        (BUCKET, "autogen", True, BUCKET_ID)
    ]
    assert two.asked.count("GET /ping") == 1


def test_a_mapping_that_the_token_may_not_make_is_named_with_the_command(two: Recorded) -> None:
    """With v2 all is written all the same, and only InfluxQL misses it; with v1 nothing is lost while it waits."""
    two.may.discard("write dbrp")
    stored, door = write(of(two, "v2"), "x,m=a v=1 1\n")
    refused, _ = write(of(two, "v1"), "x,m=b v=1 1\n")

    assert stored.verdict is Verdict.STORED
    assert door.note == (
        "InfluxQL cannot read bucket scada: its mapping is missing and the token may not make it (401), "
        f"expected `influx v1 dbrp create --db scada --rp autogen --default --bucket-id {BUCKET_ID}`"
    )
    assert refused == Answer(Verdict.REFUSED, f"{two.url} has no mapping from database 'scada' to a bucket (404)")
    assert [key[2] for key in two.points] == ["a"]


def test_a_token_that_may_only_write_is_told_apart(two: Recorded) -> None:
    """It sees no buckets: nobody knows, and nothing is tried."""
    two.may.clear()
    _, door = write(of(two, "v2"), "x,m=a v=1 1\n")

    assert door.note == "the token may not read bucket scada, so nobody knows whether InfluxQL can (a mapping is needed)"
    assert "POST /api/v2/dbrps" not in two.asked


@pytest.mark.parametrize(("there", "note"), [
    (mapping(virtual=True), ""),
    (mapping(), ""),
    (mapping("1111111111111111"),
     f"InfluxQL reads another bucket under the name scada, expected its mapping to name bucket {BUCKET_ID}"),
    (mapping(default=False), "the mapping of scada is no default, so InfluxQL must name its retention policy"),
])
def test_what_is_mapped_already_is_left_as_it_is(two: Recorded, there: dict[str, Any], note: str) -> None:
    """Somebody's charts depend on it."""
    two.mappings.append(there)
    answer, door = write(of(two, "v2"), "x,m=a v=1 1\n")

    assert answer.verdict is Verdict.STORED
    assert (door.note, two.mappings) == (note, [there])


def test_more_bad_lines_than_3_names_do_not_hide_behind_the_hundredth(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It names a hundred: the others are found because the rest is sent again."""
    monkeypatch.setenv(SECRET, TOKEN)
    server = Recorded("3 Core")
    spool = Spool(tmp_path / "spool.sqlite", 1 << 20)
    spool.open()
    lines = [f"x,m=a{n} v={'' if n % 2 else n} {n}" for n in range(500)]
    spool.put("".join(f"{line}\n" for line in lines).encode(), len(lines), 1)
    door = InfluxDoor(of(server, "v1"))
    store = Backlog(tmp_path, SlotBook, spool), Past(tmp_path), ResultsLeft(tmp_path), EventsLeft(tmp_path)
    sender = Sender("x", door, spool, *store, SiteClock(), BackOff())
    sender._send_next()
    dead = spool.dead_letters()
    door.close()
    spool.close()
    server.close()

    assert sorted(line for line, _ in dead) == sorted(lines[1::2])
    assert len(server.points) == 250


def test_a_limit_of_3_is_something_to_put_right_not_a_reason_to_throw_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixth database: 422, as for lines that cannot be used, and yet every line is good."""
    monkeypatch.setenv(SECRET, TOKEN)
    server = Recorded("3 Core")
    server.databases |= {"a", "b", "c", "d"}
    answer, _ = write(of(server, "v1").model_copy(update={"database": "sixth"}), "x,m=a v=1 1\n")
    server.close()

    assert answer.verdict is Verdict.REFUSED
    assert answer.text.endswith("is at a limit of its own (422): Adding a new database would exceed limit of 5 databases")
