"""Channels on which something counts: those that brought a pulse in any hour that was looked at. By slot, and pure.

A channel on which nothing hangs delivers hours of 0 as well, so that only pulses tell.
"""

import numpy as np
from numpy.typing import NDArray

from scada.drivers.dmesh.coverage import Slots


class Pulsing:
    def __init__(self) -> None:
        self._some = np.zeros(0, dtype=np.bool_)

    def enter(self, slots: Slots, counts: NDArray[np.int64]) -> None:
        """(n, h) pulses; what is missing is no pulse."""
        which = slots[(counts > 0).any(axis=1)]
        most = int(which.max(initial=-1))
        if most >= len(self._some):
            self._some = np.concatenate([self._some, np.zeros(most + 1 + most // 8 - len(self._some), dtype=np.bool_)])
        self._some[which] = True

    def of(self, slots: Slots) -> NDArray[np.bool_]:
        """(n,) of a slot of -1 nothing came."""
        found = np.zeros(len(slots), dtype=np.bool_)
        inside = (slots >= 0) & (slots < len(self._some))
        found[inside] = self._some[slots[inside]]
        return found
