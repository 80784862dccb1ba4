"""Simulated concentrators on a serial line: several on one, silent unless asked. The shell of their sessions."""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from scada.drivers.dmesh import frame, messages
from scada.drivers.dmesh.frame import SERIAL_MAX_FRAME, Frame, FrameDecoder
from scada.drivers.dmesh.messages import Packet, Wake
from scada.drivers.dmesh.simulator.session import ConcentratorSession, Phase
from scada.drivers.dmesh.simulator.state import ConcentratorState
from scada.timers import cancel

SILENCE_S: Final = 0.1                      # real time
MOST_WAITING: Final = 256                   # frames of one that is never asked


class Station:
    """One concentrator: the session that is up, and the one that a WAKE asked for beside it."""

    def __init__(self, state: ConcentratorState, now: Callable[[], float], later: Callable[..., object]) -> None:
        self.state, self._now, self._later = state, now, later
        state.configuration.run_by(time.monotonic)
        self.outbox: list[bytes] = []
        self.current: ConcentratorSession | None = None
        self.coming: ConcentratorSession | None = None
        self.sessions = 0

    def woken(self) -> None:
        """Asked for HELLO; what is up goes on beside it."""
        self.coming = ConcentratorSession(
            self.state, secrets.token_bytes(16), self._write, lambda reason: None, self._now, self._later,
            real=time.time, serial=True,
        )
        self.coming.start()

    def take(self, received: Frame) -> bool:
        """A frame for us; whether it is our turn to speak now."""
        data, coming = frame.encode(received), self.coming
        if coming is not None:
            coming.receive(data)
            if coming.phase is Phase.UP:                    # READY opened: only now the one before is over
                if self.current is not None:
                    self.current.lost()
                self.current, self.coming = coming, None
                self.sessions += 1
                return False
            if not received.secured:
                return True
        if self.current is None or self.current.phase is not Phase.UP or not received.secured:
            return False
        self.current.receive(data)
        over, self.current.turn_over = self.current.turn_over, False
        return over

    def _write(self, data: bytes) -> None:
        self.outbox.append(data)
        if len(self.outbox) > MOST_WAITING:                 # nobody asks: the server is gone
            self.outbox.clear()
            self.lost()

    def lost(self) -> None:
        for session in (self.current, self.coming):
            if session is not None:
                session.lost()


class SerialConcentrators(Protocol):
    """The line as all its concentrators hear it."""

    def __init__(self, reactor: Any, states: Sequence[ConcentratorState], now: Callable[[], float]) -> None:
        self._reactor = reactor
        self.stations = {state.link_id: Station(state, now, reactor.callLater) for state in states}
        self._decoder = FrameDecoder(SERIAL_MAX_FRAME)
        self._silence: Any = None
        self.on_lost: Callable[[str], None] = lambda why: None

    def dataReceived(self, data: bytes) -> None:
        cancel(self._silence)
        self._silence = self._reactor.callLater(SILENCE_S, self._decoder.silence)
        for event in self._decoder.feed(data):
            station = self.stations.get(event.link_id) if isinstance(event, Frame) else None
            if isinstance(event, Frame) and station is not None and self._heard(station, event):
                self._speak(station)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        cancel(self._silence)
        for station in self.stations.values():
            station.lost()
        self.on_lost(reason.getErrorMessage())

    def _heard(self, station: Station, received: Frame) -> bool:
        """One frame for a concentrator; whether it is its turn to speak."""
        packet = None if received.secured else messages.decode(received.body)
        if isinstance(packet, Packet) and packet.message == Wake(received.link_id):
            station.woken()
            return True
        return station.take(received)

    def _speak(self, station: Station) -> None:
        data = b"".join(station.outbox)
        station.outbox.clear()
        transport: Any = self.transport
        transport.write(data)
