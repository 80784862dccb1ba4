"""Brings live values, alarms, commands, reads and supplies to the streams: four times a second, 100 streams a turn."""

import json
import secrets
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from hmi import encode
from hmi.access import INSTALL, STAFF
from hmi.services import Services
from hmi.sessions import Session, Sessions
from hmi.stream import Stream
from scada.ports import Unsubscribe
from scada.tags import Batch, Snapshot

FLUSH_S: Final = 0.25
BEAT_S: Final = 1.0
TURN: Final = 100                       # streams per loop turn: a thousand at once hold the loop for 70 ms
STUCK_S: Final = 60.0                   # a browser that reads nothing for so long is gone
RADIO: Final = frozenset({"link_rssi_down", "link_rssi_up", "link_delivery", "level", "travel"})   # what installers hear
MAX_STREAMS: Final = 1000
MAX_PER_SESSION: Final = 16


class Hub:
    """All streams (reactor thread only)."""

    log = Logger()

    def __init__(self, services: Services, sessions: Sessions, reactor: Any) -> None:
        self._services, self._sessions, self._reactor = services, sessions, reactor
        self.streams: dict[str, Stream] = {}
        self._unsubscribe: list[Unsubscribe] = []
        self._flush, self._beat = LoopingCall(self._tell_news), LoopingCall(self._tell_time)
        self._flush.clock = self._beat.clock = reactor
        self._later: set[Any] = set()
        self.refused = self.merged = self.stuck = 0

    def start(self) -> None:
        self._unsubscribe = [
            self._services.bus.subscribe(self._on_batches, name="hmi"),
            self._services.alarms.subscribe(self._on_alarm),
            self._services.desk.subscribe(self._on_command),
            self._services.reading.subscribe(self._on_read),
            self._services.supplies.subscribe(self._on_supply),
        ]
        self._flush.start(FLUSH_S, now=False).addErrback(self._failed)
        self._beat.start(BEAT_S, now=False).addErrback(self._failed)

    def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        for loop in (self._flush, self._beat):
            if loop.running:
                loop.stop()
        for call in tuple(self._later):
            call.cancel()
        self._later.clear()
        for stream in tuple(self.streams.values()):
            self._end(stream, "stopping")

    def open(self, request: Any, session: Session, tags: list[str]) -> Stream | None:
        """Begin a stream on a request whose headers are set; None (counted) beyond the bounds."""
        mine = sum(stream.session is session for stream in self.streams.values())
        if len(self.streams) >= MAX_STREAMS or mine >= MAX_PER_SESSION:
            self.refused += 1
            return None
        role = session.account.role
        only = None if role in STAFF else RADIO if role in INSTALL else frozenset[str]()
        stream = Stream(secrets.token_urlsafe(12), request, session, role in STAFF, only)
        stream.want(tags)
        stream.alarms_changed = stream.hears_site
        self.streams[stream.id] = stream
        request.registerProducer(stream, True)
        request.notifyFinish().addBoth(lambda _: self._forget(stream))
        stream.tell("hello", {"stream": stream.id})
        self._tell_one_time(stream)
        return stream

    # ------------------------------------------------------------------ news in
    def _on_batches(self, batches: Sequence[Batch]) -> None:
        devices = {batch.device for batch in batches}
        for stream in self.streams.values():
            for device in devices & stream.wants.keys():
                stream.news(device)

    def _on_alarm(self, _alarm: Any) -> None:
        for stream in self.streams.values():
            stream.alarms_changed = stream.hears_site

    def _on_command(self, status: Any) -> None:
        for stream in self.streams.values():
            if stream.hears_site:
                stream.command(status)

    def _on_read(self, task: Any) -> None:
        for stream in self.streams.values():
            if stream.hears_site or (stream.only and task.actor == stream.session.account.name):
                stream.read(task)

    def _on_supply(self, status: Any) -> None:
        for stream in self.streams.values():
            if stream.hears_site:
                stream.supply(status)

    # ----------------------------------------------------------------- news out
    def _tell_news(self) -> None:
        ready = [
            stream for stream in self.streams.values()
            if stream.paused_since is None and stream.has_news
        ]
        if not ready:
            return
        shot = self._services.bus.snapshot() if any(stream.dirty for stream in ready) else None
        written: dict[str, str] = {}
        summary = None
        if any(one.alarms_changed for one in ready):
            summary = encode.alarm_summary(self._services.alarms.active(), self._services.title)
        for start in range(0, len(ready), TURN):
            part = ready[start : start + TURN]
            if start == 0:
                self._tell(part, shot, written, summary)
            else:
                self._soon(part, shot, written, summary)

    def _soon(self, *arguments: Any) -> None:
        def run() -> None:
            self._later.discard(call)
            self._tell(*arguments)

        call = self._reactor.callLater(0, run)
        self._later.add(call)

    def _tell(self, streams: list[Stream], shot: Snapshot | None, written: dict[str, str], summary: Any) -> None:
        for stream in streams:
            if stream.closed or stream.paused_since is not None:
                continue
            if stream.dirty and shot is not None:
                tags = [tag for device in stream.dirty for tag in stream.wants.get(device, ())]
                stream.dirty = set()
                stream.tell("tags", "{" + ",".join(_fragment(tag, shot, written) for tag in tags) + "}")
            if stream.alarms_changed and summary is not None:
                stream.alarms_changed = False
                stream.tell("alarms", summary)
            if stream.commands:
                told, stream.commands = stream.commands, {}
                for status in told.values():
                    stream.tell("command", encode.command(status))
            if stream.reads:
                read, stream.reads = stream.reads, {}
                for task in read.values():
                    stream.tell("read", encode.read(task, members=False))
            if stream.supplies:
                changed, stream.supplies = stream.supplies, {}
                for supply in changed.values():
                    stream.tell("supply", encode.supply(supply))

    def _tell_time(self) -> None:
        now = self._services.clock.monotonic()
        for stream in tuple(self.streams.values()):
            if not self._sessions.alive(stream.session):
                self._end(stream, "session")
            elif stream.paused_since is None:
                self._tell_one_time(stream)
            elif stream.paused_since < 0:
                stream.paused_since = now
            elif now - stream.paused_since > STUCK_S:
                self.stuck += 1
                self._forget(stream)
                stream.request.channel.forceAbortClient()

    def _tell_one_time(self, stream: Stream) -> None:
        stream.sequence += 1
        stream.tell("beat", {
            "sequence": stream.sequence, "site_ms": encode.milliseconds(self._services.clock.now()),
            "rate": self._services.clock.rate, "monitor_only": self._services.desk.monitor_only,
        })

    # ---------------------------------------------------------------------- end
    def _end(self, stream: Stream, why: str) -> None:
        if not stream.closed:
            stream.closed = True
            stream.tell("bye", {"why": why})
            stream.request.unregisterProducer()
            stream.request.finish()
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        stream.closed = True
        if self.streams.pop(stream.id, None):
            self.merged += stream.merged

    def _failed(self, failure: Any) -> None:
        self.log.failure("live stream stopped", failure)


def _fragment(tag: str, shot: Snapshot, written: dict[str, str]) -> str:
    """`"T01/x":[value, quality, at in ms]`, made once a flush however many browsers want it."""
    found = written.get(tag)
    if found is None:
        value, quality, at = shot.get(tag)
        number = encode.finite(value)
        found = f"{json.dumps(tag)}:[{'null' if number is None else repr(number)},{int(quality)},{encode.milliseconds(at)}]"
        written[tag] = found
    return found
