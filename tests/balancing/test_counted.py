"""Examinations of groups of groups, of generation, of who comes and goes: who is asked, and what is settled before."""

from collections.abc import Sequence
from functools import cache
from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pytest
from numpy.typing import NDArray

from scada.balancing.answers import examined
from scada.balancing.examination import Inquiry, Sources, inquiries, period_before
from scada.clock import HOUR_S, NS
from scada.events import KeptEvent, Stream
from scada.ports import BALANCE_COLUMNS, Consumption, EventPage, EventsWanted, ResultTable
from scada.site import (
    BalanceGroup,
    BalanceMember,
    Directory,
    Medium,
    MemberRole,
    MeterPeriod,
    Module,
    Point,
    Site,
)
from tests.bench.feeders import Feeder, feeder
from tests.bench.thefts import Theft

TODAY = 480_000 // 24 * 24
PERIOD = period_before(ZoneInfo("UTC"), TODAY)
HOURS = PERIOD.hours
FLATS = 24


@cache
def houses() -> Feeder:
    """24 flats, four a house; a thief among them."""
    return feeder(100, FLATS, 20, (Theft.CONSTANT,), day_of_year=60)


class NoEvents:
    def find(self, wanted: object) -> EventPage:
        assert Stream.DEVICE
        return EventPage((), None)


def asked(
    site: Site, hourly: dict[str, NDArray[np.float64]], feeds: dict[str, NDArray[np.float64]],
    events: "NoEvents | Reported | None" = None,
) -> list[Inquiry]:
    """Inquiries of what points counted and of feeds as their balances have them."""
    def consumption(points: Sequence[str], first: int, hours: int) -> Consumption:
        values = np.array([hourly[one] for one in points])
        return Consumption(tuple(points), first, values, np.zeros(values.shape, np.uint8), ("kWh",) * len(points))

    def table(group: str, span: int, first: int, last: int) -> ResultTable:
        start = np.arange(first, last, span)
        columns = {name: np.zeros(HOURS) for name in BALANCE_COLUMNS}
        return ResultTable(start, {**columns, "feed": feeds.get(group, np.full(HOURS, np.nan))})

    sources = Sources(consumption, table, events or NoEvents())  # type: ignore[arg-type]
    return list(inquiries(sources, Directory(site), site.balance_groups, PERIOD))


def group(name: str, feed: str = "", members: Sequence[str] = (), tag: str = "") -> BalanceGroup:
    return BalanceGroup(name, Medium.ELECTRICITY, feed_point=feed, feed_tag=tag, members=tuple(members))


def points(*names: str) -> tuple[Point, ...]:
    return tuple(Point(name, Medium.ELECTRICITY) for name in names)


@pytest.mark.parametrize("by_register", [False, True])
@pytest.mark.parametrize("tapped", [False, True])
def test_of_a_group_of_groups_it_is_examined_what_is_lost_between_it_and_them(by_register: bool, tapped: bool) -> None:
    """A thief in a house is the house's: its own feed has what he took. A tap before the houses is the street's alone."""
    found = houses()
    used = found.members + found.stolen
    fed = [used[4 * n:4 * n + 4].sum(axis=0) for n in range(6)]
    tap = 0.5 * used.mean(axis=0) * 4 if tapped else np.zeros(HOURS)
    names = [f"H{n}" for n in range(6)]
    site = Site(
        points=points(*(f"F{n}" for n in range(6)), *(f"P{n}" for n in range(FLATS))),
        balance_groups=(
            group("STREET", "", names),
            *(group(name, "" if by_register else f"F{n}", [f"P{m}" for m in range(4 * n, 4 * n + 4)],
                    f"M{n}/energy" if by_register else "") for n, name in enumerate(names)),
        ),
    )
    (inquiry, *_rest) = asked(
        site, {f"F{n}": one for n, one in enumerate(fed)} | {f"P{n}": one for n, one in enumerate(found.members)},
        {name: fed[n] for n, name in enumerate(names)} | {"STREET": used.sum(axis=0) + tap},
    )
    street = inquiry.groups.index("STREET")
    said = examined(inquiry)

    assert inquiry.members[street] == tuple(names)
    assert (inquiry.feed[street] - inquiry.taken[street].sum(axis=0)) == pytest.approx(tap)
    assert [one.member for one in said.suspicions if one.group == "STREET" and one.suspect] == ["STREET"] * tapped
    state = next(one for one in said.states if one.group == "STREET")
    assert state.state == ("unmetered" if tapped else "balanced")
    if tapped:
        assert state.unassigned == pytest.approx(tap.sum() / 20, rel=0.3)


