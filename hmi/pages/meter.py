"""One metering point: hours of a day or days of a month, now or as they were known once, and how they came to be."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from flask import Blueprint, abort, render_template, request
from numpy.typing import NDArray

from hmi.access import STAFF, allow
from hmi.charts import bars
from hmi.flows import rate
from hmi.paging import Page
from hmi.services import Services
from hmi.site_time import SiteTime, day_from, known_at, month_of, next_month, previous_month
from scada.clock import HOUR_S, NS
from scada.intervals import IntervalStatus
from scada.leaks import RUNNING, Leak
from scada.site import UNIT_OF_MEDIUM
from scada.tags import BAD, UNCERTAIN, Quality

CHANGES_SHOWN = 100                     # a page


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("meter", __name__)
    time, zone = SiteTime(services.site.timezone), ZoneInfo(services.site.timezone)

    @blueprint.get("/meters/<name>")
    @allow(STAFF)
    def page(name: str) -> Any:
        directory = services.registry.directory
        point = directory.point.get(name)
        if point is None:
            abort(404)
        now = services.clock.now()
        today, this_hour = time.day_of(now), services.clock.hour()
        by_month = request.args.get("span") == "month"
        asked = request.args.get("known", "")[:40]
        known = known_at(asked, zone, now)
        if by_month:
            first = month_of(request.args.get("month", ""), today)
            after = next_month(first)
            edges = time.edges(first, (after - first).days)
            shown, links = f"{first:%Y-%m}", (f"{previous_month(first):%Y-%m}", f"{after:%Y-%m}")
            labels = [str(n + 1) for n in range(len(edges) - 1)]
        else:
            day = day_from(request.args.get("date", ""), today)
            start, count = time.hours_of(day)
            edges = start + np.arange(count + 1, dtype=np.int64)
            shown = str(day)
            links = (str(day - timedelta(days=1)), str(day + timedelta(days=1)))
            labels = [time.clock(int(hour)) for hour in edges[:-1]]
        if known is not None:
            this_hour = known // (HOUR_S * NS)
        register = float(services.metering.register([name], this_hour, known)[0])
        newest = int(services.metering.hourly([name], this_hour - 1, 1, known).quality[0, 0])
        profile = services.metering.hourly([name], int(edges[0]), int(edges[-1] - edges[0]), known)
        values, worst, present = fold(profile.values[0], profile.quality[0], edges)
        whole = (present == np.diff(edges)) & (worst < UNCERTAIN)
        past = edges[:-1] < this_hour
        return render_template(
            "meter.html", point=point, consumer=directory.consumer.get(point.consumer), unit=UNIT_OF_MEDIUM[point.medium],
            meters=directory.meters_of_point.get(name, ()), by_month=by_month, shown=shown, before=links[0], after=links[1],
            this_month=f"{today:%Y-%m}", today=str(today), values=values.tolist(), worst=worst.tolist(),
            present=present.tolist(), expected=np.diff(edges).tolist(), whole=whole.tolist(), past=past.tolist(),
            starts=(edges[:-1] * HOUR_S * NS).tolist(), total=float(np.nansum(values)) if present.any() else float("nan"),
            complete=_share(present, edges, this_hour), chart=bars(values, whole, labels, over=past),
            over=int(past.sum()), goes_on=bool(past.all()),
            dial=float(services.dials.dial([name], this_hour)[0]), register=register, register_at=this_hour * HOUR_S * NS,
            register_quality=int(register_quality(register, newest)), known=known, asked=asked,
            today_known=f"{time.local(now):%Y-%m-%dT%H:%M}", leak=_running(services, name),
            standby=services.leaks.standby(name),
            replacement=services.replacements.of_point(name), currency=services.site.currency,
        )

    @blueprint.get("/meters/<name>/changes")
    @allow(STAFF)
    def changes(name: str) -> Any:
        """How the hours of a site day came to what they say, newest first."""
        point = services.registry.directory.point.get(name) or abort(404)
        day = day_from(request.args.get("date", ""), time.day_of(services.clock.now()))
        first, hours = time.hours_of(day)
        found = services.metering.changes(name, first, hours)[::-1]
        links = services.registry.directory.concentrator_of_link
        return render_template(
            "meter_changes.html", point=point, unit=UNIT_OF_MEDIUM[point.medium], shown=str(day),
            before=str(day - timedelta(days=1)), after=str(day + timedelta(days=1)),
            goes_on=(first + hours) * HOUR_S * NS <= services.clock.now(), bits=_bits,
            page=Page.of(found, request.args.get("page", "1"), CHANGES_SHOWN),
            estimates=services.metering.estimates(name, first, hours)[::-1],
            sender=lambda one: links[one.link_id].name if one.link_id in links else f"{one.link_id:08x}",
        )

    return blueprint


def _running(services: Services, name: str) -> tuple[Leak, str] | None:
    """The leak there, with its rate in words; None where none runs."""
    leak = services.leaks.of_point(name)
    return None if leak is None or leak.state not in RUNNING else (leak, rate(leak.flow, leak.flow.rate))


def _bits(before: int, after: int) -> list[IntervalStatus]:
    """The status bits that came."""
    return [flag for flag in IntervalStatus if after & ~before & flag]


def register_quality(register: float, newest: int) -> Quality:
    """A register rests on every pulse up to its hour: unknown while one is missing, else as good as the newest hour."""
    if not np.isfinite(register):
        return Quality.BAD_WAITING
    return Quality(newest) if newest < BAD else Quality.UNCERTAIN_LAST_KNOWN


def fold(
    values: NDArray[np.float64], quality: NDArray[np.uint8], edges: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.int64]]:
    """
    Sum hours into the intervals between `edges`.

    Returns
    -------
    sums : ndarray of float64, shape (n,)
        Sum of what is present; NaN where nothing is.
    worst : ndarray of uint8, shape (n,)
        The worst `Quality` of the hours that are present, BAD_WAITING where none is.
    present : ndarray of int64, shape (n,)
        Number of hours present.
    """
    starts = (edges[:-1] - edges[0]).astype(np.intp)
    usable = np.isfinite(values) & (quality < BAD)
    present = np.add.reduceat(usable.astype(np.int64), starts)
    sums = np.add.reduceat(np.where(usable, values, 0.0), starts)
    worst = np.maximum.reduceat(np.where(usable, quality, 0), starts).astype(np.uint8)
    worst[present == 0] = Quality.BAD_WAITING
    return np.where(present > 0, sums, np.nan), worst, present


def _share(present: NDArray[np.int64], edges: NDArray[np.int64], this_hour: int) -> float:
    """Share of the hours present among those that are over; NaN when none is over yet."""
    over = int(min(max(this_hour - int(edges[0]), 0), int(edges[-1] - edges[0])))
    return min(1.0, float(present.sum()) / over) if over else float("nan")
