"""What really happens in the district, in site time: power, pulses and energy that all come from one integral.

Powers are whole milliwatts and flows whole microlitres per second, constant between two changes; time runs in whole
milliseconds. So energies are exact integers, and how often `advance` is called changes nothing.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.intervals import IntervalStatus
from scada.simulate.district import District, LoadKind, make_district
from scada.simulate.grid import TransformerReading, read_transformer
from scada.simulate.households import Households, StochasticHouseholds
from scada.simulate.profiles import MeasuredDay, MeasuredHouseholds
from scada.simulate.water import Flows
from scada.simulate.wiring import Lines
from scada.site import Medium

Ints = NDArray[np.int64]

ECO_SHARE: Final = 0.5                  # of its rated power that a load draws in economy
STEP_S: Final = 10                          # appliances change on this grid of site time
EPOCH_H: Final = 490_896                    # 2026-01-01T00Z: registers look as if they had run since then
UTC_OFFSET_S: Final = 2 * HOUR_S            # people live by local time
NL_PER_L: Final = 1_000_000_000             # flow in µl/s, times ms, is nl
UJ_PER_KWH: Final = 3_600_000_000_000       # power in mW, times ms, is µJ
CATCH_UP_H: Final = 14 * 24                 # of a long sleep so many hours are lived, and are in the modules' archives
ENTRY_LOSS_L_PER_H: Final = 6.0             # every building loses a little between its entry and its flats


@attrs.frozen(eq=False)
class ClosedHour:
    """What every channel counted in one hour, as its module knows it."""

    hour: int                               # h since 1970
    register: Ints                          # (channels,) pulses at the start of the hour
    pulses: Ints                            # (channels,)
    status: NDArray[np.uint8]               # (channels,) `IntervalStatus`

    def memory(self) -> list[Any]:
        """As JSON."""
        return [self.hour, self.register.tolist(), self.pulses.tolist(), self.status.tolist()]

    @classmethod
    def recalled(cls, memory: list[Any]) -> "ClosedHour":
        hour, register, pulses, status = memory
        return cls(hour, np.array(register, np.int64), np.array(pulses, np.int64), np.array(status, np.uint8))


class World:
    """The district in motion. `eui` and `channel` name the entries of every array over channels."""

    def __init__(self, district: District, start_hour: int, day: MeasuredDay | None = None) -> None:
        self.district, self.start_hour = district, start_hour
        self._rng = rng = np.random.default_rng([district.seed, 2])
        self._consumers = district.consumers
        place = {one.name: number for number, one in enumerate(self._consumers)}
        modules = district.modules
        channels = [(module, number, one) for module in modules for number, one in enumerate(module.channels)]
        self.eui = np.array([module.eui for module, _, _ in channels], dtype=np.uint64)
        self.channel = np.array([number for _, number, _ in channels], dtype=np.uint8)
        self.medium = tuple(one.medium for _, _, one in channels)
        media = np.array([one.medium.value for _, _, one in channels])
        self._electric = np.flatnonzero(media == Medium.ELECTRICITY.value)
        self._wet = np.flatnonzero(media == Medium.WATER.value)
        self._gassy = np.flatnonzero(media == Medium.GAS.value)
        self._whose = np.array([place.get(one.consumer, -1) for _, _, one in channels])
        self._entry_of = np.array([one.entry_of for _, _, one in channels])
        self._buildings = np.array([one.building for one in self._consumers])
        self._has_water = np.zeros(len(self._consumers), dtype=bool)
        wet_consumers = self._whose[self._wet]
        self._has_water[wet_consumers[wet_consumers >= 0]] = True
        self._per_pulse = np.array(
            [
                UJ_PER_KWH // one.pulses_per_unit if one.medium is Medium.ELECTRICITY
                else 1000 * NL_PER_L // one.pulses_per_unit
                for _, _, one in channels
            ],
            dtype=np.int64,
        )
        self._factor = np.array([round(self._consumers[n].meter_factor * 100) for n in self._whose[self._electric]])
        self._share = np.array(
            [[one.phases == "L1L2L3" or one.phases == phase for phase in ("L1", "L2", "L3")] for one in self._consumers],
            dtype=np.float64,
        )
        self._share /= np.maximum(self._share.sum(axis=1, keepdims=True), 1.0)
        self._lines = Lines(district, self._consumers, self._share)

        actuators = {
            module.channels[0].consumer: module.actuator for module in modules if module.actuator is not None
        }
        loads: dict[str, tuple[LoadKind, float]] = {name: (one.kind, one.rated_w) for name, one in actuators.items()}
        self._load_of = {module.eui: place[module.channels[0].consumer] for module in modules if module.actuator}
        self.supplied = np.ones(len(self._consumers), dtype=bool)
        self._whole = {
            module.eui: (module.supply.medium, place[channel.consumer]) for module in modules if module.supply is not None
            for channel in module.channels if channel.medium is module.supply.medium
        }
        self.cut = {medium: np.zeros(len(self._consumers), dtype=bool) for medium in (Medium.ELECTRICITY, Medium.WATER)}
        self._rated = np.array([loads.get(one.name, (None, 0.0))[1] for one in self._consumers])
        self._allowed = np.ones(len(self._consumers))              # share of it that a limit or economy leaves
        names = tuple(one.name for one in self._consumers)
        self._households: Households = (
            StochasticHouseholds(self._consumers, loads, rng) if day is None else MeasuredHouseholds(day, names, loads)
        )
        self._flows = Flows(self._consumers, rng)

        age = max(start_hour - EPOCH_H, 0)
        mean = np.select([media == Medium.ELECTRICITY.value, media == Medium.WATER.value], [0.35, 0.008], 0.01)
        constant = np.array([one.pulses_per_unit for _, _, one in channels])
        self.registers: Ints = (age * mean * constant).astype(np.int64) + rng.integers(0, 1000, len(channels))
        self._remainder = np.zeros(len(channels), dtype=np.int64)
        self._hour_registers = self.registers.copy()
        self._row_of = {
            (int(eui), int(channel)): row for row, (eui, channel) in enumerate(zip(self.eui, self.channel, strict=True))
        }
        self._transformer_uj = [round(age * 0.35 * len(self._electric) / 3 * UJ_PER_KWH)] * 3
        self.used_uj = np.zeros(len(self._consumers), dtype=np.int64)   # what each consumer really used since the start
        self.lost_uj = 0                                                # technical losses since the start

        self._at_ms = start_hour * HOUR_S * 1000
        self._closed: list[ClosedHour] = []
        self._refresh(step=True)

    @property
    def at(self) -> int:
        """How far the world has come. [ns since 1970, site time]"""
        return self._at_ms * (NS // 1000)

    @property
    def identity(self) -> str:
        """Tells this district from others: who is metered by what, and the seed of it all."""
        named = (self.district.seed, self.eui.tolist(), self.channel.tolist(), [one.name for one in self._consumers])
        return hashlib.sha256(repr(named).encode()).hexdigest()[:16]

    def advance(self, to: int) -> None:
        """Integrate up to `to` [ns since 1970, site time]; going back does nothing."""
        target = to * 1000 // NS
        while self._at_ms < target:
            edge = (self._at_ms // (STEP_S * 1000) + 1) * STEP_S * 1000
            until = min(edge, target)
            self._integrate(until - self._at_ms)
            self._at_ms = until
            if until % (HOUR_S * 1000) == 0:
                self._close_hour(until // (HOUR_S * 1000) - 1)
            if until == edge:
                self._refresh(step=True)

    def closed_hours(self) -> tuple[ClosedHour, ...]:
        """Hours that ended since the last call, oldest first."""
        closed, self._closed = tuple(self._closed), []
        return closed

    def switch(self, eui: int, supplied: bool) -> None:
        """A module's actuator switched its secondary load; takes effect at `at`."""
        self.supplied[self._load_of[eui]] = supplied
        self._refresh(step=False)

    def connect(self, eui: int, on: bool) -> None:
        """The whole supply behind a module comes or goes; takes effect at `at`."""
        medium, consumer = self._whole[eui]
        self.cut[medium][consumer] = not on
        self._refresh(step=False)

    def limit(self, eui: int, level_w: float, eco: bool) -> None:
        """A module keeps its secondary load to a level [W, inf = none], or has it economise, from now on."""
        place = self._load_of[eui]
        share = min(1.0, level_w / self._rated[place]) if self._rated[place] else 1.0
        self._allowed[place] = min(share, ECO_SHARE) if eco else share
        self._refresh(step=False)

    @property
    def _drawing(self) -> NDArray[np.float64]:
        """Share of its secondary load that each consumer's module lets through."""
        return self.supplied * self._allowed

    def register(self, eui: int, channel: int) -> int:
        """Pulses that a channel has counted up to now."""
        return int(self.registers[self._row_of[eui, channel]])

    def status(self, hour: int) -> NDArray[np.uint8]:
        """What the modules notice in an hour, (channels,)."""
        magnet = self.district.magnet
        noticed = (self.eui == np.uint64(magnet.eui)) & magnet.covers(hour, self.start_hour)
        return np.where(noticed, np.uint8(IntervalStatus.MAGNET), np.uint8(0)).astype(np.uint8)

    def transformer(self) -> TransformerReading:
        """What the meter at the transformer shows now."""
        energy = np.array([one / UJ_PER_KWH for one in self._transformer_uj])
        return read_transformer(self._active_mw / 1000.0, energy, self._at_ms / 1000.0)

    @property
    def transformer_uj(self) -> tuple[int, int, int]:
        """Energy through the transformer meter, per phase, exactly. [µJ]"""
        first, second, third = self._transformer_uj
        return first, second, third

    @property
    def consumer_w(self) -> NDArray[np.float64]:
        """What each consumer really draws now. [W]"""
        return self._used_mw / 1000.0

    def memory(self) -> dict[str, Any]:
        """All that has changed since the start, as JSON; the numbers come back exactly."""
        return {
            "start_hour": self.start_hour, "at_ms": self._at_ms, "random": self._rng.bit_generator.state,
            "households": self._households.memory(), "flows": self._flows.memory(),
            "supplied": self.supplied.tolist(), "allowed": self._allowed.tolist(),
            "registers": self.registers.tolist(), "remainder": self._remainder.tolist(),
            "hour_registers": self._hour_registers.tolist(), "transformer_uj": self._transformer_uj,
            "used_uj": self.used_uj.tolist(), "lost_uj": self.lost_uj,
            "cut": {medium.value: one.tolist() for medium, one in self.cut.items()},
        }

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from what `memory` gave."""
        self.start_hour, self._at_ms = int(memory["start_hour"]), int(memory["at_ms"])
        self._rng.bit_generator.state = memory["random"]
        self._households.recall(memory["households"])
        self._flows.recall(memory["flows"])
        self.supplied = np.array(memory["supplied"], dtype=bool)
        self._allowed = np.array(memory.get("allowed", self._allowed), dtype=np.float64)
        self.registers = np.array(memory["registers"], dtype=np.int64)
        self._remainder = np.array(memory["remainder"], dtype=np.int64)
        self._hour_registers = np.array(memory["hour_registers"], dtype=np.int64)
        self._transformer_uj = [int(one) for one in memory["transformer_uj"]]
        self.used_uj, self.lost_uj = np.array(memory["used_uj"], dtype=np.int64), int(memory["lost_uj"])
        for medium, one in memory.get("cut", {}).items():   # a memory of an earlier version has none
            self.cut[Medium(medium)] = np.array(one, dtype=bool)
        self._refresh(step=False)

    def sleep(self, to: int) -> None:
        """Of a very long sleep only the last days are lived; before them everything runs on as it stood, in no archive."""
        awake = (to // (NS * HOUR_S) - CATCH_UP_H) * HOUR_S * 1000
        if self._at_ms < awake:
            self._integrate(awake - self._at_ms)
            self._at_ms, self._hour_registers = awake, self.registers.copy()

    def _refresh(self, *, step: bool) -> None:
        """Work out the constant powers and flows that hold until the next change."""
        if step:
            local = self._at_ms // 1000 + UTC_OFFSET_S
            self._households.step(local, STEP_S, self._drawing)
            self._flows.step(local, STEP_S)
        drawn = np.where(self.cut[Medium.ELECTRICITY], 0.0, self._households.power(self._drawing))
        self._used_mw: Ints = np.rint(drawn * 1000.0).astype(np.int64)
        used = self._used_mw / 1000.0
        sums = used @ self._share
        lost = np.rint(self._lines.losses(used) * 1000.0).astype(np.int64)
        self._lost_mw = int(lost.sum())
        self._active_mw: Ints = np.rint(sums * 1000.0).astype(np.int64) + lost
        rate = np.zeros(len(self.eui), dtype=np.int64)
        rate[self._electric] = self._used_mw[self._whose[self._electric]] * self._factor // 100
        water = np.where(self._has_water & ~self.cut[Medium.WATER], self._flows.water, 0.0) * (1e6 / HOUR_S)
        owners = self._whose[self._wet]
        rate[self._wet] = np.rint(water[owners]).astype(np.int64)
        for entry in self._wet[owners < 0]:
            whole = water[self._buildings == self._entry_of[entry]].sum() + ENTRY_LOSS_L_PER_H * 1e6 / HOUR_S
            rate[entry] = round(float(whole))
        rate[self._gassy] = np.rint(self._flows.gas[self._whose[self._gassy]] * (1e6 / HOUR_S)).astype(np.int64)
        self._rate = rate

    def _integrate(self, ms: int) -> None:
        whole, self._remainder = np.divmod(self._remainder + self._rate * ms, self._per_pulse)
        self.registers = self.registers + whole
        self._transformer_uj = [
            energy + int(power) * ms for energy, power in zip(self._transformer_uj, self._active_mw, strict=True)
        ]
        self.used_uj += self._used_mw * ms
        self.lost_uj += self._lost_mw * ms

    def _close_hour(self, hour: int) -> None:
        self._closed.append(
            ClosedHour(hour, self._hour_registers, self.registers - self._hour_registers, self.status(hour))
        )
        self._hour_registers = self.registers.copy()


def make_world(seed: int, start_hour: int, day: MeasuredDay | None = None) -> World:
    """The default district, or the one of a measured day, from the start of an hour on."""
    return World(make_district(seed, day.customers if day else ()), start_hour, day)
