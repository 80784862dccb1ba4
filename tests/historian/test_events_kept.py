"""Events through the life of a history: kill -9, retention, backups to an instant, Parquet; nothing lost, nothing twice."""

import random
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from scada.clock import NS
from scada.errors import StorageError
from scada.events import KeptEvent, Stream
from scada.historian import export_events, parquet
from scada.historian.backup import back_up
from scada.historian.database import reading_once
from scada.historian.event_feed import of_device
from scada.historian.event_rows import ALARMS, EVENT_FILE, fact, open_events, remember, store_events, without_number
from scada.historian.events import EventArchive
from scada.historian.exporting import export
from scada.historian.importing import import_export
from scada.historian.inspection import sizes_of
from scada.historian.removal import due, lacking_events, removed
from scada.historian.restoring import restore
from scada.historian.service import open_reader
from scada.settings import RetentionSettings
from tests.historian.teller import BATCH
from tests.historian.test_events import ALL, NOON, event
from tests.historian.test_increments import commit
from tests.historian.test_retention import NOW, Running
from tests.influx import ROOT

DAY = 86_400 * NS


def kept(sequence: int, **other: object) -> KeptEvent:
    return of_device(event(sequence, **other), lambda kind: "high")


def enter(directory: Path, *events: KeptEvent, position: int = 0) -> None:
    with closing(open_events(directory / EVENT_FILE)) as database:
        store_events(database, events)
        remember(database, ALARMS, position)


def held(directory: Path) -> list[KeptEvent]:
    """All of a folder, newest first, without their places."""
    reader = open_reader(directory)
    found = [without_number(one) for one in reader.events.find(ALL).events]
    reader.close()
    return found


def test_every_acknowledged_event_is_there_once_after_kill_9(tmp_path: Path) -> None:
    """Four lives; each begins some events back, as a concentrator does that has not heard the acknowledgement."""
    chance, first, acknowledged = random.Random(20261126), 1, 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.historian.teller", str(tmp_path), str(first)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(chance.randint(5, 60)):
            process.stdout.readline()
        process.kill()
        rest, _ = process.communicate(timeout=60)
        numbers = [int(line) for line in rest.split(b"\n")[:-1]]
        acknowledged = max([acknowledged, first + 5 * BATCH - 1, *numbers])
        first = max(acknowledged - 3 * BATCH + 1, 1)
    found = sorted(one.sequence for one in held(tmp_path / "history"))

    assert acknowledged > 4 * BATCH
    assert len(found) == len(set(found))
    assert set(found) >= set(range(1, acknowledged + 1))


def test_old_events_go_and_the_rest_stays(tmp_path: Path) -> None:
    """Row by row, audited, remembered; by the time that is known to be good."""
    running = Running(tmp_path, RetentionSettings(event_days=30))
    old = [kept(one, at=NOW - 100 * DAY + one) for one in range(4500)]
    late = kept(5000, at=NOW - 900 * DAY, time_good=False, received=NOW - DAY)
    running.reactor.wait(running.historian._events.put([*old, late, kept(5001, at=NOW - DAY)]))
    running.look()
    running.stop()

    assert [one.sequence for one in held(running.directory)] == [5001, 5000]
    assert [(action, target) for action, target, _ in running.audit.rows] == [("historian.retention", EVENT_FILE)]
    assert [(one["kind"], one["size"]) for one in removed(running.directory)] == [("events", 4500)]


def test_by_default_events_are_kept_for_ever(tmp_path: Path) -> None:
    """Nothing goes that nobody asked to go."""
    enter(tmp_path, kept(1, at=1))

    assert list(due(tmp_path, RetentionSettings(), NOW)) == []


def test_an_event_that_a_replica_has_not_confirmed_stays(tmp_path: Path) -> None:
    """The ones before it go."""
    running = Running(tmp_path, RetentionSettings(event_days=30))
    running.reactor.wait(running.historian._events.put([kept(one, at=NOW - 100 * DAY + one) for one in range(3)]))
    numbers = sorted(one.number for one in running.historian.events.find(ALL).events)
    running.historian._retention._events_sent = lambda: numbers[1]
    running.look()
    left = [one.number for one in running.historian.events.find(ALL).events]
    before = NOW // NS - 30 * 86_400
    lacks = [lacking_events(running.directory / EVENT_FILE, before, sent) for sent in (numbers[1], numbers[2])]
    running.stop()

    assert left == numbers[2:]
    assert lacks == [True, False]


