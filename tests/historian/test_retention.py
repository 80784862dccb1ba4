"""What is too old goes, and nothing else: not what a replica lacks, a backup copies or a reader needs."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from twisted.internet.defer import Deferred, succeed

from scada.bus import TagBus
from scada.clock import NS, SiteClock
from scada.historian.backlog import Backlog
from scada.historian.database import reading_once, transaction
from scada.historian.holding import held
from scada.historian.removal import due, lacking, lacking_results, removed
from scada.historian.results import RESULT_FILE, open_results, store_many
from scada.historian.retention import EVERY_S, FIRST_S
from scada.historian.service import Historian
from scada.historian.slots import SlotBook
from scada.historian.spool import Spool
from scada.intervals import Mark
from scada.ports import ResultRows, ResultTable
from scada.settings import HistorianSettings, RetentionSettings
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block

DAY_H = 24
NOW = (FIRST_HOUR + 90 * DAY_H) * 3600 * NS
OLD = FIRST_HOUR - 730 * DAY_H          # 2024-01
OLD_MONTH, MONTH = "intervals-2024-01.sqlite", "intervals-2026-01.sqlite"
EVERYTHING = RetentionSettings(live_days=400, interval_days=400, result_days=400, journal_days=1)


class Notes:
    """An audit."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, dict[str, Any]]] = []

    def append(self, _: object, action: str, target: str = "", **detail: Any) -> "Deferred[None]":
        self.rows.append((action, target, detail))
        return succeed(None)


class Running:
    """A historian in the year 2026, whose retention looks when it is told."""

    def __init__(self, directory: Path, settings: RetentionSettings = EVERYTHING) -> None:
        self.trusted = True
        self.reactor, self.audit = PumpedReactor(), Notes()
        clock = SiteClock(real=lambda: NOW, trusted=lambda: self.trusted)
        self.historian = Historian(
            HistorianSettings(retention=settings), directory, clock, self.reactor, TagBus(clock, self.reactor),
            audit=self.audit,
        )
        self.reactor.wait(self.historian.start())
        self.directory = self.historian.directory

    def commit(self, first: int, value: int, record: int) -> None:
        done = self.historian.intervals.merging.records + 1
        self.reactor.wait(self.historian.intervals.commit(block([[value]], first=first, record=record)))
        self.reactor.pump(lambda: self.historian.intervals.merging.records == done)

    def value(self, first: int) -> int:
        return int(self.historian.intervals.read(np.array([0]), first, 1).counts[0, 0])

    def look(self) -> None:
        """The next look, to its end."""
        retention = self.historian._retention
        looked = retention._next
        self.reactor.advance(max(looked.getTime() - self.reactor.seconds(), 0))
        self.reactor.pump(lambda: retention._running is None)

    def stop(self) -> None:
        self.reactor.wait(self.historian.stop())
        assert not self.reactor.getDelayedCalls()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    one = Running(tmp_path)
    yield one
    one.stop()


def old_and_new(running: Running) -> None:
    """An hour of January 2024 and one of January 2026, live files and results of both."""
    running.commit(OLD, 7, 1)
    running.commit(FIRST_HOUR, 8, 2)
    for name in ("live-2024-01.sqlite", "live-2026-01.sqlite"):
        with closing(sqlite3.connect(running.directory / name)) as database:
            database.execute("CREATE TABLE chunk(tag INTEGER)")
    rows = np.array([OLD * 3600 + one for one in range(5000)] + [FIRST_HOUR * 3600])
    for name in "ABC":
        table = ResultTable(rows, {"x": rows.astype(float)})
        running.reactor.wait(running.historian.results.put("balance", name, 1, table))


def test_what_is_too_old_goes_and_the_rest_stays(running: Running) -> None:
    """Months as whole files, results row by row; logged, audited, and remembered for `status`."""
    old_and_new(running)
    running.look()
    names = {path.name for path in running.directory.glob("*.sqlite")}
    kept = [running.historian.results.get("balance", name, 1, 0, 2**40).start.tolist() for name in "ABC"]

    assert {MONTH, "live-2026-01.sqlite", "live-hot.sqlite"} <= names
    assert names.isdisjoint({OLD_MONTH, "live-2024-01.sqlite"})
    assert not list(running.directory.glob(f"{OLD_MONTH}*"))
    assert (running.value(OLD), running.value(FIRST_HOUR)) == (-1, 8)
    assert kept == [[FIRST_HOUR * 3600]] * 3
    assert [(action, target) for action, target, _ in running.audit.rows] == [
        ("historian.retention", name) for name in ("live-2024-01.sqlite", OLD_MONTH, "results.sqlite")
    ]
    assert [one["name"] for one in removed(running.directory)] == [target for _, target, _ in running.audit.rows]


