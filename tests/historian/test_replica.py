"""The InfluxDB replica against a real InfluxDB 1.6: nothing is lost, whatever the server does."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scada.bus import TagBus
from scada.clock import NS, SiteClock
from scada.historian.back_off import BackOff
from scada.historian.service import Historian
from scada.ports import Health
from scada.settings import HistorianSettings, InfluxSettings
from scada.tags import Batch, Device, Quality, TagDef
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.influx import Influx
from tests.ports import free_port

NOW = FIRST_HOUR * 3600 * NS
QUICK = BackOff(first=0.02, most=0.1, most_refused=0.1)
DEVICE = Device("T01 meter, L1=a", tags=(TagDef("power"), TagDef("voltage"), TagDef("hidden", historise=False)))


class Site:
    """A historian with one replica, its bus and reactor."""

    def __init__(self, directory: Path, **influx: Any) -> None:
        self.reactor, self.clock = PumpedReactor(), SiteClock()
        self.bus = TagBus(self.clock, self.reactor)
        self.bus.add_device(DEVICE)
        settings = HistorianSettings(influx=(InfluxSettings(**influx),))
        self.historian = Historian(settings, directory, self.clock, self.reactor, self.bus, back_off=QUICK)
        self.reactor.wait(self.historian.start())

    def publish(self, at: int, power: float, voltage: float, quality: int = 0) -> None:
        self.bus.publish(Batch(
            DEVICE.name, np.array([power, voltage, 1.0]), np.array([quality, 0, 0], np.uint8), at, at
        ))

    def commit(self, one: Any) -> None:
        self.reactor.wait(self.historian.intervals.commit(one))

    @property
    def health(self) -> Health:
        return list(self.historian.health())[1]

    def pump_until(self, figure: str, value: float) -> None:
        self.reactor.pump(lambda: self.health.figures[figure] >= value)

    def sent_all(self) -> None:
        """Everything of this moment is out: nothing waits in the spool, the store or the tap."""
        self.reactor.advance(1.1)
        tap = self.historian._replicas[0]._tap
        self.reactor.pump(lambda: tap._writing is None and not tap._waiting)
        self.reactor.pump(lambda: not self.historian.intervals.health().figures["unmerged"])
        told: list[bool] = []
        self.reactor.callFromThread(told.append, True)          # behind the marks of what was merged
        self.reactor.pump(lambda: bool(told))
        self.reactor.pump(lambda: self.health.text.startswith("up to date"))

    def stop(self) -> None:
        self.reactor.wait(self.historian.stop())
        assert not self.reactor.getDelayedCalls()


def test_live_values_and_pulses_are_read_back_equal_through_query(influx: Influx, tmp_path: Path) -> None:
    """Values, qualities and times arrive as they were; missing is no point, and what is not historised is not there."""
    site = Site(tmp_path / "data", url=influx.url)
    site.publish(NOW, 0.1 + 0.2, 230.0)
    site.publish(NOW + NS, float("nan"), 1e-300, quality=Quality.BAD_NOT_CONNECTED)
    counts = np.array([[5, -1, 7], [0, 65534, 3_000_000_000]])
    status = np.array([[0, 0, 4], [0, 0, 0]])
    site.commit(block(counts, record=1, status=status, channel=[0, 2]))
    site.pump_until("sent_lines", 3 + 5)
    site.stop()

    live, pulses = influx.points("live", "tag"), influx.points("mh", "m")
    name, ms, hour = DEVICE.name, NOW // 1_000_000, 3_600_000
    assert live == {
        (f"{name}/power", ms): (0.1 + 0.2, None), (f"{name}/voltage", ms): (230.0, None),
        (f"{name}/power", ms + 1000): (None, 34.0), (f"{name}/voltage", ms + 1000): (1e-300, None),
    }
    assert pulses == {
        ("00124b0000000001/0", ms): (5.0, None), ("00124b0000000001/0", ms + 2 * hour): (7.0, 4.0),
        ("00124b0000000002/2", ms): (0.0, None), ("00124b0000000002/2", ms + hour): (65534.0, None),
        ("00124b0000000002/2", ms + 2 * hour): (3e9, None),
    }


def test_with_influxdb_stopped_for_a_while_nothing_is_lost(influx: Influx, tmp_path: Path) -> None:
    """It goes away, the server works on and is even restarted meanwhile; when it is back, everything comes after."""
    site = Site(tmp_path / "data", url=influx.url)
    for second in range(5):
        site.publish(NOW + second * NS, float(second), 1.0)
    site.commit(block([[1, 2]], record=1))
    site.pump_until("sent_lines", 12)
    influx.stop()
    for second in range(5, 10):
        site.publish(NOW + second * NS, float(second), 1.0)
    site.commit(block([[3, 4]], record=2, first=FIRST_HOUR + 2))
    site.pump_until("failures", 2)
    assert "does not answer" in site.health.text
    site.stop()
    site = Site(tmp_path / "data", url=influx.url)
    site.publish(NOW + 10 * NS, 10.0, 1.0)
    site.pump_until("failures", 1)
    influx.start()
    site.pump_until("sent_lines", 10 + 2 + 2)
    site.sent_all()

    assert site.health.figures["sent_lines"] == 10 + 2 + 2      # of the block only the intervals that are new
    assert site.health.ok
    assert site.health.text.startswith("up to date; InfluxDB 1.6.")
    site.stop()
    live, pulses = influx.points("live", "tag"), influx.points("mh", "m")
    assert sorted(v for (tag, _), (v, _) in live.items() if tag.endswith("power")) == [float(n) for n in range(11)]
    assert [v for v, _ in pulses.values()] == [1.0, 2.0, 3.0, 4.0]


def test_influxdb_killed_in_between_has_everything_in_the_end(influx: Influx, tmp_path: Path) -> None:
    """kill -9 of the destination while lines are under way, three times."""
    site = Site(tmp_path / "data", url=influx.url)
    for round_ in range(3):
        for second in range(40):
            site.publish(NOW + (round_ * 40 + second) * NS, float(round_ * 40 + second), 1.0)
        site.commit(block(np.full((200, 24), round_), record=round_ + 1, first=FIRST_HOUR + 24 * round_))
        site.reactor.advance(1.1)
        site.reactor.pump(lambda: site.health.figures["waiting_lines"] > 0 or site.health.figures["sent_lines"] > 0)
        influx.kill()
        influx.start()
    site.pump_until("sent_lines", 3 * (2 * 40 + 200 * 24))     # confirmed ones; what a kill left unconfirmed came again
    site.sent_all()
    site.stop()

    live, pulses = influx.points("live", "tag"), influx.points("mh", "m")
    assert sorted(v for (tag, _), (v, _) in live.items() if tag.endswith("power")) == [float(n) for n in range(120)]
    assert len(pulses) == 3 * 200 * 24


def test_a_wrong_password_is_a_clear_sentence_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401: everything stays until the password is right, the sentence names the destination and never the secret."""
    server = Influx(tmp_path / "influx", auth=True)
    server.start()
    server.query("CREATE USER root WITH PASSWORD 'r00t' WITH ALL PRIVILEGES")
    login = {"user": "root", "password": "r00t"}
    server.query("CREATE DATABASE scada", **login)
    monkeypatch.setenv("SCADA_TEST_INFLUX", "wrong-secret")
    site = Site(tmp_path / "data", url=server.url, user="root", secret_env="SCADA_TEST_INFLUX")
    site.publish(NOW, 1.5, 2.5)
    site.commit(block([[9]], record=1))
    site.pump_until("failures", 3)
    refused = site.health
    assert not refused.ok
    assert f"{server.url} refuses user or secret (401)" in refused.text
    assert "wrong-secret" not in repr(refused)
    monkeypatch.setenv("SCADA_TEST_INFLUX", "r00t")
    site.sent_all()
    site.stop()

    assert sorted(v for v, _ in server.points("live", "tag", **login).values()) == [1.5, 2.5]
    assert [v for v, _ in server.points("mh", "m", **login).values()] == [9.0]
    server.kill()


