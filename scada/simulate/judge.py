"""Judges a scenario: the district against a head-end in this process, in virtual time; what was expected, what was seen.

What people have to do for a fault (shed a group, change a key) is done for them.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from scada.clock import HOUR_S, NS, SiteClock, TimeMap
from scada.commands import LoadClass
from scada.drivers.dmesh.simulator.client import ConcentratorClient
from scada.errors import ConfigError, Problem
from scada.simulate.district import District, Episode, make_district
from scada.simulate.faults import CATALOGUE
from scada.simulate.faults.expect import Expectation
from scada.simulate.field import Field, MeterValues
from scada.simulate.headend import HeadEnd
from scada.simulate.scenario import Scenario, Step, clock, read
from scada.simulate.site import site_of
from scada.simulate.stage import Happening, Stage
from scada.simulate.truth import TruthWriter
from scada.simulate.virtual import VirtualReactor
from scada.simulate.wire_log import WireLog
from scada.simulate.witness import Witness
from scada.simulate.world import World
from scada.tags import Batch, Device, TagDef

RATE: Final = 60.0                          # site time per virtual time: keep-alives and back-offs last as long as they do
STEP_S: Final = 60                          # site time
RECOVERY_S: Final = 3 * HOUR_S              # site time after a fault before it is judged
BEFORE_S: Final = 120                       # a command that is to be there first
AFTER_S: Final = 30                         # and one that is given while it lasts
NEVER: Final = 10**9                        # h


@attrs.frozen
class Verdict:
    """One expectation of one fault."""

    fault: str
    target: str
    at_s: int
    expected: Expectation
    seen: float

    @property
    def met(self) -> bool:
        return self.expected.holds({self.expected.name: self.seen})

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "fault": self.fault, "target": self.target, "at_s": self.at_s, "expected": str(self.expected),
            "seen": self.seen, "met": self.met,
        }

    def __str__(self) -> str:
        return f"  {self.expected!s:34} seen {self.seen:<8g} {'ok' if self.met else 'NOT MET'}"


@attrs.frozen
class Judgement:
    """What a scenario came to."""

    verdicts: tuple[Verdict, ...]
    lost: int                               # readings that were archived and are not held
    doubled: int                            # held with a value that no concentrator archived
    complete: bool = True                   # no fault of it may cost a reading

    @property
    def met(self) -> bool:
        return all(one.met for one in self.verdicts) and not self.doubled and not (self.lost and self.complete)

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "met": self.met, "lost": self.lost, "doubled": self.doubled, "verdicts": [one.told() for one in self.verdicts]
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        shown = ("", "", -1)
        for one in self.verdicts:
            if (title := (one.fault, one.target, one.at_s)) != shown:
                yield f"{clock(one.at_s)} {one.fault} on {one.target}"
                shown = title
            yield str(one)
        good = sum(one.met for one in self.verdicts)
        yield (f"{good} of {len(self.verdicts)} expectations met; readings archived and not held: {self.lost}, "
               f"held with another value: {self.doubled}")


def judge(
    path: Path, folder: Path, *, seed: int = 1, start_s: int, truth: Path | None = None, record: Path | None = None,
    tell: Callable[[str], None] = lambda said: None,
) -> Judgement:
    """
    Live through a scenario file; raises `ConfigError` with everything that is wrong in it.

    Parameters
    ----------
    folder : Path
        An empty folder for what the head-end keeps.
    start_s : int
        Site time of the start; the full hour before it is taken. [s since 1970]
    """
    district = quiet(make_district(seed))
    there = {one.name: frozenset(module.index for module in one.modules) for one in district.concentrators}
    scenario = read(path, there)
    played = [CATALOGUE[one.fault] for one in scenario.steps]
    reasons = {
        "a firmware campaign needs an image and its maker's key": {one.name for one in played if one.command == "campaign"},
        "a supply needs keys of modules and two persons": {one.name for one in played if one.live},
    }
    if wanting := [(why, names) for why, names in reasons.items() if names]:
        raise ConfigError([Problem(
            str(path), "steps", f"{', '.join(sorted(names))} cannot be judged: {why}; expected other faults, or the "
            "scenario without --judge"
        ) for why, names in wanting])
    trial = Trial(district, scenario, folder, start_s // HOUR_S, truth or folder / "truth.jsonl", record, tell)
    try:
        return trial.run()
    finally:
        trial.close()


def quiet(district: District) -> District:
    """A district in which nothing goes wrong by itself, so that what is seen is the scenario's doing."""
    first = district.modules[0].eui
    never = Episode(first, NEVER, 1)
    honest = tuple(attrs.evolve(one, meter_factor=1.0) for one in district.consumers)
    return attrs.evolve(district, lost=never, magnet=never, weak_battery=0, consumers=honest)


