"""Every meter period of a registry as columns: many points are found in them without a loop over points. Pure.

Made once for each content of the registry by a walk over its meters; whoever asks for a few points needs none of it
(`quantities.installed`).
"""

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.metering.quantities import END_OF_TIME, Installed
from scada.ports import IntervalReader
from scada.site import UNIT_OF_MEDIUM, Directory


@attrs.frozen(eq=False)
class Periods:
    """Periods of all p points, those of a point together."""

    place: dict[str, int]                   # of each point
    units: NDArray[np.object_]              # (p,)
    start: NDArray[np.int64]                # (p + 1,) where each point's periods begin
    eui: NDArray[np.uint64]                 # (m,)
    channel: NDArray[np.uint8]              # (m,)
    per_unit: NDArray[np.float64]           # (m,) pulses per kWh or m³
    begin: NDArray[np.int64]                # (m,) first hour
    end: NDArray[np.int64]                  # (m,) hour after the last
    slots: NDArray[np.int64]                # (m,) as far as they are known: permanent, so what is found once is kept

    def places(self, points: Sequence[str]) -> NDArray[np.int64]:
        """(n,) places of points; raises `KeyError`."""
        return np.fromiter(map(self.place.__getitem__, points), np.int64, len(points))

    def installed(
        self, places: NDArray[np.int64], first_hour: int, hours: int, intervals: IntervalReader
    ) -> tuple[Installed, NDArray[np.int64]]:
        """As `quantities.installed`, of points by their places; and the slot of each period, -1 where never seen."""
        sizes = self.start[places + 1] - self.start[places]
        row = np.repeat(np.arange(len(places)), sizes)
        found = np.repeat(self.start[places] - np.cumsum(sizes) + sizes, sizes) + np.arange(len(row))
        touching = (self.begin[found] < first_hour + hours) & (self.end[found] > first_hour)
        if not touching.all():
            row, found = row[touching], found[touching]
        unseen = found[self.slots[found] < 0]
        if len(unseen):
            self.slots[unseen] = intervals.slots(self.eui[unseen], self.channel[unseen])
        meters = Installed(
            len(places), row, self.eui[found], self.channel[found], self.per_unit[found], self.begin[found],
            self.end[found],
        )
        return meters, self.slots[found]


def periods(directory: Directory) -> Periods:
    """Return the columns of a registry."""
    points = directory.site.points
    of_each = [directory.meters_of_point.get(point.name, ()) for point in points]
    flat = [one for some in of_each for one in some]
    return Periods(
        place={point.name: number for number, point in enumerate(points)},
        units=np.array([UNIT_OF_MEDIUM[point.medium] for point in points], dtype=np.object_),
        start=np.concatenate(([0], np.cumsum([len(some) for some in of_each], dtype=np.int64))).astype(np.int64),
        eui=np.array([one.eui for one in flat], dtype=np.uint64),
        channel=np.array([one.channel for one in flat], dtype=np.uint8),
        per_unit=np.array([one.pulses_per_unit for one in flat], dtype=np.float64),
        begin=np.array([one.valid_from for one in flat], dtype=np.int64),
        end=np.array([END_OF_TIME if one.valid_to is None else one.valid_to for one in flat], dtype=np.int64),
        slots=np.full(len(flat), -1, dtype=np.int64),
    )
