"""Radio network (0x50): who relays through whom, and how well."""

from typing import Annotated

import attrs

from scada.drivers.dmesh.messages.base import (
    NONE,
    U8,
    U16,
    U32,
    U64,
    Bitmap,
    Dbm,
    Index,
    Level,
    Message,
    Parent,
    Seconds,
    numbered,
)
from scada.drivers.dmesh.numbers import MAX_MODULES, Type
from scada.drivers.dmesh.wire import Int, Many


@attrs.frozen
class TopologyNode:
    index: Annotated[Index, 0]
    parent: Annotated[Parent, 1]
    level: Annotated[Level, 2]


@numbered(Type.TOPOLOGY)
@attrs.frozen
class Topology(Message):
    generation: Annotated[U32, 0]                                       # of the tree
    page: Annotated[U8, 1]
    pages: Annotated[U8, 2]
    time: Annotated[Seconds, 3]
    nodes: Annotated[tuple[TopologyNode, ...], Many(TopologyNode, MAX_MODULES), 4]


@attrs.frozen
class Alternative:
    """A parent that a module would take if it lost its own."""

    parent: Annotated[Parent, 0]
    rssi: Annotated[Dbm, 1]                                             # mean at the module
    delivery: Annotated[int, Int(0, 1000), 2]                           # per mille, as far as it was tried


@attrs.frozen
class LinkStat:
    index: Annotated[Index, 0]
    level: Annotated[Level, 1]
    parent: Annotated[Parent, 2]
    rssi_down: Annotated[Dbm, 3]                                        # mean at the module
    rssi_up: Annotated[Dbm, 4]                                          # mean at its parent
    delivery: Annotated[int, Int(0, 1000), 5]                           # per mille of packets delivered
    travel_ms: Annotated[U32, 6]                                        # mean, to the concentrator
    relayed: Annotated[U16, 7]                                          # packets today
    battery_idle_mv: Annotated[U16, 8]
    battery_load_mv: Annotated[U16, 9]
    heard: Annotated[Seconds, 10]
    clock_offset_ms: Annotated[int, Int(-(2**31), 2**31 - 1), 11] = 0
    alternatives: Annotated[tuple[Alternative, ...], Many(Alternative, 8), 12] = ()     # best first
    parent_changes: Annotated[U16, 13] = 0                              # today
    relay_budget: Annotated[U16, 14] = 0                                # packets a day its battery allows; 0: not said
    noise: Annotated[Dbm, 15] = 0                                       # floor at the module; 0: not measured
    failed: Annotated[U16, 16] = 0                                      # packets given up today, after all tries


@numbered(Type.LINK_STATS)
@attrs.frozen
class LinkStats(Message):
    page: Annotated[U8, 0]
    pages: Annotated[U8, 1]
    time: Annotated[Seconds, 2]
    nodes: Annotated[tuple[LinkStat, ...], Many(LinkStat, MAX_MODULES), 3]


@numbered(Type.GET_TOPOLOGY)
@attrs.frozen
class GetTopology(Message):
    page: Annotated[U8, 0] = 0


@numbered(Type.TOPOLOGY_DELTA)
@attrs.frozen
class TopologyDelta(Message):
    """What changed between two generations of the tree; who does not hold `base` asks for the whole."""

    base: Annotated[U32, 0]
    generation: Annotated[U32, 1]
    time: Annotated[Seconds, 2]
    nodes: Annotated[tuple[TopologyNode, ...], Many(TopologyNode, MAX_MODULES), 3]  # new, or with another parent or level
    gone: Annotated[Bitmap, 4] = NONE                                   # not in the tree any more


@attrs.frozen
class Neighbour:
    """A module of somebody else's subnet that this one hears."""

    eui: Annotated[U64, 0]
    heard: Annotated[Seconds, 1]                                        # last
    rssi: Annotated[Dbm, 2]                                             # mean
    by: Annotated[Parent, 3] = 0                                        # who hears it best here; 0: the concentrator
    packets: Annotated[U16, 4] = 0                                      # today
    network: Annotated[U32, 5] = 0                                      # link id it belongs to, if its packets say so


@numbered(Type.OVERHEARD)
@attrs.frozen
class Overheard(Message):
    """Where subnets overlap: what could be taken over, and what disturbs."""

    page: Annotated[U8, 0]
    pages: Annotated[U8, 1]
    time: Annotated[Seconds, 2]
    neighbours: Annotated[tuple[Neighbour, ...], Many(Neighbour, MAX_MODULES), 3]
