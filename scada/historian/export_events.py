"""Events as the rows of an export: month by month, by time and series; a damaged one is named and left out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import NS
from scada.events import KeptEvent
from scada.historian.database import reading_once
from scada.historian.event_rows import EVENT_FILE, FROM, ROW, event_of
from scada.historian.export_wanted import Rows, Wanted, month_of, months_between

AT_ONCE: Final = 20_000                             # events in memory
COLUMNS: Final = {                                  # of an export, and the fields of an event
    "stream": "stream", "source": "source", "kind": "kind", "state": "state", "at": "at", "time_good": "time_good",
    "received": "received", "sequence": "sequence", "severity": "severity", "value": "value", "limit": "limit",
    "unit": "unit", "text": "text", "author": "by",
}
_NUMBERS: Final = {"at": np.int64, "time_good": np.bool_, "received": np.int64, "sequence": np.int64}
_SORTED: Final = "moment, stream, source.name, kind, state, sequence, at"


def event_rows(directory: Path, wanted: Wanted) -> Iterator[Rows]:
    path = directory / EVENT_FILE
    with reading_once(path) as database:
        if database is None:
            return
        low, high = database.execute(
            "SELECT min(moment), max(moment) FROM event WHERE moment >= ? AND moment < ?",
            (wanted.first * NS, wanted.last * NS),
        ).fetchone()
        for first, last in months_between(*(None if end is None else end // NS for end in (low, high))):
            rows = database.execute(
                f"SELECT {ROW} FROM {FROM} WHERE moment >= ? AND moment < ? ORDER BY {_SORTED}",
                (max(first, wanted.first) * NS, min(last, wanted.last) * NS),
            )
            while some := rows.fetchmany(AT_ONCE):
                if events := list(_sound(path, some, wanted)):
                    yield month_of(first), columns_of(events)


def columns_of(events: list[KeptEvent]) -> dict[str, NDArray[Any]]:
    """A column a field; what is not there is NaN."""
    return {
        name: np.array([getattr(event, field) for event in events], _NUMBERS.get(name, object))
        if name not in ("value", "limit") else np.array(
            [np.nan if (value := getattr(event, field)) is None else value for event in events]
        )
        for name, field in COLUMNS.items()
    }


def _sound(path: Path, rows: list[Any], wanted: Wanted) -> Iterator[KeptEvent]:
    for row in rows:
        try:
            yield event_of(row)
        except ValueError as error:
            wanted.damaged.append(f"{path.name}, event {row[0]}: {error}")
