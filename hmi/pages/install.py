"""The installer's page, for a phone: find a module, see it live, say which meter hangs on it. One thing a step."""

import secrets
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, g, redirect, render_template, request, url_for

from hmi import install, installing
from hmi.access import INSTALL, PHOTOS, allow
from hmi.i18n import _
from hmi.installing import STEPS
from hmi.notices import notice
from hmi.reasons import in_words
from hmi.services import Services
from scada.dial import IMAGE_TYPES, MOST_PHOTO_BYTES, Installed
from scada.errors import CommandRejected
from scada.reads import ReadPriority, ReadRequest
from scada.site import UNIT_OF_MEDIUM, Medium, ModuleState

BODY: Final = MOST_PHOTO_BYTES + (64 << 10)     # the form around the photo
RECENT: Final = 50
ASK_WITHIN_S: Final = 900
TASKS: Final = 200


def look(services: Services, eui: int) -> install.ModuleSeen:
    """Everything of one module, for the page and for the API."""
    directory = services.registry.directory
    module = directory.module_of_eui.get(eui)
    pulses = services.dials.pulses(eui, max(module.channels, 1)) if module is not None else None
    points = {one.point for one in directory.meters_of_eui.get(eui, ())}
    confirmed = frozenset(one for one in points if any(
        reading.key for reading in services.registry.dials.of_point(one)
    ))
    return install.seen(directory, services.mesh.views(), eui, pulses, services.reading.tasks(TASKS), confirmed)


def begin(services: Services, eui: int) -> None:
    """Make a planned or discovered module one that is being put into service; more of it does nothing."""
    module = services.registry.directory.module_of_eui.get(eui)
    if module is not None and module.state in (ModuleState.PLANNED, ModuleState.DISCOVERED):
        services.in_reactor(services.registry.commission, g.session.actor(), eui)


def ask(services: Services, eui: int) -> None:
    """Have the module's registers read now, once at a time."""
    module = services.registry.directory.module_of_eui.get(eui)
    if module is None:
        raise CommandRejected([f"no module {eui:016X} is in the registry"])
    if not look(services, eui).asking:
        wish = ReadRequest(modules=(module.name,), within_s=ASK_WITHIN_S, priority=ReadPriority.URGENT)
        services.in_reactor(services.reading.request, g.session.actor(), wish)


