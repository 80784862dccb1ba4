"""Live tags on a bad disk: what is damaged is kept and named, what is whole is read, and writing goes on."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from scada.clock import HOUR_S, NS
from scada.historian.database import ReadPool
from scada.historian.evidence import kept
from scada.historian.inspection import inspect
from scada.historian.livefiles import HOT_FILE, LiveFiles, LiveHistory
from scada.historian.repairing import repair
from scada.historian.samples import Samples
from scada.historian.verification import verify
from tests.historian.helpers import FIRST_HOUR
from tests.historian.test_crash import rotten_head, rotten_sector
from tests.historian.test_live import NOW, Running
from tests.historian.test_verification import flip

MONTH = "live-2026-01.sqlite"
TAGS = {"T01/power": 1, "T01/voltage": 2}
SPOIL = pytest.mark.parametrize("spoil", [rotten_head, rotten_sector])


def put(files: LiveFiles, first: int, n: int, tag: int = 1) -> None:
    """Samples of a tag, one a second, whose values are their seconds."""
    seconds = first + np.arange(n)
    at = FIRST_HOUR * HOUR_S * NS + seconds * NS
    files.append([(number, name) for name, number in TAGS.items()], Samples(
        np.full(n, tag, np.int32), at, seconds.astype(float), np.zeros(n, np.uint8)
    ))


def read(directory: Path, tag: str = "T01/power") -> list[float]:
    with closing(ReadPool()) as pool:
        start = FIRST_HOUR * HOUR_S * NS
        return LiveHistory(directory, pool).read(tag, start, start + HOUR_S * NS).values.tolist()


def seconds(*spans: tuple[int, int]) -> list[float]:
    return [float(second) for span in spans for second in range(*span)]


def settled(path: Path) -> None:
    """All of it is in the file, none in its log."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """600 samples of one tag in a chunk, as many of another, 300 in the hot log; closed."""
    with closing(LiveFiles(tmp_path)) as files:
        files.open()
        put(files, 0, 600)
        put(files, 0, 600, tag=2)
        files.roll()
        put(files, 600, 300)
    for path in (tmp_path / MONTH, tmp_path / HOT_FILE):
        settled(path)
    return tmp_path


def test_a_damaged_chunk_keeps_its_bytes_when_samples_of_its_hour_come(directory: Path) -> None:
    """They are in a file that says which chunk it was, and `status` names it."""
    flip(directory / MONTH, "SELECT samples FROM chunk WHERE tag = 1")
    with closing(sqlite3.connect(directory / MONTH)) as database:
        (blob,) = database.execute("SELECT samples FROM chunk WHERE tag = 1").fetchone()
    with closing(LiveFiles(directory)) as files:
        files.open()
        files.roll()
        said = files.damage
    (piece,) = kept(directory)

    assert piece.read_bytes() == blob
    assert piece.name.startswith("live-2026-01_T01-power-2026-01-01T00Z_")
    assert said == f"1 damaged pieces of live tags are kept in {directory / 'damaged'}"
    assert inspect(directory).set_aside == (piece,)
    assert read(directory) == seconds((600, 900))
    assert verify(directory).ok


def test_a_damaged_row_of_the_hot_log_keeps_its_bytes_when_it_is_rolled(directory: Path) -> None:
    """The rows beside it are whole; and a roll that is repeated after a crash keeps the same once."""
    with closing(LiveFiles(directory)) as files:
        files.open()
        put(files, 900, 100)
    flip(directory / HOT_FILE, "SELECT samples FROM hot ORDER BY number")
    with closing(sqlite3.connect(directory / HOT_FILE)) as database:
        saved = database.execute("SELECT * FROM hot").fetchall()
    for _ in range(2):
        with closing(LiveFiles(directory)) as files:
            files.open()
            files.roll()
            files._hot.executemany("INSERT OR IGNORE INTO hot VALUES (?,?,?,?,?,?)", saved)
    (piece,) = kept(directory)

    assert piece.read_bytes() == saved[0][5]
    assert piece.name.startswith("live-hot_2026-01-01T00-10-00Z_")
    assert read(directory) == seconds((0, 600), (900, 1000))


def test_nothing_is_overwritten_where_the_disk_does_not_take_the_damaged_bytes(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The roll fails; the hot log and the damaged chunk stay as they are."""
    flip(directory / MONTH, "SELECT samples FROM chunk WHERE tag = 1")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scada.historian.evidence.write_durably", full)
    with closing(LiveFiles(directory)) as files:
        files.open()
        with pytest.raises(OSError, match="No space"):
            files.roll()

    assert [one.where for one in verify(directory).findings] == ["T01/power, 2026-01-01T00:00Z"]
    assert read(directory) == seconds((600, 900))


