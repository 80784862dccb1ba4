"""The registry that belongs to a district."""

from collections.abc import Iterable
from typing import Final

from scada.clock import HOUR_S
from scada.commands import LoadClass
from scada.simulate.district import STRANGERS, Actuator, Channel, District, LoadKind, ModuleSpec
from scada.simulate.wiring import (
    IRON_W,
    LOAD_LOSS_PERCENT,
    MAIN,
    METERING_W,
    RISER,
    UK_PERCENT,
    Cable,
    Wiring,
    factor_of,
    wiring_of,
)
from scada.site import (
    Adoption,
    BalanceGroup,
    Concentrator,
    Consumer,
    Feeder,
    Linecode,
    Load,
    LoadGroup,
    Medium,
    MeterPeriod,
    MeterTerms,
    Module,
    ModuleState,
    Point,
    Section,
    Site,
    Supply,
    SupplyKind,
    Transformer,
)

INSTALLED_H: Final = 438_288                # 2020-01-01T00Z: before anything that is simulated
AREA: Final = "centre"
ACTUATOR_ADAPTER: Final = "AD220/50"        # domain A10
VALVE_ADAPTER: Final = "AD12/1000"
TITLES: Final = {LoadKind.BOILER: "Boiler", LoadKind.EV: "EV charger", LoadKind.AC: "Air conditioner"}
# For the demo's page: round figures, nobody's prices.
COSTS: Final = (
    MeterTerms(Medium.ELECTRICITY, 3.0, 100.0, 700.0), MeterTerms(Medium.WATER, 20.0, 100.0, 400.0),
)


def site_of(district: District) -> Site:
    """The whole registry of a district, but for the modules that are to be discovered."""
    modules = [(one, module) for one in district.concentrators for module in one.modules if module.registered]
    meter = f"{district.transformer}-meter"
    wiring = wiring_of(district)
    points, meters = _meters((module for _, module in modules), district, wiring)
    protected = {one.name for one in district.consumers if one.protected}
    loads = [(module, module.actuator) for _, module in modules if module.actuator]
    buildings = [one.building for one in district.concentrators]
    return Site(
        transformers=(
            Transformer(
                district.transformer, f"Transformer {district.transformer}", district.rated_kva, AREA, meter, UK_PERCENT,
                LOAD_LOSS_PERCENT / 100 * district.rated_kva, IRON_W / 1000, "Dyn5",
            ),
        ),
        feeders=tuple(
            Feeder(f"F{number}", district.transformer, f"Feeder to building {number}")
            for number in range(1, len(buildings) + 1)
        ),
        linecodes=tuple(_linecode(cable) for cable in (MAIN, RISER)),
        sections=tuple(
            Section(f"{piece.node}-in", f"F{piece.feeder}", piece.above, piece.node, piece.length_m, piece.cable.name)
            for piece in wiring.pieces
        ),
        concentrators=tuple(
            Concentrator(
                one.name, one.link_id, f"Concentrator of building {number}", AREA, district.transformer,
                Adoption.ENGINEER if number == STRANGERS else Adoption.AUTOMATIC,
            )
            for number, one in enumerate(district.concentrators, start=1)
        ),
        modules=tuple(
            Module(
                module.eui, f"{one.name}-{module.index:03}", one.name, module.index, ModuleState.ACTIVE,
                len(module.channels), adapter_of(module), module.building,
            )
            for one, module in modules
        ),
        consumers=tuple(
            Consumer(
                one.name, one.title, one.phases, f"F{buildings.index(one.building) + 1}" if one.phases else "",
                one.building, one.protected, contract_kw=10.0 if one.phases else None,
            )
            for one in district.consumers
        ),
        points=tuple(points),
        meters=tuple(meters),
        loads=tuple(
            Load(
                module.eui, load.load_class, f"{TITLES[load.kind]}, {module.channels[0].consumer}",
                module.channels[0].consumer, load.rated_w, load.never, load.manual_restore,
            )
            for module, load in loads
        ),
        load_groups=_load_groups(loads, protected),
        balance_groups=_balance_groups(district, points, meter),
        supplies=tuple(_supplies(module for _, module in modules)),
        meter_terms=COSTS,
    )


