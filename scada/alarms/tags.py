"""Alarms as ordinary tags, so that a SCADA over OPC UA sees them: counts, and one device per source. Pure."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.alarms.kinds import RANK, code_of
from scada.alarms.states import HOLDS, WAITS
from scada.ports import Alarm, Priority
from scada.tags import Device, TagDef

SUMMARY: Final = Device(
    "Alarms",
    (
        TagDef("active", "", "Conditions that hold", digits=0),
        TagDef("unacknowledged", "", "Alarms that wait for acknowledgement", digits=0),
        TagDef("high", "", "Alarms of high priority, not normal", digits=0),
        TagDef("medium", "", "Alarms of medium priority, not normal", digits=0),
        TagDef("low", "", "Alarms of low priority, not normal", digits=0),
        TagDef("suppressed", "", "Alarms suppressed by design, because another one says more", digits=0),
    ),
    ("Alarms",),
    "Alarms",
)
OF_SOURCE: Final = (
    TagDef("active", "", "1 while a condition holds", digits=0),
    TagDef("unacknowledged", "", "1 while an alarm waits for acknowledgement", digits=0),
    TagDef("priority", "", "Worst priority: 3 high, 2 medium, 1 low, 0 none", digits=0),
    TagDef("kind_code", "", "Code of the worst alarm's kind, 0 none", digits=0),
)


def source_device(alarm: Alarm) -> str:
    """The device an alarm belongs to: its source, or the device of its tag."""
    return alarm.source.partition("/")[0]


def device_of(source: str, area: str) -> Device:
    """The alarm tags of one source."""
    return Device(f"Alarm.{source}", OF_SOURCE, ("Alarms",), f"Alarms of {source}", area)


def summary(alarms: Iterable[Alarm]) -> NDArray[np.float64]:
    """Values of `SUMMARY`; what is suppressed is counted by itself."""
    every = tuple(alarms)
    found = tuple(alarm for alarm in every if not alarm.suppressed_by)
    return np.array([
        sum(alarm.state in HOLDS for alarm in found),
        sum(alarm.state in WAITS for alarm in found),
        *(sum(alarm.priority is one for alarm in found) for one in (Priority.HIGH, Priority.MEDIUM, Priority.LOW)),
        len(every) - len(found),
    ], dtype=np.float64)


def of_source(alarms: Iterable[Alarm]) -> NDArray[np.float64]:
    """Values of `OF_SOURCE` from the alarms of one source that are not normal; the worst one gives the kind."""
    found = sorted(alarms, key=lambda alarm: (alarm.state in HOLDS, RANK[alarm.priority], alarm.raised))
    if not found:
        return np.zeros(len(OF_SOURCE))
    worst = found[-1]
    return np.array([
        any(alarm.state in HOLDS for alarm in found),
        any(alarm.state in WAITS and not alarm.suppressed_by for alarm in found),
        RANK[worst.priority],
        code_of(worst.kind),
    ], dtype=np.float64)
