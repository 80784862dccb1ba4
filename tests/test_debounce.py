"""Work that follows news: once per burst, one at a time, again after a failure, and nothing after stop."""

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from scada.debounce import Debounced


class Work:
    def __init__(self):
        self.clock, self.runs, self.failures, self.answer = Clock(), 0, [], lambda: succeed(None)
        self.debounced = Debounced(self.clock, 1.0, self.run, self.failures.append, retry=10.0)

    def run(self):
        self.runs += 1
        return self.answer()


def test_a_burst_is_one_run_and_does_not_put_it_off():
    """News every half second runs once a second, not never."""
    work = Work()
    for _ in range(8):
        work.debounced.poke()
        work.clock.advance(0.5)

    assert work.runs in (3, 4)


def test_news_during_a_run_is_one_more_run_never_two_at_a_time():
    """What came while it ran may have been missed by it."""
    work, going = Work(), Deferred()
    work.answer = lambda: going
    work.debounced.poke()
    work.clock.advance(1)
    for _ in range(3):
        work.debounced.poke()
        work.clock.advance(5)
    assert work.runs == 1

    work.answer = lambda: succeed(None)
    going.callback(None)
    work.clock.pump([1.0] * 20)

    assert work.runs == 2


def test_a_failure_is_told_and_tried_again():
    """Also when nobody brings news."""
    work = Work()
    work.answer = lambda: fail(OSError("disk"))
    work.debounced.poke()
    work.clock.advance(1)
    assert (work.runs, len(work.failures)) == (1, 1)

    work.answer = lambda: succeed(None)
    work.clock.advance(10)
    work.clock.advance(100)

    assert (work.runs, len(work.failures)) == (2, 1)


def test_stop_forgets_what_waits_and_waits_for_what_runs():
    """A thread that still computes must not publish into a stopped server."""
    work, going = Work(), Deferred()
    work.debounced.poke()
    assert work.debounced.stop().called
    assert work.clock.getDelayedCalls() == []

    work = Work()
    work.answer = lambda: going
    work.debounced.poke()
    work.clock.advance(1)
    stopped = work.debounced.stop()
    assert not stopped.called

    going.errback(OSError("late"))
    work.debounced.poke()

    assert stopped.called
    assert work.clock.getDelayedCalls() == []
