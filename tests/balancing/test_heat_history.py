"""The heat of a transformer from the history of its load: the same as if somebody had watched, on the real store too."""

import attrs
import numpy as np
import pytest
from twisted.python.threadpool import ThreadPool

from scada.balancing.heat import stepped, unknown
from scada.balancing.heat_history import HOLDS_NS, STEP_NS, means, replayed
from scada.balancing.watching import WatchService
from scada.bus import TagBus
from scada.clock import NS, SiteClock, TimeMap
from scada.historian.service import Historian
from scada.ports import TagHistory
from scada.settings import HistorianSettings, TransformerSettings
from scada.tags import Batch, Quality
from tests.balancing.test_watching import METER, RATED, SITE
from tests.historian.helpers import FIRST_HOUR, PumpedReactor
from tests.metering.world import FixedRegistry

MIN = 60 * NS
RATE = 60.0                             # minutes of the site in a second


def history(*samples):
    at, values, quality = zip(*samples, strict=True)
    return TagHistory(np.array(at) * MIN, np.array(values, dtype=float), np.array(quality, np.uint8))


def test_a_minute_is_the_mean_of_what_was_said_in_it_and_else_what_stood_before():
    """A value that stands is left out of history for ten minutes at most; a bad one says that nobody knows."""
    held = HOLDS_NS // MIN
    said = history((0.2, 10, 0), (0.6, 30, 0), (3, 50, 0), (20, 70, 0), (22, 0, Quality.BAD_NOT_CONNECTED), (24, 90, 0))
    found = means(said, np.arange(26) * MIN)

    assert found[:4].tolist() == [20.0, 30.0, 30.0, 50.0]
    assert found[3 + held - 1] == 50.0
    assert np.isnan(found[3 + held:20]).all()
    assert found[[20, 21]].tolist() == [70.0, 70.0]
    assert np.isnan(found[[22, 23]]).all()
    assert found[24] == 90.0


def test_a_past_that_is_replayed_is_the_past_that_was_watched():
    """Four hours of changing load, a silence in it, from nothing and from a state of the past."""
    rng = np.random.default_rng(1)
    minutes = 240
    load = rng.uniform(0.2, 1.6, minutes)
    load[100:140] = np.nan
    watched = unknown(1)
    states = []
    for n in range(minutes):
        watched = stepped(watched, load[n:n + 1], 15.0, (n + 1) * MIN)
        states.append(watched)
    phase = TagHistory(
        np.arange(minutes)[np.isfinite(load)] * MIN + MIN // 2, 100.0 * load[np.isfinite(load)],
        np.zeros(int(np.isfinite(load).sum()), np.uint8),
    )
    bad = TagHistory(np.array([100 * MIN]), np.array([np.nan]), np.array([Quality.BAD_STALE], np.uint8))
    columns = (np.insert(getattr(phase, name), 100, getattr(bad, name)) for name in ("at", "values", "quality"))
    phases = [TagHistory(*columns)] * 3
    fresh = replayed(unknown(1), phases, 100.0, 15.0, 15.0, 0, minutes * MIN)
    gone_on = replayed(states[49], phases, 100.0, 15.0, 15.0, 50 * MIN, minutes * MIN)

    for one in (fresh, gone_on):
        for field in attrs.fields(type(one)):
            np.testing.assert_allclose(getattr(one, field.name), getattr(watched, field.name), rtol=1e-9)
    assert STEP_NS == MIN
    assert np.isnan(replayed(unknown(1), [history((0, np.nan, 16))] * 3, 100.0, 15.0, 15.0, 0, 5 * MIN).oil[0])


class NoAlarms:
    """The book of alarms, which is empty."""

    def held(self, prefix):
        return ()

    def hold(self, *what):
        raise AssertionError(what)

    let_go = hold


class Server:
    """Bus, historian and watch, a minute of the site a second."""

    def __init__(self, folder, reactor, clock):
        self.reactor, self.clock, self.bus = reactor, clock, TagBus(clock, reactor)
        self.bus.add_device(attrs.evolve(METER, tags=tuple(attrs.evolve(tag, stale_after=300 * NS) for tag in METER.tags)))
        self.pool = ThreadPool(1, 2, "test")
        self.pool.start()
        self.historian = Historian(HistorianSettings(), folder, clock, reactor, self.bus)
        self.watch = WatchService(
            TransformerSettings(), FixedRegistry(SITE), self.bus, NoAlarms(), self.bus, clock, reactor, folder, self.pool,
            self.historian.live,
        )
        for part in (self.historian, self.watch):
            reactor.wait(part.start())

    def minutes(self, count, loading):
        for _ in range(count):
            now = self.clock.now()
            values = np.array([230.0] * 3 + [loading * RATED] * 3)
            self.bus.publish(Batch("T01-meter", values, np.zeros(6, np.uint8), now, now))
            self.reactor.advance(1.0)

    def stop(self):
        for part in (self.watch, self.historian):
            self.reactor.wait(part.stop())
        self.pool.stop()

    def heat(self):
        return {name: float(getattr(self.watch._transformers.heat, name)[0]) for name in ("oil", "remembered")}


@pytest.mark.parametrize("lost", [True, False])
def test_after_a_start_the_heat_is_what_the_load_in_history_says(tmp_path, lost):
    """Three hours of one and a half times the load, then the file is lost, or an old one lies there: hot all the same."""
    reactor = PumpedReactor()
    clock = SiteClock(
        TimeMap(round(reactor.seconds() * NS), FIRST_HOUR * 3600 * NS, RATE),
        real=lambda: round(reactor.seconds() * NS), monotonic=reactor.seconds,
    )
    server = Server(tmp_path, reactor, clock)
    server.minutes(10, 0.2)
    server.stop()
    old = (tmp_path / "heat.json").read_bytes()
    server = Server(tmp_path, reactor, clock)
    server.minutes(180, 1.5)
    before = server.heat()
    server.stop()
    if lost:
        (tmp_path / "heat.json").unlink()
    else:
        (tmp_path / "heat.json").write_bytes(old)
    server = Server(tmp_path, reactor, clock)
    server.minutes(2, 0.2)                                  # a file that is taken as it is would say: 0.2 all the time
    reactor.pump(lambda: server.watch._replaying is not None and server.watch._replaying.called)
    server.minutes(1, 0.2)
    after = server.heat()
    server.stop()

    assert before["oil"] > 60
    assert after["oil"] == pytest.approx(before["oil"], abs=3)
    assert after["remembered"] == pytest.approx(before["remembered"], abs=0.05)
