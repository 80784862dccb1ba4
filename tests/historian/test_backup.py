"""A backup beside a writing server holds what was acknowledged before it began; a restore is whole or not at all."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scada.clock import HOUR_S, NS
from scada.errors import StorageError
from scada.historian import backup as module
from scada.historian.backup import back_up
from scada.historian.database import ReadPool
from scada.historian.evidence import keep
from scada.historian.journal import Journal, Position
from scada.historian.livefiles import LiveFiles, LiveHistory
from scada.historian.manifest import MANIFEST, read_manifest
from scada.historian.restoring import restore
from scada.historian.samples import Samples
from scada.historian.segments_held import SegmentsHeld
from scada.historian.store import EmbeddedIntervals
from tests.historian.committer import CHANNELS, counts_of
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.influx import ROOT

EUIS = np.array(0x00124B0000000001 + np.arange(CHANNELS), dtype=np.uint64)
ZEROS = np.zeros(CHANNELS, np.uint8)
SEGMENT = 1 << 20                       # bytes; about a thousand records of the committer
X, Y = 0x00124B00000000AA, 0x00124B00000000BB


def hooked(name: str, hook: Callable[[], None]) -> Callable[[str, int], None]:
    """Calls the hook once, when the copy of a file with such a name has been made."""
    waiting = [hook]

    def advance(what: str, _: int) -> None:
        if what.startswith(name) and waiting:
            waiting.pop()()

    return advance


def opened(directory: Path, reactor: PumpedReactor) -> EmbeddedIntervals:
    store = EmbeddedIntervals(directory, reactor)
    store.open()
    store.start()
    return store


def commit_merged(store: EmbeddedIntervals, reactor: PumpedReactor, eui: int, pulses: int, record: int) -> None:
    """One hour of one channel, all the way into its month file."""
    done = store.merging.records + 1
    reactor.wait(store.commit(block([[pulses]], eui=[eui], record=record)))
    reactor.pump(lambda: store.merging.records == done)


def value_of(store: EmbeddedIntervals, eui: int) -> int:
    slots = store.slots(np.array([eui], np.uint64), ZEROS[:1])
    return int(store.read(slots, FIRST_HOUR, 1).counts[0, 0])


def test_everything_acknowledged_before_a_backup_under_load_is_in_it(tmp_path: Path) -> None:
    """Segments of the journal are merged and deleted while the months are copied; the restored store goes on."""
    source, target, again = tmp_path / "history", tmp_path / "backup", tmp_path / "again"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.historian.committer", str(source), "1", str(SEGMENT)], cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        lines = process.stdout
        acknowledged = [int(lines.readline()) for _ in range(1500)]
        first = min((source / "journal").glob("*.journal"))

        def a_segment_goes() -> None:
            while first.exists():
                lines.readline()

        back_up(source, target, hooked("intervals-", a_segment_goes))
    finally:
        process.kill()
        process.communicate(timeout=60)
    restore(target, again)

    reactor = PumpedReactor()
    store = opened(again, reactor)
    slots = store.slots(EUIS, ZEROS)
    read = store.read(slots, FIRST_HOUR, max(acknowledged) + 1).counts
    conflicts = store.health().figures["conflicts"]
    commit_merged(store, reactor, X, 77, record=10**6)
    value = value_of(store, X)
    store.close()
    lost = [one for one in acknowledged if not np.array_equal(read[:, one], counts_of(one)[:, 0])]
    assert lost == []
    assert conflicts == 0
    assert len(np.unique(slots)) == CHANNELS
    assert value == 77


@pytest.mark.parametrize(("moment", "value", "reached"), [("state", 77, 3), ("intervals-", 77, 3), ("journal", -1, 1)])
def test_what_comes_while_files_are_copied_keeps_its_slot_and_its_cursor(
    tmp_path: Path, moment: str, value: int, reached: int
) -> None:
    """A channel that is new between two copies: its block never becomes another's, and what is lacking is asked for."""
    reactor = PumpedReactor()
    store = opened(tmp_path / "history", reactor)
    commit_merged(store, reactor, X - 1, 5, record=1)
    back_up(
        tmp_path / "history", tmp_path / "backup",
        hooked(moment, lambda: commit_merged(store, reactor, X, 77, record=2)),
    )
    store.close()
    restore(tmp_path / "backup", tmp_path / "again")
    again = opened(tmp_path / "again", reactor)
    commit_merged(again, reactor, Y, 88, record=3)
    values = [value_of(again, eui) for eui in (X - 1, X, Y)]
    cursor, conflicts = again.cursor(0xC0FFEE01, 7), again.health().figures["conflicts"]
    again.close()

    assert values == [5, value, 88]
    assert (cursor, conflicts) == (reached, 0)


