"""Tags with a dead-band: what was left out is what the sample before said, so each sample stands until the next one. Pure.

It stands no longer than the dead-band may be silent: beyond that the tag was gone, and nobody knows. A bad sample ends what
stood before it, and stands itself. Long ranges come in parts, as `TagHistory` with `held`.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.historian.downsample import Tally, buckets, spacing, tally
from scada.historian.lttb import SPARE, extremes, line
from scada.historian.tag_histories import EMPTY, chosen, joined, usable
from scada.ports import TagHistory
from scada.series import Buckets, How, Line
from scada.tags import BAD, Quality

CORNER_NS: Final = 1_000_000            # a line stays level until so shortly before the next sample
_NONE: Final = attrs.evolve(EMPTY, held=np.empty(0, np.int64))


def steps(before: TagHistory, parts: Iterable[TagHistory], edges: NDArray[np.int64], how: How) -> Buckets:
    """
    Down-sample a tag with a dead-band: means are weighted by time, completeness is the share of time that is known.

    Parameters
    ----------
    before : TagHistory
        The newest sample before the first edge; there may be none.
    parts : iterable of TagHistory
        All samples between the edges, ascending.
    edges : ndarray of int64, shape (b + 1,)
        Of the steps. [ns since 1970]
    how : How
        What stands for a step. A value that stands in a step counts for its lowest, highest and last one; `count` is of
        the samples that were kept.

    Raises
    ------
    ValueError
        If a sum is asked for: how many samples were left out is not known.
    """
    if how is How.SUM:
        raise ValueError("samples of a tag with a dead-band have no sum; expected mean, min, max, last or count")
    found = stand(_NONE, int(edges[-1]), edges)
    for part, until in _each(before, parts, int(edges[-1])):
        found = found.then(stand(part, until, edges))
    return buckets(found, edges, how, 1.0)


def stand(samples: TagHistory, until: int, edges: NDArray[np.int64]) -> Tally:
    """Count samples into steps by how long they stand in each; the last one until `until` [ns] at most."""
    at, ends = samples.at, _ends(samples, until)
    which = np.searchsorted(at, edges) - 1                      # who stands at each edge
    cut = (which >= 0) & (edges < ends[which]) if len(at) else np.zeros(len(edges), np.bool_)
    which, told = which[cut], np.ones(len(at), np.bool_)
    told = np.insert(told, which + 1, False)
    source = np.insert(np.arange(len(at)), which + 1, which)
    start = np.insert(at, which + 1, edges[cut])
    length = np.minimum(ends[source], np.append(start[1:], until)) - start
    weight = np.maximum(length, 1).astype(np.float64)           # of two at one instant the first is not worth nothing
    return tally(start, samples.values[source], samples.quality[source], edges, weight, told)


def drawn(before: TagHistory, parts: Iterable[TagHistory], first: int, last: int, points: int) -> Line:
    """The same for drawing, in at most `points`: level where a value stands, broken where nothing is known."""
    rest = iter(parts)
    head = next(rest, _NONE)
    carried = _NONE if first in head.at[:1] else _from(before, first)       # what is said at that instant ends what stood
    kept, samples, known = [EMPTY], -len(carried.at), 0
    for part, until in _each(carried, chain([head], rest), last):
        part = attrs.evolve(part, values=usable(part.values, part.quality))
        known += int((_ends(part, until) - part.at)[np.isfinite(part.values)].sum())
        samples += len(part.at)
        shape = _level(part, until)
        kept.append(chosen(shape, extremes(shape.values, points * SPARE)))
    every = joined(kept)
    shape = chosen(every, line(every.at, every.values, points))
    return Line(shape.at, shape.values, shape.quality, samples, min(known / (last - first), 1.0))


# ---------------------------------------------------------------------- private
def _each(carried: TagHistory, parts: Iterable[TagHistory], last: int) -> Iterator[tuple[TagHistory, int]]:
    """Parts, each with the time of the sample behind it, or the end; the first begins with what is carried in."""
    for part in parts:
        together = joined([carried, _complete(part)])
        if len(together.at):
            yield chosen(together, slice(None, -1)), int(together.at[-1])
        carried = chosen(together, slice(-1, None))
    yield carried, last


def _from(before: TagHistory, first: int) -> TagHistory:
    """What still stands at `first` [ns], as if it was said then."""
    before = attrs.evolve(before, held=_held(before) - (first - before.at), at=np.full(len(before.at), first))
    return chosen(before, _held(before) > 0)


def _complete(part: TagHistory) -> TagHistory:
    """Samples from times without a dead-band stand for as long as they usually are apart."""
    held = _held(part)
    alone = held == 0
    apart = spacing(part.at[alone])
    return attrs.evolve(part, held=np.where(alone, int(apart) if apart > 0 else 0, held))


def _ends(samples: TagHistory, until: int) -> NDArray[np.int64]:
    """Until when each stands. [ns since 1970]"""
    ends: NDArray[np.int64] = np.minimum(np.append(samples.at[1:], until)[:len(samples.at)], samples.at + _held(samples))
    return ends


def _held(samples: TagHistory) -> NDArray[np.int64]:
    return np.zeros(len(samples.at), np.int64) if samples.held is None else samples.held


def _level(samples: TagHistory, until: int) -> TagHistory:
    """The samples, the end of each level stretch that another value follows, and a stale NaN where nothing stands on."""
    at, values, quality, ends = samples.at, samples.values, samples.quality, _ends(samples, until)
    gone = ends < np.append(at[1:], until)[:len(at)]
    other = np.append(values[1:] != values[:-1], True)[:len(at)] | gone
    level = other & (ends - at > CORNER_NS) & (quality < BAD)
    missing = np.full(np.count_nonzero(gone), np.nan)
    every = joined([
        attrs.evolve(samples, held=None), TagHistory(ends[level] - CORNER_NS, values[level], quality[level]),
        TagHistory(ends[gone], missing, np.full(len(missing), Quality.BAD_STALE, np.uint8)),
    ])
    return chosen(every, np.argsort(every.at, kind="stable"))
