"""What the search for leaks is made of: reads the hours of metering points, a batch of them at a time. Blocking.

`leak_inquiries` runs where the stores are, `leaks_of` wherever there is a processor to spare.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.examination import BUDGET, Period
from scada.balancing.suspects.leaks import LEAST, Flow, Standing, leaks, standby, standing
from scada.leaks import Flowing, MediumNight, Standby, TooLittle, Unknown
from scada.ports import Consumption
from scada.site import Directory, Medium
from scada.tags import BAD

Hourly = Callable[[Sequence[str], int, int], Consumption]           # points, first hour, hours. Blocking
NO_METER: Final = 0.0                   # resolution of a point without a meter
STRONGEST: Final = 200                  # of what is always on, a batch
TOLD: Final = 500                       # points of a batch of which nothing can be said, by name; all are counted


@attrs.frozen(eq=False)
class Inquiry:
    """Some metering points of one medium, with everything that `leaks_of` needs."""

    medium: Medium
    period: Period
    points: tuple[str, ...]
    taken: NDArray[np.float64]          # (n, h) [kWh or m³]; NaN where bad or missing
    resolution: NDArray[np.float64]     # (n,) one count [kWh or m³]; 0 = no meter
    watched: NDArray[np.bool_]          # (n,) a leak is open there: it is told of whatever it does
    told: int = TOLD


@attrs.frozen
class Answer:
    night: MediumNight                  # of these points alone; `feeds` is not known here
    flowing: tuple[Flowing, ...]        # leaks that run, and what became of those that are watched
    unknown: tuple[Unknown, ...]        # `told` at most
    standby: tuple[Standby, ...]        # the strongest


def examined_points(directory: Directory) -> tuple[Mapping[Medium, list[str]], Mapping[Medium, int]]:
    """
    Return whose flow should stop at night, by medium, and how many meters feed others and are left out.

    What feeds a group, or has sub-meters behind it, serves many homes: it does not stop, and is their balance's matter.
    """
    site = directory.site
    feeds = {group.feed_point for group in site.balance_groups if directory.members_of_group.get(group.name)}
    feeds |= {point.sub_meter_of for point in site.points}
    chosen: dict[Medium, list[str]] = {medium: [] for medium in Medium}
    left: dict[Medium, int] = dict.fromkeys(Medium, 0)
    for point in site.points:
        if point.name in feeds:
            left[point.medium] += 1
        else:
            chosen[point.medium].append(point.name)
    return chosen, left


def leak_inquiries(
    hourly: Hourly, directory: Directory, points: Mapping[Medium, Sequence[str]], period: Period,
    watched: Collection[str] = (), *, told: int = TOLD, budget: int = BUDGET,
) -> Iterator[Inquiry]:
    """Return batches as they are asked for: one is in memory at a time."""
    at_once = max(budget // period.hours, 1)
    for medium, names in points.items():
        for start in range(0, len(names), at_once):
            some = tuple(names[start:start + at_once])
            found = hourly(some, period.first, period.hours)
            yield Inquiry(
                medium, period, some, np.where(found.quality < BAD, found.values, np.nan),
                np.array([_count(directory, point, period.first) for point in some]),
                np.array([point in watched for point in some], dtype=np.bool_), told,
            )


def leaks_of(inquiry: Inquiry) -> Answer:
    """Pure: the arithmetic, and a value for each point that there is something to say of."""
    metered = inquiry.resolution > NO_METER
    if inquiry.medium is Medium.ELECTRICITY:
        return _always_on(inquiry, metered)
    least = LEAST[inquiry.medium.value]
    flow = leaks(inquiry.taken, inquiry.resolution, least)
    stands = standing(flow)
    runs, coarse = stands.runs & metered, metered & (flow.window > 24)
    few = metered & ~coarse & ~flow.enough
    known = np.isfinite(flow.least).sum(axis=1)
    night = MediumNight(
        inquiry.medium, len(inquiry.points), int(runs.sum()), int(few.sum()), int(coarse.sum()), int((~metered).sum()), 0
    )
    flowing = tuple(
        _flowing(inquiry, flow, stands, row, least)
        for row in np.flatnonzero(runs | (inquiry.watched & (known > 0))).tolist()
    )
    return Answer(night, flowing, _unknown(inquiry, metered, coarse, few, known), ())


def _always_on(inquiry: Inquiry, metered: NDArray[np.bool_]) -> Answer:
    power, share = standby(inquiry.taken, inquiry.resolution)
    few = metered & ~np.isfinite(power)
    strongest = np.argsort(np.where(np.isfinite(power), -power, np.inf), kind="stable")[:max(STRONGEST, inquiry.told)]
    days = np.isfinite(inquiry.taken).reshape(len(power), -1, 24).all(axis=2).sum(axis=1)
    night = MediumNight(
        inquiry.medium, len(inquiry.points), 0, int(few.sum()), 0, int((~metered).sum()), 0
    )
    on = tuple(
        Standby(inquiry.points[row], float(power[row]), float(share[row]))
        for row in strongest.tolist() if np.isfinite(power[row])
    )
    return Answer(night, (), _unknown(inquiry, metered, np.zeros_like(few), few, days), on)


def _flowing(inquiry: Inquiry, flow: Flow, stands: Standing, row: int, least: float) -> Flowing:
    first, nights = inquiry.period.first_day, flow.least[row]
    stopped = int(stands.stopped[row])
    end = stopped if stopped >= 0 else len(nights)
    low = np.flatnonzero((np.isfinite(nights) & ~flow.high[row])[:end])
    after = int(low[-1]) + 1 if len(low) else 0
    high = np.flatnonzero(flow.high[row, after:end])
    begun = after + int(high[0]) if len(high) else end      # nothing ran in these days: it stopped before them
    if stopped < 0:
        rate = float(flow.rate[row])
    else:
        rate = float(nights[begun:end][high - high[0]].mean()) if len(high) else np.nan
    return Flowing(
        inquiry.points[row], inquiry.medium, bool(stands.runs[row]), _day(first, begun), not len(low),
        _day(first, stopped) if stopped >= 0 else "", rate, float(flow.doubt[row]),
        rate / least if np.isfinite(rate) else 0.0, first.isoformat(), tuple(round(one, 6) for one in nights.tolist()),
    )


def _unknown(
    inquiry: Inquiry, metered: NDArray[np.bool_], coarse: NDArray[np.bool_], few: NDArray[np.bool_],
    known: NDArray[np.intp],
) -> tuple[Unknown, ...]:
    rows = np.flatnonzero(~metered | coarse | few)[:inquiry.told].tolist()
    return tuple(
        Unknown(
            inquiry.points[row], inquiry.medium,
            TooLittle.NO_METER if not metered[row] else TooLittle.COARSE if coarse[row] else TooLittle.FEW_NIGHTS,
            int(known[row]), float(inquiry.resolution[row]),
        ) for row in rows
    )


def together(answers: Sequence[Answer], feeds: Mapping[Medium, int]) -> tuple[MediumNight, ...]:
    """The figures of all batches, by medium; media without a point are not in it."""
    found: dict[Medium, MediumNight] = {}
    for answer in answers:
        one = answer.night
        so_far = found.get(one.medium) or MediumNight(one.medium, 0, 0, 0, 0, 0, feeds.get(one.medium, 0))
        found[one.medium] = MediumNight(
            one.medium, so_far.examined + one.examined, so_far.running + one.running, so_far.few_nights + one.few_nights,
            so_far.coarse + one.coarse, so_far.no_meter + one.no_meter, so_far.feeds,
        )
    for medium, count in feeds.items():
        if count and medium not in found:
            found[medium] = MediumNight(medium, 0, 0, 0, 0, 0, count)
    return tuple(found[medium] for medium in Medium if medium in found)


def _count(directory: Directory, point: str, hour: int) -> float:
    """The coarsest count of the meters that hung there since an hour. [kWh or m³]"""
    return max(
        (1.0 / one.pulses_per_unit for one in directory.meters_of_point.get(point, ())
         if one.valid_to is None or one.valid_to > hour), default=NO_METER,
    )


def _day(first: date, number: int) -> str:
    return date.fromordinal(first.toordinal() + number).isoformat()
