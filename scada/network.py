"""What is made of the reports of a radio network: figures of its modules, its history. Values that everybody speaks of."""

from enum import IntEnum, IntFlag

import attrs
import numpy as np
from numpy.typing import NDArray


class Trouble(IntFlag):
    """Why somebody should look at a module; several at once."""

    NONE = 0
    CUT_OFF = 1                         # no way up to the concentrator in the tree it reported
    POOR_LINK = 2
    OVER_BUDGET = 4                     # relays more packets a day than its battery allows
    BATTERY_LOW = 8                     # by its voltage: near the end
    BATTERY_SHORT = 16                  # by the forecast: below the years that are asked for
    HOT = 32                            # a large share of the subnet hangs on it
    NO_WAY_ROUND = 64                   # some have no other way, should it fail
    FLAPPING = 128                      # changes its parent again and again
    OVERLAP = 256                       # heard by another concentrator too
    SILENT = 512                        # not heard for longer than reports may take


class Basis(IntEnum):
    """What a battery forecast rests on, and so how far it may be believed."""

    UNKNOWN = 0                         # nothing to reckon with
    COUNTED = 1                         # charge taken since the module was installed, and what it takes now
    FRESH = 2                           # its age is not known: the life of a fresh cell at this load
    AMBIGUOUS = 3                       # weak under load only: passivation, cold or the end; the voltage cannot tell
    VOLTAGE = 4                         # the voltage has left its plateau: the last tenth
    EMPTY = 5                           # below what the module works with


@attrs.frozen
class Overlap:
    """A module that a second concentrator hears."""

    eui: int
    home: str                           # concentrator whose module it is; "" if it is in no list here
    heard_by: str
    rssi_dbm: float
    packets: int                        # today
    heard: int                          # ns, site time
    listed: bool                        # it stands in the module lists of both


@attrs.frozen
class Place:
    """Where a module stood in the tree."""

    eui: int
    index: int
    parent: int                         # subnet index; 0 = the concentrator, -1: not in the tree
    level: int
    since: int                          # ns, site time of the report that first said so


@attrs.frozen(eq=False)
class NetworkFigures:
    """The subnet of one concentrator at one instant, as columns over its n modules in the order of their index."""

    concentrator: str
    link_up: bool
    as_of: int                          # ns, site time of the newest report
    eui: NDArray[np.uint64]
    index: NDArray[np.int64]
    depth: NDArray[np.int64]            # hops to the concentrator in the reported tree; -1 where there is no way
    below: NDArray[np.int64]            # modules that relay through this one
    share: NDArray[np.float64]          # of the subnet that does, 0-1
    stranded: NDArray[np.int64]         # modules with no other way, as far as alternatives were reported
    delivery: NDArray[np.float64]       # 0-1
    relayed: NDArray[np.float64]        # packets a day, mean of the days that are over; today's while there is none
    budget: NDArray[np.float64]         # packets a day
    changes: NDArray[np.int64]          # of the parent in the last 24 h
    years: NDArray[np.float64]          # battery, most likely
    years_low: NDArray[np.float64]
    years_high: NDArray[np.float64]
    basis: NDArray[np.uint8]            # `Basis`
    trouble: NDArray[np.uint16]         # `Trouble`
    overlaps: tuple[Overlap, ...]

    def row(self, eui: int) -> int | None:
        """The row of a module; None if it is not in the list."""
        found = np.flatnonzero(self.eui == np.uint64(eui))
        return int(found[0]) if len(found) else None
