"""Clocks that run fast or slow: a concentrator's, which the server sets, and its modules', which it sets itself. Pure."""

from typing import Final

import numpy as np

from scada.drivers.dmesh.simulator.radio import Floats
from scada.drivers.dmesh.simulator.tree import Ints

SLEW_RATE: Final = 0.01                     # s in a s by which a clock that is slewed runs slow or fast
USUAL_PPM: Final = 12.0                     # standard deviation of crystals, from -20 to +50 °C
MOST_PPM: Final = 40.0
CORRECT_S: Final = 2.0                      # a module's clock that is off by more is slewed by its concentrator


def crystals(n: int, rng: np.random.Generator) -> Floats:
    """Rates of n clocks. [ppm]"""
    return np.asarray(np.clip(rng.normal(0.0, USUAL_PPM, n), -MOST_PPM, MOST_PPM), dtype=np.float64)


class SlewedClock:
    """One clock. `now` is the true time, and never goes back. [s since 1970]"""

    def __init__(self, ppm: float, now: float, offset: float = 0.0) -> None:
        self.ppm = ppm
        self._at, self._offset, self._left = now, offset, 0.0

    def offset(self, now: float) -> float:
        """How far it is ahead. [s]"""
        passed = max(0.0, now - self._at)
        slewed = min(max(self._left, -SLEW_RATE * passed), SLEW_RATE * passed)
        self._left -= slewed
        self._offset += self.ppm * 1e-6 * passed + slewed
        self._at = max(self._at, now)
        return self._offset

    def read(self, now: float) -> float:
        return now + self.offset(now)

    def step(self, seconds: float) -> None:
        """It shows so much more than it did a moment ago."""
        self._offset, self._left = self._offset + seconds, 0.0

    def slew(self, seconds: float) -> None:
        """It runs fast, or slow, until so much is gained, and never goes back; a later order replaces this one."""
        self._left = seconds


class ModuleCrystals:
    """The clocks of a subnet's modules against their concentrator's, in the order of the mesh's arrays."""

    def __init__(self, index: Ints, now: float, rng: np.random.Generator) -> None:
        self._index, self._at = index, now
        self.ppm = crystals(len(index), rng)
        self._offset = rng.uniform(-1.0, 1.0, len(index))
        self._left = np.zeros(len(index))

    def enter(self, index: int) -> None:
        """A module more, whose clock was set right when it came."""
        self._index = np.append(self._index, index)
        self.ppm, self._offset, self._left = (np.append(one, 0.0) for one in (self.ppm, self._offset, self._left))

    def hurry(self, index: int, ppm: float) -> None:
        """One clock runs that much faster."""
        self.ppm[self._index == index] += ppm

    def offsets(self, now: float) -> Floats:
        """How far each is ahead [s]; those that were far off when one last asked have been slewed since."""
        passed = max(0.0, now - self._at)
        slewed = np.clip(self._left, -SLEW_RATE * passed, SLEW_RATE * passed)
        self._offset = self._offset + self.ppm * 1e-6 * passed + slewed
        self._left = np.where(np.abs(self._offset) > CORRECT_S, -self._offset, 0.0)
        self._at = max(self._at, now)
        return np.asarray(self._offset, dtype=np.float64)
