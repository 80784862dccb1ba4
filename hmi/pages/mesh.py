"""The radio network as the concentrators last reported it: who relays through whom, how well, how lately. Never a scan."""

import math
from typing import Any, Final

from flask import Blueprint, g, redirect, render_template, request, url_for

from hmi import labels
from hmi.access import ADOPT, STAFF, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.reasons import in_words
from hmi.services import Services
from hmi.tree import lay_out
from scada.errors import CommandRejected
from scada.site import Directory, MeshNode, MeshView, Module, ModuleState
from scada.tags import Quality, Snapshot, tag_id

PART: Final = "dmesh"                   # whose health stands on this page
LOW_BATTERY_MV: Final = 3300            # marks the row; the alarm is the module's own judgement


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("mesh", __name__)

    @blueprint.get("/network")
    @allow(STAFF)
    def page() -> Any:
        directory = services.registry.directory
        shot, now = services.bus.snapshot(), services.clock.now()
        views = [_view(directory, view, now, shot) for view in services.mesh.views()]
        chosen = request.args.get("concentrator", "")
        shown = [view for view in views if view["view"].concentrator == chosen] or views[:1]
        waiting = [module for module in directory.site.modules if module.state is ModuleState.DISCOVERED]
        return render_template("mesh.html", views=views, shown=shown, waiting=waiting, low_battery=LOW_BATTERY_MV,
                               health=[one for one in services.health() if one.part == PART])

    @blueprint.post("/network/adopt")
    @allow(ADOPT)
    def adopt() -> Any:
        try:
            module = services.in_reactor(services.registry.adopt, g.session.actor(), int(request.form.get("eui", ""), 16))
        except ValueError:
            notice(_("This is not a module's number."), "error")
        except CommandRejected as error:
            notice("; ".join(map(in_words, error.reasons)), "error")
        else:
            notice(_("%(name)s is adopted.", name=module.name))
        return redirect(url_for("mesh.page"))

    return blueprint


def _view(directory: Directory, view: MeshView, now: int, shot: Snapshot) -> dict[str, Any]:
    modules = {m.index: m for m in directory.site.modules if m.concentrator == view.concentrator}
    rows: list[dict[str, Any]] = []
    for node in sorted(view.nodes, key=lambda node: (node.level, node.index)):
        module = modules.get(node.index)
        rows.append({
            "node": node, "name": module.name if module else f"{node.eui:016x}", "title": module.title if module else "",
            "state": module.state if module else ModuleState.DISCOVERED,
            "state_text": str(labels.MODULE_STATE[module.state if module else ModuleState.DISCOVERED]),
            "parent": modules[node.parent].name if node.parent in modules else view.concentrator,
            "link": link_grade(node.delivery), "quality": int(quality_of(node, module, shot, link_up=view.link_up)),
            "silent": now - node.heard if node.heard else None,
        })
    return {"view": view, "concentrator": directory.concentrator.get(view.concentrator), "rows": rows,
            "ailing": _ailing(rows), "modules": modules,
            "silent": sorted(set(modules) - {node.index for node in view.nodes}),
            "tree": lay_out(view.nodes, {row["node"].index: row for row in rows})}


def _ailing(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The modules a person should look at, and why: they must not be searched for among hundreds."""
    found = []
    for row in rows:
        why = [row["state_text"]] if row["state"] is ModuleState.LOST else []
        if row["link"] == "poor":
            why.append(_("poor link"))
        if 0 < row["node"].battery_mv < LOW_BATTERY_MV:
            why.append(_("battery low"))
        if why:
            found.append((row["name"], ", ".join(why)))
    return found


def quality_of(node: MeshNode, module: Module | None, shot: Snapshot, *, link_up: bool) -> Quality:
    """How good the figures of one row are: none yet, stale as on the bus, or the last known while the link is down."""
    if not node.heard:
        return Quality.BAD_WAITING
    if module is not None and shot.get(tag_id(module.name, "link_delivery"))[1] is Quality.BAD_STALE:
        return Quality.BAD_STALE
    return Quality.GOOD if link_up else Quality.UNCERTAIN_LAST_KNOWN


def link_grade(delivery: float) -> str:
    """Good from 95 % delivered, fair from 80 %: below it repeats eat the battery."""
    if math.isnan(delivery):
        return "unknown"
    return "good" if delivery >= 0.95 else "fair" if delivery >= 0.8 else "poor"
