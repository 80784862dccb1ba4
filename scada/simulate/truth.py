"""What really happened, for tests to compare with: one line of JSON per fact, readable at any time.

Kinds of line, by their key `is`:

* `start`  a simulator began: site time [s], seed
* `hour`   what every module counted in an hour: `hour`, `pulses` {"<eui>/<channel>": n}
* `record` what an archive record carried: `link`, `archive`, `record`, `first` (hour),
           `pulses` {"<eui>/<channel>": [n, …]}, null = missing
* `ack`    the concentrator was acknowledged up to and with `record`: `link`, `archive`, `record`
* `load`   an actuator switched: `eui`, `supplied`, `at` [s]
* `supply` a whole supply came or went: `eui`, `on`, `at` [s]
* `fault`  a fault began or ended: `said`, `at` [s]

A line is written in one piece and flushed at once, so that even after a kill only the last one can be incomplete;
the reader leaves that out.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.errors import DataRejected, StartError, StorageError

MISSING: Final = None
Key = tuple[int, int, int]                  # EUI, channel, hour


class TruthWriter:
    """Appends facts to a file; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self.broken: StorageError | None = None             # why nothing more can be written
        try:
            self._file = path.open("a", encoding="utf-8") if path else None
            if self._file is not None and path is not None and path.stat().st_size:
                self._file.write("\n\n")    # what a killed simulator left half written ends here, an empty line marks it
        except OSError as error:
            raise StartError("truth file", f"{path} cannot be written: {error.strerror}") from None

    def start(self, site_s: int, seed: int) -> None:
        self._write({"is": "start", "at": site_s, "seed": seed})

    def hour(self, hour: int, eui: NDArray[np.uint64], channel: NDArray[np.uint8], pulses: NDArray[np.int64]) -> None:
        names = _names(eui, channel)
        self._write({"is": "hour", "hour": hour, "pulses": dict(zip(names, pulses.tolist(), strict=True))})

    def record(
        self, link_id: int, archive_id: int, record: int, first: int,
        eui: NDArray[np.uint64], channel: NDArray[np.uint8], pulses: NDArray[np.int64],
    ) -> None:
        """`pulses` is (n, hours); below zero = missing."""
        rows: dict[str, list[int | None]] = {}
        for name, row in zip(_names(eui, channel), pulses.tolist(), strict=True):
            rows.setdefault(name, [count if count >= 0 else MISSING for count in row])   # of two under one name the first
        self._write({
            "is": "record", "link": link_id, "archive": archive_id, "record": record, "first": first,
            "pulses": rows,
        })

    def acknowledged(self, link_id: int, archive_id: int, record: int) -> None:
        self._write({"is": "ack", "link": link_id, "archive": archive_id, "record": record})

    def load(self, eui: int, supplied: bool, site_s: int) -> None:
        self._write({"is": "load", "eui": f"{eui:016x}", "supplied": supplied, "at": site_s})

    def supply(self, eui: int, on: bool, site_s: int) -> None:
        self._write({"is": "supply", "eui": f"{eui:016x}", "on": on, "at": site_s})

    def limit(self, eui: int, level_w: float, eco: bool, site_s: int) -> None:
        level = level_w if level_w < float("inf") else None
        self._write({"is": "limit", "eui": f"{eui:016x}", "level_w": level, "eco": eco, "at": site_s})

    def fault(self, said: str, site_s: int) -> None:
        self._write({"is": "fault", "said": said, "at": site_s})

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):              # the rest of a full disk; said already
                self._file.close()
            self._file = None

    def _write(self, fact: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(fact, separators=(",", ":")) + "\n")
            self._file.flush()
        except OSError as error:
            self.broken = StorageError(f"the truth file cannot be written ({error.strerror}); a test could not trust it")
            raise self.broken from None


def _names(eui: NDArray[np.uint64], channel: NDArray[np.uint8]) -> list[str]:
    return [f"{one:016x}/{number}" for one, number in zip(eui.tolist(), channel.tolist(), strict=True)]


@attrs.define
class Truth:
    """A truth file, read."""

    counted: dict[Key, int] = attrs.field(factory=dict)                    # what the modules really counted
    records: dict[tuple[int, int, int], dict[Key, int]] = attrs.field(factory=dict)   # (link, archive, record) -> pulses
    cursors: dict[tuple[int, int], int] = attrs.field(factory=dict)        # (link, archive) -> highest acknowledged
    loads: list[tuple[int, bool, int]] = attrs.field(factory=list)         # (EUI, supplied, at)
    supplies: list[tuple[int, bool, int]] = attrs.field(factory=list)      # whole ones: (EUI, on, at)

    def acknowledged(self) -> dict[Key, int]:
        """Every pulse count that a server has taken responsibility for."""
        taken: dict[Key, int] = {}
        for (link, archive, record), pulses in self.records.items():
            if record <= self.cursors.get((link, archive), 0):
                taken.update(pulses)
        return taken


def read_truth(path: Path) -> Truth:
    """Read a truth file, also one that is being written."""
    truth = Truth()
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            fact = json.loads(line) if line else {"is": "nothing"}
        except json.JSONDecodeError:
            if number == len(lines) or (number < len(lines) and not lines[number]):
                continue                    # cut off by a kill, or not finished yet
            raise DataRejected(str(path), f"line {number} is no JSON") from None
        _take(truth, fact)
    return truth


def _take(truth: Truth, fact: Mapping[str, Any]) -> None:
    match fact["is"]:
        case "hour":
            truth.counted.update((_key(name, fact["hour"]), count) for name, count in fact["pulses"].items())
        case "record":
            truth.records[fact["link"], fact["archive"], fact["record"]] = dict(_pulses(fact))
        case "ack":
            place = fact["link"], fact["archive"]
            truth.cursors[place] = max(truth.cursors.get(place, 0), fact["record"])
        case "load":
            truth.loads.append((int(fact["eui"], 16), fact["supplied"], fact["at"]))
        case "supply":
            truth.supplies.append((int(fact["eui"], 16), fact["on"], fact["at"]))


def _pulses(fact: Mapping[str, Any]) -> Iterable[tuple[Key, int]]:
    for name, row in fact["pulses"].items():
        for offset, count in enumerate(row):
            if count is not MISSING:
                yield _key(name, fact["first"] + offset), count


def _key(name: str, hour: int) -> Key:
    eui, channel = name.split("/")
    return int(eui, 16), int(channel), hour
