"""The tags of metering: one device per channel of an adopted module, named after the module and the channel."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.metering.quantities import END_OF_TIME
from scada.site import IN_SERVICE, UNIT_OF_MEDIUM, Directory, Medium, MeterPeriod, Module
from scada.tags import Device, TagDef

STALE_AFTER: Final = 26 * HOUR_S * NS   # a day's archive, and two hours for the radio to bring it
WATT_PER_KILOWATT: Final = 1000.0


@attrs.frozen(eq=False)
class Channels:
    """Every channel that has tags, as columns; row i is `devices[i]`."""

    devices: tuple[Device, ...]
    position: dict[str, int]                # device name -> row
    eui: NDArray[np.uint64]                 # (n,)
    channel: NDArray[np.uint8]              # (n,)
    per_unit: NDArray[np.float64]           # (n,) pulses per kWh or m³
    electric: NDArray[np.bool_]             # (n,) whether a mean power is shown
    until: int                              # hour when another meter period begins or ends; then this is out of date


def channels(directory: Directory, hour: int) -> Channels:
    """Return the channels of adopted modules that carry a meter at `hour` [h since 1970]."""
    rows: list[tuple[Device, MeterPeriod, Medium]] = []
    until = END_OF_TIME
    for period in directory.site.meters:
        edges = (period.valid_from, END_OF_TIME if period.valid_to is None else period.valid_to)
        until = min([until, *(edge for edge in edges if edge > hour)])
        module, point = directory.module_of_eui.get(period.eui), directory.point.get(period.point)
        if not edges[0] <= hour < edges[1] or module is None or point is None or module.state not in IN_SERVICE:
            continue
        rows.append((_device(directory, module, period, point.medium), period, point.medium))
    rows.sort(key=lambda row: row[0].name)
    return Channels(
        devices=tuple(row[0] for row in rows),
        position={row[0].name: index for index, row in enumerate(rows)},
        eui=np.array([row[1].eui for row in rows], dtype=np.uint64),
        channel=np.array([row[1].channel for row in rows], dtype=np.uint8),
        per_unit=np.array([row[1].pulses_per_unit for row in rows], dtype=np.float64),
        electric=np.array([row[2] is Medium.ELECTRICITY for row in rows], dtype=np.bool_),
        until=until,
    )


def tags(medium: Medium) -> tuple[TagDef, ...]:
    """The tags of one channel: what the last delivered hour brought; the power only where it means something."""
    unit = UNIT_OF_MEDIUM[medium]
    quantity = "energy" if unit == "kWh" else "volume"
    # The interval store holds every hour exactly; a second history of the same hours would only be one to disagree.
    found = [
        (f"{quantity}_hour", unit, f"{quantity.capitalize()} of the last delivered hour", 3),
        ("register", unit, "Register at the end of that hour", 3),
        ("hour_status", "", "Status bits of that hour", 0),
    ]
    if medium is Medium.ELECTRICITY:
        found.append(("power_mean", "W", "Mean power of that hour", 0))
    return tuple(
        TagDef(point, unit, title, stale_after=STALE_AFTER, digits=digits, historise=False)
        for point, unit, title, digits in found
    )


def _device(directory: Directory, module: Module, period: MeterPeriod, medium: Medium) -> Device:
    point = directory.point[period.point]
    consumer = directory.consumer.get(point.consumer)
    concentrator = directory.concentrator.get(module.concentrator)
    return Device(
        name=f"{module.name}.ch{period.channel}",
        tags=tags(medium),
        path=(module.concentrator, module.name),
        title=point.title or (consumer.title if consumer is not None else "") or point.name,
        area=concentrator.area if concentrator is not None else "",
    )
