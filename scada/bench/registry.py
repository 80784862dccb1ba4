"""What a registry of 100,000 modules costs: the import of its plan, a list of known modules, a change, the look-ups."""

import csv
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs

from scada.bench import Figure
from scada.commands import Actor, Role
from scada.registry.database import RegistryDatabase, open_registry
from scada.site import MADE_FROM, Concentrator, Directory, JoinedModule, ModuleState, Site, followed

METERS: Final = 100_000
A_CONCENTRATOR: Final = 240
HOUR: Final = 490_896
PERSON: Final = Actor("bench", Role.ADMINISTRATOR)
ROUNDS: Final = 5


def concentrators(meters: int) -> tuple[Concentrator, ...]:
    return tuple(Concentrator(f"C{number:04}", number + 1) for number in range(-(-meters // A_CONCENTRATOR)))


def write_plan(path: Path, meters: int) -> None:
    """A plan as a utility would write it: every column that is usual."""
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(
            ("concentrator", "eui", "channel", "point", "consumer", "phases", "serial", "pulses_per_unit", "building")
        )
        for number in range(meters):
            out.writerow((
                f"C{number // A_CONCENTRATOR:04}", f"{0xD100_0000_0000_0000 + number:016X}", 0, f"P{number:06}",
                f"K{number:06}", f"L{number % 3 + 1}", f"S{number:06}", 3200 if number % 2 else 1000,
                f"House {number // 40}",
            ))


def announced(database: RegistryDatabase, concentrator: int, channels: int = 1) -> list[JoinedModule]:
    """The list of one concentrator as it says it after a power cut."""
    modules = database.load().modules[concentrator * A_CONCENTRATOR : (concentrator + 1) * A_CONCENTRATOR]
    return [JoinedModule(one.eui, concentrator + 1, place + 1, channels) for place, one in enumerate(modules)]


def measure(meters: int = METERS) -> list[Figure]:
    """Medians where a thing is done more than once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.csv"
        write_plan(path, meters)
        database = open_registry(f"sqlite:///{folder}/registry.sqlite")
        database.replace(Site(concentrators=concentrators(meters)), PERSON)
        began = time.process_time()
        imported = _seconds(lambda: database.plan(path, PERSON, HOUR))
        processor = time.process_time() - began
        heard = [_seconds(lambda n=n: database.join(announced(database, n))) for n in range(ROUNDS)]  # type: ignore[misc]
        lists = [announced(database, number) for number in range(ROUNDS)]
        known = [_seconds(lambda one=one: database.join(one)) for one in lists]  # type: ignore[misc]
        eui = database.load().modules[0].eui
        states = (ModuleState.LOST, ModuleState.ACTIVE) * ROUNDS
        moved = [_seconds(lambda one=one: database.set_module_states({eui: one})) for one in states]  # type: ignore[misc]
        site = database.load()
        afresh = _seconds(lambda: [getattr(Directory(site), name) for name in MADE_FROM])
        changed = attrs.evolve(site, modules=(attrs.evolve(site.modules[0], title="x"), *site.modules[1:]))
        before = database.directory(site)
        carried = [_seconds(lambda: followed(before, changed)) for _ in range(ROUNDS)]
        database.close()
    what = f"registry, {meters:,} meters"
    return [
        Figure("registry_plan", f"{what}: import of their plan", imported, "s"),
        Figure("registry_plan_cpu", f"{what}: processor time of that import", processor, "s"),
        Figure("registry_heard", f"{what}: 240 planned modules heard for the first time", 1000 * _median(heard), "ms"),
        Figure("registry_known", f"{what}: a list of 240 known modules", 1000 * _median(known), "ms"),
        Figure("registry_state", f"{what}: one module lost, durable", 1000 * _median(moved), "ms"),
        Figure("registry_lookups", f"{what}: all look-ups from nothing", 1000 * afresh, "ms"),
        Figure("registry_carried", f"{what}: the look-ups after one module changed", 1000 * _median(carried), "ms"),
    ]


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
