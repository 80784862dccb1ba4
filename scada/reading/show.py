"""Registers that were read on demand as tags: a device of its own for each channel, made when it first speaks."""

from typing import Final

import attrs
import numpy as np

from scada.intervals import IntervalStatus
from scada.reads import ChannelReading
from scada.site import UNIT_OF_MEDIUM, Directory, MeterPeriod
from scada.tags import Batch, Device, Quality, TagDef

SUFFIX: Final = "-now"                  # after the channel's own device, whose register is that of the last delivered hour
POINT: Final = "register_now"
HOUR_NS: Final = 3600 * 1_000_000_000
DEAD_LINE: Final = IntervalStatus.OPEN_CIRCUIT | IntervalStatus.SHORT_CIRCUIT
DOUBTFUL: Final = IntervalStatus.MAGNET | IntervalStatus.CLOCK_INVALID


@attrs.frozen(eq=False)
class Shown:
    device: Device
    batch: Batch


def shown(directory: Directory, eui: int, reading: ChannelReading, received: int) -> Shown | None:
    """The tag of one reading in its meter's unit; None where there is no register, or no meter to give it a unit."""
    module = directory.module_of_eui.get(eui)
    period = period_at(directory, eui, reading.channel, reading.at // HOUR_NS)
    point = directory.point.get(period.point) if period else None
    if reading.code != "OK" or module is None or period is None or point is None:
        return None
    concentrator = directory.concentrator.get(module.concentrator)
    unit = UNIT_OF_MEDIUM[point.medium]
    channel = f"{module.name}.ch{reading.channel}"
    device = Device(
        f"{channel}{SUFFIX}", (TagDef(POINT, unit, "Register, read on demand", digits=3),),
        (module.concentrator, module.name),
        point.title or point.name, concentrator.area if concentrator else "",
    )
    value = np.array([reading.pulses / period.pulses_per_unit])
    quality = np.array([quality_of(reading)], dtype=np.uint8)
    return Shown(device, Batch(device.name, value, quality, reading.at, received))


def quality_of(reading: ChannelReading) -> Quality:
    """As for hours: a dead line counts nothing, a magnet or a doubtful clock leaves a doubt."""
    status = IntervalStatus(reading.status)
    if status & DEAD_LINE:
        return Quality.BAD_SENSOR
    return Quality.GOOD if reading.time_good and not status & DOUBTFUL else Quality.UNCERTAIN_LAST_KNOWN


def period_at(directory: Directory, eui: int, channel: int, hour: int) -> MeterPeriod | None:
    """The meter that hung on a channel at an hour."""
    return next(
        (
            one for one in directory.meters_of_eui.get(eui, ())
            if one.channel == channel and one.valid_from <= hour and (one.valid_to is None or hour < one.valid_to)
        ),
        None,
    )
