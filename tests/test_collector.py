"""The collector of circular garbage walks what is new, still finds circles, and gives the rhythm back."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from scada import collector
from scada.collector import Collector


class Circle:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def clock() -> Iterator[Clock]:
    before = gc.get_threshold()
    made = Clock()
    running = Collector(made)
    running.start()
    yield made
    running.stop()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
    assert made.calls == []


def test_new_circles_are_found_soon(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of ordinary work waits for the day to end."""
    monkeypatch.setattr(collector, "NEW", 0)
    seen = weakref.ref(Circle())
    before = seen() is not None
    clock.advance(collector.PERIOD_S)

    assert before
    assert seen() is None


def test_what_stays_is_not_walked_again_and_its_circles_are_found_once_a_day_where_memory_has_grown(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session's objects are put aside; should they become a circle, the day finds it; not for nothing."""
    monkeypatch.setattr(collector, "NEW", 0)
    memory = collector.resident_mb()
    kept = Circle()
    seen = weakref.ref(kept)
    clock.advance(collector.PERIOD_S)
    put_aside = gc.get_freeze_count() > 0
    del kept
    clock.advance(collector.PERIOD_S)
    left = seen() is not None
    monkeypatch.setattr(collector, "resident_mb", lambda: 1.05 * memory)
    clock.advance(collector.DAY_S)
    hardly_grown = seen() is not None
    monkeypatch.setattr(collector, "resident_mb", lambda: 1.2 * memory + collector.GROWN_MB)
    clock.advance(collector.PERIOD_S)
    same_day = seen() is not None
    clock.advance(collector.DAY_S)

    assert put_aside
    assert left
    assert hardly_grown
    assert same_day
    assert seen() is None


def test_the_interpreter_does_not_begin_a_full_collection_by_itself(clock: Clock) -> None:
    """Its third threshold is out of reach."""
    assert gc.get_threshold()[2] > 100_000
