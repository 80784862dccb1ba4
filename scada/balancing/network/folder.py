"""A network from a folder of CSV files: sections, cables, service points, transformer. Every mistake with its line."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.checks import network_of
from scada.balancing.network.model import Network
from scada.balancing.network.supplies import read_supply
from scada.balancing.network.tables import OHM_COLUMNS, Linecodes, Sections, ServicePoints, Tables
from scada.errors import ConfigError, Problem, missing_file

SEQUENCES: Final = ("r1_ohm_per_km", "x1_ohm_per_km", "r0_ohm_per_km", "x0_ohm_per_km")
CONDUCTORS: Final = tuple(f"{name}_ohm_per_km" for name in OHM_COLUMNS)
LINES, CODES, LOADS, SUPPLY = "lines.csv", "linecodes.csv", "loads.csv", "source_transformer.csv"


def read_network(folder: Path, meshed: bool = False) -> Network:
    """
    Return the network that lies in `folder`.

    Parameters
    ----------
    folder : Path
        `lines.csv` (name, from_bus, to_bus, length_m and linecode, or r_phase_ohm_per_km … instead of it), `linecodes.csv`
        (name, and r1, x1, r0, x0 or r_phase, x_phase, r_neutral, x_neutral, all with _ohm_per_km), `loads.csv` (name, bus,
        phase, and if wanted pf_lagging, profile), `source_transformer.csv` (item, parameter, value). Other columns are left
        alone.
    meshed : bool
        Loops are allowed.

    Raises
    ------
    ConfigError
        With everything that is wrong in all files.
    """
    problems: list[Problem] = []
    tables = read_tables(folder, problems)
    try:
        found = network_of(tables, meshed)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    return found


def read_tables(folder: Path, problems: list[Problem]) -> Tables:
    """What is written in the files; adds to `problems` what is no table or no number."""
    if not folder.is_dir():
        raise missing_file(folder, f"a folder with {LINES}, {CODES}, {LOADS} and {SUPPLY}")
    lines = _read(folder / LINES, ("name", "from_bus", "to_bus", "length_m"), problems)
    codes = _read(folder / CODES, ("name",), problems, needed=False)
    loads = _read(folder / LOADS, ("name", "bus", "phase"), problems)
    items = _read(folder / SUPPLY, ("item", "parameter", "value"), problems)
    supply, root = read_supply(items.rows, str(items.path.name), problems)
    return Tables(
        linecodes=Linecodes(codes.text("name"), codes.impedances()),
        sections=Sections(
            lines.text("name"), tuple(zip(lines.text("from_bus"), lines.text("to_bus"), strict=True)),
            lines.text("linecode"), lines.numbers("length_m"), lines.impedances(),
        ),
        points=ServicePoints(
            loads.text("name"), loads.text("bus"), loads.text("phase"), loads.numbers("pf_lagging", 1.0),
            loads.text("profile"),
        ),
        supply=supply, root=root, linecodes_in=CODES, sections_in=LINES, points_in=LOADS,
        vector_group=next((row["value"] for row in items.rows if row.get("parameter") == "vector_group"), ""),
    )


@attrs.frozen
class _Table:
    """One file: its rows by column, and where complaints go."""

    path: Path
    rows: Sequence[dict[str, str]]
    problems: list[Problem]

    def text(self, column: str) -> tuple[str, ...]:
        return tuple(row.get(column, "") for row in self.rows)

    def numbers(self, column: str, otherwise: float = math.nan) -> NDArray[np.float64]:
        """A column that is not there, or a cell that is empty, is `otherwise`."""
        found = np.full(len(self.rows), otherwise)
        for index, row in enumerate(self.rows):
            text = row.get(column, "")
            if text:
                try:
                    found[index] = float(text)
                except ValueError:
                    found[index] = otherwise
                    said = f"{text!r} in {row.get('name', '')!r}; expected a number"
                    self.problems.append(Problem(self.path.name, column, said, index + 2))
        return found

    def impedances(self) -> NDArray[np.float64]:
        """R and X of phase and neutral from their own columns, else of the sequences: Zn = (Z0 - Z1) / 3. [ohm/km]"""
        own = np.stack([self.numbers(column) for column in CONDUCTORS], axis=1)
        one, zero = np.split(np.stack([self.numbers(column) for column in SEQUENCES], axis=1), 2, axis=1)
        return np.where(np.isnan(own), np.hstack([one, (zero - one) / 3]), own)


def _read(path: Path, columns: Iterable[str], problems: list[Problem], needed: bool = True) -> _Table:
    if not path.exists():
        if needed:
            problems.append(missing_file(path, f"columns {', '.join(columns)}").problems[0])
        return _Table(path, (), problems)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows = [
            {name.strip(): (text or "").strip() for name, text in row.items() if isinstance(name, str)} for row in reader
        ]
    missing = [column for column in columns if column not in (name.strip() for name in reader.fieldnames or ())]
    if missing:
        problems.append(Problem(path.name, "", f"no column {', '.join(missing)}", 1))
    return _Table(path, rows, problems)
