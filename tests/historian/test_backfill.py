"""Several destinations at once, and one that is added later: it gets everything that was before it, behind what is live."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scada.bus import TagBus
from scada.clock import NS, SiteClock
from scada.historian import past, sender
from scada.historian.answers import Answer, Verdict
from scada.historian.back_off import BackOff
from scada.historian.backlog import Backlog
from scada.historian.events_left import EventsLeft
from scada.historian.letters import Letters
from scada.historian.past import DONE, Past, needed
from scada.historian.results_left import ResultsLeft
from scada.historian.sender import Sender
from scada.historian.servers import Server
from scada.historian.service import Historian
from scada.historian.slots import SlotBook
from scada.historian.spool import PAST, Spool
from scada.ports import Health
from scada.settings import HistorianSettings, InfluxSettings
from scada.tags import Batch, Device, Quality, TagDef
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.influx import Influx

NOW = FIRST_HOUR * 3600 * NS
HOUR = 3600 * NS
QUICK = BackOff(first=0.02, most=0.1, most_refused=0.1)
DEVICE = Device("T01 meter, L1=a", (TagDef("power"), TagDef("voltage")))
DAY = FIRST_HOUR // 24


class Site:
    """A historian with some destinations; what it writes in the live log is what the bus says."""

    def __init__(self, directory: Path, *servers: Influx) -> None:
        self.directory, self.reactor, self.clock = directory, PumpedReactor(), SiteClock()
        self.bus = TagBus(self.clock, self.reactor)
        self.bus.add_device(DEVICE)
        settings = HistorianSettings(influx=tuple(
            InfluxSettings(name=f"to{number}", url=one.url) for number, one in enumerate(servers)
        ))
        self.historian = Historian(settings, directory, self.clock, self.reactor, self.bus, back_off=QUICK)
        self.reactor.wait(self.historian.start())

    def say(self, at: int, power: float, quality: int = 0) -> None:
        self.bus.publish(Batch(DEVICE.name, np.array([power, 230.0]), np.array([quality, 0], np.uint8), at, at))

    def commit(self, one: Any) -> None:
        self.reactor.wait(self.historian.intervals.commit(one))

    def health(self, number: int) -> Health:
        return list(self.historian.health())[1 + number]

    def settle(self, *numbers: int) -> None:
        """All that was said is in the spools, and out of those of these destinations."""
        self.reactor.advance(1.1)
        for replica in self.historian._replicas:
            tap = replica._tap
            self.reactor.pump(lambda tap=tap: tap._writing is None and not tap._waiting)
        self.reactor.pump(lambda: not self.historian.intervals.health().figures["unmerged"])
        told: list[bool] = []
        self.reactor.callFromThread(told.append, True)          # behind the marks of what was merged
        self.reactor.pump(lambda: bool(told))
        for number in numbers:
            self.reactor.pump(lambda number=number: self.has_all(number))

    def has_all(self, number: int) -> bool:
        text = self.health(number).text
        return text.startswith("up to date") and "back-fill" not in text

    def stop(self) -> None:
        self.reactor.wait(self.historian.stop())


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Influx, Influx]]:
    both = Influx(tmp_path / "influx0"), Influx(tmp_path / "influx1")
    for one in both:
        one.start()
        one.query("CREATE DATABASE scada")
    yield both
    for one in both:
        one.kill()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "IDLE_S", 0.05)


def a_past(site: Site, hours: int = 30) -> None:
    """Two values an hour from the end of a month into the next, one of them bad; and intervals of two days."""
    for hour in range(hours):
        site.say(NOW + (hour - 24) * HOUR, hour + 0.5)
        site.say(NOW + (hour - 24) * HOUR + NS, float("nan"), Quality.BAD_STALE)
    site.commit(block(np.arange(48).reshape(2, 24), record=1))
    site.commit(block(np.arange(48).reshape(2, 24), record=2, first=FIRST_HOUR + 24))


def test_one_destination_is_down_while_the_other_gets_everything(servers: tuple[Influx, Influx], tmp_path: Path) -> None:
    """Two real servers: neither waits for the other, and in the end both have the same as the store."""
    site = Site(tmp_path / "data", *servers)
    servers[0].stop()
    a_past(site)
    site.settle(1)
    down, up = site.health(0), site.health(1)
    taken = servers[1].points("live", "tag"), servers[1].points("mh", "m")
    servers[0].start()
    site.settle(0, 1)
    site.stop()

    assert not down.ok
    assert "does not answer" in down.text
    assert down.figures["waiting_lines"] == 120
    assert (up.ok, up.figures["waiting_lines"], up.figures["waiting_blocks"]) == (True, 0, 0)
    assert [len(one) for one in taken] == [120, 96]
    assert (servers[0].points("live", "tag"), servers[0].points("mh", "m")) == taken


def test_a_destination_added_later_gets_all_that_was_before_it(
    servers: tuple[Influx, Influx], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live values of two months and intervals, equal to what the older one has; its progress ends at 100 %."""
    monkeypatch.setattr(past, "BODY_LINES", 7)
    site = Site(tmp_path / "data", servers[0])
    a_past(site)
    site.settle(0)
    site.stop()
    servers[1].stop()
    site = Site(tmp_path / "data", *servers)
    begun = site.health(1)
    servers[1].start()
    site.say(NOW + 100 * HOUR, 77.0)
    site.settle(0, 1)
    ended = site.health(1)
    site.stop()

    assert (begun.figures["past_percent"], begun.figures["intervals_percent"] < 100.0) == (0.0, True)
    assert "% of the intervals, 0 % of the live values" in begun.text
    assert (ended.figures["past_percent"], ended.figures["intervals_percent"]) == (100.0, 100.0)
    assert servers[1].points("live", "tag") == servers[0].points("live", "tag")
    assert servers[1].points("mh", "m") == servers[0].points("mh", "m")
    assert len(servers[1].points("live", "tag")) == 122


