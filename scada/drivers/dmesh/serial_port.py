"""Opens a serial port for a line, and opens it again when it has gone (an adapter that was pulled out)."""

from collections.abc import Callable
from typing import Any, Final

import serial
from twisted.internet.serialport import SerialPort
from twisted.logger import Logger

from scada.drivers.backoff import Backoff
from scada.drivers.dmesh.turns import Port
from scada.timers import cancel

log = Logger()

FIRST_WAIT_S: Final = 1.0               # real time
LONGEST_WAIT_S: Final = 60.0


class PortKeeper:
    """Keeps one port open until it is stopped; `make` gives a fresh protocol with an `on_lost`."""

    def __init__(self, reactor: Any, port: Port, make: Callable[[], Any]) -> None:
        self._reactor, self._port, self._make = reactor, port, make
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._timer: Any = None
        self._stopped = False
        self.line: Any = None               # the protocol while the port is open
        self.problem = ""                   # why it is not

    def start(self) -> None:
        """Open it, and go on trying."""
        self._timer = None
        line = self._make()
        line.on_lost = self._lost
        try:
            SerialPort(line, self._port.device, self._reactor, baudrate=self._port.baud, parity=self._port.parity)
        except (serial.SerialException, OSError, ValueError) as error:
            self._failed(f"{self._port.device}: cannot be opened: {getattr(error, 'strerror', None) or error}")
            return
        self.line, self.problem = line, ""
        self._backoff.reset()
        log.info("{device}: open, {baud} baud", device=self._port.device, baud=self._port.baud)

    def stop(self) -> None:
        self._stopped = True
        cancel(self._timer)
        if self.line is not None:
            self.line.transport.loseConnection()

    def _lost(self, why: str) -> None:
        self.line = None
        if not self._stopped:
            self._failed(f"{self._port.device}: the port has gone: {why}")

    def _failed(self, why: str) -> None:
        if why != self.problem:
            self.problem = why
            log.warn("{why}", why=why)
        self._timer = self._reactor.callLater(self._backoff.next(), self.start)
