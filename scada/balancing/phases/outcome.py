"""What became of a work order: which of its moves the registry has by now, and what they gave in what was metered since."""

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.achieved import Gain, like_for_like, without_moves
from scada.balancing.phases.gather import Sources, Told, feed, offsets
from scada.balancing.phases.inputs import W_PER_KWH
from scada.balancing.phases.orders import NAMES
from scada.clock import DAY_H, HOUR_S, NS
from scada.phase_orders import Achieved, MeasuredGain, MoveState, NoGain, OrderedMove, OrderState, PhaseOrder, Proposal
from scada.phase_study import PhaseStudy
from scada.site import Directory
from scada.tags import BAD

LEAST_DAYS: Final = 7                   # after, and before: every day of the week once
MOST_DAYS: Final = 28                   # of each: weeks near to the moves
HOURS_OF_DAY: Final = 18                # of the feed, from which a day counts
WEEK_H: Final = 7 * DAY_H
SEED: Final = 5


def proposed(found: PhaseStudy) -> Proposal:
    """What is kept of a study when somebody orders its moves."""
    registered = {one.point: one.registered for one in found.consumers}
    chosen = next((one for one in reversed(found.points) if one.moves == len(found.order)), None)
    return Proposal(
        found.first_hour, found.hours, found.objective,
        tuple(
            OrderedMove(one.point, one.title, one.of, one.to, registered.get(one.point, ""), one.left, one.measure_first)
            for one in found.order
        ),
        found.points[0].check if found.points else None, chosen.check if chosen is not None else None,
    )


def move_states(proposal: Proposal, directory: Directory) -> tuple[MoveState, ...]:
    """What the registry says of each move by now."""
    return tuple(_state(one, directory) for one in proposal.moves)


def outcome(
    order: PhaseOrder, directory: Directory, zone: ZoneInfo, now_hour: int, sources: Sources,
    told: Told = lambda _what: None,
) -> Achieved:
    """
    Return what an order has given, from the feed's meter and the moved consumers' hours. Blocking.

    Before are the last weeks up to the order, after those since the day after the crew was there; the days between belong
    to neither. Days with less than `HOURS_OF_DAY` hours of the feed do not count.
    """
    states = move_states(order.proposal, directory)
    done = [one for one, state in zip(order.proposal.moves, states, strict=True) if state is MoveState.DONE]
    if order.state is not OrderState.DONE:
        return Achieved(order.number, states, NoGain.NOT_DONE)
    if not done:
        return Achieved(order.number, states, NoGain.NONE_MOVED)
    group = directory.balance_group[order.group]
    end = min(order.made // NS // HOUR_S, _midnight(zone, order.done_on))
    begin = _midnight(zone, order.done_on, 1)
    last = _midnight(zone, datetime.fromtimestamp(now_hour * HOUR_S, zone).date().isoformat())
    count = min(max(last - begin, 0), MOST_DAYS * DAY_H)
    if count < LEAST_DAYS * DAY_H:
        return Achieved(order.number, states, NoGain.TOO_EARLY, (count // DAY_H, LEAST_DAYS))
    before = feed(group, end - MOST_DAYS * DAY_H, MOST_DAYS * DAY_H, sources.steps, told)
    after = feed(group, last - count, count, sources.steps, told)
    if before is None or after is None:
        return Achieved(order.number, states, NoGain.NO_FEED)
    local_b, local_a = (
        first + np.arange(hours) + offsets(zone, first, hours)
        for first, hours in ((end - MOST_DAYS * DAY_H, MOST_DAYS * DAY_H), (last - count, count))
    )
    before, after = _whole_days(before, local_b // DAY_H), _whole_days(after, local_a // DAY_H)
    days_b, days_a = (_count(power, local // DAY_H) for power, local in ((before, local_b), (after, local_a)))
    if days_a < LEAST_DAYS:
        return Achieved(order.number, states, NoGain.TOO_EARLY, (days_a, LEAST_DAYS), days_b, days_a)
    points = [one.point for one in done]
    hours = sources.hourly(points, last - count, count)
    moved = W_PER_KWH * np.where(hours.quality < BAD, hours.values, np.nan)
    of, to = (np.array([NAMES.index(getattr(one, name)) for one in done]) for name in ("of", "to"))
    without = without_moves(after, moved, of, to, local_a // DAY_H, np.random.default_rng(SEED))
    alike = None
    if days_b >= LEAST_DAYS:
        known_b, known_a = (~np.isnan(power).any(axis=1) for power in (before, after))
        alike = like_for_like(
            before[known_b], local_b[known_b] % WEEK_H, after[known_a], local_a[known_a] % WEEK_H,
            local_a[known_a] // DAY_H, np.random.default_rng(SEED), local_b[known_b] // DAY_H,
        )
    said = [None if gain is None or np.isnan(gain.neutral) else _said(gain) for gain in (alike, without)]
    lack = None if any(said) else NoGain.NOTHING_ALIKE if days_b >= LEAST_DAYS else NoGain.FEW_BEFORE
    load = float(np.nanmean(after.sum(axis=1)) / np.nanmean(before.sum(axis=1))) if days_b else np.nan
    return Achieved(
        order.number, states, lack, (days_b, LEAST_DAYS) if lack is NoGain.FEW_BEFORE else (), days_b, days_a, load, *said)


# ---------------------------------------------------------------------- private
def _state(one: OrderedMove, directory: Directory) -> MoveState:
    point = directory.point.get(one.point)
    consumer = directory.consumer.get(point.consumer) if point is not None else None
    if consumer is None:
        return MoveState.GONE
    if one.registered == one.to:
        return MoveState.SAID_BEFORE if consumer.phases == one.to else MoveState.ELSEWHERE
    if consumer.phases == one.to:
        return MoveState.DONE
    # The registry may only have been put right: the consumer hangs where it always did.
    return MoveState.NOT_DONE if consumer.phases in (one.registered, one.of) else MoveState.ELSEWHERE


def _midnight(zone: ZoneInfo, day: str, later: int = 0) -> int:
    """First full hour of a site day. [h since 1970]"""
    when = date.fromisoformat(day) + timedelta(days=later)
    return -(-int(datetime(when.year, when.month, when.day, tzinfo=zone).timestamp()) // HOUR_S)


def _whole_days(power: NDArray[np.float64], day: NDArray[np.int64]) -> NDArray[np.float64]:
    """NaN in days of which too little is known."""
    known = ~np.isnan(power).any(axis=1)
    names, place = np.unique(day, return_inverse=True)
    enough = np.bincount(place, known, minlength=len(names)) >= HOURS_OF_DAY
    return np.asarray(np.where((known & enough[place])[:, None], power, np.nan))


def _count(power: NDArray[np.float64], day: NDArray[np.int64]) -> int:
    return len(np.unique(day[~np.isnan(power).any(axis=1)]))


def _said(gain: Gain) -> MeasuredGain:
    return MeasuredGain(gain.neutral, gain.neutral_low, gain.neutral_high, gain.squared, gain.hours, gain.left_out)
