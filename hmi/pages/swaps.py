"""Another module, or another meter, in the place of one: a form, what would change, and only then the change."""

from typing import Any, Final

import attrs
import numpy as np
from flask import Blueprint, abort, g, redirect, render_template, request, url_for

from hmi import life
from hmi.access import ADOPT, allow
from hmi.i18n import _
from hmi.notices import notice
from hmi.services import Services
from hmi.site_time import SiteTime
from scada.clock import HOUR_S, NS
from scada.errors import CommandRejected
from scada.site import UNIT_OF_MEDIUM, Directory, MeterPeriod, Module, ModuleState, SiteChange, Swap

OFFERED_HEIRS: Final = 50
NEW: Final = (ModuleState.PLANNED, ModuleState.DISCOVERED, ModuleState.COMMISSIONING)


@attrs.frozen
class Place:
    """One running meter in the dialog, with what its counted register says now."""

    meter: MeterPeriod
    unit: str
    register: str                       # "" where it is not known


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("swaps", __name__)
    time = SiteTime(services.site.timezone)

    @blueprint.get("/modules/<name>/swap")
    @allow(ADOPT)
    def module(name: str) -> Any:
        return dialog(*_module(name), only=None)

    @blueprint.post("/modules/<name>/swap")
    @allow(ADOPT)
    def swap_module(name: str) -> Any:
        return submitted(*_module(name), only=None)

    @blueprint.get("/meters/<name>/swap")
    @allow(ADOPT)
    def meter(name: str) -> Any:
        return dialog(*_meter(name))

    @blueprint.post("/meters/<name>/swap")
    @allow(ADOPT)
    def swap_meter(name: str) -> Any:
        return submitted(*_meter(name))

    def _module(name: str) -> tuple[Directory, Module]:
        directory = services.registry.directory
        return directory, directory.module_of_name.get(name) or abort(404)

    def _meter(name: str) -> tuple[Directory, Module, MeterPeriod]:
        directory = services.registry.directory
        running = [one for one in directory.meters_of_point.get(name, ()) if one.valid_to is None]
        meter = running[-1] if running else abort(404)
        return directory, directory.module_of_eui.get(meter.eui) or abort(404), meter

    def submitted(directory: Directory, old: Module, only: MeterPeriod | None) -> Any:
        try:
            wish = read(directory, old, only)
        except life.FormError as error:
            return dialog(directory, old, only, said=(str(error),)), 400
        try:
            if request.form.get("step") != "do":
                change = services.in_reactor(services.registry.preview, g.session.actor(), wish)
                return dialog(directory, old, only, change=change)
            heir = services.in_reactor(services.registry.swap, g.session.actor(), wish)
        except CommandRejected as error:
            return dialog(directory, old, only, reasons=error.reasons), 409
        if only is not None:
            notice(_("The meter at %(point)s is exchanged.", point=only.point))
            return redirect(url_for("meter.page", name=only.point))
        notice(_("%(new)s has the place of %(old)s.", new=heir.name, old=old.name))
        return redirect(url_for("modules.one", name=heir.name))

    def read(directory: Directory, old: Module, only: MeterPeriod | None) -> Swap:
        form = request.form
        hour = life.hour_of(form.get("hour", ""), services.site.timezone)
        new = old.eui if only is not None else life.eui_of(form.get("new", ""))
        named = tuple(life.meter_of(form, one.channel) for one in running(directory, old, only))
        if only is not None and not (named and named[0].serial):
            raise life.FormError(_("The number of the new meter is missing."))
        return life.counted(services, Swap(old.eui, new, hour, named))

    def running(directory: Directory, old: Module, only: MeterPeriod | None) -> tuple[MeterPeriod, ...]:
        """Of a form that is sent again after the swap: those that ended then, so that again is once."""
        periods = directory.meters_of_eui.get(old.eui, ())
        open_ones = tuple(one for one in periods if one.valid_to is None)
        if only is not None:
            of = request.form.get("of", "")
            channel = int(of) if of.isdecimal() and len(of) == 1 else only.channel
            return tuple(one for one in periods if one.channel == channel)[-1:]
        return open_ones or tuple(one for one in periods if f"final-{one.channel}" in request.form)

    def dialog(
        directory: Directory, old: Module, only: MeterPeriod | None, *, said: tuple[str, ...] = (),
        reasons: tuple[str, ...] = (), change: SiteChange | None = None,
    ) -> str:
        hour = services.clock.hour()
        periods = [one for one in directory.meters_of_eui.get(old.eui, ()) if one.valid_to is None]
        chosen = [only] if only is not None else periods
        registers = services.metering.register([one.point for one in chosen], hour) if chosen else np.zeros(0)
        places = [
            Place(one, UNIT_OF_MEDIUM[directory.point[one.point].medium], f"{value:.3f}" if np.isfinite(value) else "")
            for one, value in zip(chosen, registers.tolist(), strict=True)
        ]
        heirs = [
            one for one in directory.site.modules if one.concentrator == old.concentrator and one.state in NEW
        ][:OFFERED_HEIRS] if only is None else []
        return render_template(
            "swap.html", module=old, only=only, places=places, heirs=heirs, said=said, reasons=reasons, change=change,
            form=request.form, now=f"{time.local(hour * HOUR_S * NS):%Y-%m-%dT%H:%M}",
        )

    return blueprint
