"""A week of a transformer's voltage, from the means of ten minutes that were kept. Implements the port Voltages."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.quality import TEN_MINUTES_NS, WEEK, week_of_voltage
from scada.balancing.ten_minutes import OUTPUTS
from scada.ports import LiveReader, PhaseWeek, VoltageWeek
from scada.tags import UNCERTAIN, tag_id

PERIOD_NS: Final = WEEK * TEN_MINUTES_NS


class VoltageWeeks:
    """Reads what the watch has kept."""

    def __init__(self, live: LiveReader) -> None:
        self._live = live

    def week(self, transformer: str, last: int) -> VoltageWeek:
        end = last // TEN_MINUTES_NS * TEN_MINUTES_NS
        first = end - PERIOD_NS
        voltage = np.column_stack([self._means(f"{transformer}.voltage", tag.point, first) for tag in OUTPUTS])
        found = week_of_voltage(voltage)
        phases = tuple(
            PhaseWeek(
                counted=int(found.counted[n]), beyond=int(found.beyond[n]), far_beyond=int(found.far_beyond[n]),
                share=float(found.share[n]), worst=float(found.worst[n]), complies=bool(found.complies[n]),
                lowest=float(np.fmin.reduce(voltage[:, n])), highest=float(np.fmax.reduce(voltage[:, n])),
            )
            for n in range(len(OUTPUTS))
        )
        return VoltageWeek(transformer, first, end, WEEK, phases, found.whole)

    def _means(self, device: str, point: str, first: int) -> NDArray[np.float64]:
        """Of every ten minutes, which are kept by their end; NaN where there is none. (WEEK,) [V]"""
        found = self._live.read(tag_id(device, point), first + 1, first + PERIOD_NS + 1)
        means = np.full(WEEK, np.nan)
        good = (found.quality < UNCERTAIN) & (found.at % TEN_MINUTES_NS == 0)
        means[(found.at[good] - first) // TEN_MINUTES_NS - 1] = found.values[good]
        return means
