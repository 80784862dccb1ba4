"""Both ways together: who, since when, how much, why; and when it is nobody who is a member."""

import datetime
from functools import cache

import attrs
import numpy as np
import pytest

from scada.balancing.suspects.columns import Groups, stacked
from scada.balancing.suspects.evidence import evidence
from scada.balancing.suspects.examine import Report, examine
from scada.balancing.suspects.history import Windows, change
from scada.balancing.suspects.onset import onset
from scada.balancing.suspects.reasons import english, reasons
from scada.balancing.suspects.signatures import Pattern
from scada.balancing.suspects.states import State
from scada.balancing.suspects.verdicts import Cause
from scada.site import Medium
from tests.balancing.suspects import made
from tests.bench.feeders import feeder
from tests.bench.thefts import Theft


@cache
def examined(which: str) -> tuple[Groups, Report]:
    groups = made.together(getattr(made, which)())
    return groups, examine(groups)


def test_thieves_of_every_kind_are_ranked_first() -> None:
    """Most of the first three are thieves, where way 1 alone sees some kinds not at all."""
    _, report = examined("mixed")
    bad = made.thieves(made.mixed())
    first, alone = (
        np.take_along_axis(bad, np.argsort(-score, axis=1)[:, :3], axis=1).mean()
        for score in (report.found.score, report.first.score)
    )

    assert first > 0.75
    assert alone < 0.5


def test_the_day_of_the_step_is_found() -> None:
    """Of the group's imbalance, and of each thief."""
    _, report = examined("mixed")
    bad = made.thieves(made.mixed())

    assert (np.abs(report.before - 10) <= 1).mean() > 0.8
    assert np.median(np.abs(report.said.since[report.said.suspect & bad] - 10)) <= 1


def test_the_interval_of_a_beginning_holds_the_true_day_and_grows_with_doubt() -> None:
    """Nine of ten hold it, most of a few days, more where days are noisier; what was always there has none."""
    _, report = examined("mixed")
    found = onset(report.found)
    right = report.said.suspect & made.thieves(made.mixed()) & (found.latest >= 0)
    day = np.zeros((*right.shape, 20), dtype=bool)
    day[..., 10] = True
    noise = 2.0 * report.found.course.std(axis=2, keepdims=True) * np.random.default_rng(1).normal(size=(*right.shape, 20))
    noisy = onset(attrs.evolve(report.found, course=report.found.course + noise))
    steady = onset(examined("steady")[1].found)

    assert right.sum() > 20
    assert found.holds(day)[right].mean() > 0.85
    assert np.median((found.latest - found.earliest)[right]) <= 3
    assert np.median((noisy.latest - noisy.earliest)[right]) > 6
    assert not steady.holds(np.ones((*steady.day.shape, 20), dtype=bool))[steady.day == 0].any()


def test_honest_people_are_not_named() -> None:
    """Neither beside thieves, nor in clean groups, nor for a connection that has no meter."""
    for which in ("mixed", "steady", "clean", "tapped"):
        _, report = examined(which)
        honest = ~made.thieves(getattr(made, which)())

        assert report.said.suspect[honest].mean() <= 0.004, which


def test_a_connection_without_a_meter_is_unassigned() -> None:
    """No member explains it, and the group says so; clean groups are technical."""
    _, report = examined("tapped")
    clean = examined("clean")[1].said

    assert (report.said.state == State.UNMETERED).mean() > 0.6
    assert (clean.state == State.TECHNICAL).all()
    assert (np.abs(clean.unassigned) < 0.02 * made.clean()[0].feed.sum() / 20).all()


def test_what_was_taken_is_said_with_its_doubt() -> None:
    """Three quarters or more of the true amounts are within the intervals of 90 %; shunts of long standing nearly exact."""
    for which, error in (("mixed", 0.4), ("steady", 0.06)):
        _, report = examined(which)
        feeders = getattr(made, which)()
        stolen = np.array([one.stolen.sum(axis=1) for one in feeders])
        right = report.said.suspect & made.thieves(feeders)
        off = np.abs(report.said.energy - stolen)[right]

        assert np.median(off / stolen[right]) < error
        assert (off < report.said.half_width[right]).mean() > 0.7


