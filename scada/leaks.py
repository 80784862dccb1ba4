"""Flows that never stop, as the nights found them, and what people made of them."""

import math
from datetime import date
from enum import StrEnum
from typing import Any, Final

import attrs

from scada.commands import Role
from scada.site import UNIT_OF_MEDIUM, Medium

MAY_DECIDE: Final = frozenset({Role.ENGINEER, Role.DISPATCHER, Role.ADMINISTRATOR})
LONGEST_NOTE: Final = 500


class LeakState(StrEnum):
    """What people made of it. The last is the meter's own word, nobody else's."""

    NEW = "new"
    SEEN = "seen"
    TOLD = "told"                       # the subscriber was told
    CREW = "crew"                       # somebody goes there
    USUAL = "usual"                     # it runs all the time and may: a circulating line, a pilot light
    OVER = "over"                       # a night fell below


OPEN: Final = (LeakState.NEW, LeakState.SEEN, LeakState.TOLD, LeakState.CREW)
RUNNING: Final = (*OPEN, LeakState.USUAL)


class TooLittle(StrEnum):
    """Why nothing can be said of a meter."""

    NO_METER = "no_meter"               # none hangs there
    FEW_NIGHTS = "few_nights"           # not enough whole nights one after the other
    COARSE = "coarse"                   # a count of the register is too large for the flow that is looked for


@attrs.frozen
class Flowing:
    """What an examination says of one metering point whose flow does not stop, or did not; rates in its unit per hour."""

    point: str
    medium: Medium
    runs: bool
    since: str                          # site day
    at_least: bool                      # it ran before the first day that was looked at
    stopped: str                        # site day of the first night that fell below since; "" = none did
    rate: float                         # of the last nights [unit/h]
    doubt: float                        # half-width, of the register's steps [unit/h]
    weight: float                       # rate over the flow that is looked for [1]: what is sorted by
    first_day: str                      # of `nights`
    nights: tuple[float, ...]           # least flow of each day [unit/h]; NaN = not known

    @property
    def quantity(self) -> float:
        """From `since` on, as far as it ran; a night that is not known is taken for the mean. [unit]"""
        return quantity(self.first_day, self.nights, self.since, self.stopped, self.rate)


@attrs.frozen
class Unknown:
    """A metering point of which nothing can be said."""

    point: str
    medium: Medium
    why: TooLittle
    nights: int                         # that are known
    count: float                        # of the register [unit]; 0 = no meter


@attrs.frozen
class Standby:
    """What is always on at a metering point of electricity."""

    point: str
    power: float                        # [kW]
    share: float                        # of what it takes [1]


@attrs.frozen
class MediumNight:
    """What a night came to for one medium; numbers of metering points."""

    medium: Medium
    examined: int
    running: int
    few_nights: int
    coarse: int
    no_meter: int
    feeds: int                          # feed a group or have sub-meters: their night flow is other people's


@attrs.frozen
class LeakNight:
    """The newest examination."""

    day: str                            # site day; "" before the first
    media: tuple[MediumNight, ...] = ()
    unknown: tuple[Unknown, ...] = ()   # a bounded part of them
    standby: tuple[Standby, ...] = ()   # the strongest


@attrs.frozen
class LeakChange:
    at: int                             # ns
    who: str
    before: str                         # state; "" where it was opened
    after: str
    note: str = ""


@attrs.frozen
class Leak:
    """A flow that never stopped, from the night it was found to the night it stops."""

    number: int
    state: LeakState
    opened: str                         # site day of the examination that found it
    seen: str                           # of the newest that could tell
    flow: Flowing                       # as of that one, with the nights of all of them
    earlier: float = 0.0                # of nights that are not kept any more [unit]
    accepted: float = math.nan          # rate at which somebody called it usual [unit/h]
    changes: tuple[LeakChange, ...] = ()

    @property
    def quantity(self) -> float:
        """So far. [unit]"""
        return self.earlier + self.flow.quantity

    @property
    def unit(self) -> str:
        return UNIT_OF_MEDIUM[self.flow.medium]


def quantity(first_day: str, nights: tuple[float, ...], since: str, stopped: str, rate: float) -> float:
    """What ran between two site days, the last not included; `rate` stands for nights that are not known. [unit]"""
    first = date.fromisoformat(first_day)
    begin = max((date.fromisoformat(since) - first).days, 0)
    end = (date.fromisoformat(stopped) - first).days if stopped else len(nights)
    part = nights[begin:max(end, begin)]
    known = [one for one in part if math.isfinite(one)]
    mean = sum(known) / len(known) if known else rate if math.isfinite(rate) else 0.0
    return 24.0 * (sum(known) + mean * (len(part) - len(known)))


def shown_rate(medium: Medium, rate: float) -> tuple[float, str]:
    """A rate as people say it: l/h or m³/h; W or kW."""
    if medium in (Medium.WATER, Medium.GAS):
        return (rate, "m³/h") if rate >= 1.0 else (1000.0 * rate, "l/h")
    return (rate, "kW") if rate >= 1.0 else (1000.0 * rate, "W")


def said_rate(medium: Medium, rate: float) -> str:
    """The same as a text, in English."""
    value, unit = shown_rate(medium, rate)
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


def to_json(value: Any) -> Any:
    """Values of this module as JSON has them; NaN as null."""
    if attrs.has(type(value)):
        return {field.name: to_json(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, (tuple, list)):
        return [to_json(one) for one in value]
    if isinstance(value, StrEnum):
        return value.value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def flowing_from(found: dict[str, Any]) -> Flowing:
    """The other way round."""
    numbers = {name: _nan(found[name]) for name in ("rate", "doubt", "weight")}
    return Flowing(**{
        **found, **numbers, "medium": Medium(found["medium"]), "nights": tuple(map(_nan, found["nights"])),
    })


def night_from(found: dict[str, Any]) -> LeakNight:
    """The same of a night."""
    return LeakNight(
        found["day"],
        tuple(MediumNight(**{**one, "medium": Medium(one["medium"])}) for one in found["media"]),
        tuple(
            Unknown(**{**one, "medium": Medium(one["medium"]), "why": TooLittle(one["why"])}) for one in found["unknown"]
        ),
        tuple(Standby(one["point"], _nan(one["power"]), _nan(one["share"])) for one in found["standby"]),
    )
