"""Event cursors: what was acknowledged is on the disk, and a write that failed moved nothing."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred

from scada.drivers.dmesh import messages
from scada.drivers.dmesh.event_cursors import EventCursors
from scada.errors import StartError, StorageError
from scada.events import EventCode
from tests.drivers.dmesh.peers import LINK_ID, Peer, Wire, bench, hello, run_now

ROOT = Path(__file__).parents[3]
KEY = (LINK_ID, 2**63 - 3)


def opened(path: Path | None, run: Any = run_now) -> EventCursors:
    cursors = EventCursors(path, run)
    cursors.open()
    return cursors


def events(*sequences: int) -> messages.Events:
    return messages.Events(
        tuple(messages.Event(one, EventCode.MAGNET, True, 1_767_261_000, True, 1) for one in sequences)
    )


def test_a_cursor_is_there_after_a_kill(tmp_path: Path) -> None:
    """The process dies the moment it is told that the cursor is durable."""
    script = (
        "import os, sys; from pathlib import Path; from tests.drivers.dmesh.test_event_cursors import *\n"
        "opened(Path(sys.argv[1])).commit(KEY, 2**63 - 1).addCallback(lambda _: os.kill(os.getpid(), 9))"
    )
    died = subprocess.run([sys.executable, "-c", script, tmp_path / "c.sqlite"], cwd=ROOT, check=False).returncode

    assert died == -9
    assert opened(tmp_path / "c.sqlite").get(KEY) == 2**63 - 1


def test_cursors_of_many_links_go_in_one_write_and_none_is_told_before_its_own() -> None:
    """While one write is under way the others gather; each fires after the write it was in."""
    writes: list[Deferred[Any]] = []
    told: list[int] = []

    def later(function: Any, *args: Any) -> "Deferred[Any]":
        writes.append(Deferred())
        return writes[-1].addCallback(lambda _: function(*args))

    cursors = opened(None, later)
    for link in range(5):
        cursors.commit((link, 1), link + 10).addCallback(lambda _, link=link: told.append(link))
    assert (len(writes), told, cursors.get((0, 1))) == (1, [], 0)

    writes[0].callback(None)
    assert (len(writes), told, cursors.get((0, 1)), cursors.get((1, 1))) == (2, [0], 10, 0)

    writes[1].callback(None)
    assert (len(writes), told) == (2, [0, 1, 2, 3, 4])


def test_a_cursor_that_could_not_be_written_has_not_moved(tmp_path: Path) -> None:
    """A closed file stands for a broken disk."""
    cursors = opened(tmp_path / "c.sqlite", maybeDeferred)
    cursors.commit(KEY, 5)
    cursors.close()
    failed: list[Any] = []
    cursors.commit(KEY, 6).addErrback(failed.append)

    assert failed[0].check(StorageError)
    assert cursors.get(KEY) == 5
    assert opened(tmp_path / "c.sqlite").get(KEY) == 5


def test_another_versions_file_is_a_clear_sentence(tmp_path: Path) -> None:
    """It is neither read nor overwritten."""
    with sqlite3.connect(tmp_path / "c.sqlite") as database:
        database.execute("PRAGMA user_version = 9")

    with pytest.raises(StartError, match=r"c\.sqlite was written by another version \(tables 9, expected 1\)"):
        opened(tmp_path / "c.sqlite")


def test_events_are_not_told_twice_over_a_restart_and_ready_says_where_to_go_on(tmp_path: Path) -> None:
    """A new process on the same file: READY tells the cursor; a repeated batch is acknowledged, and only news is told."""
    told: list[int] = []
    for sequences in ((1, 2), (1, 2, 3)):
        os.makedirs(tmp_path / str(len(sequences)))
        site = bench(tmp_path / str(len(sequences)), state_file=tmp_path / "dmesh.sqlite")
        site.service.on_events(lambda batch: told.extend(one.sequence for one in batch) or _done())
        wire = Wire(site.service, Peer(hello(newest_event=sequences[-1]))).shake()
        wire.say(events(*sequences))
        site.service.stop()

    assert told == [1, 2, 3]
    assert wire.said(messages.Ready)[0].event_cursor == 2
    assert wire.said(messages.EventAck)[-1].cursor == 3


def test_events_that_could_not_be_stored_move_no_cursor(tmp_path: Path) -> None:
    """The listener's disk is full: no EVENT_ACK, the link closes, and after a restart the same events are asked for."""
    site = bench(tmp_path, state_file=tmp_path / "dmesh.sqlite")
    site.service.on_events(lambda batch: _broken())
    wire = Wire(site.service, Peer(hello(newest_event=4))).shake()
    wire.say(events(3, 4))

    assert wire.said(messages.EventAck) == []
    assert opened(tmp_path / "dmesh.sqlite").get((LINK_ID, 7)) == 0


def test_sequence_numbers_that_went_back_are_forgotten_on_the_disk_too(tmp_path: Path) -> None:
    """A wiped concentrator counts anew under the same archive id; a restart must not bring the old cursor back."""
    site = bench(tmp_path, state_file=tmp_path / "dmesh.sqlite")
    Wire(site.service, Peer(hello(newest_event=50))).shake().say(events(50))
    assert opened(tmp_path / "dmesh.sqlite").get((LINK_ID, 7)) == 50

    wire = Wire(site.service, Peer(hello(newest_event=5))).shake()

    assert wire.said(messages.Ready)[0].event_cursor == 0
    assert opened(tmp_path / "dmesh.sqlite").get((LINK_ID, 7)) == 0


def _done() -> "Deferred[None]":
    done: Deferred[None] = Deferred()
    done.callback(None)
    return done


def _broken() -> "Deferred[None]":
    broken: Deferred[None] = Deferred()
    broken.errback(StorageError("the disk is full"))
    return broken
