"""The third acknowledgement: how far a transformer's load fell, held against what it does when nobody sheds anything.

The fall is the difference of two medians, so that a motor that starts or a bad sample moves it little. How far it can be
trusted is not taken from a formula but from the same load: the same difference is formed over and over in the hours
before, where no command was. Their median is the load's own drift, which is taken off; their spread is the uncertainty.
"""

from collections.abc import Iterable
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import NS
from scada.commands import Action, Effect, EffectState, MemberState
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.outages import Outages
from scada.site import Directory

HISTORY_S: Final = 7200                 # site time before a command that its load is compared with
WINDOW_S: Final = 90                    # site time of each of the two windows, where samples are dense enough
SAMPLES: Final = 4                      # in each window at least
PLACEBOS: Final = 8                     # differences without a command, at least
SIGMAS: Final = 2.0                     # about 95 % where the spread is normal
TO_SIGMA: Final = 1.4826                # of a median absolute deviation, for a normal distribution

NOT_METERED: Final = "the transformer has no meter"
NO_SAMPLES: Final = "too few measurements"
NO_HISTORY: Final = "too few measurements before the command"
TOO_SHORT: Final = "off for too short a time to measure"
NOBODY: Final = "no load has executed the command"
DISTURBED: Final = "another command at the same transformer at the same time"
TOO_SMALL: Final = "the expected effect is smaller than what the load does by itself"


@attrs.frozen
class Span:
    """When one transformer's loads went off, and what that is worth."""

    made: int                           # ns, site time: the load before is measured until here
    settled: int                        # ns, site time: the last of its loads has gone off
    back: int                           # ns, site time: the first of them may be back
    loads: tuple[tuple[int, float], ...]        # (ns, site time they went off; W rated), of those that went together

    def expected_w(self, at: int) -> float:
        """Rated power of the loads that were off by a time [ns, site time]. [W]"""
        return sum(watts for off, watts in self.loads if off <= at)


@attrs.frozen(eq=False)
class Series:
    """Good samples of a transformer's active power, oldest first."""

    at: NDArray[np.int64]               # ns, site time
    watts: NDArray[np.float64]


def spans(command: Command, directory: Directory, restored: int | None) -> dict[str, Span]:
    """By transformer, where any load executed; `restored` is when an early restore was made. [ns, site time]"""
    found: dict[str, list[tuple[int, int, float]]] = {}
    members, on_s = command.members, command.off_for_s - command.jitter_s
    for place, share in enumerate(members.shares):
        concentrator, went = directory.concentrator.get(members.roll.names[place]), share.executed > 0
        if concentrator is None or concentrator.transformer not in directory.transformer or not went.any():
            continue
        back = share.executed + on_s * NS
        back = np.where(share.state == MemberState.RESTORED, np.minimum(back, share.changed), back)[went]
        watts = members.roll.rated_w[members.roll.part(place)][went]
        times, alike = np.unique(share.executed[went], return_inverse=True)
        for number, (off, power) in enumerate(zip(times.tolist(), np.bincount(alike, watts).tolist(), strict=True)):
            first = int(back[alike == number].min())
            entry = (off, first if restored is None else min(first, restored), power)
            found.setdefault(concentrator.transformer, []).append(entry)
    return {
        name: Span(
            command.made, max(off for off, _, _ in loads), min(back for _, back, _ in loads),
            tuple((off, watts) for off, _, watts in loads),
        )
        for name, loads in found.items()
    }


