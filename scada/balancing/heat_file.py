"""The heat of transformers over a restart: a small file, written anew each minute. Blocking.

A lost or broken file costs a walk through the history of the loads and nothing else (`heat_history`), so it is neither
flushed to the disk nor kept twice.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.heat import FIELDS, Heat, unknown

FILE: Final = "heat.json"


def save(path: Path, names: Sequence[str], heat: Heat) -> None:
    """Raises `OSError`."""
    columns = {field: getattr(heat, field).tolist() for field in FIELDS}
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps({"names": list(names), **columns}), encoding="utf-8")
    partial.replace(path)


def load(path: Path) -> tuple[tuple[str, ...], Heat] | None:
    """What was saved; None where there is nothing that can be used."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        names = tuple(str(name) for name in found["names"])
        columns = {field: np.array(found[field], dtype=np.float64) for field in FIELDS[:-1]}
        heat = attrs.evolve(unknown(0), **columns, at=np.array(found["at"], dtype=np.int64))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (names, heat) if all(getattr(heat, field).shape == (len(names),) for field in FIELDS) else None


def rows_of(heat: Heat, rows: NDArray[np.intp]) -> Heat:
    """Some of the transformers."""
    return Heat(*(getattr(heat, field)[rows] for field in FIELDS))


def entered(heat: Heat, row: int, one: Heat) -> Heat:
    """All transformers, with another state of one of them."""
    fields = {field: getattr(heat, field).copy() for field in FIELDS}
    for field, column in fields.items():
        column[row] = getattr(one, field)[0]
    return Heat(**fields)


def arranged(names: Sequence[str], known: Sequence[str], heat: Heat, empty: Heat) -> Heat:
    """`heat` of `known` in the order of `names`; what is not known is as in `empty`."""
    place = {name: index for index, name in enumerate(known)}
    rows = [(new, place[name]) for new, name in enumerate(names) if name in place]
    if not rows:
        return empty
    to, of = (np.array(column, dtype=np.intp) for column in zip(*rows, strict=True))
    fields = {field: getattr(empty, field).copy() for field in FIELDS}
    for field, column in fields.items():
        column[to] = getattr(heat, field)[of]
    return attrs.evolve(empty, **fields)