def test_generation_is_fed_in_and_who_comes_or_goes_is_taken_off_the_feed() -> None:
    """Neither is asked; what is left between feed and members is what the balance has."""
    hours = np.arange(HOURS)
    flat, roof, comer = np.full(HOURS, 2.0), 1.0 + np.sin(hours), np.full(HOURS, 0.5)
    there = hours < 100
    site = Site(
        points=points("A", "B", "ROOF", "C", "LATER"), balance_groups=(group("G", "", ["A", "B"]),),
        balance_members=(
            BalanceMember("G", "ROOF", role=MemberRole.GENERATION), BalanceMember("G", "C", 0, PERIOD.first + 100),
            BalanceMember("G", "LATER", PERIOD.first + HOURS),
        ),
    )
    feed = 4.0 - roof + np.where(there, comer, 0.0)
    lost = roof.copy()
    lost[7] = np.nan
    (inquiry,) = asked(site, {"A": flat, "B": flat, "ROOF": lost, "C": comer, "LATER": np.full(HOURS, np.nan)}, {"G": feed})

    assert inquiry.members == (("A", "B"),)
    assert np.isnan(inquiry.feed[0][7])
    assert np.delete(inquiry.feed[0], 7) == pytest.approx(np.full(HOURS - 1, 4.0))


class Reported:
    """Each of two modules reported something on a day, by its channel or its EUI; one took it back."""

    def find(self, wanted: EventsWanted) -> EventPage:
        def said(source: str, kind: str, day: int, state: str = "raised") -> KeptEvent:
            return KeptEvent(Stream.DEVICE, source, kind, state, day, (PERIOD.first + 24 * day + 5) * HOUR_S * NS, True, 1)

        events = (
            said("M1.ch0", "magnet", 3), said("M1", "cover_open", 4, "cleared"), said(f"{2:016x}", "cover_open", 5),
            said("M1", "cover_open", 25),
        )
        return EventPage(tuple(one for one in events if one.kind in wanted.kinds), None)


def test_magnets_and_covers_are_told_apart_and_come_from_the_meters_module() -> None:
    """On the days on which they were raised."""
    site = Site(
        modules=(Module(1, "M1", "C01", 1), Module(2, "M2", "C01", 2)), points=points("A", "B"),
        meters=tuple(MeterPeriod(f"S{n}", name, n, 0, 100.0, 0) for n, name in ((1, "A"), (2, "B"))),
        balance_groups=(group("G", "", ["A", "B"]),),
    )
    (inquiry,) = asked(site, {name: np.ones(HOURS) for name in "AB"}, {"G": np.full(HOURS, 2.0)}, Reported())

    assert np.argwhere(inquiry.magnets).tolist() == [[0, 0, 3]]
    assert np.argwhere(inquiry.covers).tolist() == [[0, 1, 5]]


def test_a_sub_meter_is_in_its_meter_and_not_asked_beside_it() -> None:
    site = Site(
        points=(*points("A", "B"), attrs.evolve(points("SUB")[0], sub_meter_of="A")),
        balance_groups=(group("G", "", ["A", "B", "SUB"]),),
    )
    one = np.ones(HOURS)
    (inquiry,) = asked(site, {"A": one, "B": one, "SUB": one}, {"G": 2 * one})

    assert inquiry.members == (("A", "B"),)
