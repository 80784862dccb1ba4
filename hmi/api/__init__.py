"""The JSON API under /api/v1: the same ports, the same roles, for the UI, the command line and other programs."""

from flask import Blueprint

from hmi.api import (
    alarms,
    cases,
    collection,
    concentrators,
    data,
    dials,
    dispatch,
    events,
    firmware,
    install,
    leaks,
    losses,
    modules,
    points,
    reads,
    samples,
    series,
    session,
    supplies,
    walkby,
)
from hmi.pages.login import Gate
from hmi.services import Services
from hmi.sessions import Sessions


def make(services: Services, sessions: Sessions, gate: Gate) -> Blueprint:
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    session.add(blueprint, services, sessions, gate)
    dispatch.add(blueprint, services)
    reads.add(blueprint, services)
    supplies.add(blueprint, services)
    alarms.add(blueprint, services)
    events.add(blueprint, services)
    collection.add(blueprint, services)
    concentrators.add(blueprint, services)
    data.add(blueprint, services)
    series.add(blueprint, services)
    points.add(blueprint, services)
    samples.add(blueprint, services)
    walkby.add(blueprint, services)
    modules.add(blueprint, services)
    firmware.add(blueprint, services)
    install.add(blueprint, services)
    dials.add(blueprint, services)
    losses.add(blueprint, services)
    cases.add(blueprint, services)
    leaks.add(blueprint, services)
    return blueprint
