"""Where the voltages and currents of three-phase meters stand in a snapshot, and the devices made of them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing import heat, ten_minutes
from scada.balancing.transformers import NOMINAL_VOLTAGE
from scada.site import Transformer
from scada.tags import Device, Quality, Snapshot, TagId, tag_id

VOLTAGE: Final = ("voltage_l1_n", "voltage_l2_n", "voltage_l3_n")
CURRENT: Final = ("current_l1", "current_l2", "current_l3")
INPUTS: Final = (*VOLTAGE, *CURRENT)
STALE_NS: Final = 60 * 10**9            # after which figures that are no longer computed are stale
THERMAL: Final = tuple(attrs.evolve(tag, stale_after=STALE_NS) for tag in heat.OUTPUTS)


@attrs.frozen(eq=False)
class Meters:
    """n three-phase meters."""

    names: tuple[str, ...]
    areas: tuple[str, ...]
    position: NDArray[np.intp]              # (n, 6) in the order of `INPUTS`; -1 where there is no such tag

    def read(self, snapshot: Snapshot) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.int64]]:
        """Values and qualities (n, 6), and the time of the newest of a meter's voltages or else currents (n,). [ns]"""
        there = (self.position >= 0) & (self.position < len(snapshot.values))
        place = np.where(there, self.position, 0)
        value = np.where(there, snapshot.values[place], np.nan)
        quality = np.where(there, snapshot.quality[place], Quality.BAD_CONFIG).astype(np.uint8)
        return value, quality, np.where(there, snapshot.at[place], 0).max(axis=1, initial=0)


@attrs.frozen(eq=False)
class Rated(Meters):
    """The meters of t transformers; `names` are the transformers'."""

    current: NDArray[np.float64]            # (t,) rated, of a phase [A]


def rated(transformers: Sequence[Transformer], devices: Mapping[str, Device], index: Mapping[TagId, int]) -> Rated:
    """Return the transformers whose meters are on the bus."""
    found = [one for one in transformers if one.meter in devices and one.rated_kva > 0]
    return Rated(
        tuple(one.name for one in found), tuple(one.area for one in found),
        _position([one.meter for one in found], index),
        np.array([one.rated_kva * 1000.0 / (3 * NOMINAL_VOLTAGE) for one in found], dtype=np.float64),
    )


def meters(devices: Mapping[str, Device], index: Mapping[TagId, int], areas: Mapping[str, str]) -> Meters:
    """Return every device that meters three phase voltages."""
    found = [one for one in devices.values() if set(VOLTAGE) <= set(one.points)]
    return Meters(
        tuple(one.name for one in found), tuple(areas.get(one.name) or one.area for one in found),
        _position([one.name for one in found], index),
    )


def thermal_device(name: str, area: str) -> Device:
    """Of a transformer, beside its other figures."""
    return Device(f"{name}.thermal", THERMAL, ("Transformer", name), f"{name}: heat", area)


def voltage_device(name: str, area: str) -> Device:
    """Of a transformer, every ten minutes."""
    return Device(f"{name}.voltage", ten_minutes.OUTPUTS, ("Transformer", name), f"{name}: voltage", area)


def _position(names: Sequence[str], index: Mapping[TagId, int]) -> NDArray[np.intp]:
    rows = [[index.get(tag_id(name, point), -1) for point in INPUTS] for name in names]
    return np.array(rows, dtype=np.intp).reshape(-1, len(INPUTS))