def test_what_results_were_goes_after_its_days(tmp_path: Path) -> None:
    """What was replaced a year ago and more; what it is now stays, and so does what was replaced since."""
    (tmp_path / "history").mkdir()
    rows = ResultRows(("A",), np.zeros(1, np.int64), ResultTable(np.array([OLD * 3600]), {"x": np.ones(1)}))
    with closing(open_results(tmp_path / "history" / "results.sqlite")) as database:
        for days in (500, 400, 100):
            with transaction(database):
                store_many(database, "balance", 3600, rows, NOW - days * DAY_H * 3600 * NS)
    running = Running(tmp_path, RetentionSettings(live_days=0, replaced_days=365))
    running.look()
    with closing(sqlite3.connect(running.directory / "results.sqlite")) as database:
        left = database.execute("SELECT version FROM former").fetchall()
    running.stop()

    assert left == [(2,)]
    assert [(target, detail["kind"], detail["size"]) for _, target, detail in running.audit.rows] == [
        ("results.sqlite", "replaced results", 2)
    ]


def test_by_default_intervals_and_results_are_kept_for_ever(tmp_path: Path) -> None:
    """What is billed is not deleted by somebody who never thought of it."""
    running = Running(tmp_path, RetentionSettings())
    old_and_new(running)
    running.look()
    names = {path.name for path in running.directory.glob("*.sqlite")}
    rows = len(running.historian.results.get("balance", "B", 1, 0, 2**40).start)
    running.stop()

    assert names >= {OLD_MONTH, MONTH, "live-2026-01.sqlite"}
    assert "live-2024-01.sqlite" not in names
    assert rows == 5001


def test_a_late_hour_of_a_month_that_went_begins_a_fresh_file(running: Running) -> None:
    """No block of the old file comes back out of memory, nor is one looked for before the journal forgets."""
    old_and_new(running)
    running.look()
    running.commit(OLD + 24, 8, 3)
    trouble = running.historian.intervals.blocks.readback.check()
    running.commit(OLD + 1, 9, 4)

    assert (running.value(OLD), running.value(OLD + 1)) == (-1, 9)
    assert trouble == ""


def test_nothing_goes_while_a_backup_copies_the_history(running: Running) -> None:
    """The next look, an hour later, does it."""
    old_and_new(running)
    with held(running.directory):
        running.look()
        before = running.value(OLD), removed(running.directory)
    running.look()

    assert before == (7, [])
    assert running.value(OLD) == -1


def test_a_clock_that_nobody_vouches_for_removes_nothing(running: Running) -> None:
    """It may be years ahead."""
    old_and_new(running)
    running.trusted = False
    running.look()
    before = running.value(OLD), removed(running.directory)
    running.trusted = True
    running.look()

    assert before == (7, [])
    assert running.value(OLD) == -1


def test_a_month_that_a_replica_has_not_confirmed_stays(running: Running) -> None:
    """Not even while its last block is on its way."""
    old_and_new(running)
    confirmed: list[bool] = [False]
    running.historian._retention._lacks = [lambda one: not confirmed[0]]
    running.look()
    before = running.value(OLD)
    confirmed[0] = True
    running.look()

    assert (before, running.value(OLD)) == (7, -1)


@pytest.mark.parametrize("kind", ["live", "results"])
def test_what_a_replica_still_needs_stays(running: Running, kind: str) -> None:
    """A month of live values that its back-fill has not come to, and results; of all else the rest goes."""
    old_and_new(running)
    needs = [kind]
    running.historian._retention._lacks = [lambda one: one.kind in needs]

    def there() -> tuple[bool, bool]:
        rows = running.historian.results.get("balance", "A", 1, 0, 2**40).start
        return (running.directory / "live-2024-01.sqlite").exists(), len(rows) > 1

    running.look()
    before = there()
    needs.clear()
    running.look()

    assert before == (kind == "live", kind == "results")
    assert running.value(OLD) == -1
    assert there() == (False, False)


