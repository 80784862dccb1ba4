"""A week of a transformer's voltage and its unbalance, from the ten-minute means that were kept. Implements `Voltages`."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.quality import SHARE, TEN_MINUTES_NS, WEEK, Week, week_of_unbalance, week_of_voltage
from scada.balancing.ten_minutes import OUTPUTS, UNBALANCE
from scada.ports import LiveReader, PhaseWeek, UnbalanceWeek, VoltageWeek
from scada.tags import UNCERTAIN, tag_id

PER_CENT: Final = 100.0
PERIOD_NS: Final = WEEK * TEN_MINUTES_NS


class VoltageWeeks:
    """Reads what the watch has kept."""

    def __init__(self, live: LiveReader) -> None:
        self._live = live

    def week(self, transformer: str, last: int) -> VoltageWeek:
        end = last // TEN_MINUTES_NS * TEN_MINUTES_NS
        first = end - PERIOD_NS
        device = f"{transformer}.voltage"
        voltage = np.column_stack([self._means(device, tag.point, first) for tag in OUTPUTS])
        found = week_of_voltage(voltage)
        settled = _settled(found)
        phases = tuple(
            PhaseWeek(
                counted=int(found.counted[n]), beyond=int(found.beyond[n]), far_beyond=int(found.far_beyond[n]),
                share=float(found.share[n]), worst=float(found.worst[n]), complies=bool(found.complies[n]),
                lowest=float(np.fmin.reduce(voltage[:, n])), highest=float(np.fmax.reduce(voltage[:, n])),
                settled=bool(settled[n]),
            )
            for n in range(len(OUTPUTS))
        )
        unbalance = _unbalance(self._means(device, UNBALANCE.point, first) / PER_CENT)
        return VoltageWeek(transformer, first, end, WEEK, phases, found.whole, unbalance)

    def _means(self, device: str, point: str, first: int) -> NDArray[np.float64]:
        """Of every ten minutes, which are kept by their end; NaN where there is none. (WEEK,)"""
        found = self._live.read(tag_id(device, point), first + 1, first + PERIOD_NS + 1)
        means = np.full(WEEK, np.nan)
        good = (found.quality < UNCERTAIN) & (found.at % TEN_MINUTES_NS == 0)
        means[(found.at[good] - first) // TEN_MINUTES_NS - 1] = found.values[good]
        return means


def _unbalance(factor: NDArray[np.float64]) -> UnbalanceWeek | None:
    found = week_of_unbalance(factor)
    if not found.counted:
        return None
    return UnbalanceWeek(
        counted=int(found.counted), beyond=int(found.beyond), share=float(found.share), worst=float(found.worst),
        highest=float(np.nanmax(factor)), complies=bool(found.complies), settled=bool(_settled(found)),
    )


def _settled(found: Week) -> NDArray[np.bool_]:
    """Where no mean is missing, or too many are beyond already, whatever the others will be."""
    lost = (found.far_beyond > 0) | (found.beyond > (1 - SHARE) * WEEK)
    return np.asarray((found.counted >= WEEK) | lost)
