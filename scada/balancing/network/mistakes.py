"""Mistakes in the tables of a network that can be seen without following its sections: names, numbers, references."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.tables import Sections, Tables
from scada.errors import Problem


def mistakes(tables: Tables) -> Iterator[Problem]:
    """Every one of them, table by table."""
    yield from _names(tables)
    yield from _numbers(tables)


def _names(tables: Tables) -> Iterator[Problem]:
    for where, names in (
        (tables.linecodes_in, tables.linecodes.names), (tables.sections_in, tables.sections.names),
        (tables.points_in, tables.points.names),
    ):
        yield from _unnamed(where, names)
    codes, sections = set(tables.linecodes.names), tables.sections
    for index, name in enumerate(sections.names):
        where, (one, other), code = tables.sections_in, sections.ends[index], sections.linecode[index]
        if not one or not other:
            yield Problem(where, name, "an end is missing; expected two nodes")
        elif one == other:
            yield Problem(where, name, f"both ends are {one!r}; expected two different nodes")
        if code and code not in codes:
            some = ", ".join(sorted(codes)[:5]) or "none"
            yield Problem(where, name, f"linecode {code!r} is not known; there are {some}")
        if not code and np.isnan(sections.ohm_per_km[index]).any():
            yield Problem(where, name, "expected a linecode, or R and X of phase and neutral")


def _unnamed(where: str, names: Sequence[str]) -> Iterator[Problem]:
    for name, times in Counter(names).items():
        if not name:
            yield Problem(where, "", f"{times} without a name")
        elif times > 1:
            yield Problem(where, name, f"is there {times} times; expected every name once")


def _numbers(tables: Tables) -> Iterator[Problem]:
    sections, points, codes = tables.sections, tables.points, tables.linecodes
    for name, metres in zip(sections.names, sections.length, strict=True):
        if not 0 <= metres < np.inf:
            yield Problem(tables.sections_in, name, f"length {metres:g} m; expected a number from 0 up")
    yield from _impossible(tables.sections_in, sections.names, _said(sections), sections.ohm_per_km)
    yield from _impossible(tables.linecodes_in, codes.names, np.ones(len(codes.names), dtype=bool), codes.ohm_per_km)
    for name, factor in zip(points.names, points.power_factor, strict=True):
        if not 0 < abs(factor) <= 1:
            yield Problem(
                tables.points_in, name, f"power factor {factor:g}; expected above 0, up to 1; negative when leading"
            )


def _said(sections: Sections) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(sections.ohm_per_km).all(axis=1))


def _impossible(
    where: str, names: Sequence[str], said: NDArray[np.bool_], ohm: NDArray[np.float64]
) -> Iterator[Problem]:
    """A loop's resistance is never negative; Zn alone may be, where a cable's zero sequence is below its positive one."""
    with np.errstate(invalid="ignore"):
        good = np.isfinite(ohm).all(axis=1) & (ohm[:, 0] >= 0) & (ohm[:, 0] + ohm[:, 2] >= 0)
    for index in np.flatnonzero(said & ~good).tolist():
        yield Problem(
            where, names[index],
            "impedance is not possible; expected R and X in ohm/km, R of a phase and of its loop not below 0",
        )