def test_what_a_crash_left_in_the_hot_log_is_part_of_the_past(
    servers: tuple[Influx, Influx], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not rolled into chunks yet: a new destination gets it all the same."""
    site = Site(tmp_path / "data", servers[0])
    site.say(NOW, 5.5)
    site.settle(0)
    monkeypatch.setattr(site.historian._files, "roll", lambda: None)    # as if killed: a stop would roll
    site.stop()
    site = Site(tmp_path / "data", *servers)
    site.settle(0, 1)
    site.stop()

    assert servers[1].points("live", "tag") == servers[0].points("live", "tag") != {}


def test_all_of_it_can_be_asked_for_again(servers: tuple[Influx, Influx], tmp_path: Path) -> None:
    """A destination that lost everything, beside the running server; one from before this was remembered, too."""
    site = Site(tmp_path / "data", servers[0])
    a_past(site)
    site.settle(0)
    site.stop()
    site = Site(tmp_path / "data", servers[0])
    before = servers[0].points("live", "tag"), servers[0].points("mh", "m")
    servers[0].query("DROP DATABASE scada")
    servers[0].query("CREATE DATABASE scada")
    Letters(site.historian._replicas[0].spool.path).refill()
    site.reactor.pump(lambda: site.health(0).figures["sent_lines"] >= 120 + 96)
    site.settle(0)
    site.stop()

    assert (servers[0].points("live", "tag"), servers[0].points("mh", "m")) == before


# ------------------------------------------------------------------------------------------------- without a server
class Door:
    """Takes what it is given, or does not; what it took, in order."""

    server, note = Server("1.8.10"), ""

    def __init__(self) -> None:
        self.took: list[bytes] = []
        self.away_after = 10**9

    def write(self, body: bytes, precision: str) -> Answer:
        if len(self.took) >= self.away_after:
            return Answer(Verdict.RETRY, "away")
        self.took.append(body)
        return Answer(Verdict.STORED)

    def close(self) -> None:
        """Nothing is open."""


def of_store(directory: Path, door: Door) -> tuple[Sender, Spool, Past]:
    spool = Spool(directory / "new.sqlite", 1 << 30)
    spool.open()
    what = Past(directory / "history")
    what.open(spool.fact(PAST))
    backlog = Backlog(directory / "history", SlotBook, spool)
    rest = ResultsLeft(directory / "history"), EventsLeft(directory / "history")
    made = Sender("new", door, spool, backlog, what, *rest, SiteClock(), QUICK)             # type: ignore[arg-type]
    return made, spool, what


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with live values of 30 hours, and bodies of one chunk."""
    monkeypatch.setattr(past, "BODY_LINES", 1)
    site = Site(tmp_path)
    a_past(site)
    site.settle()
    site.stop()
    return tmp_path


def test_what_is_live_never_waits_for_more_than_one_body(store: Path) -> None:
    """While the past is sent, something live comes before every body of it: at most one goes between."""
    door = Door()
    one, spool, what = of_store(store, door)
    live = 0

    def comes() -> None:
        nonlocal live
        live += 1
        spool.put(f"live,tag=now v={live} {live}\n".encode(), 1, live)

    waited = []
    while what.left:
        one._send_next()
        if b"tag=now" not in door.took[-1] and live < 40:       # one of the past has gone: now something live comes
            comes()
            before = len(door.took)
            one._send_next()
            waited.append([b"tag=now" in body for body in door.took[before:]])
    past_bodies = [body for body in door.took if b"tag=now" not in body]
    spool.close()
    what.close()

    assert waited == [[True]] * 40
    assert len(past_bodies) > 40


def test_it_goes_on_where_it_was_after_a_failure_and_a_restart(store: Path) -> None:
    """Whatever was confirmed is not sent again, and nothing is left out: the same bodies as without a break."""
    whole = Door()
    one, spool, what = of_store(store, whole)
    while what.left:
        one._send_next()
    spool.close()
    (store / "new.sqlite").unlink()
    broken, over = [], False
    while not over and len(broken) <= len(whole.took):
        door = Door()
        door.away_after = 3
        one, spool, what = of_store(store, door)
        for _ in range(4):
            one._send_next()
        broken += door.took
        over = spool.fact(PAST) == DONE
        spool.close()
        what.close()

    assert broken == whole.took
    assert len(whole.took) > 20


def test_the_newest_month_comes_first_and_progress_never_falls(store: Path) -> None:
    """People look at yesterday before they look at last year."""
    door = Door()
    one, spool, what = of_store(store, door)
    shares = [what.percent]
    while what.left:
        one._send_next()
        shares.append(what.percent)
    times = [int(body.split()[-1]) for body in door.took]
    spool.close()

    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 100.0)
    month = NOW // 1_000_000
    newer = [time >= month for time in times]
    assert newer == sorted(newer, reverse=True)
    assert 0 < newer.count(True) < len(newer)


