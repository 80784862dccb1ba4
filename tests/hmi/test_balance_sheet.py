"""A balance in lines adds up, whatever is in it; groups of groups lead up and down; an estimate is called one."""

import re
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hmi.balance_sheet import sheet
from hmi.group_tree import as_tree, trail
from scada.ports import BALANCE_COLUMNS, ResultTable
from scada.site import BalanceGroup, BalanceMember, Directory, GroupKind, Medium, MemberRole, Site
from tests.hmi.conftest import Person
from tests.hmi.fakes import World

NAN = float("nan")


@given(hnp.arrays(np.float64, (7, 5), elements=st.floats(-100, 100)), hnp.arrays(np.bool_, (2, 5)))
def test_every_line_follows_from_those_above_it(drawn: Any, flags: Any) -> None:
    """With and without technical losses, and only over intervals in which the balance is known."""
    names = ("feed", "members", "common", "generation", "own", "uncertainty", "technical")
    columns = {**dict(zip(names, drawn, strict=True)), "estimated": np.zeros(5)}
    columns["technical"] = np.where(flags[0], NAN, columns["technical"])
    found = sheet(columns, flags[1], np.ones(5, np.bool_), 0.08)
    deducted = 0.0 if np.isnan(found.technical) else found.technical

    assert found.fed - found.consumption - found.common + found.generation == pytest.approx(found.imbalance, abs=1e-9)
    assert found.imbalance - deducted - found.own == pytest.approx(found.unexplained, abs=1e-9)
    assert deducted + found.unexplained == pytest.approx(found.lost, abs=1e-9)
    assert found.lost - found.normal == pytest.approx(found.beyond, abs=1e-9)
    assert found.imbalance == pytest.approx((columns["feed"] - columns["members"])[flags[1]].sum(), abs=1e-9)


def nested() -> Directory:
    """A city of two streets; a house in both, in the second until hour 100; and two that contain each other."""
    groups = tuple(
        BalanceGroup(name, Medium.WATER, feed_point="F", members=members)
        for name, members in (
            ("HOUSE", ()), ("CITY", ("S1", "S2")), ("S1", ("HOUSE",)), ("S2", ()), ("A", ("B",)), ("B", ("A",)),
        )
    )
    return Directory(Site(balance_groups=groups, balance_members=(BalanceMember("S2", "HOUSE", 0, 100),)))


def test_groups_are_a_tree_in_which_each_stands_once() -> None:
    """Below the first that has it; a circle ends."""
    assert [(group.name, depth) for group, depth in as_tree(nested(), 50)] == [
        ("CITY", 0), ("S1", 1), ("HOUSE", 2), ("S2", 1), ("A", 0), ("B", 1),
    ]
    assert [one.name for one in trail(nested(), "HOUSE", 50)[0]] == ["CITY", "S1"]
    assert [one.name for one in trail(nested(), "HOUSE", 50)[1]] == ["S2"]
    assert trail(nested(), "HOUSE", 100)[1] == ()
    assert [one.name for one in trail(nested(), "A", 50)[0]] == ["B"]


@pytest.fixture
def street(world: World) -> World:
    """BG-T01 is a house in a street, with a lift and a roof."""
    site = world.registry.directory.site
    house = attrs.evolve(site.balance_groups[0], kind=GroupKind.HOUSE, members=site.balance_groups[0].members[2:])
    roof, lift = site.balance_groups[0].members[:2]
    parent = BalanceGroup(
        "BG-street", Medium.ELECTRICITY, "Long street", feed_tag="T01-meter/energy_import", members=("BG-T01",),
        kind=GroupKind.STREET,
    )
    members = (
        BalanceMember("BG-T01", lift, 0, None, MemberRole.COMMON),
        BalanceMember("BG-T01", roof, 0, None, MemberRole.GENERATION),
    )
    world.registry.directory = Directory(attrs.evolve(
        site, balance_groups=(house, site.balance_groups[1], parent), balance_members=members,
    ))
    return world


def test_a_house_leads_to_its_street_and_back(street: World, person: Callable[..., Person]) -> None:
    client = person("viewer").client
    house, above, index = (client.get(path).text for path in ("/balance/BG-T01", "/balance/BG-street", "/balance"))

    assert re.search(r'class="crumbs">.*/balance/BG-street">Long street</a> › <span aria-current="page">BG-T01', house)
    assert "house, electricity" in house
    assert "local generation" in house
    assert re.search(r"Groups in it.*/balance/BG-T01", above, re.DOTALL)
    assert index.index("BG-street") < index.index("BG-T01")


def test_the_lines_of_the_page_add_up(
    street: World, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are printed, in the units of the medium."""
    row = dict.fromkeys(BALANCE_COLUMNS, 0.0) | {
        "feed": 100.0, "members": 80.0, "common": 5.0, "generation": 2.0, "imbalance": 20.0, "technical": 3.0, "own": 1.0,
        "unexplained": 16.0, "uncertainty": 1.5, "completeness": 1.0, "version": 1.0,
    }
    monkeypatch.setattr(street.services.balances, "table", lambda group, span, first, last, as_of=None: ResultTable(
        np.array([first]), {name: np.array([value]) for name, value in row.items()}
    ))
    text = person("viewer").client.get("/balance/BG-T01").text
    lines = re.search(r'class="rows figures sheet">(.*?)</table>', text, re.DOTALL)
    assert lines is not None
    found = [float(one) for one in re.findall(r'class="num">(?:<b>)?(-?[\d.]+)', lines.group(1))]

    assert found == [100.0, 77.0, 5.0, 2.0, 20.0, 3.0, 1.0, 16.0, 19.0, 8.0, 11.0]
    assert lines.group(1).count("kWh") == 11


@pytest.mark.parametrize("measured", [0.5, 1.0])
def test_an_estimated_hour_is_never_shown_as_measured_whole(
    street: World, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch, measured: float
) -> None:
    """Neither where members are estimated nor where only the feed is: on the page, the index, the overview."""
    whole = street.services.balances.table

    def estimated(*arguments: Any) -> ResultTable:
        table = whole(*arguments)
        table.columns["imbalance"][:] = table.columns["unexplained"][:] = table.columns["imbalance_percent"][:] = 1.0
        table.columns["completeness"][:], table.columns["estimated"][:] = measured, 0.5
        return table

    monkeypatch.setattr(street.services.balances, "table", estimated)
    client = person("viewer").client
    page, index, overview = (client.get(path).text for path in ("/balance/BG-T01", "/balance", "/"))

    assert 'class="bar whole' not in page
    assert "1.000 kWh (estimated)" in page
    for text in (page, index, overview):
        assert "≈ 1.0" in text
        assert "estimated" in text


def test_doubtful_hours_are_named_in_the_balance_and_in_the_list(
    street: World, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifth of the member-hours had a magnet or a doubtful clock; rows from before that was kept say nothing of it."""
    whole = street.services.balances.table

    def doubtful(*arguments: Any) -> ResultTable:
        table = whole(*arguments)
        table.columns["doubtful"][:] = 0.2
        return table

    def former(*arguments: Any) -> ResultTable:
        table = whole(*arguments)
        return ResultTable(table.start, {name: column for name, column in table.columns.items() if name != "doubtful"})

    said = {}
    for which in (doubtful, former):
        monkeypatch.setattr(street.services.balances, "table", which)
        client = person("viewer").client
        said[which] = [client.get(path).text for path in ("/balance/BG-T01", "/balance")]

    assert all("? 20.0 % doubtful" in text for text in said[doubtful])
    assert not any("doubtful" in text for text in said[former])