@SPOIL
def test_a_spoilt_month_is_set_aside_by_a_roll_and_the_log_goes_on(directory: Path, spoil: Callable[[Path], None]) -> None:
    """Its name says when; the hot log does not grow for ever."""
    spoil(directory / MONTH)
    with closing(LiveFiles(directory)) as files:
        files.open()
        files.roll()
        left = files._hot.execute("SELECT count(*) FROM hot").fetchone()[0]
        said = files.damage
    (aside,) = inspect(directory).set_aside

    assert left == 0
    assert aside.match(f"{MONTH}.20*Z.damaged")
    assert said == f"damaged files of live tags are set aside, fresh ones go on: {aside.name}"
    assert read(directory) == seconds((600, 900))
    assert verify(directory).ok


@SPOIL
def test_a_spoilt_hot_log_begins_anew_and_every_tag_keeps_its_number(
    directory: Path, spoil: Callable[[Path], None]
) -> None:
    """Chunks know their tag by the number alone: another tag must not get what is rolled of it."""
    spoil(directory / HOT_FILE)
    with closing(LiveFiles(directory)) as files:
        numbers = dict(files.open())
        (aside,) = files.aside

    assert numbers == TAGS
    assert aside.match(f"{HOT_FILE}.20*Z.damaged")
    assert read(directory) == seconds((0, 600))


def test_a_number_that_nothing_names_any_more_is_given_to_no_other_tag(directory: Path) -> None:
    """A month of an earlier version has no names; its samples can be read under a name that is made."""
    with closing(sqlite3.connect(directory / MONTH)) as database:
        database.execute("DROP TABLE tag")
        database.commit()
    (directory / HOT_FILE).unlink()
    with closing(LiveFiles(directory)) as files:
        numbers = dict(files.open())

    assert numbers == {"unnamed/1": 1, "unnamed/2": 2}
    assert read(directory, "unnamed/1") == seconds((0, 600))


@SPOIL
def test_a_hot_log_that_is_spoilt_while_it_is_written_goes_on_with_a_fresh_one(
    directory: Path, spoil: Callable[[Path], None]
) -> None:
    """Numbers are those that were given, the newest too."""
    with closing(LiveFiles(directory)) as files:
        numbers = files.open()
        files.append([(3, "T02/power")], Samples(
            np.full(1, 3, np.int32), np.array([NOW], np.int64), np.array([5.0]), np.zeros(1, np.uint8)
        ))
        settled(directory / HOT_FILE)
        spoil(directory / HOT_FILE)
        files.close()                               # its pages are no longer in memory
        files._hot = sqlite3.connect(directory / HOT_FILE, isolation_level=None)
        put(files, 900, 100)
        known = files._hot.execute("SELECT name, number FROM tag").fetchall()

    assert dict(known) == numbers == {**TAGS, "T02/power": 3}
    assert read(directory) == seconds((0, 600), (900, 1000))


def test_repair_puts_damaged_pieces_away_and_then_all_is_sound(directory: Path) -> None:
    """Of the chunks and of the hot log; what is whole stays."""
    flip(directory / MONTH, "SELECT samples FROM chunk WHERE tag = 2")
    flip(directory / HOT_FILE, "SELECT samples FROM hot")
    done = repair(directory)

    assert sorted(one.path.name for one in done.pieces) == [MONTH, HOT_FILE]
    assert len(kept(directory)) == 2
    assert verify(directory).ok
    assert (read(directory), read(directory, "T01/voltage")) == (seconds((0, 600)), [])
    assert not repair(directory).pieces


