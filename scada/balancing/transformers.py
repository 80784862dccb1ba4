"""The live figures of every transformer from one snapshot, in one array pass. Pure but for the shape of the bus."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.live import current_phasors, loading, maximum_deviation, neutral_current, sequence_ratio
from scada.site import Transformer
from scada.tags import BAD, Device, Limits, Quality, Snapshot, TagDef, TagId, tag_id

PER_CENT: Final = 100.0
NOMINAL_VOLTAGE: Final = 230.0          # V, phase to neutral: turns the nameplate into a rated current
NO_LOAD: Final = 0.005                  # of the rated current: below it the shares of three small numbers mean nothing

INPUTS: Final = tuple(
    f"{quantity}_l{phase}"
    for quantity in ("power_active", "power_reactive", "power_apparent", "current")
    for phase in (1, 2, 3)
)
ACTIVE, REACTIVE, APPARENT, CURRENT = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 12)

LOADING_LIMITS: Final = Limits(high=100.0, high_high=120.0, hysteresis=2.0)
IMBALANCE_LIMITS: Final = Limits(high=30.0, hysteresis=3.0)    # a first setting for LV feeders, no standard's figure

OUTPUTS: Final = (
    TagDef("power_active_l1", "W", "Active power L1", digits=0),
    TagDef("power_active_l2", "W", "Active power L2", digits=0),
    TagDef("power_active_l3", "W", "Active power L3", digits=0),
    TagDef("power_active_total", "W", "Active power", digits=0),
    TagDef("power_apparent_total", "VA", "Apparent power", digits=0),
    TagDef("loading", "%", "Loading against the nameplate", limits=LOADING_LIMITS),
    TagDef("imbalance_i2_i1", "%", "Current imbalance, negative over positive sequence", limits=IMBALANCE_LIMITS),
    TagDef("imbalance_max_deviation", "%", "Current imbalance, largest deviation from the mean"),
    TagDef("current_neutral_calc", "A", "Neutral current, sum of the phase currents"),
)


@attrs.frozen(eq=False)
class Image:
    """What all transformers do at one instant."""

    values: NDArray[np.float64]             # (t, len(OUTPUTS))
    quality: NDArray[np.uint8]              # (t, len(OUTPUTS)), `Quality`
    at: NDArray[np.int64]                   # (t,) ns, newest reading used


@attrs.frozen(eq=False)
class Metered:
    """The transformers that have a meter, and where its tags stand in a snapshot."""

    devices: tuple[Device, ...]
    position: NDArray[np.intp]              # (t, len(INPUTS)); -1 where the meter has no such tag
    rated: NDArray[np.float64]              # (t,) [VA]

    def image(self, snapshot: Snapshot) -> Image:
        """
        Return the figures of one instant.

        A figure is as good as the worst reading it is made of. Where a meter went silent the last figures stay,
        as its own tags do, with its bad quality; where a figure cannot be made it is NaN and says so.
        """
        there = self.position >= 0
        place = np.where(there, self.position, 0)
        if not len(snapshot.ids):
            return Image(np.full((len(place), len(OUTPUTS)), np.nan),
                         np.full((len(place), len(OUTPUTS)), Quality.BAD_CONFIG, dtype=np.uint8),
                         np.zeros(len(place), dtype=np.int64))
        value = np.where(there, snapshot.values[place], np.nan)
        quality = np.where(there, snapshot.quality[place], Quality.BAD_CONFIG).astype(np.uint8)
        at = np.where(there, snapshot.at[place], 0).max(axis=1, initial=0)

        active, reactive, apparent, current = (value[:, part] for part in (ACTIVE, REACTIVE, APPARENT, CURRENT))
        phasors = current_phasors(current, active, reactive)
        floor = NO_LOAD * self.rated / (3 * NOMINAL_VOLTAGE)
        values = np.column_stack([
            active,
            active.sum(axis=1),
            apparent.sum(axis=1),
            PER_CENT * loading(apparent, self.rated),
            PER_CENT * sequence_ratio(phasors, floor),
            PER_CENT * maximum_deviation(current, floor),
            neutral_current(phasors),
        ])
        of_active, of_apparent, of_current = (quality[:, part].max(axis=1) for part in (ACTIVE, APPARENT, CURRENT))
        of_phasors = np.maximum.reduce([of_current, of_active, quality[:, REACTIVE].max(axis=1)])
        qualities = np.column_stack([
            quality[:, ACTIVE], of_active, of_apparent, of_apparent, of_phasors, of_current, of_phasors
        ])
        qualities[np.isnan(values) & (qualities < BAD)] = Quality.BAD_OUT_OF_RANGE
        return Image(values, qualities, at)


def metered(
    transformers: Sequence[Transformer], devices: Mapping[str, Device], index: Mapping[TagId, int]
) -> Metered:
    """Return what is needed to make images of `transformers` whose meters are on the bus."""
    found = [one for one in transformers if one.meter in devices]
    return Metered(
        devices=tuple(_device(one, devices[one.meter]) for one in found),
        position=np.array(
            [[index.get(tag_id(one.meter, point), -1) for point in INPUTS] for one in found], dtype=np.intp
        ).reshape(-1, len(INPUTS)),
        rated=np.array([one.rated_kva * 1000.0 for one in found], dtype=np.float64),
    )


def _device(transformer: Transformer, meter: Device) -> Device:
    """The computed tags go stale when the meter's own would, should this process fail to say so earlier."""
    stale_after = max((tag.stale_after for tag in meter.tags), default=0)
    tags = tuple(attrs.evolve(tag, stale_after=stale_after) for tag in OUTPUTS)
    return Device(transformer.name, tags, ("Transformer",), transformer.title or transformer.name, transformer.area)
