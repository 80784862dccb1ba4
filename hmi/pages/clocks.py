"""How right the clocks of the field are: concentrators worst first, and the modules whose clocks are worst."""

from typing import Any, Final

from flask import Blueprint, render_template, request

from hmi.access import STAFF, allow
from hmi.paging import Page
from hmi.services import Services
from scada.ports import ClockView, ModuleClock
from scada.site import Directory
from scada.tags import Snapshot, tag_id

SIZE: Final = 25                        # concentrators a page
MOST_MODULES: Final = 50


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("clocks", __name__)

    @blueprint.get("/clocks")
    @allow(STAFF)
    def page() -> Any:
        directory, shot = services.registry.directory, services.bus.snapshot()
        names = sorted(
            (one.name for one in directory.site.concentrators), key=lambda name: (*_badness(shot, name), name)
        )
        shown = Page.of(names, request.args.get("page", "1"), SIZE)
        views = [view for name in shown.rows if (view := services.time.clocks(name)) is not None]
        return render_template(
            "clocks.html", page=shown, views=views, modules=_worst(directory, views), now=services.clock.now(),
            settings=services.clock_limits, trusted=services.clock.trusted(),
        )

    return blueprint


def _badness(shot: Snapshot, name: str) -> tuple[float, float]:
    """For sorting: most wrong modules first, then the largest offset; what is not known comes last."""
    beyond, offset = (shot.get(tag_id(f"{name}-time", point))[0] for point in ("modules_beyond", "offset"))
    return -beyond if beyond == beyond else 0.5, -abs(offset) if offset == offset else 1.0


def _worst(directory: Directory, views: list[ClockView]) -> list[tuple[str, str, ModuleClock]]:
    """(module, concentrator, clock) of the worst modules of the concentrators shown."""
    found = [(view.concentrator, one) for view in views for one in view.worst]
    found.sort(key=lambda pair: (not pair[1].beyond, -abs(pair[1].offset_s)))
    return [(_named(directory, one), concentrator, one) for concentrator, one in found[:MOST_MODULES]]


def _named(directory: Directory, one: ModuleClock) -> str:
    module = directory.module_of_eui.get(one.eui)
    return module.name if module is not None else f"{one.eui:016X}"
