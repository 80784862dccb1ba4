"""A folder in the layout of a test feeder (lines.csv, linecodes.csv, loads.csv …) as entries of the registry."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.checks import network_of, phases_of
from scada.balancing.network.folder import CODES, LINES, LOADS, SUPPLY, read_tables
from scada.balancing.network.model import Supply
from scada.balancing.network.of_site import VOLT
from scada.balancing.network.supplies import blocks
from scada.balancing.network.tables import OHM_COLUMNS, Tables
from scada.errors import ConfigError, Problem
from scada.registry.draft import Draft, Entry
from scada.site import Directory, Medium, Site

COORDINATES: Final = "buscoords.csv"


@attrs.frozen
class Wish:
    """What the folder's things are called in the registry."""

    transformer: str
    feeder: str
    prefix: str                             # of sections and linecodes


def drafted(folder: Path, wish: Wish, old: Site) -> tuple[Draft, tuple[Problem, ...]]:
    """
    Return what a folder says, to be put into a site, and what of it the registry has no place for.

    Everything that is wrong in all files is in the draft, and then it holds nothing else. A load whose name is that of a
    metering point is this point: it keeps its consumer, who comes to hang on the feeder.
    """
    problems: list[Problem] = []
    tables = read_tables(folder, problems)
    try:
        network_of(tables, meshed=True)
    except ConfigError as error:
        problems += (_with_line(one, tables) for one in error.problems)
    problems += _conflicts(tables, wish, old)
    if problems:
        return Draft((), tuple(problems)), ()
    entries = tuple(_entries(folder, tables, wish, Directory(old)))
    return Draft(entries, ()), tuple(_left_out(folder, tables))


# ---------------------------------------------------------------------- what is wrong
def _with_line(problem: Problem, tables: Tables) -> Problem:
    """The files have a thing a line, the first of them on the second."""
    names = {LINES: tables.sections.names, CODES: tables.linecodes.names, LOADS: tables.points.names}.get(problem.where, ())
    line = names.index(problem.key) + 2 if problem.key in names else None
    return attrs.evolve(problem, line=line)


def _conflicts(tables: Tables, wish: Wish, old: Site) -> Iterator[Problem]:
    """Things of the same name that are something else: nothing of another network is overwritten."""
    if not blocks(tables.vector_group):
        said = f"{tables.vector_group!r} lets the zero sequence through; only Dyn can be computed from the registry"
        yield Problem(SUPPLY, "transformer vector_group", said)
    directory = Directory(old)
    feeder = directory.feeder.get(wish.feeder)
    if feeder is not None and feeder.transformer != wish.transformer:
        yield Problem("argument", "--feeder", f"{wish.feeder} is a feeder of {feeder.transformer}; expected another name")
    sections = {one.name: one for one in old.sections}
    for row, name in enumerate(tables.sections.names):
        held = sections.get(wish.prefix + name)
        if held is not None and held.feeder != wish.feeder:
            said = f"there is a section {held.name} of feeder {held.feeder}; expected another name, see --prefix"
            yield Problem(LINES, name, said, row + 2)
    other = {one.name for one in old.feeders if one.transformer == wish.transformer} - {wish.feeder}
    taken = {end: one.feeder for one in old.sections if one.feeder in other for end in (one.from_node, one.to_node)}
    for node in dict.fromkeys(end for ends in tables.sections.ends for end in ends):
        if node in taken and node != (tables.root or wish.transformer):
            said = f"is in feeder {taken[node]} too, and all of a transformer is one network; expected another name"
            yield Problem(LINES, f"node {node}", said)
    for row, (name, ohm) in enumerate(zip(tables.linecodes.names, tables.linecodes.ohm_per_km, strict=True)):
        code = directory.linecode.get(wish.prefix + name)
        if code is not None and not np.allclose([getattr(code, column) for column in OHM_COLUMNS], ohm, rtol=1e-9):
            said = f"there is a linecode {code.name} with other figures; expected another name, see --prefix"
            yield Problem(CODES, name, said, row + 2)
    for row, name in enumerate(tables.points.names):
        point = directory.point.get(name)
        if point is not None and point.medium is not Medium.ELECTRICITY:
            yield Problem(LOADS, name, f"is a metering point of {point.medium}; expected one of electricity", row + 2)
        who = directory.consumer.get(point.consumer if point is not None and point.consumer else name)
        if who is not None and who.feeder not in ("", wish.feeder):
            said = f"its consumer {who.name} hangs on feeder {who.feeder}; expected none, or {wish.feeder}"
            yield Problem(LOADS, name, said, row + 2)


