"""What is simulated: who lives where, on which phase, behind which module. Values only, made from a seed.

The district is small enough for objects; the arrays that move are in `scada.simulate.world`.
"""

import hashlib
import math
from enum import StrEnum
from typing import Any, Final

import attrs
import numpy as np

from scada.commands import LoadClass
from scada.site import Medium

MODULES_PER_CONCENTRATOR: Final = 60
MAX_MODULES: Final = 240                    # domain A1
MODULES: Final = (60, MAX_MODULES)          # of a concentrator, at least and at most
BUILDINGS: Final = (2, 40)                  # the same of a district
MOST: Final = 2_400                         # modules of a district: all of them hang at one transformer's meter
STRANGERS: Final = 2                        # the building whose last modules are in no site file
KVA_PER_MODULE: Final = 1.3
SIZES_KVA: Final = (160.0, 250.0, 400.0, 630.0, 1000.0, 1600.0, 2500.0)
PULSES_PER_KWH: Final = (1000, 3200)        # domain B1
WATER_PULSES_PER_M3: Final = 1000           # a litre a pulse
ENTRY_PULSES_PER_M3: Final = 100            # ten litres a pulse at the entry of a building
GAS_PULSES_PER_M3: Final = 100


class LoadKind(StrEnum):
    """Secondary loads that stand behind an actuator."""

    BOILER = "boiler"
    EV = "ev"
    AC = "ac"


class Use(StrEnum):
    """How a consumer lives: chooses the appliances."""

    FLAT = "flat"
    COMMON = "common needs"                 # lift, stairs, pumps of the house (domain C1, NGC)
    SHOP = "shop"


@attrs.frozen
class Consumer:
    """One customer, and what he draws from."""

    name: str
    title: str
    building: str
    phases: str                             # "L1" … or "L1L2L3"
    use: Use = Use.FLAT
    protected: bool = False
    meter_factor: float = 1.0               # what his electricity meter counts of what he uses; 0.6 = a thief
    leak_l_per_h: float = 0.0               # a tap that drips day and night
    gas: bool = False


@attrs.frozen
class Channel:
    """One pulse input: which meter counts what there."""

    medium: Medium
    consumer: str                           # "" for the entry meter of a building
    pulses_per_unit: int                    # per kWh or per m³
    entry_of: str = ""                      # building whose whole water it counts


@attrs.frozen
class Actuator:
    """The secondary load behind a module's relay, as the module itself was commissioned."""

    kind: LoadKind
    load_class: LoadClass
    rated_w: float
    never: bool = False
    manual_restore: bool = False


@attrs.frozen
class WholeSupply:
    """What switches the whole supply of one of a module's channels."""

    medium: Medium                          # electricity: a contactor; water: a valve, which only a hand opens again
    never: bool = False                     # the module refuses to switch it off for debt


@attrs.frozen
class ModuleSpec:
    """One radio module, its pulse inputs and its actuator."""

    eui: int
    index: int                              # subnet index 1-240
    channels: tuple[Channel, ...]
    building: str
    actuator: Actuator | None = None
    supply: WholeSupply | None = None
    registered: bool = True                 # False: left out of the site file, so that it is discovered


@attrs.frozen
class ConcentratorSpec:
    name: str
    link_id: int
    building: str
    modules: tuple[ModuleSpec, ...]


@attrs.frozen
class Episode:
    """Something that happens to one module, `hours` long, `after` hours from the start and then every day."""

    eui: int
    after: int                              # h from the start of the simulation
    hours: int
    every: int = 24

    def covers(self, hour: int, start: int) -> bool:
        since = hour - start - self.after
        return since >= 0 and since % self.every < self.hours


@attrs.frozen
class District:
    """Everything that exists, and what goes wrong in it."""

    seed: int
    transformer: str
    rated_kva: float
    consumers: tuple[Consumer, ...]
    concentrators: tuple[ConcentratorSpec, ...]
    lost: Episode
    magnet: Episode
    weak_battery: int                       # EUI

    @property
    def modules(self) -> tuple[ModuleSpec, ...]:
        return tuple(module for one in self.concentrators for module in one.modules)

    @property
    def thief(self) -> Consumer:
        return next(one for one in self.consumers if one.meter_factor < 1)

    @property
    def leaking(self) -> Consumer:
        return next(one for one in self.consumers if one.leak_l_per_h > 0)

    def __attrs_post_init__(self) -> None:
        for one in self.concentrators:
            if len(one.modules) > MAX_MODULES:
                raise ValueError(f"{one.name}: {len(one.modules)} modules; a subnet holds {MAX_MODULES}")


