"""The heat of all transformers and their voltages of ten minutes, from snapshot to batches. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np

from scada.balancing import heat, heat_file, ten_minutes
from scada.balancing.meters import Rated, rated, thermal_device, unbalance_device, voltage_device
from scada.balancing.phases.unbalance import sequences_of_sides, unbalance_of_sides
from scada.site import Transformer
from scada.tags import BAD, UNCERTAIN, Batch, Device, Quality, Snapshot

PER_CENT: Final = 100.0
TURNS: Final = 10                       # looks in which the heat of all is published once
OLD_NS: Final = 300 * 10**9             # heat that was saved longer ago is worked out from the history of the load


class TransformerWatch:
    """Those whose meter is on the bus."""

    def __init__(self, rate: float = 1.0) -> None:
        self._rate = rate
        none = np.empty((0, 3), dtype=np.intp)
        self.rated, self.heat = Rated((), (), np.empty((0, 6), dtype=np.intp), np.empty(0), none), heat.unknown(0)
        self._means, self._sequences = ten_minutes.TenMinutes(0), ten_minutes.TenMinutes(0, 2)
        self._looks = 0
        self._seen: set[str] = set()
        self.wanting: dict[str, heat.Heat] = {}             # what was known at the start of those whose past is to be found

    def remember(self, names: tuple[str, ...], known: heat.Heat) -> None:
        """What a file tells of transformers, before the first of them is seen."""
        self.heat = known
        self.rated = attrs.evolve(self.rated, names=names, position=np.empty((len(names), 6), dtype=np.intp),
                                  current=np.empty(len(names)), sides=np.full((len(names), 3), -1))

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
            self._means, self._sequences = ten_minutes.TenMinutes(len(names)), ten_minutes.TenMinutes(len(names), 2)
        for row, name in enumerate(names):
            if name not in self._seen:
                self._seen.add(name)
                if np.isnan(self.heat.oil[row]) or snapshot.taken - self.heat.at[row] > OLD_NS:
                    self.wanting[name] = heat_file.rows_of(self.heat, np.array([row]))
        wanted = (
            one for name, area, sided in zip(names, self.rated.areas, self.rated.sided.tolist(), strict=True)
            for one in (
                thermal_device(name, area, self._rate), voltage_device(name, area, sided),
                *((unbalance_device(name, area, self._rate),) if sided else ()),
            )
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

    def unbalance_of(self, snapshot: Snapshot) -> list[Batch]:
        """Of every tenth transformer in turn, where its meter has the voltages between the phases. After `heat_of`."""
        rows = np.flatnonzero(self.rated.sided)
        rows = rows[rows % TURNS == self._looks % TURNS]
        if not len(rows):
            return []
        sides, worst = self.rated.read_sides(snapshot)
        value = PER_CENT * unbalance_of_sides(sides[rows])
        quality = np.where(np.isnan(value) & (worst[rows] < BAD), Quality.BAD_OUT_OF_RANGE, worst[rows]).astype(np.uint8)
        return [
            Batch(f"{self.rated.names[row]}.unbalance", value[n:n + 1], quality[n:n + 1], snapshot.taken, snapshot.taken)
            for n, row in enumerate(rows.tolist())
        ]

    def voltages_of(self, snapshot: Snapshot) -> list[Batch]:
        """When ten minutes are over, those of all transformers."""
        value, quality, _at = self.rated.read(snapshot)
        over = self._means.look(value[:, :3], quality[:, :3] < UNCERTAIN, snapshot.taken)
        sides, worst = self.rated.read_sides(snapshot)
        both = sequences_of_sides(sides)
        beside = self._sequences.look(both, np.repeat((worst < UNCERTAIN)[:, None], 2, axis=1), snapshot.taken)
        if over is None or beside is None:
            return []
        end, means = over
        factor = PER_CENT * beside[1][:, 1] / beside[1][:, 0]
        values = np.column_stack([means, factor])
        qualities = np.where(np.isnan(values), Quality.BAD_STALE, Quality.GOOD).astype(np.uint8)
        sizes = np.where(self.rated.sided, values.shape[1], means.shape[1]).tolist()
        return [
            Batch(f"{name}.voltage", mean[:size], quality[:size], end, snapshot.taken)
            for name, size, mean, quality in zip(self.rated.names, sizes, values, qualities, strict=True)
        ]
