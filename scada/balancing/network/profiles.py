"""Power of service points from a CSV file: a column each, a row an interval."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.model import Network
from scada.errors import ConfigError, Problem, missing_file

WATTS: Final = {"W": 1.0, "kW": 1e3, "Wh": 1.0, "kWh": 1e3}
MOST_NAMED: Final = 20                      # bad cells; a file of the wrong kind would be a flood


def read_profiles(
    path: Path, network: Network, unit: str = "kW", minutes: float = 60.0
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """
    Return what the service points took.

    Parameters
    ----------
    path : Path
        The first column says when, in words of its own. A service point's column is named as its profile, with or without a
        `p` before it, or as itself; other columns are left alone. An empty cell is a gap.
    network : Network
        p service points.
    unit : str
        Of `WATTS`; energies are those of an interval.
    minutes : float
        Length of an interval.

    Returns
    -------
    when : tuple of str
        The first column, h rows.
    active : ndarray of float64, shape (h, p)
        NaN in a gap. [W]

    Raises
    ------
    ConfigError
        Naming every service point without a column, and the first cells that are no number.
    """
    header, rows = _read(path)
    place = {name.strip(): column for column, name in reversed(list(enumerate(header))) if column}
    columns, problems = _columns(path, network, place)
    active = np.full((len(rows), len(columns)), np.nan)
    scale = WATTS[unit] * (60 / minutes if unit.endswith("h") else 1.0)
    for point, column in enumerate(columns):
        if column:
            cells = [row[column] if column < len(row) else "" for row in rows]
            active[:, point] = _numbers(path, header[column].strip(), cells, problems)
    _refuse(path, rows, problems)
    return tuple(row[0].strip() for row in rows), active * scale


def read_columns(path: Path) -> NDArray[np.float64]:
    """
    Return power of whoever has a column, (h, c) in the file's unit, NaN in a gap; the first column says when.

    Columns without a name or a figure are left alone. Raises `ConfigError` as `read_profiles` does.
    """
    header, rows = _read(path)
    problems: list[Problem] = []
    columns = [
        _numbers(path, name.strip(), [row[column] if column < len(row) else "" for row in rows], problems)
        for column, name in enumerate(header) if column and name.strip()
    ]
    _refuse(path, rows, problems)
    found = np.array(columns, dtype=np.float64).reshape(len(columns), len(rows)).T
    return np.asarray(found[:, ~np.isnan(found).all(axis=0)])


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    if not path.exists():
        raise missing_file(path, "a CSV file with a column for every service point")
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = [row for row in csv.reader(file) if row] or [[]]
    return header, rows


def _refuse(path: Path, rows: list[list[str]], problems: list[Problem]) -> None:
    if not rows:
        problems.append(Problem(path.name, "", "no rows"))
    if len(problems) > MOST_NAMED:
        problems[MOST_NAMED:] = [Problem(path.name, "", f"and {len(problems) - MOST_NAMED} more like these")]
    if problems:
        raise ConfigError(problems)


def _columns(path: Path, network: Network, place: dict[str, int]) -> tuple[list[int], list[Problem]]:
    """The column of every service point, 0 where there is none."""
    columns, problems = [], []
    for name, profile in zip(network.points, network.profile, strict=True):
        wanted = [one for one in (profile, f"p{profile}" if profile else "", name) if one]
        columns.append(next((place[one] for one in wanted if one in place), 0))
        if not columns[-1]:
            problems.append(Problem(path.name, name, f"no column for it; expected {' or '.join(dict.fromkeys(wanted))}"))
    return columns, problems


def _numbers(path: Path, name: str, cells: Sequence[str], problems: list[Problem]) -> list[float]:
    try:
        return [float(cell) if cell.strip() else np.nan for cell in cells]
    except ValueError:
        return [_number(path, name, row, cell, problems) for row, cell in enumerate(cells)]


def _number(path: Path, name: str, row: int, cell: str, problems: list[Problem]) -> float:
    try:
        return float(cell) if cell.strip() else np.nan
    except ValueError:
        problems.append(Problem(path.name, name, f"{cell!r}; expected a number, or nothing for a gap", row + 2))
        return np.nan
