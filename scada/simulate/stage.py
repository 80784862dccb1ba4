"""Where faults happen: begins and ends them, from a scenario or on demand, and keeps what happened.

It has no clock of its own. Times are site time. [s since 1970]
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from scada.drivers.dmesh.simulator.client import ConcentratorClient
from scada.errors import CommandRejected
from scada.simulate.faults import CATALOGUE, Rig, Undo
from scada.simulate.scenario import Scenario, Step, Target, clock, misplaced

MOST_RUNNING: Final = 64
KEPT: Final = 200                           # faults that are over


@attrs.define(eq=False)
class Happening:
    """One fault that began."""

    number: int
    fault: str
    target: Target
    began: float
    ends: float | None
    expect: tuple[str, ...]
    ended: float | None = None
    undo: Undo = lambda: None

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "number": self.number, "fault": self.fault, "target": str(self.target), "began": round(self.began),
            "ends": None if self.ends is None else round(self.ends),
            "ended": None if self.ended is None else round(self.ended),
            "expect": list(self.expect),
        }


class Stage:
    """
    Parameters
    ----------
    clients : mapping of str to ConcentratorClient
        The concentrators by name.
    now : callable
        Site time.
    start : float
        Where the scenario's time line begins.
    tell : callable
        Given a sentence for each beginning and end.
    """

    def __init__(
        self, clients: Mapping[str, ConcentratorClient], now: Callable[[], float], start: float, seed: int = 1,
        scenario: Scenario | None = None, tell: Callable[[str], None] = lambda said: None,
    ) -> None:
        self._clients, self._now, self._start, self._tell = clients, now, start, tell
        self._seed = seed if scenario is None or scenario.seed is None else scenario.seed
        self._steps: list[Step] = list(scenario.steps) if scenario else []
        self._running: dict[int, Happening] = {}
        self._over: list[Happening] = []
        self._number = 0

    @property
    def there(self) -> dict[str, frozenset[int]]:
        """Concentrators, and the indices of their modules."""
        return {name: frozenset(one.index for one in client.state.modules) for name, client in self._clients.items()}

    def now(self) -> float:
        """Site time."""
        return self._now()

    @property
    def running(self) -> tuple[Happening, ...]:
        return tuple(self._running.values())

    @property
    def over(self) -> tuple[Happening, ...]:
        """Faults that have ended, oldest first."""
        return tuple(self._over)

    def next_due(self) -> float | None:
        """When the next fault of the scenario begins, or any ends."""
        beginning = [self._start + one.at_s for one in self._steps[:1]]
        return min([*beginning, *(one.ends for one in self._running.values() if one.ends is not None)], default=None)

    def run(self, now: float) -> None:
        """Let begin and end what is due by `now`."""
        for one in [one for one in self._running.values() if one.ends is not None and one.ends <= now]:
            self.end(one.number)
        while self._steps and self._start + self._steps[0].at_s <= now:
            step = self._steps.pop(0)
            more = tuple(str(one) for one in step.expect)
            try:
                self.begin(step.fault, step.target, step.duration_s, more)
            except CommandRejected as refusal:
                self._tell(f"{clock(step.at_s)} {step.fault} on {step.target} did not begin: {refusal}")

    def begin(
        self, name: str, target: Target, duration_s: float | None = None, expect: Sequence[str] = ()
    ) -> Happening:
        """Let a fault begin; raises `CommandRejected` with every reason why it cannot."""
        reasons = [] if name in CATALOGUE else [f"no fault is called {name}; `scada simulate faults` lists them"]
        if said := misplaced(name, target, self.there):
            reasons.append(said)
        if any((one.fault, one.target) == (name, target) for one in self._running.values()):
            reasons.append(f"{name} is on {target} already")
        if len(self._running) >= MOST_RUNNING:
            reasons.append(f"{MOST_RUNNING} faults are on already")
        if reasons:
            raise CommandRejected(reasons)
        fault, now = CATALOGUE[name], self._now()
        self._number += 1
        others = tuple(one for other, one in self._clients.items() if other != target.concentrator)
        dice = random.Random(f"{self._seed}/{self._number}/{name}/{target}")
        rig = Rig(self._clients[target.concentrator], target.module or 0, self._now, dice, others)
        try:
            undo = fault.begin(rig)
        except LookupError as error:
            raise CommandRejected([str(error.args[0])]) from None
        wanted = tuple(dict.fromkeys([*(str(one) for one in fault.expect), *expect]))
        ends = None if duration_s is None else now + duration_s
        self._running[self._number] = begun = Happening(self._number, name, target, now, ends, wanted, undo=undo)
        self._tell(f"{self._clock(now)} {name} on {target} begins. Must show: {fault.shows} ({', '.join(wanted)})")
        return begun

    def end(self, number: int) -> None:
        """Let it end; raises `CommandRejected` where it is not on."""
        one = self._running.pop(number, None)
        if one is None:
            raise CommandRejected([f"fault number {number} is not on"])
        one.undo()
        one.ended = self._now()
        self._over.append(one)
        del self._over[:-KEPT]
        self._tell(f"{self._clock(one.ended)} {one.fault} on {one.target} is over")

    def _clock(self, at: float) -> str:
        return clock(max(0, round(at - self._start)))
