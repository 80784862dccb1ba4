"""Follows the registers that feed balance groups, and notes where each stood when a full hour went by."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing import edges as register_edges
from scada.balancing.rates import rates_of
from scada.balancing.register import Edges, Rates
from scada.ports import ResultTable
from scada.site import Directory
from scada.site_groups import parents
from scada.tags import BAD, Batch, Device, tag_id

MOST_WAITING: Final = 10_000            # edges; what is lost by it is found again in the register's history
Reading = tuple[int, float]             # (at [ns], reading)


@attrs.frozen
class Feed:
    """The register that feeds some groups, and where it stands in the batches of its meter."""

    tag: str
    position: int
    groups: tuple[str, ...]
    rates: Rates


def feeds_of(directory: Directory, devices: Mapping[str, Device]) -> dict[str, list[Feed]]:
    """Return where the feeds of all groups stand in the batches of their meters, by device."""
    names = dict.fromkeys(tag.partition("/")[0] for tag in directory.groups_of_feed)
    found = {name: feeds_at(directory, devices[name]) for name in names if name in devices}
    return {name: feeds for name, feeds in found.items() if feeds}


def feeds_at(directory: Directory, meter: Device) -> list[Feed]:
    """Return the feeds among the tags of one device."""
    found = []
    for position, point in enumerate(meter.points):
        tag = tag_id(meter.name, point)
        if groups := directory.groups_of_feed.get(tag):
            fed = {name for group in groups for name in (group.name, *parents(directory, group.name))}
            found.append(Feed(tag, position, tuple(sorted(fed)), rates_of(directory, {meter.name: meter}, tag)))
    return found


class Feeds:
    """`due` is told the hours of a group that an edge has made computable."""

    def __init__(self, due: Callable[[str, NDArray[np.int64]], None], poke: Callable[[], None]) -> None:
        self._due, self._poke = due, poke
        self._feeds: dict[str, list[Feed]] = {}             # by device
        self._last: dict[str, Reading] = {}                 # by tag
        self._first: dict[str, tuple[Feed, Reading]] = {}   # by tag, since the start; to be joined to what was before it
        self._edges: deque[tuple[str, ResultTable]] = deque(maxlen=MOST_WAITING)

    def use(self, found: Mapping[str, list[Feed]]) -> None:
        """These are the feeds of all groups, by the device whose batches bring them."""
        self._feeds = dict(found)

    def device_added(self, directory: Directory, meter: Device) -> None:
        """A meter is new, or has other tags than before."""
        if found := feeds_at(directory, meter):
            self._feeds[meter.name] = found
        else:
            self._feeds.pop(meter.name, None)

    def readings(self, batches: Sequence[Batch]) -> None:
        """Readings as they pass by on the bus."""
        for batch in batches:
            for feed in self._feeds.get(batch.device, ()):
                if batch.quality[feed.position] < BAD and np.isfinite(batch.values[feed.position]):
                    self._reading(feed, (batch.at, float(batch.values[feed.position])))

    async def join_history(self, newest_before: Callable[[str, int], Awaitable[Reading | None]]) -> None:
        """The hours between the last reading before a restart and the first one after it."""
        while self._first:
            tag, (feed, first) = next(iter(self._first.items()))
            before = await newest_before(tag, first[0])
            del self._first[tag]
            if before is not None:
                self._crossing(feed, before, first)

    async def keep_edges(self, put: Callable[[str, ResultTable], Awaitable[None]]) -> None:
        """Store the edges, by tag; one whose storing fails stays for the next time."""
        while self._edges:
            tag, table = self._edges.popleft()
            try:
                await put(tag, table)
            except Exception:
                self._edges.appendleft((tag, table))
                raise

    def _reading(self, feed: Feed, reading: Reading) -> None:
        last = self._last.get(feed.tag)
        if last is None:                                    # what was before the start is in the history
            self._first[feed.tag] = feed, reading
            self._poke()
        elif reading[0] < last[0]:
            return                                          # a clock was set back: wait until it has caught up
        else:
            self._crossing(feed, last, reading)
        self._last[feed.tag] = reading

    def _crossing(self, feed: Feed, earlier: Reading, later: Reading) -> None:
        """If a full hour lies between two readings, its edge is known now and the hours beside it are due."""
        crossing = register_edges.crossed(*earlier, *later, feed.rates)
        if crossing is None:
            return
        hours, edges = crossing
        known = ~np.isnan(edges.reading)
        if known.any():
            kept = Edges(edges.reading[known], edges.doubt[known])
            self._edges.append((feed.tag, register_edges.as_table(hours[known], kept)))
        for group in feed.groups:
            self._due(group, np.arange(hours[0] - 1, hours[-1] + 1, dtype=np.int64))
        self._poke()
