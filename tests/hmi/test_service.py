"""The real service over real sockets: stop with a request in flight, a port in use, floods and slow readers."""

import http.client
import json
import re
import socket
import struct
import threading
import time
import urllib.parse
from typing import Any

import psutil
import pytest

from hmi.resources import MAX_IN_FLIGHT
from tests.hmi.fakes import PASSWORD
from tests.hmi.process import Served, served


def call(server: Served, method: str, path: str, body: Any = None, token: str = "", timeout: float = 20) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data) if data.startswith(b"{") else data.decode()


def log_in(server: Served, name: str = "dispatcher") -> str:
    status, body = call(server, "POST", "/api/v1/session", {"name": name, "password": PASSWORD})
    assert status == 201
    return str(body["token"])


def test_a_stop_with_requests_in_flight_ends_them_and_the_process() -> None:
    """The trap: pages wait for the reactor, the reactor waits for their threads, and nobody ever ends."""
    with served("hang") as server:
        token = log_in(server)
        answers: list[Any] = []
        waiting = [
            threading.Thread(
                target=lambda: answers.append(
                    call(server, "POST", "/api/v1/dispatch/select", {"group": "LG-ev", "off_for_s": 600}, token)
                )
            )
            for _ in range(25)  # more than there are threads: some are still in the queue
        ]
        for thread in waiting:
            thread.start()
        while call(server, "GET", "/healthz")[0] != 200:  # the loop itself still answers
            time.sleep(0.05)
        time.sleep(0.5)
        began = time.monotonic()
        said = server.stop(15)
        took = time.monotonic() - began
        for thread in waiting:
            thread.join(10)

        assert "STOPPED" in said
        assert "Traceback" not in said
        assert server.process.returncode == 0
        assert took < 8
        assert [status for status, _ in answers].count(503) >= 20


def test_a_stop_with_an_open_stream_and_idle_connections_is_quick() -> None:
    with served() as server:
        token = log_in(server)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/live?tags=T01/loading", headers={"Authorization": f"Bearer {token}"})
        stream = connection.getresponse()
        idle = socket.create_connection(("127.0.0.1", server.port))
        assert stream.status == 200
        began = time.monotonic()
        said = server.stop(10)
        rest = stream.read().decode()
        idle.close()

        assert "STOPPED" in said
        assert time.monotonic() - began < 4
        assert '"why":"stopping"' in rest


def test_who_asks_and_goes_away_at_once_does_not_get_round_the_bound_on_requests_under_way() -> None:
    """A page is under way until its thread has ended, not until its visitor is gone: else the queue grows for ever."""
    with served("stuck") as server:
        for _ in range(600):
            with socket.create_connection(("127.0.0.1", server.port)) as visitor:
                visitor.sendall(b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n")
                time.sleep(0.001)
                visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))   # close is a reset
        figures = next(one["figures"] for one in call(server, "GET", "/healthz")[1]["parts"] if one["part"] == "hmi")
        refused = call(server, "GET", "/login")[0]
        began = time.monotonic()
        said = server.stop(15)

    assert figures["requests_in_flight"] == MAX_IN_FLIGHT
    assert figures["requests_refused"] > 300
    assert refused == 503
    assert "STOPPED" in said
    assert time.monotonic() - began < 8


def test_a_port_in_use_is_a_sentence_and_not_a_traceback() -> None:
    with served() as first, served(port=first.port) as second:
        assert first.said.startswith("READY")
        assert second.said.startswith(f"hmi: cannot listen on 127.0.0.1:{first.port}:")
        assert "choose another hmi.port" in second.said


def test_health_is_answered_without_a_log_in() -> None:
    with served() as server:
        status, body = call(server, "GET", "/healthz")

        assert status == 200
        assert body["ok"] is False
        assert {"part", "ok", "text", "figures"} == set(body["parts"][0])


@pytest.fixture(scope="module")
def server() -> Any:
    with served() as running:
        yield running


def memory_mb(server: Served) -> float:
    return float(psutil.Process(server.process.pid).memory_info().rss) / 1e6


