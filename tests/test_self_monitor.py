"""The server's own figures are ordinary tags."""

from twisted.internet.task import Clock

from scada.alarms.book import Book
from scada.alarms.watch import Watch
from scada.bus import TagBus
from scada.loop import MeasuredSelector
from scada.ports import Health
from scada.self_monitor import SelfMonitor
from scada.tags import Limits, Quality, TagDef

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


def test_a_figure_with_limits_is_an_alarm_of_its_own() -> None:
    """What a part says of its figures (unit, title, limits) is what their tags say; the others stay plain numbers."""
    reactor = Clock()
    clock = site_clock(reactor)
    bus = TagBus(clock, reactor)
    limits = Limits(high=50.0, high_high=80.0, hysteresis=5.0)
    tags = {"full_percent": TagDef("full_percent", "%", "Filling", limits=limits)}
    said = [Health("influx:main", True, "well", {"full_percent": 49.0, "failures": 2.0}, tags)]
    monitor = SelfMonitor(bus, lambda: said, MeasuredSelector(), clock, reactor)
    monitor.start()
    watch, book = Watch(bus, clock, lambda device: ""), Book()
    raised = []
    for percent in (49.0, 50.5, 80.5, 76.0, 44.0):
        said[0] = Health("influx:main", True, "well", {"full_percent": percent, "failures": 2.0}, tags)
        reactor.advance(1)
        watch.devices_changed()
        watch.look(book)
        raised.append({alarm.kind for alarm in book.active() if book.holds(alarm.id)})
    device = bus.devices()["server.influx:main"]
    monitor.stop()

    assert raised == [set(), {"high"}, {"high", "high_high"}, {"high", "high_high"}, set()]
    assert [(tag.point, tag.unit, tag.limits is None) for tag in device.tags] == [
        ("ok", "", True), ("full_percent", "%", False), ("failures", "", True),
    ]
