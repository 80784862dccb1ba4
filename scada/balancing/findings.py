"""What a detector of faults says: which, where, from when to when, and on what figures. Pure."""

from collections.abc import Iterator
from enum import Enum
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

NOMINAL: Final = 230.0                  # V
LEAST_SAMPLES: Final = 2                # in a row, for one sample may be a mistake


class Fault(Enum):
    """What was found."""

    BROKEN_NEUTRAL = "broken_neutral"
    LOST_PHASE = "lost_phase"
    HIGH_VOLTAGE = "high_voltage"
    LOW_VOLTAGE = "low_voltage"
    ARCING = "arcing"


@attrs.frozen
class Finding:
    """One fault, from its first to its last sample, and what it rests on."""

    fault: Fault
    phase: int | None                       # 0, 1, 2 for L1, L2, L3; None where it is about all three
    first: int                              # place of the first sample
    last: int
    value: float                            # the most telling figure; see the function that found it
    limit: float                            # what it was compared with
    lowest: float                           # phase voltages meanwhile [V]
    highest: float


def runs(mask: NDArray[np.bool_], least: int = LEAST_SAMPLES) -> Iterator[tuple[int, int]]:
    """First and last place of every run of at least `least` in a mask (t,)."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        if after - first >= least:
            yield int(first), int(after - 1)
