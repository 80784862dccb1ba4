"""The whole site at a glance: how loaded, how complete, what is abnormal."""

from typing import Any

from flask import Blueprint, render_template

from hmi import points
from hmi.access import STAFF, allow
from hmi.balances import WHOLE, newest
from hmi.charts import loading_bar
from hmi.formats import Cells
from hmi.services import Services
from scada.commands import CommandState
from scada.site import Transformer

OVER = (CommandState.CLOSED, CommandState.FAILED)
SHOWN = 6                               # alarms; the others are a click away


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("overview", __name__)

    @blueprint.get("/")
    @allow(STAFF)
    def page() -> Any:
        cells = Cells(services.bus)
        directory, active = services.registry.directory, services.alarms.active()
        return render_template(
            "overview.html",
            transformers=[_transformer(cells, one) for one in directory.site.transformers],
            alarms=active[:SHOWN], hidden=max(0, len(active) - SHOWN),
            links=services.mesh.views(),
            balances=[(one, *newest(services, one.name)) for one in directory.site.balance_groups], whole=WHOLE,
            commands=[one for one in services.desk.commands() if one.state not in OVER],
            parts=services.health(),
        )

    return blueprint


def _transformer(cells: Cells, one: Transformer) -> dict[str, Any]:
    loading = cells(f"{one.name}/{points.LOADING}")
    return {
        "transformer": one,
        "loading": loading,
        "bar": loading_bar(loading.raw),
        "power": [cells(f"{one.name}/{point}") for point in points.POWER],
        "unbalance": cells(f"{one.name}/{points.UNBALANCE}"),
        "neutral": cells(f"{one.name}/{points.NEUTRAL}"),
    }