def test_a_missing_database_is_a_clear_sentence_and_loses_nothing(influx: Influx, tmp_path: Path) -> None:
    """404: nothing is thrown away; when somebody has created it, everything arrives."""
    site = Site(tmp_path / "data", url=influx.url, database="elsewhere")
    site.commit(block([[9]], record=1))
    site.pump_until("failures", 2)
    assert "has no database 'elsewhere'" in site.health.text
    influx.query("CREATE DATABASE elsewhere")
    site.sent_all()
    site.stop()

    assert len(influx.query("SELECT * FROM mh", database="elsewhere")[0]["values"]) == 1


def test_a_full_disk_under_the_spool_does_not_end_the_sender(
    influx: Influx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """InfluxDB is away and the spool cannot be written: said together; with both back everything goes out."""
    site = Site(tmp_path / "data", url=influx.url)
    spool = site.historian._replicas[0].spool

    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    influx.stop()
    with monkeypatch.context() as patched:
        for name in ("put", "done", "mark_sent", "fall_behind"):
            patched.setattr(spool, name, full)
        site.publish(NOW, 1.0, 2.0)
        site.commit(block([[9]], record=1))
        site.pump_until("failures", 3)
        site.reactor.pump(lambda: "the disk is full" in site.health.text)
        assert "does not answer" in site.health.text
        influx.start()                              # it takes the block, but that it did cannot be noted
        site.reactor.pump(lambda: "does not answer" not in site.health.text)
    site.sent_all()
    site.stop()

    assert sorted(v for v, _ in influx.points("live", "tag").values()) == [1.0, 2.0]
    assert [v for v, _ in influx.points("mh", "m").values()] == [9.0]


def test_a_missing_secret_is_a_clear_sentence_not_a_failed_start(tmp_path: Path) -> None:
    """The replica waits for its secret; the historian itself does not."""
    site = Site(tmp_path / "data", url=f"http://127.0.0.1:{free_port()}", user="a", secret_env="SCADA_TEST_NOT_SET")
    site.commit(block([[9]], record=1))
    site.pump_until("failures", 1)

    assert site.health.text == "the environment variable SCADA_TEST_NOT_SET is not set"
    site.stop()


def test_a_point_influxdb_will_never_store_is_set_aside_and_the_others_arrive(influx: Influx, tmp_path: Path) -> None:
    """A point beyond the retention, in one body with good ones: the dead letter says why, and no retry for ever."""
    influx.query("CREATE DATABASE short WITH DURATION 1d")
    site = Site(tmp_path / "data", url=influx.url, database="short")
    now = site.clock.now()
    site.publish(NOW, 1.0, 2.0)
    site.publish(now, 3.0, 4.0)
    site.sent_all()
    dead = site.historian._replicas[0].spool.dead_letters()
    failures = site.health.figures["failures"]
    site.stop()

    assert len(dead) == 1
    assert "points beyond retention policy" in dead[0][1]
    assert failures == 0
    assert sorted(row[2] for row in influx.query("SELECT * FROM live", database="short")[0]["values"]) == [3.0, 4.0]


def test_a_line_influxdb_cannot_read_is_named_in_its_dead_letter(influx: Influx, tmp_path: Path) -> None:
    """The answer names the line; only that one is set aside."""
    site = Site(tmp_path / "data", url=influx.url)
    spool = site.historian._replicas[0].spool
    spool.put(b"live,tag=a v=1 1000\nlive,tag=b v= 1000\nlive,tag=c v=3 1000\n", 3, 1)
    site.publish(NOW, 1.0, 2.0)
    site.sent_all()
    dead = spool.dead_letters()
    site.stop()

    assert [line for line, _ in dead] == ["live,tag=b v= 1000"]
    points = influx.points("live", "tag")
    assert [points.get((tag, 1000)) for tag in "abc"] == [(1.0, None), None, (3.0, None)]
