"""The radio network of one concentrator as it reports itself: the view for people, and its values as tags."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import LinkStat, LinkStats, Neighbour, Overheard, Topology, TopologyDelta
from scada.drivers.dmesh.module_clocks import ModuleClocks
from scada.drivers.dmesh.modules import Modules
from scada.drivers.dmesh.numbers import MAX_MODULES
from scada.drivers.dmesh.timekeeping import ClockRecord
from scada.site import Concentrator, MeshAlternative, MeshNeighbour, MeshNode, MeshView, Module
from scada.tags import Batch, Device, Quality, TagDef

# Plain numbers: looking a member of an enumeration up costs more than the rest of a concentrator's values.
GOOD, WAITING, NOT_CONNECTED = int(Quality.GOOD), int(Quality.BAD_WAITING), int(Quality.BAD_NOT_CONNECTED)
STALE_AFTER: Final = 26 * HOUR_S * NS   # reports come at least once a day; two hours of grace
MODULE_TAGS: Final = (
    TagDef("link_rssi_down", "dBm", "Signal at the module", -150, 20, STALE_AFTER, digits=0),
    TagDef("link_rssi_up", "dBm", "Signal at its parent", -150, 20, STALE_AFTER, digits=0),
    TagDef("link_delivery", "%", "Packets delivered", 0, 100, STALE_AFTER),
    TagDef("level", "", "Relay level", 0, 64, STALE_AFTER, digits=0),
    TagDef("battery", "mV", "Battery under load", 0, 10_000, STALE_AFTER, digits=0),
    TagDef("relayed_today", "", "Packets relayed today", 0, 65_535, STALE_AFTER, digits=0),
    TagDef("travel", "s", "Travel time to the concentrator", 0, 86_400, STALE_AFTER),
)
CONCENTRATOR_TAGS: Final = (
    TagDef("link_up", "", "Link up", 0, 1, digits=0),
    TagDef("modules", "", "Modules in the subnet", 0, 240, digits=0),
    TagDef("delivery", "%", "Packets delivered, mean of the modules", 0, 100),
    TagDef("archive_lag", "h", "Age of the newest interval held here", digits=0),
)


def module_device(module: Module) -> Device:
    return Device(module.name, MODULE_TAGS, (module.concentrator,), module.title)


def concentrator_device(concentrator: Concentrator) -> Device:
    return Device(concentrator.name, CONCENTRATOR_TAGS, (), concentrator.title, concentrator.area)


def module_values(stat: LinkStat) -> NDArray[np.float64]:
    """Values of `MODULE_TAGS`."""
    return np.array(
        [
            stat.rssi_down, stat.rssi_up, stat.delivery / 10, stat.level, stat.battery_load_mv, stat.relayed,
            stat.travel_ms / 1000,
        ],
        dtype=np.float64,
    )


def module_batch(device: str, stat: LinkStat, received: int) -> Batch:
    return Batch(device, module_values(stat), np.zeros(len(MODULE_TAGS), dtype=np.uint8), stat.heard * NS, received)


@attrs.define
class Mesh:
    """What one concentrator last said; survives its sessions."""

    generation: int = 0
    stats: dict[int, LinkStat] = attrs.field(factory=dict)              # by subnet index
    places: dict[int, tuple[int, int]] = attrs.field(factory=dict)      # index -> (parent, level), from TOPOLOGY
    whole: bool = False                                                 # a tree was told: who is not in it hangs nowhere
    as_of: int = 0                                                      # ns, site time
    modules: Modules | None = None
    newest_hour: int = 0                                                # end of the newest interval committed
    overheard: tuple[Neighbour, ...] = ()
    overheard_as_of: int = 0                                            # ns, site time
    clock: ClockRecord = attrs.field(factory=ClockRecord)
    module_clocks: ModuleClocks | None = None                           # None: no module's clock was told of
    _pages: dict[int, Topology] = attrs.field(factory=dict)
    _accounts: dict[int, Overheard] = attrs.field(factory=dict)         # pages of OVERHEARD

    def take_stats(self, report: LinkStats) -> None:
        self.stats.update((stat.index, stat) for stat in report.nodes)
        self.as_of = max(self.as_of, report.time * NS)
        if self.module_clocks is None and any(one.clock_offset_ms for one in report.nodes):
            self.module_clocks = ModuleClocks()             # a field that is 0 for everybody is one that nobody fills
        if self.module_clocks is not None:
            if self.modules is not None:
                self.module_clocks.follow(self.modules.euis)
            self.module_clocks.take(report.nodes)

    def take_topology(self, page: Topology) -> bool:
        """One page of a snapshot; True when it was the last missing one and the tree changed."""
        if page.page >= page.pages or any(held.generation != page.generation for held in self._pages.values()):
            self._pages.clear()
        if page.page >= page.pages:
            return False
        self._pages[page.page] = page
        if len(self._pages) < page.pages:
            return False
        self.places = {node.index: (node.parent, node.level) for held in self._pages.values() for node in held.nodes}
        self.whole, self.generation, self.as_of = True, page.generation, max(self.as_of, page.time * NS)
        self._pages.clear()
        return True

    def take_delta(self, delta: TopologyDelta) -> bool:
        """What changed since the generation we hold; False where it follows another one, and the whole is needed."""
        if delta.base != self.generation or not self.whole:
            return False
        self.places = self.places | {node.index: (node.parent, node.level) for node in delta.nodes}
        for index in sets.indices(delta.gone):
            self.places.pop(index, None)
        self.generation, self.as_of = delta.generation, max(self.as_of, delta.time * NS)
        return True

    def take_overheard(self, page: Overheard) -> bool:
        """One page of an account; True when it was the last missing one: it replaces the account before."""
        if page.page >= page.pages or any(held.time != page.time for held in self._accounts.values()):
            self._accounts.clear()
        if page.page >= page.pages:
            return False
        self._accounts[page.page] = page
        if len(self._accounts) < page.pages:
            return False
        self.overheard = tuple(one for number in sorted(self._accounts) for one in self._accounts[number].neighbours)
        self.overheard_as_of = page.time * NS
        self._accounts.clear()
        return True

    def view(self, concentrator: str, *, link_up: bool) -> MeshView:
        """Every module of the current list but those only named in it, with NaN where it never reported."""
        nodes = () if self.modules is None else tuple(self._node(*one) for one in self.modules.known)
        heard = tuple(
            MeshNeighbour(one.eui, one.heard * NS, one.rssi, one.by, one.packets) for one in self.overheard
        )
        return MeshView(concentrator, link_up, self.generation, nodes, self.as_of, heard, self.overheard_as_of)

    def travel(self) -> dict[int, float]:
        """Mean travel times to the concentrator by EUI, of modules that have reported. [s]"""
        if self.modules is None:
            return {}
        return {one.eui: self.stats[one.index].travel_ms / 1000 for one in self.modules.entries if one.index in self.stats}

    def parents(self) -> NDArray[np.int64]:
        """Whom each module sends through, by subnet index; 0: the concentrator, or nobody, or not known."""
        found = np.zeros(MAX_MODULES + 1, dtype=np.int64)
        for index in self.places if self.whole else self.stats:
            found[index] = self._place(index)[0]
        return found

    def _place(self, index: int) -> tuple[int, int]:
        """(parent, level) by the tree; by the statistics, which are older, only where no tree was ever told."""
        if self.whole or (stat := self.stats.get(index)) is None:
            return self.places.get(index, (0, 0))
        return stat.parent, stat.level

    def _node(self, index: int, eui: int) -> MeshNode:
        stat = self.stats.get(index)
        parent, level = self._place(index)
        nan = float("nan")
        if stat is None:
            return MeshNode(eui, index, level, parent, nan, nan, nan, 0, 0, nan, 0)
        return MeshNode(
            eui, index, level, parent, stat.rssi_down, stat.rssi_up, stat.delivery / 1000, stat.relayed,
            stat.battery_load_mv, stat.travel_ms / 1000, stat.heard * NS,
            battery_idle_mv=stat.battery_idle_mv or nan,
            alternatives=tuple(MeshAlternative(one.parent, one.rssi, one.delivery / 1000) for one in stat.alternatives),
            parent_changes=stat.parent_changes, relay_budget=stat.relay_budget,
            noise_dbm=stat.noise or nan, failed=stat.failed,
        )

    def batch(self, device: str, *, link_up: bool, now: int) -> Batch:
        """Values of `CONCENTRATOR_TAGS`; with the link down only `link_up` itself is good."""
        nan = float("nan")
        modules = float(self.modules.present) if self.modules is not None else nan
        delivery = float(np.mean([stat.delivery for stat in self.stats.values()])) / 10 if self.stats else nan
        lag = float(max(0, now // (HOUR_S * NS) - self.newest_hour)) if self.newest_hour else nan
        known = GOOD if link_up else NOT_CONNECTED
        quality = [GOOD, *(known if value == value else WAITING for value in (modules, delivery, lag))]   # NaN: not itself
        return Batch(device, np.array([link_up, modules, delivery, lag], np.float64), np.array(quality, np.uint8), now, now)
