"""What a concentrator remembers whatever happens to its connections: modules, archive, events, groups."""

from collections.abc import Callable, Container
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S
from scada.drivers.dmesh.keyring import Key, Ring
from scada.drivers.dmesh.messages import (
    CommandReport,
    Event,
    LinkStats,
    Message,
    ModuleEntry,
    Overheard,
    ReadResult,
    Sample,
    Topology,
    TopologyDelta,
)
from scada.drivers.dmesh.numbers import ClockMode
from scada.drivers.dmesh.profile import Profile
from scada.drivers.dmesh.simulator import network
from scada.drivers.dmesh.simulator.archive import DEPTH, Archive, Record
from scada.drivers.dmesh.simulator.clocks import ModuleCrystals, SlewedClock, crystals
from scada.drivers.dmesh.simulator.control import Control
from scada.drivers.dmesh.simulator.fate import Fate
from scada.drivers.dmesh.simulator.firmware import Firmware
from scada.drivers.dmesh.simulator.handing import Handing
from scada.drivers.dmesh.simulator.keys import SimKeys
from scada.drivers.dmesh.simulator.lists import WRAP, Lists
from scada.drivers.dmesh.simulator.mesh import OUT_OF_REACH, grow
from scada.drivers.dmesh.simulator.parameters import Configuration
from scada.drivers.dmesh.simulator.plight import MISDATED, Plight
from scada.drivers.dmesh.simulator.reading import Reads
from scada.drivers.dmesh.simulator.subnet import WRAPPING, Listener, SimModule
from scada.drivers.dmesh.simulator.supply import Singles
from scada.events import EventCode
from scada.intervals import IntervalStatus

__all__ = ["WRAPPING", "Absence", "ConcentratorState", "Hole", "Listener", "Outputs", "SimModule"]

EVENTS_KEPT: Final = 4096
REPORTS_KEPT: Final = 256
DAY_S: Final = 86400


@attrs.frozen
class Absence:
    """When a module cannot be reached: in the hours [first, last) since 1970, and then every `every` hours."""

    index: int
    first: int
    last: int
    every: int

    def covers(self, index: int, hour: int) -> bool:
        return index == self.index and hour >= self.first and (hour - self.first) % self.every < self.last - self.first


@attrs.frozen
class Hole:
    """Hours [first, last) of a module that never reach the concentrator by themselves."""

    index: int
    first: int
    last: int
    kept: bool                              # the module has them still, and gives them when asked

    def covers(self, index: int, hour: int) -> bool:
        return index == self.index and self.first <= hour < self.last


@attrs.define(eq=False)
class Outputs:
    """Where a concentrator's news goes; whoever runs it sets these."""

    on_supply: Callable[[int, bool, float], None] = lambda eui, supplied, at: None
    on_whole_supply: Callable[[int, bool, float], None] = lambda eui, supplied, at: None
    on_allowance: Callable[[int, float, bool, float], None] = lambda eui, level_w, eco, at: None
    on_record: Callable[[Record], None] = lambda record: None
    on_acknowledged: Callable[[int], None] = lambda cursor: None
    register: Callable[[int, int], int] | None = None       # EUI, channel -> pulses now; None: those of the last hour


@attrs.define(eq=False)
class _Waiting:
    """Hours that a module keeps while it cannot be reached."""

    first: int
    registers: NDArray[np.int64]
    pulses: list[NDArray[np.int64]] = attrs.field(factory=list)
    status: list[NDArray[np.uint8]] = attrs.field(factory=list)


