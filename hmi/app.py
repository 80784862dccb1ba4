"""Puts the Flask application together: pages, API, languages, access rules. One page = one blueprint = one file."""

from typing import Final

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from hmi import api, errors, frame, i18n, security
from hmi.assets import Assets
from hmi.pages import (
    account,
    alarms,
    audit,
    balance,
    clocks,
    collection,
    concentrators,
    dials,
    dispatch,
    events,
    firmware,
    groups,
    install,
    leaks,
    login,
    losses,
    mesh,
    meter,
    meters,
    modules,
    outages,
    overview,
    phases,
    reads,
    recalibration,
    supplies,
    suspects,
    swaps,
    tags,
    transformer,
    walkby,
)
from hmi.services import Services
from hmi.sessions import Sessions

MAX_BODY: Final = 64 * 1024             # bytes; no form of ours comes near


def create_app(services: Services, sessions: Sessions | None = None, assets: Assets | None = None) -> Flask:
    """The WSGI application; what it needs of the reactor it reaches through `services.in_reactor`."""
    sessions = Sessions(services.clock, services.hmi.idle_minutes) if sessions is None else sessions
    app = Flask("hmi", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY, MAX_FORM_MEMORY_SIZE=MAX_BODY, MAX_FORM_PARTS=50)
    app.json.sort_keys = False          # type: ignore[attr-defined]
    app.extensions["sessions"] = sessions
    if services.hmi.behind_tls_proxy:   # else a visitor could write any address into the header
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)      # type: ignore[method-assign]
    app.jinja_env.autoescape = True
    i18n.install(app, services.site.timezone)
    security.install(app, services, sessions)
    errors.install(app)
    frame.install(app, services, assets or Assets())
    gate = login.Gate(services, sessions)
    app.register_blueprint(login.make(services, sessions, gate))
    app.register_blueprint(account.make(services, sessions))
    for page in (
        overview, transformer, balance, phases, mesh, concentrators, clocks, collection, meters, meter, reads, dispatch,
        supplies, outages, alarms, events, audit, tags, walkby, modules, swaps, groups, firmware, install, dials, losses,
        suspects, leaks, recalibration,
    ):
        app.register_blueprint(page.make(services))
    app.register_blueprint(api.make(services, sessions, gate))
    return app
