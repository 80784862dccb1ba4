"""Live history as the rows of an export: month by month, by tag and time; the hot log and the chunks are one."""

import heapq
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from scada.clock import HOUR_S, NS
from scada.historian.database import DamagedFile, reading_once
from scada.historian.export_wanted import Rows, Wanted, month_of
from scada.historian.livefiles import HOT_FILE
from scada.historian.samples import Samples, decode, in_order, join

HOUR_NS: Final = HOUR_S * NS
Hour = tuple[int, int]                              # number of the tag, hour since 1970


def live_rows(directory: Path, wanted: Wanted) -> Iterator[Rows]:
    with reading_once(directory / HOT_FILE) as hot:
        if hot is None:
            return
        names = dict(hot.execute("SELECT number, name FROM tag"))
        waiting = in_order(join([
            part for number, *row in hot.execute("SELECT number, n, crc, samples FROM hot ORDER BY number")
            if (part := _decoded(wanted, row, f"{HOT_FILE}, row {number}")) is not None
        ]))
    fresh = _by_hour(waiting)
    paths = {path.name[len("live-"):-len(".sqlite")]: path for path in directory.glob("live-????-??.sqlite")}
    months = sorted({*paths, *(month_of(hour * HOUR_S) for _, hour in fresh)})
    for month in months:
        keys = sorted(key for key in fresh if month_of(key[1] * HOUR_S) == month)
        for samples in _of_month(wanted, paths.get(month), [(key, fresh[key]) for key in keys]):
            inside = (samples.at >= wanted.first * NS) & (samples.at < wanted.last * NS)
            part = samples.take(inside)
            named = np.array([tag in names for tag in np.unique(part.tag).tolist()], dtype=bool)
            if not named.all():                 # rolled since the hot log was read: the next export has them
                keep = np.isin(part.tag, np.unique(part.tag)[named])
                wanted.unnamed += int(len(part) - keep.sum())
                part = part.take(keep)
            if len(part):
                tags = np.array([names[one] for one in part.tag.tolist()], dtype=object)
                yield month, {"tag": tags, "at": part.at, "value": part.values, "quality": part.quality}

def _of_month(
    wanted: Wanted, path: Path | None, fresh: list[tuple[tuple[int, int], Samples]]
) -> Iterator[Samples]:
    """By tag and hour: the chunk of a month, and what the hot log has of the same hour."""
    def chunks() -> Iterator[tuple[tuple[int, int], Samples]]:
        if path is None:
            return
        try:
            with reading_once(path) as database:
                for tag, hour, *row in database.execute(
                    "SELECT tag, hour, n, crc, samples FROM chunk ORDER BY tag, hour"
                ) if database else ():
                    part = _decoded(wanted, row, f"{path.name}, tag {tag}, hour {hour}")
                    if part is not None:
                        yield (tag, hour), part
        except DamagedFile as error:
            wanted.damaged.append(str(error))

    merged = heapq.merge(chunks(), fresh, key=lambda one: one[0])
    for _, same in itertools.groupby(merged, key=lambda one: one[0]):
        yield in_order(join([part for _, part in same]))

def _decoded(wanted: Wanted, row: list[Any], place: str) -> Samples | None:
    try:
        return decode(row[0], row[1], row[2])
    except ValueError as error:
        wanted.damaged.append(f"{place}: {error}")
        return None


def _by_hour(samples: Samples) -> dict[Hour, Samples]:
    if not len(samples):
        return {}
    hours = samples.at // HOUR_NS
    edges = np.flatnonzero((np.diff(samples.tag) != 0) | (np.diff(hours) != 0)) + 1
    starts, ends = [0, *edges.tolist()], [*edges.tolist(), len(samples)]
    return {
        (int(samples.tag[start]), int(hours[start])): samples.take(slice(start, end))
        for start, end in zip(starts, ends, strict=True)
    }
