"""The radio of one subnet in motion: its tree, how long things take in it, and what that costs the batteries.

Each node meets its parent once every W seconds, at its own phase; a hop is tried at three meetings. A meeting that archive
traffic has taken is no try: commands go first, but they cannot use what is under way. Everything in site time.
"""

from typing import Final

import attrs
import numpy as np

from scada.clock import HOUR_S
from scada.drivers.dmesh.simulator import radio
from scada.drivers.dmesh.simulator import tree as trees
from scada.drivers.dmesh.simulator.radio import TEMPLATES, Floats, Template
from scada.drivers.dmesh.simulator.tree import Ints, Tree

W_S: Final = 14.0                           # meeting period
HOP_S: Final = 0.08
TRIES: Final = 3
OUT_OF_REACH: Final = 0.012                 # share of commands that a module never hears, whatever is repeated
ARCHIVE_WINDOW_S: Final = 900               # after each full hour, while the hour's readings go up
PACKETS_A_DAY: Final = 26                   # of one module: its hours, and a report or two
PACKET_C: Final = 2.7e-3                    # charge of a relayed packet
IDLE_A: Final = 19e-6                       # and of a module that relays nothing; with 600 packets a day it is 38 µA
CAPACITY_C: Final = 2.0 * 3600              # of 2 Ah
BATTERY_MV: Final = ((0.0, 0.8, 0.95, 1.0), (3640.0, 3560.0, 3300.0, 2900.0))      # by share of the charge used
WEAK_MV: Final = 3060.0
YEAR_S: Final = 8766 * 3600


