"""Sensors beside the meters: the temperature of a few stairwells, and the supply that each concentrator sees itself.

They are told live, each site quarter hour; nobody archives them.
"""

from typing import Final

import numpy as np

from scada.drivers.dmesh.messages import Sample
from scada.drivers.dmesh.numbers import UNIT_OF_SENSOR, Sensor
from scada.simulate.district import ConcentratorSpec

EVERY_S: Final = 900                        # site time
WARM: Final = (10, 25, 40)                  # subnet indices of modules with a thermometer
DAY_S: Final = 86400
CABLE_V: Final = 0.7                        # what the cable to a building takes


def next_after(seconds: int) -> int:
    """The quarter hour behind a site time. [s since 1970]"""
    return (seconds // EVERY_S + 1) * EVERY_S


def read(spec: ConcentratorSpec, at: int, supply_v: float) -> tuple[Sample, ...]:
    """
    What the sensors of one subnet show.

    Parameters
    ----------
    spec : ConcentratorSpec
        Whose sensors.
    at : int
        Site time. [s since 1970]
    supply_v : float
        Voltage of L1 at the transformer. [V]
    """
    there = {module.index for module in spec.modules}
    samples = [_sample(0, Sensor.VOLTAGE, supply_v - CABLE_V, at)]
    samples += [_sample(index, Sensor.TEMPERATURE, temperature(index, at), at) for index in WARM if index in there]
    return tuple(samples)


def temperature(index: int, at: int) -> float:
    """A stairwell: warmest in the afternoon, each a little different. [°C]"""
    return 19.0 + index / 20 + 2.5 * float(np.sin(2 * np.pi * (at / DAY_S - 0.375)))


def _sample(index: int, sensor: Sensor, value: float, at: int) -> Sample:
    return Sample(index, int(sensor), round(value, 1), at, UNIT_OF_SENSOR[sensor])
