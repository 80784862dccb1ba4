"""Many live tags at one instant: the newest sample of each at or before it, from the hot log and the chunks."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.historian.database import ReadPool
from scada.historian.samples import Samples, decode
from scada.series import Instant
from scada.tags import Quality

HOUR_NS: Final = HOUR_S * NS
AT_ONCE: Final = 500                    # names or numbers in one statement


class Newest:
    """The newest sample in [first, last] found so far of each of n tags, by their numbers; -1 is no tag."""

    def __init__(self, numbers: NDArray[np.int64], first: int, last: int) -> None:
        self._numbers, self._first, self._last = numbers, first, last
        self.at = np.zeros(len(numbers), np.int64)
        self.values = np.full(len(numbers), np.nan)
        self.quality = np.full(len(numbers), Quality.BAD_WAITING, np.uint8)
        self.damaged = 0

    def take(self, n: int, crc: int, blob: bytes) -> None:
        """Look through a blob of samples; what is as old as what is known does not replace it."""
        try:
            samples = decode(n, crc, blob)
        except ValueError:
            self.damaged += 1                           # what else there is still counts
            return
        found = samples.take((samples.at >= self._first) & (samples.at <= self._last) & np.isin(samples.tag, self._numbers))
        if len(found):
            found = found.take(np.lexsort((found.at, found.tag)))
            self._adopt(found.take(np.append(found.tag[1:] != found.tag[:-1], True)))

    def _adopt(self, newest: Samples) -> None:
        """One sample a tag, in the order of their numbers."""
        place = np.searchsorted(newest.tag, self._numbers).clip(max=len(newest) - 1)
        better = (newest.tag[place] == self._numbers) & (newest.at[place] > self.at)
        chosen = newest.take(place[better])
        self.at[better], self.values[better], self.quality[better] = chosen.at, chosen.values, chosen.quality

    def older_than(self, at: int) -> list[int]:
        """Numbers of the tags of which nothing as new as `at` is known."""
        numbers: list[int] = np.unique(self._numbers[(self._numbers > 0) & (self.at < at)]).tolist()
        return numbers


def at_instant(
    hot: Path, month: Callable[[int], Path], pool: ReadPool, tags: Sequence[str], instant: int, back: int
) -> tuple[Instant, int]:
    """
    Look tags up at an instant.

    Parameters
    ----------
    hot : Path
        The hot log.
    month : callable
        Month file of an hour [h since 1970].
    pool : ReadPool
        Connections to them.
    tags : sequence of str, length n
        Names; one that was never kept is BAD_WAITING.
    instant, back : int
        When, and how old a sample may be. [ns since 1970], [ns]

    Returns
    -------
    found : Instant
        In the order of `tags`.
    damaged : int
        Blobs whose bytes are not what was written.
    """
    first = instant - back
    with pool.reading(hot) as database:
        known = dict(_numbers(database, tags)) if database is not None else {}
        newest = Newest(np.array([known.get(tag, -1) for tag in tags], np.int64), first, instant)
        if database is not None and known:
            for row in database.execute(
                "SELECT n, crc, samples FROM hot WHERE last >= ? AND first <= ? ORDER BY number", (first, instant)
            ):
                newest.take(*row)
    for hour in range(instant // HOUR_NS, first // HOUR_NS - 1, -1):
        wanted = newest.older_than((hour + 1) * HOUR_NS)
        if not wanted:
            break
        with pool.reading(month(hour)) as database:
            for row in _chunks(database, hour, wanted) if database is not None else ():
                newest.take(*row)
    return Instant(newest.at, newest.values, newest.quality), newest.damaged


def _numbers(database: sqlite3.Connection, tags: Sequence[str]) -> Iterator[tuple[str, int]]:
    for start in range(0, len(tags), AT_ONCE):
        part = tags[start:start + AT_ONCE]
        yield from database.execute(f"SELECT name, number FROM tag WHERE name IN ({','.join('?' * len(part))})", part)


def _chunks(database: sqlite3.Connection, hour: int, numbers: list[int]) -> Iterator[tuple[int, int, bytes]]:
    for start in range(0, len(numbers), AT_ONCE):
        part = numbers[start:start + AT_ONCE]
        yield from database.execute(
            f"SELECT n, crc, samples FROM chunk WHERE hour = ? AND tag IN ({','.join('?' * len(part))})", (hour, *part)
        )