@attrs.define(eq=False)
class Mesh:
    """Arrays over the modules of a subnet, in order of subnet index; replaced as a whole when the tree changes."""

    index: Ints
    parent: Ints                            # subnet index, 0 = the concentrator; -1 = nobody hears it
    level: Ints                             # 1-30; 0 where nobody hears it
    rssi: Floats                            # dBm, mean at the module
    delivery: Floats                        # of one try to the parent
    below: Ints                             # modules that send through this one
    battery_mv: Floats
    phase: Floats                           # s, when it meets its parent, within W
    period_s: float = W_S
    late_s: float = 0.0                     # what a congested channel adds to every multicast
    disturbed_db: float = 0.0               # what an interferer takes from every link
    _loss: Floats = attrs.field(factory=lambda: np.zeros((1, 1)))
    _heard: Floats = attrs.field(factory=lambda: np.zeros((1, 1)))      # dBm, between all pairs, as it is at present
    _tree: Tree | None = None
    _odds: Floats = attrs.field(factory=lambda: np.zeros((1, 1)))

    # ------------------------------------------------------------------------------------------- the tree
    def replant(
        self, silent: frozenset[int] = frozenset(), apart: frozenset[int] = frozenset(), worse_db: float = 0.0,
        corridor: bool = False,
    ) -> int:
        """
        Let the tree grow again, with hysteresis; returns how many modules changed their parent.

        Parameters
        ----------
        silent : set of int
            Indices that neither send nor relay any more.
        apart : set of int
            Indices that hear nobody but each other: a partition.
        worse_db : float
            What an interferer takes from every link. [dB]
        corridor : bool
            In order of subnet index, each module hears the two beside it and nobody else.
        """
        nodes = np.concatenate([[0], self.index])
        self.disturbed_db = worse_db
        rssi = self._heard = radio.strength(radio.corridor(len(nodes)) if corridor else self._loss) - worse_db
        odds = radio.delivery(rssi)
        mute = np.isin(nodes, list(silent))
        odds[mute] = odds[:, mute] = 0.0
        split = np.isin(nodes, list(apart))
        odds[np.ix_(split, ~split)] = odds[np.ix_(~split, split)] = 0.0
        before, self._tree = self._tree, trees.grow(odds, self._tree)
        self._take(self._tree, rssi, odds)
        return int((before.parent != self._tree.parent).sum()) if before is not None else 0

    def subtree(self, index: int) -> frozenset[int]:
        """Everybody who sends through a module, without itself."""
        children: dict[int, list[int]] = {}
        for child, parent in zip(self.index.tolist(), self.parent.tolist(), strict=True):
            children.setdefault(parent, []).append(child)
        found: set[int] = set()
        open_ = list(children.get(index, ()))
        while open_:
            found.add(one := open_.pop())
            open_ += children.get(one, ())
        return frozenset(found)

    def _take(self, tree: Tree, rssi: Floats, odds: Floats) -> None:
        nodes = np.concatenate([[0], self.index])
        up = tree.parent[1:]
        there = up >= 0
        rows = np.arange(1, len(nodes))
        self.parent = np.where(there, nodes[up], -1)
        self.level = tree.level[1:]
        self.rssi = np.where(there, rssi[up, rows], radio.SENSITIVITY_DBM)
        self.delivery = np.where(there, odds[up, rows], 0.0)
        self.below = trees.below(tree)[1:]
        self._odds = odds

    def alternatives(self, place: int, most: int) -> list[tuple[int, float, float]]:
        """Parents that a module would take if it lost its own: (index, dBm, delivery), the cheapest way first."""
        assert self._tree is not None
        row = place + 1
        odds = self._odds[:, row].copy()
        odds[[row, self._tree.parent[row] if self._tree.parent[row] >= 0 else row]] = 0.0
        below = self.subtree(int(self.index[place]))        # who sends through it cannot be its way up
        odds[1:][np.isin(self.index, list(below))] = 0.0
        usable = np.flatnonzero((odds >= trees.WORST_LINK) & self._tree.reached)
        cost = self._tree.expected[usable] + 1.0 / odds[usable]
        rssi = self._heard[:, row]
        nodes = np.concatenate([[0], self.index])
        best = usable[np.argsort(cost, kind="stable")[:most]]
        return [(int(nodes[one]), float(rssi[one]), float(odds[one])) for one in best]

    # ------------------------------------------------------------------------------------- how long it takes
    @property
    def travel_s(self) -> Floats:
        """Mean time to the concentrator. [s]"""
        return np.asarray(self.level * (self.period_s / 2 + HOP_S), dtype=np.float64)

    def busy(self, at: float) -> Floats:
        """Share of each module's meetings that the archive takes at a site time; its own and what it relays. [1]"""
        window = at % HOUR_S < ARCHIVE_WINDOW_S
        packets = (1.0 + self.below) * self.period_s / (ARCHIVE_WINDOW_S if window else 20.0 * HOUR_S)
        return np.asarray(1.0 - np.exp(-packets), dtype=np.float64)

    def multicast(self, rng: np.random.Generator, at: float) -> Floats:
        """Seconds of one wave through the tree, sent at `at` [s, site time]; NaN where it does not arrive."""
        arrived = np.full(len(self.index) + 1, np.nan)
        arrived[0] = 0.0
        row = self._parent_row
        for deep in range(1, int(self.level.max(initial=0)) + 1):
            here = np.flatnonzero(self.level == deep)
            arrived[here + 1] = self._hop(arrived[row[here]], here, rng, at)
        return arrived[1:] + self.late_s

    def draw_latency(self, rng: np.random.Generator, at: float | None = None) -> Floats:
        """
        One trip of its own between the concentrator and every module; NaN where it does not arrive. [s]

        Without `at` the trips are made at some quiet moment.
        """
        start = 1800.0 + rng.uniform(0.0, self.period_s, len(self.index)) if at is None else np.full(len(self.index), at)
        spent = np.where(self.level > 0, 0.0, np.nan)
        node, row = np.arange(len(self.index)), self._parent_row
        for _ in range(int(self.level.max(initial=0))):
            under_way = np.flatnonzero(node >= 0)
            spent[under_way] = self._hop(spent[under_way], node[under_way], rng, start[under_way])
            node = np.where(node >= 0, row[node] - 1, -1)
        return spent

    def _hop(self, spent: Floats, child: Ints, rng: np.random.Generator, at: Floats | float) -> Floats:
        """Seconds after one more hop between `child` and its parent."""
        wait = (self.phase[child] - (at + spent)) % self.period_s
        once = np.clip(self.delivery[child], 1e-6, 1.0 - 1e-9)
        busy = np.clip(self.busy(float(np.mean(at)))[child], 0.0, 0.9)
        tries = np.maximum(np.ceil(np.log1p(-rng.random(len(child))) / np.log1p(-once)), 1.0)
        taken = np.floor(np.log(1.0 - rng.random(len(child))) / np.log(np.maximum(busy, 1e-12)))
        after = spent + wait + (tries - 1.0 + taken) * self.period_s + HOP_S
        return np.where(tries > TRIES, np.nan, after)

    @property
    def _parent_row(self) -> Ints:
        """Where each module's parent stands among the nodes, concentrator first; 0 too for who has none."""
        place = {0: 0, -1: 0, **{int(index): row + 1 for row, index in enumerate(self.index)}}
        return np.array([place[int(one)] for one in self.parent], dtype=np.int64)

    # ------------------------------------------------------------------------------------------- batteries
    @property
    def relayed_a_day(self) -> Ints:
        """Packets of others that each module passes on. [1/day]"""
        return PACKETS_A_DAY * self.below

    @property
    def current_a(self) -> Floats:
        """Mean current. [A]"""
        return np.asarray(IDLE_A + self.relayed_a_day * PACKET_C / 86400.0, dtype=np.float64)

    @property
    def life_years(self) -> Floats:
        """How long a new battery would last at this load. [years]"""
        return np.asarray(CAPACITY_C / self.current_a / YEAR_S, dtype=np.float64)


def grow(
    indices: Ints, rng: np.random.Generator, weak: int | None = None, template: Template = TEMPLATES["panel"],
    period_s: float = W_S,
) -> Mesh:
    """A subnet over the given modules; `weak` is the subnet index of one with an old battery."""
    n = len(indices)
    places = radio.settle(n, template, rng)
    nothing = np.zeros(n)
    mesh = Mesh(
        indices, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), nothing, nothing, np.zeros(n, dtype=np.int64),
        nothing, rng.uniform(0.0, period_s, n), period_s, loss=radio.path_loss(places, template, rng),
    )
    mesh.replant()
    _bring_in(mesh)
    used = rng.uniform(0.0, 1.0, n) * YEAR_S * mesh.current_a / CAPACITY_C
    mesh.battery_mv = np.interp(used, *BATTERY_MV)
    mesh.battery_mv[indices == weak] = WEAK_MV
    return mesh


def _bring_in(mesh: Mesh) -> None:
    """Fitters do not leave before a module is heard: who has no way gets a better place, until he has one."""
    for _ in range(20):
        if not (deaf := np.flatnonzero(mesh.level == 0) + 1).size:
            return
        mesh._loss[deaf] -= 3.0
        mesh._loss[:, deaf] -= 3.0
        mesh._tree = None
        mesh.replant()