def test_what_is_merged_and_deleted_between_the_first_look_and_the_end_is_copied(tmp_path: Path) -> None:
    """A held segment outlives its name."""
    journal = Journal(tmp_path, segment_bytes=1)
    journal.open(Position())
    journal.append([b"one"])
    with SegmentsHeld(tmp_path) as held:
        journal.append([b"two"])
        held.look()
        journal.append([b"three"])
        journal.forget(Position(3, 0))
        found = {number: b"".join(pieces) for number, pieces in held.contents(1)}
    journal.close()

    assert [path.name for path in tmp_path.glob("*.journal")] == [journal.path(3).name]
    assert [found[number][-len(body):] for number, body in ((1, b"one"), (2, b"two"), (3, b"three"))] == [
        b"one", b"two", b"three",
    ]


def test_a_segment_that_came_and_went_unseen_fails_the_backup(tmp_path: Path) -> None:
    """It is never passed over."""
    journal = Journal(tmp_path, segment_bytes=1)
    journal.open(Position())
    journal.append([b"one"])
    with SegmentsHeld(tmp_path) as held:
        journal.path(3).write_bytes(b"")
        with pytest.raises(StorageError, match="segment 2 of the journal was merged and deleted before"):
            dict(held.contents(1))
        assert [number for number, _ in held.contents(3)] == [3]
    journal.close()


def test_a_record_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    """The copy of a segment ends behind a whole record."""
    journal = Journal(tmp_path)
    journal.open(Position())
    end = journal.append([b"first" * 9, b"second" * 9])[0].offset
    journal.close()
    path = journal.path(1)
    path.write_bytes(path.read_bytes()[:-5])
    with SegmentsHeld(tmp_path) as held:
        ((_, pieces),) = held.contents(1)

        assert b"".join(pieces) == path.read_bytes()[:end]


def live_samples(number: int, value: float) -> Samples:
    at = np.array([FIRST_HOUR * HOUR_S * NS], np.int64)
    return Samples(np.array([number], np.int32), at, np.array([value]), np.zeros(1, np.uint8))


def test_a_live_tag_that_is_new_meanwhile_keeps_its_number(tmp_path: Path) -> None:
    """It is rolled into chunks between the copy of the hot log and theirs; samples are never another tag's."""
    source = tmp_path / "history"
    reactor = PumpedReactor()
    store = opened(source, reactor)
    files = LiveFiles(source)
    files.open()
    files.append([(1, "a")], live_samples(1, 1.0))

    def another() -> None:
        files.append([(2, "b")], live_samples(2, 2.0))
        files.roll()

    back_up(source, tmp_path / "backup", hooked("live-hot", another))
    files.close()
    store.close()
    restore(tmp_path / "backup", tmp_path / "again")
    files = LiveFiles(tmp_path / "again")
    numbers = files.open()
    files.close()
    pool = ReadPool()
    live = LiveHistory(tmp_path / "again", pool)
    first = FIRST_HOUR * HOUR_S * NS
    values = {tag: live.read(tag, first, first + NS).values.tolist() for tag in ("a", "b")}
    pool.close()

    assert numbers == {"a": 1, "b": 2}
    assert values == {"a": [1.0], "b": [2.0]}


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A closed store with an hour of one channel, merged."""
    reactor = PumpedReactor()
    store = opened(tmp_path / "history", reactor)
    commit_merged(store, reactor, X, 77, record=1)
    store.close()
    return tmp_path / "history"


def test_the_manifest_comes_when_all_it_names_is_durable(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and their folders are synced before the manifest has its name."""
    synced, real, target = list[str](), os.fsync, tmp_path / "backup"

    def fsync(handle: int) -> None:
        real(handle)
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))

    monkeypatch.setattr(os, "fsync", fsync)
    manifest = back_up(history, target)
    upto = synced.index(str(target / f"{MANIFEST}.new"))

    assert {str(target / entry.name) for entry in manifest.files} <= set(synced[:upto])
    assert {str(target), str(target / "journal"), str(tmp_path)} <= set(synced[:upto])
    assert synced[-1] == str(target)
    assert read_manifest(target) == manifest
    on_disk = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert on_disk == {entry.name for entry in manifest.files} | {MANIFEST}