# ---------------------------------------------------------------------- what it becomes
def _entries(folder: Path, tables: Tables, wish: Wish, directory: Directory) -> Iterator[Entry]:
    sections, codes, points = tables.sections, tables.linecodes, tables.points
    yield _entry(folder / SUPPLY, "transformers", 0, {
        "name": wish.transformer, **_nameplate(tables.supply), "vector_group": tables.vector_group.partition(" ")[0],
        "root": tables.root,
    })
    yield _entry(folder / LINES, "feeders", 0, {"name": wish.feeder, "transformer": wish.transformer})
    for row, name in enumerate(codes.names):
        yield _entry(folder / CODES, "linecodes", row, {"name": wish.prefix + name, **_ohm(codes.ohm_per_km[row])})
    for row, (name, ends, code) in enumerate(zip(sections.names, sections.ends, sections.linecode, strict=True)):
        yield _entry(folder / LINES, "sections", row, {
            "name": wish.prefix + name, "feeder": wish.feeder, "from_node": ends[0], "to_node": ends[1],
            "length_m": float(sections.length[row]), "linecode": wish.prefix + code if code else "",
            **_ohm(sections.ohm_per_km[row]),
        })
    for row, (name, node, phases) in enumerate(zip(points.names, points.node, points.phases, strict=True)):
        known = directory.point.get(name)
        consumer = known.consumer if known is not None and known.consumer else name
        yield _entry(folder / LOADS, "consumers", row, {
            "name": consumer, "phases": _named(phases), "feeder": wish.feeder,
        })
        yield _entry(folder / LOADS, "points", row, {
            "name": name, "medium": Medium.ELECTRICITY, "consumer": consumer, "node": node,
            "power_factor": float(points.power_factor[row]),
        })


def _entry(file: Path, kind: str, row: int, values: Mapping[str, Any]) -> Entry:
    return Entry(kind, f"{kind}.{row + 2}", str(file), row + 2, dict(values), {})


def _ohm(row: NDArray[np.float64]) -> dict[str, float | None]:
    values: Iterable[float] = row.tolist()
    return {name: None if np.isnan(value) else value for name, value in zip(OHM_COLUMNS, values, strict=True)}


def _named(phases: str) -> str:
    connected = phases_of(phases)
    assert connected is not None                            # checked with the network
    return "".join(f"L{number}" for number, there in enumerate(connected, 1) if there)


def _nameplate(supply: Supply) -> dict[str, float]:
    """Figures that give the same ohms at the registry's 400 V, whatever the transformer's own rated voltage is."""
    per_unit = supply.impedance * supply.rated / VOLT**2
    return {
        "rated_kva": supply.rated / 1e3, "uk_percent": 100 * abs(per_unit),
        "load_loss_kw": per_unit.real * supply.rated / 1e3, "no_load_loss_kw": supply.no_load_loss / 1e3,
        "no_load_v": supply.voltage * 3**0.5,
    }


def _left_out(folder: Path, tables: Tables) -> Iterator[Problem]:
    supply = tables.supply
    if supply.grid:
        yield Problem(SUPPLY, "source isc3_A", "the registry takes the medium-voltage network to be stiff; left out")
    if supply.zero_impedance != supply.impedance:
        yield Problem(SUPPLY, "transformer", "the registry has no zero sequence of its own for Dyn; r0 and x0 are left out")
    if any(tables.points.profile):
        yield Problem(LOADS, "profile", "the registry has no profiles: stored hours are those of the point; left out")
    if (folder / COORDINATES).exists():
        yield Problem(COORDINATES, "", "the registry has no places of nodes; left out")
