"""The clocks of one subnet as tags with limits, so that history, OPC UA and alarms have them; and as a view. Pure."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.drivers.dmesh.mesh import Mesh
from scada.drivers.dmesh.module_clocks import Tolerance
from scada.ports import ClockView, ModuleClock
from scada.settings import TimeSettings
from scada.site import Concentrator
from scada.tags import Batch, Device, Limits, Quality, TagDef

STALE_AFTER: Final = 26 * HOUR_S * NS
MOST_WORST: Final = 20                  # modules shown of one concentrator


def tolerance(settings: TimeSettings) -> Tolerance:
    return Tolerance(settings.module_seconds, settings.drift_ppm)


def tags(settings: TimeSettings) -> tuple[TagDef, ...]:
    """What a concentrator's time device shows; limits raise alarms."""
    off, ppm = settings.concentrator_seconds, settings.drift_ppm
    return (
        TagDef("offset", "s", "Concentrator's clock against the server's", None, None, STALE_AFTER,
               Limits(low=-off, high=off, hysteresis=off / 10), 3),
        TagDef("drift", "ppm", "Rate of the concentrator's clock", None, None, STALE_AFTER,
               Limits(low=-ppm, high=ppm, hysteresis=ppm / 10), 1),
        TagDef("module_offset", "s", "Largest offset of a module's clock", None, None, STALE_AFTER, digits=3),
        TagDef("module_drift", "ppm", "Largest rate of a module's clock", None, None, STALE_AFTER, digits=1),
        TagDef("modules_beyond", "", "Modules whose clock is beyond tolerance", 0, 240, STALE_AFTER, Limits(high=0.5), 0),
        TagDef("steps", "", "Times its clock was stepped since start", 0, None, STALE_AFTER, digits=0),
    )


def device(concentrator: Concentrator, definitions: tuple[TagDef, ...]) -> Device:
    return Device(f"{concentrator.name}-time", definitions, (concentrator.name,), concentrator.title, concentrator.area)


def batch(name: str, mesh: Mesh, allowed: Tolerance, now: int) -> Batch:
    """Values of `tags`."""
    nan, clock = float("nan"), mesh.clock
    last = clock.last
    offset = nan if last is None else last.error
    worst, drift, beyond = nan, nan, nan
    if mesh.module_clocks is not None:
        worst, drift = _largest(mesh.module_clocks.offset), _largest(mesh.module_clocks.drift)
        beyond = float(mesh.module_clocks.beyond(allowed).sum()) if not np.isnan(worst) else nan
    values = np.array([offset, clock.drift, worst, drift, beyond, float(clock.steps)])
    quality = np.where(np.isnan(values), Quality.BAD_WAITING, Quality.GOOD).astype(np.uint8)
    return Batch(f"{name}-time", values, quality, now, now)


def view(name: str, mesh: Mesh, allowed: Tolerance, *, link_up: bool) -> ClockView:
    """For pages."""
    clock, clocks = mesh.clock, mesh.module_clocks
    nan = float("nan")
    found: tuple[ModuleClock, ...] = ()
    known = wrong = 0
    if clocks is not None:
        drift, beyond, euis = clocks.drift, clocks.beyond(allowed), clocks.euis
        known, wrong = int(np.isfinite(clocks.offset).sum()), int(beyond.sum())
        found = tuple(
            ModuleClock(int(euis[one]), one, float(clocks.offset[one]), float(drift[one]), int(clocks.heard[one]) * NS,
                        bool(beyond[one]))
            for one in clocks.worst(allowed, MOST_WORST).tolist()
        )
    last = clock.last
    return ClockView(
        name, link_up, last.offset if last else nan, last.within if last else nan, clock.drift,
        round(last.at * NS) if last else 0, clock.mode.name.lower() if clock.mode is not None else "", clock.steps,
        known, wrong, found,
    )


def _largest(values: NDArray[np.floating[Any]]) -> float:
    """The one farthest from 0, with its sign; NaN where there is none."""
    there = values[np.isfinite(values)]
    return float(there[np.abs(there).argmax()]) if len(there) else float("nan")
