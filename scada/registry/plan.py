"""A plan of meters as one CSV file, a line a meter: modules, consumers, points and meters of a site that is to be built."""

import csv
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, Final

import attrs

from scada.errors import ConfigError, Problem
from scada.registry.draft import Draft, Entry, written
from scada.registry.exchange import csv_rows, text_of
from scada.registry.kinds import KIND
from scada.site import Medium, ModuleState

# Column of the plan -> (kind, field) of the site; what stands in several lines of one thing must be the same.
COLUMNS: Final[dict[str, tuple[str, str]]] = {
    "concentrator": ("modules", "concentrator"),
    "eui": ("modules", "eui"),
    "module": ("modules", "name"),
    "adapter": ("modules", "adapter"),
    "building": ("modules", "building"),
    "point": ("points", "name"),
    "medium": ("points", "medium"),
    "title": ("points", "title"),
    "consumer": ("consumers", "name"),
    "consumer_title": ("consumers", "title"),
    "phases": ("consumers", "phases"),
    "feeder": ("consumers", "feeder"),
    "protected": ("consumers", "protected"),
    "serial": ("meters", "serial"),
    "channel": ("meters", "channel"),
    "pulses_per_unit": ("meters", "pulses_per_unit"),
    "valid_from": ("meters", "valid_from"),
    "start_register": ("meters", "start_register"),
}
NEEDED: Final = ("concentrator", "eui", "point", "serial", "pulses_per_unit")
EXPECTED: Final = f"a CSV file with the columns {', '.join(NEEDED)}, and if wanted {', '.join(set(COLUMNS) - set(NEEDED))}"
EVERY: Final = 2000                     # lines between two news of the progress
KEY: Final = {"modules": "eui", "points": "name", "consumers": "name"}


@attrs.define(eq=False)
class _Things:
    """What the lines so far have made, one entry a thing."""

    where: str
    entries: dict[str, dict[Any, Entry]] = attrs.field(factory=lambda: {kind: {} for kind in KEY})
    meters: list[Entry] = attrs.field(factory=list)
    channels: dict[int, int] = attrs.field(factory=dict)
    problems: list[Problem] = attrs.field(factory=list)

    def add(self, kind: str, key: Any, line: int, values: dict[str, Any]) -> None:
        held = self.entries[kind].get(key)
        if held is None:
            self.entries[kind][key] = Entry(kind, f"{kind}.{line}", self.where, line, values, {})
            return
        for field, value in values.items():
            if held.values.setdefault(field, value) != value:
                whose = KIND[kind].forms[KEY[kind]].text(key)
                said = f"{value} here and {held.values[field]} in line {held.line}; expected the same for {whose}"
                self.problems.append(Problem(self.where, f"{kind}.{line}.{field}", said, line))


def read(
    path: Path, known: Container[int], hour: int, progress: Callable[[int, int], None] = lambda done, of: None
) -> Draft:
    """
    Read a plan. What is wrong in it is in the draft, line by line; `ConfigError` where nothing can be read at all.

    Modules that are not `known` (by EUI) become planned ones; known ones keep their state. Periods begin at `hour`
    [h since 1970] where the plan names no `valid_from`.
    """
    text = text_of(path)
    header, _, _ = text.partition("\n")
    delimiter = ";" if ";" in header and "," not in header else ","
    total = text.count("\n")
    things = _Things(str(path))
    fields: list[str] | None = None
    line = 1
    try:
        for line, row in csv_rows(text, delimiter):
            if fields is None:
                fields = [field.strip() for field in row]
                _check_header(fields, str(path))
                continue
            _line(things, line, fields, row, known, hour)
            if line % EVERY == 0:
                progress(line, total)
    except csv.Error as error:
        raise ConfigError([Problem(str(path), "", f"not valid CSV: {error}", line)]) from None
    if fields is None:
        raise ConfigError([Problem(str(path), "", f"expected {EXPECTED}", 1)])
    for eui, channels in things.channels.items():
        if (entry := things.entries["modules"].get(eui)) is not None and eui not in known:
            entry.values["channels"] = channels
    progress(total, total)
    entries = (*(one for kind in KEY for one in things.entries[kind].values()), *things.meters)
    return Draft(entries, tuple(things.problems))


def _check_header(fields: list[str], where: str) -> None:
    problems = [
        Problem(where, field, f"{'stands twice' if field in COLUMNS else 'unknown column'}; expected {EXPECTED}", 1)
        for position, field in enumerate(fields) if field not in COLUMNS or field in fields[:position]
    ]
    problems += [Problem(where, field, f"missing; expected {EXPECTED}", 1) for field in NEEDED if field not in fields]
    if problems:
        raise ConfigError(problems)


def _line(things: _Things, line: int, fields: list[str], row: list[str], known: Container[int], hour: int) -> None:
    before = len(things.problems)
    values: dict[str, dict[str, Any]] = {"modules": {}, "points": {}, "consumers": {}, "meters": {}}
    if len(row) != len(fields):
        said = f"expected {len(fields)} cells as in the header, found {len(row)}"
        things.problems.append(Problem(things.where, f"line {line}", said, line))
    for column, cell in zip(fields, row, strict=False):
        kind, field = COLUMNS[column]
        if not cell.strip() and column not in NEEDED:
            continue                                        # not said: the default, or what the registry has
        try:
            values[kind] |= written(KIND[kind], field, [cell])
        except ValueError as error:
            things.problems.append(Problem(things.where, column, str(error), line))
    for column in NEEDED:
        kind, field = COLUMNS[column]
        if values[kind].get(field) == "":
            things.problems.append(Problem(things.where, column, "missing; this column is required", line))
    if len(things.problems) > before:
        return
    module, meter = values["modules"], values["meters"]
    eui, point = module["eui"], values["points"]["name"]
    if eui not in known:
        module.setdefault("name", f"{module['concentrator']}-{eui % 16**8:08X}")
        module.update(state=ModuleState.PLANNED, index=0)
    meter.setdefault("channel", 0)
    meter.setdefault("valid_from", hour)
    meter.update(eui=eui, point=point)
    values["points"].setdefault("medium", Medium.ELECTRICITY)
    things.channels[eui] = max(things.channels.get(eui, 1), meter["channel"] + 1)
    things.add("modules", eui, line, module)
    if consumer := values["consumers"].get("name"):
        values["points"]["consumer"] = consumer
        things.add("consumers", consumer, line, values["consumers"])
    things.add("points", point, line, values["points"])
    things.meters.append(Entry("meters", f"meters.{line}", things.where, line, meter, {}))