def make(services: Services) -> Blueprint:
    blueprint = Blueprint("install", __name__)

    def start(text: str = "", fault: str = "") -> str:
        rows = []
        for one in services.registry.dials.recent(RECENT):
            periods = services.registry.directory.meters_of_point.get(one.point, ())
            period = next((p for p in periods if p.serial == one.serial), None)
            module = services.registry.directory.module_of_eui.get(period.eui) if period is not None else None
            rows.append((one, period, module))
        return render_template("install.html", text=text, fault=fault, rows=rows)

    @blueprint.get("/install")
    @allow(INSTALL)
    def page() -> Any:
        text = request.args.get("eui", "")
        if not text:
            return start()
        eui, fault = installing.eui_of(text[:200])
        if eui is None:
            return start(text[:200], in_words(fault)), 400
        return redirect(url_for("install.module", eui=f"{eui:016x}"))

    @blueprint.get("/install/<eui>")
    @allow(INSTALL)
    def module(eui: str) -> Any:
        return render_template("install_module.html", found=look(services, _eui(eui)))

    @blueprint.post("/install/<eui>/begin")
    @allow(INSTALL)
    def begun(eui: str) -> Any:
        return _done(eui, lambda: begin(services, _eui(eui)))

    @blueprint.post("/install/<eui>/ask")
    @allow(INSTALL)
    def asked(eui: str) -> Any:
        return _done(eui, lambda: ask(services, _eui(eui)))

    @blueprint.get("/install/<eui>/<int:channel>")
    @allow(INSTALL)
    def step(eui: str, channel: int) -> Any:
        return _step(services, _eui(eui), channel, dict(request.args))

    @blueprint.post("/install/<eui>/<int:channel>/photo")
    @allow(INSTALL, takes=BODY)
    def photo(eui: str, channel: int) -> Any:
        fields = installing.said(request.form).fields
        file = request.files.get("file")
        if file is not None and file.filename:
            try:
                fields["photo"] = services.dials.keep_photo(file.read())
            except CommandRejected as error:
                for reason in error.reasons:
                    notice(in_words(reason), "error")
                return redirect(_at(eui, channel, "photo", fields))
        return redirect(_at(eui, channel, "confirm", fields))

    @blueprint.post("/install/<eui>/<int:channel>")
    @allow(INSTALL)
    def confirm(eui: str, channel: int) -> Any:
        answers = installing.said(request.form)
        if answers.faults:
            return _step(services, _eui(eui), channel, {**answers.fields, "step": "confirm"}), 400
        try:
            done: Installed = services.in_reactor(
                services.registry.install, g.session.actor(), installing.installation(_eui(eui), channel, answers.fields)
            )
        except CommandRejected as error:
            return _step(services, _eui(eui), channel, {**answers.fields, "step": "confirm"}, error.reasons), 409
        notice(_("Meter %(serial)s is installed at %(point)s.", serial=done.period.serial, point=done.period.point))
        return redirect(url_for("install.module", eui=eui))

    @blueprint.get("/install/photos/<name>")
    @allow(PHOTOS)
    def picture(name: str) -> Any:
        data = services.dials.photo(name)
        if data is None:
            abort(404)
        return Response(data, mimetype=IMAGE_TYPES[name.rpartition(".")[2]], headers={
            "Cache-Control": "private, max-age=86400", "Content-Security-Policy": "default-src 'none'; sandbox",
        })

    @blueprint.after_request
    def camera(response: Response) -> Response:
        response.headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
        return response

    return blueprint


def _at(eui: str, channel: int, step: str, fields: dict[str, str]) -> str:
    return f"{url_for('install.step', eui=eui, channel=channel)}?{urlencode({'step': step, **fields})}"


def _eui(text: str) -> int:
    eui, _fault = installing.eui_of(text)
    return abort(404) if eui is None else eui


def _done(eui: str, work: Any) -> Any:
    try:
        work()
    except CommandRejected as error:
        for reason in error.reasons:
            notice(in_words(reason), "error")
    return redirect(url_for("install.module", eui=eui))


def _step(
    services: Services, eui: int, channel: int, given: dict[str, str], reasons: tuple[str, ...] = ()
) -> str:
    found = look(services, eui)
    if found.module is None or channel >= len(found.channels):
        abort(404)
    wanted = given.get("step", STEPS[0])
    planned = found.channels[channel].period
    directory = services.registry.directory
    if planned is not None and "serial" not in given:       # as planned, until the installer says otherwise
        point = directory.point[planned.point]
        given = {
            **given, "serial": planned.serial, "constant": f"{planned.pulses_per_unit:g}", "medium": point.medium.value,
            "point": point.name,
        }
    if wanted == "photo" and not given.get("at"):
        given = {**given, "at": str(services.clock.seconds())}      # the dial was read just now
    if not given.get("key"):
        given = {**given, "key": secrets.token_hex(16)}
    answers = installing.said(given)
    shown = answers.reached(wanted)
    unit = UNIT_OF_MEDIUM[Medium(answers.fields["medium"] or Medium.ELECTRICITY)] if "medium" not in answers.faults else ""
    return render_template(
        "install_step.html", found=found, channel=channel, planned=planned, step=shown, steps=STEPS, fields=answers.fields,
        faults=answers.fault_of(shown) if shown != wanted else {}, reasons=reasons, unit=unit,
        previous=STEPS[max(STEPS.index(shown) - 1, 0)], megabytes=MOST_PHOTO_BYTES >> 20,
        following=STEPS[min(STEPS.index(shown) + 1, len(STEPS) - 1)],
        own={name for step in (shown,) for name in installing.OF_STEP[step]},
    )
