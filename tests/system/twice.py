"""A relay that says every sealed frame twice, as somebody on the line would who recorded it and plays it back."""

import socket
import threading
from contextlib import suppress

HEADER, TRAILER, SEALED = 12, 4, 0x80


class Twice:
    """Listens on a port of its own and stands between a concentrator and the server behind `port`."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.repeated = {"to server": 0, "to concentrator": 0}
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._behind))
            except OSError:
                return
            for source, sink, way in ((peer, server, "to server"), (server, peer, "to concentrator")):
                threading.Thread(target=self._pump, args=(source, sink, way), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        buffer = b""
        with source, sink, suppress(OSError):
            while received := source.recv(65536):
                buffer += received
                while len(buffer) >= HEADER:
                    whole = HEADER + int.from_bytes(buffer[4:6], "big") + TRAILER
                    if len(buffer) < whole:
                        break
                    frame, buffer = buffer[:whole], buffer[whole:]
                    sealed = frame[3] & SEALED != 0
                    sink.sendall(frame * (2 if sealed else 1))
                    self.repeated[way] += sealed
            for end in (source, sink):
                end.shutdown(socket.SHUT_RDWR)
