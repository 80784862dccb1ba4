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
from scada.tags import BAD, Batch, Device

MOST_WAITING: Final = 10_000            # edges; what is lost by it is found again in the register's history
Reading = tuple[int, float]             # (at [ns], reading)


@attrs.frozen
class Feed:
    """The register that feeds some groups, and where it stands in the batches of its meter."""

    tag: str
    position: int
    groups: tuple[str, ...]
    rates: Rates


class Feeds:
    """`due` is told the hours of a group that an edge has made computable."""

    def __init__(self, due: Callable[[str, NDArray[np.int64]], None], poke: Callable[[], None]) -> None:
        self._due, self._poke = due, poke
        self._feeds: dict[str, list[Feed]] = {}             # by device
        self._last: dict[str, Reading] = {}                 # by tag
        self._first: dict[str, tuple[Feed, Reading]] = {}   # by tag, since the start; to be joined to what was before it
        self._edges: deque[tuple[str, ResultTable]] = deque(maxlen=MOST_WAITING)

    def find(self, directory: Directory, devices: Mapping[str, Device]) -> None:
        """Where the feeds of all groups stand in the batches of their meters."""
        found: dict[str, list[Feed]] = {}
        fed: dict[str, set[str]] = {}                       # groups in whose balance each register counts
        for group in directory.site.balance_groups:
            if group.feed_tag:
                fed.setdefault(group.feed_tag, set()).update((group.name, *parents(directory, group.name)))
        for tag in sorted(fed):
            name, _, point = tag.partition("/")
            meter = devices.get(name)
            if meter is not None and point in meter.points:
                rates = rates_of(directory, devices, tag)
                found.setdefault(name, []).append(Feed(tag, meter.points.index(point), tuple(sorted(fed[tag])), rates))
        self._feeds = found

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
