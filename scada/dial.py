"""Dials: what a person reads off a meter, a meter put into service with it, and whether dial and count agree. Values."""

import re
from enum import IntEnum, StrEnum
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.site import MeterPeriod, Module

MOST_PHOTO_BYTES: Final = 8 << 20       # of one photo
IMAGE_TYPES: Final = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
PHOTO_NAME: Final = re.compile(r"[0-9a-f]{32}\.(?:jpg|png|webp)")
_SHOWN: Final = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]{0,4}))?")


class DialSource(StrEnum):
    """Who read it, and so how far its time is to be trusted."""

    INSTALLER = "installer"
    WALK_BY = "walk-by"
    INSPECTION = "inspection"
    SUBSCRIBER = "subscriber"


@attrs.frozen
class Shown:
    """A dial as it was written down: how many places it has says how fine it is, and where it rolls over."""

    value: float                        # [kWh or m³]
    whole: int                          # places before the point, leading zeros too
    decimals: int                       # places behind it


def read_dial(text: str) -> Shown:
    """What a person copied from a dial; raises ValueError with what was expected."""
    found = _SHOWN.fullmatch(text.strip().replace(" ", ""))
    if found is None:
        raise ValueError(f"{text!r}: expected the dial as it stands, as 01234.5")
    whole, decimals = found[1], found[2] or ""
    return Shown(float(f"{whole}.{decimals or 0}"), len(whole), len(decimals))


def read_source(text: str) -> DialSource:
    """Raises ValueError with what was expected."""
    if text not in set(DialSource):
        raise ValueError(f"{text!r}: expected one of {', '.join(DialSource)} as the source")
    return DialSource(text)


@attrs.frozen
class DialReading:
    """One reading of one meter's dial."""

    point: str
    serial: str
    at: int                             # ns, site time
    shown: Shown
    source: DialSource
    by: str
    photo: str = ""                     # name in the photo store
    key: str = ""                       # of the installation that made it
    number: int = 0                     # in the registry, rising; 0: not there yet


@attrs.frozen
class DialOutcome:
    """What became of readings that were entered."""

    new: int
    known: int                          # held already, with the same value


@attrs.frozen
class Installation:
    """What an installer says of one meter: checked, never trusted."""

    eui: int
    channel: int                        # 0-based
    serial: str
    pulses_per_unit: float
    dial: Shown
    at: int                             # ns, site time when the dial was read
    key: str                            # the same key is the same installation
    medium: str = ""                    # "" = as planned, else electricity
    point: str = ""                     # "" = as planned, else one is made
    photo: str = ""


@attrs.frozen
class Installed:
    """A meter in service."""

    module: Module
    period: MeterPeriod
    reading: DialReading
    again: bool = False                 # it was there already, by the same key


class Verdict(IntEnum):
    """What a comparison of dial and count says; the worse the higher."""

    UNKNOWN = 0                         # no reading to begin from, or none since
    OK = 1
    WAITING = 2                         # the hours of a reading have not been delivered
    DRIFT = 3
    MISMATCH = 4


class Cause(IntEnum):
    """The likely cause of a difference."""

    NONE = 0
    ROLLED = 1                          # the dial went through its end: no difference
    MISSED_PULSES = 2
    EXTRA_PULSES = 3
    WRONG_CONSTANT = 4
    SWAPPED_DIGITS = 5
    ONE_DIGIT = 6
    BACKWARDS = 7                       # the dial shows less than before: another meter, or misread


class Due(IntEnum):
    """When a meter's dial should be read again."""

    LATER = 0
    SOON = 1
    OVERDUE = 2
    NEVER_READ = 3


@attrs.frozen(eq=False)
class Comparison:
    """Dial against count, as columns over n readings."""

    expected: NDArray[np.float64]       # what the dial should have shown [unit]
    difference: NDArray[np.float64]     # read - expected, rolled over where the dial did [unit]
    tolerance: NDArray[np.float64]      # [unit]
    ratio: NDArray[np.float64]          # advance of the dial over what was counted; NaN where too little was
    verdict: NDArray[np.uint8]          # `Verdict`
    cause: NDArray[np.uint8]            # `Cause`


@attrs.frozen(eq=False)
class DialTable:
    """Every meter in service with its dial, as columns over n meters in the order of their points."""

    periods: tuple[MeterPeriod, ...]
    devices: tuple[str, ...]            # of the channels, on the bus
    areas: tuple[str, ...]
    units: tuple[str, ...]
    first: NDArray[np.int64]            # number of the reading that the offset comes from; 0: start register; -1: none
    last: NDArray[np.int64]             # number of the newest reading; 0: none
    last_at: NDArray[np.int64]          # ns
    read: NDArray[np.float64]           # what it said [unit]
    offset: NDArray[np.float64]         # dial - counted register [unit]; NaN where not known
    comparison: Comparison              # of the newest reading
    due_at: NDArray[np.int64]           # ns
    due: NDArray[np.uint8]              # `Due`
    as_of: int = 0                      # ns
