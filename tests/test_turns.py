"""The reactor's turns: timers that are due together share them, in order, and nothing else about timers changes."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from scada.loop import MeasuredSelector
from scada.turns import TIMERS_S, SharingReactor


@pytest.fixture
def selector() -> MeasuredSelector:
    return MeasuredSelector()


@pytest.fixture
def reactor(selector: MeasuredSelector) -> Iterator[Any]:
    loop = asyncio.SelectorEventLoop(selector)
    made: Any = SharingReactor(loop)
    yield made
    made.removeAll()
    loop.close()


def run(reactor: Any, ends_after: float = 0.3) -> None:
    reactor.callLater(ends_after, reactor.stop)
    reactor.run(installSignalHandlers=False)


def hold(seconds: float) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass


def test_timers_that_are_due_together_share_turns_in_their_order(reactor: Any, selector: MeasuredSelector) -> None:
    """Forty at once, each of which takes all a turn has: one a turn, and none overtakes another."""
    ran: list[int] = []
    turns: list[int] = []

    def work(number: int) -> None:
        ran.append(number)
        turns.append(selector.turns)
        hold(TIMERS_S)

    for number in range(40):
        reactor.callLater(0, work, number)
    run(reactor)

    assert ran == list(range(40))
    assert max(Counter(turns).values()) == 1


def test_short_timers_need_no_turn_each(reactor: Any, selector: MeasuredSelector) -> None:
    """A thousand that take nothing are a few turns, not a thousand."""
    turns: list[int] = []
    for _ in range(1000):
        reactor.callLater(0, lambda: turns.append(selector.turns))
    run(reactor)

    assert len(turns) == 1000
    assert len(set(turns)) < 500


def test_what_is_called_off_or_put_off_by_an_earlier_one_is(reactor: Any) -> None:
    """Though it was due with it; and what is put off runs once, later."""
    ran: list[str] = []
    reactor.callLater(0, lambda: (off.cancel(), later.reset(0.05), sooner.reset(0)))
    off = reactor.callLater(0, ran.append, "called off")
    later = reactor.callLater(0, ran.append, "put off")
    sooner = reactor.callLater(60, ran.append, "brought forward")
    reactor.callLater(0.01, ran.append, "after that")
    run(reactor)

    assert ran == ["brought forward", "after that", "put off"]


def test_one_that_fails_is_logged_and_the_others_run(reactor: Any) -> None:
    """As with Twisted's own reactor."""
    from twisted.logger import globalLogPublisher

    failures: list[Any] = []
    seen = failures.append
    globalLogPublisher.addObserver(seen)
    ran: list[int] = []
    reactor.callLater(0, lambda: 1 / 0)
    reactor.callLater(0, ran.append, 1)
    try:
        run(reactor)
    finally:
        globalLogPublisher.removeObserver(seen)

    assert ran == [1]
    assert any(event.get("log_failure") and event["log_failure"].check(ZeroDivisionError) for event in failures)


def test_one_that_is_always_due_again_keeps_nobody_from_running_or_ending(reactor: Any) -> None:
    """A timer that begins itself anew, busy all the time: others, news and the end come through."""
    ran: list[str] = []

    def again() -> None:
        hold(2 * TIMERS_S)
        reactor.callLater(0, again)

    again()
    reactor.callLater(0.02, ran.append, "a timer")
    reactor.callFromThread(ran.append, "another thread")
    run(reactor)

    assert sorted(ran) == ["a timer", "another thread"]
