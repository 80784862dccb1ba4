"""Permanent integer slots of channels: contiguous per concentrator, found for whole arrays at once.

A slot is allotted on first sight of an (EUI, channel) and never again given to another. Each concentrator fills
ranges of 768 slots (240 modules x 3 channels, rounded up to whole blocks of 256), so that its channels share blocks.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.arrays import distinct
from scada.intervals import IntervalBatch

RANGE: Final = 768
UNKNOWN: Final = -1
_RECENT: Final = 4096                               # new channels gather here before they become a table of their own
_RATIO: Final = 4                                   # a table is at least so much larger than the one behind it

Slots = NDArray[np.int64]
Euis = NDArray[np.uint64]
Channels = NDArray[np.uint8]


class _Table:
    """Immutable sorted look-up; replaced as a whole, so readers in other threads need no lock."""

    def __init__(self, eui: Euis, channel: Channels, slots: Slots) -> None:
        self.eui, self.channel, self.slots = eui, channel, slots
        self._euis, rank = np.unique(eui, return_inverse=True)
        key = rank.astype(np.int64) * 256 + channel
        order = np.argsort(key, kind="stable")
        self._keys, self._slots = key[order], slots[order]

    def find(self, eui: Euis, channel: Channels) -> Slots:
        if not len(self._keys):
            return np.full(len(eui), UNKNOWN, dtype=np.int64)
        rank = np.minimum(np.searchsorted(self._euis, eui), len(self._euis) - 1)
        key = rank.astype(np.int64) * 256 + channel
        place = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        known = (self._euis[rank] == eui) & (self._keys[place] == key)
        return np.where(known, self._slots[place], UNKNOWN)


_EMPTY: Final = _Table(np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.int64))


class SlotBook:
    """Every slot ever allotted. One thread allots; any thread looks up."""

    def __init__(self) -> None:
        # Large to small, the last one recent: so every channel is sorted anew a few times only, however many there are.
        self._tables: tuple[_Table, ...] = (_EMPTY,)
        self._eui = np.zeros(0, np.uint64)                          # by slot
        self._channel = np.zeros(0, np.uint8)
        self._used = np.zeros(0, np.bool_)
        self._room: dict[int, list[int]] = {}                       # link -> free slots of its last range, next one last
        self._ranges = 0
        self._owner: dict[int, int] = {}                            # range -> link

    def __len__(self) -> int:
        return sum(len(table.slots) for table in self._tables)

    @property
    def bound(self) -> int:
        """Every slot is below this number. Any thread."""
        return len(self._used)

    def find(self, eui: Euis, channel: Channels) -> Slots:
        """Slots of channels, -1 where never seen. Any thread."""
        first, *others = self._tables
        found = first.find(eui, channel)
        for table in others:
            if len(table.slots) and (found < 0).any():
                found = np.where(found < 0, table.find(eui, channel), found)
        return found

    def channels(self, slots: Slots) -> tuple[Euis, Channels]:
        """The way back; raises `KeyError` for a slot nobody was given. Any thread."""
        euis, channels, used = self._eui, self._channel, self._used
        if len(slots) and (slots.min() < 0 or slots.max() >= len(used) or not used[slots].all()):
            raise KeyError("no channel has such a slot")
        return euis[slots], channels[slots]

    def known(self, slots: Slots) -> NDArray[np.bool_]:
        """Whether each slot was given to a channel. Any thread."""
        used = self._used
        inside = (slots >= 0) & (slots < len(used))
        return inside & used[np.where(inside, slots, 0)] if len(used) else inside

    def allot(self, link_id: int, eui: Euis, channel: Channels) -> Slots:
        """Slots of a concentrator's channels, new ones where needed."""
        return self._allot(np.full(len(eui), link_id), eui, channel)

    def allot_many(self, batches: Sequence[tuple[NDArray[np.int64], Euis, Channels]]) -> list[Slots]:
        """Slots of the channels of many batches (links, EUIs, channels), found together; new ones where needed."""
        links, euis, channels = (np.concatenate(column) for column in zip(*batches, strict=True))
        ends = np.cumsum([len(one) for one, _, _ in batches])
        return np.split(self._allot(links, euis, channels), ends[:-1])

    def adopt_batch(self, batch: IntervalBatch, slots: Slots) -> Slots:
        """`adopt` for the channels of many concentrators."""
        end, adopted = 0, []
        for source, size in zip(batch.provenance, batch.sizes.tolist(), strict=True):
            rows, end = slice(end, end + size), end + size
            adopted.append(self.adopt(source.link_id, batch.eui[rows], batch.channel[rows], slots[rows]))
        return np.concatenate(adopted) if adopted else slots

    def adopt(self, link_id: int, eui: Euis, channel: Channels, slots: Slots) -> Slots:
        """Enter slots that were allotted in an earlier life; what is known already stays as it is."""
        found = self.find(eui, channel)
        new = np.flatnonzero((found < 0) & ~self.known(slots))
        if len(new):
            unique, first = np.unique(slots[new], return_index=True)
            new = new[first]
            for one in distinct(unique // RANGE).tolist():
                self._owner.setdefault(one, link_id)
            self._enter(eui[new], channel[new], slots[new])
            self._ranges = max(self._ranges, int(slots.max()) // RANGE + 1)
            self._room.clear()
        return np.where(found < 0, slots, found)

    # ------------------------------------------------------------------ private
    def _allot(self, links: NDArray[np.int64], eui: Euis, channel: Channels) -> Slots:
        slots = self.find(eui, channel)
        new = np.flatnonzero(slots < 0)
        if len(new):
            ranked = np.unique(eui[new], return_inverse=True)[1].reshape(-1) * 256 + channel[new]
            _, first, inverse = np.unique(ranked, return_index=True, return_inverse=True)
            order = np.argsort(first)                               # in the order they were named
            given = np.empty(len(first), dtype=np.int64)
            owners, of_owner = np.unique(links[new][first[order]], return_inverse=True)
            for number, link in enumerate(owners.tolist()):
                places = order[of_owner == number]
                given[places] = self._take(link, len(places))
            slots[new] = given[inverse.reshape(-1)]
            self._enter(eui[new][first], channel[new][first], given)
        return slots

    def _take(self, link_id: int, count: int) -> list[int]:
        """The next slots of a concentrator."""
        room = self._room.get(link_id)
        if room is None:
            room = self._room[link_id] = self._free(link_id)
        while len(room) < count:                                    # the next one is last, so a new range goes before it
            self._owner[self._ranges] = link_id
            room[:0] = range((self._ranges + 1) * RANGE - 1, self._ranges * RANGE - 1, -1)
            self._ranges += 1
        taken = room[len(room) - count:]
        del room[len(room) - count:]
        return taken[::-1]

    def _free(self, link_id: int) -> list[int]:
        """Free slots of a concentrator's ranges, the lowest last; after a start they are worked out once."""
        free: list[int] = []
        for number in sorted((one for one, owner in self._owner.items() if owner == link_id), reverse=True):
            slots = np.arange((number + 1) * RANGE - 1, number * RANGE - 1, -1)
            free += slots[~self.known(slots)].tolist()
        return free

    def _enter(self, eui: Euis, channel: Channels, slots: Slots) -> None:
        size = int(slots.max()) + 1
        if size > len(self._used):
            grown = max(size, 2 * len(self._used))
            euis, channels, used = np.zeros(grown, np.uint64), np.zeros(grown, np.uint8), np.zeros(grown, np.bool_)
            old = len(self._used)
            euis[:old], channels[:old], used[:old] = self._eui, self._channel, self._used
            self._eui, self._channel, self._used = euis, channels, used
        self._eui[slots], self._channel[slots] = eui, channel
        self._used[slots] = True
        tables = [*self._tables[:-1], _joined(self._tables[-1], eui, channel, slots)]
        if len(tables[-1].slots) >= _RECENT:
            while len(tables) > 1 and len(tables[-2].slots) < _RATIO * len(tables[-1].slots):
                small = tables.pop()
                tables[-1] = _joined(tables[-1], small.eui, small.channel, small.slots)
            tables.append(_EMPTY)
        self._tables = tuple(tables)


def _joined(table: _Table, eui: Euis, channel: Channels, slots: Slots) -> _Table:
    return _Table(
        np.concatenate((table.eui, eui)), np.concatenate((table.channel, channel)), np.concatenate((table.slots, slots))
    )
