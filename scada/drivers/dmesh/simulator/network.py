"""What a simulated concentrator tells of its radio: the tree, what changed in it, links, strangers it hears. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import attrs
import numpy as np

from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import (
    Alternative,
    LinkStat,
    LinkStats,
    Neighbour,
    Overheard,
    Topology,
    TopologyDelta,
    TopologyNode,
)
from scada.drivers.dmesh.simulator.mesh import Mesh
from scada.drivers.dmesh.simulator.radio import Floats
from scada.drivers.dmesh.simulator.subnet import WRAPPING

T = TypeVar("T")
Places = dict[int, tuple[int, int]]         # subnet index -> (parent, level)

NODE: Final = 16                            # bytes that one takes in its list, at most
ENTRY: Final = 48
STAT: Final = 128
ALTERNATIVES: Final = 3                     # parents named beside the present one
FLOOR_DBM: Final = -112.0                   # noise where nobody disturbs


@attrs.define(eq=False)
class Stranger:
    """A module of another subnet that is heard here."""

    eui: int
    link_id: int                            # where it belongs
    rssi: float                             # dBm
    by: int                                 # who hears it best, by subnet index
    heard_now: Callable[[float], bool]      # whether it sends at a site time
    heard: int = 0                          # s, site time


def pages(items: Sequence[T], max_frame: int, each: int = ENTRY) -> list[tuple[T, ...]]:
    """A long list in pages that fit a frame; at least one."""
    size = (max_frame - WRAPPING) // each
    return [tuple(items[at:at + size]) for at in range(0, len(items), size)] or [()]


def places(indices: Iterable[int], mesh: Mesh) -> Places:
    """Where the modules that are there stand; who is not heard by anybody is not in the tree."""
    row = {int(index): number for number, index in enumerate(mesh.index)}
    return {
        index: (int(mesh.parent[row[index]]), int(mesh.level[row[index]]))
        for index in sorted(indices) if mesh.level[row[index]] > 0
    }


def snapshot(generation: int, found: Places, now: float, max_frame: int) -> tuple[Topology, ...]:
    """The whole tree."""
    parts = pages([TopologyNode(index, *place) for index, place in found.items()], max_frame, NODE)
    return tuple(Topology(generation, number, len(parts), int(now), part) for number, part in enumerate(parts))


def delta(base: int, before: Places, generation: int, after: Places, now: float, max_frame: int) -> TopologyDelta | None:
    """What changed between two trees; None where it does not fit a frame."""
    nodes = tuple(TopologyNode(index, *place) for index, place in after.items() if before.get(index) != place)
    if len(nodes) * NODE > max_frame - WRAPPING:
        return None
    return TopologyDelta(base, generation, int(now), nodes, sets.bitmap(before.keys() - after.keys()))


def link_stats(
    indices: Sequence[int], mesh: Mesh, drawn: tuple[Floats, Floats], now: float, heard: Callable[[int], int],
    changes: Mapping[int, int], max_frame: int,
) -> tuple[LinkStats, ...]:
    """
    The links as the modules report them.

    Parameters
    ----------
    drawn : (ndarray, ndarray) of float64, shape (n,)
        In the order of the mesh: how far each mean differs from the true one [dB], and each module's clock from the
        concentrator's [s].
    heard : callable
        When a module was last heard. [s, site time]
    changes : mapping of int to int
        How often each changed its parent today.
    """
    row = {int(index): number for number, index in enumerate(mesh.index)}
    day_share, floor = now % 86400 / 86400, round(FLOOR_DBM + mesh.disturbed_db)
    (wobble, offsets), nodes = drawn, []
    for index in indices:
        place = row[index]
        rssi = float(mesh.rssi[place]) + float(wobble[place])
        battery = float(mesh.battery_mv[place])
        nodes.append(LinkStat(
            index=index, level=int(mesh.level[place]), parent=max(0, int(mesh.parent[place])),
            rssi_down=round(rssi), rssi_up=round(rssi - 1.5), delivery=round(1000 * float(mesh.delivery[place])),
            travel_ms=round(1000 * float(mesh.travel_s[place])),
            relayed=min(65535, round(int(mesh.relayed_a_day[place]) * day_share)),
            battery_idle_mv=round(battery), battery_load_mv=round(battery - 110), heard=heard(index),
            alternatives=tuple(
                Alternative(parent, round(level_dbm), round(1000 * odds))
                for parent, level_dbm, odds in mesh.alternatives(place, ALTERNATIVES)
            ),
            parent_changes=changes.get(index, 0), noise=floor, clock_offset_ms=round(1000 * float(offsets[place])),
        ))
    parts = pages(nodes, max_frame, STAT)
    return tuple(LinkStats(number, len(parts), int(now), part) for number, part in enumerate(parts))


def overheard(strangers: Iterable[Stranger], now: float, max_frame: int) -> tuple[Overheard, ...]:
    """Whom the modules hear that are not of this subnet; who is silent keeps the time when he was last heard."""
    told = []
    for one in strangers:
        if one.heard_now(now):
            one.heard = int(now)
        if one.heard:
            told.append(Neighbour(one.eui, one.heard, round(one.rssi), one.by, 24, one.link_id))
    parts = pages(told, max_frame)
    return tuple(Overheard(number, len(parts), int(now), part) for number, part in enumerate(parts))


def strangers(
    rssi: Floats, mine: Sequence[int], theirs: Sequence[tuple[int, int]], sensitivity: float,
    heard_now: Callable[[int, float], bool],
) -> tuple[Stranger, ...]:
    """
    Return who of another subnet is heard in this one.

    Parameters
    ----------
    rssi : ndarray of float64, shape (n, m)
        What arrives of each of theirs at each of mine. [dBm]
    mine : sequence of int, length n
        Subnet indices.
    theirs : sequence of (int, int), length m
        EUI and link id.
    sensitivity : float
        Below it nothing is heard. [dBm]
    heard_now : callable
        Whether a module, by EUI, sends at a site time.
    """
    best = rssi.argmax(axis=0)
    return tuple(
        Stranger(eui, link, float(rssi[best[column], column]), mine[int(best[column])],
                 lambda now, eui=eui: heard_now(eui, now))      # type: ignore[misc]
        for column, (eui, link) in enumerate(theirs) if np.max(rssi[:, column]) >= sensitivity
    )
