"""What a swap ends, and with which register where nobody read the dial: the one that was counted. Pure."""

import math
from collections.abc import Mapping

import attrs

from scada.site import Directory, MeterPeriod, Swap, SwappedMeter


def ending(directory: Directory, swap: Swap) -> tuple[MeterPeriod, ...]:
    """The running periods that a swap closes; none where it is carried out already."""
    named = {one.channel for one in swap.meters}
    return tuple(
        one for one in directory.meters_of_eui.get(swap.old_eui, ())
        if one.valid_to is None and one.valid_from < swap.hour
        and (swap.new_eui != swap.old_eui or one.channel in named)
    )


def unread(directory: Directory, swap: Swap) -> tuple[MeterPeriod, ...]:
    """Those of them for which nobody gave a final register."""
    named = {one.channel: one.final_register for one in swap.meters}
    return tuple(one for one in ending(directory, swap) if named.get(one.channel) is None)


def with_counted(directory: Directory, swap: Swap, counted: Mapping[str, float]) -> Swap:
    """The swap with what was counted at each point up to its hour, where nobody read the dial; NaN: not known."""
    named = {one.channel: one for one in swap.meters}
    for period in unread(directory, swap):
        register = counted.get(period.point, math.nan)
        if math.isfinite(register):
            one = named.get(period.channel, SwappedMeter(period.channel))
            named[period.channel] = attrs.evolve(one, final_register=round(register, 3))
    return attrs.evolve(swap, meters=tuple(named.values()))
