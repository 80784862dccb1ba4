"""What the operator sees of a destination: each figure that matters is an alarm when it is time, and over in time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmi import labels, titles
from scada.alarms.book import Book
from scada.alarms.watch import Watch
from scada.bus import TagBus
from scada.clock import NS
from scada.historian import sender, tap
from scada.historian.letters import Letters
from scada.historian.recent import Recent
from scada.historian.replica_tags import tags_of
from scada.historian.spool import Spool
from scada.loop import MeasuredSelector
from scada.self_monitor import SelfMonitor
from scada.settings import InfluxSettings
from tests.historian.helpers import FIRST_HOUR, block
from tests.historian.test_replica import Site
from tests.influx import Influx
from tests.ports import free_port

NOW = FIRST_HOUR * 3600 * NS
ALARMS = ("full_percent", "oldest_s", "dropped_in_hour", "dead_lines", "refused")


class Seen:
    """A site with the server's monitor and the alarms' watch, on a bus of their own: what they say is not sent."""

    def __init__(self, directory: Path, **influx: Any) -> None:
        self.site = Site(directory, **influx)
        site = self.site
        health = lambda: list(site.historian.health())      # noqa: E731
        bus = TagBus(site.clock, site.reactor)
        self.monitor = SelfMonitor(bus, health, MeasuredSelector(), site.clock, site.reactor)
        self.monitor.start()
        self.watch, self.book = Watch(bus, site.clock, lambda device: ""), Book()

    def alarms(self) -> set[str]:
        """Points and kinds of the alarms that hold now."""
        self.site.reactor.advance(1.1)
        self.watch.devices_changed()
        self.watch.look(self.book)
        return {
            f"{alarm.source.partition('/')[2]}:{alarm.kind}" for alarm in self.book.active() if self.book.holds(alarm.id)
            if alarm.source.startswith("server.influx:")
        }

    def until(self, wanted: set[str]) -> None:
        self.site.reactor.pump(lambda: self.alarms() == wanted)

    def stop(self) -> None:
        self.monitor.stop()
        self.site.reactor.wait(self.site.historian.stop())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "IDLE_S", 0.05)


def test_each_alarm_has_its_words_in_every_language() -> None:
    """A title for the tag, and a name for what is wrong in the list of alarms."""
    tags = tags_of(InfluxSettings(url="http://127.0.0.1:1"))

    assert {point for point, tag in tags.items() if tag.limits} == set(ALARMS)
    assert set(ALARMS) <= set(labels.POINT)
    assert {tag.title for tag in tags.values()} <= set(titles.TITLES)


def test_what_has_waited_too_long_is_an_alarm_until_it_is_sent(influx: Influx, tmp_path: Path) -> None:
    """And a destination that refuses is another, until a person has put it right; then both are over by themselves."""
    seen = Seen(tmp_path / "data", url=influx.url, database="elsewhere", old_minutes=0.02)
    seen.site.publish(seen.site.clock.now(), 1.0, 2.0)
    seen.until({"refused:high", "oldest_s:high"})
    text = seen.site.health.text
    influx.query("CREATE DATABASE elsewhere")
    seen.until(set())
    seen.stop()

    assert "has no database 'elsewhere'" in text


def test_a_spool_that_fills_is_two_alarms_and_what_it_drops_a_third(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 %, 80 %, and beyond that the oldest goes: said by the hour, so it is no alarm for ever."""
    hour = 3600.0
    seen = Seen(tmp_path / "data", url=f"http://127.0.0.1:{free_port()}", spool_max_mb=1, old_minutes=1e9)
    replica = seen.site.historian._replicas[0]
    rng = np.random.default_rng(1)

    def fill_to(percent: float) -> None:
        while seen.site.health.figures["full_percent"] < percent:
            replica.spool.put(b"x,t=" + rng.bytes(20_000).hex().encode() + b" v=1 1\n", 1, NOW)

    fill_to(51.0)
    half = seen.alarms()
    fill_to(81.0)
    nearly = seen.alarms()
    for _ in range(40):
        replica.spool.put(b"x,t=" + rng.bytes(20_000).hex().encode() + b" v=1 1\n", 1, NOW)
    over, text, ok = seen.alarms(), seen.site.health.text, seen.site.health.ok
    dropped = seen.site.health.figures["dropped_in_hour"]
    monkeypatch.setattr(replica._dropped, "_span_s", -hour)
    later = seen.alarms()
    seen.stop()

    assert half == {"full_percent:high"}
    assert nearly == {"full_percent:high", "full_percent:high_high"}
    assert over == nearly | {"dropped_in_hour:high"}
    assert f"{dropped:.0f} lines were dropped in the last hour" in text
    assert (ok, dropped > 0) == (False, True)
    assert later == nearly


def test_dead_letters_are_an_alarm_until_somebody_has_decided(influx: Influx, tmp_path: Path) -> None:
    """A line that never can be stored: all else arrives, and the alarm stays until it is dropped or tried again."""
    seen = Seen(tmp_path / "data", url=influx.url, old_minutes=1e9)
    replica = seen.site.historian._replicas[0]
    replica.spool.put(b"live,tag=a v= 1767225600123\n", 1, 1)
    seen.site.commit(block([[9]], record=1))
    seen.until({"dead_lines:high"})
    health = seen.site.health
    Letters(replica.spool.path).drop()
    seen.until(set())
    seen.site.pump_until("sent_lines", 1)
    seen.stop()

    assert len(influx.points("mh", "m")) == 1
    assert (health.ok, health.figures["dead_letters"], health.figures["dead_lines"]) == (False, 1, 1)
    assert "dead letters: 1, with 1 lines" in health.text


def test_what_grew_is_recent_for_an_hour_and_not_longer() -> None:
    """Each growth by itself."""
    one = Recent()

    told = ((0.0, 0), (10.0, 5), (20.0, 7), (3610.0, 7), (3610.1, 7), (3620.1, 7))

    assert [one.of(now, total) for now, total in told] == [0, 5, 7, 7, 2, 0]


def test_what_is_older_than_the_spool_may_hold_goes_and_is_counted(tmp_path: Path) -> None:
    """By its own age, and only when something newer comes; 0 keeps everything."""
    kept = {}
    for name, days in (("bounded", 1), ("not", 0)):
        spool = Spool(tmp_path / f"{name}.sqlite", 1 << 20, days * 86_400 * NS)
        spool.open()
        for hour in range(0, 40, 10):
            spool.put(b"a v=1 1\nb v=1 1\n", 2, NOW + hour * 3600 * NS)
        kept[name] = spool.lines, spool.dropped, spool.oldest
        spool.close()

    assert kept == {"bounded": (6, 2, NOW + 10 * 3600 * NS), "not": (8, 0, NOW)}


def test_what_the_tap_lost_counts_as_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost on the way to the spool is lost as well."""
    monkeypatch.setattr(tap, "WAITING_SAMPLES", 3)
    seen = Seen(tmp_path / "data", url=f"http://127.0.0.1:{free_port()}", old_minutes=1e9)
    for second in range(3):
        seen.site.publish(NOW + second * NS, 1.0, 2.0)
    seen.until({"dropped_in_hour:high"})
    seen.stop()
