"""Whole groups whose loss no member explains: how much, since when, day by day; and technical losses over the normal."""

import json
from datetime import date

import attrs
import numpy as np
import pytest

from scada.balancing.answers import Answer, examined
from scada.balancing.examination import Inquiry, Period
from scada.cases import Suspicion
from scada.site import Medium
from tests.balancing.suspects import made
from tests.bench.feeders import Feeder

PERIOD = Period(490_896, 20, date(2026, 1, 1))


def asked(*feeders: Feeder, normal: float = 0.08, medium: Medium = Medium.ELECTRICITY) -> Inquiry:
    shape = len(feeders), len(feeders[0].members)
    return Inquiry(
        PERIOD, tuple(f"G{n}" for n in range(len(feeders))), (medium,) * len(feeders),
        (tuple(f"P{n}" for n in range(shape[1])),) * shape[0], tuple(one.feed for one in feeders),
        tuple(one.members for one in feeders), np.full(shape, 0.01), *np.zeros((2, *shape, 20), dtype=np.bool_),
        normal=(normal,) * len(feeders),
    )


def whole(answer: Answer) -> dict[int, Suspicion]:
    return {int(one.group[1:]): one for one in answer.suspicions if one.whole}


def test_what_no_member_explains_is_a_suspicion_of_the_whole_group_with_its_days() -> None:
    """A home without a meter, since the eleventh day: about how much it takes, with its days, none of them before it."""
    feeders = made.tapped()
    answer = examined(asked(*feeders))
    found = whole(answer)
    stepped = {n: one for n, one in found.items() if one.since == "2026-01-11"}
    off = [one.energy / feeders[n].tap.sum() for n, one in stepped.items()]
    days = np.array([one.unassigned for one in stepped.values()])

    assert {f"G{n}" for n in found} == {one.group for one in answer.states if one.state == "unmetered"}
    assert len(stepped) >= 4
    assert np.median(np.abs(np.array(off) - 1.0)) < 0.2
    assert all(one.suspect and one.cause == "unmetered" and one.energy > one.half_width > 0 for one in found.values())
    assert all("no member explains it" in one.reason and f"since {one.since}" in one.reason for one in found.values())
    assert days[:, :10].mean(axis=1) == pytest.approx(np.zeros(len(days)), abs=1e-3)
    assert days[:, 10:].sum(axis=1) == pytest.approx([one.energy for one in stepped.values()], abs=0.01)
    assert all(len(one.imbalance) == 20 for one in found.values())


def test_a_group_whose_members_explain_it_has_no_case_of_its_own() -> None:
    assert whole(examined(asked(*made.steady()))) == {}


@pytest.mark.parametrize(("normal", "told"), [(0.08, False), (0.02, True)])
def test_technical_losses_are_a_case_only_where_they_are_over_what_is_normal(normal: float, told: bool) -> None:
    """Some 4 % are lost in clean groups: all of it is in the case, and what of it nobody explains is in its days."""
    clean = made.clean()
    answer = examined(asked(*clean, normal=normal))
    found = whole(answer)

    assert {one.state for one in answer.states} == {"technical"}
    assert (len(found) == len(clean)) is told
    for n, one in found.items():
        assert one.cause == "technical"
        assert one.energy == pytest.approx(clean[n].imbalance.sum(), rel=1e-6)
        assert f"{100 * one.energy / clean[n].feed.sum():.1f} % of the feed are missing" in one.reason
        assert sum(one.unassigned) < 0.5 * one.energy


def test_losses_that_a_power_flow_knows_are_part_of_what_is_missing() -> None:
    """Taken off the imbalance, but lost all the same."""
    one = made.clean()[0]
    inquiry = attrs.evolve(asked(one, normal=0.02), technical=(0.7 * one.loss,))
    (found,) = whole(examined(inquiry)).values()

    assert found.energy == pytest.approx(one.imbalance.sum(), rel=1e-6)
    assert sum(found.imbalance) == pytest.approx((one.imbalance - 0.7 * one.loss).sum(), rel=1e-3)


def test_a_day_that_is_missing_is_not_known_and_the_file_gives_back_what_it_was_given() -> None:
    """It is not counted as nothing."""
    one = made.tapped()[2]
    feed = one.feed.copy()
    feed[15 * 24:16 * 24] = np.nan
    (found,) = whole(examined(asked(attrs.evolve(one, feed=feed)))).values()
    again = Suspicion.from_json(json.loads(json.dumps(found.to_json())))

    assert [n for n, day in enumerate(found.unassigned) if day != day] == [15]
    assert found.energy > 0
    assert again.unassigned[:15] == found.unassigned[:15]
    assert again.unassigned[15] != again.unassigned[15]
    assert again.whole
