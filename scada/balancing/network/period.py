"""Losses of a period as energies: by section, conductor, consumer and interval; what is hidden, and what is not known."""

from collections.abc import Callable, Iterable
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.flow import solve
from scada.balancing.network.form import FormFactor
from scada.balancing.network.meshed import solve_meshed
from scada.balancing.network.model import PHASES, Network, connections, powers
from scada.balancing.network.shares import contributions
from scada.balancing.network.solver import feeder
from scada.balancing.network.technical import losses

BLOCK: Final = 2000                         # intervals between two signs of progress

Progress = Callable[[Iterable[slice]], Iterable[slice]]


@attrs.frozen(eq=False)
class Period:
    """
    Energies of the intervals that are known; h intervals, s sections, p service points.

    What the form factor adds is within them all, and also told apart, for it is the least sure part.
    """

    minutes: float                          # length of an interval
    known: NDArray[np.bool_]                # (h,) False where a power was missing, or no voltages were found
    collapsed: NDArray[np.intp]             # intervals without voltages
    taken: float                            # by the service points [Wh]
    sections: NDArray[np.float64]           # (s, 4) L1, L2, L3, N [Wh]
    points: NDArray[np.float64] | None      # (p, 2) part in lines and in the transformer [Wh]; None in a meshed network
    lines: NDArray[np.float64]              # (h, 4) mean power by conductor; NaN where not known [W]
    transformer: NDArray[np.float64]        # (h,) mean power, likewise; with no-load loss [W]
    hidden: float                           # what the form factor added [Wh]
    doubt: float                            # its uncertainty, one sigma [Wh]
    lowest: NDArray[np.float64]             # (p,) lowest mean voltage of a phase at the service point [V]
    currents: NDArray[np.float64] | None = None         # (s,) highest mean of a phase; of a meshed network alone [A]
    nodes: NDArray[np.float64] | None = None            # (n,) lowest mean voltage of a phase; likewise [V]

    @property
    def lost(self) -> float:
        """Lines and transformer. [Wh]"""
        return float(self.sections.sum() + np.nansum(self.transformer) * self.minutes / 60)


def over(
    network: Network, active: NDArray[np.float64], minutes: float = 60.0, form: FormFactor | None = None, *,
    meshed: bool = False, progress: Progress = iter,
) -> Period:
    """
    Return the losses of a period.

    Parameters
    ----------
    network : Network
    active : ndarray of float64, shape (h, p) or (h, p, 3)
        As for `model.powers`; NaN where it is not known. [W]
    minutes : float
        Length of an interval.
    form : FormFactor, optional
        For means over intervals of that length; not used when `meshed`.
    meshed : bool
        By power-grid-model, loops or not.
    progress : callable, optional
        Is given the blocks of intervals and yields them, so that somebody may be shown how far it is.

    Returns
    -------
    period : Period
        Intervals in which the feeder collapses are left out and named, not raised.
    """
    model = None if meshed else feeder(network)
    count, points = len(active), len(network.points)
    point, _ = connections(network)
    known, lines = np.zeros(count, dtype=bool), np.full((count, PHASES + 1), np.nan)
    transformer = np.full(count, np.nan)
    sections, shares = np.zeros((len(network.sections), PHASES + 1)), np.zeros((points, 2))
    lowest, taken, hidden = np.full(points, np.inf), 0.0, 0.0
    currents, nodes = np.zeros(len(network.sections)), np.full(len(network.nodes), np.inf)
    complete = np.isfinite(active.reshape(count, -1)).all(axis=1)
    for rows in progress([slice(first, first + BLOCK) for first in range(0, count, BLOCK)]):
        power = powers(network, active[rows])
        if model is None:
            found = solve_meshed(network, power, strict=False)
            lost, good, voltage = found.losses, found.converged, found.voltage
            currents, nodes = np.maximum(currents, found.highest), np.minimum(nodes, found.lowest)
        else:
            flow = solve(model, power, strict=False)
            lost, good, voltage = losses(model, flow, form), flow.converged, flow.voltage
            for column, share in enumerate(contributions(model, flow, form)):
                shares[:, column] += share[good].sum(axis=0)
            if form is not None:
                hidden += float((lost.total - losses(model, flow).total)[good].sum())
        known[rows], lines[rows], transformer[rows] = good, lost.lines, lost.transformer
        sections += lost.conductor * good.sum()
        taken += float(power[good].real.sum())
        if good.any():
            np.minimum.at(lowest, point, np.abs(voltage[good]).min(axis=0))
    hours = minutes / 60
    return Period(
        minutes=minutes, known=known, collapsed=np.flatnonzero(complete & ~known), taken=taken * hours,
        sections=sections * hours, points=None if meshed else shares * hours, lines=lines, transformer=transformer,
        hidden=hidden * hours, doubt=hidden * hours * (form.doubt if form and not meshed else 0.0),
        lowest=np.where(np.isfinite(lowest), lowest, np.nan), currents=currents if meshed else None,
        nodes=np.where(np.isfinite(nodes), nodes, np.nan) if meshed else None,
    )


def filled(active: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """
    Return power with gaps filled by the mean of the same consumer, and the share of values that were filled.

    In a network of many meters some reading is nearly always missing; its consumer's mean is nearer than no loss at all.
    Who was never heard stays NaN.
    """
    gaps = np.isnan(active)
    count = (~gaps).sum(axis=0)
    mean = np.where(count, np.where(gaps, 0.0, active).sum(axis=0) / np.maximum(count, 1), np.nan)
    return np.where(gaps, mean, active), float(gaps.mean()) if gaps.size else 0.0
