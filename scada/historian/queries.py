"""Questions about long ranges, answered a page at a time: in steps, or as a line to draw."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.historian import standing
from scada.historian.deadband import LONGEST_SILENCE
from scada.historian.downsample import buckets, resample, spacing, tally
from scada.historian.lttb import SPARE, extremes, line, with_silence
from scada.historian.tag_histories import EMPTY, chosen, joined, usable
from scada.ports import Consumption, GroupSums, LiveReader, Metering, TagHistory
from scada.series import Buckets, How, Instant, Line
from scada.tags import BAD, Quality

PAGE: Final = 100_000                   # samples read at once
FIRST_WINDOW_NS: Final = 24 * HOUR_S * NS
HOUR_NS: Final = HOUR_S * NS


class Queries:
    """Implements `ports.History`."""

    def __init__(self, live: LiveReader, metering: Metering) -> None:
        self._live, self._metering = live, metering

    def resample(self, name: str, edges: NDArray[np.int64], how: How) -> Buckets:
        if "/" in name:
            return tag_steps(self._live, name, edges, how)
        edges = hour_edges(edges)
        first, hours = int(edges[0]) // HOUR_NS, int(edges[-1] - edges[0]) // HOUR_NS
        return hour_steps(self._metering.hourly([name], first, hours), edges, how)

    def line(self, name: str, first: int, last: int, points: int, silence: int = 0) -> Line:
        if "/" in name:
            return tag_line(self._live, name, first, last, points, silence)
        start, hours = first // HOUR_NS, -(-last // HOUR_NS) - first // HOUR_NS
        found = self._metering.hourly([name], start, hours)
        at = (start + np.arange(hours, dtype=np.int64)) * HOUR_NS
        values, quality = usable(found.values[0], found.quality[0]), found.quality[0]
        shape = chosen(TagHistory(at, values, quality), line(at, values, points))
        share = float(np.isfinite(values).mean()) if hours else float("nan")
        return Line(shape.at, shape.values, shape.quality, hours, share)

    def registers(self, points: Sequence[str], hour: int, as_of: int | None = None) -> Instant:
        values = self._metering.register(points, hour, as_of)
        newest = self._metering.hourly(points, hour - 1, 1, as_of).quality[:, 0]
        known = np.isfinite(values)
        quality = np.where(newest < BAD, newest, Quality.UNCERTAIN_LAST_KNOWN)     # known, though its last hour is not
        return Instant(
            np.where(known, hour * HOUR_NS, 0), values, np.where(known, quality, Quality.BAD_WAITING).astype(np.uint8)
        )

    def group_sums(self, groups: Sequence[str], first_hour: int, hours: int, as_of: int | None = None) -> GroupSums:
        return self._metering.group_sums(groups, first_hour, hours, as_of)


def pages(live: LiveReader, name: str, first: int, last: int, most: int = PAGE) -> Iterator[TagHistory]:
    """
    Everything in [first, last), oldest first, less than `most` samples at a time.

    A reader gives the newest samples of what was asked: a page that is full may lack some, and is asked for in halves.
    """
    window = FIRST_WINDOW_NS
    while first < last:
        end = min(first + window, last)
        page = live.read(name, first, end, most)
        if len(page.at) >= most and end - first > 1:
            window = (end - first) // 2
            continue
        if len(page.at):
            yield page
        first = end
        if len(page.at) < most // 4:
            window *= 2


def tag_steps(live: LiveReader, tag: str, edges: NDArray[np.int64], how: How) -> Buckets:
    """A tag in steps; what can be expected of it is reckoned from the median distance of its samples.

    Of one that has had a dead-band each sample stands until the next (`standing`); that has no sum: `ValueError`.
    """
    before = _before(live, tag, int(edges[0]))
    if before.held is not None:
        return standing.steps(before, pages(live, tag, int(edges[0]), int(edges[-1])), edges, how)
    found = tally(EMPTY.at, EMPTY.values, EMPTY.quality, edges)
    distances = []
    for page in pages(live, tag, int(edges[0]), int(edges[-1])):
        found = found.then(tally(page.at, page.values, page.quality, edges))
        distances.append(spacing(page.at))
    return buckets(found, edges, how, _median(distances))


def hour_edges(edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges on whole hours, because hours cannot be divided; the last hour that was begun belongs to the range."""
    whole = edges // HOUR_NS * HOUR_NS
    whole[-1] = -(-edges[-1] // HOUR_NS) * HOUR_NS
    return np.unique(whole)


def hour_steps(found: Consumption, edges: NDArray[np.int64], how: How) -> Buckets:
    """Hours of one metering point in steps of whole hours."""
    at = (found.first_hour + np.arange(found.values.shape[1], dtype=np.int64)) * HOUR_NS
    return resample(at, found.values[0], found.quality[0], edges, how, HOUR_NS)


def tag_line(live: LiveReader, tag: str, first: int, last: int, points: int, silence: int = 0) -> Line:
    """A tag for drawing; a silence longer than `silence` [ns] breaks the line, 0 = none does.

    A dead-band says by itself how long its tag may be silent.
    """
    standing_in = _before(live, tag, first)
    if standing_in.held is not None:
        return standing.drawn(standing_in, pages(live, tag, first, last), first, last, points)
    kept = [EMPTY]
    distances = []
    samples = good = 0
    before: int | None = None
    for page in pages(live, tag, first, last):
        samples += len(page.at)
        distances.append(spacing(page.at))
        page = TagHistory(page.at, usable(page.values, page.quality), page.quality)
        good += int(np.isfinite(page.values).sum())
        following = page if before is None else TagHistory(
            np.insert(page.at, 0, before), np.insert(page.values, 0, np.nan), np.insert(page.quality, 0, 0)
        )
        broken = TagHistory(*with_silence(following.at, following.values, following.quality, silence))
        broken = broken if before is None else chosen(broken, slice(1, None))
        kept.append(chosen(broken, extremes(broken.values, points * SPARE)))
        before = int(page.at[-1])
    every = joined(kept)
    drawn = chosen(every, line(every.at, every.values, points))
    expected = (last - first) / period if (period := _median(distances)) > 0 else float("nan")
    return Line(drawn.at, drawn.values, drawn.quality, samples, min(good / expected, 1.0) if samples else 0.0)


def _before(live: LiveReader, tag: str, first: int) -> TagHistory:
    """The newest sample that may still stand at `first` [ns]; `held` tells of a dead-band also where there is none."""
    return live.read(tag, first - LONGEST_SILENCE, first, 1)


def _median(distances: list[float]) -> float:
    known = [one for one in distances if one == one]
    return float(np.median(known)) if known else float("nan")