@attrs.frozen
class Customer:
    """A consumer as a loads file names it."""

    name: str
    phases: str


def make_district(
    seed: int = 1, customers: tuple[Customer, ...] = (), *, buildings: int = BUILDINGS[0],
    modules: int = MODULES_PER_CONCENTRATOR,
) -> District:
    """
    Two buildings or more under transformer T01, one concentrator each; the same seed makes the same district.

    Parameters
    ----------
    seed : int
        Chooses phases, constants and who steals; not what happens later.
    customers : tuple of Customer
        Consumers of electricity to use instead of flats of our own; the modules they do not need carry water and gas.
        Always in two buildings.
    buildings, modules : int
        How many buildings, and how many modules each concentrator has (`BUILDINGS`, `MODULES`).
    """
    within = BUILDINGS[0] <= buildings <= BUILDINGS[1] and MODULES[0] <= modules <= MODULES[1]
    if not within or buildings * modules > MOST:
        raise ValueError(f"{buildings} buildings of {modules} modules; expected {BUILDINGS}, {MODULES}, {MOST} in all")
    rng = np.random.default_rng([seed, 1])
    half = (len(customers) + 1) // 2
    parts = (customers[:half], customers[half:]) if customers else ((),) * buildings
    builders = [_Building(f"B{number}", number, part, modules, rng) for number, part in enumerate(parts, start=1)]
    for builder in builders:
        if customers:
            builder.build_customers()
        else:
            builder.build_flats()
    concentrators = tuple(
        ConcentratorSpec(f"C{builder.number:02}", 0xD0C00000 + builder.number, builder.name, tuple(builder.modules))
        for builder in builders
    )
    first, second = concentrators[:2]
    consumers = tuple(consumer for builder in builders for consumer in builder.consumers)
    powered = [
        channel.consumer for module in first.modules for channel in module.channels if channel.medium is Medium.ELECTRICITY
    ]
    thief = powered[12 % len(powered)]
    leaking = next(
        channel.consumer for module in second.modules if module.registered for channel in module.channels
        if channel.medium is Medium.WATER and channel.consumer and channel.consumer != thief
    )
    consumers = tuple(
        attrs.evolve(
            one,
            meter_factor=0.6 if one.name == thief else 1.0,
            leak_l_per_h=15.0 if one.name == leaking else 0.0,
        )
        for one in consumers
    )
    return District(
        seed=seed,
        transformer="T01",
        rated_kva=rated_for(len(concentrators) * modules),
        consumers=consumers,
        concentrators=concentrators,
        lost=Episode(first.modules[22].eui, after=3, hours=5),
        magnet=Episode(second.modules[8].eui, after=5, hours=1),
        weak_battery=first.modules[40].eui,
    )


def rated_for(modules: int) -> float:
    """Rated power of a transformer that carries so many homes with their loads: the next of the usual sizes. [kVA]"""
    needed = KVA_PER_MODULE * modules
    return next((size for size in SIZES_KVA if size >= needed), math.ceil(needed / SIZES_KVA[-1]) * SIZES_KVA[-1])


def eui_of(building: int, index: int) -> int:
    """A stable EUI-64 for a module of the district (locally administered range)."""
    tail = int.from_bytes(hashlib.sha256(f"scada district {building} {index}".encode()).digest()[:2], "big")
    return 0x02DF_C000_0000_0000 | building << 32 | tail << 16 | index


