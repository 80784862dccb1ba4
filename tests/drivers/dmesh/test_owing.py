"""Since when modules owe hours: kept on the disk, and never later than it was."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, fail

from scada.drivers.dmesh.event_cursors import EventCursors
from scada.drivers.dmesh.owing import NOTHING, Owing
from scada.errors import StorageError
from tests.drivers.dmesh.peers import run_now

FAR = 2**64 - 1                         # an EUI that no signed number holds


def opened(path: Path, run: Any = run_now) -> Owing:
    owing = Owing(path, run)
    owing.open()
    return owing


def euis(*which: int) -> NDArray[np.uint64]:
    return np.array(which, dtype=np.uint64)


def test_who_was_met_owes_from_the_first_whole_hour_after_it_over_a_restart(tmp_path: Path) -> None:
    """Whoever was never met owes nothing; beside the event cursors in the same file."""
    path = tmp_path / "dmesh.sqlite"
    cursors = EventCursors(path, run_now)
    cursors.open()
    owing = opened(path)
    owing.meet(euis(FAR, 5), 100)
    owing.meet(euis(7, 5), 200)
    owing.close()

    for known in (owing, opened(path)):
        assert known.since(euis(5, 6, 7, FAR)).tolist() == [101, NOTHING, 201, 101]
    cursors.close()


def test_a_clock_that_went_back_makes_nobody_owe_less(tmp_path: Path) -> None:
    """Met again in an earlier hour: that one counts, also after a restart."""
    owing = opened(tmp_path / "dmesh.sqlite")
    owing.meet(euis(5, 6), 100)
    owing.meet(euis(5), 50)
    owing.close()

    assert owing.since(euis(5, 6)).tolist() == [51, 101]
    assert opened(tmp_path / "dmesh.sqlite").since(euis(5, 6)).tolist() == [51, 101]


def test_what_the_disk_refuses_is_known_all_the_same_and_written_later(tmp_path: Path) -> None:
    """With the next module, or at the end."""
    full = True

    def run(function: Any, *args: Any) -> "Deferred[Any]":
        return fail(StorageError("no space left on device")) if full else run_now(function, *args)

    owing = Owing(tmp_path / "dmesh.sqlite", run)
    owing.open()
    owing.meet(euis(5), 100)
    known = owing.since(euis(5)).tolist()
    full = False
    owing.meet(euis(6), 101)
    full = True
    owing.meet(euis(7), 102)
    owing.close()

    assert known == [101]
    assert opened(tmp_path / "dmesh.sqlite").since(euis(5, 6, 7)).tolist() == [101, 102, 103]
