"""Which meters are worth replacing: reads registers of two instants and ages, and reckons by what meters cost.

`gathered` blocks; `reckoned` is pure, and quick enough for a page to wait for it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.failures import FailureCurve
from scada.balancing.suspects.recalibration import Recalibration, Terms, recalibration
from scada.cases import Case
from scada.clock import DAY_H, HOUR_S
from scada.replacement import AgeFrom, Left, NotReckoned, Replaceable, ReplacementList, costs
from scada.site import UNIT_OF_MEDIUM, Directory, Medium, MeterTerms, verified_on

Registers = Callable[[Sequence[str], int], NDArray[np.float64]]     # points, hour [h] -> [unit]. Blocking
SPANS: Final = (365, 182, 91, 30, 7)    # days back; the longest of which both ends are known counts
LAGS: Final = (0, 1, 3, 7)              # days before the end that are tried for a register that is known
YEAR_D: Final = 365.25
AT_ONCE: Final = 5_000                  # points that are read together
NAMED: Final = 5                        # of those that are left out
MEDIA: Final = tuple(Medium)
# The example's points: early faults that fade, a constant rate, wear from the tenth year on.
EXAMPLE_AGES: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 25.0)


@attrs.frozen(eq=False)
class Base:
    """Of all meters in service, as of a site day."""

    day: str
    points: tuple[str, ...]
    serials: tuple[str, ...]
    medium: NDArray[np.int8]            # (n,) index in `MEDIA`
    yearly: NDArray[np.float64]         # (n,) [unit/a]; NaN = not known
    over: NDArray[np.int64]             # (n,) days that it is from; 0
    young: NDArray[np.bool_]            # (n,) it hangs there for less than the shortest span
    age: NDArray[np.float64]            # (n,) [a]
    verified: NDArray[np.bool_]         # (n,) its age is from there, else since it was installed
    suspect: NDArray[np.float64]        # (n,) what it does not register over what it does [1]; NaN


def example_curve() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Ages [a] and rates [1/a] of the built-in bathtub: an example, no maker's figures."""
    rates = FailureCurve.bathtub().rate(np.array(EXAMPLE_AGES))
    return EXAMPLE_AGES, tuple(round(rate, 5) for rate in rates.tolist())


def terms_of(one: MeterTerms) -> Terms:
    """What the registry holds, as the reckoning takes it."""
    ages, rates = (one.ages, one.rates) if one.ages else example_curve()
    return Terms(one.tariff, costs(one), FailureCurve(ages, rates), one.lost, one.noticed, one.drift)


def gathered(
    directory: Directory, registers: Registers, hour: int, day: str, cases: Sequence[Case] = (),
    spans: Sequence[int] = SPANS, progress: Callable[[int], None] = lambda done: None, stopping: Callable[[], bool] = bool,
    zone: tzinfo = UTC,
) -> Base | None:
    """
    Return what is known of every meter in service.

    Parameters
    ----------
    directory : Directory
        Which meter hangs where, since when, and when it was verified.
    registers : callable
        Registers of points at an hour. [unit]
    hour : int
        The end of the periods. [h since 1970]
    day : str
        The site day of it.
    cases : sequence of Case
        Meters that are suspected of losing, and by how much.
    spans : sequence of int
        Lengths of the periods that are tried, the longest first. [d]
    progress, stopping : callable
        Hears how many points were read; asks whether to leave off, and then there is no answer.
    zone : tzinfo
        The site's zone: cases speak of its days.
    """
    meters = [
        (point.name, periods[-1], MEDIA.index(point.medium)) for point in directory.site.points
        if (periods := directory.meters_of_point.get(point.name)) and (
            periods[-1].valid_to is None or periods[-1].valid_to > hour
        )
    ]
    names = tuple(name for name, _meter, _medium in meters)
    since = np.array([meter.valid_from for _name, meter, _medium in meters], dtype=np.int64)
    yearly, over = np.full(len(names), np.nan), np.zeros(len(names), dtype=np.int64)
    for start in range(0, len(names), AT_ONCE):
        if stopping():
            return None
        part = np.arange(start, min(start + AT_ONCE, len(names)))
        for lag in LAGS:                                    # the newest hours of some have not come yet
            end = hour - lag * DAY_H
            open_ = part[over[part] == 0]
            if not len(open_):
                break
            now = registers([names[row] for row in open_.tolist()], end)
            rows, now = open_[np.isfinite(now)], now[np.isfinite(now)]
            for days in spans:
                old = since[rows] <= end - days * DAY_H
                if old.any():
                    passed = np.full(len(rows), np.nan)
                    passed[old] = now[old] - registers([names[row] for row in rows[old].tolist()], end - days * DAY_H)
                    good = np.isfinite(passed) & (passed >= 0)
                    yearly[rows[good]], over[rows[good]] = passed[good] * YEAR_D / days, days
                    rows, now = rows[~good], now[~good]
        progress(len(part))
    # a meter is as old as its verification says, else as its period here
    today = date.fromisoformat(day).toordinal()
    said = [verified_on(meter.verified) or "" for _name, meter, _medium in meters]
    epoch = date(1970, 1, 1).toordinal()
    made = np.array(
        [date.fromisoformat(text).toordinal() if text else epoch + int(meter.valid_from) // DAY_H
         for text, (_name, meter, _medium) in zip(said, meters, strict=True)], dtype=np.int64,
    )
    suspected = {case.suspicion.member for case in cases}
    factor = factors(cases, {
        name: datetime.fromtimestamp(meter.valid_from * HOUR_S, UTC).astimezone(zone).date().isoformat()
        for name, meter, _medium in meters if name in suspected
    })
    return Base(
        day, names, tuple(meter.serial for _name, meter, _medium in meters),
        np.array([medium for _name, _meter, medium in meters], dtype=np.int8), yearly, over,
        since > hour - min(spans) * DAY_H, np.maximum(today - made, 0) / YEAR_D,
        np.array([bool(text) for text in said], dtype=np.bool_),
        np.array([factor.get(name, np.nan) for name in names]),
    )


