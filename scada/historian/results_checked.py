"""Every row of results held against its check sum, a part at a time; what does not match can be taken out."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from scada.historian.database import reading_once, transaction
from scada.historian.result_file import RESULT_FILE, has_older, open_results, shapes_of
from scada.historian.result_sums import STORED, sound

AT_ONCE: Final = 20_000                             # rows; in between a server that writes may tidy its log
_ROWS: Final = (
    f"SELECT series, start, {STORED} FROM result WHERE (series, start) > (?, ?) ORDER BY series, start LIMIT ?"
)


@attrs.frozen
class BadRow:
    """A row that is not what was written."""

    series: int
    start: int                                      # [s since 1970]
    kind: str
    name: str
    span: int                                       # [s]

    def __str__(self) -> str:
        return ", ".join((self.kind, self.name, _utc(self.start)))


def checked(path: Path) -> Iterator[tuple[int, list[BadRow]]]:
    """How many rows were read, and the damaged ones among them, again and again."""
    place = -2**63, -2**63
    while True:
        with reading_once(path) as database:
            rows: Any = database.execute(_ROWS, (*place, AT_ONCE)).fetchall() if database else []
            names = {number: name for number, *name in database.execute(
                "SELECT number, kind, name, span FROM series"
            )} if database and rows else {}
            columns, older = (shapes_of(database), has_older(database)) if database and rows else ({}, False)
        if not rows:
            return
        series, start, shape = (np.array([_number(row[place]) for row in rows], np.int64) for place in range(3))
        good = np.zeros(len(rows), np.bool_)
        for one in sound(series, start, shape, [row[3] for row in rows], columns, older).values():
            good[one.lines] = True
        yield len(rows), [
            BadRow(*rows[line][:2], *names.get(rows[line][0], ("?", "?", 0))) for line in np.flatnonzero(~good).tolist()
        ]
        place = rows[-1][:2]


def take_out(directory: Path, bad: list[BadRow]) -> None:
    """Readers leave them out already; then whoever computes them sees that they are missing."""
    with closing(open_results(directory / RESULT_FILE)) as database, transaction(database):
        database.executemany("DELETE FROM result WHERE series = ? AND start = ?", [(one.series, one.start) for one in bad])


def _number(key: object) -> int:
    """-1 for what the disk has made no number of."""
    return key if isinstance(key, int) else -1


def _utc(second: int) -> str:
    try:
        return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%MZ}"
    except (TypeError, ValueError, OverflowError, OSError):
        return str(second)                          # it is what is damaged
