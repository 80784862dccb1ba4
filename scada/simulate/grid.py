"""What the meter at the transformer sees: voltages, currents, powers and energy registers of three phases."""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.simulate.wiring import NOMINAL_V, POWER_FACTOR

DROP_V_PER_W: Final = 1.0e-4                # 3 V at 30 kW
_FACTOR: Final = np.array([POWER_FACTOR[phase] for phase in ("L1", "L2", "L3")])
_ANGLES: Final = np.exp(-2j * np.pi * np.arange(3) / 3)


@attrs.frozen(eq=False)
class TransformerReading:
    """One instant at the transformer; arrays are (3,) in the order L1, L2, L3. SI, energy in kWh."""

    voltage: NDArray[np.float64]
    current: NDArray[np.float64]
    active: NDArray[np.float64]
    reactive: NDArray[np.float64]
    apparent: NDArray[np.float64]
    power_factor: NDArray[np.float64]
    neutral_current: float
    frequency: float
    energy_import: NDArray[np.float64]
    energy_export: NDArray[np.float64]
    sides: NDArray[np.float64]              # (3,) L1-L2, L2-L3, L3-L1 [V]


def read_transformer(active: NDArray[np.float64], energy_kwh: NDArray[np.float64], at_s: float) -> TransformerReading:
    """
    Return what a meter shows for given powers and energies.

    Parameters
    ----------
    active : ndarray of float64, shape (3,)
        Active power with losses. [W]
    energy_kwh : ndarray of float64, shape (3,)
        Energy imported so far. [kWh]
    at_s : float
        Site time; moves voltage and frequency a little. [s]
    """
    # The supply breathes with the day and flickers within minutes; powers and energies are not touched by it.
    flicker = np.sin(at_s / np.array([7.1, 9.7, 12.3])) + np.sin(at_s / np.array([41.0, 57.0, 73.0]))
    voltage = NOMINAL_V - 2.0 * np.sin(2 * np.pi * (at_s / 86400.0 - 0.3)) + 0.35 * flicker - DROP_V_PER_W * active
    apparent = np.abs(active) / _FACTOR
    reactive = np.sqrt(apparent**2 - active**2)
    current = apparent / voltage
    phasors = _ANGLES * (active - 1j * reactive) / voltage
    star = voltage * _ANGLES                # the loads bend magnitudes here, and no angles
    return TransformerReading(
        voltage=voltage,
        current=current,
        active=active,
        reactive=reactive,
        apparent=apparent,
        power_factor=_FACTOR.copy(),
        neutral_current=float(np.abs(phasors.sum())),
        frequency=50.0 + 0.012 * float(np.sin(at_s / 83.0) + 0.4 * np.sin(at_s / 19.0)),
        energy_import=energy_kwh,
        energy_export=np.zeros(3),
        sides=np.abs(star - star[[1, 2, 0]]),
    )
