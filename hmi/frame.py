"""What stands on every page: banner, clock, user, language, monitor-only badge; and the filters templates use."""

from typing import Any

import attrs
from flask import Flask, current_app, g, request, url_for

from hmi import access, encode, formats, labels, life, reasons, titles
from hmi.assets import Assets
from hmi.i18n import LANGUAGES, _, ui_strings
from hmi.notices import take
from hmi.services import Services
from hmi.site_time import SiteTime, offset
from scada.commands import MemberState, Role
from scada.dial_file import dial_text


@attrs.frozen
class Room:
    """Pages that belong together; without a name they stand in the menu by themselves."""

    name: str
    entries: tuple[tuple[str, str], ...]


def install(app: Flask, services: Services, assets: Assets) -> None:
    time = SiteTime(services.site.timezone)
    app.jinja_env.filters.update(
        number=formats.number, stamp=time.stamp, minute=time.minute, age_text=formats.age, duration=formats.duration,
        kind=labels.kind, eui="{:016x}".format,
        what=lambda source: labels.point(source) or titles.in_words(services.title(source)), detail=formats.detail,
        in_words=reasons.in_words, dial=dial_text, title_in_words=titles.in_words,
    )
    app.jinja_env.globals.update(
        labels=labels, states=MemberState, shown=encode.MOST_MEMBERS,
        access=access, asset=assets.url, LANGUAGES=LANGUAGES, site=services.site,
        quality_words=formats.quality_words,
        next_page=lambda alarm: life.next_page(services.registry.directory, alarm),
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    @app.context_processor
    def frame() -> dict[str, Any]:
        session = g.get("session")
        now = services.clock.now()
        local = time.local(now)
        role: Role | None = session.account.role if session else None
        known = bool(session) and role in access.STAFF
        return {
            "me": session.account if session else None,
            "may": lambda roles: role in roles,
            "csrf": g.get("form_token", ""),
            "language": g.get("language", services.site.language),
            "site_title": services.site.title or services.site.name,
            "now": now,
            "clock": {"time": f"{local:%H:%M:%S}", "date": f"{local:%Y-%m-%d}", "offset": offset(local)},
            "monitor_only": services.desk.monitor_only,
            "banner": encode.alarm_summary(services.alarms.active(), services.title) if known else None,
            "notices": take(),
            "bundle": assets.present,
            "here": _here(),
            "menu": _menu(role) if known else _field_menu() if role in access.INSTALL else (),
            "home": "/" if known or role not in access.INSTALL else url_for("install.page"),
            "page_data": _page_data(services, assets, now, known) | {"field": not known and role in access.INSTALL},
        }


def _here() -> str:
    """Where a change of language comes back to; the answer to a form has no address of its own, but its page has."""
    if request.method == "GET":
        return request.full_path.rstrip("?")
    page = f"{request.blueprint}.page"
    if page not in current_app.view_functions:
        return "/"
    wanted = next(current_app.url_map.iter_rules(page)).arguments
    return url_for(page, **{name: value for name, value in (request.view_args or {}).items() if name in wanted})


def _field_menu() -> tuple[Room, ...]:
    """Of those who see nothing but the installer's page."""
    return (Room("", (("install.page", _("Install")),)),)


def _menu(role: Role | None) -> tuple[Room, ...]:
    """What is looked at all day stands by itself; the rest in rooms that open."""
    system = [("tags.page", _("Tags"))]
    if role in access.AUDITORS:
        system.append(("audit.page", _("Audit")))
    if role in access.IMPORT:
        system.append(("walkby.page", _("Walk-by import")))
    return (
        Room("", (
            ("overview.page", _("Overview")),
            ("alarms.page", _("Alarms")),
            ("balance.index", _("Balance")),
            ("dispatch.page", _("Load shedding")),
            ("supplies.page", _("Supplies")),
            ("outages.page", _("Outages")),
        )),
        Room(_("Metering"), (
            ("meters.index", _("Meters")),
            ("reads.page", _("Reads")),
            ("collection.page", _("Collection")),
            ("dials.page", _("Dials")),
            ("suspects.page", _("Suspects")),
            ("leaks.page", _("Leaks")),
            ("recalibration.page", _("Recalibration")),
        )),
        Room(_("Radio"), (
            ("mesh.page", _("Network")),
            ("modules.page", _("Modules")),
            ("clocks.page", _("Clocks")),
            ("firmware.page", _("Firmware")),
        )),
        Room(_("System"), tuple(system)),
    )


def _page_data(services: Services, assets: Assets, now: int, known: bool) -> dict[str, Any]:
    """What the browser's part needs to know before its first event."""
    language = g.get("language", services.site.language)
    return {
        "language": language, "zone": services.site.timezone, "site_ms": now // 1_000_000, "rate": services.clock.rate,
        "csrf": g.get("form_token", ""), "live": known, "worker": assets.url("worker.js"),
        "strings": ui_strings(language), "labels": labels.for_browser() | {"reason": reasons.for_browser()},
        "user": g.session.account.name if g.get("session") else "",
    }