class _Building:
    """Builds one building's consumers and modules in order of subnet index."""

    def __init__(
        self, name: str, number: int, customers: tuple[Customer, ...], size: int, rng: np.random.Generator
    ) -> None:
        self.name, self.number, self._customers, self._size, self._rng = name, number, customers, size, rng
        self.consumers: list[Consumer] = []
        self.modules: list[ModuleSpec] = []

    def build_flats(self) -> None:
        flats = self._size - 5
        for flat in range(1, flats + 1):
            gas = flat % 6 == 5
            consumer = self._consumer(f"flat {flat}", self._phases(flat), gas=gas, protected=flat == 30)
            channels = [self._electricity(consumer)]
            if flat % 2 == 0 or gas:
                channels.append(self._water(consumer.name))
            if gas:
                channels.append(Channel(Medium.GAS, consumer.name, GAS_PULSES_PER_M3))
            actuator = None if gas else self._actuator(flat)
            self._module(*channels, actuator=actuator, supply=None if gas or actuator else self._supply(flat))
        common = self._consumer("common needs", "L1L2L3", use=Use.COMMON, protected=True)
        self._module(self._electricity(common))
        self._module(Channel(Medium.WATER, "", ENTRY_PULSES_PER_M3, entry_of=self.name))
        for extra in ("shop", "bakery", "workshop"):
            if self.number != STRANGERS:
                self._module(self._electricity(self._consumer(extra, "L1L2L3", use=Use.SHOP)))
            else:                           # water only, and not in the site file: they announce themselves
                tenant = self._consumer(extra, "")
                self._module(self._water(tenant.name), registered=False)

    def build_customers(self) -> None:
        for number, customer in enumerate(self._customers, start=1):
            title = f"Building {self.number}, {customer.name}"
            consumer = Consumer(customer.name, title, self.name, customer.phases, protected=number == 20)
            self.consumers.append(consumer)
            channels = [self._electricity(consumer)]
            if number % 2 == 0:
                channels.append(self._water(consumer.name))
            actuator = self._actuator(number)
            self._module(*channels, actuator=actuator, supply=None if actuator else self._supply(number))
        self._module(Channel(Medium.WATER, "", ENTRY_PULSES_PER_M3, entry_of=self.name))
        number = 0
        while len(self.modules) < self._size:
            number += 1
            tenant = self._consumer(f"tenant {number}", "", gas=number % 4 == 0)
            channels = [self._water(tenant.name)]
            if tenant.gas:
                channels.append(Channel(Medium.GAS, tenant.name, GAS_PULSES_PER_M3))
            last = len(self.modules) >= self._size - 3
            self._module(*channels, registered=not (last and self.number == STRANGERS))

    def _consumer(self, what: str, phases: str, **more: Any) -> Consumer:
        name = f"{self.name}-{what.replace(' ', '-')}"
        consumer = attrs.evolve(Consumer(name, f"Building {self.number}, {what}", self.name, phases), **more)
        self.consumers.append(consumer)
        return consumer

    def _module(
        self, *channels: Channel, actuator: Actuator | None = None, supply: WholeSupply | None = None,
        registered: bool = True,
    ) -> None:
        index = len(self.modules) + 1
        self.modules.append(
            ModuleSpec(eui_of(self.number, index), index, channels, self.name, actuator, supply, registered)
        )

    def _electricity(self, consumer: Consumer) -> Channel:
        return Channel(Medium.ELECTRICITY, consumer.name, int(self._rng.choice(PULSES_PER_KWH)))

    @staticmethod
    def _water(consumer: str) -> Channel:
        return Channel(Medium.WATER, consumer, WATER_PULSES_PER_M3)

    def _phases(self, flat: int) -> str:
        """Unevenly spread on purpose: there must be something to recommend (domain C5)."""
        if flat % 18 == 0:
            return "L1L2L3"
        return str(self._rng.choice(["L1", "L2", "L3"], p=[0.43, 0.34, 0.23]))

    @staticmethod
    def _supply(number: int) -> WholeSupply:
        """Behind modules that switch no secondary load: a water valve where there is a water meter, else a contactor."""
        return WholeSupply(Medium.WATER if number % 2 == 0 else Medium.ELECTRICITY, never=number == 7)

    def _actuator(self, number: int) -> Actuator | None:
        """Loads by flat number, so that group members do not move with the seed; about 40 % have one (domain D4)."""
        yellow, green, red = LoadClass.YELLOW, LoadClass.GREEN, LoadClass.RED
        if number in (4, 20):               # a boiler that must not be shed: red by contract, or NEVER in the module
            return Actuator(LoadKind.BOILER, red if number == 4 else yellow, 2000.0, never=number == 20)
        if number % 4 == 0 or number == 30:
            return Actuator(LoadKind.BOILER, yellow, 2000.0, manual_restore=number == 16)
        if number % 9 == 1:
            return Actuator(LoadKind.EV, green, 7400.0 if number % 2 else 3700.0)
        if number % 7 == 3:
            return Actuator(LoadKind.AC, yellow, 1200.0)
        return None
