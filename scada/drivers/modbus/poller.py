"""The poll loop of one device: ask for its blocks on time, publish one instant, say when it is silent, come back."""

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final, Protocol

import attrs
import numpy as np
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger

from scada.clock import NS, NS_PER_MS, SiteClock
from scada.drivers.backoff import Backoff
from scada.drivers.modbus.decode import decode, layout
from scada.drivers.modbus.template import Template
from scada.drivers.modbus.transport import Link
from scada.errors import LinkError
from scada.ports import TagSink
from scada.settings import ModbusDevice
from scada.tags import Batch, Device, Quality, TagDef

SILENT_POLLS: Final = 3                 # so many in a row without any answer: the device is not connected
UNANSWERED_BLOCKS: Final = 2            # so many in a row in one poll: the rest would only be waited for in vain
POLLS_TO_STALE: Final = 5
FOLDER: Final = "Modbus"


class Timers(Protocol):
    """The part of a Twisted reactor that polling needs; a `task.Clock` in tests."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, function: Callable[[], Any]) -> Any: ...


@attrs.define
class Counters:
    """Since start."""

    polls: int = 0                      # published
    silent: int = 0                     # polls without any answer
    unanswered: int = 0                 # requests nobody answered
    refused: int = 0                    # blocks answered by an exception or with the wrong length
    missed: int = 0                     # polls left out because the one before took too long


def device_of(settings: ModbusDevice, template: Template, rate: float, path: tuple[str, ...] = (FOLDER,)) -> Device:
    """The device's tags as the bus knows them, ranges on the primary side, in the folder `path`."""

    def tag(point: Any) -> TagDef:
        ratio = point.ratio(settings.ct_ratio, settings.vt_ratio)
        stale_s = max(point.stale_seconds, POLLS_TO_STALE * settings.poll_seconds * rate)
        return TagDef(
            point=point.name,
            unit=point.unit,
            title=point.title,
            low=None if point.low is None else point.low * ratio,
            high=None if point.high is None else point.high * ratio,
            stale_after=round(stale_s * NS),
            digits=point.digits,
            counter=point.counter,
        )

    tags = tuple(tag(point) for point in template.points)
    return Device(settings.name, tags, path, title=template.title, area=settings.area)


class Poller:
    """One device behind one link."""

    log = Logger()

    def __init__(
        self,
        settings: ModbusDevice,
        template: Template,
        link: Link,
        *,
        clock: SiteClock,
        reactor: Timers,
        sink: TagSink,
        backoff: Backoff,
        path: tuple[str, ...] = (FOLDER,),
    ) -> None:
        self.settings, self.device = settings, device_of(settings, template, clock.rate, path)
        self.counters = Counters()
        self.answering = False
        self.reason = "not polled yet"
        self._layout = layout(template, settings.ct_ratio, settings.vt_ratio)
        self._link, self._clock, self._reactor, self._sink, self._backoff = link, clock, reactor, sink, backoff
        self._silent = 0
        self._told = False                  # whether the bus knows that the device is not connected
        self._loop: Deferred[None] | None = None
        self._stopping = False              # a cancel is lost where an answer or a refusal had already come in that turn

    def start(self) -> None:
        self._sink.add_device(self.device)
        self._loop = Deferred.fromCoroutine(self._run())
        self._loop.addErrback(self._ended)

    def stop(self) -> "Deferred[None]":
        self._stopping = True
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.cancel()
        self._link.close()
        return loop if loop is not None else succeed(None)

    async def _run(self) -> None:
        period = self.settings.poll_seconds
        due = self._reactor.seconds()
        while True:
            await self._wait(max(0.0, due - self._reactor.seconds()))
            try:
                answered = await self._poll()
            except CancelledError:          # `stop`
                raise
            except Exception as error:      # a periodic loop: one poll's bug must not end the polling
                self.log.failure("Modbus device {name}: poll failed", name=self.settings.name)
                self._link.close()
                self.reason, answered = f"{type(error).__name__}: {error}", False
            if self._stopping:
                self._link.close()
                return
            self._note(answered)
            due += period                   # from the plan, not from now: no drift
            now = self._reactor.seconds()
            if not answered:
                due = max(due, now + self._backoff.next())
            elif due < now:
                left_out = math.ceil((now - due) / period)
                self.counters.missed += left_out
                due += left_out * period

    def _wait(self, seconds: float) -> "Deferred[None]":
        waited: Deferred[None] = Deferred(lambda _: timer.cancel())
        timer = self._reactor.callLater(seconds, lambda: waited.callback(None))
        return waited

    async def _poll(self) -> bool:
        """Read every block once and publish; False if nobody answered at all."""
        blocks = self._layout.blocks
        image = np.zeros(self._layout.size, dtype=np.uint16)
        of_block = np.full(len(blocks), Quality.BAD_NOT_CONNECTED, dtype=np.uint8)
        answers = unanswered = 0
        began = self._clock.now()
        for number, block in enumerate(blocks):
            if self._stopping:
                return False
            try:
                if not self._link.connected:
                    await self._link.connect()
                answer = await self._link.read(block)
            except LinkError as error:
                self._link.close()
                self.reason = error.reason
                self.counters.unanswered += 1
                unanswered += 1
                if unanswered == UNANSWERED_BLOCKS:
                    break
                continue
            answers, unanswered = answers + 1, 0
            of_block[number] = answer.quality
            if answer.registers is None:
                self.reason = answer.reason
                self.counters.refused += 1
            else:
                self._layout.cut(image, number)[:] = answer.registers
        if self._stopping or not answers:
            return False
        values, quality = decode(self._layout, image, of_block)
        received = self._clock.now()
        # The device took the values somewhere between question and answer: the middle is at most half of that wrong, and
        # no finer than a millisecond, which history need not keep.
        middle = (began + received) // 2 // NS_PER_MS * NS_PER_MS
        self._sink.publish(Batch(self.device.name, values, quality, at=middle, received=received))
        if (of_block == Quality.GOOD).all():
            self.reason = ""
        return True

    def _note(self, answered: bool) -> None:
        """Count, and tell the bus and the log about changes of state only."""
        if answered:
            self.counters.polls += 1
            self._silent = 0
            self._backoff.reset()
            if not self.answering:
                self.log.info("Modbus device {name} answers", name=self.settings.name)
            self.answering, self._told = True, False
            return
        self.counters.silent += 1
        self._silent += 1
        if not self._told and (self._silent >= SILENT_POLLS or not self.answering):
            self._sink.disconnected(self.device.name)
            self.log.warn("Modbus device {name}: {reason}", name=self.settings.name, reason=self.reason)
            self.answering, self._told = False, True

    def _ended(self, failure: Any) -> None:
        failure.trap(CancelledError, asyncio.CancelledError)
