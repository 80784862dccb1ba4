"""Results on a bad disk: set aside and begun anew, computed again, and read again by a repair."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from scada.balancing.memory import FILE
from scada.historian.database import ReadPool
from scada.historian.inspection import inspect
from scada.historian.repairing import repair
from scada.historian.results import COMPUTED_FILE, RESULT_FILE, ResultHistory, open_results, put_now
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