class ConcentratorState(Fate, Lists):
    """Everything of one subnet that outlives a session. Times are site time. [s since 1970]"""

    def __init__(
        self,
        link_id: int,
        link_key: bytes | Ring,
        modules: tuple[SimModule, ...],
        *,
        started: float,
        founded: float | None = None,
        archive_id: int,
        boot_id: int,
        seed: int = 0,
        max_frame: int = 4096,
        weak_battery: int | None = None,
        outputs: Outputs | None = None,
        out_of_reach: float = OUT_OF_REACH,
        archive_depth: int = DEPTH,
    ) -> None:
        self.link_id, self.boot_id, self.max_frame = link_id, boot_id, max_frame
        self.keys = SimKeys(link_id, Ring(Key(0, link_key)) if isinstance(link_key, bytes) else link_key)
        self.outputs = outputs or Outputs()
        self.plight = Plight()
        self.configuration = Configuration()
        self._all = modules
        self._gone: set[int] = set()            # indices whose module was taken to another subnet, or off the list
        self._unheard: set[int] = set()
        self._wired: dict[int, int] = {}
        self._awaited: dict[int, int] = {}
        self._bases: dict[tuple[int, int], int] = {}
        self.keep_list: Callable[[], None] = lambda: None   # makes a changed list durable
        self._by_eui = {module.eui: module for module in modules}
        self._rng = np.random.default_rng([seed, link_id])
        self._noise = np.random.default_rng([seed, link_id, 1])     # its own: statistics must not move the commands' dice
        self.mesh = grow(np.array([module.index for module in modules], dtype=np.int64), self._rng, weak_battery)
        dice = np.random.default_rng([seed, link_id, 4])
        self.clock = SlewedClock(float(crystals(1, dice)[0]), started)
        self.crystals = ModuleCrystals(self.mesh.index, started, dice)
        self._place = {module.index: number for number, module in enumerate(modules)}
        self.archive = Archive(archive_id, max_frame - WRAPPING, archive_depth)
        self._archive_full = False
        self.listener: Listener | None = None   # the session, while one is up
        self._trees = 1                         # generation of the topology
        self._places: network.Places = {}
        self._moved_today: dict[int, int] = {}  # changes of the parent, by index
        self.generations: dict[int, tuple[SimModule, ...]] = {1: self._present(started if founded is None else founded)}
        self.join(started)                     # after a restart the list has the generation that it had before
        self.events: list[Event] = []
        self._sequence = int(started) << 16     # grows over restarts of the simulator too
        self.event_cursor = 0
        self._absences: list[Absence] = []
        self._holes: list[Hole] = []
        self._kept: dict[int, list[Profile]] = {}           # index -> hours that only the module has
        self.trip_s = 0.5                   # real time that a question to a module and its answer take
        self._waiting: dict[int, _Waiting] = {}
        self.switched_off = 0                   # loads, since the start
        self._misdated: list[Profile] = []      # what was archived under wrong hours, as it is right
        self.strangers: tuple[network.Stranger, ...] = ()       # modules of others that are heard here
        self._owed: dict[bytes, CommandReport] = {}
        self._out_of_reach = out_of_reach
        self.handing = Handing(
            self.keys.groups, self.keys.modules.get, lambda: {module.index: module.eui for module in self.modules},
            lambda: self.mesh, np.random.default_rng([seed, link_id, 4]), self.is_reachable,
            lambda *when: self.control.at(*when), self._tell,
        )
        self.control = self._make_control()
        self._single_rng = np.random.default_rng([seed, link_id, 4])
        self.singles = self._make_singles()
        self._places = self._standing()
        self._registers: dict[tuple[int, int], int] = {}    # (index, channel) -> pulses at the end of the last hour
        self.reads = Reads(
            lambda: {module.index: module.channels for module in self.modules},
            self.mesh,
            np.random.default_rng([seed, link_id, 2]),
            self.is_reachable,
            self._register,
            lambda *when: self.control.at(*when),           # another one after a restart
            self._read,
            max_frame - WRAPPING,
        )
        self.firmware = Firmware(
            (module.index for module in modules), self.mesh, np.random.default_rng([seed, link_id, 3]),
            lambda: {module.index for module in self.modules}, self.is_reachable, self._tell, lambda: self.generation,
        )
        self.event(EventCode.CONCENTRATOR_RESTARTED, True, started)

    def _make_control(self) -> Control:
        control = Control(
            {module.index: module.actuator for module in self._all if module.actuator is not None},
            self.keys.groups,
            lambda: {module.index: module.eui for module in self.modules},
            self.mesh,
            self._rng,
            self._switched,
            self._allowed,
            self._report,
            self.is_reachable,
            self._out_of_reach,
            self._is_jammed,
        )
        control.handing, self.handing.deaf = self.handing, control.behind
        return control

    def _make_singles(self) -> Singles:
        return Singles(
            {module.index: module.supply for module in self._all if module.supply is not None},
            lambda: {module.index: module.eui for module in self.modules},
            self.keys.modules,
            self.mesh,
            self._single_rng,
            lambda index, on, at: self.outputs.on_whole_supply(self._wired_as(index), on, at),
            self._report,
            self.is_reachable,
            lambda *when: self.control.at(*when),           # another one after a restart
            self._is_jammed,
            self.plight.bypassed,
        )

    def known_command(self, command_id: bytes) -> CommandReport | None:
        """What has become of a command, to a group or to one module."""
        return self.control.known(command_id) or self.singles.known(command_id)

    def time(self, now: float) -> float:
        """What its clock shows."""
        return self.clock.read(now) - self.plight.clock_lost

    def time_was_set(self, correction: float, mode: ClockMode) -> None:
        """The server gave the time, which is `correction` [s] more than the clock showed.

        After a step, what was dated wrongly comes again under its true hours.
        """
        if mode is ClockMode.SLEW:
            self.clock.slew(correction)
            return
        self.clock.step(correction - self.plight.clock_lost)
        self.plight.clock_lost = 0.0
        misdated, self._misdated = self._misdated, []
        for profile in misdated:
            self._append(profile)

    def _is_jammed(self, index: int, at: float) -> bool:
        """Asked when a module is told to move: what does not move says so."""
        if index in self.plight.jammed:
            self.event(EventCode.ACTUATOR_FAULT, True, at, index)
        return index in self.plight.jammed

    def _switched(self, index: int, supplied: bool, at: float) -> None:
        if index in self.plight.welded and not supplied:
            self.event(EventCode.ACTUATOR_FAULT, True, at, index)       # its feedback says that the load is still on
            return
        self.switched_off += not supplied
        self.outputs.on_supply(self._wired_as(index), supplied, at)

    def _allowed(self, index: int, level_w: float, eco: bool, at: float) -> None:
        self.outputs.on_allowance(self._wired_as(index), level_w, eco, at)

    def _wired_as(self, index: int) -> int:
        """The EUI by which the world knows what hangs at a module: that of the first one there."""
        return self._wired.get(index, self._all[self._place[index]].eui)

    # --------------------------------------------------------------------------------------- who is there
    @property
    def generation(self) -> int:
        return max(self.generations)

    @property
    def modules(self) -> tuple[SimModule, ...]:
        return self.generations[self.generation]

    def entries(self, modules: tuple[SimModule, ...]) -> tuple[ModuleEntry, ...]:
        return tuple(
            ModuleEntry(
                module.index, self.plight.twins.get(module.index, module.eui), module.channels, module.adapter,
                int(self.mesh.level[place]), max(0, int(self.mesh.parent[place])), round(float(self.mesh.rssi[place])),
            ) if module.index not in self._unheard else ModuleEntry(
                module.index, module.eui, module.channels, module.adapter
            )
            for module in modules for place in (self._place[module.index],)
        )

    def absent(self, index: int, first: int, last: int, every: int = 1_000_000) -> None:
        """Plan that a module cannot be reached in the hours [first, last), and then every `every` hours again."""
        self._absences.append(Absence(index, first, last, every))

    def hole(self, index: int, first: int, last: int, *, kept: bool = True) -> None:
        """Plan that a module's hours [first, last) do not arrive: it keeps them until it is asked, or they are lost."""
        self._holes.append(Hole(index, first, last, kept))

    def fetched(self, indices: Container[int], first: int, hours: int) -> tuple[Profile, ...]:
        """What modules themselves still have of some hours; only where the radio reaches them."""
        return tuple(
            one for index, kept in self._kept.items() if index in indices for one in kept
            if first <= one.first_hour < first + hours
        )

    def is_reachable(self, index: int, at: float) -> bool:
        away = index in self.plight.away or any(one.covers(index, int(at // HOUR_S)) for one in self._absences)
        return not away

    def _present(self, at: float) -> tuple[SimModule, ...]:
        return tuple(module for module in self._all if module.joins_at <= at and module.index not in self._gone)

    def join(self, at: float) -> None:
        """Modules whose time has come announce themselves; one that nobody put on the list joins by discovery alone."""
        there, awaited = {one.index for one in self.modules}, set(self._awaited.values())
        present = tuple(
            one for one in self._present(at)
            if self.configuration.discovers or one.index in there or one.eui in awaited
        )
        if len(present) == len(self.modules):
            return
        new = present[len(self.modules):] if present[: len(self.modules)] == self.modules else tuple(
            module for module in present if module not in self.modules
        )
        self._come(new)
        self.generations[self.generation + 1] = present
        if self.listener is not None:
            self.listener.modules_joined(new)
        self._tree_grew()

    # ----------------------------------------------------------------------------------- what was measured
    def close_hour(
        self,
        hour: int,
        eui: NDArray[np.uint64],
        channel: NDArray[np.uint8],
        register: NDArray[np.int64],
        pulses: NDArray[np.int64],
        status: NDArray[np.uint8],
    ) -> None:
        """An hour is over: the modules that can be reached deliver it, the others keep it."""
        ended = (hour + 1) * HOUR_S
        self.join(ended)
        mine = np.array([int(one) in self._by_eui for one in eui], dtype=bool)
        index = np.array([self._by_eui[int(one)].index for one in eui[mine]], dtype=np.int64)
        now_there = {module.index for module in self.modules}
        away = {one.index for one in self._absences if one.covers(one.index, hour)} | self.plight.away
        bent = self.plight.bend(
            index, channel[mine], (register[mine], pulses[mine], status[mine].astype(np.uint8))
        )
        if self._bases:
            places = zip(index.tolist(), channel[mine].tolist(), strict=True)
            bases = np.array([self._bases.get(place, 0) for place in places], dtype=np.int64)
            bent = ((bent[0] - bases) % WRAP, *bent[1:])
        columns = (index, channel[mine], *bent)
        ends = (bent[0] + bent[1]).tolist()
        self._registers.update(zip(zip(index.tolist(), channel[mine].tolist(), strict=True), ends, strict=True))
        lost = {hole.index: hole for hole in self._holes if hole.covers(hole.index, hour)}
        for gone in sorted(hole.index for hole in lost.values() if hole.kept):
            rows = [one[index == gone] for one in columns]
            self._kept.setdefault(gone, []).append(self._hour(hour, rows))
        for absent in sorted(away - lost.keys()):
            self._keep(absent, hour, columns)
        for back in sorted(set(self._waiting) - away):
            self._deliver_late(back, columns, ended)
        deliver = np.array([one in now_there and one not in away and one not in lost for one in index.tolist()], dtype=bool)
        if deliver.any():
            rows = [one[deliver] for one in columns]
            self._append(self._hour(hour, rows))
            self._repeat(hour, rows)
        if ended % DAY_S == 0:
            self._moved_today.clear()
        if self.listener is not None:
            self.listener.link_stats(ended)
            if ended % DAY_S == 0:
                self.listener.overheard(ended)

    def _repeat(self, hour: int, rows: list[NDArray[Any]]) -> None:
        """A module's clock went back: it delivers this hour once more, as if it were the one before."""
        mine = np.isin(rows[0], list(self.plight.repeats))
        self.plight.repeats.clear()
        if mine.any():
            again = self._hour(hour - 1, [one[mine] for one in rows])
            adjusted = again.status | np.uint8(IntervalStatus.CLOCK_ADJUSTED)
            self._append(attrs.evolve(again, counts=again.counts + 1, status=adjusted))

    def _hour(self, hour: int, rows: list[NDArray[np.generic]]) -> Profile:
        return Profile(
            hour, rows[0].astype(np.uint16), rows[1].astype(np.uint8), rows[2].astype(np.int64),
            rows[3].astype(np.int64)[:, None], rows[4].astype(np.uint8)[:, None], generation=self.generation,
        )

    def _keep(self, index: int, hour: int, columns: tuple[NDArray[np.generic], ...]) -> None:
        rows = columns[0] == index
        _, _, register, pulses, status = (one[rows] for one in columns)
        if index not in self._waiting:
            self._waiting[index] = _Waiting(hour, register.astype(np.int64))
            self.event(EventCode.MODULE_LOST, True, hour * HOUR_S, index)
        self._waiting[index].pulses.append(pulses.astype(np.int64))
        self._waiting[index].status.append(status.astype(np.uint8))

    def _deliver_late(self, index: int, columns: tuple[NDArray[np.generic], ...], now: float) -> None:
        kept = self._waiting.pop(index)
        rows = columns[0] == index
        self._append(Profile(
            kept.first, columns[0][rows].astype(np.uint16), columns[1][rows].astype(np.uint8), kept.registers,
            np.stack(kept.pulses, axis=1), np.stack(kept.status, axis=1), generation=self.generation,
        ))
        self.event(EventCode.MODULE_LOST, False, now, index)

    def _append(self, profile: Profile) -> None:
        if self.plight.clock_lost:
            self._misdated.append(profile)
            behind = int(self.plight.clock_lost // HOUR_S)
            doubt = MISDATED if behind > 0 else np.uint8(0)         # one that ran ahead does not know it
            profile = attrs.evolve(profile, first_hour=profile.first_hour - behind, status=profile.status | doubt)
        for record in self.archive.append(profile):
            self.outputs.on_record(record)
        if bool(self.archive.lost) is not self._archive_full:
            self._archive_full = True
            self.event(EventCode.ARCHIVE_FULL, True, (profile.first_hour + profile.counts.shape[1]) * HOUR_S)
        if self.listener is not None:
            self.listener.records_added()

    @property
    def owed_since(self) -> int | None:
        """First hour that the server does not hold yet of a module that joined; None when it holds everything."""
        waiting = [one.first for one in self._waiting.values()]
        archived = self.archive.owed_since()
        return min([*waiting, *([] if archived is None else [archived])], default=None)

    def acknowledge(self, cursor: int) -> None:
        if self.archive.acknowledge(cursor):
            self.outputs.on_acknowledged(self.archive.acknowledged)

    # -------------------------------------------------------------------------------------------- what happened
    def event(self, code: EventCode, raised: bool, at: float, index: int = 0, channel: int = 255) -> None:
        """Enter an event; it is told until it is acknowledged."""
        self._sequence += 1
        lost = self.plight.clock_lost
        self.events.append(Event(self._sequence, int(code), raised, int(at - lost), lost <= 0, index, channel))
        del self.events[:-EVENTS_KEPT]
        if self.listener is not None:
            self.listener.events_added()

    def _tell(self, message: Message) -> None:
        """News that are lost without a session: the server asks when it is back."""
        if self.listener is not None:
            self.listener.told(message)

    def has_module(self, eui: int) -> bool:
        return any(module.eui == eui for module in self.modules)

    def sends(self, eui: int, at: float) -> bool:
        """Whether a module's packets are in the air, whoever hears them."""
        module = self._by_eui.get(eui)
        return module is not None and module in self.modules and self.is_reachable(module.index, at)

    def index_of(self, eui: int) -> int | None:
        module = self._by_eui.get(eui)
        return None if module is None else module.index

    def _report(self, report: CommandReport) -> None:
        self._owed[report.command_id] = report
        while len(self._owed) > REPORTS_KEPT:
            del self._owed[next(iter(self._owed))]
        if self.listener is not None:
            self.listener.reported(report)

    @property
    def owed_reports(self) -> tuple[CommandReport, ...]:
        """The latest report of every command that the server has not taken yet."""
        return tuple(self._owed.values())

    def taken(self, report: CommandReport) -> None:
        """The server has this report; a later one of the same command is still owed."""
        if self._owed.get(report.command_id) == report:
            del self._owed[report.command_id]

    # ------------------------------------------------------------------------------------------- how it stands
    def topology(self, now: float) -> tuple[Topology, ...]:
        return network.snapshot(self._trees, self._places, now, self.max_frame)

    def link_stats(self, now: float) -> tuple[LinkStats, ...]:
        wobble = self._noise.normal(0.0, 1.0, len(self.mesh.index))
        indices = [module.index for module in self.modules]
        return network.link_stats(
            indices, self.mesh, (wobble, self.crystals.offsets(now)), now, lambda index: self._heard(index, now),
            self._moved_today, self.max_frame,
        )

    def overheard(self, now: float) -> tuple[Overheard, ...]:
        return network.overheard(self.strangers, now, self.max_frame) if self.strangers else ()

    def _standing(self) -> network.Places:
        """Where the modules stand; nobody knows it of one that was not heard yet."""
        return network.places((module.index for module in self.modules if module.index not in self._unheard), self.mesh)

    def _tree_grew(self) -> None:
        """Compare with how it stood before, and let it be told."""
        before, self._places = self._places, self._standing()
        if self._places == before:
            return
        self._trees += 1
        for index, place in self._places.items():
            self._moved_today[index] = self._moved_today.get(index, 0) + (before.get(index, place)[0] != place[0])
        if self.listener is not None:
            self.listener.tree_changed()

    @property
    def tree(self) -> tuple[int, network.Places]:
        """Its generation, and who hangs where."""
        return self._trees, self._places

    def tree_news(self, told: tuple[int, network.Places], now: float) -> tuple[Topology | TopologyDelta, ...]:
        """What changed since a tree that was told; the whole, where that is too much for a frame."""
        news = network.delta(*told, *self.tree, now, self.max_frame)
        return self.topology(now) if news is None else (news,)

    def _register(self, index: int, channel: int) -> int | None:
        """What a channel has counted: up to now where the world says so, else up to the end of the last hour."""
        if self.outputs.register is not None:
            eui = self._wired.get(index, self._all[self._place[index]].eui)
            return (self.outputs.register(eui, channel) - self._bases.get((index, channel), 0)) % WRAP
        return self._registers.get((index, channel))

    def _read(self, result: ReadResult) -> None:
        if self.listener is not None:
            self.listener.read(result)

    def sensed(self, samples: tuple[Sample, ...]) -> None:
        """Sensors have spoken; nobody keeps what no server hears."""
        there = {0, *(module.index for module in self.modules)}
        now = tuple(one for one in samples if one.index in there and self.is_reachable(one.index, one.time))
        if now and self.listener is not None:
            self.listener.sensed(now)

    def _heard(self, index: int, now: float) -> int:
        waiting = self._waiting.get(index)
        return waiting.first * HOUR_S if waiting else int(now)