def test_nothing_is_overwritten(history: Path, tmp_path: Path) -> None:
    """Neither by a backup nor by a restore."""
    back_up(history, tmp_path / "backup")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    for attempt in (lambda: back_up(history, tmp_path / "other"), lambda: restore(tmp_path / "backup", history)):
        with pytest.raises(StorageError, match="is not empty; nothing is overwritten"):
            attempt()
    (tmp_path / "again").mkdir()
    restore(tmp_path / "backup", tmp_path / "again")
    assert (tmp_path / "again" / "state.sqlite").exists()


def test_a_folder_without_history_is_not_backed_up(tmp_path: Path) -> None:
    """An empty backup would be taken for a good one."""
    with pytest.raises(StorageError, match="holds no history"):
        back_up(tmp_path, tmp_path / "backup")


def test_a_backup_that_failed_is_none(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no manifest, and is not restored."""
    def full(*_: object) -> tuple[int, str]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_durably", full)
    with pytest.raises(StorageError, match=r"the backup in .* cannot be written: the disk is full"):
        back_up(history, tmp_path / "backup")
    with pytest.raises(StorageError, match="it is no backup, or one that was not finished"):
        restore(tmp_path / "backup", tmp_path / "again")


def test_a_restore_names_every_file_that_is_not_what_was_backed_up(history: Path, tmp_path: Path) -> None:
    """And leaves nothing behind; the target appears whole or not at all."""
    backup = tmp_path / "backup"
    back_up(history, backup)
    month, journal = backup / "intervals-2026-01.sqlite", next((backup / "journal").glob("*.journal"))
    data = bytearray(month.read_bytes())
    data[-1] ^= 1
    month.write_bytes(data)
    journal.write_bytes(journal.read_bytes() + b"x")
    (backup / "state.sqlite").unlink()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StorageError) as caught:
        restore(backup, tmp_path / "again")

    assert f"{month.name} is not what was written" in str(caught.value)
    assert f"journal/{journal.name} has {journal.stat().st_size:,} bytes, expected" in str(caught.value)
    assert "state.sqlite is missing" in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"name": "state.sqlite"', '"name": "../state.sqlite"'), "files outside the backup"),
        (('"name": "state.sqlite"', '"name": "/state.sqlite"'), "files outside the backup"),
        (('"format": 2', '"format": 3'), "a later version made this backup"),
        (('"files"', '"fails"'), "it is no manifest"),
        (("{", "["), "it is no manifest"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(
    history: Path, tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    """Above all one that would write outside the folder."""
    back_up(history, tmp_path / "backup")
    path = tmp_path / "backup" / MANIFEST
    path.write_text(path.read_text().replace(*change, 1))

    with pytest.raises(StorageError, match=said):
        restore(tmp_path / "backup", tmp_path / "again")


def test_a_damaged_month_and_what_was_set_aside_are_copied_as_they_are(history: Path, tmp_path: Path) -> None:
    """One spoilt file must not keep the others out of a backup; it is named, and its bytes are there for repair."""
    month = history / "intervals-2026-01.sqlite"
    shutil.copy(month, history / f"{month.name}.damaged")
    month.write_bytes(b"\xa5" * 512 + month.read_bytes()[512:])
    (history / "journal" / "damaged").mkdir()
    (history / "journal" / "damaged" / "000000000001-8.bin").write_bytes(b"rotten")
    evidence = keep(history / "live-2026-01.sqlite", "T01/load 2026-01-01T00Z", b"samples once").relative_to(history)
    (history / "results.sqlite.20260101T000000Z.damaged").write_bytes(b"results once")
    manifest = back_up(history, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")

    assert manifest.damaged == (month.name,)
    for name in (
        month.name, f"{month.name}.damaged", "journal/damaged/000000000001-8.bin", evidence,
        "results.sqlite.20260101T000000Z.damaged",
    ):
        assert (tmp_path / "again" / name).read_bytes() == (history / name).read_bytes()
