"""Events are history: durable before whoever said them forgets, kept once, read by device, kind and time, newest first."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from scada.alarms.kinds import priority_of
from scada.bus import TagBus
from scada.clock import NS, SiteClock
from scada.errors import StorageError
from scada.events import DeviceEvent, EventCode, KeptEvent, Stream
from scada.historian import event_rows
from scada.historian import events as events_module
from scada.historian.database import reading_once
from scada.historian.event_rows import ALARMS, EVENT_FILE, fact
from scada.historian.service import Historian, open_reader
from scada.historian.verification import verify
from scada.ports import Alarm, AlarmState, EventsWanted, Priority
from scada.settings import HistorianSettings
from tests.historian.helpers import FIRST_HOUR, PumpedReactor

NOON = FIRST_HOUR * 3600 * NS
ALL = EventsWanted(0, 2**62, size=10_000)


class Field:
    """Delivers events as the driver does."""

    def __init__(self) -> None:
        self.listeners: list[Any] = []

    def on_events(self, listener: Any) -> Any:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def deliver(self, *events: DeviceEvent) -> "Deferred[None]":
        (listener,) = self.listeners
        told: Deferred[None] = listener(events)
        return told


class Journal:
    """An alarm book whose changes are durable when the test says so."""

    def __init__(self) -> None:
        self.durable: list[Alarm] = []
        self.listeners: list[Any] = []
        self.broken = False
        self.answered = 0                           # questions for changes

    def subscribe(self, listener: Any) -> Any:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def tell(self, change: Alarm) -> None:
        for listener in self.listeners:
            listener(change)

    def changes_after(self, changed: int, size: int) -> tuple[Alarm, ...]:
        if self.broken:
            raise StorageError("the journal of alarms cannot be used")
        found = tuple(one for one in self.durable if one.changed > changed)[:size]
        self.answered += 1
        return found


class Running:
    """A historian that follows a field and an alarm book."""

    def __init__(self, directory: Path, journal: Journal | None = None) -> None:
        self.reactor, self.field, self.journal = PumpedReactor(), Field(), journal or Journal()
        clock = SiteClock()
        self.historian = Historian(HistorianSettings(), directory, clock, self.reactor, TagBus(clock, self.reactor))
        self.reactor.wait(self.historian.start())
        self.historian.follow(self.field, self.journal, priority_of)
        self.directory = self.historian.directory

    def deliver(self, *events: DeviceEvent) -> None:
        self.reactor.wait(self.field.deliver(*events))

    def copied(self, upto: int) -> None:
        self.reactor.pump(lambda: self.historian._events.position >= upto)

    def find(self, **wanted: Any) -> tuple[KeptEvent, ...]:
        return self.historian.events.find(EventsWanted(**{"first": 0, "last": 2**62, "size": 10_000} | wanted)).events

    def stop(self) -> None:
        self.reactor.wait(self.historian.stop())
        assert not self.reactor.getDelayedCalls()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    one = Running(tmp_path)
    yield one
    one.stop()


def event(sequence: int, **other: Any) -> DeviceEvent:
    said = {
        "device": "C01-007", "code": EventCode.MAGNET, "raised": True, "at": NOON + sequence * NS, "time_good": True,
        "received": NOON + sequence * NS + 5,
    }
    return DeviceEvent(**{**said, "sequence": sequence, **other})


def change(number: int, **other: Any) -> Alarm:
    said = {
        "id": "T01/load:high", "source": "T01/load", "kind": "high", "priority": Priority.MEDIUM,
        "state": AlarmState.UNACKNOWLEDGED, "raised": NOON, "changed": NOON + number, "value": 104.5, "limit": 100.0,
        "unit": "%",
    }
    return Alarm(**said | other)


def sources(events: tuple[KeptEvent, ...]) -> list[str]:
    return [one.source for one in events]


def test_an_event_is_durable_when_its_listener_has_fired(running: Running) -> None:
    """Another process, which opens the file at that moment, has all of it."""
    running.deliver(event(3, channel=1, detail="a sentence"), event(4, raised=False, time_good=False, at=7))
    other = open_reader(running.directory)
    found = other.events.find(ALL).events
    other.close()

    assert [(one.source, one.device, one.kind, one.state, one.severity) for one in found] == [
        ("C01-007", "C01-007", "magnet", "cleared", "high"), ("C01-007.ch1", "C01-007", "magnet", "raised", "high"),
    ]
    assert [(one.sequence, one.at, one.time_good, one.received, one.moment, one.text) for one in found] == [
        (4, 7, False, NOON + 4 * NS + 5, NOON + 4 * NS + 5, ""),
        (3, NOON + 3 * NS, True, NOON + 3 * NS + 5, NOON + 3 * NS, "a sentence"),
    ]


def test_what_cannot_be_stored_is_not_confirmed_and_comes_again(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's cursor stays where it is; health says why until it is over."""
    def full(*_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(events_module, "store_events", full)
        with pytest.raises(StorageError, match="the store of events"):
            running.deliver(event(1))
    health = next(iter(running.historian.health()))
    nothing = running.find()
    running.deliver(event(1))

    assert not health.ok
    assert nothing == ()
    assert sources(running.find()) == ["C01-007"]
    assert next(iter(running.historian.health())).ok


def test_what_comes_again_is_kept_once(running: Running) -> None:
    """Also within a delivery and after a restart; a wiped concentrator that counts from 1 again says something new."""
    running.deliver(event(1), event(1), event(2))
    running.deliver(event(2, received=NOON + 99 * NS), event(1, at=NOON + 3600 * NS))
    found = running.find()

    assert [(one.sequence, one.at) for one in found] == [(1, NOON + 3600 * NS), (2, NOON + 2 * NS), (1, NOON + NS)]
    assert found[1].received == NOON + 2 * NS + 5


def test_a_flood_that_the_disk_cannot_take_is_refused_not_dropped(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded in memory; the field keeps the rest."""
    monkeypatch.setattr(events_module, "WAITING_MOST", 3)
    first = running.field.deliver(event(1), event(2))
    second = running.field.deliver(event(3), event(4))
    with pytest.raises(StorageError, match="faster than they can be stored"):
        running.reactor.wait(second)
    running.reactor.wait(first)
    running.deliver(event(3), event(4))

    assert len(running.find()) == 4


@pytest.mark.parametrize("many", [0, 20])
def test_they_are_found_by_device_source_kind_stream_and_time_page_by_page(
    running: Running, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """Newest first, each once, however small the pages, however many have one time, and by whichever index."""
    monkeypatch.setattr(event_rows, "MANY", many)
    running.deliver(
        event(1), event(2, code=77), event(3, channel=2), event(4, device="C01-070"), event(5, device="C01-070", channel=0),
    )
    running.deliver(*(event(100 + one, device="C02", at=NOON + 50 * NS, code=EventCode.POWER_DOWN) for one in range(20)))
    running.journal.durable = [
        change(60 * NS), change(61 * NS, source="C01-007.ch2", id="C01-007.ch2:magnet", kind="magnet"),
    ]
    running.journal.tell(running.journal.durable[-1])
    running.copied(NOON + 61 * NS)
    pages, before = [], None
    while True:
        page = running.historian.events.find(EventsWanted(0, 2**62, size=4, before=before))
        pages.append(page.events)
        before = page.older
        if before is None:
            break

    paged = [one for page in pages for one in page]
    assert paged == list(running.find())
    assert len(paged) == len({one.number for one in paged}) == 27
    assert [one.moment for one in paged] == sorted((one.moment for one in paged), reverse=True)
    assert sources(running.find(devices=("C01-007",))) == ["C01-007.ch2", "C01-007.ch2", "C01-007", "C01-007"]
    assert sources(running.find(devices=("T01", "C01-070"))) == ["T01/load", "C01-070.ch0", "C01-070"]
    assert sources(running.find(sources=("C01-007",))) == ["C01-007"] * 2
    assert sources(running.find(kinds=("event_77", "high"))) == ["T01/load", "C01-007"]
    assert sources(running.find(streams=(Stream.ALARM,), kinds=("magnet",))) == ["C01-007.ch2"]
    assert [one.sequence for one in running.find(first=NOON + 2 * NS, last=NOON + 4 * NS)] == [3, 2]
    assert running.find(devices=()) == ()


def test_changes_of_alarms_are_copied_in_order_behind_a_position(tmp_path: Path) -> None:
    """Those too that happened while no historian ran, or whose copy a crash cut off; each once."""
    journal = Journal()
    journal.durable = [change(number) for number in (1, 2)]
    running = Running(tmp_path, journal)
    running.copied(NOON + 2)
    journal.durable += [change(3, state=AlarmState.ACKNOWLEDGED, acknowledged_by="ana", comment="seen", value=float("nan"))]
    running.stop()
    with closing(sqlite3.connect(running.directory / EVENT_FILE)) as database, database:
        database.execute("UPDATE fact SET value = ?", (NOON + 1,))      # as if it had died before the position
    running = Running(tmp_path, journal)
    running.copied(NOON + 3)
    found = running.find()
    running.stop()
    with reading_once(running.directory / EVENT_FILE) as database:
        assert database is not None
        assert fact(database, ALARMS) == NOON + 3

    assert [(one.stream, one.state, one.moment) for one in found] == [
        ("alarm", "acknowledged", NOON + 3), ("alarm", "unacknowledged", NOON + 2), ("alarm", "unacknowledged", NOON + 1),
    ]
    assert (found[0].by, found[0].text, found[0].value, found[0].limit) == ("ana", "seen", None, 100.0)
    assert (found[1].value, found[1].unit, found[1].severity) == (104.5, "%", "medium")


def test_a_change_that_is_told_before_it_is_durable_is_copied_when_it_is(running: Running) -> None:
    """The alarms' disk is slow, and for a while refuses to be read."""
    running.reactor.pump(lambda: running.journal.answered == 1)         # what was there at the start
    running.journal.tell(change(5))
    running.journal.broken = True
    running.reactor.advance(3.0)
    running.journal.broken = False
    running.reactor.pump(lambda: running.journal.answered == 3)
    running.journal.durable = [change(5)]
    running.copied(NOON + 5)

    assert sources(running.find()) == ["T01/load"]


def test_the_real_alarm_book_hands_over_its_journal(tmp_path: Path) -> None:
    """In the order of its changes, what is newer than an instant."""
    from scada.alarms.store import AlarmStore

    store = AlarmStore(tmp_path / "alarms.sqlite")
    store.write([change(1), change(2)])
    store.write([change(3)])
    after = store.after(NOON + 1, 1), store.after(NOON + 1, 10), store.after(NOON + 3, 10)
    store.close()

    assert [[one.changed - NOON for one in some] for some in after] == [[2], [2, 3], []]


def test_a_damaged_row_is_named_and_left_out(running: Running) -> None:
    """A flipped bit in a text, which SQLite does not see."""
    running.deliver(event(1, detail="whole"), event(2, detail="spoilt"))
    with closing(sqlite3.connect(running.directory / EVENT_FILE)) as database, database:
        database.execute("UPDATE event SET text = 'Spoilt' WHERE text = 'spoilt'")
    found = verify(running.directory)

    assert [one.text for one in running.find()] == ["whole"]
    assert found.events == 2
    assert [(one.path.name, one.reason) for one in found.findings] == [
        (EVENT_FILE, "the row does not match its check sum")
    ]


def test_a_spoilt_file_is_set_aside_and_alarms_come_again(tmp_path: Path) -> None:
    """The server starts all the same, says so, and gives numbers above those of the file before."""
    journal = Journal()
    journal.durable = [change(1)]
    running = Running(tmp_path, journal)
    running.deliver(event(1))
    running.copied(NOON + 1)
    before = max(one.number for one in running.find())
    running.stop()
    path = running.directory / EVENT_FILE
    path.write_bytes(b"\xff" * path.stat().st_size)
    for log in running.directory.glob(f"{EVENT_FILE}-*"):
        log.unlink()                                # else SQLite takes all of it from there
    running = Running(tmp_path, journal)
    running.copied(NOON + 1)
    running.deliver(event(2))
    found, health = running.find(), next(iter(running.historian.health()))
    running.stop()

    assert [one.sequence for one in found] == [2, NOON + 1]
    assert min(one.number for one in found) > before
    assert not health.ok
    assert health.text == f"a damaged file of events is kept as {EVENT_FILE}.damaged"


def test_many_events_of_a_bad_clock_have_points_of_their_own(running: Running) -> None:
    """Stores that keep one point a series and time keep them all."""
    running.deliver(*(event(one, at=0, time_good=False, received=NOON) for one in range(30)))
    running.deliver(*(event(one, at=0, time_good=False, received=NOON + 10_000_000) for one in range(30, 40)))
    with reading_once(running.directory / EVENT_FILE) as database:
        assert database is not None
        points = [point for (point,) in database.execute("SELECT point FROM event ORDER BY number")]

    assert points == list(range(NOON // 1_000_000, NOON // 1_000_000 + 40))


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    """An event that cannot be written takes those beside it back."""
    running = Running(tmp_path)
    with pytest.raises(StorageError):
        running.deliver(event(1), event(2**63))
    nothing = running.find()
    running.deliver(event(1))
    running.stop()

    assert nothing == ()
    assert len(running.historian.events.find(ALL).events) == 1
