"""Which samples of live tags say something new: a dead-band a tag, never across a change of quality. Pure.

A sample is left out where it lies within the band around the last one that was kept, has the same quality, and the next one
will not come too late: whoever looks at an instant must be able to tell a value that stands from a tag that fell silent.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import NS
from scada.tags import TagDef

LONGEST_SILENCE: Final = 600 * NS       # site time; half of what a tag may be silent, where that is shorter


@attrs.frozen(eq=False)
class Bands:
    """Dead-bands of a device's tags, and the last samples that were kept."""

    width: NDArray[np.float64]          # (n,) in each tag's unit; 0: every sample is kept
    silence: NDArray[np.int64]          # (n,) ns
    values: NDArray[np.float64]
    quality: NDArray[np.uint8]
    at: NDArray[np.int64]               # ns; 0 = none was kept yet
    before: int = 0                     # ns, when the device spoke last, kept or not

    @classmethod
    def of(cls, names: Sequence[str], tags: Sequence[TagDef], widths: Mapping[str, float]) -> "Bands | None":
        """By the patterns of the settings, the last one that fits; None where no tag has a band. A register has none."""
        found = [
            0.0 if tag.counter else next((widths[one] for one in reversed(tuple(widths)) if fnmatchcase(name, one)), 0.0)
            for name, tag in zip(names, tags, strict=True)
        ]
        if not any(found):
            return None
        stale = np.array([tag.stale_after for tag in tags], dtype=np.int64)
        silence = np.where(stale > 0, np.minimum(stale // 2, LONGEST_SILENCE), LONGEST_SILENCE)
        n = len(found)
        return cls(np.array(found), silence, np.full(n, np.nan), np.zeros(n, np.uint8), np.zeros(n, np.int64))

    @property
    def held(self) -> NDArray[np.int64]:
        """How long a sample that was kept stands at most, 0 = it stands for itself. (n,) [ns]"""
        return np.where(self.width > 0, self.silence, 0)

    def after(
        self, values: NDArray[np.float64], quality: NDArray[np.uint8], at: int
    ) -> tuple[NDArray[np.bool_], "Bands"]:
        """
        Return which values of one instant [ns] are to be kept, and the bands around what was kept then.

        What comes out of its order is kept, and moves no band. The next sample is expected as far off as the one before:
        so those that are kept of a tag that speaks lie no further apart than `silence`, and none is held for nothing.
        """
        step = max(at - self.before, 0) if self.before else 0
        same = (np.abs(values - self.values) <= self.width) | (np.isnan(values) & np.isnan(self.values))
        within = (self.width > 0) & (self.at > 0) & same & (quality == self.quality)
        keep = ~(within & (at >= self.at) & (at + step - self.at <= self.silence))
        newer = keep & (at >= self.at)
        return keep, attrs.evolve(
            self, values=np.where(newer, values, self.values), quality=np.where(newer, quality, self.quality),
            at=np.where(newer, at, self.at), before=max(at, self.before),
        )
