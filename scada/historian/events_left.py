"""The events that a destination does not have yet, in the order in which they were stored."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from scada.historian.event_rows import EVENT_FILE, FROM, ROW, event_of
from scada.historian.left import Left
from scada.historian.lines import event_line

_BEHIND: Final = f"SELECT {ROW} FROM {FROM} WHERE event.number > ? ORDER BY event.number LIMIT ?"


class EventsLeft(Left):
    """Of one destination."""

    def __init__(self, store_dir: Path) -> None:
        super().__init__(store_dir / EVENT_FILE, _BEHIND, _lines)


def _lines(rows: Sequence[Any]) -> tuple[str, int]:
    lines = []
    for row in rows:
        try:
            lines.append(event_line(event_of(row), row[1]))
        except ValueError:
            continue                                        # `verify` names it
    return "".join(lines), len(lines)
