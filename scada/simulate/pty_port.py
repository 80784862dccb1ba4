"""A pseudo-terminal as the concentrators' serial line: the server opens its other end by a name, as it would a port."""

import contextlib
import os
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from scada.errors import StartError

CHUNK: Final = 4096


class PtyPort(FileDescriptor):
    """Opens at `start` and stays open, whoever comes and goes at the other end."""

    def __init__(self, reactor: Any, link: Path, make: Callable[[], Any]) -> None:
        super().__init__(reactor)
        self._link, self._make = link, make
        self._master = self._slave = -1
        self.line: Any = None

    def start(self) -> None:
        """Open the pair, and leave the name of its other end; raises `StartError`."""
        self._master, self._slave = os.openpty()            # ours of the other end keeps the pair alive without a server
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        try:
            if self._link.is_symlink():
                self._link.unlink()
            self._link.symlink_to(os.ttyname(self._slave))
        except OSError as error:
            raise StartError("pty", f"{self._link} cannot be made: {error.strerror}", "give --pty another name") from None
        self.line = self._make()
        self.line.makeConnection(self)
        self.connected = True
        self.startReading()

    def stop(self) -> None:
        """Close both ends, and take the name away."""
        if self._master < 0:
            return
        self.stopReading()
        self.stopWriting()
        self.connected = False
        for end in (self._master, self._slave):
            os.close(end)
        self._master = self._slave = -1
        with contextlib.suppress(OSError):
            self._link.unlink(missing_ok=True)
        self.line.connectionLost(Failure(ConnectionDone()))

    def fileno(self) -> int:
        return self._master

    def doRead(self) -> Exception | None:
        try:
            data = os.read(self._master, CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return ConnectionLost()
        self.line.dataReceived(data)
        return None

    def writeSomeData(self, data: bytes) -> int | Exception:
        try:
            return os.write(self._master, data)
        except BlockingIOError:                             # nobody reads at the other end
            return 0
        except OSError:
            return ConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        self.stop()
