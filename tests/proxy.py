"""Stands between the server and a real InfluxDB, and goes wrong when a test says so: slow, refusing, or gone in between."""

import gzip
import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import attrs

KEPT: Final = ("content-type", "x-influxdb-version", "x-influxdb-build")
RESET: Final = struct.pack("ii", 1, 0)              # SO_LINGER: closing sends RST


@attrs.frozen
class Fault:
    """What happens to every write; nothing by default."""

    status: int = 0                                 # answered instead of InfluxDB, which hears nothing of it
    said: str = "because the test says so"
    headers: dict[str, str] = attrs.Factory(dict)
    delay_s: float = 0.0                            # before InfluxDB hears of it
    bytes_per_s: float = 0.0                        # of the body on its way to InfluxDB
    most_bytes: int = 0                             # of a body, unpacked; larger ones are a 413
    reset_after_body: bool = False                  # InfluxDB has stored it, the server is told nothing
    half_way: Callable[[], None] | None = None      # called when half of the body has been sent on, and then the end


@attrs.frozen
class Write:
    """One request as it passed."""

    status: int                                     # what the server was told; 0: nothing
    lines: tuple[str, ...]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: "Proxy"

    def do_GET(self) -> None:
        self._pass(b"", Fault())

    def do_POST(self) -> None:
        body, fault = self.rfile.read(int(self.headers.get("Content-Length", 0))), self.proxy.fault
        if "/write" not in self.path:
            self._pass(body, Fault())
            return
        self.proxy.begun += 1
        time.sleep(fault.delay_s)
        plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        lines = tuple(plain.decode().splitlines())
        if fault.status:
            status = self._answer(fault.status, fault.headers, json.dumps({"error": fault.said}).encode())
        elif 0 < fault.most_bytes < len(plain):
            status = self._answer(413, {}, b'{"error":"Request Entity Too Large"}')
        else:
            status = self._pass(body, fault)
        self.proxy.writes.append(Write(status, lines))

    def _pass(self, body: bytes, fault: Fault) -> int:
        """To InfluxDB and back; the status, 0 if the server was told nothing."""
        behind = http.client.HTTPConnection("127.0.0.1", self.proxy.behind, timeout=60)
        try:
            behind.putrequest(self.command, self.path)
            for name, value in self.headers.items():
                if name.lower() != "host":
                    behind.putheader(name, value)
            behind.endheaders()
            for part in _parts(body, fault):
                behind.send(part)
            answer = behind.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            return self._reset()
        finally:
            behind.close()
        if fault.reset_after_body:
            return self._reset()
        kept = {name: value for name, value in answer.getheaders() if name.lower() in KEPT}
        return self._answer(answer.status, kept, said)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> int:
        with suppress(OSError):                     # the server did not wait for it
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if status != 204 else b"")
        return status

    def _reset(self) -> int:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.connection.close()
        return 0

    def log_message(self, *_: object) -> None:
        """Not on the tests' output."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):                     # it was reset
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was reset, by us or by the server, is what the test wants."""


class Proxy:
    """Listens on a port of its own in front of InfluxDB's port `behind`."""

    def __init__(self, behind: int) -> None:
        self.behind, self.fault = behind, Fault()
        self.begun = 0                              # how many have arrived here
        self.writes: list[Write] = []               # all that passed, oldest first
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @contextmanager
    def going_wrong(self, fault: Fault) -> Iterator[None]:
        """With a fault as long as the block lasts."""
        self.fault = fault
        yield
        self.fault = Fault()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _parts(body: bytes, fault: Fault) -> Iterator[bytes]:
    """The body in pieces that are no faster than they may be."""
    if fault.half_way is not None:
        yield body[:len(body) // 2]
        fault.half_way()
        yield body[len(body) // 2:]                 # to nobody
        return
    size = max(int(fault.bytes_per_s / 20), 1) if fault.bytes_per_s else max(len(body), 1)
    for start in range(0, len(body), size):
        yield body[start:start + size]
        time.sleep(size / fault.bytes_per_s if fault.bytes_per_s else 0.0)
