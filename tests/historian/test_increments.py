"""Backups that add to an earlier one: only what changed is copied, and every instant between two can be restored."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from scada.errors import StorageError
from scada.historian.backup import back_up
from scada.historian.database import ReadPool
from scada.historian.livefiles import LiveFiles, LiveHistory
from scada.historian.manifest import INCREMENTS, MANIFEST, Manifest
from scada.historian.restoring import restore
from scada.historian.samples import Samples
from scada.historian.store import EmbeddedIntervals
from tests.historian.committer import CHANNELS, counts_of
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.influx import ROOT

EUI = 0x00124B00000000AA
MONTH_H = 31 * 24                       # from January to February


def commit(directory: Path, numbers: Sequence[int], *, keep: bool = True, month: int = 0) -> None:
    """Hour `number` gets `number` pulses, received at `number`; every record is a segment of its own."""
    reactor = PumpedReactor()
    store = EmbeddedIntervals(directory, reactor, merge_delay=0.0, segment_bytes=1, keep_merged=keep)
    store.open()
    store.start()
    for one in numbers:
        hour = FIRST_HOUR + month * MONTH_H + one
        reactor.wait(store.commit(block([[one]], eui=[EUI], record=one, first=hour, received=one)))
    reactor.pump(lambda: store.merging.records == len(numbers))
    store.close()


def numbers_in(directory: Path, hours: int = 60) -> list[int]:
    """What a store holds after its start."""
    store = EmbeddedIntervals(directory, None)
    store.open()
    counts = store.read(store.slots(np.array([EUI], np.uint64), np.zeros(1, np.uint8)), FIRST_HOUR, hours).counts[0]
    store.close()
    return [one for one in counts.tolist() if one >= 0]


def settled(directory: Path) -> None:
    """As if nothing had been written for some seconds."""
    past = time.time() - 60
    for path in directory.glob("*.sqlite*"):
        os.utime(path, (past, past))


def new_bytes(made: Manifest) -> list[str]:
    """Names of the files that lie with a later backup."""
    return sorted(one.name for one in (*made.files, *made.log) if one.place.startswith(INCREMENTS))


def test_only_what_changed_is_copied_and_all_of_it_comes_back(tmp_path: Path) -> None:
    """A month that nobody wrote is not even read: its bytes stay where they were."""
    source, target = tmp_path / "history", tmp_path / "backup"
    commit(source, [1, 2])
    commit(source, [3], month=1)
    settled(source)
    back_up(source, target)
    commit(source, [4], month=1)
    (source / "intervals-2026-01.sqlite").chmod(0)          # root reads it all the same; others would fail here
    before = (source / "intervals-2026-01.sqlite").stat().st_atime_ns
    made = back_up(source, target)
    restore(target, tmp_path / "again")

    assert "intervals-2026-02.sqlite" in new_bytes(made)
    assert "intervals-2026-01.sqlite" not in new_bytes(made)
    assert (source / "intervals-2026-01.sqlite").stat().st_atime_ns == before
    assert {one.name for one in made.files} >= {"intervals-2026-01.sqlite", "intervals-2026-02.sqlite", "state.sqlite"}
    assert numbers_in(tmp_path / "again", 60 * 24) == [1, 2, 3, 4]


def test_a_file_whose_time_tells_nothing_is_compared_by_its_bytes(tmp_path: Path) -> None:
    """Touched, but the same: not kept twice. Written in the second of the backup: copied again."""
    source, target = tmp_path / "history", tmp_path / "backup"
    commit(source, [1])
    first = back_up(source, target)
    same = back_up(source, target)
    commit(source, [2])
    changed = back_up(source, target)

    assert first.seen == {}
    assert "intervals-2026-01.sqlite" not in new_bytes(same)
    assert not (target / same.part / "intervals-2026-01.sqlite").exists()
    assert (same.part, changed.part) == (f"{INCREMENTS}/000001", f"{INCREMENTS}/000002")
    assert same.copied < first.copied == first.size
    assert "intervals-2026-01.sqlite" in new_bytes(changed)


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """Three backups: up to 10, 20 and 30, all between kept."""
    for first in (1, 11, 21):
        commit(tmp_path / "history", range(first, first + 10))
        back_up(tmp_path / "history", tmp_path / "backup")
    commit(tmp_path / "history", range(31, 35))
    return tmp_path / "backup"


@pytest.mark.parametrize("at", [10, 11, 15, 19, 20, 21, 29, 30, 99])
def test_every_instant_between_two_backups_can_be_restored(backups: Path, tmp_path: Path, at: int) -> None:
    """Exactly what had been received by then; the server goes on from there with slots and cursors as they were."""
    done = restore(backups, tmp_path / "again", at)
    found = numbers_in(tmp_path / "again")
    commit(tmp_path / "again", [50])
    store = EmbeddedIntervals(tmp_path / "again", None)
    store.open()
    cursor, conflicts = store.cursor(0xC0FFEE01, 7), store.health().figures["conflicts"]
    store.close()

    assert found == list(range(1, min(at, 30) + 1))
    assert (done.reaches, done.cut) == (min(at, 30), at < 30)
    assert numbers_in(tmp_path / "again") == [*found, 50]
    assert (cursor, conflicts) == (min(at, 30), 0)


@pytest.mark.parametrize("rolled", [False, True])
@pytest.mark.parametrize(
    ("at", "left"), [(10, [1.0, 2.0]), (12, [1.0, 2.0]), (15, [1.0, 2.0, 3.0]), (99, [1.0, 2.0, 3.0, 4.0])]
)
def test_live_samples_are_those_up_to_the_instant(tmp_path: Path, at: int, left: list[float], rolled: bool) -> None:
    """From the backup after it, by their own times; of the hot log and of chunks, in the same hour."""
    source, target = tmp_path / "history", tmp_path / "backup"
    for first, values, times in ((1, [1.0, 2.0, 9.0], [1, 10, 2**60]), (11, [3.0, 4.0], [15, 20])):
        commit(source, range(first, first + 10))
        with closing(LiveFiles(source)) as files:
            known = files.open()
            n = len(values)
            files.append([] if known else [(1, "T01/power")], Samples(
                np.ones(n, np.int32), np.array(times, np.int64), np.array(values), np.zeros(n, np.uint8),
            ))
            if rolled:
                files.roll()
        back_up(source, target)
    restore(target, tmp_path / "again", at)
    with closing(ReadPool()) as pool:
        found = LiveHistory(tmp_path / "again", pool).read("T01/power", 0, 2**62)

    assert found.values.tolist() == left


def test_without_an_instant_the_newest_backup_is_restored(backups: Path, tmp_path: Path) -> None:
    """And a backup that was not finished is none."""
    (backups / INCREMENTS / "000009").mkdir()
    (backups / INCREMENTS / "000009" / "state.sqlite").write_bytes(b"half")
    restore(backups, tmp_path / "again")

    assert numbers_in(tmp_path / "again") == list(range(1, 31))


def test_what_cannot_be_restored_is_said(tmp_path: Path) -> None:
    """Before the first backup; and between two, where the server did not keep its journal: up to when, and from when on."""
    source, target = tmp_path / "history", tmp_path / "backup"
    for first in (1, 11):
        commit(source, range(first, first + 10), keep=False)
        back_up(source, target)
    with pytest.raises(StorageError, match=r"the oldest backup in .* an earlier instant cannot be restored"):
        restore(target, tmp_path / "again", 9)
    with pytest.raises(StorageError, match=r"segment 11 is missing\. Up to .*00\.000Z can be restored.*journal_days"):
        restore(target, tmp_path / "again", 15)
    assert not (tmp_path / "again").exists()
    restore(target, tmp_path / "again", 10)
    restore(target, tmp_path / "later", 20)

    assert (numbers_in(tmp_path / "again"), numbers_in(tmp_path / "later")) == (list(range(1, 11)), list(range(1, 21)))


def test_a_restored_history_does_not_add_to_the_backup_it_came_from(backups: Path, tmp_path: Path) -> None:
    """Its journal has other records under the same numbers."""
    restore(backups, tmp_path / "again", 15)
    commit(tmp_path / "again", [50])
    with pytest.raises(StorageError, match="a backup of another history"):
        back_up(tmp_path / "again", backups)


def test_a_damaged_piece_of_an_earlier_backup_is_named(backups: Path, tmp_path: Path) -> None:
    """A later backup rests on it."""
    path = next((backups / INCREMENTS).glob("000001/journal/000000000015.journal"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"journal/000000000015\.journal is not what was written"):
        restore(backups, tmp_path / "again", 15)
    assert not (tmp_path / "again").exists()


def test_a_failed_addition_leaves_the_backup_before_it(
    backups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest comes last, here too."""
    from scada.historian import backup as module

    def full(*_: object) -> tuple[int, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_durably", full)
    with pytest.raises(StorageError, match="the disk is full"):
        back_up(tmp_path / "history", backups)
    monkeypatch.undo()
    restore(backups, tmp_path / "again")

    assert numbers_in(tmp_path / "again") == list(range(1, 31))
    assert len(list((backups / INCREMENTS).glob(f"*/{MANIFEST}"))) == 2


def test_an_instant_under_load_is_restored_exactly(tmp_path: Path) -> None:
    """Three backups beside a process that commits without pause: every record up to the instant, and none after it."""
    source, target = tmp_path / "history", tmp_path / "backup"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.historian.committer", str(source), "1", str(1 << 16), "1"], cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    made, acknowledged = [], []
    try:
        for _ in range(3):
            acknowledged.append([int(process.stdout.readline()) for _ in range(300)][-1])
            made.append(back_up(source, target))
    finally:
        process.kill()
        process.communicate(timeout=60)
    instants = [made[0].reaches, (made[0].reaches + made[1].reaches) // 2, made[1].reaches + 1, made[2].reaches - 1]
    for number, at in enumerate(instants):
        done = restore(target, tmp_path / f"again{number}", at)
        store = EmbeddedIntervals(tmp_path / f"again{number}", PumpedReactor())
        store.open()
        slots = store.slots(np.array(0x00124B0000000001 + np.arange(CHANNELS), np.uint64), np.zeros(CHANNELS, np.uint8))
        read = store.read(slots, FIRST_HOUR, made[2].reaches + 2).counts
        conflicts = store.health().figures["conflicts"]
        store.close()
        wrong = [one for one in range(1, at + 1) if not np.array_equal(read[:, one], counts_of(one)[:, 0])]
        assert (wrong, int((read[:, at + 1:] >= 0).sum()), conflicts, done.reaches) == ([], 0, 0, at)
    assert all(one.reaches >= known for one, known in zip(made, acknowledged, strict=True))
