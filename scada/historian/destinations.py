"""How far a destination is, from its spool alone: beside a running server, or without one. Blocking."""

from pathlib import Path
from typing import Final

import attrs

from scada.errors import StorageError
from scada.historian.database import reading_once
from scada.historian.letter_rows import count
from scada.historian.past import DONE
from scada.historian.spool import BEGIN, PAST, SERVER

_WAITING: Final = "SELECT coalesce(sum(lines), 0), coalesce(sum(length(body)), 0) FROM queue"


@attrs.frozen
class Destination:
    """What its file says."""

    name: str
    server: str = ""                    # what it said that it is when it took something last
    waiting_lines: int = 0
    waiting_bytes: int = 0
    dead_letters: int = 0
    dead_lines: int = 0                 # in them
    past: str = "it was never used"     # the live values from before it
    trouble: str = ""


def look(path: Path) -> Destination:
    """What the file of a spool holds."""
    try:
        with reading_once(path) as spool:
            if spool is None:
                return Destination(path.stem)
            facts = {}
            if spool.execute("SELECT 1 FROM sqlite_master WHERE name = 'fact'").fetchone():
                facts = dict(spool.execute("SELECT name, value FROM fact").fetchall())
            lines, size = spool.execute(_WAITING).fetchone()
            dead = count(spool)
    except StorageError as error:
        return Destination(path.stem, trouble=str(error))
    return Destination(path.stem, facts.get(SERVER, ""), lines, size, *dead, _in_words(facts.get(PAST, "")))


def _in_words(place: str) -> str:
    if place in (BEGIN, DONE, ""):
        return {BEGIN: "not begun", DONE: "all sent", "": "not asked for"}[place]
    month = place.split()[0].removeprefix("live-").removesuffix(".sqlite")
    return f"being sent, now {month}"