def measured(transformer: str, span: Span, series: Series, disturbed: bool) -> Effect:
    """
    Return what a transformer's meter showed of a command.

    Parameters
    ----------
    transformer : str
        Its name.
    span : Span
        When its loads were off.
    series : Series
        Its power from `HISTORY_S` before the command to the end of the span at least.
    disturbed : bool
        Whether another command moved its load at the same time.
    """
    before = series.at < span.made
    if np.count_nonzero(before) < SAMPLES:
        return _untold(transformer, span, NO_HISTORY)
    spacing = int(np.median(np.diff(series.at[before])))
    window = max(WINDOW_S * NS, (SAMPLES + 1) * spacing)     # a fast site clock: samples are minutes apart
    start = min(span.settled, span.back - window)
    if start < span.made:
        return _untold(transformer, span, TOO_SHORT)
    difference, noise, level, after = _difference(series, span.made, start - span.made, window)
    if np.isnan(difference):
        return _untold(transformer, span, NO_SAMPLES)
    edges = np.arange(span.made - (start - span.made) - window, span.made - HISTORY_S * NS + window, -(window // 2))
    placebos = np.array([_difference(series, int(edge), start - span.made, window)[0] for edge in edges])
    placebos = placebos[~np.isnan(placebos)]
    if len(placebos) < PLACEBOS:
        return _untold(transformer, span, NO_HISTORY)
    drift = float(np.median(placebos))
    spread = TO_SIGMA * float(np.median(np.abs(placebos - drift)))
    shed, uncertainty = difference - drift, SIGMAS * max(spread, noise)
    expected = span.expected_w(start)
    effect = Effect(transformer, EffectState.CANNOT_TELL, shed, uncertainty, expected, level, after, start + window)
    if disturbed:
        return attrs.evolve(effect, reason=DISTURBED)
    if shed > uncertainty:
        return attrs.evolve(effect, state=EffectState.CONFIRMED)
    if uncertainty <= expected / 2:                  # it would have been seen, were half of it there
        return attrs.evolve(effect, state=EffectState.NOT_CONFIRMED)
    return attrs.evolve(effect, reason=TOO_SMALL)


def untold(command: Command, directory: Directory, spans_: dict[str, Span]) -> tuple[Effect, ...]:
    """Transformers of the command of which nothing can be measured, and why."""
    known = directory.concentrator
    names = {known[name].transformer for name in command.members.roll.names if name in known}
    found = []
    for name in sorted(names & directory.transformer.keys()):
        if name not in spans_:
            found.append(_untold(name, Span(command.made, command.made, command.made, ()), NOBODY))
        elif not directory.transformer[name].meter:
            found.append(_untold(name, spans_[name], NOT_METERED))
    return tuple(found)


def is_disturbed(span: Span, edges: Iterable[int]) -> bool:
    """Whether outages of other commands begin or end while this one is measured. [ns, site time]"""
    begin, end = span.made - WINDOW_S * NS, span.settled + WINDOW_S * NS
    return any(begin <= edge <= end for edge in edges)


def edges(others: Iterable[Outages], directory: Directory) -> dict[str, set[int]]:
    """By transformer: when other commands have, or may have, moved its load. [ns, site time]"""
    found: dict[str, set[int]] = {}
    for one in others:
        if one.roll is None or one.rows is None:
            continue
        bounds = np.searchsorted(one.rows, one.roll.starts)
        for place, name in enumerate(one.roll.names):
            concentrator, part = directory.concentrator.get(name), slice(bounds[place], bounds[place + 1])
            if concentrator is not None:
                times = {*np.unique(one.begin[part]).tolist(), *np.unique(one.end[part]).tolist()}
                found.setdefault(concentrator.transformer, set()).update(times)
    return found


def may_be_measured(command: Command) -> bool:
    return command.action is Action.SHED and not command.monitor_only and not command.effects


def _difference(series: Series, end: int, gap: int, window: int) -> tuple[float, float, float, float]:
    """Median before `end` less median from `end + gap` on, its standard error, and both medians; NaN with few samples."""
    at, watts = series.at, series.watts
    lower, upper = (watts[slice(*np.searchsorted(at, (start, start + window)))] for start in (end - window, end + gap))
    if len(lower) < SAMPLES or len(upper) < SAMPLES:
        return (np.nan,) * 4
    medians = float(np.median(lower)), float(np.median(upper))
    errors = [
        1.2533 * TO_SIGMA * float(np.median(np.abs(values - middle))) / np.sqrt(len(values))    # of a median, normal
        for values, middle in ((lower, medians[0]), (upper, medians[1]))
    ]
    return medians[0] - medians[1], float(np.hypot(*errors)), *medians


def _untold(transformer: str, span: Span, reason: str) -> Effect:
    nan, expected = float("nan"), span.expected_w(span.settled)
    return Effect(transformer, EffectState.CANNOT_TELL, nan, nan, expected, nan, nan, span.settled, reason)
