"""What may go wrong between the historian and a real InfluxDB 1.6: nothing is lost, doubled or out of order afterwards."""

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from scada.clock import HOUR_S, NS
from scada.historian.service import open_reader
from tests.historian.helpers import FIRST_HOUR, block
from tests.historian.test_replica import DEVICE, NOW, Site
from tests.influx import Influx
from tests.proxy import Fault, Proxy
from tests.system.small_disk import Disk, make_disk  # noqa: F401  # a fixture

POWER, VOLTAGE = (f"{DEVICE.name}/{name}" for name in ("power", "voltage"))
MS = NOW // 1_000_000
HOUR_MS = 3_600_000
_numbers = count(1)


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    server = Influx(tmp_path_factory.mktemp("influx"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def database(influx: Influx) -> str:
    """One of its own for every test."""
    name = f"d{next(_numbers)}"
    influx.query(f'CREATE DATABASE "{name}"')
    return name


@pytest.fixture
def proxy(influx: Influx) -> Iterator[Proxy]:
    one = Proxy(influx.port)
    yield one
    one.close()


class Load:
    """What a site says, second by second and hour by hour, and what InfluxDB must hold of it in the end."""

    def __init__(self, site: Site) -> None:
        self.site, self.seconds, self.hours = site, 0, 0

    def say(self, seconds: int = 3) -> None:
        """So many seconds of values, and an hour of forty channels."""
        for second in range(self.seconds, self.seconds + seconds):
            self.site.publish(NOW + second * NS, float(second), 1000.0 + second)
        self.seconds += seconds
        self.hours += 1
        self.site.commit(block(np.full((40, 1), self.hours), record=self.hours, first=FIRST_HOUR + self.hours))
        self.flush()

    def flush(self) -> None:
        """Into the spool."""
        tap = self.site.historian._replicas[0]._tap
        self.site.reactor.advance(1.1)
        self.site.reactor.pump(lambda: tap._writing is None and not tap._waiting)

    def sent(self) -> None:
        """Nothing waits any more."""
        self.flush()
        self.site.reactor.pump(lambda: not self.site.historian.intervals.health().figures["unmerged"])
        self.site.reactor.pump(lambda: not any(map(self.site.health.figures.get, ("waiting_lines", "waiting_blocks"))))

    def check(self, influx: Influx, database: str) -> None:
        """All of it and nothing else, each point once, in its order."""
        for tag, start in ((POWER, 0.0), (VOLTAGE, 1000.0)):
            (series,) = influx.query(f"SELECT v FROM live WHERE \"tag\" = '{tag}'", database)
            assert series["values"] == [[MS + 1000 * second, start + second] for second in range(self.seconds)]
        found = influx.query('SELECT v FROM mh GROUP BY "m"', database)
        assert len(found) == 40
        for one in found:
            assert one["values"] == [[MS + HOUR_MS * hour, hour] for hour in range(1, self.hours + 1)]


# What the server is told, and what the operator reads while it lasts.
REFUSALS = {
    "401": (Fault(status=401), "refuses user or secret (401), put them right"),
    "404": (Fault(status=404), "has no database '{database}' (404), create it"),
    "413 whatever the size": (Fault(status=413), "even a single line is too large for influx (413): put its limit right"),
    "429": (Fault(status=429, headers={"Retry-After": "0.2"}), "answers 429: because the test says so"),
    "500": (Fault(status=500), "answers 500: because the test says so"),
    "503": (Fault(status=503, headers={"Retry-After": "0.05"}), "answers 503: because the test says so"),
    "reset after the body": (Fault(reset_after_body=True), "does not answer: "),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused_waits_visibly_and_is_there_once_afterwards(
    influx: Influx, database: str, proxy: Proxy, tmp_path: Path, name: str
) -> None:
    """A sentence with the reason, how much waits and since when, nothing dropped or dead."""
    fault, sentence = REFUSALS[name]
    site = Site(tmp_path, url=proxy.url, database=database)
    load = Load(site)
    load.say()
    load.sent()
    with proxy.going_wrong(fault):
        load.say()
        site.pump_until("failures", 4)
        load.say()
        site.reactor.pump(lambda: site.health.figures["waiting_lines"] == 12)
        site.pump_until("waiting_blocks", 1)
        seen = site.health
    load.sent()
    well = site.health
    site.stop()

    assert not seen.ok
    assert sentence.format(database=database) in seen.text
    assert seen.figures["waiting_lines"] == 12
    assert seen.figures["waiting_blocks"] == 1
    assert seen.figures["oldest_s"] > 0
    assert (well.ok, well.figures["oldest_s"], well.figures["failures"]) == (True, 0, 0)
    assert "up to date" in well.text
    for figure in ("dropped_lines", "dead_lines", "rotten_bodies"):
        assert seen.figures[figure] == well.figures[figure] == 0
    assert well.figures["sent_lines"] == 3 * (6 + 40)
    load.check(influx, database)


SLOW = {
    "a long way": Fault(delay_s=0.3),
    "a narrow way": Fault(bytes_per_s=1_000),
}


@pytest.mark.parametrize("name", SLOW)
def test_what_is_slow_is_visible_and_no_failure(
    influx: Influx, database: str, proxy: Proxy, tmp_path: Path, name: str
) -> None:
    """What waits and since when is seen while it lasts; nothing is sent twice for it."""
    site = Site(tmp_path, url=proxy.url, database=database)
    load = Load(site)
    with proxy.going_wrong(SLOW[name]):
        load.say()
        site.reactor.pump(lambda: site.health.figures["waiting_blocks"] == 1 and site.health.figures["waiting_lines"] > 0)
        seen = site.health
        load.sent()
    site.stop()

    assert seen.ok
    assert "up to date" not in seen.text
    assert seen.figures["oldest_s"] > 0
    assert sum(len(write.lines) for write in proxy.writes) == 6 + 40
    load.check(influx, database)


def test_a_block_that_is_being_sent_still_waits(database: str, proxy: Proxy, tmp_path: Path) -> None:
    """"Up to date" is said when it has arrived, not when it has left."""
    site = Site(tmp_path, url=proxy.url, database=database)
    with proxy.going_wrong(Fault(delay_s=0.5)):
        site.commit(block([[1]], record=1))
        site.reactor.pump(lambda: proxy.begun == 1)
        seen = site.health
        Load(site).sent()
    site.stop()

    assert seen.figures["waiting_blocks"] == 1
    assert "up to date" not in seen.text


def test_what_waited_goes_out_in_its_order_behind_what_is_live(
    influx: Influx, database: str, proxy: Proxy, tmp_path: Path
) -> None:
    """The oldest first and each body once; what is said meanwhile does not wait behind hours of backlog."""
    site = Site(tmp_path, url=proxy.url, database=database)
    load = Load(site)
    with proxy.going_wrong(Fault(status=503)):
        for _ in range(8):
            load.say(1)
        failures = site.health.figures["failures"]
        site.pump_until("failures", failures + 2)
    with proxy.going_wrong(Fault(delay_s=0.1)):
        site.reactor.pump(lambda: any(write.status == 204 for write in proxy.writes))
        load.say(1)
        load.sent()
    site.stop()

    bodies = [write.lines for write in proxy.writes if write.status == 204 and write.lines[0].startswith("live")]
    seconds = [(int(lines[0].split()[-1]) - MS) // 1000 for lines in bodies]
    assert sorted(seconds) == list(range(9))
    assert [second for second in seconds if second < 8] == list(range(8))
    assert seconds.index(8) < 8
    load.check(influx, database)


def test_influxdb_killed_in_the_middle_of_a_body_has_it_once_in_the_end(
    influx: Influx, database: str, proxy: Proxy, tmp_path: Path
) -> None:
    """kill -9 when half of it has arrived, of live values and of a block."""
    site = Site(tmp_path, url=proxy.url, database=database)
    load = Load(site)
    for _ in range(2):
        with proxy.going_wrong(Fault(half_way=influx.kill)):
            load.say()
            site.pump_until("failures", 2)
            assert "does not answer" in site.health.text
        influx.start()
        load.sent()
    site.stop()

    assert [write.status for write in proxy.writes].count(0) >= 2
    load.check(influx, database)


def test_one_poison_line_among_many_is_found_though_nobody_names_it(
    influx: Influx, database: str, proxy: Proxy, tmp_path: Path
) -> None:
    """A value of another type than the series has: 1.x only counts it. Its dead letter is that line, the rest is stored."""
    site = Site(tmp_path, url=proxy.url, database=database)
    load = Load(site)
    load.say(1)
    load.sent()
    spool = site.historian._replicas[0].spool
    good = [f"live,tag=many v={number}.5 {MS + number}\n" for number in range(1000)]
    poison = f"live,tag=many v=5i {MS + 700}\n"
    spool.put("".join([*good[:700], poison, *good[701:]]).encode(), 1000, 1)
    site.historian._replicas[0]._sender.poke()
    load.sent()
    seen, dead = site.health.figures, spool.dead_letters()
    site.stop()

    (series,) = influx.query("SELECT v FROM live WHERE \"tag\" = 'many'", database)
    assert [line for line, _ in dead] == [poison]
    assert "field type conflict" in dead[0][1]
    assert (seen["dead_lines"], seen["failures"], seen["dropped_lines"]) == (1, 0, 0)
    assert series["values"] == [[MS + number, number + 0.5] for number in range(1000) if number != 700]
    load.check(influx, database)


def test_a_clock_that_jumps_forth_and_back_loses_nothing(
    influx: Influx, database: str, proxy: Proxy, tmp_path: Path
) -> None:
    """A day ahead and two back, with InfluxDB there and away: what it has in the end is what our own store has."""
    site = Site(tmp_path, url=proxy.url, database=database)
    load, jumped = Load(site), 0
    site.clock._real = lambda: time.time_ns() + jumped
    said = {}
    for away in (False, True):
        proxy.fault = Fault(status=503 if away else 0)
        for hours in (0, 24, -24, 1):
            jumped = hours * HOUR_S * NS
            at = site.clock.now() // 1_000_000 * 1_000_000
            site.publish(at, float(len(said)), 1.0)
            said[at] = float(len(said))
            load.flush()
        if away:
            site.pump_until("failures", site.health.figures["failures"] + 1)
            assert site.health.figures["waiting_lines"] == 8
            proxy.fault = Fault()
        load.sent()
    site.stop()

    (series,) = influx.query(f"SELECT v FROM live WHERE \"tag\" = '{POWER}'", database)
    reader = open_reader(tmp_path / "history")
    own = reader.live.read(POWER, 0, 2**62)
    reader.close()
    assert series["values"] == [[at // 1_000_000, value] for at, value in sorted(said.items())]
    assert dict(zip(own.at.tolist(), own.values.tolist(), strict=True)) == said


class Host:
    """InfluxDB as a disk of the system tests sees a server."""

    def __init__(self, influx: Influx) -> None:
        self.server = self
        self.popen = influx._process

    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None


def test_a_full_disk_under_influxdb_is_said_and_nothing_is_lost(
    make_disk: Callable[..., Disk], tmp_path: Path  # noqa: F811
) -> None:
    """500 with its reason; with room, and started again, it takes all that waited."""
    influx = Influx(tmp_path / "influx")
    disk = make_disk(influx.directory, "wal/**/*.wal")
    influx.start()
    influx.query("CREATE DATABASE scada")
    try:
        site = Site(tmp_path / "data", url=influx.url)
        load = Load(site)
        load.say()
        load.sent()
        host = Host(influx)
        disk.fill(host)                             # type: ignore[arg-type]
        for _ in range(60):                         # the last page of its log has a little room still
            load.say(40)
            if site.health.figures["failures"] >= 3:
                break
        seen = site.health
        disk.make_room(host)                        # type: ignore[arg-type]
        influx.kill()                               # 1.6 goes on refusing until it is started again
        influx.start()
        load.say()
        load.sent()
        site.stop()
        assert not seen.ok
        assert "answers 500: " in seen.text
        assert seen.figures["dropped_lines"] == seen.figures["dead_lines"] == 0
        load.check(influx, "scada")
    finally:
        influx.kill()
