"""Measured days instead of made-up ones: minute × kW columns, and a file that says which customer has which.

Layout: the profiles file has `minute` (1, 2, …) and one column of kW per profile; the loads file has `name`,
`phase` (A, B, C or L1, L2, L3) and `profile`, the number n of column p<n> or a column's name. Further columns
are ignored. The day is repeated. Every error is named at once, with its file and line.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.errors import ConfigError, Problem, missing_file
from scada.simulate.district import MAX_MODULES, Customer, LoadKind
from scada.simulate.households import HOUR, Floats

PHASES: Final = {"A": "L1", "B": "L2", "C": "L3", "L1": "L1", "L2": "L2", "L3": "L3"}
MAX_CUSTOMERS: Final = 2 * (MAX_MODULES - 5)
MAX_KW: Final = 1000.0                      # one customer; more is a file in watts


@attrs.frozen(eq=False)
class MeasuredDay:
    """One day of every customer."""

    customers: tuple[Customer, ...]
    watts: NDArray[np.float64]              # (customers, minutes)


def load_profiles(profiles: Path, loads: Path) -> MeasuredDay:
    """Read both files; raises `ConfigError` naming every problem of both."""
    problems: list[Problem] = []
    columns, kilowatts = _read_profiles(profiles, problems)
    customers: list[Customer] = []
    picked: list[int] = []
    seen: dict[str, int] = {}
    rows = _rows(loads, ("name", "phase", "profile"), problems)
    for line, row in rows:
        name, phase, profile = row["name"], row["phase"].upper(), row["profile"]
        before = len(problems)
        where = str(loads)
        if not name or "/" in name:
            problems.append(Problem(where, "name", f"{name!r}; expected a name without '/'", line))
        if name in seen:
            problems.append(Problem(where, "name", f"{name} stands already in line {seen[name]}; expected it once", line))
        if phase not in PHASES:
            problems.append(Problem(where, "phase", f"{row['phase']!r}; expected A, B, C or L1, L2, L3", line))
        column = f"p{profile}" if profile.isdigit() else profile
        if columns and column not in columns:
            problems.append(
                Problem(where, "profile", f"{profile!r}; expected a column of {profiles.name}: {_span(columns)}", line)
            )
        seen.setdefault(name, line)
        if len(problems) == before and column in columns:
            customers.append(Customer(name, PHASES[phase]))
            picked.append(columns.index(column))
    if len(seen) > MAX_CUSTOMERS:
        problems.append(
            Problem(str(loads), "", f"{len(seen)} customers; expected at most {MAX_CUSTOMERS}, two subnets' worth")
        )
    if not rows and not problems:
        problems.append(Problem(str(loads), "", "no customers; expected one line for each"))
    if problems:
        raise ConfigError(problems)
    return MeasuredDay(tuple(customers), kilowatts[:, picked].T * 1000.0)


def _span(columns: list[str]) -> str:
    return ", ".join(columns) if len(columns) <= 6 else f"{columns[0]} … {columns[-1]}"


def _rows(path: Path, needed: tuple[str, ...], problems: list[Problem]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with their line numbers; what is wrong with the file as a whole goes to `problems`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except FileNotFoundError:
        problems.extend(missing_file(path, "a CSV file with the columns " + ", ".join(needed)).problems)
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.append(Problem(str(path), "", f"cannot be read as CSV: {error}"))
        return []
    problems.extend(
        Problem(str(path), name, f"no such column; the header has: {', '.join(header) or 'nothing'}", 1)
        for name in needed if name not in header
    )
    problems.extend(
        Problem(str(path), "", f"{len(row)} cells; expected {len(header)} as in the header", line)
        for line, row in lines if len(row) != len(header)
    )
    if any(name not in header for name in needed):
        return []
    return [(line, dict(zip(header, row, strict=True))) for line, row in lines if len(row) == len(header)]


def _read_profiles(path: Path, problems: list[Problem]) -> tuple[list[str], NDArray[np.float64]]:
    before = len(problems)
    rows = _rows(path, ("minute",), problems)
    columns = [name for name in rows[0][1] if name != "minute"] if rows else []
    if len(problems) > before:
        return columns, np.empty((0, len(columns)))
    if len(rows) == 0 or 1440 % len(rows) != 0:
        problems.append(Problem(str(path), "minute", f"{len(rows)} minutes; expected a day of 1440, or a divisor of it"))
    values = np.zeros((len(rows), len(columns)))
    for number, (line, row) in enumerate(rows):
        if row["minute"] != str(number + 1):
            problems.append(Problem(str(path), "minute", f"{row['minute']!r}; expected {number + 1}", line))
        for column, name in enumerate(columns):
            try:
                value = float(row[name])
            except ValueError:
                value = float("nan")
            if not 0.0 <= value <= MAX_KW:
                problems.append(Problem(str(path), name, f"{row[name]!r}; expected kW from 0 to {MAX_KW:g}", line))
            values[number, column] = value
    return columns, values


class MeasuredHouseholds:
    """Consumers that live a measured day again and again; what is shed comes back later, at rated power."""

    def __init__(
        self, day: MeasuredDay, consumers: tuple[str, ...], loads: Mapping[str, tuple[LoadKind, float]]
    ) -> None:
        row = {customer.name: number for number, customer in enumerate(day.customers)}
        self._watts = np.zeros((len(consumers), day.watts.shape[1]))
        for number, name in enumerate(consumers):
            if name in row:
                self._watts[number] = day.watts[row[name]]
        self._rated = np.array([loads.get(name, (None, 0.0))[1] for name in consumers])
        self._later = np.zeros(len(consumers))                     # Wh that were shed and are still wanted
        self._minute = 0

    def step(self, local_s: int, seconds: float, supplied: Floats) -> None:
        shed = self._secondary * (1.0 - supplied)
        self._later = np.maximum(self._later + (shed - self._recovery * (supplied >= 1.0)) * seconds / HOUR, 0.0)
        self._minute = local_s // 60 % self._watts.shape[1]

    def power(self, supplied: Floats) -> Floats:
        drawn = self._watts[:, self._minute]
        change = np.where(supplied >= 1.0, self._recovery, (supplied - 1.0) * self._secondary)
        return np.asarray(drawn + change, dtype=np.float64)

    def memory(self) -> dict[str, Any]:
        return {"later": self._later.tolist(), "minute": self._minute}

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._later, self._minute = np.array(memory["later"]), int(memory["minute"])

    @property
    def _secondary(self) -> Floats:
        """The part of the profile that is taken for the load behind the actuator: what exceeds a base of 150 W."""
        above = np.maximum(self._watts[:, self._minute] - 150.0, 0.0)
        return np.asarray(np.minimum(self._rated, above), dtype=np.float64)

    @property
    def _recovery(self) -> Floats:
        return np.asarray(np.where(self._later > 0.0, self._rated - self._secondary, 0.0), dtype=np.float64)
