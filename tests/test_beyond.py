"""What is beyond expected losses: a normal group of any medium is quiet, and so is a doubt that reaches the limit."""

import math

import pytest

from scada.beyond import beyond
from scada.site import BalanceGroup, Medium

NAN = math.nan


def judged(imbalance: float, doubt: float = 0.0, medium: Medium = Medium.ELECTRICITY, feed: float = 100.0, **row: float):
    return beyond(BalanceGroup("G", medium), {"imbalance": imbalance, "feed": feed, "uncertainty": doubt, **row})


@pytest.mark.parametrize(("medium", "normal", "limit"), [
    (Medium.ELECTRICITY, 8.0, 10.0), (Medium.GAS, 9.0, 10.0), (Medium.WATER, 12.0, 12.0), (Medium.HEAT, 12.0, 12.0),
])
def test_each_medium_has_its_normal_loss_and_its_limit(medium: Medium, normal: float, limit: float) -> None:
    """What is lost as usual is nothing; then the limit, and not before."""
    usual, just, more = (judged(normal + beyond, medium=medium) for beyond in (0.0, limit - 0.1, limit + 0.1))

    assert (usual.percent, usual.over) == (0.0, False)
    assert not just.over
    assert more.over
    assert more.percent == pytest.approx(limit + 0.1)


def test_a_technical_loss_that_is_computed_takes_the_place_of_the_normal_one() -> None:
    """Either way: three per cent are lost, so fourteen are eleven too many, and what is lost is not registered too much."""
    assert judged(14.0, technical=3.0).percent == pytest.approx(11.0)
    assert judged(14.0, technical=3.0).over
    assert not judged(14.0, technical=NAN).over
    assert judged(-8.0, technical=3.0).percent == pytest.approx(-11.0)


def test_own_consumption_of_the_metering_is_no_loss_that_anybody_made() -> None:
    assert judged(20.0, own=2.0).percent == pytest.approx(10.0)


def test_who_loses_less_than_is_normal_is_not_in_surplus() -> None:
    """Members that register more than was fed are, from the whole of it on."""
    assert judged(0.0).percent == 0.0
    assert judged(5.0, medium=Medium.WATER).percent == 0.0
    assert judged(-11.0).percent == pytest.approx(-11.0)
    assert judged(-11.0).over


@pytest.mark.parametrize(("imbalance", "doubt", "over"), [
    (20.0, 1.9, True), (20.0, 2.1, False), (-12.0, 1.9, True), (-12.0, 2.1, False), (30.0, NAN, True),
])
def test_where_the_doubt_reaches_the_limit_nothing_is_said(imbalance: float, doubt: float, over: bool) -> None:
    assert judged(imbalance, doubt).over is over


@pytest.mark.parametrize("row", [{"imbalance": NAN}, {"feed": NAN}, {"feed": 0.0}])
def test_of_a_balance_that_is_not_known_nothing_is_judged(row: dict[str, float]) -> None:
    found = beyond(BalanceGroup("G", Medium.WATER), {"imbalance": 50.0, "feed": 100.0, **row})

    assert not found.over
    assert found.percent != found.percent


def test_a_group_has_its_own_limit_and_its_own_normal_loss_where_it_is_given_them() -> None:
    """Of a feed that runs the other way the share is of its size."""
    group = BalanceGroup("G", Medium.WATER, normal_loss=0.02, limit_percent=3.0)

    assert not beyond(group, {"imbalance": 4.9, "feed": 100.0}).over
    assert beyond(group, {"imbalance": 5.1, "feed": 100.0}).over
    assert beyond(group, {"imbalance": 5.1, "feed": -100.0}).over
