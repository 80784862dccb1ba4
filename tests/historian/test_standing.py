"""Tags with a dead-band in steps and as a line: answers are within the band of all samples, no silence is filled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.bus import TagBus
from scada.clock import NS, SiteClock
from scada.historian.deadband import LONGEST_SILENCE, Bands
from scada.historian.downsample import resample
from scada.historian.queries import pages, tag_line, tag_steps
from scada.historian.service import Historian, open_reader
from scada.ports import TagHistory
from scada.series import How, Instant, step_edges
from scada.settings import HistorianSettings
from scada.tags import BAD, Batch, Device, Quality, TagDef
from tests.historian.helpers import PumpedReactor
from tests.historian.test_live import NOW

WIDTH = 0.5
SHOWN = (How.MEAN, How.MIN, How.MAX, How.LAST)


@attrs.frozen
class Log:
    """`ports.LiveReader` over samples in memory."""

    every: TagHistory

    def read(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        which = np.flatnonzero((self.every.at >= first) & (self.every.at < last))[-limit:]
        held = None if self.every.held is None else self.every.held[which]
        return TagHistory(self.every.at[which], self.every.values[which], self.every.quality[which], held)

    def at(self, tags: Sequence[str], instant: int, back: int) -> Instant:
        raise NotImplementedError


def banded(every: TagHistory, stale_after: int = 0) -> Log:
    """What the real bands keep of these samples."""
    bands = Bands.of(["T/a"], [TagDef("a", stale_after=stale_after)], {"*": WIDTH})
    assert bands is not None
    keep = []
    for at, value, quality in zip(every.at.tolist(), every.values, every.quality, strict=True):
        kept, bands = bands.after(np.array([value]), np.array([quality]), at)
        keep.append(bool(kept[0]))
    which = np.flatnonzero(keep)
    held = np.full(len(which), int(bands.held[0]), np.int64)
    return Log(TagHistory(every.at[which], every.values[which], every.quality[which], held))


def samples(at: Any, values: Any, quality: Any = 0, held: int | None = None) -> TagHistory:
    times = NOW + np.asarray(at, dtype=np.int64) * NS
    return TagHistory(
        times, np.broadcast_to(np.asarray(values, dtype=np.float64), times.shape),
        np.broadcast_to(np.asarray(quality, dtype=np.uint8), times.shape),
        None if held is None else np.full(len(times), held * NS, np.int64),
    )


@st.composite
def courses(draw: Any) -> tuple[TagHistory, Any, int]:
    """A tag that speaks every 1 to 70 s, its moves and its qualities; edges at its samples; when it would be stale."""
    period, n = draw(st.sampled_from((1, 7, 60, 70))), draw(st.integers(2, 80))
    moves = draw(st.lists(st.sampled_from((0.0, 0.0, 0.0, 0.3, -0.3, 5.0)), min_size=n, max_size=n))
    quality = draw(st.lists(st.sampled_from((0, 0, 0, 0, 0, 0, 16, 33)), min_size=n, max_size=n))
    edges = sorted(draw(st.sets(st.integers(0, n), min_size=2, max_size=12)))
    stale_after = draw(st.sampled_from((0, 5 * period * NS)))
    every = samples(np.arange(n) * period, 230.0 + np.cumsum(moves), quality)
    return every, NOW + np.array(edges) * period * NS, stale_after


@settings(max_examples=60, deadline=None)
@given(courses())
def test_what_a_step_says_is_within_the_band_of_what_all_samples_say(given: tuple[TagHistory, Any, int]) -> None:
    """Mean, lowest, highest and last; as good, and as complete, as if nothing had been left out."""
    every, edges, stale_after = given
    live, period = banded(every, stale_after), float(every.at[1] - every.at[0])

    for how in SHOWN:
        truth = resample(every.at, every.values, every.quality, edges, how, period)
        found = tag_steps(live, "T/a", edges, how)
        np.testing.assert_allclose(found.values, truth.values, rtol=0, atol=WIDTH + 1e-6)
        assert found.quality.tolist() == truth.quality.tolist()
        np.testing.assert_allclose(found.completeness, truth.completeness, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(courses(), st.integers(2, 7))
def test_pages_say_what_the_whole_says(given: tuple[TagHistory, Any, int], most: int) -> None:
    """Wherever a page ends, its last sample stands until the first of the next."""
    every, edges, stale_after = given
    live = banded(every, stale_after)

    for how in (*SHOWN, How.COUNT):
        whole = tag_steps(live, "T/a", edges, how)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("scada.historian.queries.pages", lambda *given: pages(*given, most=most))
            paged = tag_steps(live, "T/a", edges, how)
        np.testing.assert_allclose(paged.values, whole.values, rtol=1e-12)
        np.testing.assert_allclose(paged.completeness, whole.completeness, rtol=1e-12)
        assert (paged.quality.tolist(), paged.count.tolist()) == (whole.quality.tolist(), whole.count.tolist())


def test_an_hour_that_stood_and_then_rose_is_the_mean_of_its_time() -> None:
    """59 minutes near 230 V and a minute of ramp: a mean of the samples that were kept said 246 V."""
    values = 230.0 + 0.1 * (np.arange(3600) % 2)
    values[-60:] = 230 + 0.6 * np.arange(60)
    live = banded(samples(np.arange(3600), values))
    hour = tag_steps(live, "T/a", NOW + np.array([0, 3600]) * NS, How.MEAN)
    minutes = tag_steps(live, "T/a", NOW + np.arange(0, 3601, 60) * NS, How.MEAN)

    assert hour.values[0] == pytest.approx(values.mean(), abs=0.06)
    assert hour.completeness[0] == 1.0
    assert np.isfinite(minutes.values).all()
    assert minutes.completeness.tolist() == [1.0] * 60


def test_nothing_stands_longer_than_the_band_may_be_silent_and_nothing_behind_a_bad_sample() -> None:
    """Ten seconds are known of each of two minutes, then a bad one for ten, and nothing of the last two steps."""
    live = Log(samples([0, 60, 65], [230.0, 231.0, np.nan], [0, 0, Quality.BAD_SENSOR], held=10))
    found = tag_steps(live, "T/a", NOW + np.arange(0, 121, 10) * NS, How.MEAN)

    assert np.isfinite(found.values).nonzero()[0].tolist() == [0, 6]
    assert found.completeness.tolist() == [1.0, *[0.0] * 5, 0.5, *[0.0] * 5]
    assert found.quality.tolist() == [
        0, *[Quality.BAD_WAITING] * 5, 0, Quality.BAD_SENSOR, *[Quality.BAD_WAITING] * 4,
    ]


def test_what_was_said_before_the_range_stands_in_it() -> None:
    """And is no sample of it; what was said too long before is nothing."""
    live = Log(samples([0], [230.0], held=100))
    edges = NOW + np.array([60, 80, 120]) * NS
    counts = tag_steps(live, "T/a", edges, How.COUNT)
    found = tag_steps(live, "T/a", edges, How.LAST)

    assert found.values.tolist() == [230.0, 230.0]
    assert found.completeness.tolist() == [1.0, 0.5]
    assert counts.values.tolist() == [0.0, 0.0]
    assert tag_steps(live, "T/a", NOW + np.array([100, 200]) * NS, How.LAST).completeness.tolist() == [0.0]


def test_a_tag_whose_dead_band_began_later_is_weighted_by_time_before_it_too() -> None:
    """A sample a second, then one of which forty were left out: the first half is not forty times the second."""
    live = Log(TagHistory(
        NOW + np.concatenate((np.arange(40), [40])) * NS, np.repeat([10.0, 20.0], [40, 1]), np.zeros(41, np.uint8),
        np.repeat([0, 100 * NS], [40, 1]),
    ))
    found = tag_steps(live, "T/a", NOW + np.array([0, 80]) * NS, How.MEAN)

    assert found.values[0] == pytest.approx(15.0)
    assert found.completeness[0] == pytest.approx(1.0)


def test_there_is_no_sum_of_what_was_left_out() -> None:
    """How many samples a dead-band left out is not known: an error, not a number."""
    with pytest.raises(ValueError, match="no sum"):
        tag_steps(banded(samples([0, 1], 230.0)), "T/a", NOW + np.array([0, 2]) * NS, How.SUM)


def test_a_line_is_level_where_a_value_stands_and_broken_where_nothing_is_known() -> None:
    """Not a slope from a value that stood for a minute to the next one; a silence beyond the band's is a gap."""
    live = Log(samples([0, 60, 200], [230.0, 240.0, 250.0], held=100))
    line = tag_line(live, "T/a", NOW, NOW + 250 * NS, 100)
    second = np.round((line.at - NOW) / NS, 3).tolist()

    assert second == [0, 59.999, 60, 159.999, 160, 200, 249.999]
    assert line.values.tolist()[:4] == [230.0, 230.0, 240.0, 240.0]
    assert np.isnan(line.values).nonzero()[0].tolist() == [4]
    assert line.quality[4] == Quality.BAD_STALE
    assert line.samples == 3
    assert line.completeness == pytest.approx((60 + 100 + 50) / 250)


