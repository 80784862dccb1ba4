"""Events reach an InfluxDB as points of their series: what was there before it, what comes; nothing twice, nothing lost."""

from pathlib import Path
from typing import Any

import pytest

from scada.events import KeptEvent, Stream
from scada.historian import left, sender
from scada.historian.event_feed import of_device
from scada.historian.letters import Letters
from scada.historian.lines import event_line, quoted
from scada.historian.spool import EVENTS
from tests.historian.test_events import NOON, event
from tests.historian.test_replica import Site
from tests.influx import Influx


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "IDLE_S", 0.05)
    monkeypatch.setattr(left, "BODY_ROWS", 7)


def put(site: Site, *events: KeptEvent) -> None:
    site.reactor.wait(site.historian._events.put(events))


def kept(sequence: int, **other: Any) -> KeptEvent:
    return of_device(event(sequence, **other), lambda kind: "high")


def points(influx: Influx) -> dict[tuple[str, ...], dict[str, Any]]:
    """(source, kind, state, time [ms]) -> fields that are there."""
    found = {}
    for series in influx.query('SELECT * FROM "event" GROUP BY *'):
        tags = series["tags"]
        for at, *values in series["values"]:
            fields = dict(zip(series["columns"][1:], values, strict=True))
            fields = {name: value for name, value in fields.items() if value is not None}
            found[tags["source"], tags["kind"], tags["state"], at] = tags | fields
    return found


def test_what_was_there_and_what_comes_arrives_once_with_all_that_is_known(influx: Influx, tmp_path: Path) -> None:
    """Over bodies and a restart; sequences, texts with quotes, and both times are fields."""
    site = Site(tmp_path / "data", url="http://127.0.0.1:1")
    put(site, *(kept(one, channel=one % 2) for one in range(20)))
    site.stop()
    (tmp_path / "data" / "spool" / "influx.sqlite").unlink()
    site = Site(tmp_path / "data", url=influx.url)
    site.sent_all()
    before = points(influx)
    text = 'says "a\\b"\n, and = this'
    put(site, kept(50, device="T 1,=x", detail=text, time_good=False, at=7), kept(51, raised=False))
    site.sent_all()
    site.stop()
    site = Site(tmp_path / "data", url=influx.url)
    site.sent_all()
    again = site.health.figures["sent_lines"]
    site.stop()
    after = points(influx)

    assert len(before) == 20
    assert len(after) == 22
    assert again == 0
    ms = (NOON + 50 * 10**9 + 5) // 1_000_000
    assert after["T 1,=x", "magnet", "raised", ms] == {
        "device": "T 1,=x", "source": "T 1,=x", "kind": "magnet", "state": "raised", "stream": "device", "severity": "high",
        "sequence": 50, "at": 7, "received": NOON + 50 * 10**9 + 5, "time_good": False,
        "text": 'says "a\\b" , and = this',
    }
    assert after["C01-007", "magnet", "cleared", (NOON + 51 * 10**9) // 1_000_000]["time_good"] is True


def test_they_wait_while_it_is_away_survive_a_kill_and_come_again_when_asked(influx: Influx, tmp_path: Path) -> None:
    """A destination that is killed has every event in the end; and all of them again after `backfill --again`."""
    site = Site(tmp_path / "data", url=influx.url)
    put(site, *(kept(one) for one in range(10)))
    site.sent_all()
    influx.kill()
    put(site, *(kept(one) for one in range(10, 40)))
    site.reactor.pump(lambda: bool(site.health.figures["failures"]))
    waits = site.health.text
    place = int(site.historian._replicas[0].spool.fact(EVENTS))
    site.stop()
    influx.start()
    site = Site(tmp_path / "data", url=influx.url)
    site.sent_all()
    first = len(points(influx))
    influx.query('DROP MEASUREMENT "event"')
    Letters(tmp_path / "data" / "spool" / "influx.sqlite").refill()
    site.reactor.pump(lambda: len(points(influx)) == 40)
    site.sent_all()
    last = site.historian._replicas[0].last_event
    site.stop()

    assert "does not answer" in waits
    assert first == 40
    assert last - place == 30


def test_a_crash_before_the_place_is_remembered_doubles_nothing(influx: Influx, tmp_path: Path) -> None:
    """What the destination had confirmed already is sent again, and is the same points."""
    site = Site(tmp_path / "data", url=influx.url)
    put(site, *(kept(one, at=NOON) for one in range(20)))
    site.sent_all()
    before = points(influx)
    site.stop()
    spool = site.historian._replicas[0].spool
    spool.open()
    spool.remember(EVENTS, str(int(spool.fact(EVENTS)) - 11))
    spool.close()
    site = Site(tmp_path / "data", url=influx.url)
    site.sent_all()
    again = site.health.figures["sent_lines"]
    site.stop()

    assert len(before) == 20
    assert again == 11
    assert points(influx) == before


def test_events_of_one_instant_stay_apart_there(influx: Influx, tmp_path: Path) -> None:
    """A module without a clock, and the end of a condition in the ms of its beginning."""
    site = Site(tmp_path / "data", url=influx.url)
    put(site, *(kept(one, at=0, time_good=False, received=NOON) for one in range(9)), kept(9, raised=False, at=NOON))
    site.sent_all()
    site.stop()

    assert len(points(influx)) == 10
    assert sorted(one["sequence"] for one in points(influx).values()) == list(range(10))


def test_a_line_says_what_an_alarm_measured() -> None:
    """Whole, as line protocol wants it; what is not known is not there."""
    one = KeptEvent(
        Stream.ALARM, "T01/load", "high", "acknowledged", 9, 9, True, 9, "medium", 104.5, 100.0, "%", "", "ana",
    )
    assert event_line(one, 12) == (
        "event,device=T01,kind=high,severity=medium,source=T01/load,state=acknowledged,stream=alarm "
        'sequence=9i,at=9i,received=9i,time_good=true,value=104.5,limit=100.0,unit="%",by="ana" 12\n'
    )


@pytest.mark.parametrize(("text", "line"), [
    ("plain", '"plain"'), ('a "b"', '"a \\"b\\""'), ("a\\b", '"a\\\\b"'), ("a\r\nb\u2028c\x1cd", '"a b c d"'),
])
def test_a_text_stays_one_line(text: str, line: str) -> None:
    """Whatever somebody typed: a body is cut at the ends of lines."""
    assert quoted(text) == line
    assert len(quoted(text).splitlines()) == 1
