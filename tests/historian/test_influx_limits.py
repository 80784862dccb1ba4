"""A limit that an InfluxDB sets itself is put right by a person: until then all waits, and nothing counts as sent."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scada.historian.answers import Verdict, judge
from scada.historian.ceilings import Ceilings, ceilings_of
from scada.historian.removal import Due
from scada.settings import InfluxSettings
from tests.historian.helpers import block
from tests.historian.test_replica import NOW, Site
from tests.influx import Influx

SETTINGS = InfluxSettings(url="http://there:8086")
VALUES, SERIES = "INFLUXDB_DATA_MAX_VALUES_PER_TAG", "INFLUXDB_DATA_MAX_SERIES_PER_DATABASE"


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Influx]:
    """A real 1.6 that takes ten values of a tag; as Debian configures it, it takes 100,000."""
    server = Influx(tmp_path / "influx")
    monkeypatch.setenv(VALUES, "10")
    server.start()
    server.query("CREATE DATABASE scada")
    yield server
    server.kill()


def test_channels_beyond_the_servers_limit_wait_until_somebody_has_lifted_it(
    narrow: Influx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No dead letter, nothing marked as sent, not for retention either; live values go on, and the refusal stays said."""
    site = Site(tmp_path / "data", url=narrow.url)
    replica = site.historian._replicas[0]
    site.commit(block(np.arange(20).reshape(10, 2), record=1))
    site.sent_all()
    before = replica.spool.versions(3600, 0, 10**6).tolist()
    site.commit(block([[20, 21], [22, 23]], record=2, eui=[100, 101]))
    site.pump_until("refused", 1.0)
    refused = site.health
    site.publish(NOW, 1.0, 2.0)
    site.reactor.advance(1.1)
    site.pump_until("sent_lines", 22.0)
    after = site.health.figures
    month = Due("intervals", site.historian.directory / "intervals-2026-01.sqlite", 0, 0)
    has = replica.spool.versions(3600, 0, 10**6).tolist()
    kept = has, replica.spool.dead_letters(), replica.lacks(month), after["waiting_blocks"]
    narrow.stop()
    monkeypatch.delenv(VALUES)
    narrow.start()
    site.sent_all()
    over = site.health.figures["refused"]
    site.stop()

    assert "is at a limit of its own (400): partial write: max-values-per-tag limit exceeded" in refused.text
    assert (refused.ok, after["refused"], over) == (False, 1.0, 0.0)
    assert kept == (before, [], True, 1)
    assert sorted(value for value, _ in narrow.points("mh", "m").values()) == list(range(24))
    assert len(narrow.points("live", "tag")) == 2


def test_who_comes_near_a_limit_is_told_before_it_is_reached(narrow: Influx, tmp_path: Path) -> None:
    """The server is asked what it takes; nine of ten is near, three is not."""
    site = Site(tmp_path / "data", url=narrow.url)
    site.commit(block([[1], [2], [3]], record=1))
    site.sent_all()
    few = site.health
    site.commit(block([[1]] * 6, record=2, eui=np.arange(100, 106)))
    site.sent_all()
    many = site.health
    site.stop()

    assert "max-values-per-tag" not in few.text
    assert "its max-values-per-tag is 10 and there are 9 here (expected 0, no limit, unless its index is tsi1)" in many.text
    assert many.ok


@pytest.mark.parametrize("reason", [
    'partial write: max-values-per-tag limit exceeded (100000/100000): measurement="mh" tag="m" value="x" dropped=256',
    "partial write: max-series-per-database limit exceeded: (1000000) dropped=1",
    "Adding a new database would exceed limit of 5 databases",
])
def test_a_limit_is_no_bad_line(reason: str) -> None:
    """Whatever the status: every line is good, and will be stored when there is room."""
    for status in (400, 422, 500):
        assert judge(status, json.dumps({"error": reason}), {}, SETTINGS).verdict is Verdict.REFUSED


def test_a_tag_that_is_named_like_a_limit_is_none() -> None:
    """A line that cannot be read is repeated in the answer, with whatever stands in it."""
    said = json.dumps({"error": "partial write: unable to parse 'live,tag=max-x limit exceeded v= 1': bad dropped=1"})

    assert judge(400, said, {}, SETTINGS).verdict is Verdict.PARTLY


@pytest.mark.parametrize(("status", "said"), [
    (400, "Client sent an HTTP request to an HTTPS server.\n"),             # Go, at a TLS port
    (400, "<html><head><title>400 Bad Request</title></head></html>"),      # nginx, before it passes anything on
    (422, '{"message": "no route"}'),                                       # a gateway
    (400, '{"error": {"code": 400, "message": "bad request"}}'),            # another
    (400, ""),
])
def test_what_something_else_says_takes_no_line_away(status: int, said: str) -> None:
    """Only InfluxDB knows that it will never store a line."""
    answer = judge(status, said, {"Content-Type": "text/plain"}, SETTINGS)

    assert answer.verdict is Verdict.REFUSED
    assert answer.text.startswith(f"http://there:8086 answers {status}, and not as InfluxDB does (expected its address")


@pytest.mark.parametrize(("said", "headers"), [
    ('{"error": "unable to parse"}', {}),                                   # 1.x, 3, behind a proxy that takes headers away
    ('{"code": "invalid", "message": "unable to parse"}', {}),              # 2.x
    ("unable to parse", {"X-Influxdb-Version": "1.6.7"}),
])
def test_what_influxdb_says_of_a_line_is_believed(said: str, headers: dict[str, str]) -> None:
    """Else a line that it never will store would stop all others."""
    assert judge(400, said, headers, SETTINGS).verdict is Verdict.UNUSABLE


def test_limits_that_nobody_tells_are_none() -> None:
    """A user who may not ask, another version, and what is set to 0."""
    table = {"columns": ["dir", "max-series-per-database", "max-values-per-tag"], "values": [["/x", 20, 0]]}
    told = json.dumps({"results": [{"series": [table]}]})

    assert ceilings_of(200, told) == Ceilings(0, 20)
    assert ceilings_of(403, '{"error": "not authorized"}') == Ceilings()
    assert ceilings_of(200, '{"results": [{"error": "not authorized"}]}') == Ceilings()
    assert ceilings_of(200, "<html>") == Ceilings()
    assert list(Ceilings().near(10**9, 10**9)) == []
    assert [text.split()[1] for text in Ceilings(100, 100).near(70, 20)] == ["max-series-per-database"]