def test_results_are_confirmed_by_the_number_of_their_last_change(tmp_path: Path) -> None:
    """Only those from before the day are asked for; of a file that never was numbered nobody knows."""
    path = tmp_path / RESULT_FILE
    with closing(open_results(path)) as database:
        database.executemany("INSERT INTO result VALUES (1, ?, 1, 1, x'00')", [(5,), (6,), (50,)])
        database.execute("UPDATE result SET version = 2 WHERE start = 5")           # its last change is the fourth
        (newest,) = database.execute("SELECT max(number) FROM change").fetchone()
    said = [lacking_results(path, 10, sent) for sent in (0, newest - 1, newest)]
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE change")

    assert said == [True, True, False]
    assert lacking_results(path, 10, 4)
    assert not lacking_results(tmp_path / "none.sqlite", 10, 0)


def test_what_is_on_its_way_to_a_replica_is_not_confirmed(running: Running) -> None:
    """Taken from the backlog, but not sent; sent, but changed since."""
    running.commit(OLD, 7, 1)
    spool = Spool(running.directory / "spool.sqlite", 1 << 20)
    spool.open()
    backlog = Backlog(running.directory, SlotBook, spool)
    path = running.directory / OLD_MONTH
    backlog.open()
    key = backlog.take()
    assert key is not None
    said = [backlog.lacks(path)]
    backlog.sent(key, 1)
    said.append(backlog.lacks(path))
    running.commit(OLD + 1, 7, 2)
    backlog.changed(Mark(np.array([0]), OLD + 1, 1, 3600))
    said.append(backlog.lacks(path))
    backlog.sent(key, 2)
    said.append(lacking(path, spool.versions))
    backlog.close()
    spool.close()

    assert said == [True, False, True, False]


def test_a_reader_finishes_what_it_reads(running: Running) -> None:
    """A read that began before goes on in its instant; while the log is needed the file stays, later it goes."""
    old_and_new(running)
    path = running.directory / OLD_MONTH
    with reading_once(path) as database:
        assert database is not None
        running.commit(OLD + 1, 9, 3)                       # in the log, which the reader's instant does not have
        running.look()
        there = path.exists()
        (blocks,) = database.execute("SELECT count(*) FROM block").fetchone()
    running.look()

    assert (there, blocks) == (True, 1)
    assert not path.exists()


def test_the_merged_journal_goes_after_its_days(running: Running) -> None:
    """By the time of the file; what is not merged is not in question."""
    running.commit(FIRST_HOUR, 8, 1)
    kept = running.directory / "journal" / "kept"
    kept.mkdir()
    for number, age in ((1, 2 * 86_400), (2, 3600)):
        path = kept / f"{number:012d}.journal"
        path.write_bytes(b"x")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    running.look()

    assert [path.name for path in kept.iterdir()] == ["000000000002.journal"]
    assert running.audit.rows == []
    assert len(list((running.directory / "journal").glob("*.journal"))) == 1


def test_a_month_is_due_when_its_last_second_is_too_old(tmp_path: Path) -> None:
    """Not a day before; December ends with the year."""
    (tmp_path / "live-2024-12.sqlite").touch()
    last = 1_735_689_600                                    # 2025-01-01T00:00Z
    settings = RetentionSettings(live_days=10)

    assert due(tmp_path, settings, (last + 10 * 86_400 - 1) * NS) == []
    assert [(one.name, one.before) for one in due(tmp_path, settings, (last + 10 * 86_400) * NS)] == [
        ("live-2024-12.sqlite", last)
    ]


@pytest.mark.parametrize("fails", ["due", "remember"])
def test_a_failure_is_logged_and_the_next_look_comes(
    running: Running, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """A full disk must not end retention, which would make room."""
    from scada.historian import retention as module

    def full(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    old_and_new(running)
    with monkeypatch.context() as patched:
        patched.setattr(module, fails, full)
        running.look()
    running.look()

    assert running.value(OLD) == -1
    assert not (running.directory / "live-2024-01.sqlite").exists()


def test_it_looks_soon_after_the_start_and_then_every_hour(running: Running) -> None:
    """In real time."""
    times: list[float] = []
    clock: Callable[[], float] = running.reactor.seconds
    for _ in range(2):
        times.append(running.historian._retention._next.getTime() - clock())
        running.look()

    assert times[0] == pytest.approx(FIRST_S, abs=60)
    assert times[1] == pytest.approx(EVERY_S, abs=60)
