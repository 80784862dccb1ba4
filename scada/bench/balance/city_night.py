"""What the nights of a city read: the hours of a million meters over twenty days, out of a real store.

How long the arithmetic takes is `city_suspects`; here is what is before it, a batch at a time as the server reads, and
the whole search for leaks and standby, reading and arithmetic, in one process.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from scada.balancing.examination import Sources, inquiries, period_before
from scada.balancing.leak_examination import examined_points, leak_inquiries, leaks_of
from scada.bench import Figure
from scada.bench.balance.city_day import OF_A_GROUP, site_of
from scada.bench.children import json_of, process
from scada.bench.historian.pulses import FIRST_DAY, LINK, Pulses, euis
from scada.clock import DAY_H
from scada.historian.dense import SLOTS
from scada.historian.offline import ClosedHistory
from scada.historian.service import open_reader
from scada.metering.hourly import consumption
from scada.ports import Consumption, EventPage, EventsWanted, ResultTable
from scada.site import Directory

CITY: Final = 20_000                    # groups
DAYS: Final = 20
AT_ONCE: Final = 64                     # blocks of the import


def measure(groups: int = CITY) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
        child = process("balance.city_night", name, str(groups))
        said = json_of(child)
        child.wait(60)
    meters = f"{groups * OF_A_GROUP:,} meters, {DAYS} days"
    return [
        Figure("city_night_read_s", f"{meters}: hours of all groups read for an examination", said["read"], "s"),
        Figure("city_night_read_per_s", "hours a second of that", said["hours"] / said["read"], "1/s"),
        Figure("city_night_leaks_s", f"{meters}: the search for leaks and standby, with its reading", said["leaks"], "s"),
        Figure("city_night_rss_mb", "most memory of that process", said["rss_mb"], "MB"),
        Figure("city_night_before_mb", "of it before, with the registry of the city", said["before_mb"], "MB"),
    ]


class NoEvents:
    """Nobody reported a magnet."""

    def find(self, wanted: EventsWanted) -> EventPage:
        return EventPage((), None)


def fill(folder: Path, groups: int) -> None:
    channels, pulses = groups * OF_A_GROUP + groups, Pulses.make()
    numbers = np.arange(-(-channels // SLOTS))
    with ClosedHistory(folder) as history:
        whole = history.whole()
        whole.slots(np.full(channels, LINK), euis(channels), np.zeros(channels, np.uint8))
        whole.enter((
            pulses.day(day, numbers[start:start + AT_ONCE])
            for day in range(FIRST_DAY, FIRST_DAY + DAYS) for start in range(0, len(numbers), AT_ONCE)
        ), received=1)


def main(folder: Path, groups: int) -> None:
    fill(folder, groups)
    directory, reader = Directory(site_of(groups)), open_reader(folder)
    now = (FIRST_DAY + DAYS) * DAY_H
    period = period_before(ZoneInfo("Etc/UTC"), now, DAYS)

    def hourly(points: Sequence[str], first: int, hours: int) -> Consumption:
        return consumption(directory, reader.intervals, points, first, hours, now)

    sources = Sources(hourly, lambda *_: ResultTable(np.empty(0, np.int64), {}), NoEvents())
    whole = directory.site.balance_groups[:groups]          # streets have no members of their own to read
    before, began, hours = _peak_mb(), time.perf_counter(), 0
    for inquiry in inquiries(sources, directory, whole, period):
        hours += sum(taken.size for taken in inquiry.taken)
    read = time.perf_counter() - began
    began, points = time.perf_counter(), examined_points(directory)[0]
    looked = sum(one.night.examined for one in map(leaks_of, leak_inquiries(hourly, directory, points, period)))
    leaks = time.perf_counter() - began
    reader.close()
    assert looked == sum(map(len, points.values())) >= groups * OF_A_GROUP
    print(json.dumps({
        "read": read, "hours": hours, "leaks": leaks, "rss_mb": _peak_mb(), "before_mb": before,
    }), flush=True)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
