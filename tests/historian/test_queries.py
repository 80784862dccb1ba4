"""Long ranges over the real store, in steps and as a line, and many at one instant: hot log, chunks and blocks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pytest

from scada.bus import TagBus
from scada.clock import HOUR_S, NS, SiteClock
from scada.historian.queries import Queries, pages
from scada.historian.service import Historian
from scada.intervals import MISSING
from scada.metering.hourly import consumption
from scada.metering.quantities import installed, reading
from scada.ports import Consumption
from scada.series import How, step_edges
from scada.settings import HistorianSettings
from scada.site import Directory, Medium, MeterPeriod, Point, Site
from scada.tags import Batch, Device, Quality, TagDef
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block

NOW = FIRST_HOUR * HOUR_S * NS
HOUR_NS = HOUR_S * NS
EUI = 0x00124B0000000001
DEVICES = (Device("T01", (TagDef("power"),)), Device("T02", (TagDef("power"),)))
UTC = ZoneInfo("UTC")


@attrs.frozen
class Meters:
    """`ports.Metering` over the store: what the service answers with, without its tags."""

    directory: Directory
    intervals: Any

    def hourly(self, points: Sequence[str], first_hour: int, hours: int, as_of: int | None = None) -> Consumption:
        return consumption(self.directory, self.intervals, points, first_hour, hours, FIRST_HOUR + 10_000)

    def register(self, points: Sequence[str], hour: int, as_of: int | None = None) -> Any:
        meters = installed(points, self.directory.meters_of_point, hour, 1)
        found = np.full(len(points), np.nan)
        slots = self.intervals.slots(meters.eui, meters.channel)
        found[meters.row] = reading(self.intervals.register(slots, hour), meters.per_unit)
        return found


class Running:
    """A historian on a bus, with two meters of 1000 pulses a kWh."""

    def __init__(self, directory: Path) -> None:
        self.reactor = PumpedReactor()
        self.bus = TagBus(SiteClock(), self.reactor)
        for device in DEVICES:
            self.bus.add_device(device)
        self.historian = Historian(HistorianSettings(), directory, SiteClock(), self.reactor, self.bus)
        self.reactor.wait(self.historian.start())
        site = Site(
            points=tuple(Point(name, Medium.ELECTRICITY) for name in ("P0", "P1")),
            meters=tuple(MeterPeriod(f"S{n}", f"P{n}", EUI + n, 0, 1000.0, FIRST_HOUR - 1000) for n in range(2)),
        )
        self.queries = Queries(self.historian.live, Meters(Directory(site), self.historian.intervals))
        self.said = 0

    def publish(self, at: int, value: float, quality: int = 0, device: str = "T01") -> None:
        self.bus.publish(Batch(device, np.array([value]), np.array([quality], np.uint8), at, at))
        self.said += 1

    def written(self) -> None:
        self.reactor.pump(lambda: self.historian._log.tap.written >= self.said)

    def roll(self) -> None:
        self.written()
        self.historian._files.roll()

    def deliver(self, counts: Any, **named: Any) -> None:
        """Committed; readable after `merged`."""
        self.reactor.wait(self.historian.intervals.commit(block(counts, **named)))

    def merged(self) -> None:
        store = self.historian.intervals
        self.reactor.pump(lambda: store.merging.records == store.records and not len(store.merging))

    def stop(self) -> None:
        self.reactor.wait(self.historian.stop())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    one = Running(tmp_path)
    yield one
    one.stop()


def test_a_tag_in_steps_is_read_a_page_at_a_time_from_chunks_and_hot_log(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes a step, a sample a second; the gap of five minutes is half of its step, the bad ones are not counted."""
    for second in range(0, 3600):
        if not 1200 <= second < 1500:
            running.publish(NOW + second * NS, float(second), Quality.BAD_STALE if second < 60 else 0)
        if second == 1800:
            running.roll()
    running.written()
    asked = []
    monkeypatch.setattr(
        "scada.historian.queries.pages", lambda *given: (asked.append(page) or page for page in pages(*given, most=700))
    )
    edges = step_edges("10min", NOW, NOW + HOUR_NS, UTC)
    found = {how: running.queries.resample("T01/power", edges, how) for how in (How.MIN, How.MAX, How.MEAN, How.LAST)}

    assert len(asked) > 4 * 5
    assert found[How.MIN].values.tolist() == [60.0, 600.0, 1500.0, 1800.0, 2400.0, 3000.0]
    assert found[How.MAX].values.tolist() == [599.0, 1199.0, 1799.0, 2399.0, 2999.0, 3599.0]
    assert found[How.LAST].values.tolist() == found[How.MAX].values.tolist()
    assert found[How.MEAN].values[1] == pytest.approx(899.5)
    assert found[How.MEAN].completeness.tolist() == [0.9, 1.0, 0.5, 1.0, 1.0, 1.0]
    assert not found[How.MEAN].quality.any()