def factors(cases: Sequence[Case], hung: Mapping[str, str]) -> Mapping[str, float]:
    """
    Return what meters do not register over what they do, as cases that are not cleared say it. [1]

    Parameters
    ----------
    cases : sequence of Case
        The newest first: of two of one member it is the newest that counts.
    hung : mapping of str to str
        The site day on which the present meter of a point was hung up. What began before it was another meter's.
    """
    found: dict[str, float] = {}
    for case in reversed(cases):
        one = case.suspicion
        if (one.since or one.first_day) < hung.get(one.member, ""):
            continue
        behind = max(date.fromisoformat(one.since).toordinal() - date.fromisoformat(one.first_day).toordinal(), 0) \
            if one.since else 0
        registered = float(np.nansum(one.registered[behind:])) if one.registered else 0.0
        if registered > 0 and one.energy > 0:
            found[one.member] = one.energy / registered
    return found


@attrs.frozen(eq=False)
class Reckoned:
    """The whole list; a page of it costs nothing."""

    base: Base
    order: NDArray[np.intp]             # meters that were reckoned, by gain
    worth: int                          # of them those with a gain
    gain: float                         # of those together [money/a]
    parts: Mapping[int, tuple[NDArray[np.intp], Recalibration]]     # by medium: its meters, and what was reckoned of them
    left: tuple[Left, ...]

    def page(self, first: int, size: int) -> ReplacementList:
        rows = tuple(_rows(self.base, self.parts, self.order[first:first + size]))
        return ReplacementList(self.base.day, len(self.order), self.worth, self.gain, rows, self.left)

    def one(self, row: int) -> Replaceable | None:
        """A meter by its row in `base`; None where it is not reckoned."""
        rows, _found = self.parts.get(int(self.base.medium[row]), (np.zeros(0, dtype=np.intp), None))
        return next(_rows(self.base, self.parts, np.array([row])), None) if row in rows else None


def reckoned(base: Base, terms: Mapping[Medium, MeterTerms], media: Sequence[Medium] = MEDIA) -> Reckoned:
    """Return meters by what replacing them now gains in a year, and who is not in the list."""
    gain = np.full(len(base.points), -np.inf)
    ready = np.isfinite(base.yearly)
    parts: dict[int, tuple[NDArray[np.intp], Recalibration]] = {}
    left: list[Left] = []
    for medium in media:
        number = MEDIA.index(medium)
        of_it = base.medium == number
        if not of_it.any():
            continue
        if medium not in terms:
            left.append(_left(base, medium, NotReckoned.NO_TERMS, of_it))
            continue
        left += [
            _left(base, medium, why, rows) for why, rows in (
                (NotReckoned.YOUNG, of_it & ~ready & base.young), (NotReckoned.NO_QUANTITY, of_it & ~ready & ~base.young),
            ) if rows.any()
        ]
        rows = np.flatnonzero(of_it & ready)
        found = recalibration(base.yearly[rows], base.age[rows], terms_of(terms[medium]), base.suspect[rows])
        parts[number] = rows, found
        gain[rows] = found.gain
    order = np.argsort(-gain, kind="stable")
    total, worth = int(np.isfinite(gain).sum()), gain > 0
    return Reckoned(base, order[:total], int(worth.sum()), float(gain[worth].sum()), parts, tuple(left))


def _rows(
    base: Base, parts: Mapping[int, tuple[NDArray[np.intp], Recalibration]], chosen: NDArray[np.intp]
) -> Iterator[Replaceable]:
    for row in chosen.tolist():
        medium = MEDIA[int(base.medium[row])]
        rows, found = parts[int(base.medium[row])]
        at = int(np.searchsorted(rows, row))
        factor = float(base.suspect[row])
        yield Replaceable(
            base.points[row], base.serials[row], medium.value, float(found.gain[at]), float(found.loss[at]),
            float(found.bearable[at]), float(found.interval[at]), float(found.paid[at]), float(base.age[row]),
            AgeFrom.VERIFIED if base.verified[row] else AgeFrom.INSTALLED, float(base.yearly[row]), UNIT_OF_MEDIUM[medium],
            int(base.over[row]), factor / (1.0 + factor),
        )


def _left(base: Base, medium: Medium, why: NotReckoned, rows: NDArray[np.bool_]) -> Left:
    some = np.flatnonzero(rows)
    return Left(medium.value, why, len(some), tuple(base.points[row] for row in some[:NAMED].tolist()))
