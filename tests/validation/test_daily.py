"""Yesterday's balance over its limit is an alarm by six; a day that is not whole says so instead."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from scada.clock import DAY_H, HOUR_S, NS
from scada.ports import ResultTable
from scada.site import BalanceGroup, Directory, Medium, Site, Transformer
from scada.validation.daily import days_found
from scada.validation.service import ValidationService
from tests.fakes import InlinePool, LoopClock, site_clock
from tests.metering.world import FixedRegistry

ZONE = ZoneInfo("Europe/Chisinau")
SITE = Site(
    transformers=(Transformer("T01", area="north"),),
    balance_groups=(
        BalanceGroup("BG", Medium.ELECTRICITY, transformer="T01", feed_tag="M/e", members=("P1",)),
        BalanceGroup("RISER", Medium.ELECTRICITY, members=("P1",)),
    ),
)


def at(day, hour):
    return int(datetime(2026, 3, day, hour, tzinfo=ZONE).timestamp()) // HOUR_S


class Days:
    """Balances by site day of March 2026: (feed, imbalance, completeness)."""

    def __init__(self, **days):
        self.days = {int(name[1:]): row for name, row in days.items()}

    def table(self, group, span_s, first, last):
        if span_s == HOUR_S:                                # for whoever looks at single meters
            return ResultTable(np.empty(0, np.int64), {})
        assert (group, span_s) == ("BG", DAY_H * HOUR_S)
        for day, (feed, imbalance, share) in self.days.items():
            if at(day, 0) * HOUR_S == first:
                row = {"feed": feed, "imbalance": imbalance, "imbalance_percent": 100 * imbalance / feed,
                       "uncertainty": 2.0, "completeness": share}
                return ResultTable(np.array([first]), {name: np.array([value]) for name, value in row.items()})
        return ResultTable(np.empty(0, np.int64), {})


def said(days, hour):
    return [(one.source, one.kind, one.area, one.detail) for one in days_found(Directory(SITE), days, ZONE, hour)]


@pytest.mark.parametrize(("imbalance", "beyond"), [(25.0, 17.0), (-15.0, -15.0)])
def test_a_whole_day_over_its_limit_is_said_at_once(imbalance, beyond):
    """Either way, with the figures and how sure they are; it began when that day was over."""
    days = Days(d10=(100.0, imbalance, 1.0))

    assert said(days, at(11, 1)) == [(
        "BG", "balance_over", "north",
        f"the balance of 2026-03-10: {imbalance:.2f} ± 2.00 kWh, {imbalance:.1f} % of the feed, "
        f"{beyond:.1f} % beyond expected losses; the limit is 10 %",
    )]
    assert days_found(Directory(SITE), days, ZONE, at(11, 1))[0].since == at(11, 0) * HOUR_S * NS


def test_a_whole_day_within_its_limit_is_no_message():
    """Seventeen per cent, of which eight are lost as usual; or twelve over it, of which two may be errors of meters."""
    assert said(Days(d10=(100.0, 17.0, 1.0)), at(11, 8)) == []
    assert said(Days(d10=(100.0, 20.0, 1.0)), at(11, 8)) == []


@pytest.mark.parametrize(("row", "what"), [
    ((100.0, np.nan, 0.975), "97.5 % of the readings"),
    ((np.nan, np.nan, 1.0), "100.0 % of the readings, without the feed"),
    (None, "0.0 % of the readings, without the feed"),
])
def test_at_five_a_day_that_is_not_whole_says_so(row, what):
    """Never a percentage of something partial; and never silence."""
    days = Days(d9=(100.0, 1.0, 1.0), **({} if row is None else {"d10": row}))

    assert said(days, at(11, 4)) == []                      # there is time; the day before stands
    assert said(days, at(11, 5)) == [
        ("BG", "balance_incomplete", "north", f"the balance of 2026-03-10 is incomplete and not judged: {what}")
    ]


class Alarms:
    def __init__(self):
        self.now, self.raised = {}, []

    def hold(self, source, kind, area, at, devices, detail=""):
        if (source, kind) not in self.now:
            self.now[source, kind] = detail
            self.raised.append(detail)

    def let_go(self, source, kind):
        del self.now[source, kind]

    def held(self, prefix):
        return tuple(key for key in self.now if key[1].startswith(prefix))


def test_every_day_has_its_own_message_before_six():
    """Two bad days are two alarms, each raised before six of the day after; a good one ends it."""
    days = Days(d9=(100.0, 1.0, 1.0), d10=(100.0, np.nan, 0.5), d11=(100.0, 25.0, 1.0), d12=(100.0, 30.0, 1.0),
                d13=(100.0, 1.0, 1.0))
    alarms = Alarms()
    reactor = LoopClock()
    clock = site_clock(reactor, start=at(11, 0) * HOUR_S)
    service = ValidationService(
        FixedRegistry(SITE), None, days, alarms, clock, reactor, InlinePool(), "Europe/Chisinau"
    )
    service.start()

    def until(day, hour):
        while clock.now() // NS < at(day, hour) * HOUR_S:
            reactor.advance(300)

    until(11, 6)
    assert [one[:25] for one in alarms.raised] == ["the balance of 2026-03-10"]
    until(12, 6)
    assert [key[1] for key in alarms.now] == ["balance_over"]
    until(13, 6)
    assert [one[:25] for one in alarms.raised] == [f"the balance of 2026-03-{day}" for day in (10, 11, 12)]
    until(14, 6)
    assert alarms.now == {}
    assert service.stop().called
