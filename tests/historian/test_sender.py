"""What the sender makes of a destination's answers, against a small HTTP server that answers as InfluxDB 2 does."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scada.clock import SiteClock
from scada.historian.answers import Answer, Verdict
from scada.historian.back_off import BackOff
from scada.historian.backlog import Backlog
from scada.historian.events_left import EventsLeft
from scada.historian.influx import InfluxDoor
from scada.historian.past import Past
from scada.historian.results_left import ResultsLeft
from scada.historian.sender import Sender
from scada.historian.servers import Server
from scada.historian.slots import SlotBook
from scada.historian.spool import Spool
from scada.settings import InfluxSettings


class Version2(BaseHTTPRequestHandler):
    """`/api/v2/write`: one malformed line is a 400 that names it, and nothing of the body is stored."""

    stored: list[str]
    asked: int

    def do_POST(self) -> None:
        type(self).asked += 1
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


class LoginPage(BaseHTTPRequestHandler):
    """What a network may put in the place of everything: it answers 200."""

    def do_GET(self) -> None:
        said = b"<html>Please log in</html>"
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Not on the tests' output."""


@contextmanager
def served(by: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), by)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def url() -> Iterator[str]:
    Version2.stored, Version2.asked = [], 0
    with served(Version2) as where:
        yield where


def dead_after(url: str, directory: Path, body: bytes) -> list[str]:
    """The dead letters once a body was sent."""
    spool = Spool(directory / "spool.sqlite", 1 << 20)
    spool.open()
    spool.put(body, body.count(b"\n"), 1)
    door = InfluxDoor(InfluxSettings(name="main", url=url, dialect="v2"))
    store = Backlog(directory, SlotBook, spool), Past(directory), ResultsLeft(directory), EventsLeft(directory)
    Sender("main", door, spool, *store, SiteClock(), BackOff())._send_next()
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


def test_a_bad_line_that_is_not_named_is_found_by_halves(url: str, tmp_path: Path) -> None:
    """The others are stored; no retry for ever."""
    body = b"".join(b"a v=%d 1\n" % number for number in range(9)) + b"nobody v=2 1\nb v=3 1\n"

    assert dead_after(url, tmp_path, body) == ["nobody v=2 1\n"]
    assert sorted(Version2.stored) == sorted(line for line in body.decode().splitlines() if "nobody" not in line)


def test_a_body_full_of_bad_lines_is_buried_in_few_requests(url: str, tmp_path: Path) -> None:
    """Nothing of it is forgotten, and nobody is asked thousands of times."""
    body = b"nobody v=2 1\n" * 4096

    dead = dead_after(url, tmp_path, body)
    assert "".join(dead).encode() == body
    assert Version2.asked < 100


@pytest.mark.parametrize("dialect", ["v1", "v2"])
def test_a_login_page_has_stored_nothing(dialect: str) -> None:
    """Though it says 200: InfluxDB says 204."""
    with served(LoginPage) as where:
        door = InfluxDoor(InfluxSettings(url=where, dialect=dialect))
        answer = door.write(b"a v=1 1\n", "ms")
        door.close()

    assert answer.verdict is Verdict.REFUSED
    assert "answers 200, and not as InfluxDB does" in answer.text


def test_a_destination_is_left_alone_as_long_as_it_asks_and_never_in_a_hurry() -> None:
    """Retry-After is obeyed up to a bound; "at once" would be an endless hurry."""
    back_off = BackOff(first=1.0, most=300.0)

    def waits(seconds: float | None) -> list[float]:
        return [back_off.wait(6, Answer(Verdict.RETRY, retry_after=seconds)) for _ in range(50)]

    assert set(waits(7.0)) == {7.0}
    assert set(waits(9_000.0)) == {300.0}
    for seconds in (0.0, None):
        assert 1.0 < max(waits(seconds)) <= 64.0


class Door:
    """Refuses one line until it does not, and never stores another."""

    server = Server("1.8.10")
    refuses = b"full"

    def write(self, body: bytes, _: str) -> Answer:
        if self.refuses in body:
            return Answer(Verdict.REFUSED, "at a limit")
        if b"bad" in body:                          # none of them is named: they stay together
            return Answer(Verdict.PARTLY, "bad", dropped=body.count(b"\n"))
        return Answer(Verdict.STORED)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def sending(tmp_path: Path) -> Iterator[tuple[Sender, Spool, Door]]:
    spool, door = Spool(tmp_path / "spool.sqlite", 1 << 20), Door()
    spool.open()
    store = Backlog(tmp_path, SlotBook, spool), Past(tmp_path), ResultsLeft(tmp_path), EventsLeft(tmp_path)
    yield Sender("main", door, spool, *store, SiteClock(), BackOff()), spool, door          # type: ignore[arg-type]
    spool.close()


def test_a_refusal_is_over_when_what_was_refused_is_taken(sending: tuple[Sender, Spool, Door]) -> None:
    """What is live is taken meanwhile, and the alarm does not come and go with every value of it."""
    sender, spool, door = sending
    refused = []
    for body in (b"full v=1 1\n", b"live v=1 1\n", b"live v=2 2\n"):
        spool.put(body, 1, 1)
        sender._send_next()
        refused.append((sender.refused, sender.trouble, spool.lines))
    door.refuses = b"nothing"
    sender._send_next()

    assert refused == [(True, "at a limit", 1)] * 3
    assert (sender.refused, sender.trouble, spool.lines) == (False, "", 0)


def test_a_refusal_of_what_was_dropped_is_over_with_the_next_success(sending: tuple[Sender, Spool, Door]) -> None:
    """Nobody waits for it any more."""
    sender, spool, _ = sending
    sender._send_next()                             # there are no results and no events
    spool.put(b"full v=1 1\n", 1, 1)
    sender._send_next()
    spool.done(1)
    spool.put(b"live v=1 1\n", 1, 1)
    sender._send_next()

    assert not sender.refused


def test_lines_that_nobody_stored_are_not_counted_as_sent(sending: tuple[Sender, Spool, Door]) -> None:
    """Not by letters, of which one may be a whole body, but by lines."""
    sender, spool, _ = sending
    for body in (b"a v=1 1\n" * 2, b"bad v=1 1\n" * 3):
        spool.put(body, body.count(b"\n"), 1)
        sender._send_next()

    assert sender.sent_lines == 2
    assert [len(letter.splitlines()) for letter, _ in spool.dead_letters()] == [3]