def test_a_tag_nothing_was_kept_of_is_missing_in_every_step(running: Running) -> None:
    """Not zero, and nothing is claimed of what could be expected."""
    found = running.queries.resample("T09/power", step_edges("1h", NOW, NOW + 3 * HOUR_NS, UTC), How.SUM)
    line = running.queries.line("T09/power", NOW, NOW + HOUR_NS, 100)

    assert np.isnan(found.values).all()
    assert np.isnan(found.completeness).all()
    assert found.quality.tolist() == [Quality.BAD_WAITING] * 3
    assert (line.at.tolist(), line.samples, line.completeness) == ([], 0, 0.0)


def test_a_line_is_bounded_and_broken_where_the_tag_was_silent_or_bad(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peak is kept, whichever page it is in; a silence is a gap also between two pages."""
    for second in range(0, 3600):
        if not 1000 <= second < 1100:
            value, quality = 99.0 if second == 2345 else float(second % 7), Quality.BAD_SENSOR if second // 60 == 40 else 0
            running.publish(NOW + second * NS, value, quality)
    running.written()
    whole = running.queries.line("T01/power", NOW, NOW + HOUR_NS, 200, 30 * NS)
    monkeypatch.setattr("scada.historian.queries.pages", lambda live, tag, first, last: (
        live.read(tag, start * NS + NOW, end * NS + NOW) for start, end in ((0, 1050), (1050, 2410), (2410, 3600))
    ))
    paged = running.queries.line("T01/power", NOW, NOW + HOUR_NS, 200, 30 * NS)

    for line in (whole, paged):
        second = (line.at - NOW) // NS
        broken = second[np.isnan(line.values)].tolist()
        assert len(line.at) <= 200
        assert (second[0], second[-1]) == (0, 3599)
        assert 1029 in broken
        assert any(2400 <= one < 2460 for one in broken)
        assert len(broken) == 2
        assert 2345 in second.tolist()
        assert line.samples == 3500
        assert line.completeness == pytest.approx(3440 / 3600)


def test_hours_of_a_point_in_site_days_are_sums_of_what_is_held(running: Running) -> None:
    """A day with a missing hour says so; a day of which nothing came is missing, not 0 kWh."""
    counts = np.full((2, 48), 500)
    counts[0, 30] = MISSING
    running.deliver(counts)
    running.merged()
    edges = step_edges("1d", NOW, NOW + 72 * HOUR_NS, UTC)
    day, highest = (running.queries.resample("P0", edges, how) for how in (How.SUM, How.MAX))

    assert day.values[:2].tolist() == [12.0, 11.5]
    assert np.isnan(day.values[2])
    assert day.completeness.tolist() == [1.0, pytest.approx(23 / 24), 0.0]
    assert day.quality[2] >= 32
    assert highest.values[:2].tolist() == [0.5, 0.5]


def test_steps_of_a_point_are_whole_hours(running: Running) -> None:
    """A quarter of an hour is not known: the answer's edges say what was answered."""
    running.deliver(np.full((2, 4), 500))
    running.merged()
    found = running.queries.resample("P0", step_edges("15min", NOW + HOUR_NS // 2, NOW + 2 * HOUR_NS + 1, UTC), How.SUM)

    assert ((found.edges - NOW) / HOUR_NS).tolist() == [0, 1, 2, 3]
    assert found.values.tolist() == [0.5, 0.5, 0.5]
    assert found.completeness.tolist() == [1.0, 1.0, 1.0]


def test_a_year_of_hours_is_drawn_in_as_many_points_as_asked(running: Running) -> None:
    """Gaps of a day are still gaps."""
    counts = np.full((2, 24), 400)
    for day in range(0, 365, 5):                                            # a day in five, to be quick
        running.deliver(counts + day, first=FIRST_HOUR + day * 24)
    running.merged()
    line = running.queries.line("P1", NOW, NOW + 365 * 24 * HOUR_NS, 300)

    assert len(line.at) <= 300
    assert np.count_nonzero(np.isnan(line.values)) >= 72
    assert line.completeness == pytest.approx(73 / 365)


def test_registers_of_many_points_at_an_instant_say_how_good_they_are(running: Running) -> None:
    """One that is known, one whose base never came; and of the known one, whether its newest hour was good."""
    running.deliver(np.full((1, 4), 500), register=[10_000])
    running.deliver(np.full((1, 4), 500), eui=[EUI + 1])
    running.merged()
    found = running.queries.registers(("P1", "P0"), FIRST_HOUR + 4)

    assert found.values.tolist()[1] == 12.0
    assert np.isnan(found.values[0])
    assert found.at.tolist() == [0, (FIRST_HOUR + 4) * HOUR_NS]
    assert found.quality.tolist()[0] == Quality.BAD_WAITING
    assert found.quality.tolist()[1] < 16
    assert found.completeness == 0.5


def test_many_tags_at_an_instant_are_each_as_they_were_said_then(running: Running) -> None:
    """From the chunks and from both, with a late sample in the hot log; in the order asked, and twice if asked twice."""
    running.publish(NOW + 10 * NS, 1.0)
    running.publish(NOW + 20 * NS, 2.0, Quality.UNCERTAIN_ESTIMATED)
    running.publish(NOW + 15 * NS, 7.0, device="T02")
    running.publish(NOW + HOUR_NS + 5 * NS, 3.0)
    running.roll()
    running.publish(NOW + HOUR_NS + 2 * NS, 8.0, device="T02")              # newer than what was rolled of it
    running.publish(NOW + 30 * NS, 6.0, device="T02")                       # and of the same hour
    running.publish(NOW + 12 * NS, 9.0)                                     # late: older than what was rolled
    running.written()
    live, tags = running.historian.live, ("T02/power", "T01/power", "T77/power", "T01/power")
    both = live.at(("T02/power", "T01/power"), NOW + 40 * NS, HOUR_NS)
    reaching = live.at(("T01/power",), NOW + HOUR_NS + NS, HOUR_NS)
    early, late, narrow = (
        live.at(tags, NOW + 20 * NS, HOUR_NS), live.at(tags, NOW + HOUR_NS + 5 * NS, 2 * HOUR_NS),
        live.at(tags, NOW + HOUR_NS, 10 * NS),
    )

    assert ((early.at - NOW) // NS).tolist()[:2] == [15, 20]
    assert early.values[[0, 1, 3]].tolist() == [7.0, 2.0, 2.0]
    assert early.quality.tolist() == [0, Quality.UNCERTAIN_ESTIMATED, Quality.BAD_WAITING, Quality.UNCERTAIN_ESTIMATED]
    assert np.isnan(early.values[2])
    assert early.completeness == 0.75
    assert late.values[:2].tolist() == [8.0, 3.0]
    assert both.values.tolist() == [6.0, 2.0]
    assert reaching.values.tolist() == [2.0]
    assert narrow.quality.tolist() == [Quality.BAD_WAITING] * 4


def test_a_damaged_chunk_hides_no_other_tag_s_value(running: Running) -> None:
    """It is counted, and what else there is still counts."""
    for device in ("T01", "T02"):
        running.publish(NOW + NS, 5.0, device=device)
    running.roll()
    path = next(running.historian.directory.glob("live-2026-*.sqlite"))
    import sqlite3

    with sqlite3.connect(path) as database:
        database.execute("UPDATE chunk SET crc = crc + 1 WHERE tag = (SELECT min(tag) FROM chunk)")
    found = running.historian.live.at(("T01/power", "T02/power"), NOW + 2 * NS, HOUR_NS)

    assert sorted(found.quality.tolist()) == [0, Quality.BAD_WAITING]
    assert next(iter(running.historian.health())).figures["live_damaged"] == 1
