"""The poll loop against a device that does what the test says, in time that only moves when told."""

from collections.abc import Callable

import numpy as np
import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from scada.clock import NS
from scada.drivers.backoff import Backoff
from scada.drivers.modbus.decode import encode, layout
from scada.drivers.modbus.plan import Block
from scada.drivers.modbus.poller import Poller
from scada.drivers.modbus.template import load_template
from scada.drivers.modbus.transport import Answer
from scada.errors import LinkError
from scada.settings import ModbusDevice
from scada.tags import Quality
from tests.drivers.modbus.helpers import Recorder
from tests.fakes import NOON, site_clock

TEMPLATE = load_template("eastron_sdm630")
GONE = LinkError("10.0.0.1:502", "no answer within 1 s")


class FakeLink:
    """Answers at once, unless `answer` or `connecting` says something else."""

    def __init__(self) -> None:
        self.image = encode(layout(TEMPLATE), np.full(len(TEMPLATE.points), 50.0))
        self.connected = False
        self.asked: list[Block] = []
        self.connects = self.closes = 0
        self.answer: Callable[[Block], Deferred[Answer]] = self.good
        self.connecting: Callable[[], Deferred[None]] = lambda: succeed(None)

    def good(self, block: Block) -> "Deferred[Answer]":
        device = layout(TEMPLATE)
        return succeed(Answer(Quality.GOOD, device.cut(self.image, device.blocks.index(block))))

    def connect(self) -> "Deferred[None]":
        self.connects += 1
        result = self.connecting()
        result.addCallback(lambda _: setattr(self, "connected", True))
        return result

    def read(self, block: Block) -> "Deferred[Answer]":
        self.asked.append(block)
        return self.answer(block)

    def close(self) -> None:
        self.closes += 1
        self.connected = False


class Bench:
    def __init__(self, rate: float = 1.0, poll_seconds: float = 1.0) -> None:
        self.time, self.link, self.sink = Clock(), FakeLink(), Recorder()
        self.clock = site_clock(self.time, rate=rate)
        settings = ModbusDevice(name="T01-meter", template=TEMPLATE.name, host="10.0.0.1", poll_seconds=poll_seconds)
        self.poller = Poller(
            settings, TEMPLATE, self.link, clock=self.clock, reactor=self.time, sink=self.sink,
            backoff=Backoff(poll_seconds, 30.0, draw=lambda: 1.0),
        )
        self.poller.start()

    def run(self, seconds: float, step: float = 0.1) -> None:
        for _ in range(round(seconds / step)):
            self.time.advance(step)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_every_period_one_batch_of_one_instant(bench: Bench) -> None:
    """Ten seconds, one poll a second, one connection, all blocks each time."""
    bench.run(9.5)

    assert len(bench.sink.batches) == 10
    assert bench.link.connects == 1
    assert len(bench.link.asked) == 20
    assert all((batch.quality == Quality.GOOD).sum() >= 20 for batch in bench.sink.batches)
    assert bench.poller.answering


def test_polls_do_not_drift(bench: Bench) -> None:
    """A device that takes a quarter of a second is still asked on the full second."""
    def slow(block: Block) -> "Deferred[Answer]":
        answer: Deferred[Answer] = Deferred()
        bench.time.callLater(0.125, lambda: bench.link.good(block).addCallback(answer.callback))
        return answer

    bench.link.answer = slow
    bench.run(20.0, step=1 / 64)
    arrived = np.array([batch.received / NS - NOON for batch in bench.sink.batches])

    np.testing.assert_allclose(arrived, np.arange(20) + 0.25, atol=1 / 64)


def test_a_poll_that_takes_too_long_leaves_the_next_out_and_counts_it(bench: Bench) -> None:
    """No queue of polls builds up behind a slow device."""
    def slow(block: Block) -> "Deferred[Answer]":
        answer: Deferred[Answer] = Deferred()
        bench.time.callLater(0.8, lambda: bench.link.good(block).addCallback(answer.callback))
        return answer

    bench.link.answer = slow
    bench.run(10.0)

    assert len(bench.sink.batches) == 5
    assert bench.poller.counters.missed >= 4


def test_the_instant_is_between_question_and_answer(bench: Bench) -> None:
    """The source time of a batch is the middle of the poll, in site time."""
    answer: Deferred[Answer] = Deferred()
    bench.run(0.5, step=1 / 8)
    bench.link.answer = lambda block: answer
    bench.run(0.5, step=1 / 8)
    bench.time.advance(0.25)
    bench.link.answer = bench.link.good
    answer.callback(Answer(Quality.BAD_CONFIG, reason="exception 2 at 0x0000"))
    batch = bench.sink.batches[-1]

    assert (batch.at / NS - NOON, batch.received / NS - NOON) == (1.125, 1.25)


