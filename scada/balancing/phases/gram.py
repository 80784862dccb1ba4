"""The unevenness of every allocation from one table: who coincides with whom. Pure.

The sum over all hours of the squared unevenness of three phase loads s1, s2, s3 is 1.5 (|s1|² + |s2|² + |s3|²) less half of
|s1 + s2 + s3|², and the last does not depend on who hangs where. So everything an allocation is judged by is in the
products of the profiles with each other, (n, n), and the hours are needed once. Weighted by the resistance that the paths
of two consumers have in common, the same table gives the loss in lines and neutral.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.uneven import PHASES


class Score(Protocol):
    """What allocations are judged by: `Table`, or `absolute.Absolute`."""

    def score(self, phase: NDArray[np.integer]) -> float:
        """Less is better."""

    def pulls(self, phase: NDArray[np.integer]) -> Any:
        """What `gains` wants of an allocation."""

    def gains(self, phase: NDArray[np.integer], pulls: Any) -> NDArray[np.float64]:
        """(n, 3): what the score would change by if this consumer alone went to that phase; 0 where it is."""


@attrs.frozen(eq=False)
class Table:
    """What is needed to score allocations of n consumers."""

    together: NDArray[np.float64]           # (n, n) product of each two profiles, weighted; symmetric
    fixed: NDArray[np.float64]              # (n, 3) product of each profile with what stays on a phase
    constant: float                         # score with no consumer at all

    def score(self, phase: NDArray[np.integer]) -> float:
        """The sum over the hours of the squared unevenness, [W²], or of the loss if the table is weighted by resistance."""
        member = np.eye(PHASES)[phase]
        return self.constant + 1.5 * float(
            ((self.together @ member) * member).sum() + 2.0 * (self.fixed * member).sum()
        ) - 0.5 * float(self.together.sum() + 2.0 * self.fixed.sum())

    def pulls(self, phase: NDArray[np.integer]) -> NDArray[np.float64]:
        """(n, 3): product of each consumer with all that hangs on each phase, itself included."""
        return np.asarray(self.together @ np.eye(PHASES)[phase] + self.fixed)

    def gains(self, phase: NDArray[np.integer], pulls: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3): what the score would change by if this consumer alone went to that phase; 0 where it is."""
        at = np.arange(len(phase))
        change = np.asarray(3.0 * (pulls - pulls[at, phase][:, None] + np.diag(self.together)[:, None]))
        change[at, phase] = 0.0
        return change


def by_neutral(profiles: NDArray[np.float64], fixed: NDArray[np.float64] | None = None) -> Table:
    """
    Return the table that scores allocations by the squared neutral current at the transformer.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        Mean active power of each one-phase consumer in each hour. [W]
    fixed : ndarray of float64, shape (t, 3), optional
        What hangs on each phase and stays there: the feeder less these consumers. [W]

    Returns
    -------
    table : Table
        An hour in which a consumer or `fixed` is NaN is left out. [W²]
    """
    base = np.zeros((profiles.shape[1], PHASES)) if fixed is None else np.asarray(fixed, dtype=np.float64)
    used = ~(np.isnan(profiles).any(axis=0) | np.isnan(base).any(axis=1))
    of, base = profiles[:, used], base[used]
    constant = 1.5 * float((base**2).sum()) - 0.5 * float((base.sum(axis=1) ** 2).sum())
    return Table(of @ of.T, of @ base, constant)


def by_loss(
    profiles: NDArray[np.float64], phase_ohm: NDArray[np.float64], neutral_ohm: NDArray[np.float64], voltage: float = 230.0,
) -> Table:
    """
    Return the table that scores allocations by the energy that lines and neutral lose, but for what no allocation changes.

    Parameters
    ----------
    profiles : ndarray of float64, shape (n, t)
        Mean apparent power of each one-phase consumer in each hour: its active power over its power factor. [VA]
    phase_ohm, neutral_ohm : ndarray of float64, shape (n, n)
        Resistance that the paths of two consumers to the transformer have in common, in a phase and in the neutral; on the
        diagonal the whole path. See `shared_resistance`. [Ω]
    voltage : float
        Phase to neutral. [V]

    Returns
    -------
    table : Table
        Differences of its score are Wh over the hours given; the score itself is not a loss. Hours with a NaN are left out.

    Notes
    -----
    Loss of a section is r (|s1|² + |s2|² + |s3|²) + r_n unevenness², over the square of the voltage: the part that depends
    on the allocation is (r + 1.5 r_n) times the sum of the squares. The voltage is taken as constant, so a power flow
    decides in the end; and hourly means hide a part of any loss.
    """
    used = ~np.isnan(profiles).any(axis=0)
    of = profiles[:, used]
    return Table((of @ of.T) * (phase_ohm / 1.5 + neutral_ohm) / voltage**2, np.zeros((len(of), PHASES)), 0.0)


def shared_resistance(path: NDArray[np.bool_], resistance: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Return what the paths of each two consumers have in common.

    Parameters
    ----------
    path : ndarray of bool, shape (n, s)
        Whether a section lies between a consumer and the transformer.
    resistance : ndarray of float64, shape (s,)
        Of one phase of each section. [Ω]

    Returns
    -------
    shared : ndarray of float64, shape (n, n)
        [Ω]
    """
    on = path.astype(np.float64)
    return np.asarray((on * resistance) @ on.T)


def mixed(tables: Sequence[Table], weights: Sequence[float], start: NDArray[np.integer]) -> Table:
    """Return the weighted sum of several scores, each as a share of what it is at `start`; who is 0 there is left out."""
    now = [one.score(start) for one in tables]
    share = [weight / score if score > 0 else 0.0 for weight, score in zip(weights, now, strict=True)]
    parts = list(zip(share, tables, strict=True))
    return Table(
        together=np.sum([weight * one.together for weight, one in parts], axis=0),
        fixed=np.sum([weight * one.fixed for weight, one in parts], axis=0),
        constant=sum(weight * one.constant for weight, one in parts),
    )
