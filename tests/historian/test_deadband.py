"""A dead-band leaves out what says nothing new, and never hides a change of quality."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.bus import TagBus
from scada.clock import NS, SiteClock
from scada.historian.deadband import LONGEST_SILENCE, Bands
from scada.historian.service import Historian
from scada.settings import HistorianSettings
from scada.tags import Batch, Device, Quality, TagDef
from tests.historian.helpers import PumpedReactor
from tests.historian.test_live import NOW

WIDTH = 0.5
values = st.one_of(st.floats(-3, 3), st.just(float("nan")))
samples = st.lists(
    st.tuples(values, st.sampled_from((0, 0, 0, 16, 33)), st.integers(-5, 400)), min_size=1, max_size=60,
)


def bands(stale_after: int = 0) -> Bands:
    found = Bands.of(["T/a"], [TagDef("a", stale_after=stale_after)], {"*": WIDTH})
    assert found is not None
    return found


@settings(max_examples=300, deadline=None)
@given(samples, st.sampled_from((0, 60 * NS)))
def test_what_is_left_out_is_within_the_band_of_the_same_quality_and_not_too_old(
    course: list[tuple[float, int, int]], stale_after: int
) -> None:
    """Of any course of values, qualities and steps of time, also back: holding the last kept sample says it all.

    Too old is a sample after which the next one, as far off as the one before, would be.
    """
    state, at, newest = bands(stale_after), NOW, 0
    last: tuple[float, int, int] | None = None
    silence = stale_after // 2 or LONGEST_SILENCE
    for value, quality, step in course:
        at += step * NS
        keep, state = state.after(np.array([value]), np.array([quality], np.uint8), at)
        same = last is not None and (abs(value - last[0]) <= WIDTH or (np.isnan(value) and np.isnan(last[0])))
        ahead = max(at - newest, 0) if newest else 0
        late = last is not None and (at < last[2] or at + ahead - last[2] > silence)
        newest = max(at, newest)
        assert bool(keep[0]) == (last is None or not same or quality != last[1] or late)
        if keep[0] and (last is None or at >= last[2]):
            last = value, quality, at


def test_a_register_and_a_tag_nobody_named_have_none() -> None:
    """Balances are made of registers; of several patterns the last one that fits counts."""
    tags = [TagDef("energy", counter=True), TagDef("power"), TagDef("voltage_l1_n"), TagDef("voltage_l2_n")]
    found = Bands.of(
        [f"T/{tag.point}" for tag in tags], tags, {"T/energy": 1.0, "*/voltage_*": 0.5, "T/voltage_l2_n": 2.0}
    )

    assert found is not None
    assert found.width.tolist() == [0.0, 0.0, 0.5, 2.0]
    assert Bands.of(["T/energy", "T/power"], tags[:2], {"T/energy": 1.0, "X/*": 1.0}) is None


@pytest.mark.parametrize("bad", [0, -1.0, float("nan")])
def test_a_band_is_a_width(bad: float) -> None:
    with pytest.raises(ValueError, match="dead_bands"):
        HistorianSettings(dead_bands={"*": bad})


def test_the_live_history_keeps_what_leaves_the_band(tmp_path: Path) -> None:
    """Through the server's own live log, a tag with a band beside one without; what was left out is counted."""
    reactor, clock = PumpedReactor(), SiteClock()
    bus = TagBus(clock, reactor)
    bus.add_device(Device("T01", (TagDef("voltage"), TagDef("power"))))
    historian = Historian(HistorianSettings(dead_bands={"*/voltage": 0.5}), tmp_path, clock, reactor, bus)
    reactor.wait(historian.start())
    course = [(230.0, 0), (230.4, 0), (230.5, 0), (230.6, 0), (230.7, Quality.UNCERTAIN_LAST_KNOWN), (230.7, 0), (230.9, 0)]
    for second, (voltage, quality) in enumerate(course):
        bus.publish(Batch("T01", np.array([voltage, 7.0]), np.array([quality, 0], np.uint8), NOW + second * NS, NOW))
    reactor.pump(lambda: historian._log.tap.written >= 2 * len(course))
    voltage = historian.live.read("T01/voltage", NOW, NOW + 100 * NS)
    power = historian.live.read("T01/power", NOW, NOW + 100 * NS)
    figures = next(iter(historian.health())).figures
    reactor.wait(historian.stop())

    assert voltage.values.tolist() == [230.0, 230.6, 230.7, 230.7]
    assert voltage.quality.tolist() == [0, 0, Quality.UNCERTAIN_LAST_KNOWN, 0]
    assert len(power.values) == len(course)
    assert figures["live_left_out"] == 3


def test_what_could_not_be_written_comes_again_and_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A band moves only with what is on disk."""
    reactor, clock = PumpedReactor(), SiteClock()
    bus = TagBus(clock, reactor)
    bus.add_device(Device("T01", (TagDef("voltage"),)))
    historian = Historian(HistorianSettings(dead_bands={"*": 0.5}), tmp_path, clock, reactor, bus)
    reactor.wait(historian.start())
    append, failed = historian._files.append, []

    def broken(*arguments: object) -> None:
        if not failed:
            failed.append(arguments)
            raise OSError(28, "No space left on device")
        append(*arguments)                          # type: ignore[arg-type]

    monkeypatch.setattr(historian._files, "append", broken)
    bus.publish(Batch("T01", np.array([230.0]), np.zeros(1, np.uint8), NOW, NOW))
    reactor.pump(lambda: historian._log.tap.written >= 1)
    found = historian.live.read("T01/voltage", NOW, NOW + NS)
    reactor.wait(historian.stop())

    assert len(failed) == 1
    assert found.values.tolist() == [230.0]
