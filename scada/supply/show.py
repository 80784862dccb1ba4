"""Supplies on the bus: a device beside the module that switches each, so that OPC UA and history have its state."""

from typing import Final

import numpy as np

from scada.supplies import Effect, SupplyState, SupplyStatus, SwitchState
from scada.tags import Batch, Device, Quality, TagDef

SUFFIX: Final = "-supply"
TAGS: Final = (
    TagDef("state", "", "Supply: 0 not known, 1 on, 2 off", digits=0),
    TagDef("holders", "", "Who hold the supply off", digits=0),
    TagDef("pending", "", "Switch waits for a second person", digits=0),
    TagDef("by_hand", "", "Let go; somebody on site must switch", digits=0),
    TagDef("effect", "", "Pulses: 0 nothing to confirm, 1 waiting, 2 stopped, 3 still counting", digits=0),
    TagDef("local", "", "Switched on site alone", digits=0),
)
STATES: Final = (SupplyState.UNKNOWN, SupplyState.ON, SupplyState.OFF)
EFFECTS: Final = (Effect.NONE, Effect.WAITING, Effect.CONFIRMED, Effect.BYPASS)


def device_name(module: str) -> str:
    return f"{module}{SUFFIX}"


def device_of(status: SupplyStatus) -> Device:
    return Device(status.device, TAGS, (status.concentrator, status.module), status.title, status.area)


def batch_of(status: SupplyStatus, now: int) -> Batch:
    pending = status.switch is not None and status.switch.state is SwitchState.REQUESTED
    values = np.array([
        STATES.index(status.state), len(status.holders), pending, status.by_hand, EFFECTS.index(status.effect),
        status.local is not None,
    ], dtype=np.float64)
    quality = np.full(len(TAGS), Quality.GOOD, dtype=np.uint8)
    if status.state is SupplyState.UNKNOWN:
        quality[0] = Quality.UNCERTAIN_LAST_KNOWN
    return Batch(status.device, values, quality, now, now)
