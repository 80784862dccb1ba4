"""Rows of events become events again; those that are held stay, each once."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scada.events import KeptEvent, Stream
from scada.historian.database import transaction
from scada.historian.event_rows import EVENT_FILE, open_events, store_events
from scada.historian.export_events import AT_ONCE, COLUMNS
from scada.historian.offline import alone


def enter_events(directory: Path, groups: Iterator[dict[str, NDArray[Any]]]) -> int:
    """Put what is not there; returns how many were new."""
    new = 0
    with alone(directory), closing(open_events(directory / EVENT_FILE)) as database:
        for group in groups:
            for first in range(0, len(group["at"]), AT_ONCE):
                with transaction(database):
                    new += store_events(database, events_of({
                        name: column[first:first + AT_ONCE] for name, column in group.items()
                    }))
    return new


def events_of(columns: dict[str, NDArray[Any]]) -> Iterator[KeptEvent]:
    """The way back from `export_events.columns_of`."""
    for row in zip(*(columns[name].tolist() for name in COLUMNS), strict=True):
        said = dict(zip(COLUMNS.values(), row, strict=True))
        said |= {name: None if np.isnan(said[name]) else said[name] for name in ("value", "limit")}
        yield KeptEvent(**said | {"stream": Stream(said["stream"])})
