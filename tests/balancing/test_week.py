"""A week's report: which means count, where the week ends, what is said of none."""

import numpy as np
import pytest

from scada.balancing.phases.quality import TEN_MINUTES_NS
from scada.balancing.week import VoltageWeeks
from scada.tags import Quality
from tests.balancing.world import MemoryLive

END = 2_950_000 * TEN_MINUTES_NS


def kept(volts=(230.0, 231.0, 232.0), weeks=1008):
    live = MemoryLive()
    for phase, level in enumerate(volts):
        for n in range(weeks + 5):                          # five before the week
            live.keep(f"T01.voltage/voltage_10min_l{phase + 1}", END - n * TEN_MINUTES_NS, level)
    return live


def test_a_whole_week_complies():
    """A thousand and eight means a phase, and no more, though more are kept."""
    week = VoltageWeeks(kept()).week("T01", END + 17)

    assert (week.first, week.last) == (END - 1008 * TEN_MINUTES_NS, END)
    assert [one.counted for one in week.phases] == [1008] * 3
    assert week.whole
    assert week.complies
    assert (week.phases[1].lowest, week.phases[1].highest) == (231.0, 231.0)


def test_one_mean_far_beyond_breaks_it_and_a_bad_one_does_not_count():
    """The last mean of L1 is 260 V; of L2 one is bad, so the week is not whole."""
    live = kept()
    live.samples["T01.voltage/voltage_10min_l1"][0] = (END, 260.0, Quality.GOOD)
    live.samples["T01.voltage/voltage_10min_l2"][3] = (END - 3 * TEN_MINUTES_NS, np.nan, Quality.BAD_STALE)
    for samples in live.samples.values():
        samples.sort()
    week = VoltageWeeks(live).week("T01", END)

    assert [one.complies for one in week.phases] == [False, True, True]
    assert (week.phases[0].beyond, week.phases[0].far_beyond, week.phases[0].highest) == (1, 1, 260.0)
    assert week.phases[1].counted == 1007
    assert not week.whole


def test_nothing_kept_is_nothing_said():
    """No figure, and no compliance."""
    week = VoltageWeeks(MemoryLive()).week("T01", END)

    assert [one.counted for one in week.phases] == [0, 0, 0]
    assert np.isnan(week.phases[0].share)
    assert np.isnan(week.phases[0].lowest)
    assert not week.complies
    assert week.unbalance is None


def test_unbalance_is_reported_beside_the_voltage_where_it_is_kept():
    """95 % of the means at most 2 %: of a thousand and eight, fifty may be above."""
    live = kept()
    for n in range(1008):
        live.keep("T01.voltage/unbalance_10min", END - n * TEN_MINUTES_NS, 2.5 if n < 51 else 1.0 + n / 10_000)
    bad = VoltageWeeks(live).week("T01", END).unbalance
    live.samples["T01.voltage/unbalance_10min"][0] = (END, 1.9, Quality.GOOD)
    live.samples["T01.voltage/unbalance_10min"].sort()
    good = VoltageWeeks(live).week("T01", END).unbalance

    assert (bad.counted, bad.beyond, bad.complies, bad.settled) == (1008, 51, False, True)
    assert (good.beyond, good.complies, good.settled) == (50, True, True)
    assert good.share == 1 - 50 / 1008
    assert (good.highest, good.worst) == (0.025, pytest.approx(0.019))


def test_a_week_that_has_begun_is_kept_so_far_and_broken_for_good():
    """Nothing is settled before its last mean, but that one phase left its outer limits, or leaves the inner too often."""
    live = MemoryLive()
    for phase, (level, low) in enumerate(((230.0, 230.0), (230.0, 150.0), (230.0, 205.0)), 1):
        for n in range(100):
            live.keep(f"T01.voltage/voltage_10min_l{phase}", END - n * TEN_MINUTES_NS, low if n < 10 else level)
    week = VoltageWeeks(live).week("T01", END)

    assert [(one.complies, one.settled) for one in week.phases] == [(True, False), (False, True), (False, False)]
    assert [(one.complies, one.settled) for one in VoltageWeeks(kept()).week("T01", END).phases] == [(True, True)] * 3
    for n in range(100, 200):
        live.keep("T01.voltage/voltage_10min_l3", END - n * TEN_MINUTES_NS, 205.0)
    live.samples["T01.voltage/voltage_10min_l3"].sort()
    assert VoltageWeeks(live).week("T01", END).phases[2].settled