def test_one_refused_block_spoils_its_points_only(bench: Bench) -> None:
    """An exception for the block of the neutral current leaves the phases good, and the health says why."""
    refusal = Answer(Quality.BAD_CONFIG, reason="exception 2 at 0x00c8")
    bench.link.answer = lambda block: succeed(refusal) if block.address == 0xC8 else bench.link.good(block)
    bench.run(1.0)

    assert np.isnan(bench.sink.value("current_neutral")[0])
    assert bench.sink.value("current_neutral")[1] == Quality.BAD_CONFIG
    assert bench.sink.value("voltage_l1_n") == (50.0, Quality.GOOD)
    assert bench.poller.reason == "exception 2 at 0x00c8"
    assert bench.poller.counters.refused == len(bench.sink.batches)


def test_an_unanswered_request_costs_the_connection_and_only_its_block(bench: Bench) -> None:
    """Late replies are read by nobody: the next block goes over a new connection."""
    bench.link.answer = lambda block: fail(GONE) if block.address == 0 else bench.link.good(block)
    bench.run(0.5)

    assert bench.link.connects == 2
    assert bench.link.closes == 1
    assert bench.sink.value("voltage_l1_n")[1] == Quality.BAD_NOT_CONNECTED
    assert bench.sink.value("current_neutral") == (50.0, Quality.GOOD)


def test_a_silent_device_is_not_connected_after_three_polls_and_said_once(bench: Bench) -> None:
    """One lost reply is weather; three are a lost device."""
    bench.run(1.5)
    bench.link.answer = lambda block: fail(GONE)
    bench.run(1.0)
    assert bench.sink.lost == []
    bench.run(30.0)
    assert bench.sink.lost == ["T01-meter"]
    assert not bench.poller.answering
    assert bench.poller.reason == "no answer within 1 s"


def test_it_backs_off_while_nobody_answers_and_comes_back_at_once(bench: Bench) -> None:
    """1, 2, 4 … 30 s between attempts; after success every second again."""
    bench.link.connecting = lambda: fail(LinkError("10.0.0.1:502", "connection refused"))
    bench.run(100.0)
    tries = bench.link.connects
    assert 7 * 2 <= tries <= 9 * 2
    bench.link.connecting = lambda: succeed(None)
    bench.run(31.0)
    before = len(bench.sink.batches)
    bench.run(5.0)
    assert len(bench.sink.batches) - before == 5
    assert bench.poller.answering


@pytest.mark.parametrize(("rate", "seconds"), [(1.0, 10.0), (60.0, 300.0), (600.0, 3000.0)])
def test_the_stale_limit_follows_the_speed_of_site_time(rate: float, seconds: float) -> None:
    """Polls are real seconds, staleness is site time: at 600 × five polls are fifty minutes."""
    device = Bench(rate=rate).sink.devices["T01-meter"]

    assert {tag.stale_after for tag in device.tags} == {round(seconds * NS)}


def test_stop_ends_a_poll_that_is_under_way(bench: Bench) -> None:
    """Nothing is left behind: no timer, no connection, no batch that comes later."""
    answer: Deferred[Answer] = Deferred()
    bench.link.answer = lambda block: answer
    bench.run(0.5)
    stopped: list[None] = []
    bench.poller.stop().addCallback(stopped.append)

    assert stopped == [None]
    assert bench.time.getDelayedCalls() == []
    assert not bench.link.connected
    assert bench.sink.batches == []


@pytest.mark.parametrize("outcome", ["a refusal", "an answer"])
def test_a_stop_that_meets_an_outcome_on_its_way_ends_the_polling_all_the_same(bench: Bench, outcome: str) -> None:
    """asyncio cannot cancel what is done already: the outcome arrives instead of the cancellation, and must not go on."""
    def too_late(deferred: "Deferred[Answer]") -> None:
        if outcome == "a refusal":
            deferred.errback(LinkError("m", "connection refused"))
        else:
            deferred.callback(Answer(Quality.GOOD, np.zeros(bench.link.asked[-1].count, np.uint16)))

    bench.link.answer = lambda block: Deferred(too_late)
    bench.run(0.5)
    stopped: list[None] = []
    bench.poller.stop().addCallback(stopped.append)
    asked = len(bench.link.asked)
    bench.run(10.0)

    assert stopped == [None]
    assert len(bench.link.asked) == asked
    assert bench.time.getDelayedCalls() == []
    assert not bench.link.connected
    assert bench.sink.batches == []


def test_a_bug_in_one_poll_does_not_end_the_polling(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on, and the health names the bug."""
    from twisted.logger import globalLogPublisher

    seen: list[object] = []
    globalLogPublisher.addObserver(seen.append)
    try:
        bench.link.answer = lambda block: fail(RuntimeError("a bug"))
        bench.run(1.0)
        assert bench.poller.reason == "RuntimeError: a bug"
        bench.link.answer = bench.link.good
        bench.run(5.0)
    finally:
        globalLogPublisher.removeObserver(seen.append)

    assert bench.sink.batches
    assert seen
