"""Publishes how the server itself is: every part's health figures and the loop's longest turn, as ordinary tags."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from scada.bus import TagBus
from scada.clock import SiteClock
from scada.loop import LIMIT_MS, MeasuredSelector
from scada.memory import resident_mb
from scada.ports import Health
from scada.tags import Batch, Device, Limits, Quality, TagDef

PERIOD_S: Final = 1.0
log = Logger()

LOOP = Device(
    "server.process",
    (
        TagDef("longest_turn", "ms", "Longest turn of the main loop in the last second", limits=Limits(high=250.0)),
        TagDef("longest_turn_cpu", "ms", "Processor time of that turn"),
        TagDef("long_turns", "", f"Turns over {LIMIT_MS:.0f} ms since start", digits=0),
        TagDef("busy_turns", "", f"Turns with over {LIMIT_MS:.0f} ms of processor time since start", digits=0),
        TagDef("turns", "", "Turns since start", digits=0),
        TagDef("memory", "MB", "Resident memory of the main process"),
        TagDef("bus_values", "", "Values published since start", digits=0),
        TagDef("bus_dropped", "", "Batches dropped for slow listeners since start", digits=0),
        TagDef("bus_refused", "", "Definitions and batches refused since start", digits=0),
    ),
    ("Server",),
    "Main process",
)


class SelfMonitor:
    """Once a second: sweep the bus for stale tags, publish figures, log every change of a part's health."""

    def __init__(
        self, bus: TagBus, health: Callable[[], list[Health]], selector: MeasuredSelector, clock: SiteClock, reactor: Any
    ) -> None:
        self._bus, self._health, self._selector, self._clock, self._reactor = bus, health, selector, clock, reactor
        self._sink = bus.of("the server itself")
        self._loop = LoopingCall(self._tick)
        self._loop.clock = reactor
        self._worst_ms = 0.0
        self._was_ok: dict[str, bool] = {}

    def start(self) -> "Deferred[None]":
        self._sink.add_device(LOOP)
        self._reactor.callLater(0, self._forget_start)
        self._loop.start(PERIOD_S, now=False)
        return succeed(None)

    def _forget_start(self) -> None:
        """A turn later, when the last turn of the start-up has been measured: it is not the loop's fault."""
        self._selector.take()
        self._selector.long_turns = self._selector.busy_turns = 0

    def stop(self) -> "Deferred[None]":
        if self._loop.running:
            self._loop.stop()
        return succeed(None)

    def health(self) -> Iterable[Health]:
        text = f"longest turn since start {self._worst_ms:.0f} ms, {self._selector.long_turns} over {LIMIT_MS:.0f} ms"
        selector = self._selector
        yield Health("loop", True, text, {
            "longest_turn_ms": self._worst_ms, "long_turns": selector.long_turns, "busy_turns": selector.busy_turns,
        })

    def _tick(self) -> None:
        try:
            self._look()
        except Exception:                               # a periodic loop: one bad look must not end all of them
            log.failure("the server could not look at itself")

    def _look(self) -> None:
        self._bus.sweep()
        wall, processor = self._selector.take()
        self._worst_ms = max(self._worst_ms, wall)
        figures = (
            wall, processor, self._selector.long_turns, self._selector.busy_turns, self._selector.turns, resident_mb(),
            self._bus.published, sum(self._bus.drops().values()), self._bus.refused,
        )
        self._publish(LOOP.name, figures)
        for one in self._health():
            if self._was_ok.get(one.part, True) != one.ok:
                log.info("{part} is {state}: {text}", part=one.part, state="well" if one.ok else "NOT WELL", text=one.text)
            self._was_ok[one.part] = one.ok
            self._publish_health(one)

    def _publish_health(self, one: Health) -> None:
        device = f"server.{one.part.replace('/', '.')}"
        points = ("ok", *one.figures)
        known = self._bus.devices().get(device)
        if known is None or known.points != points:
            tags = tuple(one.tags.get(point) or TagDef(point, digits=0 if point == "ok" else 1) for point in points)
            self._sink.add_device(Device(device, tags, ("Server",), one.part))
        self._publish(device, (float(one.ok), *one.figures.values()))

    def _publish(self, device: str, figures: Iterable[float]) -> None:
        values = np.array([float(figure) for figure in figures])
        quality = np.where(np.isnan(values), Quality.BAD_WAITING, Quality.GOOD).astype(np.uint8)
        now = self._clock.now()
        self._sink.publish(Batch(device, values, quality, now, now))
