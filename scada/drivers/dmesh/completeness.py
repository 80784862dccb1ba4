"""Shows completeness on the bus: of concentrators, of balance groups in turn, and of modules that lack hours.

What is shown is bounded: a module's tags are made when it first lacks an hour, `limit` of them at most, and those that
are left out are counted. Pure but for the sink.
"""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.clock import SiteClock
from scada.drivers.dmesh import parts
from scada.drivers.dmesh.collection import TAGS, Picture
from scada.drivers.dmesh.coverage import Coverage
from scada.drivers.dmesh.owing import Owing
from scada.drivers.dmesh.parts import GroupChannels
from scada.ports import IntervalReader, Registry, TagSink
from scada.site import BalanceGroup, Directory
from scada.tags import Batch, Device, Quality, TagDef

GROUP_REST_S: Final = 30.0              # real time between two looks at the same group


class Completeness:
    """The tags of everybody; pictures of groups, by name."""

    def __init__(
        self, clock: SiteClock, reader: IntervalReader, registry: Registry, sink: TagSink, owing: Owing, limit: int,
    ) -> None:
        self._clock, self._reader, self._registry, self._sink, self._limit = clock, reader, registry, sink, limit
        self._owing = owing
        self._devices: set[str] = set()
        self._modules: dict[str, NDArray[np.float64]] = {}  # what was last shown
        self._left_out: set[str] = set()
        self._seen: dict[int, set[int]] = {}                # EUIs by link id
        self._directory: Directory | None = None
        self._groups: dict[str, GroupChannels] = {}
        self._turn: deque[str] = deque()
        self._looked: dict[str, float] = {}
        self.pictures: dict[str, Picture] = {}

    @property
    def modules(self) -> int:
        """Modules with tags of their own."""
        return len(self._modules)

    @property
    def left_out(self) -> int:
        """Modules that lack hours and have none, because there are too many."""
        return len(self._left_out)

    # ------------------------------------------------------------------ concentrators and their modules
    def concentrator(self, link_id: int, picture: Picture, depth: int, *, modules: bool = True) -> None:
        """Its own tags, and those of its modules unless the picture is not whole yet."""
        known = self._registry.directory.concentrator_of_link.get(link_id)
        if known is None:
            return
        self._show(known.name, TAGS, (known.name,), known.title, known.area, picture.values(self._clock.hour()))
        before = self._seen.get(link_id, set())
        if modules and (picture.missing or picture.given_up or before):
            self._seen[link_id] = self._of_modules(picture, depth, before)

    def _of_modules(self, picture: Picture, depth: int, before: set[int]) -> set[int]:
        """Show what changed; the EUIs that have, or had, something to show."""
        found = parts.of_modules(picture, depth)
        index, first = np.unique(picture.channels.index, return_index=True)
        euis = dict(zip(picture.channels.eui[first].tolist(), index.tolist(), strict=True))
        lacking = set(picture.channels.eui[np.isin(picture.channels.index, found.incomplete)].tolist())
        for eui in before | lacking:
            module = self._registry.directory.module_of_eui.get(eui)
            if module is None or eui not in euis:           # not adopted, or another concentrator's by now
                continue
            name = module.name
            if name not in self._modules and len(self._modules) >= self._limit:
                self._left_out.add(name) if eui in lacking else self._left_out.discard(name)
                continue
            values, shown = found.values(euis[eui]), self._modules.get(name)
            if shown is None or not np.array_equal(values, shown, equal_nan=True):
                self._modules[name] = values
                self._show(name, parts.MODULE_TAGS, (module.concentrator, name), module.title, "", values)
        return before | lacking

    # ------------------------------------------------------------------ groups
    def next_group(self, coverage: Coverage, due: int, depth: int, edges: tuple[int, ...]) -> None:
        """Look at one group whose turn it is."""
        directory = self._registry.directory
        if directory is not self._directory:
            self._follow(directory)
        now = self._clock.monotonic()
        if not self._turn or now - self._looked.get(self._turn[0], float("-inf")) < GROUP_REST_S:
            return
        name = self._turn[0]
        self._turn.rotate(-1)
        self._looked[name] = now
        group = directory.balance_group[name]
        if name not in self._groups:
            self._groups[name] = parts.channels_of_group(directory, group)
        channels = self._groups[name]
        if not len(channels.begin):
            return
        self._owing.meet(parts.there(channels, directory), self._clock.hour())
        channels = parts.since(channels, self._owing.since(channels.channels.eui))
        picture = parts.look_at_group(channels, self._reader, coverage, due, depth, edges)
        self.pictures[name] = picture
        self._show(name, TAGS, ("Balance",), group.title, _area(directory, group), picture.values(self._clock.hour()))

    def _follow(self, directory: Directory) -> None:
        before = self._directory
        if before is None or before.site.meters is not directory.site.meters or (
            before.site.balance_groups is not directory.site.balance_groups
        ):
            self._groups.clear()
            names = [one.name for one in directory.site.balance_groups]
            self._turn = deque(names)
            self.pictures = {name: picture for name, picture in self.pictures.items() if name in set(names)}
        self._directory = directory

    def _show(
        self, name: str, tags: tuple[TagDef, ...], path: tuple[str, ...], title: str, area: str, values: NDArray[np.float64]
    ) -> None:
        device, now = f"{name}-collection", self._clock.now()
        if device not in self._devices:
            self._devices.add(device)
            self._sink.add_device(Device(device, tags, path, title, area))
        quality = np.where(np.isnan(values), Quality.BAD_WAITING, Quality.GOOD).astype(np.uint8)
        self._sink.publish(Batch(device, values, quality, now, now))


def _area(directory: Directory, group: BalanceGroup) -> str:
    transformer = directory.transformer.get(group.transformer)
    return transformer.area if transformer is not None else ""