def _linecode(cable: Cable) -> Linecode:
    return Linecode(cable.name, cable.r, cable.x, cable.r, cable.x)


def _meters(
    modules: Iterable[ModuleSpec], district: District, wiring: Wiring
) -> tuple[list[Point], list[MeterPeriod]]:
    phases = {one.name: one.phases for one in district.consumers}
    points, meters = [], []
    for module in modules:
        for number, channel in enumerate(module.channels):
            name = point_name(channel)
            title = f"Entry of {channel.entry_of}, water" if channel.entry_of else ""
            wired = channel.medium is Medium.ELECTRICITY
            node = wiring.node_of[channel.consumer] if wired else ""
            factor = factor_of(phases[channel.consumer]) if wired else 1.0
            points.append(Point(name, channel.medium, channel.consumer, title, node, factor))
            serial = f"{channel.medium.value[0].upper()}{module.eui & 0xFFFF_FFFF:08X}{number}"
            meters.append(
                MeterPeriod(serial, name, module.eui, number, float(channel.pulses_per_unit), INSTALLED_H)
            )
    return points, meters


def adapter_of(module: ModuleSpec) -> str:
    """The type of the actuator at a module, "" if none."""
    if module.supply is not None and module.supply.medium is not Medium.ELECTRICITY:
        return VALVE_ADAPTER
    return ACTUATOR_ADAPTER if module.actuator or module.supply else ""


def _supplies(modules: Iterable[ModuleSpec]) -> Iterable[Supply]:
    for module in modules:
        for channel in module.channels:
            if module.supply is not None and channel.medium is module.supply.medium:
                electric = channel.medium is Medium.ELECTRICITY
                yield Supply(point_name(channel), module.eui, SupplyKind.CONTACTOR if electric else SupplyKind.VALVE)


def point_name(channel: Channel) -> str:
    """The metering point behind a channel."""
    return f"{channel.consumer or channel.entry_of + '-entry'}-{channel.medium.value}"


def _load_groups(loads: list[tuple[ModuleSpec, Actuator]], protected: set[str]) -> tuple[LoadGroup, ...]:
    def is_free(module: ModuleSpec, load: Actuator) -> bool:
        return not load.never and load.load_class is not LoadClass.RED and module.channels[0].consumer not in protected

    def of(kind: LoadKind) -> tuple[int, ...]:
        return tuple(module.eui for module, load in loads if load.kind is kind and is_free(module, load))

    obstacles = tuple(module.eui for module, load in loads if not is_free(module, load))
    return (
        LoadGroup("LG-BOILERS", 1, LoadClass.YELLOW, "Boilers", AREA, members=of(LoadKind.BOILER)),
        LoadGroup("LG-EV", 2, LoadClass.GREEN, "EV chargers", AREA, max_off_s=4 * HOUR_S, members=of(LoadKind.EV)),
        LoadGroup("LG-AC", 3, LoadClass.YELLOW, "Air conditioners", AREA, members=of(LoadKind.AC)),
        LoadGroup(
            "LG-MIXED", 4, LoadClass.YELLOW, "Boilers with some that must not be shed", AREA,
            members=of(LoadKind.BOILER)[:3] + obstacles,
        ),
    )


def _balance_groups(district: District, points: list[Point], meter: str) -> tuple[BalanceGroup, ...]:
    groups = [
        BalanceGroup(
            f"BG-{district.transformer}", Medium.ELECTRICITY, f"Electricity under {district.transformer}",
            district.transformer, feed_tag=f"{meter}/energy_import",
            members=tuple(one.name for one in points if one.medium is Medium.ELECTRICITY), metering_w=METERING_W,
        )
    ]
    building_of = {one.name: one.building for one in district.consumers}
    for building in dict.fromkeys(one.building for one in district.concentrators):
        members = tuple(
            one.name for one in points if one.medium is Medium.WATER and building_of.get(one.consumer) == building
        )
        groups.append(
            BalanceGroup(
                f"BG-{building}-WATER", Medium.WATER, f"Water of building {building}",
                feed_point=f"{building}-entry-water", members=members,
            )
        )
    return tuple(groups)
