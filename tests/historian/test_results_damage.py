"""Results on a bad disk: set aside and begun anew, computed again, and read again by a repair."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from scada.balancing.memory import FILE
from scada.errors import StorageError
from scada.historian.database import ReadPool
from scada.historian.export_results import result_rows
from scada.historian.export_wanted import Wanted
from scada.historian.inspection import inspect
from scada.historian.livefiles import HOT_FILE
from scada.historian.repairing import repair
from scada.historian.result_file import COMPUTED_FILE, RESULT_FILE, open_results
from scada.historian.results import ResultHistory, put_now
from scada.historian.results_left import ResultsLeft
from scada.historian.verification import verify
from scada.ports import ResultTable
from tests.historian.test_crash import rotten_head, rotten_sector
from tests.historian.test_live import Running
from tests.historian.test_live_damage import settled

SPOIL = pytest.mark.parametrize("spoil", [rotten_head, rotten_sector])


def table(first: int, n: int) -> ResultTable:
    return ResultTable(3600 * np.arange(first, first + n), {"feed": np.arange(first, first + n) + 0.5})


def read(directory: Path, name: str = "T07") -> list[float]:
    with closing(ReadPool()) as pool:
        return ResultHistory(directory, pool).get("balance", name, 3600, 0, 2**40).columns.get("feed", np.empty(0)).tolist()


def test_it_is_the_memory_of_balances_that_goes_with_results() -> None:
    """A part does not know another's names."""
    assert COMPUTED_FILE == FILE


