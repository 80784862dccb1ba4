"""Households that never existed, of appliances that are switched on and off: figures can be measured on them, and doubted.

How it is made
--------------
A household owns appliances (`habits.APPLIANCES`), each by chance. Every use of one has a start, an end and a power, and
is drawn from the habit's curve over the day, which is moved by the household's own clock, follows whether somebody works
away from home, and has another form at weekends. Fridges cycle without asking anybody. People go away for some days,
live more or less busily from day to day and from week to week, change their life now and then (guests, illness, a new
stove), and a few homes stand empty. What all share is the daylight and the weather of the day: lights and heaters
follow it together, and nothing else makes two households alike.

Energy of any resolution is counted from the same uses, exactly: hours are the sums of their minutes, and the hours of
a clock that is wrong by a minute are the hours of that clock.

What it was held against (looked at, nothing copied)
----------------------------------------------------
The 100 one-minute profiles of the IEEE European low-voltage feeder: mean 8.4 kWh a day, median 7.2, 5 % under 4.1 and
5 % over 15.7; peaks of a minute 2.2-10.8 kW; least hour 0.045-0.105 kWh; form of the day with a morning's and an
evening's peak. The household profiles of SimBench (a year): hourly spread over mean 0.67-0.95, correlation with the
day before 0.24-0.81. Coincidence of hourly peaks over four weeks, g(10) near 0.43 and g(50) near 0.30.
Forecasts by the median of seven days miss single homes by half of the mean and fifty of them together by an eighth.
`test_households.py` holds these in March; in July g is a tenth lower.

What it does not have
---------------------
Photovoltaics, electric cars, heat pumps, shops and workshops; months (the season is one for the whole span); meters
that were exchanged. Thieves' habits do not change with the theft.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from tests.bench.habits import APPLIANCES, Appliance

DAY_MIN: Final = 1440
HABITS: Final = 3                       # usual times of a day at which a home does a thing
EMPTY: Final = 0.02                    # share of homes in which nobody lives
CHANGES: Final = 1 / 60               # a day: life becomes another
CHANGE: Final = 0.5                     # of the logarithm of its uses, sd
WEEKS: Final = 0.25                     # the same, of weeks that come and go
REGULAR: Final = 0.8                    # share of uses at a usual time


@attrs.frozen(eq=False)
class Households:
    """Uses of appliances, as columns, and what is always on."""

    count: int                              # n households
    days: int
    constant: NDArray[np.float64]           # (n,) always on [kW]
    house: NDArray[np.intp]                 # (u,) whose use it is
    start: NDArray[np.float64]              # (u,) [min] from the first midnight
    end: NDArray[np.float64]                # (u,) [min]
    power: NDArray[np.float64]              # (u,) [kW]

    def energy(self, minutes: int = 60, skew: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
        """
        Return what each household takes in each interval.

        Parameters
        ----------
        minutes : int
            Length of an interval; divides a day. [min]
        skew : float or ndarray of float64, shape (n,)
            How much each household's clock is ahead: its intervals begin that much earlier. [min]

        Returns
        -------
        energy : ndarray of float64, shape (n, days * 1440 / minutes)
            Exact to rounding. [kWh]
        """
        if minutes < 1 or DAY_MIN % minutes:
            raise ValueError(f"{minutes} minutes do not divide a day")
        bins = self.days * DAY_MIN // minutes
        ahead = np.broadcast_to(np.asarray(skew, dtype=np.float64), (self.count,))[self.house]
        ramps = np.zeros(self.count * (bins + 1))
        for edge, sign in ((self.start, 1.0), (self.end, -1.0)):
            place = np.clip((edge + ahead) / minutes, 0.0, bins)       # what begins before counts from the first midnight
            whole = np.minimum(place.astype(np.intp), bins - 1)
            rest = (whole + 1 - place) * self.power * sign
            at = self.house * (bins + 1) + whole
            ramps += np.bincount(at, weights=rest, minlength=len(ramps))
            ramps += np.bincount(at + 1, weights=self.power * sign - rest, minlength=len(ramps))
        on = np.cumsum(ramps.reshape(self.count, bins + 1), axis=1)[:, :bins]
        return np.maximum(on + self.constant[:, None], 0.0) * (minutes / 60)


def make(
    count: int, days: int, seed: int | np.random.Generator, *, first_weekday: int = 0, day_of_year: int = 60,
    appliances: tuple[Appliance, ...] = APPLIANCES,
) -> Households:
    """
    Return households for some days.

    Parameters
    ----------
    count : int
        How many, n.
    days : int
        For how long. [d]
    seed : int or Generator
        The same seed makes the same households.
    first_weekday : int
        Of the first day; 0 is Monday.
    day_of_year : int
        Of the first day: sets daylight and the need for heat. 0 is the first of January. [d]
    appliances : tuple of Appliance
        Of another medium: its unit an hour in the place of kW, and neither fridges nor what is always on.
    """
    rng = np.random.default_rng(seed)
    life = _life(rng, count, days, first_weekday)
    winter = 0.5 + 0.5 * np.cos(2 * np.pi * (day_of_year - 15) / 365)          # 1 in mid-January, 0 in July
    cold = np.clip(winter + 0.15 * _drift(rng, 1, days, 0.75)[0], 0.0, 1.3)                # (d,) the weather all share
    uses = [_uses(rng, appliance, life, winter, cold) for appliance in appliances]
    constant = np.zeros(count)
    if appliances is APPLIANCES:
        uses += [_cycles(rng, count, days, share, watts) for share, watts in ((0.97, 90.0), (0.35, 75.0))]
        constant = 0.001 * rng.lognormal(np.log(55.0), 0.6, count) * np.where(life.empty, 0.15, 1.0)
    house, start, end, power = (np.concatenate(columns) for columns in zip(*uses, strict=True))
    return Households(count, days, constant, house, start, end, power)


@attrs.frozen(eq=False)
class _Life:
    """Who is at home when, and how busy they are."""

    count: int
    busy: NDArray[np.float64]               # (n, d) uses over the usual number; 0 when away
    weekend: NDArray[np.bool_]              # (d,)
    works: NDArray[np.bool_]                # (n,) away from home on working days
    late: NDArray[np.float64]               # (n,) its clock against others' [min]
    empty: NDArray[np.bool_]                # (n,)


def _life(rng: np.random.Generator, count: int, days: int, first_weekday: int) -> _Life:
    size = rng.lognormal(-0.5 * 0.3**2, 0.3, count)                            # people in it, more or less
    from_day_to_day = rng.lognormal(-0.5 * 0.25**2, 0.25, (count, days))
    empty = rng.random(count) < EMPTY
    day = np.arange(days)
    trips = rng.poisson(days / 90, count)                                      # four holidays a year, here or there
    longest = int(trips.max(initial=0))
    begin = rng.uniform(-7, days, (count, longest))
    length = rng.choice([2, 3, 4, 7, 10, 14], size=(count, longest), p=[0.25, 0.2, 0.2, 0.2, 0.1, 0.05])
    taken = np.arange(longest) < trips[:, None]
    away = ((day >= begin[..., None]) & (day < (begin + length)[..., None]) & taken[..., None]).any(axis=1)
    changes = np.where(rng.random((count, days)) < CHANGES, rng.normal(0.0, CHANGE, (count, days)), 0.0)
    stage = rng.normal(0.0, 0.5 * CHANGE, (count, 1)) + np.cumsum(changes, axis=1)   # guests, illness, a job
    weeks = _drift(rng, count, days, 0.9)
    busy = np.where(away | empty[:, None], 0.0, size[:, None] * from_day_to_day * np.exp(stage + WEEKS * weeks - 0.1))
    return _Life(
        count, busy, (first_weekday + day) % 7 >= 5, rng.random(count) < 0.6, rng.normal(0.0, 60.0, count), empty
    )


def _drift(rng: np.random.Generator, count: int, days: int, memory: float) -> NDArray[np.float64]:
    """Walks that come back, sd 1, as (count, days): warm and cold spells, busy and quiet weeks."""
    drift = rng.normal(size=(count, days))
    for day in range(1, days):
        drift[:, day] = memory * drift[:, day - 1] + np.sqrt(1 - memory**2) * drift[:, day]
    return drift


Columns = tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _uses(
    rng: np.random.Generator, appliance: Appliance, life: _Life, winter: float, cold: NDArray[np.float64]
) -> Columns:
    owns = rng.random(life.count) < appliance.owned
    own_power = appliance.kw * rng.lognormal(0.0, appliance.spread, life.count)
    fondness = rng.lognormal(-0.5 * 0.35**2, 0.35, life.count)                 # one bakes, another never does
    need = {"": np.ones(len(cold)), "dark": np.full(len(cold), 0.5 + 0.7 * winter), "cold": cold}[appliance.follows]
    per_day = appliance.per_day * life.busy * (owns * fondness)[:, None] * need
    per_day = per_day * np.where(life.weekend, appliance.weekend, 1.0)
    number = np.floor(per_day + rng.random(per_day.shape)).astype(np.int64).ravel()      # people are steadier than chance
    cell = np.repeat(np.arange(number.size), number)
    house, day = np.divmod(cell, len(cold))
    curve = np.where(life.weekend[day], 2, np.where(life.works[house], 0, 1))
    habits = rng.random((life.count, HABITS))                                  # each home has its own hours for a thing
    usual = habits[house, rng.integers(0, HABITS, len(cell))]
    chance = np.where(rng.random(len(cell)) < REGULAR, usual, rng.random(len(cell)))
    minute = np.empty(len(cell))
    for kind, cumulative in enumerate(appliance.cumulative):
        of_kind = curve == kind
        minute[of_kind] = np.interp(chance[of_kind], cumulative, np.linspace(0, DAY_MIN, 25))
    start = day * DAY_MIN + np.mod(minute + life.late[house] + rng.normal(0.0, 25.0, len(cell)), DAY_MIN)
    length = appliance.minutes * rng.lognormal(-0.5 * 0.45**2, 0.45, len(cell))
    power = own_power[house] * rng.uniform(0.85, 1.15, len(cell))
    head = appliance.heats                                                     # a washing machine heats, then only turns
    if not head:
        return house, start, start + length, power
    hot = start + np.minimum(head, length)
    return (np.tile(house, 2), np.concatenate([start, hot]), np.concatenate([hot, hot + length]),
            np.concatenate([power, 0.1 * power]))


def _cycles(rng: np.random.Generator, count: int, days: int, share: float, watts: float) -> Columns:
    """A fridge: on for a third of its period, whoever is at home."""
    owns = np.flatnonzero(rng.random(count) < share)
    period = rng.uniform(45.0, 95.0, len(owns))
    most = int(days * DAY_MIN / 45.0) + 2
    start = (np.arange(most) - rng.random((len(owns), 1)) + rng.normal(0, 0.04, (len(owns), most))) * period[:, None]
    length = period[:, None] * rng.uniform(0.28, 0.42, (len(owns), 1)) * rng.uniform(0.85, 1.15, start.shape)
    inside = (start < days * DAY_MIN) & (start + length > 0)
    power = np.broadcast_to(0.001 * watts * rng.lognormal(0.0, 0.25, (len(owns), 1)), start.shape)
    house = np.broadcast_to(owns[:, None], start.shape)
    return house[inside], start[inside], (start + length)[inside], power[inside]
