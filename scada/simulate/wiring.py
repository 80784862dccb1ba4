"""The low-voltage network of the district: cables from the transformer to every floor, and what is lost in them. Pure.

Resistance and reactance of the cables are those of pandapower's standard types "NAYY 4x150 SE" and "NAYY 4x50 SE"
(pandapower/std_types.py), which names K. Heuck, Elektrische Energieversorgung, 2013, p. 744. The transformer has round
figures for its size; lengths are ours.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.simulate.district import Consumer, District, Use

NOMINAL_V: Final = 231.0                    # phase to neutral
IRON_W: Final = 300.0                       # no-load loss of the transformer
METERING_W: Final = 150.0                   # own consumption of the metering (domain C3)
UK_PERCENT: Final = 4.0
LOAD_LOSS_PERCENT: Final = 1.5              # of the rated power, in the windings
POWER_FACTOR: Final = {"L1": 0.96, "L2": 0.95, "L3": 0.97}      # lagging
BETWEEN: Final = 0.96                       # of who is on several phases
STAIRS, FLOORS = 3, 5
FIRST_M, NEXT_M = 180.0, 80.0               # to the first building, and how much farther every next one is
ROW = 6                                     # buildings stand in rows of so many
TO_STAIR_M, RISE_M = 20.0, 3.0
LEAST: Final = 0.8                          # of the nominal voltage, below which no load is asked for more current
_TURN: Final = np.exp(-2j * np.pi / 3 * np.arange(3))


@attrs.frozen
class Cable:
    """Four equal wires."""

    name: str
    r: float                                # of each [ohm/km]
    x: float


MAIN: Final = Cable("NAYY 4x150", 0.208, 0.080)
RISER: Final = Cable("NAYY 4x50", 0.642, 0.083)


@attrs.frozen
class Piece:
    """A piece of cable and the node it feeds; the one before it comes earlier."""

    feeder: int                             # from 1
    above: str
    node: str
    length_m: float
    cable: Cable


@attrs.frozen
class Wiring:
    """A tree that begins at the transformer, and where in it each consumer of electricity hangs."""

    pieces: tuple[Piece, ...]
    node_of: Mapping[str, str]


def wiring_of(district: District) -> Wiring:
    """
    Return the network of a district; the same district has the same.

    Every building has a feeder of its own to a cabinet in its cellar, from there a cable to each stair, and risers. Flats
    are spread over stairs and floors in their order; shops and common needs hang at the cabinet.
    """
    pieces: list[Piece] = []
    node_of: dict[str, str] = {}
    for number, one in enumerate(district.concentrators, start=1):
        cabinet = f"{one.building}-cabinet"
        pieces.append(Piece(number, district.transformer, cabinet, FIRST_M + NEXT_M * ((number - 1) % ROW), MAIN))
        powered = [who for who in district.consumers if who.building == one.building and who.phases]
        node_of.update((who.name, cabinet) for who in powered if who.use is not Use.FLAT)
        flats = [who for who in powered if who.use is Use.FLAT]
        places = [f"{one.building}-S{stair}-{floor}" for stair in range(1, STAIRS + 1) for floor in range(1, FLOORS + 1)]
        node_of.update((who.name, places[place * len(places) // len(flats)]) for place, who in enumerate(flats))
        for place, node in enumerate(places):
            stair, floor = divmod(place, FLOORS)
            if floor:
                pieces.append(Piece(number, places[place - 1], node, RISE_M, RISER))
            else:
                pieces.append(Piece(number, cabinet, node, TO_STAIR_M * (stair + 1), MAIN))
    return Wiring(tuple(pieces), node_of)


def factor_of(phases: str) -> float:
    """The power factor of a consumer on these phases, lagging. [1]"""
    return POWER_FACTOR.get(phases, BETWEEN)


class Lines:
    """
    What the district's currents lose on their way, by phase.

    Parameters
    ----------
    district : District
    consumers : sequence of Consumer
        n consumers, in the order in which their power is told.
    share : ndarray of float64, shape (n, 3)
        How each one's power is spread over the phases.
    """

    def __init__(self, district: District, consumers: Sequence[Consumer], share: NDArray[np.float64]) -> None:
        wiring, self._share = wiring_of(district), share
        # Piece 0 is the transformer, and node 0 its terminals. All currents flow in its windings, whose delta keeps the
        # neutral's loss away.
        row = {piece.node: number for number, piece in enumerate(wiring.pieces, start=1)}
        self._end = _ends([row.get(piece.above, 0) for piece in wiring.pieces])     # (pieces,) row behind what it feeds
        cables = [piece.length_m / 1000 * complex(piece.cable.r, piece.cable.x) for piece in wiring.pieces]
        windings = 3 * NOMINAL_V**2 / (1000 * district.rated_kva) * complex(
            LOAD_LOSS_PERCENT, math.sqrt(UK_PERCENT**2 - LOAD_LOSS_PERCENT**2)
        ) / 100
        self._phase, self._neutral = np.array([[windings, *cables]]).T, np.array([[0.0, *cables]]).T
        factor = np.array([factor_of(one.phases) for one in consumers])
        self._ampere = share * (1 - 1j * np.tan(np.arccos(factor)))[:, None] * _TURN / NOMINAL_V    # of a watt
        at = np.array([row.get(wiring.node_of.get(one.name, ""), 0) for one in consumers], dtype=np.intp)
        self._order = np.argsort(at, kind="stable")                         # consumers of a node together
        self._nodes, self._first = np.unique(at[self._order], return_index=True)

    def losses(self, watts: NDArray[np.float64]) -> NDArray[np.float64]:
        """
        Return what is lost between the meter and the consumers, and in the metering, (3,). [W]

        `watts` is what each consumer draws, (n,). R·|I|² of every piece in each phase, and of the neutral each phase's
        share Re(I*·R·I_N). Power is drawn at the voltage that the currents at nominal voltage leave, but no less than
        `LEAST` of it. The neutral may relieve a phase, but none feeds back.
        """
        nominal = np.zeros((len(self._end), 3), dtype=np.complex128)                        # (nodes, 3)
        nominal[self._nodes] = np.add.reduceat((self._ampere * watts[:, None])[self._order], self._first, axis=0)
        left = 1 - (self._before(self._drops(self._behind(nominal))) / (NOMINAL_V * _TURN)).real
        current = self._behind(nominal / np.maximum(left, LEAST))
        lost = (current.conj() * self._drops(current)).real.sum(axis=0)
        return np.asarray(np.maximum(lost, -watts @ self._share) + (IRON_W + METERING_W) / 3, dtype=np.float64)

    def _behind(self, at: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Sums over all nodes that each piece feeds, (pieces, 3), of something at every node."""
        sums = np.concatenate([np.zeros((1, 3)), np.cumsum(at, axis=0)])
        return np.asarray(sums[self._end] - sums[:-1])

    def _before(self, of: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Sums over all pieces that lead to each node, (nodes, 3), of something of every piece."""
        edges = np.zeros((len(of) + 1, 3), dtype=np.complex128)
        edges[:-1] = of
        np.subtract.at(edges, self._end, of)
        return np.asarray(np.cumsum(edges[:-1], axis=0))

    def _drops(self, current: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """What every piece takes off the voltage from phase to neutral, (pieces, 3). [V]"""
        return np.asarray(self._phase * current + self._neutral * current.sum(axis=1, keepdims=True))


def _ends(above: Sequence[int]) -> NDArray[np.intp]:
    """
    Return the row behind the last node that each piece feeds; row 0 is the transformer, and feeds all.

    Pieces stand in the order of a walk down every branch to its end, so that what a piece feeds follows it at once.
    """
    end = np.arange(1, len(above) + 2, dtype=np.intp)
    for row in range(len(above), 0, -1):
        end[above[row - 1]] = max(end[above[row - 1]], end[row])
    return end