def test_repair_reads_a_spoilt_month_and_a_spoilt_hot_log_again(directory: Path) -> None:
    """What came in the meantime stays, and a second repair finds nothing new."""
    with closing(LiveFiles(directory)) as files:
        files.open()
        for hour in range(1, 40):                   # pages enough that some before and behind the bad one are whole
            put(files, hour * 3600, 600)
            files.roll()
        put(files, 600, 300)
    for path in (directory / MONTH, directory / HOT_FILE):
        settled(path)
    data = bytearray((directory / MONTH).read_bytes())
    last = len(data) // 4096 - 1
    data[last * 4096:] = b"\xa5" * 4096
    (directory / MONTH).write_bytes(data)
    (directory / HOT_FILE).rename(directory / f"{HOT_FILE}.20260101T000000Z.damaged")
    with closing(LiveFiles(directory)) as files:
        files.open()
        put(files, 900, 100)
    done = repair(directory)

    assert [path.name for path in done.files] == [MONTH]
    assert done.samples > 600
    assert read(directory)[-400:] == seconds((600, 1000))
    assert verify(directory).ok
    assert repair(directory).samples == 0


def test_the_server_starts_with_spoilt_live_files_and_its_health_says_so(tmp_path: Path) -> None:
    """Moved away, the next start is well again."""
    first = Running(tmp_path)
    first.publish(NOW, 1.0)
    first.written(2)
    first.stop()
    directory = tmp_path / "history"
    settled(directory / HOT_FILE)
    rotten_head(directory / HOT_FILE)
    second = Running(tmp_path)
    health = next(iter(second.historian.health()))
    second.publish(NOW + NS, 2.0)
    second.written(2)
    values = second.historian.live.read("T01/power", NOW, NOW + 2 * NS).values.tolist()
    second.stop()
    (aside,) = directory.glob("*.damaged")
    aside.rename(tmp_path / aside.name)
    third = Running(tmp_path)
    well = next(iter(third.historian.health())).ok
    third.stop()

    assert (health.ok, health.text) == (False, f"damaged files of live tags are set aside, fresh ones go on: {aside.name}")
    assert values == [1.0, 2.0]
    assert well


def test_a_spoilt_month_that_is_only_read_is_named_and_the_other_months_are_shown(tmp_path: Path) -> None:
    """Nobody writes it any more, so nobody would set it aside; a repair does."""
    running = Running(tmp_path)
    for day in (0, 31):
        running.publish(NOW + day * 86_400 * NS, float(day))
    running.written(4)
    running.historian._files.roll()
    settled(tmp_path / "history" / MONTH)
    rotten_sector(tmp_path / "history" / MONTH)
    values = running.historian.live.read("T01/power", NOW, NOW + 40 * 86_400 * NS).values.tolist()
    health = next(iter(running.historian.health()))
    running.stop()

    assert values == [31.0]
    said = f"places in {MONTH} cannot be read; stop the server and repair it (scada historian repair)"
    assert (health.ok, health.text) == (False, said)


def test_a_roll_that_fails_is_in_the_health_though_writing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good write does not make it well; the next good roll does."""
    running = Running(tmp_path)

    def full() -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("scada.historian.live.ROLL_S", 0.0)
        patched.setattr(running.historian._files, "roll", full)
        running.publish(NOW, 1.0)
        running.written(2)
        said = next(iter(running.historian.health())).text
        running.publish(NOW + NS, 2.0)
        running.written(4)
        again = next(iter(running.historian.health())).text
    with monkeypatch.context() as patched:
        patched.setattr("scada.historian.live.ROLL_S", 0.0)
        running.publish(NOW + 2 * NS, 3.0)
        running.written(6)
    well = next(iter(running.historian.health())).ok
    running.stop()

    assert said == again == f"the live log in {tmp_path / 'history'} cannot be written: the disk is full"
    assert well
