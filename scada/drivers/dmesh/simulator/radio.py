"""Who hears whom in a subnet: modules placed in buildings, what walls and distance leave of a signal. Pure.

The model of docs/guide/simulator.md, "The radio": loss = 25 dB at 1 m + 10 n log10(d) + walls and floors + a shadowing of
6 dB that is drawn once for each pair and stays. All arrays over pairs have the concentrator as row and column 0.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SENT_DBM: Final = 10.0
SENSITIVITY_DBM: Final = -107.0
LOSS_AT_1M_DB: Final = 25.0
SHADOWING_DB: Final = 6.0
HALF_MARGIN_DB: Final = 2.0                 # above sensitivity, where every second try succeeds
SLOPE_DB: Final = 2.5                       # how sharp that edge is
BEST_DELIVERY: Final = 0.995
CORRIDOR_LOSS_DB: Final = 95.0              # between neighbours in a row: near the best delivery there is


@attrs.frozen
class Template:
    """A kind of building, and how many of them stand in what order."""

    floors: int
    entrances: int                          # along the house
    flats: int                              # on a landing
    entrance_m: float = 18.0
    floor_m: float = 2.8
    spacing_m: float = 45.0                 # from one house to the next
    per_row: int = 1                        # houses side by side before the next row begins
    exponent: float = 3.6                   # n: 3.3 in the open, 4 in dense building
    wall_db: float = 4.0                    # an inner wall, every `wall_m` on the way
    wall_m: float = 6.0
    floor_db: float = 9.0
    outside_db: float = 8.0                 # from indoors to outdoors; twice between two houses
    cabinet_db: float = 13.0                # the steel cabinet of a meter, once for each end

    @property
    def homes(self) -> int:
        return self.floors * self.entrances * self.flats


TEMPLATES: Final = {
    "panel": Template(floors=9, entrances=4, flats=4, per_row=2),
    "tower": Template(floors=16, entrances=1, flats=6, per_row=2),
    "houses": Template(
        floors=1, entrances=1, flats=1, spacing_m=28.0, per_row=6, exponent=3.3, floor_db=0.0, cabinet_db=6.0
    ),
}


@attrs.frozen(eq=False)
class Places:
    """Where the concentrator (row 0) and the modules are."""

    metres: Floats                          # (n + 1, 3)
    house: NDArray[np.int64]                # (n + 1,)
    floor: NDArray[np.int64]                # (n + 1,)


def settle(modules: int, template: Template, rng: np.random.Generator) -> Places:
    """Put modules into homes drawn at random; the concentrator hangs by the first entrance of the first house."""
    houses = max(1, -(-modules // template.homes))
    home = np.sort(rng.permutation(houses * template.homes)[:modules])
    house, inside = np.divmod(home, template.homes)
    entrance, inside = np.divmod(inside, template.floors * template.flats)
    floor, flat = np.divmod(inside, template.flats)
    row, column = np.divmod(house, template.per_row)
    length = template.entrances * template.entrance_m
    x = column * (length + template.spacing_m) + entrance * template.entrance_m + rng.uniform(0.0, 4.0, modules)
    y = row * (template.spacing_m + 12.0) + (flat % 2) * 8.0 + (flat // 2) * 3.0 + rng.uniform(0.0, 3.0, modules)
    z = floor * template.floor_m + 1.5
    metres = np.vstack([[0.0, 0.0, 1.5], np.stack([x, y, z], axis=1)])
    return Places(metres, np.concatenate([[0], house]), np.concatenate([[0], floor]))


def path_loss(places: Places, template: Template, rng: np.random.Generator) -> Floats:
    """Loss between all pairs, the same both ways; infinite on the diagonal. [dB]"""
    apart = places.metres[:, None] - places.metres[None]
    distance = np.maximum(np.sqrt((apart ** 2).sum(axis=2)), 1.0)
    level = np.sqrt((apart[:, :, :2] ** 2).sum(axis=2))
    same = places.house[:, None] == places.house[None]
    floors = np.abs(places.floor[:, None] - places.floor[None])
    walls = np.where(same, np.floor(level / template.wall_m) * template.wall_db, 2 * template.outside_db)
    drawn = np.triu(rng.normal(0.0, SHADOWING_DB, distance.shape), 1)
    loss = LOSS_AT_1M_DB + 10.0 * template.exponent * np.log10(distance) + walls + drawn + drawn.T
    loss += np.where(same, floors * template.floor_db, 0.0) + 2 * template.cabinet_db
    np.fill_diagonal(loss, np.inf)
    return np.asarray(loss, dtype=np.float64)


def corridor(nodes: int) -> Floats:
    """Loss where everybody hears the two beside him and nobody else; the concentrator is the first of the row. [dB]"""
    loss = np.full((nodes, nodes), np.inf)
    here = np.arange(nodes - 1)
    loss[here, here + 1] = loss[here + 1, here] = CORRIDOR_LOSS_DB
    return loss


def strength(loss: Floats) -> Floats:
    """What arrives. [dBm]"""
    return SENT_DBM - loss


def delivery(rssi: Floats) -> Floats:
    """Chance that one try arrives: logistic in the margin over the sensitivity. [1]"""
    margin = np.clip(rssi - SENSITIVITY_DBM - HALF_MARGIN_DB, -100.0, 100.0)
    return np.asarray(np.minimum(1.0 / (1.0 + np.exp(-margin / SLOPE_DB)), BEST_DELIVERY), dtype=np.float64)


def across(mine: int, theirs: int, template: Template, rng: np.random.Generator) -> Floats:
    """What arrives of (theirs) modules of the next house at (mine) modules of this one, (mine, theirs). [dBm]"""
    metres = rng.uniform(template.spacing_m, template.spacing_m + template.entrances * template.entrance_m, (mine, theirs))
    loss = LOSS_AT_1M_DB + 10.0 * template.exponent * np.log10(metres) + 2 * (template.outside_db + template.cabinet_db)
    return strength(loss + rng.normal(0.0, SHADOWING_DB, (mine, theirs)))
