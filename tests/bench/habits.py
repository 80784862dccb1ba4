"""What is switched on in homes, how often, when and for how long: the table behind `households`.

Figures are of the order that appliance surveys and nameplates give, chosen so that the sums agree with what `households`
names; none is a measurement. A curve is the chance of each hour of the day to see the start of a use, in any unit.
"""

from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

#                  0  1  2  3  4  5   6   7   8   9  10  11  12  13  14  15  16  17  18  19  20  21  22  23
MEALS: Final = (
    np.array([     0, 0, 0, 0, 0, 3, 13, 18,  8,  3,  1,  2,  4,  3,  1,  2,  6, 13, 16, 13,  8,  5,  3,  1], float),
    np.array([     0, 0, 0, 0, 0, 1,  5, 13, 13,  8,  6, 10, 14, 10,  5,  5,  7, 11, 13, 11,  7,  4,  2,  1], float),
    np.array([     1, 0, 0, 0, 0, 0,  2,  6, 11, 12,  9,  9, 14, 12,  6,  5,  7, 12, 15, 12,  7,  4,  3,  2], float),
)
CHORES: Final = (
    np.array([     1, 0, 0, 0, 0, 1,  4,  7,  5,  3,  3,  3,  3,  3,  3,  4,  7, 12, 13, 12,  9,  6,  3,  2], float),
    np.array([     1, 0, 0, 0, 0, 0,  2,  6, 10, 12, 12, 11,  9,  8,  8,  8,  8,  8,  7,  6,  5,  4,  2,  1], float),
    np.array([     1, 0, 0, 0, 0, 0,  1,  4, 10, 14, 14, 12, 10,  9,  9,  9,  9,  8,  7,  6,  5,  4,  2,  1], float),
)
EVENING: Final = (
    np.array([     2, 1, 0, 0, 0, 3, 10, 12,  5,  2,  1,  1,  1,  1,  1,  2,  6, 12, 15, 15, 12,  9,  6,  3], float),
    np.array([     2, 1, 0, 0, 0, 1,  4,  9, 10,  8,  6,  5,  6,  5,  5,  5,  7, 10, 12, 12, 10,  8,  5,  3], float),
    np.array([     4, 2, 1, 0, 0, 0,  2,  6,  9,  9,  7,  6,  6,  6,  6,  6,  8, 10, 11, 11, 10,  8,  6,  5], float),
)
WASHING: Final = (
    np.array([     1, 0, 0, 0, 0, 4, 14, 14,  7,  3,  2,  2,  2,  2,  2,  3,  5,  7,  8,  9, 10,  9,  6,  3], float),
    np.array([     1, 0, 0, 0, 0, 2,  8, 12, 11,  8,  6,  5,  5,  4,  4,  4,  5,  6,  7,  8,  9,  8,  5,  2], float),
    np.array([     2, 1, 0, 0, 0, 1,  3,  7, 11, 12, 10,  7,  5,  4,  4,  4,  5,  6,  7,  8,  9,  8,  6,  3], float),
)

NIGHT: Final = (np.array([8.0, 3, 2, 2, 1, 1] + [0.0] * 17 + [4.0]),) * 3


@attrs.frozen(eq=False)
class Appliance:
    """A kind of appliance and its use."""

    name: str
    owned: float                            # share of households
    kw: float                               # while on [kW]
    spread: float                           # of the power between households, of its logarithm
    minutes: float                          # of a use, on average [min]
    per_day: float                          # uses
    curves: tuple[NDArray[np.float64], ...] # working people, people at home, weekend
    weekend: float = 1.0                    # uses over those of a working day
    follows: str = ""                       # "dark" or "cold": what all homes share
    heats: float = 0.0                      # minutes at full power, then a tenth of it [min]

    @property
    def cumulative(self) -> tuple[NDArray[np.float64], ...]:
        """Of each curve at the 25 edges of hours."""
        return tuple(np.concatenate([[0.0], np.cumsum(curve)]) / curve.sum() for curve in self.curves)


APPLIANCES: Final = (
    Appliance("kettle", 0.9, 2.0, 0.15, 3.5, 3.5, MEALS, 1.1),
    Appliance("hob", 0.45, 0.9, 0.3, 35.0, 1.6, MEALS, 1.2),
    Appliance("oven", 0.6, 1.3, 0.25, 45.0, 0.3, MEALS, 1.5),
    Appliance("microwave", 0.75, 1.1, 0.2, 5.0, 1.5, MEALS),
    Appliance("washing machine", 0.95, 1.9, 0.15, 75.0, 0.5, CHORES, 1.4, heats=16.0),
    Appliance("dishwasher", 0.4, 1.8, 0.15, 80.0, 0.6, EVENING, 1.2, heats=24.0),
    Appliance("tumble dryer", 0.15, 1.6, 0.2, 60.0, 0.3, CHORES, 1.5),
    Appliance("iron or vacuum cleaner", 0.95, 1.1, 0.2, 20.0, 0.4, CHORES, 1.5),
    Appliance("television", 0.95, 0.12, 0.4, 150.0, 2.4, EVENING, 1.15),
    Appliance("computer", 0.8, 0.10, 0.5, 160.0, 1.8, EVENING, 1.1),
    Appliance("lights", 1.0, 0.13, 0.5, 100.0, 6.0, EVENING, 1.1, follows="dark"),
    Appliance("water heater", 0.25, 1.5, 0.2, 24.0, 3.5, WASHING, 1.1),
    Appliance("water heater on a timer", 0.08, 1.4, 0.2, 90.0, 1.0, NIGHT),
    Appliance("something that runs all day", 0.2, 0.15, 0.6, 400.0, 1.6, CHORES),
    Appliance("shower heater", 0.08, 6.5, 0.2, 7.0, 2.0, WASHING, 1.1),
    Appliance("electric heater", 0.2, 0.8, 0.3, 130.0, 3.0, EVENING, 1.1, follows="cold"),
)
