"""A network's consumers scored by what its lines lose, too: a second opinion on whom to move. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import Network, feeder
from scada.balancing.phases.checked import path_resistance, phases_of
from scada.balancing.phases.gram import Table, by_loss, by_neutral, mixed
from scada.balancing.phases.uneven import PHASES

OF_LOSS: Final = 0.3                    # weight of the loss beside the squared neutral current


def by_wires(
    network: Network, active: NDArray[np.float64], points: NDArray[np.intp], start: NDArray[np.int64],
    profiles: NDArray[np.float64], fixed: NDArray[np.float64],
) -> Table | None:
    """
    Return what scores allocations by the squared neutral current and, for a part, by the loss in lines and neutral.

    Parameters
    ----------
    network : Network
        p service points.
    active : ndarray of float64, shape (t, p)
        What each takes. [W]
    points : ndarray of intp, shape (n,)
        The service point of each consumer that may move; -1 where it has none.
    start : ndarray of int64, shape (n,)
        Where they hang now.
    profiles, fixed
        As in `gram.by_neutral`.

    Returns
    -------
    table : Table or None
        Both as shares of today's. None where no consumer hangs in the network, or it has loops. Service points
        of several phases are taken as even, so they change nothing.
    """
    inside = points >= 0
    if not inside.any() or network.looped:
        return None
    wired = network.on_phases(phases_of(network, points[inside], start[inside]))
    single = np.flatnonzero(wired.point_phases.sum(axis=1) == 1)
    apparent = active[:, single] / np.abs(network.power_factor[single])
    all_points = by_loss(apparent.T, *path_resistance(feeder(wired), single))
    place = np.searchsorted(single, points[inside])
    others = np.setdiff1d(np.arange(len(single)), place)
    phase = wired.point_phases[single].argmax(axis=1)
    loss = _of_some(all_points, place, others, phase, np.flatnonzero(inside), len(points))
    return mixed([by_neutral(profiles, fixed), loss], [1.0 - OF_LOSS, OF_LOSS], start)


def _of_some(
    table: Table, some: NDArray[np.intp], others: NDArray[np.intp], phase: NDArray[np.intp], at: NDArray[np.intp], size: int
) -> Table:
    """The table of `size` consumers, of whom those `at` are `some` of `table`; `others` of it stay on their `phase`."""
    member = np.eye(PHASES)[phase[others]]
    among = table.together[np.ix_(others, others)]
    constant = 1.5 * float(((among @ member) * member).sum()) - 0.5 * float(among.sum())
    together, fixed = np.zeros((size, size)), np.zeros((size, PHASES))
    together[np.ix_(at, at)] = table.together[np.ix_(some, some)]
    fixed[at] = table.together[np.ix_(some, others)] @ member
    return Table(together, fixed, constant)