@settings(max_examples=60, deadline=None)
@given(courses(), st.integers(6, 40), st.integers(2, 7))
def test_a_line_is_bounded_and_has_both_extremes_of_what_stands(
    given: tuple[TagHistory, Any, int], points: int, most: int
) -> None:
    """From a range that begins within a stretch, in pages of any size: what the steps say, the line shows."""
    every, edges, stale_after = given
    live, first, last = banded(every, stale_after), int(edges[0]), int(edges[-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scada.historian.queries.pages", lambda *given: pages(*given, most=most))
        line = tag_line(live, "T/a", first, last, points)
    low, high = (tag_steps(live, "T/a", np.array([first, last]), how) for how in (How.MIN, How.MAX))

    assert len(line.at) <= points
    assert (np.diff(line.at) >= 0).all()
    assert ((line.at >= first) & (line.at < last)).all()
    assert line.completeness == pytest.approx(low.completeness[0], abs=1e-6)
    if np.isfinite(low.values[0]):
        assert (np.nanmin(line.values), np.nanmax(line.values)) == (low.values[0], high.values[0])


@settings(max_examples=40, deadline=None)
@given(courses())
def test_kept_samples_of_a_tag_that_speaks_lie_no_further_apart_than_they_may_stand(
    given: tuple[TagHistory, Any, int]
) -> None:
    """Whatever its rhythm: a sample that would leave the next one too late is kept."""
    every, _, stale_after = given
    kept = banded(every, stale_after).every

    assert kept.held is not None
    assert (np.diff(kept.at) <= kept.held[:-1]).all()


def test_the_history_knows_which_tags_had_a_dead_band_and_since_when(tmp_path: Path) -> None:
    """Through the server's own live log, a start with other settings, and a reader of another process."""
    reactor, clock = PumpedReactor(), SiteClock()
    for start, widths in ((0, {}), (100, {"*/voltage": 0.5}), (200, {})):
        bus = TagBus(clock, reactor)
        bus.add_device(Device("T01", (TagDef("voltage", stale_after=60 * NS), TagDef("power"))))
        historian = Historian(HistorianSettings(dead_bands=widths), tmp_path, clock, reactor, bus)
        reactor.wait(historian.start())
        for second in (start, start + 1):
            bus.publish(Batch("T01", np.array([230.0, 7.0]), np.zeros(2, np.uint8), NOW + second * NS, NOW))
        reactor.pump(lambda log=historian._log: log.tap.written >= 4)           # type: ignore[misc]
        reactor.wait(historian.stop())
    reader = open_reader(tmp_path / "history")
    voltage, power = (reader.live.read(f"T01/{point}", NOW, NOW + 300 * NS) for point in ("voltage", "power"))
    edges = step_edges("10s", NOW + 100 * NS, NOW + 140 * NS, ZoneInfo("UTC"))
    steps = tag_steps(reader.live, "T01/voltage", edges, How.MEAN)
    reader.close()

    assert ((voltage.at - NOW) // NS).tolist() == [0, 1, 100, 200, 201]
    assert voltage.held is not None
    assert (voltage.held // NS).tolist() == [0, 0, 30, 0, 0]
    assert power.held is None
    assert steps.completeness.tolist() == [1.0, 1.0, 1.0, 0.0]
    assert LONGEST_SILENCE > 30 * NS
    assert steps.quality[3] >= BAD