@SPOIL
def test_spoilt_results_begin_anew_at_the_start_and_balances_with_them(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """Health and status name what was set aside; what is put next is stored, and is news to every destination."""
    directory = tmp_path / "history"
    put_now(directory, "balance", "T07", 3600, table(0, 100))
    with closing(sqlite3.connect(directory / RESULT_FILE)) as database:
        (before,) = database.execute("SELECT max(number) FROM change").fetchone()
    settled(directory / RESULT_FILE)
    spoil(directory / RESULT_FILE)
    (directory / COMPUTED_FILE).write_bytes(b"all of it is computed")
    running = Running(tmp_path)
    health = next(iter(running.historian.health()))
    running.reactor.wait(running.historian.results.put("balance", "T07", 3600, table(100, 1)))
    running.stop()
    (aside,) = directory.glob("*.damaged")
    with closing(sqlite3.connect(directory / RESULT_FILE)) as database:
        (after,) = database.execute("SELECT min(number) FROM change").fetchone()

    assert aside.match(f"{RESULT_FILE}.20*Z.damaged")
    assert (health.ok, health.text) == (False, f"damaged results are set aside as {aside.name}")
    assert not (directory / COMPUTED_FILE).exists()
    assert inspect(directory).set_aside == (aside,)
    assert read(directory) == [100.5]
    assert after > before


def test_results_that_are_spoilt_while_they_are_written_go_on_in_a_fresh_file(tmp_path: Path) -> None:
    """The put that found it succeeds; balances hear of it at the next start."""
    running = Running(tmp_path)
    results, path = running.historian.results, tmp_path / "history" / RESULT_FILE
    running.reactor.wait(results.put("balance", "T07", 3600, table(0, 100)))
    results._database.close()
    settled(path)
    rotten_sector(path)
    results._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    running.reactor.wait(results.put("balance", "T07", 3600, table(100, 1)))
    said = next(iter(running.historian.health())).text
    running.stop()
    (aside,) = path.parent.glob("*.damaged")

    assert said == f"damaged results are set aside as {aside.name}; balances are computed anew after the next start"
    assert read(path.parent) == [100.5]


def test_a_repair_reads_spoilt_results_again_and_what_was_computed_since_stays(tmp_path: Path) -> None:
    """Some before and behind the bad page; a second repair finds nothing new."""
    path = tmp_path / RESULT_FILE
    for name in ("T07", "T08"):
        put_now(tmp_path, "balance", name, 3600, table(0, 1000))
    settled(path)
    data = bytearray(path.read_bytes())
    middle = data.index(np.float64(500.5).tobytes()) // 4096 * 4096
    data[middle:middle + 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    done = repair(tmp_path)
    back = read(tmp_path)

    assert [one.name for one in done.files] == [RESULT_FILE]
    assert 1500 < done.results < 2000
    assert (back[0], back[-1], 500.5 in back) == (0.5, 999.5, False)
    assert len(read(tmp_path, "T08")) == 1000
    put_now(tmp_path, "balance", "T07", 3600, ResultTable(np.array([500 * 3600]), {"feed": np.array([7.0])}))
    assert repair(tmp_path).results == 0
    assert 7.0 in read(tmp_path)
    assert verify(tmp_path).ok


def test_an_empty_folder_of_results_numbers_changes_above_all_that_was_there(tmp_path: Path) -> None:
    """Also where somebody took the file away."""
    open_results(tmp_path / RESULT_FILE).close()
    put_now(tmp_path, "balance", "T07", 3600, table(0, 1))
    with closing(sqlite3.connect(tmp_path / RESULT_FILE)) as database:
        (number,) = database.execute("SELECT number FROM change").fetchone()

    assert number > 10**15


def spoilt_row(path: Path, start: int = 5) -> None:
    """One bit of a value, where it lies in the file."""
    settled(path)
    data = bytearray(path.read_bytes())
    data[data.index(np.float64(start + 0.5).tobytes()) + 6] ^= 0x10
    path.write_bytes(data)


def moved_row(path: Path) -> None:
    """The row of one hour stands at another."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE result SET start = 999 * 3600 WHERE start = 5 * 3600")


def other_shape(path: Path) -> None:
    """Its values are said to be of other quantities, as many."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO shape VALUES (7, '[\"own\"]')")
        database.execute("UPDATE result SET shape = 7 WHERE start = 5 * 3600")


def test_values_are_not_shown_under_a_name_that_the_disk_has_changed(tmp_path: Path) -> None:
    """All of that shape are left out, also where the names cannot be read at all."""
    put_now(tmp_path, "balance", "T07", 3600, table(0, 20))
    for spoil in ("'[\"geed\"]'", "'[\"fe'", "x'00ff'"):
        with closing(sqlite3.connect(tmp_path / RESULT_FILE)) as database, database:
            database.execute(f"UPDATE shape SET columns = {spoil}")

        assert read(tmp_path) == []
        assert len(verify(tmp_path).findings) == 20


def test_a_sum_is_never_shown_as_a_value_of_one_more_column(tmp_path: Path) -> None:
    """A row without a sum is as long as one with a column less: only files from before there were sums have such."""
    put_now(tmp_path, "balance", "T07", 3600, table(0, 20))
    with closing(sqlite3.connect(tmp_path / RESULT_FILE)) as database, database:
        database.execute("INSERT INTO shape VALUES (7, '[\"feed\", \"own\"]')")
        database.execute("UPDATE result SET shape = 7 WHERE start = 5 * 3600")

    assert 5.5 not in read(tmp_path)
    assert len(verify(tmp_path).findings) == 1


@pytest.mark.parametrize("spoil", [spoilt_row, moved_row, other_shape])
def test_a_damaged_row_of_results_is_left_out_and_named(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Its neighbours are shown; never the number that the disk made of it."""
    put_now(tmp_path, "balance", "T07", 3600, table(0, 20))
    spoil(tmp_path / RESULT_FILE)
    with closing(ReadPool()) as pool:
        history = ResultHistory(tmp_path, pool)
        found = history.get("balance", "T07", 3600, 0, 2**40)
        damaged = history.damaged
    verified = verify(tmp_path)
    (finding,) = verified.findings
    place = "1970-02-11T15:00Z" if spoil is moved_row else "1970-01-01T05:00Z"

    assert found.columns["feed"].tolist() == [hour + 0.5 for hour in range(20) if hour != 5]
    assert list(found.columns) == ["feed"] or np.isnan(found.columns["own"]).all()
    assert damaged == 1
    assert verified.results == 20
    assert str(finding) == f"{RESULT_FILE}, balance, T07, {place}: the bytes do not match their check sum"


def test_a_flipped_byte_of_a_row_never_becomes_a_number(tmp_path: Path) -> None:
    """Whatever byte it is, those that say what a column is among them: what is shown is what was put."""
    path, put = tmp_path / RESULT_FILE, [hour + 0.5 for hour in range(3)]
    put_now(tmp_path, "balance", "T07", 3600, table(0, 3))
    settled(path)
    data = path.read_bytes()
    place = data.index(np.float64(0.5).tobytes())
    shown: set[int] = set()
    for byte in range(place - 60, place + 20):
        path.write_bytes(data[:byte] + bytes([data[byte] ^ 0x05]) + data[byte + 1:])
        try:
            found = read(tmp_path)
        except StorageError:                        # not even the page
            continue
        shown.add(len(found))

        assert set(found) <= set(put)
    assert 2 in shown


def test_a_row_of_which_the_disk_has_made_a_text_does_not_hide_the_others(tmp_path: Path) -> None:
    """The bytes are the same, only what says of which type they are is not."""
    put_now(tmp_path, "balance", "T07", 3600, table(0, 20))
    with closing(sqlite3.connect(tmp_path / RESULT_FILE)) as database, database:
        database.execute("UPDATE result SET row = CAST(row AS TEXT) WHERE start = 5 * 3600")
        database.execute("UPDATE result SET row = 7, shape = 'x' WHERE start = 6 * 3600")

    assert read(tmp_path) == [hour + 0.5 for hour in range(20) if hour != 6]
    assert len(verify(tmp_path).findings) == 1


def test_a_damaged_row_goes_to_no_destination_and_into_no_export(tmp_path: Path) -> None:
    """What is whole goes, and the export says what it lacks."""
    put_now(tmp_path, "balance", "T07", 3600, table(0, 20))
    spoilt_row(tmp_path / RESULT_FILE)
    behind, wanted = ResultsLeft(tmp_path), Wanted()
    behind.open("")
    piece = behind.take()
    behind.close()
    ((_, rows),) = result_rows(tmp_path, wanted)

    assert piece is not None
    assert (piece.lines, b"feed=5.5" in piece.body, b"feed=6.5" in piece.body) == (19, False, True)
    assert rows["value"].tolist() == [hour + 0.5 for hour in range(20) if hour != 5]
    assert wanted.damaged == [f"{RESULT_FILE}, balance of T07: 1 rows do not match their check sums"]


def test_a_repair_takes_damaged_rows_out_and_names_them(tmp_path: Path) -> None:
    """Then all is sound, and whoever computes them sees that they are missing."""
    put_now(tmp_path, "balance", "T07", 3600, table(0, 20))
    spoilt_row(tmp_path / RESULT_FILE)
    done = repair(tmp_path)

    assert [(one.kind, one.name, one.start, one.span) for one in done.rows] == [("balance", "T07", 5 * 3600, 3600)]
    assert verify(tmp_path).ok
    assert len(read(tmp_path)) == 19


def test_rows_from_before_there_were_sums_get_theirs_once_and_are_no_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read before too; a migration that was cut off goes on at the next start."""
    monkeypatch.setattr("scada.historian.result_file.SUMMED_AT_ONCE", 7)
    path = tmp_path / RESULT_FILE
    put_now(tmp_path, "balance", "T07", 3600, table(0, 20))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TRIGGER result_changed")
        database.execute("UPDATE result SET row = substr(row, 1, 8)")
        database.execute("PRAGMA user_version = 0")
        changes = database.execute("SELECT * FROM change").fetchall()
    before = read(tmp_path)
    open_results(path).close()
    with closing(sqlite3.connect(path)) as database:
        sizes = {size for (size,) in database.execute("SELECT length(row) FROM result")}
        after = database.execute("SELECT * FROM change").fetchall()
    put_now(tmp_path, "balance", "T07", 3600, table(3, 1))
    with closing(sqlite3.connect(path)) as database:
        (newest,) = database.execute("SELECT max(number) FROM change").fetchone()
    spoilt_row(path)

    assert before == [hour + 0.5 for hour in range(20)]
    assert (sizes, after) == ({16}, changes)
    assert newest == changes[-1][0] + 1
    assert len(verify(tmp_path).findings) == 1


def test_the_health_says_that_rows_of_results_were_left_out(tmp_path: Path) -> None:
    """As soon as somebody asks for them."""
    running = Running(tmp_path)
    results = running.historian.results
    running.reactor.wait(results.put("balance", "T07", 3600, table(0, 20)))
    with closing(sqlite3.connect(tmp_path / "history" / RESULT_FILE)) as database, database:
        database.execute("UPDATE result SET start = 999 * 3600 WHERE start = 5 * 3600")
    results.get("balance", "T07", 3600, 0, 2**40)
    health = next(iter(running.historian.health()))
    running.stop()

    assert (health.ok, health.text) == (False, "1 rows of results did not match their check sums and were left out")


def test_the_health_names_results_that_cannot_be_read(tmp_path: Path) -> None:
    """Whoever asked for them heard it too."""
    running = Running(tmp_path)
    results, path = running.historian.results, tmp_path / "history" / RESULT_FILE
    running.reactor.wait(results.put("balance", "T07", 3600, table(0, 20)))
    settled(path)
    rotten_sector(path)
    with pytest.raises(StorageError, match="is damaged"):
        results.get("balance", "T07", 3600, 0, 2**40)
    health = next(iter(running.historian.health()))
    running.stop()
    said = f"places in {RESULT_FILE} cannot be read; stop the server and repair it (scada historian repair)"

    assert (health.ok, health.text) == (False, said)


def test_rows_of_an_earlier_version_get_their_sums_beside_the_running_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start does not wait for all of a large file; what is put meanwhile is stored, a stop in between harms nothing."""
    monkeypatch.setattr("scada.historian.results.SUMMED_BETWEEN", 3)
    path = tmp_path / "history" / RESULT_FILE
    put_now(path.parent, "balance", "T07", 3600, table(0, 20))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TRIGGER result_changed")
        database.execute("UPDATE result SET row = substr(row, 1, 8)")
        database.execute("PRAGMA user_version = 0")
    Running(tmp_path).stop()
    running = Running(tmp_path)
    results = running.historian.results
    began = results._summed
    running.reactor.wait(results.put("balance", "T07", 3600, table(20, 1)))
    running.reactor.pump(lambda: results._summed is None)
    found = results.get("balance", "T07", 3600, 0, 2**40).columns["feed"].tolist()
    running.stop()
    with closing(sqlite3.connect(path)) as database:
        sizes = {size for (size,) in database.execute("SELECT length(row) FROM result")}
        (version,) = database.execute("PRAGMA user_version").fetchone()

    assert began is not None
    assert found == [hour + 0.5 for hour in range(21)]
    assert (sizes, version) == ({16}, 1)


def test_the_health_names_everything_that_was_set_aside(tmp_path: Path) -> None:
    """A bad disk seldom spoils one file alone."""
    Running(tmp_path).stop()
    for name in (HOT_FILE, RESULT_FILE):
        settled(tmp_path / "history" / name)
        rotten_head(tmp_path / "history" / name)
    running = Running(tmp_path)
    text = next(iter(running.historian.health())).text
    running.stop()

    assert all(path.name in text for path in (tmp_path / "history").glob("*.damaged"))
    assert len(text.split("; ")) == 2
