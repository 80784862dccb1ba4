"""Line protocol: history as InfluxDB reads it.

Measurements: `mh` for hourly pulses (`m1800`, `m900` for shorter intervals) with one tag `m` = "<EUI in hex>/<channel>",
and `live` with one tag `tag`. Fields are floats: `v`, and `q` only where it says something. Results have a measurement of
their kind and length, `balance_3600`, with one tag `name` and a field a quantity. Events are the measurement `event`, with
their series as tags, and numbers, texts and a truth as fields. No tag names a customer or a group it could leave: a move
would begin a new series.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.events import KeptEvent
from scada.historian.dense import Dense
from scada.intervals import HOURLY, MISSING

INTERVAL_PRECISION: Final = "s"
LIVE_PRECISION: Final = "ms"
_ESCAPES: Final = str.maketrans({" ": "\\ ", ",": "\\,", "=": "\\=", "\n": "\\ "})


def measurement(interval_s: int) -> str:
    return "mh" if interval_s == HOURLY else f"m{interval_s}"


def block_lines(
    block: Dense, interval_s: int, day: int, columns: NDArray[np.int64], rows: NDArray[np.int64],
    eui: NDArray[np.uint64], channel: NDArray[np.uint8],
) -> list[str]:
    """Lines of some rows of a block."""
    first = day * block.counts.shape[1] + columns
    where = np.ix_(rows, columns)
    return channel_lines(eui, channel, first, interval_s, block.counts[where], block.status[where])


def channel_lines(
    eui: NDArray[np.uint64], channel: NDArray[np.uint8], numbers: NDArray[np.int64], interval_s: int,
    counts: NDArray[np.int64], status: NDArray[np.uint8],
) -> list[str]:
    """
    Lines of (n, k) pulses, channel by channel (a third faster for the server than hour by hour).

    `numbers` are those of the k intervals.
    """
    head = measurement(interval_s)
    times = (numbers * interval_s).tolist()
    plain = (counts != MISSING).all(axis=1) & ~status.any(axis=1)
    whole = "".join(f"\0%d {time}\n" for time in times)        # of a channel whose name is put in front of each
    lines: list[str] = []
    for place in range(len(counts)):
        name = f"{head},m={series_name(eui[place], channel[place])} v="
        pulses = counts[place].tolist()
        if plain[place]:
            lines.append(whole.replace("\0", name) % tuple(pulses))
            continue
        for value, bits, time in zip(pulses, status[place].tolist(), times, strict=True):
            if value != MISSING:
                lines.append(f"{name}{value},q={bits} {time}\n" if bits else f"{name}{value} {time}\n")
            elif bits:
                lines.append(f"{name[:-2]}q={bits} {time}\n")
    return lines


def series_name(eui: Any, channel: Any) -> str:
    """What the tag `m` says of a channel."""
    return f"{int(eui):016x}/{int(channel)}"


def live_lines(names: Iterable[str], values: NDArray[np.float64], quality: NDArray[np.uint8], at: int) -> str:
    """Lines of one device's tags at one instant; `names` are escaped already."""
    return _live(names, values, quality, [at // 1_000_000] * len(values))


def past_lines(name: str, at: NDArray[np.int64], values: NDArray[np.float64], quality: NDArray[np.uint8]) -> str:
    """The same lines of one tag at many instants."""
    return _live([name] * len(values), values, quality, (at // 1_000_000).tolist())


def _live(names: Iterable[str], values: NDArray[np.float64], quality: NDArray[np.uint8], times: list[int]) -> str:
    parts = []
    for name, value, bits, time in zip(names, values.tolist(), quality.tolist(), times, strict=True):
        if value - value == 0.0:                    # neither NaN nor infinite: line protocol has no word for them
            said = f",q={bits}" if bits else ""
            parts.append(f"live,tag={name} v={value!r}{said} {time}\n")
        elif bits:
            parts.append(f"live,tag={name} q={bits} {time}\n")
    return "".join(parts)


def result_line(kind: str, span_s: int, name: str, start: int, columns: Sequence[str], row: Sequence[float]) -> str:
    """A row of results at its start [s], `KIND_SPAN,name=NAME` with a field a quantity; "" where it has none."""
    said = [
        f"{escaped(column)}={value!r}" for column, value in zip(columns, row, strict=True) if value - value == 0.0
    ]
    return f"{escaped(kind)}_{span_s},name={escaped(name)} {','.join(said)} {start}\n" if said else ""


def event_line(event: KeptEvent, point: int) -> str:
    """An event at its point of time [ms], which no other of its series has."""
    tags = {
        "device": event.device, "kind": event.kind, "severity": event.severity, "source": event.source,
        "state": event.state, "stream": str(event.stream),
    }
    numbers = {"value": event.value, "limit": event.limit}
    texts = {"unit": event.unit, "text": event.text, "by": event.by}
    fields = [
        f"sequence={event.sequence}i", f"at={event.at}i", f"received={event.received}i",
        f"time_good={'true' if event.time_good else 'false'}",
        *(f"{name}={number!r}" for name, number in numbers.items() if number is not None),
        *(f"{name}={quoted(text)}" for name, text in texts.items() if text),
    ]
    series = ",".join(f"{name}={escaped(value)}" for name, value in tags.items() if value)
    return f"event,{series} {','.join(fields)} {point}\n"


def quoted(text: str) -> str:
    """A text as the value of a field; white space of any kind is a space, for a line must stay one line."""
    plain = " ".join(text.split())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def escaped(name: str) -> str:
    """A tag value as line protocol wants it."""
    return name.translate(_ESCAPES)
