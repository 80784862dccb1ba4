"""Which number each live tag has, where the hot log that says so is gone: every month file has the names too.

A number is never given twice: chunks know their tag by it. One that nothing names any more gets a name of its own, so
that its samples can be read and no other tag can get them.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from scada.errors import StorageError
from scada.historian.database import aside_of, reading_once
from scada.historian.samples import Samples, decode

HIGHEST: Final = 2**31 - 1
_USED: Final = (                                    # each number once, by the index
    "SELECT tag FROM (WITH RECURSIVE used(tag) AS (SELECT min(tag) FROM chunk UNION ALL "
    "SELECT (SELECT min(tag) FROM chunk WHERE tag > used.tag) FROM used WHERE tag IS NOT NULL) SELECT tag FROM used) "
    "WHERE tag IS NOT NULL"
)


def live_aside(directory: Path) -> list[Path]:
    """Files of live tags that were found damaged, as far as nobody has taken them away."""
    return sorted(directory.glob("live-*.sqlite*.damaged"))


def numbers_left(directory: Path, hot: Path) -> dict[str, int]:
    """Numbers by name, from all files but the hot log; numbers that only samples know are among them."""
    months = sorted(directory.glob("live-????-??.sqlite"), reverse=True)
    names: dict[int, str] = {}
    used: set[int] = set()
    for path in (*months, *live_aside(directory)):
        for number, name in _rows(path, "SELECT number, name FROM tag"):
            if isinstance(number, int) and isinstance(name, str) and 0 < number < HIGHEST:
                names.setdefault(number, name)
        used.update(number for (number,) in _rows(path, _USED) if isinstance(number, int) and 0 < number < HIGHEST)
    for path in aside_of(hot):
        for part in sound_parts(path):
            used.update(np.unique(part.tag).tolist())
    found: dict[str, int] = {}
    for number in sorted(used | names.keys()):
        name = names.get(number, f"unnamed/{number}")
        found[name if name not in found else f"unnamed/{number}"] = number
    return found


def sound_parts(path: Path) -> Iterator[Samples]:
    """What can be read of a spoilt file: from its beginning to the first bad place, and from its end back to the last."""
    seen: set[tuple[str, int]] = set()
    for table in ("hot", "chunk"):
        for order in ("ASC", "DESC"):
            for rowid, n, crc, blob in _rows(path, f"SELECT rowid, n, crc, samples FROM {table} ORDER BY rowid {order}"):
                if (table, rowid) not in seen:
                    seen.add((table, rowid))
                    with contextlib.suppress(ValueError, TypeError):
                        yield decode(n, crc, blob)


def _rows(path: Path, query: str) -> Iterator[tuple[Any, ...]]:
    """Up to the first place that cannot be read; none where there is no such table."""
    with contextlib.suppress(StorageError), reading_once(path) as database:
        if database is not None:
            yield from database.execute(query)
