"""What is made of a concentrator's clock: how far it is off, how fast it runs away, and what is done about it. Pure.

Positive is fast: the clock is ahead of the server's. Times are site time. A clock that is a little off is slewed: it runs
slow or fast by `SLEW_RATE` until it is right, so that it never goes back. One that is far off is stepped, which is
always an event, and a graver one where hours lie between that were archived already: they come a second time.
"""

from collections import deque
from datetime import UTC, datetime
from typing import Final

import attrs
import numpy as np

from scada.clock import HOUR_S
from scada.drivers.dmesh.numbers import ClockMode
from scada.events import EventCode

SLEW_LIMIT_S: Final = 30.0              # up to here a clock is slewed
SLEW_RATE: Final = 0.01                 # s in a s, at most: 30 s take 50 minutes
LOST_BEFORE_S: Final = 946_684_800      # a clock that shows a time before the year 2000 was lost
MOST_HOURS: Final = 26                  # marked; an hour that is more than a day ahead is never stored
KEPT: Final = 24                        # measures: a day of them
LEAST_APART_S: Final = 600.0            # between two measures that make a slope
LEAST_SPAN_S: Final = 3 * HOUR_S        # for a first judgement of the rate
OPEN_PPM: Final = 50.0                  # what two comparisons leave open of a slope that counts, at most
LEAST_PAIRS: Final = 3                  # that make a slope
PPM: Final = 1e6


@attrs.frozen
class Measure:
    """One comparison of two clocks."""

    at: float                           # ours [s since 1970]
    offset: float                       # theirs minus ours [s]
    within: float                       # half of the round trip, and what the numbers on the wire leave open [s]
    trusted: bool = True                # the concentrator trusts its clock

    @property
    def error(self) -> float:
        """What is to be put right: nothing, where the comparison leaves more open than it found. [s]"""
        return self.offset if abs(self.offset) > self.within else 0.0

    @property
    def theirs(self) -> float:
        return self.at + self.offset


def measured(sent: float, took: float, own: float, own_ms: int, *, trusted: bool) -> Measure:
    """From a PING sent at `sent` that was answered after `took` s of site time; whole seconds leave one second open."""
    at = sent + took / 2
    coarse = 0.0 if own_ms else 0.5
    return Measure(at, own + own_ms / 1000 + coarse - at, took / 2 + coarse, trusted)


@attrs.frozen
class Plan:
    """What is done about one measure. `code` and `detail`: the event that is told before the clock is touched."""

    mode: ClockMode
    code: EventCode | None = None
    detail: str = ""
    hours: range = range(0)             # held already and set back over: their time is in doubt [h since 1970]


def decide(measure: Measure, name: str, held_until: int | None) -> Plan:
    """
    Decide how a clock is set right.

    Parameters
    ----------
    measure : Measure
        The best of several.
    name : str
        The concentrator, for people.
    held_until : int or None
        End of the newest hour that is stored of it; None where that is not known, or where it may have archived hours
        that are on their way. [h since 1970]
    """
    if abs(measure.offset) - measure.within <= SLEW_LIMIT_S:
        return Plan(ClockMode.SLEW)
    before, after = _stamp(measure.theirs), _stamp(measure.at)
    first, end = int(measure.at // HOUR_S), int(measure.theirs // HOUR_S)
    if held_until is not None:
        end = min(end, held_until)
    if end > first:
        hours = range(first, min(end, first + MOST_HOURS))
        detail = f"{name}: clock set back from {before} to {after} over stored hours: {_hours(hours)}, marked as doubtful"
        return Plan(ClockMode.STEP, EventCode.CLOCK_SET_BACK, detail, hours)
    if measure.theirs < LOST_BEFORE_S:
        return Plan(ClockMode.STEP, EventCode.CLOCK_SET, f"{name}: clock was lost, set from {before} to {after}")
    return Plan(ClockMode.STEP, EventCode.CLOCK_SET, f"{name}: clock set from {before} to {after}")


@attrs.define(eq=False)
class ClockRecord:
    """What is known of one concentrator's clock; a rate needs some hours of measures."""

    last: Measure | None = None         # at most one in ten minutes, but for the one after a step
    mode: ClockMode | None = None       # how it was set last
    drift: float = float("nan")         # rate of the clock by itself [ppm]
    steps: int = 0                      # since start
    _slewing: float = 0.0               # what is being taken away since the last measure [s]
    _removed: float = 0.0               # what was slewed away since the first sample [s]
    _samples: deque[tuple[float, float, float]] = attrs.field(factory=lambda: deque(maxlen=KEPT))

    def take(self, measure: Measure) -> None:
        """
        Enter a measure. The rate is the median of the slopes between all pairs of samples that are sharp enough
        (Theil-Sen), of the offset as it would be had nobody slewed it; a bad measure in four does not move it.
        """
        if self.last is not None and self._samples:
            passed = measure.at - self.last.at
            if passed < LEAST_APART_S:
                return
            most = SLEW_RATE * passed
            self._removed += min(max(self._slewing, -most), most)
        self._slewing = 0.0
        self.last = measure
        self._samples.append((measure.at, measure.offset + self._removed, measure.within))
        at, free, within = np.array(self._samples).T
        one, other = np.triu_indices(len(at), 1)
        apart = at[other] - at[one]
        sharp = PPM * (within[one] + within[other]) <= OPEN_PPM * apart
        if at[-1] - at[0] >= LEAST_SPAN_S and sharp.sum() >= LEAST_PAIRS:
            self.drift = PPM * float(np.median((free[other] - free[one])[sharp] / apart[sharp]))

    def ordered(self, mode: ClockMode, error: float) -> None:
        """The concentrator has taken TIME_SET; after a step the samples before say nothing about those that follow."""
        self.mode, self._slewing = mode, error if mode is ClockMode.SLEW else 0.0
        if mode is ClockMode.STEP:
            self.steps += 1
            self._samples.clear()
            self._removed = 0.0


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _hours(hours: range) -> str:
    return " - ".join(_stamp(one * HOUR_S)[:16] for one in (hours[0], hours[-1] + 1))
