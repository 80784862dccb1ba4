"""Water in homes, and what drips: the same lives as in `households`, with taps in the place of appliances. Litres.

Of the order of 120 l a person and day; a flush is 6-9 l, a shower 50 l. A leak is a steady flow that never ends
by itself: a dripping tap 1-15 l/h, a flap of a cistern 10-100 l/h.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.bench import meters
from tests.bench.habits import CHORES, EVENING, MEALS, WASHING, Appliance
from tests.bench.households import make

PULSE_L: Final = 10.0       # one count of the register [l]
ALWAYS: Final = tuple(curve + 1.5 for curve in EVENING)        # somebody gets up at night

TAPS: Final = (
    Appliance("flush", 1.0, 480.0, 0.1, 1.0, 9.0, ALWAYS),
    Appliance("wash-basin", 1.0, 300.0, 0.2, 0.5, 12.0, WASHING),
    Appliance("shower", 0.95, 480.0, 0.2, 6.5, 1.6, WASHING),
    Appliance("bath", 0.3, 700.0, 0.1, 11.0, 0.25, EVENING),
    Appliance("kitchen", 1.0, 300.0, 0.2, 1.0, 10.0, MEALS),
    Appliance("washing machine", 0.95, 55.0, 0.2, 60.0, 0.5, CHORES),
    Appliance("dishwasher", 0.4, 15.0, 0.2, 50.0, 0.6, EVENING),
    Appliance("garden hose", 0.1, 700.0, 0.3, 40.0, 0.15, EVENING),
)


def homes(
    seed: int | np.random.Generator,
    count: int,
    days: int,
    leak: NDArray[np.float64] | float = 0.0,
    resolution: float = PULSE_L,
) -> NDArray[np.float64]:
    """
    Return what the meters of homes count.

    Parameters
    ----------
    leak : float or ndarray of float64, shape (n,)
        Steady flow of each home. [l/h]
    resolution : float
        One step of the registers. [l]

    Returns
    -------
    counted : ndarray of float64, shape (n, days * 24)
        [l] an hour
    """
    rng = np.random.default_rng(seed)
    taken = make(count, days, rng, appliances=TAPS).energy()
    return meters.counted(rng, taken + np.broadcast_to(np.asarray(leak, dtype=np.float64), (count,))[:, None], resolution)
