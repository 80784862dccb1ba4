"""The edges to the OPC UA process, as Twisted sees them: its end of the link, and its life."""

import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.protocol import Factory, ProcessProtocol, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.opcua_server.link import MAX_TO_MAIN, BadFrame, Decoder, Frame

log = Logger()
LAST_LINES: Final = 20
MAX_LINE: Final = 2000
INHERITED: Final = frozenset({"PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "TMPDIR"})


class LinkProtocol(Protocol):
    """Frames in, frames out; says when the process reads too slowly."""

    transport: Any

    def __init__(self, on_frame: Callable[[Frame], None], on_room: Callable[[], None]) -> None:
        self._on_frame, self._on_room = on_frame, on_room
        self._decoder = Decoder(MAX_TO_MAIN)
        self.room = False                                  # whether the socket takes more now

    def connectionMade(self) -> None:
        self.room = True
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._on_frame(frame)
        except (BadFrame, KeyError, TypeError, ValueError) as broken:
            log.error("the OPC UA process broke the link: {broken}", broken=broken)
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.room = False

    def pauseProducing(self) -> None:
        self.room = False

    def resumeProducing(self) -> None:
        self.room = True
        self._on_room()

    def stopProducing(self) -> None:
        self.room = False

    def send(self, frames: bytes) -> None:
        self.transport.write(frames)


class ChildProtocol(ProcessProtocol):
    """Keeps the last lines the process wrote, and says when it has ended."""

    def __init__(self, on_end: Callable[[str], None]) -> None:
        self._on_end = on_end
        self._rest = b""
        self.lines: deque[str] = deque(maxlen=LAST_LINES)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-MAX_LINE:]
        for line in lines:
            text = line[:MAX_LINE].decode("utf-8", "replace")
            self.lines.append(text)
            log.info("OPC UA process: {text}", text=text)

    def processEnded(self, reason: Failure) -> None:
        ended: Any = reason.value
        how = f"signal {ended.signal}" if getattr(ended, "signal", None) else f"exit code {getattr(ended, 'exitCode', '?')}"
        self._on_end(how)


def spawn(reactor: Any, child: ChildProtocol, link: LinkProtocol) -> Any:
    """Start the process with its end of a socket pair: no name in the file system, nobody else can connect."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        ours.setblocking(False)
        reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: link))   # a duplicate
        try:
            null = os.open(os.devnull, os.O_RDONLY)
            try:
                return reactor.spawnProcess(
                    child, sys.executable, [sys.executable, "-m", "scada.opcua_server", "3"], env=environment(os.environ),
                    childFDs={0: null, 1: "r", 2: "r", 3: theirs.fileno()},
                )
            finally:
                os.close(null)
        except OSError:                                    # no descriptor or memory left: no link either
            link.transport.abortConnection()
            raise


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What the process that faces the network inherits: never a password, a token or the master key."""
    return {name: value for name, value in ours.items() if name in INHERITED or name.startswith(("LC_", "PYTHON"))}
