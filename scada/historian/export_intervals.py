"""Interval data as the rows of an export: month by month, by block, channel and time, while the server writes them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.historian.database import DamagedFile, reading_once
from scada.historian.dense import SLOTS, Dense, columns_of
from scada.historian.export_wanted import Rows, Wanted
from scada.historian.months import month_paths
from scada.historian.rows import COLUMNS, BlockKey, decode_block
from scada.historian.state import STATE_FILE
from scada.intervals import MISSING

NAMED_WITHIN_S: Final = 5.0                         # real time until the state file names what a month file has
_BLOCKS: Final = f"SELECT interval_s, day, block, {COLUMNS} FROM block ORDER BY interval_s, day, block"
_SLOTS: Final = "SELECT number, slot, eui, channel, link FROM slot WHERE number > ? ORDER BY number"


def interval_rows(directory: Path, wanted: Wanted) -> Iterator[Rows]:
    names = _Names(directory / STATE_FILE)
    for path in month_paths(directory):
        month = path.name[-len("YYYY-MM.sqlite"):-len(".sqlite")]
        try:
            with reading_once(path) as database:
                for interval_s, day, number, *columns in database.execute(_BLOCKS) if database else ():
                    try:
                        block = decode_block(interval_s, *columns)
                    except ValueError as error:
                        wanted.damaged.append(f"{path.name}, day {day}, block {number} of {interval_s} s: {error}")
                        continue
                    rows = _of_block((interval_s, day, number), block, names, wanted)
                    if len(rows["start"]):
                        yield month, rows
        except DamagedFile as error:
            wanted.damaged.append(str(error))

def _of_block(key: BlockKey, block: Dense, names: "_Names", wanted: Wanted) -> dict[str, NDArray[Any]]:
    interval_s, day, number = key
    width = columns_of(interval_s)
    start = (day * width + np.arange(width, dtype=np.int64)) * interval_s
    inside = (start >= wanted.first) & (start < wanted.last)
    held = ((block.counts != MISSING) | (block.status != 0) | (block.registers != MISSING)) & inside
    line, column = np.nonzero(held)
    named = names.known(number * SLOTS + np.unique(line))
    if not named.all():
        keep = np.isin(line, np.unique(line)[named])
        wanted.unnamed += int(len(line) - keep.sum())
        line, column = line[keep], column[keep]
    slots = number * SLOTS + line
    return {
        "eui": names.eui[slots], "channel": names.channel[slots], "link": names.link[slots],
        "interval_s": np.full(len(slots), interval_s, np.int32), "start": start[column] * 1000,
        "pulses": block.counts[line, column], "status": block.status[line, column],
        "register": block.registers[line, column], "version": block.column_version[column],
    }


class _Names:
    """What channel a slot is of, read from the state file as often as needed."""

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, 0
        self.eui, self.channel = np.zeros(0, np.uint64), np.zeros(0, np.uint8)
        self.link, self._known = np.zeros(0, np.int64), np.zeros(0, np.bool_)

    def known(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which slots have a name. A month file is a moment ahead of the state file: that moment is waited for."""
        until = time.monotonic() + NAMED_WITHIN_S
        while not (found := self._found(slots)).all():
            fresh = self._read()
            if not fresh and time.monotonic() > until:
                return found
            if not fresh:
                time.sleep(0.05)
        return found

    def _found(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        inside = slots < len(self._known)
        return inside & self._known[np.where(inside, slots, 0)] if len(self._known) else inside

    def _read(self) -> int:
        with reading_once(self._path) as state:
            rows = state.execute(_SLOTS, (self._last,)).fetchall() if state else []
        if not rows:
            return 0
        number, slots, eui, channel, link = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
        size = max(len(self._known), int(slots.max()) + 1)
        for name in ("eui", "channel", "link", "_known"):
            setattr(self, name, np.concatenate((
                getattr(self, name), np.zeros(size - len(getattr(self, name)), getattr(self, name).dtype)
            )))
        self.eui[slots], self.channel[slots], self.link[slots] = eui.view(np.uint64), channel, link
        self._known[slots], self._last = True, int(number.max())
        return len(rows)
