"""A balance as lines that add up, over the intervals of a page in which it is known. Pure."""

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray


@attrs.frozen
class Sheet:
    """Energies in the group's unit: fed - consumption - common + generation = imbalance; less the next two, unexplained."""

    intervals: int                      # in which the balance is known
    over: int                           # of so many that are past
    estimated: int                      # of the known ones, with estimates in them
    fed: float
    consumption: float                  # of members that are neither common needs nor generation
    common: float
    generation: float
    imbalance: float
    doubt: float                        # half-width, an upper bound: that of the intervals, added
    technical: float                    # NaN where it is known of no interval
    without_technical: int              # known intervals that have their technical loss in what is unexplained
    own: float
    unexplained: float
    normal: float                       # loss that is normal of what was fed, technical included
    lost: float                         # technical and unexplained together
    beyond: float                       # `lost` above `normal`


def sheet(
    columns: dict[str, NDArray[Any]], known: NDArray[np.bool_], past: NDArray[np.bool_], normal_share: float
) -> Sheet:
    """
    Return the lines of a balance.

    Parameters
    ----------
    columns : dict of str to ndarray of float64, shape (n,)
        `BALANCE_COLUMNS`, NaN where there is no row.
    known, past : ndarray of bool, shape (n,)
        Intervals in which there is a balance, measured or estimated; and those that are over.
    normal_share : float
        Loss that is normal, as a share of the feed. [1]
    """
    def total(name: str) -> float:
        return float(np.nan_to_num(columns[name][known]).sum())

    fed, members, common, generation, own = (total(name) for name in ("feed", "members", "common", "generation", "own"))
    lacking = np.isnan(columns["technical"][known])
    technical = total("technical")
    imbalance, normal = fed - members, normal_share * max(fed, 0.0)
    return Sheet(
        int(known.sum()), int(past.sum()), int((columns["estimated"][known] > 0).sum()), fed,
        members - common + generation, common, generation, imbalance, total("uncertainty"),
        float("nan") if lacking.all() else technical, int(lacking.sum()), own, imbalance - technical - own,
        normal, imbalance - own, imbalance - own - normal,
    )
