"""What a page asks for and cannot wait for: once, one at a time, with its progress; failures are told; the end is soon."""

import threading
from contextlib import suppress

import pytest
from twisted.logger import globalLogPublisher
from twisted.python.threadpool import ThreadPool

from scada.balancing.phases import works
from scada.balancing.phases.works import Works
from scada.errors import StorageError
from scada.phase_study import Working


@pytest.fixture
def pool():
    one = ThreadPool(0, 2, "works")
    one.start()
    yield one
    one.stop()


class Slow:
    """Work that goes on when it is let."""

    def __init__(self, answer="answer"):
        self.begun, self.let, self.runs, self.answer, self.stopped = threading.Event(), threading.Event(), 0, answer, False

    def __call__(self, told):
        self.runs += 1
        told("checking", 2, 7)
        self.begun.set()
        self.let.wait(10)
        try:
            told("checking", 3, 7)
        except works.Stopped:
            self.stopped = True
            raise
        return self.answer


def test_an_answer_is_worked_out_once_and_kept(pool):
    """Whoever asks meanwhile hears how far it is; whoever asks for something else, that it is not his."""
    slow, of = Slow(), Works(pool, wait_s=0.05)
    first = of.ask("a", slow)
    slow.begun.wait(5)
    again, other = of.ask("a", slow), of.ask("b", Slow("other"))
    slow.let.set()
    of._wait_s = 5.0
    answers = [of.ask("a", slow) for _ in range(2)]

    assert isinstance(first, Working)
    assert again == Working(True, "checking", 2, 7)
    assert other == Working(False, "checking", 2, 7)
    assert answers == ["answer", "answer"]
    assert slow.runs == 1


def test_a_failure_is_told_to_whoever_asks_and_then_tried_again(pool):
    """Not swallowed, and nothing is kept of it."""
    of = Works(pool, wait_s=5.0)

    def fails(_told):
        raise StorageError("no disk")

    with pytest.raises(StorageError, match="no disk"):
        of.ask("a", fails)

    assert of.ask("a", lambda _told: 7) == 7


def test_a_failure_that_nobody_meant_is_a_sentence_and_its_reason_is_in_the_log(pool):
    """Nobody reads 'BG-1' for an answer."""
    of, kept = Works(pool, wait_s=5.0), []
    globalLogPublisher.addObserver(kept.append)

    def fails(_told):
        raise KeyError("BG-1")

    with pytest.raises(works.WorkFailed, match="could not be worked out"):
        of.ask("a", fails)
    globalLogPublisher.removeObserver(kept.append)

    assert [event["log_failure"].value.args for event in kept if "log_failure" in event] == [("BG-1",)]


def test_at_the_end_what_is_under_way_stops_with_its_next_sign(pool):
    """And nothing is begun any more."""
    slow, of = Slow(), Works(pool, wait_s=0.05)
    of.ask("a", slow)
    slow.begun.wait(5)
    of.stop()
    slow.let.set()
    of._wait_s = 5.0
    with suppress(works.Stopped):
        after = of.ask("a", slow)

    assert isinstance(after, Working)
    assert slow.stopped
    assert slow.runs == 1


def test_only_the_newest_answers_are_kept(pool):
    """Bounded."""
    of = Works(pool, wait_s=5.0)
    for n in range(works.KEPT + 3):
        of.ask(n, lambda _told, n=n: n)

    assert len(of._kept) == works.KEPT
    assert of.ask(0, lambda _told: "anew") == "anew"
