"""A month is the sum of its site days, and whole when each of them is."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from scada.balancing.days import day_bounds, month_start
from scada.balancing.months import monthly, months_between
from scada.clock import HOUR_S
from scada.ports import BALANCE_COLUMNS, MONTH_S, ResultTable
from tests.balancing.test_durable import by_points
from tests.balancing.world import World
from tests.metering.world import HOUR

ZONE = ZoneInfo("Europe/Chisinau")


def hour(*day):
    return int(datetime(*day, tzinfo=ZONE).timestamp()) // HOUR_S


def days_of(first, last):
    """Whole days from the hour `first` to before `last`: 10 fed in, 9 taken, ± 0.5 each."""
    starts = day_bounds(ZONE, first, last - 1)[:-1]
    each = {
        "feed": 10.0, "members": 9.0, "imbalance": 1.0, "imbalance_percent": 10.0, "uncertainty": 0.5,
        "completeness": 1.0, "estimated": 0.0, "doubtful": 0.25, "common": 0.0, "generation": 0.0, "technical": np.nan,
        "own": 0.25, "unexplained": 0.75, "version": 1.0,
    }
    return ResultTable(starts * HOUR_S, {name: np.full(len(starts), each[name]) for name in BALANCE_COLUMNS})


def test_months_are_the_sums_of_their_days_also_where_the_clock_is_changed():
    """March has an hour less; its 31 days are 31 days."""
    found = monthly(days_of(hour(2026, 2, 1), hour(2026, 4, 1)), ZONE)

    assert found.start.tolist() == [hour(2026, 2, 1) * HOUR_S, hour(2026, 3, 1) * HOUR_S]
    for name, per_day in (("feed", 10), ("members", 9), ("imbalance", 1), ("uncertainty", 0.5), ("own", 0.25),
                          ("unexplained", 0.75)):
        assert found.columns[name].tolist() == pytest.approx([28 * per_day, 31 * per_day])
    assert found.columns["completeness"].tolist() == [1.0, 1.0]
    assert found.columns["imbalance_percent"].tolist() == pytest.approx([10.0, 10.0])
    assert found.columns["doubtful"].tolist() == pytest.approx([0.25, 0.25])
    assert np.isnan(found.columns["technical"]).all()


def test_a_month_that_runs_or_lacks_a_day_is_no_balance():
    """What there is so far is shown with its completeness; nothing of it is called whole."""
    table = days_of(hour(2026, 2, 1), hour(2026, 3, 11))
    table.columns["imbalance"][3] = np.nan
    table.columns["completeness"][3] = 0.5
    found = monthly(table, ZONE)

    assert np.isnan(found.columns["imbalance"]).all()
    assert np.isnan(found.columns["unexplained"]).all()
    assert found.columns["feed"].tolist() == [280.0, 100.0]
    assert found.columns["completeness"].tolist() == pytest.approx([27.5 / 28, 240 / 743])


def test_a_feed_that_is_missing_in_the_middle_is_missing_in_the_month():
    """Else a hole in the register would look like little loss."""
    table = days_of(hour(2026, 2, 1), hour(2026, 2, 11))
    table.columns["feed"][3] = np.nan

    assert np.isnan(monthly(table, ZONE).columns["feed"][0])
    assert monthly(table, ZONE).columns["members"][0] == 90.0


def test_what_changes_a_day_has_changed_its_month():
    """The version counts the recalculations, and no month is asked for in vain."""
    table = days_of(hour(2026, 2, 1), hour(2026, 3, 1))
    table.columns["version"][5] = 3.0
    asked = []

    def rows(span, first, last):
        asked.append((span, first, last))
        return table

    found = months_between(rows, ZONE, hour(2026, 2, 1) * HOUR_S, hour(2026, 2, 2) * HOUR_S)
    assert found.columns["version"].tolist() == [3.0]
    assert asked == [(86400, hour(2026, 2, 1) * HOUR_S, hour(2026, 3, 1) * HOUR_S)]
    assert not len(months_between(rows, ZONE, hour(2026, 2, 2) * HOUR_S, hour(2026, 3, 1) * HOUR_S).start)
    assert not len(monthly(ResultTable(np.empty(0, np.int64), {}), ZONE).start)


def test_late_data_is_in_the_month_at_once():
    """Asked of the service, as the page and the API do."""
    world = World(by_points(), start=(HOUR + 3000) * HOUR_S).start()
    for n in range(3):
        world.intervals.deliver(n + 1, 0, HOUR, [100] * 24)
    world.settle(20)
    month = month_start(ZONE, HOUR) * HOUR_S
    before = world.service.table("BG-1", MONTH_S, month, month + 1).columns["members"][0]
    world.intervals.deliver(1, 0, HOUR + 1, [300])
    world.settle(20)

    assert before == 48.0
    assert world.service.table("BG-1", MONTH_S, month, month + 1).columns["members"][0] == 50.0
