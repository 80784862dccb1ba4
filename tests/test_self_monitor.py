"""The server's own figures are ordinary tags."""

from twisted.internet.task import Clock

from scada.bus import TagBus
from scada.loop import MeasuredSelector
from scada.ports import Health
from scada.self_monitor import SelfMonitor
from scada.tags import Quality

from .fakes import site_clock


def test_health_figures_become_tags_and_new_figures_appear() -> None:
    """A part may learn to say more while it runs."""
    reactor = Clock()
    clock = site_clock(reactor)
    bus = TagBus(clock, reactor)
    said = [Health("dmesh", True, "well", {"refused_key": 2.0})]
    monitor = SelfMonitor(bus, lambda: said, MeasuredSelector(), clock, reactor)
    monitor.start()
    reactor.advance(1)
    first = bus.snapshot().get("server.dmesh/refused_key")
    said[0] = Health("dmesh", False, "noise on the line", {"refused_key": 3.0, "noise_bytes": 70.0})
    reactor.advance(1)
    shot = bus.snapshot()
    monitor.stop()

    assert first[:2] == (2.0, Quality.GOOD)
    assert [shot.get(f"server.dmesh/{point}")[0] for point in ("ok", "refused_key", "noise_bytes")] == [0.0, 3.0, 70.0]
    assert shot.get("server.process/memory")[0] > 10
    assert not reactor.getDelayedCalls()
