"""Where the voltages and currents of three-phase meters stand in a snapshot, and the devices made of them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing import heat, ten_minutes
from scada.balancing.transformers import NOMINAL_VOLTAGE
from scada.site import Transformer
from scada.tags import Device, Quality, Snapshot, TagDef, TagId, tag_id

VOLTAGE: Final = ("voltage_l1_n", "voltage_l2_n", "voltage_l3_n")
CURRENT: Final = ("current_l1", "current_l2", "current_l3")
SIDES: Final = ("voltage_l1_l2", "voltage_l2_l3", "voltage_l3_l1")
INPUTS: Final = (*VOLTAGE, *CURRENT)
STALE_NS: Final = 60 * 10**9            # real time after which figures that are no longer computed are stale
UNBALANCE: Final = (TagDef("voltage_unbalance", "%", "Voltage unbalance, negative over positive sequence", digits=2),)


@attrs.frozen(eq=False)
class Meters:
    """n three-phase meters."""

    names: tuple[str, ...]
    areas: tuple[str, ...]
    position: NDArray[np.intp]              # (n, 6) in the order of `INPUTS`; -1 where there is no such tag

    def read(self, snapshot: Snapshot) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.int64]]:
        """Values and qualities (n, 6), and the time of the newest of a meter's voltages or else currents (n,). [ns]"""
        value, quality, at = _taken(self.position, snapshot)
        return value, quality, at.max(axis=1, initial=0)


@attrs.frozen(eq=False)
class Rated(Meters):
    """The meters of t transformers; `names` are the transformers'."""

    current: NDArray[np.float64]            # (t,) rated, of a phase [A]
    sides: NDArray[np.intp]                 # (t, 3) in the order of `SIDES`; -1 where there is no such tag

    @property
    def sided(self) -> NDArray[np.bool_]:
        """Whose meter has the voltages between the phases, (t,)."""
        return np.asarray((self.sides >= 0).all(axis=1))

    def read_sides(self, snapshot: Snapshot) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Values (t, 3), and the worst quality of a meter's three (t,). [V]"""
        value, quality, _at = _taken(self.sides, snapshot)
        return value, quality.max(axis=1, initial=0)


def rated(transformers: Sequence[Transformer], devices: Mapping[str, Device], index: Mapping[TagId, int]) -> Rated:
    """Return the transformers whose meters are on the bus."""
    found = [one for one in transformers if one.meter in devices and one.rated_kva > 0]
    return Rated(
        tuple(one.name for one in found), tuple(one.area for one in found),
        _position([one.meter for one in found], index),
        np.array([one.rated_kva * 1000.0 / (3 * NOMINAL_VOLTAGE) for one in found], dtype=np.float64),
        _position([one.meter for one in found], index, SIDES),
    )


def meters(devices: Mapping[str, Device], index: Mapping[TagId, int], areas: Mapping[str, str]) -> Meters:
    """Return every device that meters three phase voltages."""
    found = [one for one in devices.values() if set(VOLTAGE) <= set(one.points)]
    return Meters(
        tuple(one.name for one in found), tuple(areas.get(one.name) or one.area for one in found),
        _position([one.name for one in found], index),
    )


def thermal_device(name: str, area: str, rate: float = 1.0) -> Device:
    """Of a transformer, beside its other figures; `rate` of the site's time."""
    return Device(f"{name}.thermal", _aging(heat.OUTPUTS, rate), ("Transformer", name), f"{name}: heat", area)


def voltage_device(name: str, area: str, sided: bool) -> Device:
    """Of a transformer, every ten minutes; the unbalance where its meter has the voltages between the phases."""
    tags = (*ten_minutes.OUTPUTS, ten_minutes.UNBALANCE) if sided else ten_minutes.OUTPUTS
    return Device(f"{name}.voltage", tags, ("Transformer", name), f"{name}: voltage", area)


def unbalance_device(name: str, area: str, rate: float = 1.0) -> Device:
    """Of a transformer whose meter has the voltages between the phases, as they are now."""
    tags = _aging(UNBALANCE, rate)
    return Device(f"{name}.unbalance", tags, ("Transformer", name), f"{name}: unbalance of the voltages", area)


def _aging(tags: Sequence[TagDef], rate: float) -> tuple[TagDef, ...]:
    """They are computed in real time and grow stale in the site's."""
    return tuple(attrs.evolve(tag, stale_after=round(STALE_NS * max(rate, 1.0))) for tag in tags)


def _taken(
    position: NDArray[np.intp], snapshot: Snapshot
) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.int64]]:
    there = (position >= 0) & (position < len(snapshot.values))
    place = np.where(there, position, 0)
    value = np.where(there, snapshot.values[place], np.nan)
    quality = np.where(there, snapshot.quality[place], Quality.BAD_CONFIG).astype(np.uint8)
    return value, quality, np.where(there, snapshot.at[place], 0)


def _position(
    names: Sequence[str], index: Mapping[TagId, int], points: Sequence[str] = INPUTS
) -> NDArray[np.intp]:
    rows = [[index.get(tag_id(name, point), -1) for point in points] for name in names]
    return np.array(rows, dtype=np.intp).reshape(-1, len(points))
