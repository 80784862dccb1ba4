"""A look at a historian's folder: sizes, months, what waits, what was set aside."""

from pathlib import Path

import numpy as np
import pytest

from scada.historian import inspection
from scada.historian.inspection import inspect
from scada.historian.journal import Position
from scada.historian.store import EmbeddedIntervals
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.historian.test_crash import rotten_head
from tests.historian.test_verification import MONTH, flip, history

__all__ = ["history"]                               # a fixture
FIRST_DAY = FIRST_HOUR // 24


def test_a_month_is_told_by_its_days_blocks_channels_and_values(history: Path) -> None:
    """Values are intervals that are held, counted."""
    found = inspect(history)
    (month,) = found.months

    assert (month.path.name, month.first_day, month.last_day) == (MONTH, FIRST_DAY, FIRST_DAY + 1)
    assert (month.blocks, month.channels, month.values, month.counted) == (2, 3, 3 * 48, True)
    assert (found.channels, found.values, month.blocks_set_aside) == (3, 144, 0)
    assert month.size == (history / MONTH).stat().st_size


def test_sizes_are_those_of_the_files(history: Path, tmp_path: Path) -> None:
    """Every file of the folder is of one kind; the spool is wherever it is configured."""
    spool = tmp_path / "far.sqlite"
    spool.write_bytes(b"x" * 100)
    (history / f"{MONTH}.damaged").write_bytes(b"y" * 50)
    (history / "journal" / "damaged").mkdir()
    (history / "journal" / "damaged" / "000000000001-8.bin").write_bytes(b"z" * 5)
    found = inspect(history, [spool, tmp_path / "never.sqlite"])
    there = sum(path.stat().st_size for path in history.rglob("*") if path.is_file() and not path.name.endswith("-shm"))

    assert found.sizes["spool"] == 100
    assert found.sizes["set aside"] == 55
    assert sum(found.sizes.values()) == there + 100
    assert [path.name for path in found.set_aside] == [f"{MONTH}.damaged", "000000000001-8.bin"]


def test_what_is_not_merged_is_what_lies_behind_the_merged_position(history: Path) -> None:
    """Whole segments after it, and the rest of its own."""
    second = (history / "journal" / "000000000002.journal").stat().st_size
    found = inspect(history)

    assert found.merged == Position(1, (history / "journal" / "000000000001.journal").stat().st_size)
    assert found.unmerged == second
    store = EmbeddedIntervals(history, PumpedReactor())
    store.open()
    store.close()
    assert inspect(history).unmerged == 0


def test_of_many_blocks_some_are_counted_and_it_is_said(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate is never shown as a count."""
    monkeypatch.setattr(inspection, "SAMPLED", 1)
    (month,) = inspect(history).months

    assert (month.values, month.counted) == (144, False)


def test_blocks_that_were_replaced_are_counted(history: Path) -> None:
    """The evidence stays in the month's file."""
    flip(history / MONTH, "SELECT counts FROM block ORDER BY day")
    reactor = PumpedReactor()
    store = EmbeddedIntervals(history, reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block(np.ones((3, 1)), record=3)))
    store.close()
    month = inspect(history).months[0]

    assert (month.blocks_set_aside, month.values) == (1, 3 * 24 + 3)


def test_a_month_that_cannot_be_read_is_named_and_the_rest_is_shown(history: Path) -> None:
    """Nothing stops at it."""
    rotten_head(history / MONTH)
    found = inspect(history)

    assert MONTH in found.trouble[0]
    assert (found.channels, found.months[0].blocks) == (3, 0)


def test_a_folder_with_nothing_in_it_is_empty(tmp_path: Path) -> None:
    """As it is before the first start."""
    found = inspect(tmp_path)

    assert (found.months, found.channels, found.unmerged, found.trouble) == ((), 0, 0, ())
    assert sum(found.sizes.values()) == 0
