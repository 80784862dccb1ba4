"""What is lost where: per section and conductor, and in the transformer. From currents, in chunks of hours."""

from collections.abc import Iterator
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.flow import Flow
from scada.balancing.network.form import FormFactor, none
from scada.balancing.network.model import PHASES
from scada.balancing.network.solver import Feeder

CHUNK: Final = 500_000                      # numbers at once: 4 MB in each of some arrays
CONDUCTORS: Final = ("L1", "L2", "L3", "N")


@attrs.frozen(eq=False)
class Losses:
    """
    Loss of a feeder in h hours. Mean power [W]; NaN in an hour whose flow is not known.

    A conductor's loss is exact as far as `phase_ohm` and `neutral_ohm` are those of the conductors; if Zn came from a
    measured zero sequence, part of the neutral's loss may really be in other ways of return.
    """

    section: NDArray[np.float64] | None     # (h, s), None unless asked for
    conductor: NDArray[np.float64]          # (s, 4) L1, L2, L3, N; mean of the known hours
    lines: NDArray[np.float64]              # (h, 4) all sections together
    transformer: NDArray[np.float64]        # (h,) load loss and no-load loss

    @property
    def total(self) -> NDArray[np.float64]:
        """Lines and transformer, (h,). [W]"""
        return np.asarray(self.lines.sum(axis=1) + self.transformer)


def losses(feeder: Feeder, flow: Flow, form: FormFactor | None = None, *, table: bool = False) -> Losses:
    """
    Return what is lost in sections, conductors and the transformer.

    Parameters
    ----------
    feeder : Feeder
    flow : Flow
        From `flow.solve`.
    form : FormFactor, optional
        Adds what means over an hour hide; without it the loss is that of steady currents.
    table : bool
        Also the table of hours and sections, 8·h·s bytes.

    Returns
    -------
    losses : Losses

    Notes
    -----
    Per section Rp·|I|² in each phase and Rn·|I_N|² in the neutral, I_N being the sum of the phasors. With a form factor
    every square of a phase current is multiplied by k², and to the square of the neutral's is added what the three phases
    hide together: what appliances do within an hour in one phase has nothing to do with what they do in another.
    """
    network, excess = feeder.network, (form or none()).excess(consumers_behind(feeder))
    hours, branches = len(flow.current), len(feeder.behind)
    sections = len(network.sections)
    per_ohm = np.zeros((branches, PHASES + 1))
    np.add.at(per_ohm, feeder.branch, np.column_stack([network.phase_ohm.real] * PHASES + [network.neutral_ohm.real]))
    section = np.full((hours, sections), np.nan) if table else None
    lines, sums = np.full((hours, PHASES + 1), np.nan), np.zeros((branches, PHASES + 1))
    for rows, squares in _squares(feeder, flow, excess):
        for conductor, square in enumerate(squares):
            lines[rows, conductor] = square @ per_ohm[:, conductor]
            known = square[flow.converged[rows]]
            sums[:, conductor] += known.sum(axis=0)
        if section is not None:
            _table(feeder, squares, section[rows])
    ohm = np.column_stack([network.phase_ohm.real] * PHASES + [network.neutral_ohm.real])
    return Losses(
        section=section, conductor=ohm * sums[feeder.branch] / max(1, int(flow.converged.sum())), lines=lines,
        transformer=_transformer(feeder, flow, form),
    )


def _table(feeder: Feeder, squares: list[NDArray[np.float64]], into: NDArray[np.float64]) -> None:
    """Sections of a branch share their currents: spread what an ohm loses, once for the phases and once for the neutral."""
    network, phases = feeder.network, squares[0] + squares[1] + squares[2]
    np.take(phases, feeder.branch, axis=1, out=into, mode="clip")       # "raise" would copy through a buffer
    into *= network.phase_ohm.real
    neutral = np.take(squares[3], feeder.branch, axis=1, mode="clip")
    neutral *= network.neutral_ohm.real
    into += neutral


def _squares(
    feeder: Feeder, flow: Flow, excess: NDArray[np.float64]
) -> Iterator[tuple[slice, list[NDArray[np.float64]]]]:
    """Chunk by chunk the squares of the currents in the four conductors of every branch, (hours, b) each. [A²]"""
    size = max(1, CHUNK // max(1, len(feeder.branch)))
    weights = feeder.behind.T.astype(np.float64)
    for first in range(0, len(flow.current), size):
        rows = slice(first, min(first + size, len(flow.current)))
        real = imaginary = hidden = 0.0
        squares = []
        for phase in range(PHASES):
            mine = feeder.phase == phase
            current = flow.current[rows, mine]
            one, other = current.real @ weights[mine], current.imag @ weights[mine]
            real, imaginary = real + one, imaginary + other
            square = one**2 + other**2
            more = square * excess[:, phase]
            hidden = hidden + more
            squares.append(square + more)
        squares.append(real**2 + imaginary**2 + hidden)
        yield rows, squares


def consumers_behind(feeder: Feeder) -> NDArray[np.int64]:
    """Return how many service points are fed through every branch by each phase, (b, 3)."""
    return np.stack([feeder.behind[:, feeder.phase == phase].sum(axis=1) for phase in range(PHASES)], axis=1)


def _transformer(feeder: Feeder, flow: Flow, form: FormFactor | None) -> NDArray[np.float64]:
    supply = feeder.network.supply
    count = np.bincount(feeder.phase, minlength=PHASES)
    excess = (form or none()).excess(count[None])[0]
    by_phase = np.stack([flow.current[:, feeder.phase == phase].sum(axis=1) for phase in range(PHASES)], axis=1)
    square = np.abs(by_phase)**2
    hidden = square * excess
    neutral = np.abs(by_phase.sum(axis=1))**2 + hidden.sum(axis=1)
    lost = supply.impedance.real * (square + hidden).sum(axis=1) + supply.neutral.real * neutral
    return np.asarray(lost + supply.no_load_loss)
