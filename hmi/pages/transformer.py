"""One transformer: three phases live, how unequal they are, how loaded, and the last hour as a trend."""

from typing import Any

from flask import Blueprint, abort, render_template

from hmi import points
from hmi.access import STAFF, allow
from hmi.charts import loading_bar
from hmi.formats import Cells
from hmi.services import Services


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("transformer", __name__)

    @blueprint.get("/transformers/<name>")
    @allow(STAFF)
    def page(name: str) -> Any:
        directory = services.registry.directory
        transformer = directory.transformer.get(name)
        if transformer is None:
            abort(404)
        cells = Cells(services.bus)
        meter = transformer.meter or transformer.name
        devices = (name, f"{name}.thermal", f"{name}.unbalance", meter)
        metered = services.bus.devices().get(meter)
        loading = cells(f"{name}/{points.LOADING}")
        return render_template(
            "transformer.html",
            transformer=transformer,
            phases=points.PHASES,
            rows=[[cells(f"{meter}/{point}") for point in row] for row in _ROWS],
            loading=loading,
            bar=loading_bar(loading.raw),
            sums={point: cells(f"{meter}/{point}") for point in (
                points.POWER_TOTAL, points.FREQUENCY, points.ENERGY_IMPORT, points.ENERGY_EXPORT)},
            sided=metered is not None and set(points.SIDES) <= set(metered.points),
            voltage_unbalance=cells(f"{name}{points.VOLTAGE_UNBALANCE}"),
            unbalance=cells(f"{name}/{points.UNBALANCE}"),
            deviation=cells(f"{name}/{points.DEVIATION}"),
            neutral=cells(f"{name}/{points.NEUTRAL}"),
            heat=[cells(f"{name}{point}") for point in _HEAT],
            week=services.voltages.week(name, services.clock.now()),
            neutral_measured=cells(f"{meter}/{points.NEUTRAL_MEASURED}"),
            trend=[f"{meter}/{point}" for point in points.POWER],
            groups=[one for one in directory.site.balance_groups if one.transformer == name],
            alarms=[one for one in services.alarms.active() if one.source.partition("/")[0] in devices],
        )

    return blueprint


_ROWS = (points.VOLTAGE, points.CURRENT, points.POWER, points.REACTIVE, points.APPARENT, points.POWER_FACTOR)
_HEAT = (points.HOT_SPOT, points.TOP_OIL, points.MINUTES_LEFT, points.AGEING, points.LOADING_PHASE, points.AMBIENT)
