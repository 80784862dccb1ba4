"""What every small store stands on: all or nothing, on the disk when a block ends, and a sentence where that cannot be."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scada.errors import StartError, StorageError
from scada.sqlite_file import SqliteFile

SCHEMA = "CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY); CREATE TABLE IF NOT EXISTS other (name TEXT);"
NAME = "deep/marks.sqlite"
EARLIER = "CREATE TABLE mark (name TEXT PRIMARY KEY); INSERT INTO mark VALUES ('old'); PRAGMA user_version = 2;"


def made(folder: Path, schema: str = SCHEMA, version: int = 3, **settings: Any) -> SqliteFile:
    return SqliteFile(folder / NAME, "marking", "the book of marks", schema, version, **settings)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteFile]:
    file = made(tmp_path)
    file.open()
    yield file
    file.close()


def add(file: SqliteFile, name: str) -> None:
    with file.transaction() as database:
        database.execute("INSERT INTO mark VALUES (?)", (name,))


def marks(file: SqliteFile) -> list[str]:
    with file.read() as database:
        return [name for (name,) in database.execute("SELECT name FROM mark ORDER BY name")]


def old(folder: Path, script: str) -> Path:
    """The file as something else left it; closed, so that its bytes are all in it."""
    path = folder / NAME
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
    return path


def test_what_a_transaction_wrote_is_there_after_a_restart_and_synced(file: SqliteFile, tmp_path: Path) -> None:
    """The folder is made; every commit waits for the disk (2 is FULL)."""
    add(file, "a")
    with file.read() as database:
        found = [database.execute(f"PRAGMA {one}").fetchone()[0] for one in ("journal_mode", "synchronous", "user_version")]
    file.close()
    file.open()

    assert marks(file) == ["a"]
    assert found == ["wal", 2, 3]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_file_of_another_version_is_refused_and_nothing_in_it_changed(tmp_path: Path, mode: str) -> None:
    """Not a byte, so that the version that wrote it reads it as it was; nothing is left beside it."""
    path = old(tmp_path, f"PRAGMA journal_mode = {mode}; CREATE TABLE theirs (x); PRAGMA user_version = 4;")
    before = path.read_bytes()
    file = made(tmp_path)
    with pytest.raises(StartError) as caught:
        file.open()

    assert str(caught.value) == f"marking: {path} was written by another version (tables 4, expected 3) (use that version)"
    assert [(one.name, one.read_bytes()) for one in path.parent.iterdir()] == [(path.name, before)]
    with pytest.raises(StorageError, match="is closed"):
        marks(file)


@pytest.mark.parametrize("there", ["no database", "a folder"])
def test_what_cannot_be_opened_is_a_sentence_with_the_files_name(tmp_path: Path, there: str) -> None:
    path = tmp_path / NAME
    path.parent.mkdir()
    if there == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"not a database, but long enough to be looked at" * 20)
    with pytest.raises(StartError, match=r"^marking: .*deep/marks\.sqlite cannot be opened: .+ \(check the space"):
        made(tmp_path).open()

    assert path.is_dir() or path.read_bytes().startswith(b"not a database")


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("a file stands there")
    with pytest.raises(StartError, match="cannot be opened"):
        made(tmp_path).open()


def test_tables_of_an_earlier_version_are_brought_to_this_one(tmp_path: Path) -> None:
    """By the step from the version that was found, once, and not in a new file."""
    old(tmp_path, EARLIER)
    upgrades = {
        2: lambda database: database.execute("UPDATE mark SET name = name || '!'"),
        1: lambda database: database.execute("DELETE FROM mark"),
    }
    for folder in (tmp_path, tmp_path / "new"):
        for _ in range(2):
            file = made(folder, upgrades=upgrades)
            file.open()
            assert marks(file) == (["old!"] if folder == tmp_path else [])
            file.close()


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """All of it or nothing: the next start begins it again."""
    path = old(tmp_path, EARLIER)

    def broken(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM mark")
        database.execute("SELECT * FROM nowhere")

    with pytest.raises(StartError, match="cannot be opened: no such table: nowhere"):
        made(tmp_path, upgrades={2: broken}).open()
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        version = database.execute("PRAGMA user_version").fetchone()[0]
        left = database.execute("SELECT name FROM mark").fetchall()

    assert (found, version, left) == ([("mark",)], 2, [("old",)])


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()])
def test_a_block_that_fails_stores_nothing_and_its_error_goes_on(file: SqliteFile, error: BaseException) -> None:
    def half() -> None:
        with file.transaction() as database:
            database.execute("INSERT INTO mark VALUES ('half')")
            raise error

    with pytest.raises(type(error)):
        half()
    add(file, "whole")

    assert marks(file) == ["whole"]


def test_what_sqlite_refuses_is_a_sentence_and_the_next_transaction_goes_on(file: SqliteFile) -> None:
    add(file, "a")
    with pytest.raises(StorageError) as caught, file.transaction() as database:
        database.executemany("INSERT INTO mark VALUES (?)", [("b",), ("a",)])
    add(file, "c")

    assert str(caught.value).startswith("the book of marks ")
    assert str(caught.value).endswith(f"{NAME} cannot be used: UNIQUE constraint failed: mark.name")
    assert marks(file) == ["a", "c"]


def test_a_commit_that_fails_stores_nothing_and_the_next_one_goes_on(tmp_path: Path) -> None:
    """As on a full disk: SQLite keeps such a transaction open, and the next BEGIN would fail for ever."""
    schema = f"{SCHEMA} CREATE TABLE child (name TEXT REFERENCES mark DEFERRABLE INITIALLY DEFERRED);"
    file = made(tmp_path, schema, foreign_keys=True)
    file.open()
    with pytest.raises(StorageError, match="FOREIGN KEY"), file.transaction() as database:
        database.execute("INSERT INTO child VALUES ('nobody')")
    add(file, "a")

    assert marks(file) == ["a"]
    file.close()


def test_references_are_held_only_where_it_is_asked_for(file: SqliteFile) -> None:
    with file.read() as database:
        assert database.execute("PRAGMA foreign_keys").fetchone()[0] == 0


def test_a_closed_file_says_so_and_can_be_opened_again(file: SqliteFile) -> None:
    """Closing twice is nothing: whoever could not start is stopped, too."""
    file.close()
    file.close()
    for use in (file.transaction, file.read):
        with pytest.raises(StorageError, match=r"^the book of marks is closed$"), use():
            raise AssertionError("not reached")
    file.open()

    assert marks(file) == []


def test_two_threads_take_turns_and_neither_sees_half(file: SqliteFile) -> None:
    """One is in the middle of a transaction; the other waits until it is over, with its reading and its writing."""
    inside, seen = threading.Event(), []

    def second() -> None:
        inside.wait(10)
        seen.append(marks(file))
        add(file, "c")

    thread = threading.Thread(target=second)
    thread.start()
    with file.transaction() as database:
        database.execute("INSERT INTO mark VALUES ('a')")
        inside.set()
        thread.join(0.05)                       # time to do it wrong
        assert thread.is_alive()
        database.execute("INSERT INTO mark VALUES ('b')")
    thread.join(10)

    assert seen == [["a", "b"]]
    assert marks(file) == ["a", "b", "c"]


def test_a_read_is_of_one_instant_whatever_another_process_writes(file: SqliteFile, tmp_path: Path) -> None:
    """The command line writes beside the server, and neither waits for the other's reading."""
    other = made(tmp_path)
    other.open()
    with file.read() as database:
        database.execute("SELECT * FROM mark").fetchall()
        add(other, "meanwhile")
        assert database.execute("SELECT count(*) FROM mark").fetchone()[0] == 0

    assert marks(file) == ["meanwhile"]
    other.close()


def test_who_only_reads_along_makes_no_tables(tmp_path: Path) -> None:
    path = old(tmp_path, EARLIER.replace("2", "3"))
    file = made(tmp_path)
    file.open(read_only=True)

    assert marks(file) == ["old"]
    file.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0] == 1
