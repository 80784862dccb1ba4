"""Puts the district together: a world, two concentrators and a meter that all live on one site clock.

Everything happens in order of site time: before a module switches its load, the world is brought up to that instant;
when an hour ends, the concentrators get it. How often `run_until` is called changes nothing.
"""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import permutations
from typing import Any, Final

import attrs
import numpy as np

from scada.clock import HOUR_S, NS
from scada.drivers.dmesh.keyring import Ring
from scada.drivers.dmesh.simulator import network, radio
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.archive import Record
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule
from scada.drivers.dmesh.simulator.supply import SupplyActuator
from scada.events import EventCode
from scada.simulate import sensors
from scada.simulate.district import ConcentratorSpec, District
from scada.simulate.site import adapter_of
from scada.simulate.truth import TruthWriter
from scada.simulate.world import ClosedHour, World
from scada.site import Medium

JOINS_AFTER_H: Final = 1                    # the last module of the district announces itself while one looks
SIDES: Final = ("l1_l2", "l2_l3", "l3_l1")
WEAK_AFTER_H: Final = 2                     # hours until the weak battery is noticed
HEARD_DBM: Final = -103.0                   # from where on a packet of the next house is understood now and then
KEPT_H: Final = 24 * 62                     # hours that a restart does not lose while no server takes them


