"""Live values: what a tag is, what a device said at one instant, and how good it is."""

from enum import IntEnum
from typing import Final, NewType

import attrs
import numpy as np
from numpy.typing import NDArray

TagId = NewType("TagId", str)          # "<device>/<point>": stable for the life of the site


class Quality(IntEnum):
    """How far a value may be believed; ordered, so that `>= UNCERTAIN` and `>= BAD` work on arrays."""

    GOOD = 0
    GOOD_BACKFILL = 1                  # measured, but delivered late
    SUBSTITUTED = 2                    # set by a person
    UNCERTAIN_LAST_KNOWN = 16
    UNCERTAIN_ESTIMATED = 17
    BAD_WAITING = 32                   # nothing was ever received
    BAD_STALE = 33
    BAD_NOT_CONNECTED = 34
    BAD_OUT_OF_RANGE = 35
    BAD_SENSOR = 36
    BAD_CONFIG = 37


UNCERTAIN: Final = 16                  # quality >= UNCERTAIN is not good
BAD: Final = 32                        # quality >= BAD must not be used in a sum

# OPC UA Part 4/8 status codes; one code per quality, so that the way back is exact.
OPCUA_STATUS: Final[dict[Quality, int]] = {
    Quality.GOOD: 0x00000000,                    # Good
    Quality.GOOD_BACKFILL: 0x00A20000,           # GoodEntryInserted
    Quality.SUBSTITUTED: 0x00960000,             # GoodLocalOverride
    Quality.UNCERTAIN_LAST_KNOWN: 0x40900000,    # UncertainLastUsableValue
    Quality.UNCERTAIN_ESTIMATED: 0x40910000,     # UncertainSubstituteValue
    Quality.BAD_WAITING: 0x80320000,             # BadWaitingForInitialData
    Quality.BAD_STALE: 0x80310000,               # BadNoCommunication
    Quality.BAD_NOT_CONNECTED: 0x808A0000,       # BadNotConnected
    Quality.BAD_OUT_OF_RANGE: 0x803C0000,        # BadOutOfRange
    Quality.BAD_SENSOR: 0x808C0000,              # BadSensorFailure
    Quality.BAD_CONFIG: 0x80890000,              # BadConfigurationError
}
QUALITY_OF_STATUS: Final = {status: quality for quality, status in OPCUA_STATUS.items()}


@attrs.frozen
class Limits:
    """Alarm limits in the tag's unit; None where there is none."""

    low_low: float | None = None
    low: float | None = None
    high: float | None = None
    high_high: float | None = None
    hysteresis: float = 0.0


@attrs.frozen
class TagDef:
    """What is known about a tag before it has a value."""

    point: str                          # unique in its device: "power_active_l1"
    unit: str = ""                      # SI symbol as shown: "W", "V", "kWh", "%", "" for a pure number
    title: str = ""                     # English; HMI translates by point name where it knows it
    low: float | None = None            # physical range; outside it the driver says BAD_OUT_OF_RANGE
    high: float | None = None
    stale_after: int = 0                # ns of site time without a new value; 0 = never stale
    limits: Limits | None = None
    digits: int = 1                     # decimals worth showing
    counter: bool = False               # a register that never falls, unless it is reset or its meter replaced
    historise: bool = True


@attrs.frozen
class Device:
    """A group of tags that speak together, and where people look for it."""

    name: str                           # "T01", "C01-017"; never contains "/"
    tags: tuple[TagDef, ...]
    path: tuple[str, ...] = ()          # folders above it, e.g. ("C01",); its own name is appended when shown
    title: str = ""
    area: str = ""

    @property
    def points(self) -> tuple[str, ...]:
        return tuple(tag.point for tag in self.tags)


@attrs.frozen(eq=False)
class Batch:
    """What one device said at one instant, in the order of its `Device.tags`.

    NaN with a GOOD quality is a programming error; a value that is missing is NaN and says why.
    """

    device: str
    values: NDArray[np.float64]         # (len(tags),), in each tag's declared unit
    quality: NDArray[np.uint8]          # (len(tags),), `Quality`
    at: int                             # ns since 1970, the source's clock (site time)
    received: int                       # ns since 1970, ours (site time)


@attrs.frozen(eq=False)
class Snapshot:
    """Every tag at one instant; the arrays are read-only copies in the order of `ids`."""

    ids: tuple[TagId, ...]              # "" where a tag was that its device no longer has
    index: dict[TagId, int]             # shared, never written by readers
    values: NDArray[np.float64]
    quality: NDArray[np.uint8]
    at: NDArray[np.int64]               # ns, source clock; 0 = never
    received: NDArray[np.int64]         # ns, ours; 0 = never
    taken: int                          # ns, site time of this snapshot

    def get(self, tag: str) -> tuple[float, Quality, int]:
        """(value, quality, source time) of one tag; BAD_CONFIG where there is no such tag."""
        position = self.index.get(TagId(tag))
        if position is None or position >= len(self.values):   # unknown, or younger than this snapshot
            return float("nan"), Quality.BAD_CONFIG, 0
        return float(self.values[position]), Quality(int(self.quality[position])), int(self.at[position])


def tag_id(device: str, point: str) -> TagId:
    return TagId(f"{device}/{point}")