def test_a_bypass_by_hours_is_called_so() -> None:
    """Nothing in the same hours of each day, since the eleventh day."""
    feeders = tuple(feeder(500 + seed, 40, 20, (Theft.WINDOW,) * 2, since_day=10, day_of_year=60) for seed in range(4))
    report = examine(made.together(feeders))
    right = report.said.suspect & made.thieves(feeders)

    assert right.sum() >= 6
    assert (report.said.cause[right] == Cause.BYPASS_HOURS).mean() > 0.7


@pytest.mark.parametrize("loss", [0.0, 0.04])
def test_somebody_who_went_away_has_changed_habits(loss: float) -> None:
    """A fifth of what he took, and the imbalance stays, or rises by a tenth of that (loss that stays without its cause)."""
    group = feeder(600, 40, 20, day_of_year=60, loss=loss)
    busiest = int(np.argsort(group.members[:, :240].sum(axis=1))[-3])
    members, feed = group.members.copy(), group.feed.copy()
    feed[240:] -= 0.8 * members[busiest, 240:]
    members[busiest, 240:] *= 0.2
    report = examine(stacked([feed], [members]), before=10)

    assert report.said.cause[0, busiest] == Cause.CHANGED_HABITS
    assert not report.said.suspect.any()


def test_the_same_fall_with_a_rise_of_the_imbalance_is_a_suspect() -> None:
    """He takes what he took, and registers a fifth: C7's first case. What was reported that day is named, each by its own
    name; what is reported again and again later, when a crew opens the cover, did not begin it."""
    group = feeder(600, 40, 20, day_of_year=60, skew=0.0)
    busiest = int(np.argsort(group.members[:, :240].sum(axis=1))[-3])
    members = group.members.copy()
    members[busiest, 240:] *= 0.2
    groups = stacked([group.feed], [members])
    that_day, later = np.zeros((2, 1, 40, 20), dtype=bool)
    that_day[0, busiest, 10] = later[0, busiest, [17, 18]] = True

    def cause(**events: np.ndarray) -> Cause:
        return Cause(examine(groups, **events).said.cause[0, busiest])

    assert cause() == cause(magnets=later, covers=later) == Cause.FAULTY_METER
    assert cause(magnets=that_day) == cause(magnets=that_day, covers=that_day) == Cause.MAGNET
    assert cause(covers=that_day, magnets=later) == Cause.COVER_OPENED


@pytest.mark.parametrize(("factor", "cause"), [(0.0, Cause.NOTHING), (-1.0, Cause.REVERSED)])
def test_who_registers_nothing_is_told_apart_from_a_register_that_counts_backwards(factor: float, cause: Cause) -> None:
    """Pulses have no sign: nothing may be a bypass, a meter that stands still, or swapped wires. Only a register with a
    sign, of a child group's feed, shows the last."""
    group = feeder(601, 40, 20, day_of_year=60)
    busiest = int(np.argsort(group.members[:, :240].sum(axis=1))[-3])
    members = group.members.copy()
    members[busiest, 240:] *= factor
    groups = stacked([group.feed], [members])
    report = examine(groups)
    mine = next(
        one for one in reasons(groups, report.first, report.found, report.said) if (one.group, one.member) == (0, busiest)
    )

    def said(medium: Medium) -> str:
        return english(mine, datetime.date(2026, 3, 1), medium)

    assert report.said.cause[0, busiest] == cause
    assert ("bypass, stands still or phase and neutral swapped" in said(Medium.ELECTRICITY)) is (cause is Cause.NOTHING)
    assert ("neutral" in said(Medium.WATER)) is (cause is Cause.REVERSED)


def test_not_enough_data_says_what_is_lacking() -> None:
    """Hours of the group, or one member's register."""
    group = feeder(602, 30, 20, day_of_year=60)
    few = group.members.copy()
    few[4, 30:] = np.nan
    coarse = group.members.copy()
    coarse[5] = np.diff(np.floor(np.cumsum(coarse[5])), prepend=0.0)
    groups = stacked([group.feed] * 2, [few, coarse])
    resolution = np.full((2, 30), 0.01)
    resolution[1, 5] = 1.0
    report = examine(groups, resolution)

    assert report.said.state.tolist()[0] == State.NOT_ENOUGH_DATA
    assert (report.said.cause[0] == Cause.FEW_HOURS).all()
    assert report.said.cause[1, 5] == Cause.COARSE_REGISTER


