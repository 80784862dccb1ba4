"""Power flow of a radial feeder: all hours at once, by a fixed point over the reduced impedance matrix."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.solver import Feeder
from scada.errors import ScadaError

TOLERANCE: Final = 1e-7                     # V; the loss of a feeder then stands to nine digits
STEPS: Final = 100
CHUNK: Final = 2_000_000                    # numbers at once: 32 MB in each of some arrays


class NoConvergence(ScadaError):
    """The voltages of some hours do not settle: more is asked of the feeder than it can carry, or the data are wrong."""

    def __init__(self, hours: NDArray[np.intp], steps: int) -> None:
        self.hours, self.steps = hours, steps
        some = ", ".join(str(hour) for hour in hours[:10]) + (" …" if len(hours) > 10 else "")
        super().__init__(
            f"power flow: no voltages found for {len(hours)} hours (rows {some}) in {steps} steps; the load is beyond what "
            "the feeder can carry (voltage collapse), or an impedance or a power is wrong"
        )


@attrs.frozen(eq=False)
class Flow:
    """Currents and voltages of the k connections in h hours; NaN where a power was missing, or nothing was found."""

    current: NDArray[np.complex128]         # (h, k) into the connection [A]
    voltage: NDArray[np.complex128]         # (h, k) phase to neutral at the connection [V]
    residual: NDArray[np.float64]           # (h,) last change of a voltage [V]
    converged: NDArray[np.bool_]            # (h,) False also where a power was missing
    steps: int                              # most that any hour needed


def solve(
    feeder: Feeder, power: NDArray[np.complex128], *, tolerance: float = TOLERANCE, steps: int = STEPS, strict: bool = True
) -> Flow:
    """
    Return currents and voltages under constant power.

    Parameters
    ----------
    feeder : Feeder
        k connections.
    power : ndarray of complex128, shape (h, k)
        Mean power that every connection takes in each of h hours (or minutes, or cases); see `model.powers`. [VA]
    tolerance : float
        Largest change of a voltage in the last step. [V]
    steps : int
        How often at most.
    strict : bool
        Raise where nothing was found; else those hours are NaN and not `converged`.

    Returns
    -------
    flow : Flow

    Raises
    ------
    NoConvergence
        Naming the hours.
    ValueError
        If the shape is another.

    Notes
    -----
    V ← V0 - Z·conj(S/V) is a contraction, and its limit the only practical solution, while the load is well below what the
    feeder can carry [1]_, [2]_. Hours are independent of each other and are taken in chunks, so memory stays bounded.
    Constant power is the usual reading of what meters say.

    References
    ----------
    .. [1] M. Bazrafshan, N. Gatsis, "Convergence of the Z-Bus Method for Three-Phase Distribution Load-Flow with ZIP
       Loads", IEEE Trans. Power Syst., doi:10.1109/TPWRS.2017.2703835
    .. [2] A. Bernstein, C. Wang, E. Dall'Anese, J.-Y. Le Boudec, C. Zhao, "Load-Flow in Multiphase Distribution Networks:
       Existence, Uniqueness, Non-Singularity and Linear Models", arXiv:1702.03310
    """
    hours, wires = power.shape[0], len(feeder.phase)
    if power.ndim != 2 or power.shape[1] != wires:
        raise ValueError(f"power: expected shape (h, {wires}), found {power.shape}")
    impedance = np.ascontiguousarray(feeder.impedance.T)
    source = feeder.source[feeder.phase]
    current, voltage = (np.full((hours, wires), np.nan, dtype=np.complex128) for _ in range(2))
    residual, most = np.full(hours, np.nan), 0
    known = np.flatnonzero(np.isfinite(power).all(axis=1))
    size = max(1, CHUNK // max(1, wires))
    for first in range(0, len(known), size):
        rows = known[first:first + size]
        taken = np.conj(power[rows])
        guess, change, count = _settle(taken, np.broadcast_to(source, taken.shape), source, impedance, tolerance, steps)
        voltage[rows], residual[rows], most = guess, change, max(most, count)
        current[rows] = taken / np.conj(guess)
    converged = residual <= tolerance
    lost = np.setdiff1d(known, np.flatnonzero(converged))
    if len(lost) and strict:
        raise NoConvergence(lost, steps)
    current[lost], voltage[lost] = np.nan, np.nan
    return Flow(current, voltage, residual, converged, most)


def _settle(
    taken: NDArray[np.complex128], guess: NDArray[np.complex128], source: NDArray[np.complex128],
    impedance: NDArray[np.complex128], tolerance: float, steps: int,
) -> tuple[NDArray[np.complex128], NDArray[np.float64], int]:
    """Repeat until the slowest hour stands still, or will not; (h, k) voltages, (h,) last change, number of steps."""
    change, count = np.full(len(taken), np.inf), 0
    with np.errstate(all="ignore"):                             # what diverges may overflow: it is reported as such
        while count < steps and not (change <= tolerance).all():
            better = source - (taken / np.conj(guess)) @ impedance
            change = np.abs(better - guess).max(axis=1, initial=0.0)
            guess, count = better, count + 1
    return guess, np.where(np.isnan(change), np.inf, change), count
