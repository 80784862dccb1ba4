"""Blocks that a destination lacks: all of them, each once, and in memory no more than their days."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scada.historian import backlog as module
from scada.historian.backlog import Backlog
from scada.historian.embedded import EmbeddedHistory
from scada.historian.letters import Letters
from scada.historian.rows import BlockKey
from scada.historian.sent import newer, versions_of
from scada.historian.slots import SlotBook
from scada.historian.spool import Spool
from scada.intervals import Mark
from tests.historian.helpers import FIRST_HOUR, block

DAY = FIRST_HOUR // 24
CHANNELS, DAYS = 600, 40                # three blocks a day, over the end of a month


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store") / "history"
    history = EmbeddedHistory(directory)
    history.write([block(np.ones((CHANNELS, DAYS * 24)), first=DAY * 24)])
    history.close()
    return directory


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    one = Spool(tmp_path / "one.sqlite", 1 << 20)
    one.open()
    yield one
    one.close()


@pytest.fixture
def backlog(store: Path, spool: Spool) -> Iterator[Backlog]:
    one = Backlog(store, SlotBook, spool)
    one.open()
    yield one
    one.close()


def drain(backlog: Backlog) -> list[BlockKey]:
    """All of them in their order, each confirmed."""
    found = []
    while (key := backlog.take()) is not None:
        found.append(key)
        backlog.sent(key, 2**40)
    return found


def keys(days: range, blocks: int = 3) -> list[BlockKey]:
    return [(3600, day, number) for day in days for number in range(blocks)]


def test_years_that_wait_are_known_by_their_days(backlog: Backlog) -> None:
    """A destination that is new costs a number a day, and the blocks of the day that is being sent; none is left out."""
    whole = len(backlog)
    most, found = 0, []
    while (key := backlog.take()) is not None:
        most = max(most, len(backlog._keys))
        found.append(key)
        backlog.sent(key, 2**40)

    assert whole == DAYS * 3
    assert found == keys(range(DAY, DAY + DAYS))
    assert most < 3
    assert (len(backlog), backlog.filling) == (0, False)


def test_only_what_is_older_there_is_sent(store: Path, spool: Spool) -> None:
    """A block of which an older version was sent, and one that never was; not the others."""
    for key in keys(range(DAY, DAY + DAYS)):
        spool.mark_sent(key, 2**40)
    spool.mark_sent((3600, DAY + 3, 1), 0)
    spool._open().execute("DELETE FROM sent WHERE day = ? AND block = 2", (DAY + DAYS - 1,))
    backlog = Backlog(store, SlotBook, spool)
    backlog.open()
    count, found = len(backlog), drain(backlog)
    backlog.close()

    assert count == 2
    assert found == [(3600, DAY + 3, 1), (3600, DAY + DAYS - 1, 2)]


def test_of_very_many_changes_the_days_are_remembered(
    backlog: Backlog, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A destination that is away for long: every block that changed is sent, and one that did not is not."""
    drain(backlog)
    monkeypatch.setattr(module, "KEYS_MOST", 4)
    for key in (*keys(range(DAY, DAY + 5)), *keys(range(DAY, DAY + 5), 2)):
        spool.mark_sent(key, 0)
        backlog.changed(Mark(np.array([key[2] * 256]), key[1] * 24, 24, 3600))

        assert len(backlog._keys) <= 4
    waiting, found = len(backlog), drain(backlog)

    assert 12 <= waiting <= 17
    assert sorted(found) == keys(range(DAY, DAY + 5))


def test_a_letter_that_is_dropped_makes_nobody_read_the_store_again(
    backlog: Backlog, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days that are sent again do, once."""
    drain(backlog)
    looked = []
    monkeypatch.setattr(module, "month_paths", lambda path, real=module.month_paths: looked.append(path) or real(path))
    spool.bury([("a v= 1", "why")], 1)
    letters = Letters(spool.path)
    letters.drop()
    backlog.open()
    before = len(looked), len(backlog)
    letters.replay(DAY + 1, DAY + 2)
    backlog.open()
    backlog.open()

    assert before == (0, 0)
    assert len(looked) == 1
    assert drain(backlog) == keys(range(DAY + 1, DAY + 3))


def test_a_block_that_was_refused_is_the_next_that_is_tried(backlog: Backlog) -> None:
    """So its refusal is over as soon as somebody has put it right; one that cannot be read does not stop the others."""
    first, second = backlog.take(), backlog.take()
    assert first is not None
    assert second is not None
    backlog.again(first)
    backlog.again(second, first=True)

    assert [backlog.take() for _ in range(3)] == [second, (3600, DAY, 2), first]


def test_what_is_newer_is_found_for_whole_months_at_once() -> None:
    """The same as block by block, for several lengths of intervals; nothing there, and nothing sent."""
    random = np.random.default_rng(5)
    there = np.unique(random.integers(0, (2, 40, 30, 0), (2000, 4), endpoint=True), axis=0)
    there[:, 0], there[:, 3] = np.array([900, 1800, 3600])[there[:, 0]], random.integers(1, 2**40, len(there))
    has = there[random.random(len(there)) < 0.7].copy()
    has[::3, 3] -= 1
    known = {tuple(row[:3]): row[3] for row in has.tolist()}

    def sent(interval_s: int, first: int, last: int) -> np.ndarray:
        return has[(has[:, 0] == interval_s) & (has[:, 1] >= first) & (has[:, 1] <= last)]

    wanted = [row for row in there.tolist() if known.get(tuple(row[:3]), 0) < row[3]]

    assert newer(there, sent).tolist() == wanted
    assert newer(versions_of(()), sent).shape == (0, 4)
    assert newer(there, lambda *_: versions_of(())).tolist() == there.tolist()