@pytest.mark.parametrize(("at", "left", "position"), [(None, [1, 2, 3, 4], 40), (20, [1, 2], 20), (35, [1, 2, 3], 35)])
def test_a_backup_is_restored_to_an_instant(tmp_path: Path, at: int | None, left: list[int], position: int) -> None:
    """By when they were received; the alarms are copied anew from there, and numbers go on above all that were given."""
    source, target = tmp_path / "history", tmp_path / "backup"
    commit(source, [10])
    enter(source, kept(1, received=10), kept(2, received=20), position=20)
    back_up(source, target)
    commit(source, [40])
    enter(source, kept(3, received=30), kept(4, received=40), position=40)
    back_up(source, target)
    newest = max(one.number for one in open_reader(source).events.find(ALL).events)
    restore(target, tmp_path / "again", at)
    with reading_once(tmp_path / "again" / EVENT_FILE) as database:
        assert database is not None
        reached = fact(database, ALARMS)
    enter(tmp_path / "again", kept(9, received=50))
    fresh = open_reader(tmp_path / "again").events.find(ALL).events[0]

    assert sorted(one.sequence for one in held(tmp_path / "again")) == [*left, 9]
    assert reached == position
    assert (fresh.sequence, fresh.number > newest) == (9, True)


def test_they_come_back_from_parquet_equal_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over months and row groups; with all texts and numbers; what is held stays."""
    monkeypatch.setattr(parquet, "ROWS", 4)
    monkeypatch.setattr(export_events, "AT_ONCE", 3)
    source, alarm = tmp_path / "history", KeptEvent(
        Stream.ALARM, "T01/load", "high", "acknowledged", 9, NOON, True, NOON, "medium", 104.5, None, "%", "a; b", "ana",
    )
    commit(source, [1])
    enter(source, alarm, *(kept(one, at=NOON + one * 10 * DAY, channel=one % 2, detail="x" * one) for one in range(9)))
    made = export(source, tmp_path / "export", ["events"])
    again = export(source, tmp_path / "once more", ["events"])
    done = import_export(tmp_path / "two", tmp_path / "export", NOW)
    twice = import_export(tmp_path / "two", tmp_path / "export", NOW)
    some = export(source, tmp_path / "some", ["events"], NOON // NS + 86_400, NOON // NS + 31 * 86_400)

    assert held(tmp_path / "two") == held(source)
    assert len(held(source)) == 10
    assert len(made.files) >= 3
    assert [(one.name, one.sha256) for one in made.files] == [(one.name, one.sha256) for one in again.files]
    assert (done.rows, done.events_new, twice.events_new) == ({"events": 10}, 10, 0)
    assert some.rows("events") == 3


def test_a_damaged_event_is_named_and_not_exported(tmp_path: Path) -> None:
    """The rest is."""
    source = tmp_path / "history"
    commit(source, [1])
    enter(source, kept(1), kept(2))
    with closing(open_events(source / EVENT_FILE)) as database:
        database.execute("UPDATE event SET severity = 'low' WHERE sequence = 2")
    made = export(source, tmp_path / "export", ["events"])

    assert made.rows("events") == 1
    assert [one.partition(",")[0] for one in made.damaged] == [EVENT_FILE]


def test_a_folder_from_before_there_were_events_has_none(tmp_path: Path) -> None:
    """Read, exported, measured: without a file, and without making one."""
    commit(tmp_path / "history", [1])
    found = held(tmp_path / "history")
    made = export(tmp_path / "history", tmp_path / "export")

    assert (found, made.rows("events")) == ([], 0)
    assert sizes_of(tmp_path / "history", ())["events"] == 0
    assert not (tmp_path / "history" / EVENT_FILE).exists()


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    """Not an empty list, which would say that nothing happened."""
    (tmp_path / EVENT_FILE).write_bytes(b"no database" * 500)
    reader = open_reader(tmp_path)
    with pytest.raises(StorageError, match=EVENT_FILE):
        reader.events.find(ALL)
    reader.close()

    assert isinstance(reader.events, EventArchive)
