"""Flows that never stop, in the units in which people read them."""

import math

from hmi.formats import number
from scada.leaks import Flowing, Leak, shown_rate
from scada.site import UNIT_OF_MEDIUM, Medium


def scale(flow: Flowing) -> tuple[float, str]:
    """Factor and unit in which people read the nights of a flow."""
    _value, unit = shown_rate(flow.medium, flow.rate)
    return (1.0 if unit in ("m³/h", "kW") else 1000.0), unit


def rate(flow: Flowing, value: float) -> str:
    """A rate of a flow in its unit."""
    factor, unit = scale(flow)
    shown = factor * value
    return f"{number(shown, 0 if abs(shown) >= 100 else 1)} {unit}"


def size_of_count(medium: Medium, count: float) -> str:
    """One count of a register."""
    unit = UNIT_OF_MEDIUM[medium]
    return f"{number(1000 * count, 0)} l" if unit == "m³" and count < 1 else f"{number(count, 3)} {unit}"


def silent(leak: Leak) -> int:
    """Nights at the end of which nothing is known."""
    return next((n for n, one in enumerate(reversed(leak.flow.nights)) if math.isfinite(one)), len(leak.flow.nights))


def limit_of(flow: Flowing) -> float:
    """The flow that was looked for. [unit/h]"""
    return flow.rate / flow.weight if flow.weight > 0 and math.isfinite(flow.rate) else 0.0