@pytest.mark.filterwarnings("error")
def test_groups_that_are_odd_spoil_nothing() -> None:
    """Nothing known, nothing taken, one member, no member, more registered than fed: each has its state."""
    group = feeder(603, 20, 20, day_of_year=60)
    fed, members = group.feed, group.members
    odd = [
        (fed, members, State.TECHNICAL), (np.full(480, np.nan), members, State.NOT_ENOUGH_DATA),
        (np.zeros(480), np.zeros((4, 480)), State.BALANCED), (fed, members[:1], State.UNMETERED),
        (fed, np.zeros((0, 480)), State.UNMETERED), (0.9 * fed, members, State.SURPLUS),
    ]
    said = examine(stacked([one[0] for one in odd], [one[1] for one in odd])).said

    assert said.state.tolist() == [one[2] for one in odd]
    assert not said.suspect.any()
    assert np.isfinite(said.energy).all()


def test_a_reason_is_said_in_a_sentence() -> None:
    """With share, day and amount; the numbers are there for other languages."""
    groups, report = examined("steady")
    first = reasons(groups, report.first, report.found, report.said)[0]
    text = english(first, datetime.date(2026, 3, 1))

    assert first.pattern == Pattern.STEADY
    assert first.cause == Cause.FAULTY_METER
    assert text.startswith("slow, failed or tampered meter; its profile explains ")
    assert f"{100 * first.share:.0f} % of the imbalance" in text
    assert text.endswith(f"; {first.energy:.0f} ± {first.half_width:.0f} kWh")
    assert "2026-03-01" in text


def test_suspects_come_first_and_the_list_is_bounded() -> None:
    """By score, whatever group."""
    groups, report = examined("mixed")
    listed = reasons(groups, report.first, report.found, report.said, limit=30)
    suspects = [one.since >= 0 for one in listed]

    assert len(listed) <= 30
    assert suspects == sorted(suspects, reverse=True)
    assert sum(suspects) == min(30, report.said.suspect.sum())


def test_evidence_is_forecast_consumption_and_imbalance() -> None:
    """Missing hours stay missing."""
    group = made.mixed()[0]
    members = group.members.copy()
    members[2, 5] = np.nan
    groups = stacked([group.feed], [members])
    shown = evidence(groups, examine(groups).found, 0, 2)
    there = np.delete(np.arange(480), 5)

    assert np.isnan(shown.registered[5])
    assert np.isnan(shown.imbalance[5])
    assert shown.registered[6] == members[2, 6]
    assert shown.daily_registered[1] == pytest.approx(members[2, 24:48].sum())
    assert shown.forecast[:24] == pytest.approx(shown.forecast[24:48])
    assert shown.mean_registered[5] == pytest.approx(members[2, 5 + 24::24].mean())
    assert shown.mean_imbalance[6] == pytest.approx((group.feed - members.sum(axis=0))[6::24].mean())
    assert shown.resemblance == pytest.approx(
        np.corrcoef(members[2, there], (group.feed - members.sum(axis=0))[there])[0, 1]
    )
    with pytest.raises(IndexError, match="has 50 members, there is no member 50"):
        evidence(stacked([group.feed] * 2, [np.vstack([members] * 2), members]), examined("mixed")[1].found, 1, 50)


def test_a_forecast_is_of_like_days() -> None:
    """Weekends from weekends where there are three of their days, else from all."""
    hours = np.tile(np.where(np.arange(28) % 7 >= 5, 3.0, 1.0)[:, None], (1, 24)).ravel()[None]
    groups = stacked([hours[0]], [hours])
    like = (np.arange(28) % 7 >= 5).astype(np.int64)
    forecast = change(groups, Windows(14, 28), like).forecast[0, 0].reshape(28, 24)[:, 0]
    short = change(groups, Windows(6, 28), like).forecast[0, 0].reshape(28, 24)[:, 0]

    assert forecast.tolist() == hours[0, ::24].tolist()
    assert short[26] < 3.0


def test_windows_must_fit() -> None:
    """Three days on either side, and the days of the groups."""
    with pytest.raises(ValueError, match="at least 3 before and after"):
        Windows(2, 20)
    with pytest.raises(ValueError, match="groups have 480 hours, windows 21 days"):
        change(examined("clean")[0], Windows(10, 21))
    with pytest.raises(ValueError, match="5 days: 10 or more expected"):
        examine(stacked([np.ones(120)], [np.ones((3, 120))]))