class Field:
    """A district in motion and what its devices say about it. All times are site time. [ns since 1970]"""

    def __init__(
        self, world: World, keys: Mapping[int, bytes | Ring], archive_ids: Mapping[int, int], truth: TruthWriter,
        boot_id: int = 1, max_frame: int = 4096,
    ) -> None:
        self.world, self._truth, self._max_frame = world, truth, max_frame
        self.remember: Callable[[], None] = lambda: None    # called before anybody is told what `memory` now holds
        self._kept: deque[ClosedHour] = deque(maxlen=KEPT_H)
        self.concentrators: tuple[ConcentratorState, ...] = tuple(
            self._concentrator(spec, keys[spec.link_id], archive_ids[spec.link_id], boot_id)
            for spec in world.district.concentrators
        )
        for one in self.concentrators:
            one.keep_list = lambda: self.remember()
        self._plan_episodes(world.district)
        self._let_overhear()
        self._sense_at = sensors.next_after(world.at // NS)

    def run_until(self, to: int) -> None:
        """Let everything happen up to `to`, in its order."""
        while (due := self._next_due()) * NS <= to:
            self._advance(round(due * NS))
            for one in self.concentrators:
                one.control.run(due)
                one.firmware.run(due)
            if due >= self._sense_at:
                self._sense()
        self._advance(to)

    def _sense(self) -> None:
        supply = float(self.world.transformer().voltage[0])
        for spec, one in zip(self.world.district.concentrators, self.concentrators, strict=True):
            one.sensed(sensors.read(spec, self._sense_at, supply))
        self._sense_at = sensors.next_after(self._sense_at)

    def memory(self) -> dict[str, Any]:
        """What must survive the simulator, as JSON: the world, what the modules hold, hours that no server holds yet."""
        return {
            "world": self.world.memory(),
            "loads": {str(one.link_id): one.control.memory() for one in self.concentrators},
            "lists": {str(one.link_id): one.list_memory() for one in self.concentrators},
            "supplies": {str(one.link_id): one.singles.memory() for one in self.concentrators},
            "hours": [one.memory() for one in self._kept],
            "firmware": {str(one.link_id): one.firmware.memory() for one in self.concentrators},
        }

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from what `memory` gave; the world was recalled before. What is delivered twice is the same twice."""
        for one in self.concentrators:
            if (kept := memory.get("lists", {}).get(str(one.link_id))) is not None:
                one.recall_list(kept)
            one.control.recall(memory["loads"][str(one.link_id)], self.world.at / NS)
            one.firmware.recall(memory.get("firmware", {}).get(str(one.link_id), {}))
            one.singles.recall(memory.get("supplies", {}).get(str(one.link_id), {}), self.world.at / NS)
        for closed in map(ClosedHour.recalled, memory["hours"]):
            self._kept.append(closed)
            self._deliver(closed)

    def _next_due(self) -> float:
        switching = (due for one in self.concentrators if (due := one.control.next_due) is not None)
        updating = (due for one in self.concentrators if (due := one.firmware.next_due) is not None)
        return min([self._sense_at, *switching, *updating])

    def _advance(self, to: int) -> None:
        self.world.advance(to)
        ended = self.world.closed_hours()
        if ended:
            self._forget_delivered()
            self._kept.extend(ended)
            self.remember()
        for closed in ended:
            self._notice(closed, (closed.hour + 1) * HOUR_S)
            self._deliver(closed)

    def _forget_delivered(self) -> None:
        owed = [first for one in self.concentrators if (first := one.owed_since) is not None]
        while self._kept and self._kept[0].hour < min(owed, default=self._kept[0].hour + 1):
            self._kept.popleft()

    def _deliver(self, closed: ClosedHour) -> None:
        world = self.world
        self._truth.hour(closed.hour, world.eui, world.channel, closed.pulses)
        for one in self.concentrators:
            one.close_hour(closed.hour, world.eui, world.channel, closed.register, closed.pulses, closed.status)

    def _notice(self, closed: ClosedHour, end: int) -> None:
        """Events that come with the hour: the magnet, and the battery that grows weak."""
        district, start = self.world.district, self.world.start_hour
        before = district.magnet.covers(closed.hour - 1, start)
        if district.magnet.covers(closed.hour, start) != before:
            self._event(district.magnet.eui, EventCode.MAGNET, not before, closed.hour * HOUR_S)
        if closed.hour + 1 == start + WEAK_AFTER_H:
            self._event(district.weak_battery, EventCode.BATTERY_LOW, True, end)

    def _event(self, eui: int, code: EventCode, raised: bool, at: int) -> None:
        for one in self.concentrators:
            if (index := one.index_of(eui)) is not None:
                one.event(code, raised, at, index)

    def _concentrator(self, spec: ConcentratorSpec, key: bytes | Ring, archive_id: int, boot_id: int) -> ConcentratorState:
        world = self.world
        last = world.district.modules[-1].eui
        started, founded = float(world.at // NS), float(world.start_hour * HOUR_S)
        modules = tuple(
            SimModule(
                module.index, module.eui, len(module.channels),
                adapter_of(module),
                None if module.actuator is None else Actuator(
                    module.actuator.load_class, module.actuator.never, module.actuator.manual_restore
                ),
                founded + JOINS_AFTER_H * HOUR_S if module.eui == last and not module.registered else founded,
                None if module.supply is None else SupplyActuator(
                    manual=module.supply.medium is not Medium.ELECTRICITY, never=module.supply.never
                ),
            )
            for module in spec.modules
        )
        weak = next((one.index for one in spec.modules if one.eui == world.district.weak_battery), None)
        outputs = Outputs(
            on_supply=self._switch,
            on_whole_supply=self._connect,
            on_allowance=self._limit,
            on_record=lambda record: self._recorded(spec.link_id, record),
            on_acknowledged=lambda cursor: self._truth.acknowledged(
                spec.link_id, self._state(spec.link_id).archive.id, cursor
            ),
            register=world.register,
        )
        return ConcentratorState(
            spec.link_id, key, modules, started=started, founded=founded, archive_id=archive_id, boot_id=boot_id,
            seed=world.district.seed, max_frame=self._max_frame, weak_battery=weak, outputs=outputs,
        )

    def _let_overhear(self) -> None:
        """The houses stand side by side: some modules of each are heard in the other."""
        dice = np.random.default_rng([self.world.district.seed, 7])
        for here, there in permutations(self.concentrators, 2):
            mine, theirs = here.modules, there.modules
            arrives = radio.across(len(mine), len(theirs), radio.TEMPLATES["panel"], dice)
            here.strangers = network.strangers(
                arrives, [one.index for one in mine], [(one.eui, there.link_id) for one in theirs], HEARD_DBM,
                there.sends,
            )

    def _plan_episodes(self, district: District) -> None:
        lost, start = district.lost, self.world.start_hour
        for one in self.concentrators:
            if (index := one.index_of(lost.eui)) is not None:
                one.absent(index, start + lost.after, start + lost.after + lost.hours, every=lost.every)

    def _switch(self, eui: int, supplied: bool, at: float) -> None:
        self.world.switch(eui, supplied)
        self._truth.load(eui, supplied, int(at))
        self.remember()

    def _connect(self, eui: int, on: bool, at: float) -> None:
        self.world.connect(eui, on)
        self._truth.supply(eui, on, int(at))

    def _limit(self, eui: int, level_w: float, eco: bool, at: float) -> None:
        self.world.limit(eui, level_w, eco)
        self._truth.limit(eui, level_w, eco, int(at))
        self.remember()

    def _recorded(self, link_id: int, record: Record) -> None:
        state, profile = self._state(link_id), record.profile
        owners = {one.index: one.eui for one in state.entries(state.generations[profile.generation])}
        eui = np.array([owners[int(index)] for index in profile.index], dtype=np.uint64)
        self._truth.record(
            link_id, state.archive.id, record.number, profile.first_hour, eui, profile.channel, profile.counts
        )

    def _state(self, link_id: int) -> ConcentratorState:
        return next(one for one in self.concentrators if one.link_id == link_id)


@attrs.frozen
class MeterValues:
    """The transformer meter's points, by the names of its template."""

    field: Field

    def now(self) -> dict[str, float]:
        reading = self.field.world.transformer()
        per_phase = {
            "voltage_l{}_n": reading.voltage, "current_l{}": reading.current, "power_active_l{}": reading.active,
            "power_apparent_l{}": reading.apparent, "power_reactive_l{}": reading.reactive,
            "power_factor_l{}": reading.power_factor,
        }
        values = {
            name.format(phase): float(array[phase - 1]) for name, array in per_phase.items() for phase in (1, 2, 3)
        }
        sides = {f"voltage_{name}": float(volts) for name, volts in zip(SIDES, reading.sides, strict=True)}
        return values | sides | {
            "power_active_total": float(reading.active.sum()),
            "current_neutral": reading.neutral_current,
            "frequency": reading.frequency,
            "energy_import": float(reading.energy_import.sum()),
            "energy_export": float(reading.energy_export.sum()),
        }
