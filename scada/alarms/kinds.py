"""What an alarm can be about: its priority, and the number it has on the bus. A number is never used again."""

from typing import Final

from scada.events import EventCode
from scada.ports import Priority

PRIORITY: Final[dict[str, Priority]] = {
    "low_low": Priority.HIGH,
    "low": Priority.MEDIUM,
    "high": Priority.MEDIUM,
    "high_high": Priority.HIGH,
    "not_connected": Priority.MEDIUM,
    "stale": Priority.MEDIUM,
    "open_circuit": Priority.MEDIUM,
    "short_circuit": Priority.MEDIUM,
    "magnet": Priority.HIGH,
    "cover_open": Priority.MEDIUM,
    "battery_low": Priority.LOW,
    "power_down": Priority.MEDIUM,
    "clock_stepped": Priority.LOW,
    "module_lost": Priority.MEDIUM,
    "actuator_fault": Priority.HIGH,
    "concentrator_restarted": Priority.LOW,
    "archive_full": Priority.HIGH,
    "link_replaced": Priority.MEDIUM,
    "hours_given_up": Priority.LOW,
    "outage_relay": Priority.MEDIUM,
    "outage_partition": Priority.MEDIUM,
    "outage_riser": Priority.HIGH,
    "outage_building": Priority.HIGH,
    "outage_concentrator": Priority.HIGH,
    "outage_backhaul": Priority.HIGH,
    "wrong_subnet": Priority.MEDIUM,
    "duplicate_eui": Priority.HIGH,
    "unexpected_channel": Priority.MEDIUM,
    "module_gone_heard": Priority.LOW,
    "clock_set": Priority.LOW,
    "clock_set_back": Priority.MEDIUM,
    "dial_mismatch": Priority.MEDIUM,
    "bypass": Priority.HIGH,
    "meter_stuck": Priority.MEDIUM,
    "meter_too_much": Priority.MEDIUM,
    "meter_too_little": Priority.MEDIUM,
    "balance_over": Priority.MEDIUM,
    "balance_incomplete": Priority.LOW,
    "safety_broken_neutral": Priority.HIGH,
    "safety_lost_phase": Priority.HIGH,
    "safety_high_voltage": Priority.HIGH,
    "safety_low_voltage": Priority.MEDIUM,
    "safety_arcing": Priority.HIGH,
    "leak_gas": Priority.HIGH,
    "leak_water": Priority.MEDIUM,
    "leak_heat": Priority.LOW,
}
RANK: Final[dict[Priority, int]] = {Priority.HIGH: 3, Priority.MEDIUM: 2, Priority.LOW: 1}

CODE: Final[dict[str, int]] = {
    "low_low": 101, "low": 102, "high": 103, "high_high": 104, "not_connected": 111, "stale": 112,
    "outage_relay": 121, "outage_riser": 122, "outage_building": 123, "outage_concentrator": 124, "outage_backhaul": 125,
    "outage_partition": 126,
    "meter_stuck": 131, "meter_too_much": 132, "meter_too_little": 133,
    "balance_over": 161, "balance_incomplete": 162,
    "dial_mismatch": 141, "bypass": 151,
    "safety_broken_neutral": 171, "safety_lost_phase": 172, "safety_high_voltage": 173, "safety_low_voltage": 174,
    "safety_arcing": 175,
    "leak_water": 181, "leak_gas": 182, "leak_heat": 183,
    **{code.name.lower(): int(code) for code in EventCode},
}

MOMENTARY: Final = frozenset({
    EventCode.CLOCK_STEPPED, EventCode.CONCENTRATOR_RESTARTED, EventCode.LINK_REPLACED, EventCode.HOURS_GIVEN_UP,
    EventCode.CLOCK_SET, EventCode.CLOCK_SET_BACK,
})
"""Things that happen and are over: the field sends no end for them, so the end is made here."""


SUPPRESSIBLE: Final = frozenset({"module_lost", "power_down", "stale", "not_connected"})
"""Kinds that say no more than an outage their device belongs to."""


def priority_of(kind: str) -> Priority:
    return PRIORITY.get(kind, Priority.LOW)


def code_of(kind: str) -> int:
    """The number shown on the bus; an unknown event shows its own, above the known ones."""
    return CODE.get(kind) or 1000 + int(kind.removeprefix("event_"))
