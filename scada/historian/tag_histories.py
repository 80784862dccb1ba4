"""Samples of one tag as columns: some of them, several parts as one, and what of them may be drawn. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.ports import TagHistory
from scada.tags import BAD

EMPTY: Final = TagHistory(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8))


def chosen(history: TagHistory, which: Any) -> TagHistory:
    """Some of the samples: an index, a slice or a mask."""
    held = None if history.held is None else history.held[which]
    return TagHistory(history.at[which], history.values[which], history.quality[which], held)


def joined(parts: Sequence[TagHistory]) -> TagHistory:
    """Parts one after the other; how long they stand only where all say it."""
    if not parts:
        return EMPTY
    held = [one.held for one in parts if one.held is not None]
    return TagHistory(
        np.concatenate([one.at for one in parts]), np.concatenate([one.values for one in parts]),
        np.concatenate([one.quality for one in parts]), np.concatenate(held) if len(held) == len(parts) else None,
    )


def usable(values: NDArray[np.float64], quality: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The values that may be drawn; NaN for the others."""
    return np.where(np.isfinite(values) & (quality < BAD), values, np.nan)
