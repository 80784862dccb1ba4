"""Puts the district together: a world, two concentrators and a meter that all live on one site clock.

Everything happens in order of site time: before a module switches its load, the world is brought up to that instant;
when an hour ends, the concentrators get it. How often `run_until` is called changes nothing.
"""

from collections.abc import Mapping
from typing import Final

import attrs
import numpy as np

from scada.clock import HOUR_S, NS
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.archive import Record
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule
from scada.events import EventCode
from scada.simulate.district import ConcentratorSpec, District
from scada.simulate.site import ACTUATOR_ADAPTER
from scada.simulate.truth import TruthWriter
from scada.simulate.world import ClosedHour, World

JOINS_AFTER_H: Final = 1                    # the last module of the district announces itself while one looks
WEAK_AFTER_H: Final = 2                     # hours until the weak battery is noticed


class Field:
    """A district in motion and what its devices say about it. All times are site time. [ns since 1970]"""

    def __init__(
        self, world: World, keys: Mapping[int, bytes], archive_ids: Mapping[int, int], truth: TruthWriter, boot_id: int = 1
    ) -> None:
        self.world, self._truth = world, truth
        self._euis = {
            one.link_id: {module.index: module.eui for module in one.modules} for one in world.district.concentrators
        }
        self.concentrators: tuple[ConcentratorState, ...] = tuple(
            self._concentrator(spec, keys[spec.link_id], archive_ids[spec.link_id], boot_id)
            for spec in world.district.concentrators
        )
        self._plan_episodes(world.district)

    def run_until(self, to: int) -> None:
        """Let everything happen up to `to`, in its order."""
        while (due := self._next_due()) is not None and due * NS <= to:
            self._advance(round(due * NS))
            for one in self.concentrators:
                one.control.run(due)
        self._advance(to)

    def _next_due(self) -> float | None:
        return min((due for one in self.concentrators if (due := one.control.next_due) is not None), default=None)

    def _advance(self, to: int) -> None:
        self.world.advance(to)
        for closed in self.world.closed_hours():
            self._close(closed)

    def _close(self, closed: ClosedHour) -> None:
        world, end = self.world, (closed.hour + 1) * HOUR_S
        self._truth.hour(closed.hour, world.eui, world.channel, closed.pulses)
        self._notice(closed, end)
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

    def _concentrator(self, spec: ConcentratorSpec, key: bytes, archive_id: int, boot_id: int) -> ConcentratorState:
        world = self.world
        last = world.district.modules[-1].eui
        started = float(world.at // NS)
        modules = tuple(
            SimModule(
                module.index, module.eui, len(module.channels),
                ACTUATOR_ADAPTER if module.actuator else "",
                None if module.actuator is None else Actuator(
                    module.actuator.load_class, module.actuator.never, module.actuator.manual_restore
                ),
                started + JOINS_AFTER_H * HOUR_S if module.eui == last and not module.registered else started,
            )
            for module in spec.modules
        )
        weak = next((one.index for one in spec.modules if one.eui == world.district.weak_battery), None)
        outputs = Outputs(
            on_supply=self._switch,
            on_record=lambda record: self._recorded(spec.link_id, archive_id, record),
            on_acknowledged=lambda cursor: self._truth.acknowledged(spec.link_id, archive_id, cursor),
        )
        return ConcentratorState(
            spec.link_id, key, modules, started=started, archive_id=archive_id, boot_id=boot_id,
            seed=world.district.seed, weak_battery=weak, outputs=outputs,
        )

    def _plan_episodes(self, district: District) -> None:
        lost, start = district.lost, self.world.start_hour
        for one in self.concentrators:
            if (index := one.index_of(lost.eui)) is not None:
                one.absent(index, start + lost.after, start + lost.after + lost.hours, every=lost.every)

    def _switch(self, eui: int, supplied: bool, at: float) -> None:
        self.world.switch(eui, supplied)
        self._truth.load(eui, supplied, int(at))

    def _recorded(self, link_id: int, archive_id: int, record: Record) -> None:
        euis, profile = self._euis[link_id], record.profile
        eui = np.array([euis[int(index)] for index in profile.index], dtype=np.uint64)
        self._truth.record(link_id, archive_id, record.number, profile.first_hour, eui, profile.channel, profile.counts)


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
        return values | {
            "power_active_total": float(reading.active.sum()),
            "current_neutral": reading.neutral_current,
            "frequency": reading.frequency,
            "energy_import": float(reading.energy_import.sum()),
            "energy_export": float(reading.energy_export.sum()),
        }
