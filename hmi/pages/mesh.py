"""The radio network as the concentrators last reported it: who relays through whom, how well, how lately. Never a scan."""

import math
from typing import Any, Final

from flask import Blueprint, g, redirect, render_template, request, url_for

from hmi import labels, network
from hmi.access import ADOPT, STAFF, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.reasons import in_words
from hmi.services import Services
from hmi.tree import lay_out
from scada.clock import NS
from scada.errors import CommandRejected
from scada.network import NetworkFigures, Trouble
from scada.site import Directory, MeshNode, MeshView, Module, ModuleState
from scada.tags import Quality, Snapshot, tag_id

PARTS: Final = ("dmesh", "network")     # whose health stands on this page
MOST_OVERLAPS: Final = 50
MOST_PLACES: Final = 40
OFFERED: Final = frozenset(str(int(one)) for one in Trouble if one)
MOST_WAITING: Final = 240               # rows of the list of newcomers
LOW_BATTERY_MV: Final = 3300            # marks the row; the alarm is the module's own judgement


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("mesh", __name__)

    @blueprint.get("/network")
    @allow(STAFF)
    def page() -> Any:
        directory = services.registry.directory
        shot, now, wish = services.bus.snapshot(), services.clock.now(), _wish()
        held = services.mesh.views()
        chosen = next((view for view in held if view.concentrator == wish["concentrator"]), held[0] if held else None)
        arriving = (ModuleState.DISCOVERED, ModuleState.COMMISSIONING)
        waiting = [module for module in directory.site.modules if module.state in arriving][:MOST_WAITING]
        planned = sum(module.state is ModuleState.PLANNED for module in directory.site.modules)
        shown = None if chosen is None else _view(services, directory, chosen, now, shot, wish)
        return render_template("mesh.html", views=held, one=shown, waiting=waiting, planned=planned,
                               low_battery=LOW_BATTERY_MV, wish=wish,
                               health=[one for one in services.health() if one.part in PARTS])

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


def _wish() -> dict[str, Any]:
    """What the visitor asks to see; whatever is not on offer falls back to the usual."""
    given = request.args
    at, trouble = given.get("at", ""), given.get("trouble", "")
    return {
        "concentrator": given.get("concentrator", ""), "module": given.get("module", ""),
        "colour": given["colour"] if given.get("colour") in network.BANDS else "delivery",
        "sort": given["sort"] if given.get("sort") in network.SORTS else "level",
        "trouble": Trouble(int(trouble)) if trouble.isdecimal() and trouble in OFFERED else Trouble.NONE,
        "at": int(at) * NS if at.isdecimal() and len(at) < 11 else None,
    }


def _view(
    services: Services, directory: Directory, view: MeshView, now: int, shot: Snapshot, wish: dict[str, Any]
) -> dict[str, Any]:
    modules = {m.index: m for m in directory.site.modules if m.concentrator == view.concentrator and m.index}
    moments, past = services.network.moments(view.concentrator), wish["at"] is not None
    figures = services.network.figures(view.concentrator)
    reckoned, since = network.of_modules(figures), network.since(())
    if past:
        places = services.network.tree(view.concentrator, wish["at"])
        view, since = network.as_it_was(view, places, wish["at"]), network.since(places)
    rows: list[dict[str, Any]] = []
    for node in sorted(view.nodes, key=lambda node: (node.level, node.index)):
        # What an index was in the past may be another module today: then it is told by its number.
        module = directory.module_of_eui.get(node.eui) if past else modules.get(node.index)
        state = module.state if module else ModuleState.DISCOVERED
        of_node = network.Figures() if past else reckoned.get(node.eui, network.Figures())
        value = network.amount(wish["colour"], node, of_node)
        rows.append({
            "node": node, "name": module.name if module else f"{node.eui:016x}", "title": module.title if module else "",
            "state": state, "state_text": str(labels.MODULE_STATE[state]), "figures": of_node,
            "parent": _parent(node, modules, view.concentrator),
            "link": link_grade(node.delivery), "quality": int(quality_of(node, module, shot, link_up=view.link_up)),
            "silent": now - node.heard if node.heard else None, "since": since.get(node.eui, 0),
            "value": value, "band": network.band(wish["colour"], value),
            "troubles": [str(labels.TROUBLE[one]) for one in of_node.troubles],
        })
    listed = [row for row in rows if not wish["trouble"] or wish["trouble"] in row["figures"].trouble]
    return {"view": view, "concentrator": directory.concentrator.get(view.concentrator), "rows": rows, "past": past,
            "listed": network.order(listed, wish["sort"]), "ailing": [] if past else _ailing(rows), "modules": modules,
            "hot": network.hot(rows), "overlaps": _overlaps(directory, figures), "moments": moments,
            "older": next((at for at in moments if at < (wish["at"] or now)), None) if moments else None,
            "newer": next((at for at in reversed(moments) if at > wish["at"]), None) if past else None,
            "silent": sorted(set(modules) - {node.index for node in view.nodes}),
            "detail": _detail(services, directory, rows, modules, wish["module"]),
            "tree": lay_out(view.nodes, {row["node"].index: row for row in rows})}


def _overlaps(directory: Directory, figures: NetworkFigures | None) -> list[dict[str, Any]]:
    found = figures.overlaps[:MOST_OVERLAPS] if figures is not None else ()
    known = directory.module_of_eui
    return [{"overlap": one, "name": known[one.eui].name if one.eui in known else f"{one.eui:016x}"} for one in found]


def _detail(
    services: Services, directory: Directory, rows: list[dict[str, Any]], modules: dict[int, Module], name: str
) -> dict[str, Any] | None:
    """One module: its ways up in order, its battery, and where it was before."""
    row = next((row for row in rows if row["name"] == name), None)
    if row is None:
        return None
    node: MeshNode = row["node"]
    return {
        "row": row,
        "ways": [(_named(modules, one.parent), one) for one in node.alternatives],
        "history": services.network.places(node.eui, MOST_PLACES),
        "module": directory.module_of_eui.get(node.eui), "basis": labels.BASIS[row["figures"].basis],
    }


def _parent(node: MeshNode, modules: dict[int, Module], concentrator: str) -> str:
    """Whom a module sends through; one that nobody hears has an index of 0 for a parent too, and no level."""
    if not node.level:
        return _("not in the tree")
    return modules[node.parent].name if node.parent in modules else concentrator


def _named(modules: dict[int, Module], index: int) -> str:
    if index == 0:
        return _("the concentrator")
    return modules[index].name if index in modules else _("index %(n)s", n=index)


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
