"""Completeness below and across concentrators: of balance groups, and of the modules that are not complete. Pure.

A group is looked at like a concentrator, over the channels of its meters while they hang there. A module has tags of its
own only from when an hour of it lacks: of millions of modules most are complete, and say so by having none.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.drivers.dmesh.collection import PERIODS, Channels, Picture, look
from scada.drivers.dmesh.coverage import Coverage, Words, expected
from scada.drivers.dmesh.gaps import SIZE
from scada.drivers.dmesh.owing import NOTHING
from scada.ports import IntervalReader
from scada.site import IN_SERVICE, BalanceGroup, Directory
from scada.site_groups import points_of
from scada.tags import TagDef

MODULE_TAGS: Final = (
    TagDef("held_yesterday", "%", "Hours held of yesterday", 0, 100, digits=1),
    TagDef("held_7_days", "%", "Hours held of the last 7 days", 0, 100, digits=1),
    TagDef("missing", "h", "Hours of channels that are missing and still asked for", digits=0),
    TagDef("given_up", "h", "Hours of channels given up in the last week", digits=0),
)
FOREVER: Final = 2**31                  # h: of a meter that still hangs there


@attrs.frozen(eq=False)
class GroupChannels:
    """The channels of a group's meters, and when each was one."""

    channels: Channels                  # `index` is the place of the metering point in the group
    begin: NDArray[np.int64]            # (n,) h since 1970
    end: NDArray[np.int64]


def channels_of_group(directory: Directory, group: BalanceGroup) -> GroupChannels:
    """Members and feed, as far as they are metering points."""
    points = (*points_of(directory, group), *filter(None, [group.feed_point]))
    rows = [
        (place, one.eui, one.channel, one.valid_from, FOREVER if one.valid_to is None else one.valid_to)
        for place, point in enumerate(points) for one in directory.meters_of_point.get(point, ())
    ]
    column = list(zip(*rows, strict=True)) if rows else [()] * 5
    return GroupChannels(
        Channels(np.array(column[0], dtype=np.int64), np.array(column[1], dtype=np.uint64),
                 np.array(column[2], dtype=np.uint8), np.full(len(rows), NOTHING)),
        np.array(column[3], dtype=np.int64), np.array(column[4], dtype=np.int64),
    )


def there(group: GroupChannels, directory: Directory) -> NDArray[np.uint64]:
    """Modules of the group that are in service: they owe their hours, whether any concentrator lists them or not."""
    modules = map(directory.module_of_eui.get, group.channels.eui.tolist())
    return np.array([one.eui for one in modules if one is not None and one.state in IN_SERVICE], dtype=np.uint64)


def since(group: GroupChannels, hours: NDArray[np.int64]) -> GroupChannels:
    """The group when each of its modules owes something from these hours on, and while its meter hangs there."""
    return attrs.evolve(group, channels=attrs.evolve(group.channels, since=hours))


def look_at_group(
    group: GroupChannels, reader: IntervalReader, coverage: Coverage, due: int, depth: int, edges: tuple[int, ...]
) -> Picture:
    """As `collection.look`, with each channel due only while its meter hangs there."""
    slots = reader.slots(group.channels.eui, group.channels.channel)
    return look(group.channels, slots, coverage, due, depth, edges, (group.begin, group.end))


@attrs.frozen(eq=False)
class OfModules:
    """Channel-hours of each module, by subnet index."""

    due: NDArray[np.int64]              # (4, 241) of today, yesterday, 7 and 30 days
    lack: NDArray[np.int64]             # (4, 241)
    missing: NDArray[np.int64]          # (241,) still asked for
    given_up: NDArray[np.int64]         # (241,)

    def values(self, index: int) -> NDArray[np.float64]:
        """Of `MODULE_TAGS`."""
        due, lack = self.due[1:3, index], self.lack[1:3, index]
        held = np.where(due > 0, 100 * (1 - lack / np.maximum(due, 1)), np.nan)
        return np.array([*held, self.missing[index], self.given_up[index]], dtype=np.float64)

    @property
    def incomplete(self) -> NDArray[np.int64]:
        """Subnet indices of modules that lack an hour."""
        found: NDArray[np.int64] = np.flatnonzero(self.missing + self.given_up)
        return found


def of_modules(picture: Picture, depth: int) -> OfModules:
    """A picture's hours by module."""
    index, days = picture.channels.index, len(picture.lack)
    kept = max(0, days - 1 - depth)
    due, lack = [], []
    for period in PERIODS:
        first, end = picture.edges[:-1][period][0], picture.edges[1:][period][-1]
        mask = expected(np.array([first], dtype=np.int64), end, picture.first_day, days)
        due.append(_sums(picture.should & mask, index))
        lack.append(_sums(picture.lack & mask, index))
    return OfModules(
        np.array(due), np.array(lack), _sums(picture.lack[kept:], index), _sums(picture.lack[:kept], index)
    )


def _sums(words: Words, index: NDArray[np.int64]) -> NDArray[np.int64]:
    of_channel = np.bitwise_count(words).sum(axis=0, dtype=np.int64)
    return np.bincount(index, weights=of_channel, minlength=SIZE).astype(np.int64)
