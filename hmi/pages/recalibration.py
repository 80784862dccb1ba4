"""Recalibration: which meters are worth replacing, by money; and what meters cost and how they fail."""

import math
from itertools import pairwise
from typing import Any, Final

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi.access import COSTS, STAFF, allow
from hmi.costs import CostsError, lines_of, shown_terms, terms_from
from hmi.i18n import _
from hmi.lines import lines
from hmi.notices import notice
from hmi.paging import Page
from hmi.reasons import in_words
from hmi.services import Services
from hmi.sheets import sheet
from scada.errors import CommandRejected, StorageError
from scada.replacement import costs
from scada.site import UNIT_OF_MEDIUM, Medium, MeterTerms

SIZE: Final = 50
MOST_IN_SHEET: Final = 10_000
YEARS: Final = 30                       # of the chart


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("recalibration", __name__)

    def chosen() -> Medium | None:
        return next((one for one in Medium if one.value == request.args.get("medium", "")), None)

    def consumer_of(point: str) -> Any:
        directory = services.registry.directory
        known = directory.point.get(point)
        return directory.consumer.get(known.consumer) if known else None

    @blueprint.get("/recalibration")
    @allow(STAFF)
    def page() -> Any:
        medium = chosen()
        media = (medium,) if medium else tuple(Medium)
        total = services.replacements.page(media, 0, 0).total
        shown = Page.of(range(total), request.args.get("page", "1"), SIZE)
        found = services.replacements.page(media, (shown.number - 1) * SIZE, SIZE)
        return render_template(
            "recalibration.html", page=Page(found.rows, shown.number, shown.pages, total), found=found, medium=medium,
            media=tuple(Medium), terms=services.registry.directory.terms_of_medium, currency=services.site.currency,
            consumer_of=consumer_of, costs=costs, units=UNIT_OF_MEDIUM,
            health=[part for part in services.health() if part.part == "recalibration"],
        )

    @blueprint.get("/recalibration.csv")
    @allow(STAFF)
    def order() -> Any:
        """Meters with a gain, for a work order."""
        medium = chosen()
        media = (medium,) if medium else tuple(Medium)
        worth = services.replacements.page(media, 0, 0).worth
        found, money = services.replacements.page(media, 0, min(worth, MOST_IN_SHEET)), services.site.currency
        rows = []
        for one in found.rows:
            consumer = consumer_of(one.point)
            rows.append([
                one.point, one.serial, one.medium, consumer.title or consumer.name if consumer else "",
                consumer.building if consumer else "", f"{one.gain:.2f}", f"{one.loss:.2f}", f"{one.bearable:.2f}", money,
                f"{one.age:.1f}", one.age_from.value, f"{one.interval:.0f}", f"{one.yearly:.1f}", one.unit, one.over_days,
                f"{one.suspect:.3f}" if math.isfinite(one.suspect) else "",
            ])
        return sheet(f"recalibration-{found.day}", (
            "point", "serial", "medium", "consumer", "building", "gain_a_year", "loss_a_year", "bearable_a_year",
            "currency", "age_years", "age_from", "replace_at_years", "quantity_a_year", "unit", "from_days",
            "not_registered",
        ), rows)

    @blueprint.get("/recalibration/<name>")
    @allow(STAFF)
    def medium(name: str) -> Any:
        one = _medium(name)
        terms = services.registry.directory.terms_of_medium.get(one)
        ages, rates = (terms.ages, terms.rates) if terms and terms.ages else services.replacements.example()
        return shown(one, terms, ages, rates, shown_terms(terms, ages, rates), [])

    @blueprint.post("/recalibration/<name>")
    @allow(COSTS)
    def change(name: str) -> Any:
        one = _medium(name)
        form = {key: value[:40] for key, value in request.form.items()}
        try:
            wish = terms_from(form, one)
            services.in_reactor(services.registry.set_terms, g.session.actor(), wish)
        except (CostsError, CommandRejected) as error:
            said = error.mistakes if isinstance(error, CostsError) else [in_words(reason) for reason in error.reasons]
            terms = services.registry.directory.terms_of_medium.get(one)
            ages, rates = (terms.ages, terms.rates) if terms and terms.ages else services.replacements.example()
            return shown(one, terms, ages, rates, form, said), 422
        except StorageError as error:
            notice(in_words(str(error)), "error")
        else:
            notice(_("What these meters cost is changed; the list is reckoned by it from now on."))
        return redirect(url_for("recalibration.medium", name=name))

    def shown(
        one: Medium, terms: MeterTerms | None, ages: tuple[float, ...], rates: tuple[float, ...], fields: dict[str, str],
        mistakes: list[str],
    ) -> Any:
        points = list(zip(ages, (100 * rate for rate in rates), strict=True))
        years = list(range(YEARS + 1))
        return render_template(
            "costs.html", medium=one, terms=terms, example=not (terms and terms.ages), fields=fields,
            lines=lines_of(fields), points=points, chart=lines([[_at(points, year) for year in years]],
            [str(year) for year in years]),
            unit=UNIT_OF_MEDIUM[one], currency=services.site.currency, mistakes=mistakes,
        )

    return blueprint


def _medium(name: str) -> Medium:
    found = next((one for one in Medium if one.value == name), None)
    return found if found is not None else abort(404)


def _at(points: list[tuple[float, float]], age: float) -> float:
    """Straight between points, constant after the last."""
    for (a, low), (b, high) in pairwise(points):
        if age <= b:
            return low + (high - low) * (age - a) / (b - a)
    return points[-1][1]
