"""Which hours are held: a bit for each hour of a UTC day, per slot and day, so that what is missing is found by masks.

Bit h of a word is the hour h of the day. A day that nobody delivered anything of takes no memory; a day of a million
channels takes 4 MB. Hours that came in parts (two blocks that share an hour of quarter-hours) count from the next start.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import DAY_H
from scada.intervals import HOURLY, MISSING

WHOLE: Final = np.uint32((1 << DAY_H) - 1)
_WEIGHTS: Final = (np.uint32(1) << np.arange(DAY_H, dtype=np.uint32)).astype(np.uint32)
_ROOM: Final = 16_384                   # a day's room for slots is a multiple of this

Words = NDArray[np.uint32]
Slots = NDArray[np.int64]


class Coverage:
    """The hours held of the last `days` days; what is older is forgotten, what lies ahead of tomorrow is not kept."""

    def __init__(self, days: int) -> None:
        self.days = days
        self.newest = 0                                     # day that is running [days since 1970]
        self._held: dict[int, Words] = {}                   # day -> word by slot

    @property
    def oldest(self) -> int:
        return self.newest - self.days + 1

    def advance(self, day: int) -> None:
        """The day `day` is running; a clock that went back drops nothing."""
        self.newest = max(self.newest, day)
        for old in [one for one in self._held if one < self.oldest]:
            del self._held[old]

    def enter(self, slots: Slots, first: int, counts: NDArray[np.int64], interval_s: int = HOURLY) -> None:
        """(n, h) pulses that are durable now, from interval number `first` on."""
        present = counts != MISSING
        per_hour = HOURLY // interval_s
        if per_hour > 1:
            skip = -first % per_hour                        # an hour that began in another block is not whole here
            first, present = first + skip, present[:, skip:]
            present = present[:, : present.shape[1] // per_hour * per_hour]
            present = present.reshape(len(slots), -1, per_hour).all(axis=2)
            first //= per_hour
        done = 0
        while done < present.shape[1]:
            day, hour = divmod(first + done, DAY_H)
            upto = min(done + DAY_H - hour, present.shape[1])
            if self.oldest <= day <= self.newest + 1:
                words = present[:, done:upto].astype(np.uint32) @ _WEIGHTS[hour:hour + upto - done]
                np.bitwise_or.at(self._day(day, int(slots.max(initial=-1))), slots, words)
            done = upto

    def held(self, slots: Slots, first_day: int, days: int) -> Words:
        """(days, n) words; nothing is held of a slot of -1."""
        found = np.zeros((days, len(slots)), dtype=np.uint32)
        for row in range(days):
            words = self._held.get(first_day + row)
            if words is not None:
                inside = (slots >= 0) & (slots < len(words))
                found[row, inside] = words[slots[inside]]
        return found

    @property
    def nbytes(self) -> int:
        return sum(words.nbytes for words in self._held.values())

    def _day(self, day: int, slot: int) -> Words:
        words = self._held.get(day)
        if words is None or len(words) <= slot:
            grown = np.zeros((slot + slot // 8) // _ROOM * _ROOM + _ROOM, dtype=np.uint32)
            if words is not None:
                grown[: len(words)] = words
            words = self._held[day] = grown
        return words


def first_held(held: Words, first_day: int) -> NDArray[np.int64]:
    """The first hour held of each channel, from `Coverage.held`; -1 where there is none. [h since 1970]"""
    some = held != 0
    row = some.argmax(axis=0)
    words = held[row, np.arange(held.shape[1])].astype(np.int64)
    bit = np.log2(np.maximum(words & -words, 1)).astype(np.int64)
    return np.where(some.any(axis=0), (first_day + row) * DAY_H + bit, -1)


def expected(since: NDArray[np.int64], until: int | NDArray[np.int64], first_day: int, days: int) -> Words:
    """(days, n) hours of each channel in [since, until)."""
    starts = (first_day + np.arange(days, dtype=np.int64))[:, None] * DAY_H
    low = np.clip(since[None, :] - starts, 0, DAY_H)
    high = np.clip(until - starts, 0, DAY_H)
    ones = np.int64(1)
    words: Words = (((ones << high) - 1) & ~((ones << low) - 1)).astype(np.uint32)
    return words


def hours_in(words: Words) -> int:
    """Channel-hours in some words."""
    return int(np.bitwise_count(words).sum(dtype=np.int64))


def as_hours(words: Words) -> NDArray[np.bool_]:
    """(days, n) words -> (n, 24 days) hours."""
    parts = np.ascontiguousarray(words.T.astype("<u4")).view(np.uint8).reshape(words.shape[1], len(words), 4)
    bits = np.unpackbits(parts, axis=2, bitorder="little")[:, :, :DAY_H]
    return bits.reshape(words.shape[1], -1).astype(np.bool_)
