"""What a register brought by hour and by day: from its readings at full hours as stored, else its history. Blocking."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing import edges as register_edges
from scada.balancing.rates import rates_of
from scada.balancing.register import Edges, Feed, Rates, broken, feed_between
from scada.clock import HOUR_S
from scada.ports import LiveReader, ResultStore, ResultTable
from scada.site import Directory
from scada.tags import Device

MOST_IN_VAIN: Final = 10_000
Found: TypeAlias = tuple[str, ResultTable]      # (tag, readings found in history)


@attrs.frozen(eq=False)
class Registers:
    """Where registers are read, and which hours were looked for in vain."""

    live: LiveReader
    results: ResultStore
    devices: Callable[[], Mapping[str, Device]]
    in_vain: dict[str, set[int]] = attrs.field(factory=dict)   # edges their tag's history does not know, by tag


def stored_edges(stores: Registers, tags: Sequence[str], first: int, count: int) -> dict[str, ResultTable]:
    """Of each tag what is stored of `count` full hours from `first` on."""
    begin = first * HOUR_S
    found = stores.results.get_many(register_edges.KIND, tags, HOUR_S, begin, begin + count * HOUR_S)
    return {tag: found.of(place) for place, tag in enumerate(tags)}


def register_feed(
    stores: Registers, directory: Directory, tag: str, first: int, days: NDArray[np.int64], hour_now: int,
    stored: Mapping[str, ResultTable],
) -> tuple[Feed, Feed, list[Found]]:
    """What a register brought by hour and by day, and edges that had to be looked up."""
    count = int(days[-1])
    rates = rates_of(directory, stores.devices(), tag)
    edges, looked_up = _edges(stores, tag, first, count + 1, hour_now, rates, stored)
    start, end = Edges(edges.reading[:-1], edges.doubt[:-1]), Edges(edges.reading[1:], edges.doubt[1:])
    midnight = Edges(edges.reading[days], edges.doubt[days])
    day_start = Edges(midnight.reading[:-1], midnight.doubt[:-1])
    day_end = Edges(midnight.reading[1:], midnight.doubt[1:])
    by_hour = feed_between(start, end, np.ones(count, dtype=np.int64), rates)
    by_day = feed_between(day_start, day_end, np.diff(days), rates)
    by_day.energy[broken(edges, days, rates)] = np.nan     # a day in which the register began anew has no feed
    return by_hour, by_day, looked_up


def _edges(
    stores: Registers, tag: str, first: int, count: int, hour_now: int, rates: Rates, stored: Mapping[str, ResultTable]
) -> tuple[Edges, list[Found]]:
    """The register at full hours: as stored, else as its history tells; all NaN for a group without a feed."""
    if not tag:
        return Edges(np.full(count, np.nan), np.full(count, np.nan)), []
    edges = register_edges.filled(stored[tag], first, count)
    hours = first + np.flatnonzero(np.isnan(edges.reading))
    hours = _not_in_vain(stores, tag, hours[hours < hour_now])
    hours, found = register_edges.search(stores.live, tag, hours, rates)
    stores.in_vain[tag].difference_update(hours.tolist())
    if not len(hours):
        return edges, []
    edges.reading[hours - first], edges.doubt[hours - first] = found.reading, found.doubt
    return edges, [(tag, register_edges.as_table(hours, found))]


def _not_in_vain(stores: Registers, tag: str, hours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges worth a search: history is looked through once for each; readings that come later tell of themselves."""
    known = stores.in_vain.setdefault(tag, set())
    if len(known) > MOST_IN_VAIN:
        known.clear()
    worth = [hour for hour in hours.tolist() if hour not in known]
    known.update(worth)
    return np.array(worth, dtype=np.int64)