def test_a_month_is_needed_until_all_of_it_is_confirmed(store: Path) -> None:
    """In memory and by the place on disk alike: the newest is free first, and in the end nothing is needed."""
    door = Door()
    one, spool, what = of_store(store, door)
    months = sorted((store / "history").glob("live-????-??.sqlite"))
    seen = []
    while what.left:
        by_place = [needed(spool.fact(PAST), month) for month in months]
        seen.append([what.lacks(month) for month in months])

        assert [has or not lacks for has, lacks in zip(by_place, seen[-1], strict=True)] == [True] * len(months)
        one._send_next()
    after = [what.lacks(month) for month in months] + [needed(spool.fact(PAST), month) for month in months]
    spool.close()

    assert len(months) == 2
    assert seen[0] == [True, True]
    assert [True, False] in seen
    assert after == [False] * 4
    assert not needed("", months[0])
    assert needed("begin", months[0])


def test_a_back_fill_ends_though_its_last_block_is_damaged(store: Path) -> None:
    """Also where there is nothing new in it: what nobody can send is not waited for."""
    (month,) = (store / "history").glob("intervals-*.sqlite")
    with closing(sqlite3.connect(month)) as database, database:
        database.execute("UPDATE block SET crc = crc + 1 WHERE day = (SELECT max(day) FROM block)")
    spool = Spool(store / "other.sqlite", 1 << 20)
    spool.open()
    backlog = Backlog(store / "history", SlotBook, spool)
    backlog.open()
    shares, seen = [], []
    while (key := backlog.take()) is not None:
        shares.append(backlog.filling)
        seen.append(found := backlog.lines(key))
        if found:
            backlog.sent(key, found[2])
    ended = backlog.filling, len(backlog), backlog.percent
    backlog.close()
    spool.close()

    assert [one is None for one in seen] == [False, True]
    assert shares == [True, True]
    assert ended == (False, 0, 100.0)


def test_a_destination_from_before_this_was_remembered_is_left_alone(store: Path) -> None:
    """An update must not send years again; a person may ask for it."""
    spool = Spool(store / "new.sqlite", 1 << 20)
    spool.open()
    spool._open().execute("DROP TABLE fact")
    spool.close()
    door = Door()
    one, spool, what = of_store(store, door)
    one._send_next()
    left = what.left
    spool.close()
    Letters(store / "new.sqlite").refill()
    one, spool, what = of_store(store, door)
    asked = what.left
    spool.close()

    assert (left, door.took, asked) == (False, [], True)
