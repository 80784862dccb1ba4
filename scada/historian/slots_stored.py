"""The slots of a folder that another process writes, looked up in its state file."""

import threading
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from scada.historian.database import ReadPool
from scada.historian.slots import UNKNOWN, Channels, Euis, SlotBook, Slots
from scada.historian.state import STATE_FILE, load_slots

FEW: Final = 64                         # channels that are looked up one by one; to read all takes a second a million
_ONE: Final = "SELECT slot FROM slot WHERE eui=? AND channel=?"


class SlotsKnown(Protocol):
    """The reading side of a `SlotBook`."""

    @property
    def bound(self) -> int:
        """Every slot is below this number."""

    def find(self, eui: Euis, channel: Channels) -> Slots:
        """Slots of channels, -1 where never seen."""

    def channels(self, slots: Slots) -> tuple[Euis, Channels]:
        """The way back; raises `KeyError` for a slot nobody was given."""


class StoredSlots:
    """`SlotsKnown` from any thread; whoever asks for one meter does not wait for the whole city to be read."""

    def __init__(self, directory: Path, pool: ReadPool) -> None:
        self._path, self._pool = directory / STATE_FILE, pool
        self._book, self._last = SlotBook(), 0
        self._lock = threading.Lock()

    @property
    def bound(self) -> int:
        return self._read().bound

    def find(self, eui: Euis, channel: Channels) -> Slots:
        if len(eui) > FEW or self._last:
            return self._read().find(eui, channel)
        wanted = zip(np.asarray(eui, np.uint64).view(np.int64).tolist(), channel.tolist(), strict=True)
        with self._pool.reading(self._path) as state:
            if state is None:
                return np.full(len(eui), UNKNOWN, np.int64)
            rows = [state.execute(_ONE, one).fetchone() for one in wanted]
        return np.array([UNKNOWN if row is None else row[0] for row in rows], dtype=np.int64)

    def channels(self, slots: NDArray[np.int64]) -> tuple[Euis, Channels]:
        return self._read().channels(slots)

    def _read(self) -> SlotBook:
        """All of them, new ones as they come."""
        with self._lock, self._pool.reading(self._path) as state:
            if state is not None:
                self._last = load_slots(state, self._book, self._last)
        return self._book