def test_browsers_that_never_read_cost_no_memory() -> None:
    """A stream nobody reads is paused and its values merge; without that this server grows by 3 MB a second."""
    points = [f"{name}_l{n}" for name in ("power_active", "power_reactive", "power_apparent", "current") for n in (1, 2, 3)]
    tags = ",".join(f"T01-meter/{point}" for point in points)
    with served("flood") as flooded:
        token = log_in(flooded)
        lazy = []
        for _ in range(12):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", flooded.port))
            request = f"GET /live?tags={tags} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            connection.sendall(request.encode())
            lazy.append(connection)
        time.sleep(4)
        before = memory_mb(flooded)
        time.sleep(5)
        grown = memory_mb(flooded) - before
        parts = {part["part"]: part["figures"] for part in call(flooded, "GET", "/healthz")[1]["parts"]}
        for connection in lazy:
            connection.close()

    assert parts["hmi"]["streams"] == 12
    assert parts["hmi"]["updates_merged"] > 1000
    assert grown < 4


@pytest.mark.parametrize("framing", ["Content-Length: 10000000", "Transfer-Encoding: chunked"])
def test_a_body_beyond_the_limit_is_refused_while_it_comes(server: Served, framing: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(
            f"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n".encode()
        )
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n" if "chunked" in framing else b"x" * 0x10000
        received = b""
        try:
            for _ in range(100):
                connection.sendall(piece)
            received = connection.recv(4096)
        except (ConnectionResetError, BrokenPipeError):
            received = received or b"HTTP/1.1 413 (connection closed)"

    assert received.startswith(b"HTTP/1.1 413")


def test_a_thousand_half_open_connections_disturb_nobody(server: Served) -> None:
    before = memory_mb(server)
    crowd = []
    for _ in range(1000):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(b"GET / HTTP/1.1\r\n")
        crowd.append(connection)
    status, _ = call(server, "GET", "/healthz")
    grown = memory_mb(server) - before
    for connection in crowd:
        connection.close()

    assert status == 200
    assert grown < 50


def test_running_out_of_descriptors_does_not_end_the_listener() -> None:
    """EMFILE on accept: those who find no place wait or go, and the next one is served."""
    with served() as short:
        psutil.Process(short.process.pid).rlimit(psutil.RLIMIT_NOFILE, (64, 64))
        crowd = [socket.create_connection(("127.0.0.1", short.port)) for _ in range(150)]
        time.sleep(1)
        held = psutil.Process(short.process.pid).num_fds()
        for one in crowd:
            one.close()
        status, _ = call(short, "GET", "/healthz")

    assert held >= 60
    assert status == 200


def test_garbage_gets_no_page_and_no_traceback(server: Served) -> None:
    for garbage in (
        b"\x00\xff" * 500 + b"\r\n\r\n",
        b"GET /%ff%fe/../.. HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            said = connection.recv(65536)
        assert b"Traceback" not in said
        assert b" 500 " not in said[:20]
    assert call(server, "GET", "/healthz")[0] == 200


def test_a_stream_changes_its_tags_only_for_its_own_session(server: Served) -> None:
    browser = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    browser.request("GET", "/login")
    page = browser.getresponse()
    visitor = page.headers["Set-Cookie"].split(";")[0]
    token = re.search(r'name="csrf" value="([^"]+)"', page.read().decode())
    assert token
    form = urllib.parse.urlencode({"csrf": token.group(1), "name": "viewer", "password": PASSWORD})
    browser.request("POST", "/login", form, {"Cookie": visitor, "Content-Type": "application/x-www-form-urlencoded"})
    answer = browser.getresponse()
    answer.read()
    cookie = next(one for one in answer.headers.get_all("Set-Cookie") if "session" in one).split(";")[0]
    browser.request("GET", "/account", headers={"Cookie": cookie})
    csrf = json.loads(re.search(r'id="page-data">(.*?)</script>', browser.getresponse().read().decode()).group(1))["csrf"]
    browser.request("GET", "/live", headers={"Cookie": cookie})
    stream = browser.getresponse()
    lines = iter(stream.readline, b"")
    name = json.loads(next(line for line in lines if line.startswith(b"data: "))[6:])["stream"]

    def want(headers: dict[str, str]) -> int:
        other = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        other.request("POST", "/live", json.dumps({"stream": name, "tags": ["T01/loading"]}), headers)
        return other.getresponse().status

    assert want({}) == 401
    assert want({"Cookie": cookie}) == 403
    assert want({"Authorization": f"Bearer {log_in(server)}"}) == 403
    assert want({"Cookie": cookie, "X-CSRF-Token": csrf}) == 200
    values = next(line for line in lines if line.startswith(b'data: {"T01/loading"'))
    assert json.loads(values[6:])["T01/loading"][1] == 0
    browser.close()