class Trial:
    def __init__(
        self, district: District, scenario: Scenario, folder: Path, hour: int, truth: Path, record: Path | None,
        tell: Callable[[str], None],
    ) -> None:
        self._reactor, self._start = VirtualReactor(), hour * HOUR_S
        seconds = self._reactor.seconds
        self._clock = SiteClock(
            TimeMap(real0=0, site0=self._start * NS, rate=RATE), real=lambda: round(seconds() * NS), monotonic=seconds,
            trusted=lambda: True,
        )
        dice = random.Random(f"{district.seed}/keys")
        keys = {one.link_id: dice.randbytes(16) for one in district.concentrators}
        truth.unlink(missing_ok=True)
        self._truth = TruthWriter(truth)
        self._field = Field(World(district, hour), keys, dict.fromkeys(keys, 1), self._truth)
        self._head = HeadEnd(folder, self._reactor, self._clock, site_of(district), keys)
        self._meter = MeterValues(self._field)
        self._sink: Any = self._head.bus.of("Modbus")
        self._meter_name = f"{district.transformer}-meter"
        self._sink.add_device(Device(
            self._meter_name, (TagDef("energy_import", "kWh", "Energy imported", digits=2, counter=True),)
        ))
        self._clients = {
            spec.name: ConcentratorClient(
                state, self._reactor, self._head.endpoint, lambda: self._clock.now() / NS, dice=lambda: 0.5
            )
            for spec, state in zip(district.concentrators, self._field.concentrators, strict=True)
        }
        self._wire = WireLog(record, seconds) if record else None
        self._witness = Witness(self._head, self._clients, truth, hour)
        self._stage = Stage(self._clients, self._now, self._start, district.seed, scenario, tell)
        self._before: dict[int, dict[str, float]] = {}
        self._verdicts: dict[int, list[Verdict]] = {}
        self._errands = sorted(self._planned(scenario), key=lambda one: one[0])
        self._complete = all(CATALOGUE[one.fault].complete for one in scenario.steps)
        ends = [one.at_s + (one.duration_s or 2 * RECOVERY_S) for one in scenario.steps]
        self._until = self._start + max(ends) + RECOVERY_S + STEP_S

    def run(self) -> Judgement:
        """Everything, in its order."""
        for client in self._clients.values():
            if self._wire is not None:
                client.line.taps.append(self._wire.tap(client.state.link_id))
            client.start()
        self._head.settle()
        while self._now() < self._until:
            self._step()
        for one in self._stage.running:                     # those that last for ever
            self._judge(one)
        lost, doubled = self._witness.lost_and_doubled()
        found = [one for number in sorted(self._verdicts) for one in self._verdicts[number]]
        return Judgement(tuple(found), len(lost), len(doubled), self._complete)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._head.close()
        self._truth.close()

    def _now(self) -> float:
        return self._clock.now() / NS

    def _step(self) -> None:
        self._reactor.advance(STEP_S / RATE)
        now = self._clock.now()
        while self._errands and self._start + self._errands[0][0] <= now / NS:
            self._errands.pop(0)[1]()
            self._head.settle()
        if (due := self._stage.next_due()) is not None and due <= now / NS:
            before = self._witness.look()
            self._stage.run(now / NS)
            self._before |= {one.number: before for one in self._stage.running if one.number not in self._before}
            self._head.settle()
        self._field.run_until(now)
        self._sink.publish(Batch(
            self._meter_name, np.array([self._meter.now()["energy_import"]]), np.zeros(1, np.uint8), now, now
        ))
        self._head.settle()
        self._witness.minute()
        for one in self._stage.over:
            if one.number not in self._verdicts and now / NS >= (one.ended or 0.0) + RECOVERY_S:
                self._judge(one)

    def _judge(self, one: Happening) -> None:
        seen, before = self._witness.look(), self._before[one.number]
        self._verdicts[one.number] = [
            Verdict(
                one.fault, str(one.target), round(one.began - self._start), expected,
                seen.get(expected.name, 0) - (0 if expected.name == "loads.off" else before.get(expected.name, 0)),
            )
            for expected in map(Expectation.read, one.expect)
        ]

    # ------------------------------------------------------------------ what people would do
    def _planned(self, scenario: Scenario) -> Iterator[tuple[int, Callable[[], None]]]:
        for number, step in enumerate(scenario.steps):
            fault, client = CATALOGUE[step.fault], self._clients[step.target.concentrator]
            match fault.command:
                case "before":
                    yield max(0, step.at_s - BEFORE_S), self._shed(number, step, client)
                    yield step.at_s + HOUR_S // 2, self._inquire(number, client)
                case "during":
                    yield step.at_s + AFTER_S, self._shed(number, step, client)
                case "twice":
                    yield step.at_s + AFTER_S, self._shed(number, step, client)
                    yield step.at_s + AFTER_S, self._shed(number + len(scenario.steps), step, client)
                case "rotate":
                    yield step.at_s + AFTER_S, self._rotate(client)

    def _shed(self, number: int, step: Step, client: ConcentratorClient) -> Callable[[], None]:
        """The yellow loads of a concentrator, and the one that the fault befalls."""
        members = tuple(
            (one.index, one.eui) for one in client.state.modules
            if one.actuator is not None and one.actuator.load_class is LoadClass.YELLOW and not one.actuator.never
        )
        return lambda: self._head.shed(number.to_bytes(16, "big"), client.state.link_id, members)

    def _inquire(self, number: int, client: ConcentratorClient) -> Callable[[], None]:
        return lambda: self._head.inquire(number.to_bytes(16, "big"), client.state.link_id)

    def _rotate(self, client: ConcentratorClient) -> Callable[[], None]:
        return lambda: self._head.rotate(client.state.link_id)
