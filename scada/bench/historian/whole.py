"""Whole blocks into the embedded store: a month of 100,000 meters, a day of ten million; and reads by a cold process."""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.bench import Figure
from scada.bench.children import json_of, process
from scada.bench.historian.pulses import FIRST_DAY, FIRST_HOUR, LINK, Pulses, euis
from scada.errors import ScadaError
from scada.historian.dense import SLOTS
from scada.historian.offline import ClosedHistory
from scada.historian.service import open_reader
from scada.metering.sums import Members, group_sums

METERS: Final = 100_000
DAYS: Final = 30
CITY: Final = 10_000_000
AT_ONCE: Final = 64                     # blocks of a day
READS: Final = 5
GROUPS: Final = 1000


def measure(meters: int = METERS, days: int = DAYS, city: int = CITY) -> list[Figure]:
    """Each in a process of its own, which says what it needed; what was written is read back and compared."""
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
        month = _child("import", name, meters, days)
        points = [_child("point", name, meters, days)["ms"] for _ in range(READS)]
        sums = _child("sums", name, meters, days)
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
        day = _child("import", name, city, 1, "unnamed")
    what, values = f"{meters:,} meters x {days} days in whole blocks", meters * days * 24
    all_meters = f"{city:,} meters x 24 h in whole blocks; that the meters are known is not part of it"
    return [
        Figure("embedded_write_per_s", what, values / month["seconds"], "values/s"),
        Figure("embedded_bytes_per_value", f"{what}, files of the store", month["bytes"] / values, "B"),
        Figure("embedded_rss_mb", f"{what}, most memory of the process", month["rss_mb"], "MB"),
        Figure("point_read_ms", f"one meter, {days} days, by a process that begins with it, median of {READS}",
               float(np.median(points)), "ms"),
        Figure("group_sum_ms", f"{GROUPS:,} sums x 24 h over {meters:,} meters, members together, median of {READS}",
               sums["together"], "ms"),
        Figure("group_sum_random_ms", "the same, members of a group anywhere", sums["random"], "ms"),
        Figure("day_10m_s", all_meters, day["seconds"], "s"),
        Figure("day_10m_gb", f"{all_meters}, files of the store", day["bytes"] / 1e9, "GB"),
        Figure("day_10m_rss_mb", f"{all_meters}, most memory of the process", day["rss_mb"], "MB"),
    ]


def _child(*words: Any) -> dict[str, float]:
    child = process("historian.whole", *map(str, words))
    said: dict[str, float] = json_of(child)
    child.wait(60)
    return said


def enter(folder: Path, meters: int, days: int, named: bool) -> dict[str, float]:
    """Import, and compare some of what can be read afterwards."""
    pulses, eui = Pulses.make(), euis(meters if named else 0)
    numbers = np.arange(-(-meters // SLOTS))
    began = time.perf_counter()
    with ClosedHistory(folder) as history:
        whole = history.whole()
        if named:
            whole.slots(np.full(meters, LINK), eui, np.zeros(meters, np.uint8))
        whole.enter((
            pulses.day(day, numbers[start:start + AT_ONCE])
            for day in range(FIRST_DAY, FIRST_DAY + days) for start in range(0, len(numbers), AT_ONCE)
        ), received=1)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    reader = open_reader(folder)
    slots = np.linspace(0, meters - 1, 50).astype(np.int64)
    stored = reader.intervals.read(slots, FIRST_HOUR, 24 * days).counts
    reader.close()
    if not np.array_equal(stored, pulses.of(slots, FIRST_DAY, days)):
        raise ScadaError("what was imported is not what is stored")
    return {"seconds": seconds, "bytes": size, "rss_mb": used}


def point(folder: Path, meters: int, days: int) -> dict[str, float]:
    """One meter in the middle."""
    eui, channel = euis(meters)[meters // 2:meters // 2 + 1], np.zeros(1, np.uint8)
    began = time.perf_counter()
    history = open_reader(folder)
    slots = history.intervals.slots(eui, channel)
    stored = history.intervals.read(slots, FIRST_HOUR, 24 * days).counts
    took = time.perf_counter() - began
    history.close()
    if not np.array_equal(stored, Pulses.make().of(slots, FIRST_DAY, days)):
        raise ScadaError("what was imported is not what is read")
    return {"ms": took * 1000}


def sums(folder: Path, meters: int, days: int) -> dict[str, float]:
    """A day of all groups each time, another day every time; compared with the sums of what was written."""
    history, said, pulses = open_reader(folder), {}, Pulses.make()
    for name, order in (("together", np.arange(meters)), ("random", np.random.default_rng(6).permutation(meters))):
        members, took = members_in(order).found(history.intervals), []      # once, as the server does
        for day in range(days):
            began = time.perf_counter()
            found = group_sums(members, history.intervals, FIRST_HOUR + 24 * day, 24)
            took.append(1000 * (time.perf_counter() - began))
            expected = np.add.reduceat(pulses.of(order, FIRST_DAY + day, 1), members.start[:-1], axis=0)
            if not np.array_equal(found.sums, expected):
                raise ScadaError("the sums are not those of what was imported")
        said[name] = float(np.median(took[-READS:]))
    history.close()
    return said


def members_in(order: NDArray[np.int64]) -> Members:
    """All meters in groups of about the same size, in that order."""
    meters, groups = len(order), min(GROUPS, len(order))
    start = np.linspace(0, meters, groups + 1).astype(np.int64)
    return Members(
        tuple(f"G{number}" for number in range(groups)), ("kWh",) * groups, np.diff(start), start, euis(meters)[order],
        np.zeros(meters, np.uint8), np.ones(meters), np.zeros(meters, np.int64), np.full(meters, 2**40),
    )


def main(kind: str, name: str, meters: int, days: int, unnamed: bool) -> None:
    folder = Path(name)
    match kind:
        case "point":
            said = point(folder, meters, days)
        case "sums":
            said = sums(folder, meters, days)
        case _:
            said = enter(folder, meters, days, not unnamed)
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), len(sys.argv) > 5)
