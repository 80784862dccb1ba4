"""What an allocation really gives, by power flow. Pure."""

from collections.abc import Callable, Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.live import NOMINAL_ANGLES
from scada.balancing.network import (
    Feeder,
    FormFactor,
    Network,
    connections,
    feeder,
    losses,
    of_hours,
    powers,
    solve,
    solve_meshed,
)
from scada.balancing.network.model import TURN
from scada.balancing.phases.gram import shared_resistance
from scada.balancing.phases.uneven import PHASES
from scada.phase_study import FormUsed


@attrs.frozen
class Check:
    """A feeder under one allocation, over the intervals that were given."""

    loss: float                             # lines, all four conductors [Wh]
    neutral: float                          # current at the transformer, mean of the intervals [A]
    neutral_peak: float                     # its largest [A]
    lowest: float                           # voltage of any connection in any interval [V]
    collapsed: int = 0                      # intervals left out: no voltages were found
    returned: NDArray[np.complex128] | None = attrs.field(default=None, eq=False, repr=False)   # (h,) in the neutral [A]
    power: NDArray[np.float64] | None = attrs.field(default=None, eq=False, repr=False)         # (h, 3) at the source [W]


Place = tuple[int, int]
Checker = Callable[[NDArray[np.int64]], Check]


def by_power_flow(
    network: Network, active: NDArray[np.float64], consumers: NDArray[np.intp], hours: float,
    form: FormFactor | None = None,
) -> Checker:
    """
    Return a function that computes a feeder with its consumers on other phases.

    Parameters
    ----------
    network : Network
        p service points; one with loops by power-grid-model, and without form factor.
    active : ndarray of float64, shape (h, p)
        Mean active power of every service point in each interval. Intervals of a minute tell the loss, hourly means about
        four fifths of it. [W]
    consumers : ndarray of intp, shape (n,)
        Service points of the one-phase consumers that an allocation is about.
    hours : float
        Length of an interval. [h]
    form : FormFactor, optional
        Adds to the loss what means over the interval hide.

    Returns
    -------
    checker : callable
        From an allocation, shape (n,), to its `Check`.
    """
    def check(phase: NDArray[np.int64]) -> Check:
        changed = network.on_phases(phases_of(network, consumers, phase))
        power = powers(changed, active)
        if changed.looped:
            meshed = solve_meshed(changed, power, strict=False)
            voltage, converged, lost = meshed.voltage, meshed.converged, meshed.losses
            current = np.conj(power / voltage)
        else:
            model = feeder(changed)
            flow = solve(model, power, strict=False)
            voltage, converged, lost = flow.voltage, flow.converged, losses(model, flow, form)
            current = flow.current
        known = int(converged.sum())
        if not known:
            return Check(np.nan, np.nan, np.nan, np.nan, len(active))
        returned = current.sum(axis=1)
        neutral, peak = _mean_and_peak(returned)
        _, wire = connections(changed)
        source = changed.supply.voltage * TURN[wire]
        return Check(
            loss=float(np.nansum(lost.lines)) * hours, neutral=neutral, neutral_peak=peak,
            lowest=float(np.nanmin(np.abs(voltage))), collapsed=int(np.isfinite(active).all(axis=1).sum()) - known,
            returned=returned, power=(np.conj(current) * source).real @ np.eye(PHASES)[wire],
        )
    return check


def form_used(network: Network) -> FormUsed:
    """Which form factor the losses of a network's hourly means have."""
    if network.looped:
        return FormUsed.NONE
    return FormUsed.FITTED if network.form is not None and network.form is of_hours(network.form) else FormUsed.SHIPPED


def with_rest(checks: Mapping[Place, Check], today: Check, feed: NDArray[np.float64], voltage: float) -> dict[Place, Check]:
    """
    Return checks whose neutral current has what else hangs on the feed, too.

    Parameters
    ----------
    checks : mapping of Check
        Of several allocations in the same h intervals.
    today : Check
        Of how it is; what the meter has beyond it stays, whoever is moved.
    feed : ndarray of float64, shape (h, 3)
        Powers of the feed's phases as metered. Where it is NaN an interval is in the loss alone. [W]
    voltage : float
        Phase to neutral. The power factor of the rest is taken as one. [V]
    """
    if today.power is None:
        return dict(checks)
    rest = (feed - today.power) @ NOMINAL_ANGLES / voltage
    found = dict(checks)
    for place, one in checks.items():
        if one.returned is not None:
            neutral, peak = _mean_and_peak(one.returned + rest)
            found[place] = attrs.evolve(one, neutral=neutral, neutral_peak=peak)
    return found


def _mean_and_peak(returned: NDArray[np.complex128]) -> tuple[float, float]:
    """Of the intervals that are known."""
    size = np.abs(returned[np.isfinite(returned)])
    return (float(size.mean()), float(size.max())) if len(size) else (np.nan, np.nan)


def phases_of(network: Network, consumers: NDArray[np.intp], phase: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the connected phases of all points, shape (p, 3), with `consumers` on `phase`."""
    connected = network.point_phases.copy()
    connected[consumers] = np.arange(PHASES) == phase[:, None]
    return connected


def path_resistance(model: Feeder, consumers: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Return what `gram.by_loss` wants of a network: resistances of common paths, phase and neutral, each (n, n). [Ω]

    `consumers` (n,) are service points with one phase.
    """
    connection = np.searchsorted(model.point, consumers)
    path = model.behind[:, connection].T
    ohm = np.zeros((len(model.behind), 2))
    np.add.at(ohm, model.branch, np.column_stack([model.network.phase_ohm.real, model.network.neutral_ohm.real]))
    return shared_resistance(path, ohm[:, 0]), shared_resistance(path, ohm[:, 1])
