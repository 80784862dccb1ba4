"""The work order for a crew: who moves where, in which order, and who is measured first. Pure data, printed elsewhere."""

from collections.abc import Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.phases.gram import Score
from scada.balancing.phases.identify import SURE, Identified

NAMES: Final = ("L1", "L2", "L3")


@attrs.frozen
class Step:
    """One consumer to be moved."""

    number: int                             # 1 first
    consumer: str
    address: str
    of: str                                 # the phase it hangs on now, "L1"
    to: str
    left: float                             # of today's score after this step and all before it [1]
    doubtful: bool                          # profiles say it hangs elsewhere, or do not say clearly: measure before moving


@attrs.frozen
class Order:
    """All steps; a crew that stops half way has done the better half."""

    feeder: str
    steps: tuple[Step, ...]

    @property
    def left(self) -> float:
        """Of today's score when all is done. [1]"""
        return self.steps[-1].left if self.steps else 1.0


def work_order(
    feeder: str, table: Score, start: NDArray[np.int64], phase: NDArray[np.int64], consumers: Sequence[str],
    addresses: Sequence[str] = (), found: Identified | None = None,
) -> Order:
    """
    Return the moves from `start` to `phase`, the one that helps most first.

    Parameters
    ----------
    feeder : str
        Its name, for the head of the sheet.
    table : Score
        How allocations are scored.
    start, phase : ndarray of int64, shape (n,)
        Today's phases and the recommended ones.
    consumers : sequence of str, length n
        Names by which the crew finds them.
    addresses : sequence of str, length n, optional
    found : Identified, optional
        What the profiles say of `start`: who is not clearly there is marked.

    Returns
    -------
    order : Order
        Every step alone may be for the worse only if the ones after it need it; the order is greedy.

    Raises
    ------
    ValueError
        If there is not one name for each consumer.
    """
    if len(consumers) != len(start) or (addresses and len(addresses) != len(start)):
        raise ValueError(
            f"one name for each of {len(start)} consumers; found {len(consumers)} and {len(addresses)} addresses"
        )
    now, today = start.copy(), table.score(start)
    todo = [int(one) for one in np.flatnonzero(start != phase)]
    steps: list[Step] = []
    while todo:                                         # a dozen moves
        gains = table.gains(now, table.pulls(now))
        one = min(todo, key=lambda who: gains[who, phase[who]])
        todo.remove(one)
        now[one] = phase[one]
        steps.append(Step(
            number=len(steps) + 1, consumer=consumers[one], address=addresses[one] if addresses else "",
            of=NAMES[start[one]], to=NAMES[phase[one]], left=table.score(now) / today if today > 0 else 1.0,
            doubtful=found is not None and not _clearly(found, int(one), int(start[one])),
        ))
    return Order(feeder, tuple(steps))


def _clearly(found: Identified, one: int, phase: int) -> bool:
    return bool(found.phase[one] == phase and found.margin[one] >= SURE)
