"""Which hours a change of the registry touches: those whose balances it can alter, and no other."""

import json

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.balancing.basis import LOOK_BACK_H, Basis, joined, touched, without
from scada.site import Directory, Medium, MeterPeriod, Point
from tests.balancing.world import estate
from tests.metering.world import HOUR

NOW = HOUR + 5000
SINCE = HOUR - 2000


def basis(site):
    directory = Directory(site)
    return Basis.of(directory, directory.balance_group["BG-1"])


def moved(site, point, **changes):
    """The meters of a point, changed."""
    return attrs.evolve(site, meters=tuple(
        attrs.evolve(one, **changes) if one.point == point else one for one in site.meters
    ))


BASE = estate()                         # P0 and P1, since HOUR - 1000


@pytest.mark.parametrize(("changes", "expected"), [
    ({"valid_from": HOUR - 1500}, [(HOUR - 1500, HOUR - 1000)]),
    ({"valid_from": HOUR - 9000}, [(SINCE, HOUR - 1000)]),                  # nothing is held before
    ({"valid_from": HOUR + 100}, [(HOUR - 1000, HOUR + 100)]),
    ({"valid_to": HOUR + 200}, [(HOUR + 200, NOW)]),
    ({"valid_to": NOW + 1}, []),                                            # hours that are not over yet
    ({"eui": 77}, [(HOUR - 1000, NOW)]),
    ({"serial": "other", "start_register": 7.0}, []),
    ({"pulses_per_unit": 500.0}, [(HOUR - 1000, NOW)]),
])
def test_a_period_that_moves_touches_the_hours_between(changes, expected):
    """Also far back, and not one hour more."""
    assert touched(basis(BASE), basis(moved(BASE, "P1", **changes)), SINCE, NOW) == expected


def test_a_swap_touches_what_comes_after_it():
    """The old meter ends where the new one begins."""
    site = moved(BASE, "P1", valid_to=HOUR + 10)
    site = attrs.evolve(site, meters=(*site.meters, MeterPeriod("new", "P1", 50, 0, 1000.0, HOUR + 10)))

    assert touched(basis(BASE), basis(site), SINCE, NOW) == [(HOUR + 10, NOW)]


def test_another_member_touches_all_hours_of_the_group():
    """Also those before its meter: how many are expected is in every row."""
    site = attrs.evolve(
        BASE, points=(*BASE.points, Point("P2", Medium.ELECTRICITY)),
        balance_groups=(attrs.evolve(BASE.balance_groups[0], members=("P0", "P1", "P2")),),
    )

    assert touched(basis(BASE), basis(site), SINCE, NOW) == [(HOUR - 1000, NOW)]


@pytest.mark.parametrize("changes", [{"title": "another"}, {"limit_percent": 5.0}, {"members": ("P1", "P0")}])
def test_what_no_balance_depends_on_touches_nothing(changes):
    """Names, alarms, the order of a list."""
    site = attrs.evolve(BASE, balance_groups=(attrs.evolve(BASE.balance_groups[0], **changes),))

    assert touched(basis(BASE), basis(site), SINCE, NOW) == []


@pytest.mark.parametrize(("since", "expected"), [
    (SINCE, (HOUR - 1000, NOW)), (HOUR, (HOUR, NOW)), (None, (NOW - LOOK_BACK_H, NOW)),
])
def test_a_new_group_begins_where_its_meters_and_the_history_do(since, expected):
    """A week at least: its feed may be older than its members' hours."""
    assert touched(None, basis(BASE), since, NOW) == [expected]


def test_a_basis_is_the_same_when_it_is_read_back():
    """Otherwise every start would compute everything anew."""
    assert Basis.from_json(json.loads(json.dumps(attrs.asdict(basis(BASE))))) == basis(BASE)


spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


def hours(parts):
    return {hour for first, last in parts for hour in range(first, last)}


@given(spans, st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple))
def test_spans_are_sets_of_hours(parts, gone):
    """Joined and cut, ascending, none of them empty and no two that touch."""
    parts = [part for part in parts if part[0] < part[1]]
    one, two = joined(parts), without(parts, gone)

    assert hours(one) == hours(parts)
    assert hours(two) == hours(parts) - hours([gone])
    for found in (one, two):
        flat = np.array(found).reshape(-1)
        assert (np.diff(flat) > 0).all()
