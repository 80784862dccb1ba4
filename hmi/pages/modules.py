"""Modules by the state of their life: a list cut by the server, one of them with what to do next, previews of steps."""

from collections import Counter
from typing import Any, Final

from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi import life
from hmi.access import ADOPT, STAFF, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.paging import Page, fits
from hmi.services import Services
from scada.errors import CommandRejected
from scada.site import Directory, Module, ModuleState, SiteChange, Step, StepKind

SIZE: Final = 50


class Census:
    """How many modules are in each state; counted once for every registry, not for every visitor."""

    def __init__(self) -> None:
        self._of: tuple[object, Counter[ModuleState]] = (None, Counter())

    def count(self, directory: Directory) -> Counter[ModuleState]:
        modules, counts = directory.site.modules, self._of
        if counts[0] is not modules:
            self._of = counts = modules, Counter(one.state for one in modules)
        return counts[1]


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("modules", __name__)
    census = Census()

    @blueprint.get("/modules")
    @allow(STAFF)
    def page() -> Any:
        directory = services.registry.directory
        wish = {name: request.args.get(name, "").strip()[:100] for name in ("q", "state", "concentrator")}
        shown = Page.of(matching(directory, **wish), request.args.get("page", "1"), SIZE)
        counts = census.count(directory)
        return render_template(
            "modules.html", page=shown, wish=wish, counts=counts, total=sum(counts.values()), states=tuple(ModuleState),
            concentrators=[one.name for one in directory.site.concentrators],
        )

    @blueprint.get("/modules/<name>")
    @allow(STAFF)
    def one(name: str) -> Any:
        directory = services.registry.directory
        module = directory.module_of_name.get(name) or abort(404)
        heir = directory.replacement_of_eui.get(module.eui)
        before = [one for one in directory.site.replacements if one.heir == module.eui]
        return render_template(
            "module.html", module=module, meters=directory.meters_of_eui.get(module.eui, ()),
            load=directory.load_of_eui.get(module.eui), consumer=directory.consumer_of_eui.get(module.eui, ""),
            groups=[one for one in directory.site.load_groups if module.eui in one.members],
            heir=directory.module_of_eui.get(heir.heir) if heir else None, since=heir.hour if heir else 0,
            before=[(directory.module_of_eui.get(one.eui), one.hour) for one in before],
            advice=life.advice(directory, module, services.alarms.active()),
            offered=life.OFFERED[module.state], swappable=module.state in life.SWAPPABLE, step_text=life.STEP,
        )

    @blueprint.get("/modules/<name>/step/<kind>")
    @allow(ADOPT)
    def step(name: str, kind: str) -> Any:
        return ask(name, kind, request.args.get("concentrator", ""))

    @blueprint.post("/modules/<name>/step/<kind>")
    @allow(ADOPT)
    def do(name: str, kind: str) -> Any:
        module, wish = _wish(name, kind, request.form.get("concentrator", ""))
        try:
            services.in_reactor(services.registry.step, g.session.actor(), wish)
        except CommandRejected as error:
            return ask(name, kind, wish.concentrator, error.reasons), 409
        notice(_("Done: %(what)s, %(name)s.", what=str(life.STEP[wish.kind]), name=module.name))
        return redirect(url_for("modules.one", name=module.name))

    def ask(name: str, kind: str, concentrator: str, reasons: tuple[str, ...] = ()) -> str:
        module, wish = _wish(name, kind, concentrator)
        change: SiteChange | None = None
        if wish.kind is not StepKind.MOVE or concentrator:
            try:
                change = services.in_reactor(services.registry.preview, g.session.actor(), wish)
            except CommandRejected as error:
                reasons = reasons or error.reasons
        return render_template(
            "step.html", module=module, wish=wish, change=change, reasons=reasons, text=life.STEP[wish.kind],
            concentrators=[one.name for one in services.registry.directory.site.concentrators],
        )

    def _wish(name: str, kind: str, concentrator: str) -> tuple[Module, Step]:
        module = services.registry.directory.module_of_name.get(name) or abort(404)
        if kind not in StepKind._value2member_map_:
            abort(404)
        return module, Step(StepKind(kind), module.eui, concentrator[:64] if kind == StepKind.MOVE else "")

    return blueprint


def matching(directory: Directory, *, q: str = "", state: str = "", concentrator: str = "") -> list[Module]:
    """The modules a visitor asks for, in the registry's order."""
    found = [
        one for one in directory.site.modules
        if (not state or one.state.value == state) and (not concentrator or one.concentrator == concentrator)
    ]
    return [one for one in found if fits(q, one.name, one.title, one.building, f"{one.eui:016x}")] if q else found
