"""A week's report: which means count, where the week ends, what is said of none."""

import numpy as np

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
