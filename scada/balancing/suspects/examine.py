"""Everything about some groups at once: the day from which on something is missing, both ways, verdicts."""

from collections.abc import Sequence
from typing import Final, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import DAY_H, Groups
from scada.balancing.suspects.fused import Ranking, ranking
from scada.balancing.suspects.history import Windows
from scada.balancing.suspects.joint import Explained, explained
from scada.balancing.suspects.verdicts import Verdicts, verdicts

LEAST: Final = 5                        # days before and after the step
CLEAR: Final = 3.0                      # t of the step; less is no step, and the middle is taken

T = TypeVar("T")


@attrs.frozen(eq=False)
class Report:
    """All that was found of g groups."""

    before: NDArray[np.int64]               # (g,) days that say what is usual
    stepped: NDArray[np.bool_]              # (g,) the imbalance has a step there
    first: Explained
    found: Ranking
    said: Verdicts


def examine(
    groups: Groups,
    resolution: float | NDArray[np.float64] = 0.01,
    like: NDArray[np.int64] | None = None,
    magnets: NDArray[np.bool_] | None = None,
    covers: NDArray[np.bool_] | None = None,
    before: int | None = None,
    loss_term: bool | None = None,
) -> Report:
    """
    Return who or what explains what is missing in groups.

    Parameters
    ----------
    groups : Groups
        Ten days or more; twenty are what the figures are of.
    resolution : float or ndarray of float64, shape (g, n)
        One count of each member's register. [kWh or m3]
    like : ndarray of int64, shape (d,), optional
        Kind of each day, as in `history.change`.
    magnets, covers : ndarray of bool, shape (g, n, d), optional
        As in `verdicts.verdicts`.
    before : int, optional
        Days that say what is usual; by default each group's own, up to the step of its imbalance. [d]
    loss_term : bool, optional
        As in `joint.explained`.

    Raises
    ------
    ValueError
        If there are fewer than ten days.
    """
    days = groups.feed.shape[1] // DAY_H
    if days < 2 * LEAST:
        raise ValueError(f"{days} days: {2 * LEAST} or more expected")
    first = explained(groups, loss_term)
    usual, stepped = step_day(groups, first)
    if before is not None:
        usual = np.full(len(groups.feed), before)
    parts, rows = [], []
    for day in np.unique(usual):               # at most one a day, whatever the number of groups
        row = np.flatnonzero(usual == day)
        some, of_some = groups.take(row), _take(first, row)
        windows = Windows(int(day), days)
        fine = resolution[row] if isinstance(resolution, np.ndarray) else resolution
        found = ranking(some, windows, of_some, fine, like, loss_term)
        on_magnet, on_cover = (None if events is None else events[row] for events in (magnets, covers))
        said = verdicts(some, windows, of_some, found, fine, on_magnet, on_cover, stepped[row])
        parts.append((found, said))
        rows.append(row)
    order = np.argsort(np.concatenate(rows), kind="stable")
    ranked, said = _join([found for found, _ in parts], order), _join([said for _, said in parts], order)
    return Report(usual, stepped, first, ranked, said)


def step_day(groups: Groups, first: Explained) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """
    Return the day that parts each group's imbalance best into two levels, the second higher.

    Parameters
    ----------
    groups : Groups
    first : Explained
        Its square of the load is taken off before.

    Returns
    -------
    day : ndarray of int64, shape (g,)
        Five days from either end at least; the middle where no step is clear.
    clear : ndarray of bool, shape (g,)
    """
    shape = (len(groups.feed), -1, DAY_H)
    square = first.loss * np.abs(groups.feed).sum(axis=1) / np.maximum((groups.feed**2).sum(axis=1), 1e-12)
    rest = groups.imbalance - square[:, None] * groups.feed**2
    used = groups.usable.reshape(shape).sum(axis=2)
    weight = used / DAY_H
    daily = np.where(used > 0, (rest * groups.usable).reshape(shape).sum(axis=2) / np.maximum(weight, 1e-9), 0.0)
    days = daily.shape[1]
    count = np.cumsum(weight, axis=1)[:, :-1]
    head = np.cumsum(weight * daily, axis=1)[:, :-1]
    total, number = (weight * daily).sum(axis=1, keepdims=True), weight.sum(axis=1, keepdims=True)
    left, right = np.maximum(count, 1e-9), np.maximum(number - count, 1e-9)
    step = (total - head) / right - head / left
    gain = np.where(step > 0, step**2 * left * right / np.maximum(number, 1e-9), 0.0)
    gain[:, : LEAST - 1] = gain[:, days - LEAST :] = 0.0
    best = gain.argmax(axis=1)
    row = np.arange(len(daily))
    scatter = (weight * (daily - total / np.maximum(number, 1e-9)) ** 2).sum(axis=1) - gain[row, best]
    t = np.sqrt(gain[row, best] * (days - 2) / np.maximum(scatter, 1e-12))
    return np.where(t > CLEAR, best + 1, days // 2).astype(np.int64), t > CLEAR


def _take(value: T, row: NDArray[np.intp]) -> T:
    """Some groups of a class of arrays whose first axis they are."""
    fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}       # type: ignore[arg-type]
    return type(value)(
        **{name: part[row] if isinstance(part, np.ndarray) else _take(part, row) for name, part in fields.items()}
    )


def _join(values: Sequence[T], order: NDArray[np.intp]) -> T:
    """Several such as one, in the order of the groups."""
    made = {}
    for field in attrs.fields(type(values[0])):            # type: ignore[arg-type]
        parts = [getattr(value, field.name) for value in values]
        made[field.name] = np.concatenate(parts)[order] if isinstance(parts[0], np.ndarray) else _join(parts, order)
    return type(values[0])(**made)
