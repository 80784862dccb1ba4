"""What the sender makes of a destination's answers, against a small HTTP server that answers as InfluxDB 2 does."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scada.clock import SiteClock
from scada.historian.back_off import BackOff
from scada.historian.backlog import Backlog
from scada.historian.influx import InfluxDoor
from scada.historian.past import Past
from scada.historian.sender import Sender
from scada.historian.slots import SlotBook
from scada.historian.spool import Spool
from scada.settings import InfluxSettings


class Version2(BaseHTTPRequestHandler):
    """`/api/v2/write`: one malformed line is a 400 that names it, and nothing of the body is stored."""

    stored: list[str]

    def do_POST(self) -> None:
        body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))).decode()
        bad = next((line for line in body.splitlines() if "= " in line or "nobody" in line), None)
        if bad is None:
            self.stored += body.splitlines()
            self.send_response(204)
            self.end_headers()
            return
        said = "unknown trouble" if "nobody" in bad else f"unable to parse '{bad}': missing field value"
        answer = json.dumps({"code": "invalid", "message": said}).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Not on the tests' output."""


@pytest.fixture
def url() -> Iterator[str]:
    Version2.stored = []
    server = HTTPServer(("127.0.0.1", 0), Version2)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def dead_after(url: str, directory: Path, body: bytes) -> list[str]:
    """The dead letters once a body was sent."""
    spool = Spool(directory / "spool.sqlite", 1 << 20)
    spool.open()
    spool.put(body, body.count(b"\n"), 1)
    door = InfluxDoor(InfluxSettings(name="main", url=url, dialect="v2"))
    Sender("main", door, spool, Backlog(directory, SlotBook), Past(directory), SiteClock(), BackOff())._send_next()
    dead = [line for line, _ in spool.dead_letters()]
    assert spool.bodies == 0
    door.close()
    spool.close()
    return dead


def test_malformed_lines_do_not_take_the_rest_of_their_body_with_them(url: str, tmp_path: Path) -> None:
    """2.x names the first bad line and stores nothing: the body goes again without it, as often as one is named."""
    dead = dead_after(url, tmp_path, b"a v=1 1\nb v= 1\nc v=3 1\nd v= 1\ne v=5 1\n")

    assert dead == ["b v= 1", "d v= 1"]
    assert Version2.stored == ["a v=1 1", "c v=3 1", "e v=5 1"]


def test_a_body_of_which_no_line_is_named_is_buried_whole(url: str, tmp_path: Path) -> None:
    """No retry for ever."""
    assert dead_after(url, tmp_path, b"a v=1 1\nnobody v=2 1\n") == ["a v=1 1\nnobody v=2 1\n"]
    assert Version2.stored == []
