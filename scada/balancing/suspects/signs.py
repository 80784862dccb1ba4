"""What else bears on a verdict: habits that changed, registers that are too coarse."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import Groups
from scada.balancing.suspects.fused import Ranking
from scada.balancing.suspects.history import unlikely

COARSE: Final = 0.5                     # one count over the mean hour: the profile is noise
CHANGED: Final = 3.0                    # log-odds against a usual change, to be mentioned
MATCHED: Final = 0.3                    # of what a member lacks, explained by the imbalance: less is a change of habits


def habits(found: Ranking) -> NDArray[np.bool_]:
    """Members that take less than their past says while the imbalance did not rise by it: C7's harmless case."""
    changes = found.changes
    lacks = np.nan_to_num(changes.before - changes.after)
    unusual = np.nan_to_num(-unlikely(changes.ratio, changes.spread)) > CHANGED
    return np.asarray(unusual & (lacks > 0) & (found.rate < MATCHED * lacks))


def coarse(groups: Groups, resolution: float | NDArray[np.float64]) -> NDArray[np.bool_]:
    hour = np.abs(groups.members).sum(axis=2) / np.maximum(groups.known.sum(axis=2), 1)
    return np.asarray((np.broadcast_to(resolution, hour.shape) > COARSE * hour) & (hour > 0) & groups.real)
