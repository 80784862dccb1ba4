"""Who would gain from two or three phases: what splitting one consumer's load leaves, after the moves. Pure."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.gram import Table
from scada.balancing.phases.uneven import PHASES

OPTIONS: Final = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])     # (o, 3) shares
LARGE: Final = 0.5                      # peak over the mean load of a phase, from which a consumer counts as large


@attrs.frozen
class Split:
    """A consumer that would be better fed by several phases."""

    consumer: int
    shares: tuple[float, float, float]      # of its load on L1, L2, L3
    gain: float                             # of the score that is left after the moves [1]
    peak: float                             # its own largest hour [W]
    large: bool                             # that peak alone is a good part of what a phase carries in the mean


def several_phases(
    table: Table, profiles: NDArray[np.float64], phase: NDArray[np.int64], least: float = 0.03
) -> list[Split]:
    """
    Return the consumers whose load had better be split, largest gain first.

    Parameters
    ----------
    table : Table
        How allocations are scored.
    profiles : ndarray of float64, shape (n, t)
        Mean active power in each hour. [W]
    phase : ndarray of int64, shape (n,)
        The allocation after the moves: the question comes second, for a move is cheaper than another cable.
    least : float
        Gain below which nobody is listed. [1]

    Returns
    -------
    splits : list of Split
        Each for itself: after one has been done the others are worth less, and should be asked anew.

    Notes
    -----
    The load is taken as divisible evenly over the phases, which an electrician has to make true; one large appliance of one
    phase stays on one phase. For a home that draws little it is not worth a cable, whatever the gain says: see `large`.
    """
    now = table.score(phase)
    if now <= 0 or not len(phase):
        return []
    pulls, own = table.pulls(phase), np.diag(table.together)
    change = OPTIONS[None] - np.eye(PHASES)[phase][:, None]                                # (n, o, 3)
    gain = -(3.0 * (change * pulls[:, None]).sum(axis=2) + 1.5 * (change**2).sum(axis=2) * own[:, None]) / now
    best = gain.argmax(axis=1)
    value = gain[np.arange(len(phase)), best]
    peak = np.where(np.isnan(profiles), -np.inf, profiles).max(axis=1)
    usual = float(np.nanmean(np.nansum(profiles, axis=0))) / PHASES
    return [
        Split(int(one), (float(OPTIONS[best[one], 0]), float(OPTIONS[best[one], 1]), float(OPTIONS[best[one], 2])),
              float(value[one]), float(peak[one]), bool(peak[one] > LARGE * usual))
        for one in np.argsort(-value, kind="stable") if value[one] >= least
    ]
