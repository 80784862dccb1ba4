"""The heat of all transformers and their voltages of ten minutes, from snapshot to batches. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np

from scada.balancing import heat, heat_file, ten_minutes
from scada.balancing.meters import Rated, rated, thermal_device, voltage_device
from scada.site import Transformer
from scada.tags import BAD, UNCERTAIN, Batch, Device, Quality, Snapshot

TURNS: Final = 10                       # looks in which the heat of all is published once
OLD_NS: Final = 300 * 10**9             # heat that was saved longer ago is worked out from the history of the load


class TransformerWatch:
    """Those whose meter is on the bus."""

    def __init__(self) -> None:
        self.rated, self.heat = Rated((), (), np.empty((0, 6), dtype=np.intp), np.empty(0)), heat.unknown(0)
        self._means = ten_minutes.TenMinutes(0)
        self._looks = 0
        self._seen: set[str] = set()
        self.wanting: dict[str, heat.Heat] = {}             # what was known at the start of those whose past is to be found

    def remember(self, names: tuple[str, ...], known: heat.Heat) -> None:
        """What a file tells of transformers, before the first of them is seen."""
        self.heat = known
        self.rated = attrs.evolve(self.rated, names=names, position=np.empty((len(names), 6), dtype=np.intp),
                                  current=np.empty(len(names)))

    def arrange(
        self, transformers: Sequence[Transformer], devices: Mapping[str, Device], snapshot: Snapshot
    ) -> list[Device]:
        """There may be others than before: what is known of them is kept. Returns devices the bus does not have yet."""
        before = self.rated.names
        self.rated = rated(transformers, devices, snapshot.index)
        names = self.rated.names
        if names != before:
            self.heat = heat_file.arranged(names, before, self.heat, heat.unknown(len(names)))
        if names != before or self._means.size != len(before):          # after a start `before` is from the file
            self._means = ten_minutes.TenMinutes(len(names))
        for row, name in enumerate(names):
            if name not in self._seen:
                self._seen.add(name)
                if np.isnan(self.heat.oil[row]) or snapshot.taken - self.heat.at[row] > OLD_NS:
                    self.wanting[name] = heat_file.rows_of(self.heat, np.array([row]))
        wanted = (
            one for name, area in zip(names, self.rated.areas, strict=True)
            for one in (thermal_device(name, area), voltage_device(name, area))
        )
        return [one for one in wanted if devices.get(one.name) != one]

    def rated_of(self, name: str) -> float:
        """Rated current of a transformer. [A]"""
        names = self.rated.names
        return float(self.rated.current[names.index(name)]) if name in names else np.nan

    def enter(self, name: str, found: heat.Heat) -> None:
        """The past of a transformer: its state at an instant that was just now."""
        if name in self.rated.names and np.isfinite(found.oil[0]):
            self.heat = heat_file.entered(self.heat, self.rated.names.index(name), found)

    def heat_of(self, snapshot: Snapshot, ambient: float) -> list[Batch]:
        """One step on; of every tenth transformer in turn what there is to publish."""
        value, quality, at = self.rated.read(snapshot)
        worst = quality[:, 3:].max(axis=1, initial=0)
        load = np.where(worst < BAD, np.abs(value[:, 3:]).max(axis=1, initial=0.0) / self.rated.current, np.nan)
        self.heat = heat.stepped(self.heat, load, ambient, snapshot.taken)
        self._looks += 1
        rows = np.arange(self._looks % TURNS, len(load), TURNS)
        rows = rows[at[rows] > 0]
        if not len(rows):
            return []
        values, qualities = heat.shown(heat_file.rows_of(self.heat, rows), ambient, worst[rows])
        return [
            Batch(f"{self.rated.names[row]}.thermal", value, quality, snapshot.taken, snapshot.taken)
            for row, value, quality in zip(rows.tolist(), values, qualities, strict=True)
        ]

    def voltages_of(self, snapshot: Snapshot) -> list[Batch]:
        """When ten minutes are over, those of all transformers."""
        value, quality, _at = self.rated.read(snapshot)
        over = self._means.look(value[:, :3], quality[:, :3] < UNCERTAIN, snapshot.taken)
        if over is None:
            return []
        end, means = over
        qualities = np.where(np.isnan(means), Quality.BAD_STALE, Quality.GOOD).astype(np.uint8)
        return [
            Batch(f"{name}.voltage", mean, quality, end, snapshot.taken)
            for name, mean, quality in zip(self.rated.names, means, qualities, strict=True)
        ]
