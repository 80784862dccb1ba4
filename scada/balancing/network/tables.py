"""A network as somebody wrote it down: names, text and numbers, nothing checked yet. From CSV files, or from a registry."""

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.model import Supply

OHM_COLUMNS = ("r_phase", "x_phase", "r_neutral", "x_neutral")


@attrs.frozen(eq=False)
class Linecodes:
    """Kinds of cable: what a kilometre of them has. c codes."""

    names: tuple[str, ...]
    ohm_per_km: NDArray[np.float64]         # (c, 4) R and X of phase, R and X of neutral [ohm/km]


@attrs.frozen(eq=False)
class Sections:
    """Pieces of cable between two nodes. s sections."""

    names: tuple[str, ...]
    ends: tuple[tuple[str, str], ...]
    linecode: tuple[str, ...]               # "" where the impedance is given
    length: NDArray[np.float64]             # (s,) [m]
    ohm_per_km: NDArray[np.float64]         # (s, 4) as in `Linecodes`; NaN where a linecode says it [ohm/km]


@attrs.frozen(eq=False)
class ServicePoints:
    """Where consumers hang. p points."""

    names: tuple[str, ...]
    node: tuple[str, ...]
    phases: tuple[str, ...]                 # "L1", "L1L3", "A", "ABC"
    power_factor: NDArray[np.float64]       # (p,) [1]
    profile: tuple[str, ...]


@attrs.frozen(eq=False)
class Tables:
    """All of a network, and under which names a person knows the tables."""

    linecodes: Linecodes
    sections: Sections
    points: ServicePoints
    supply: Supply
    root: str = ""                          # "" = the node that only feeds
    linecodes_in: str = "linecodes"
    sections_in: str = "sections"
    points_in: str = "service points"
    vector_group: str = ""                  # of the transformer, as it was written
