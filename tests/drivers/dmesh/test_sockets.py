"""The driver as a process, over real sockets: a hostile crowd costs it little and the real field nothing."""

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest

from scada.drivers.dmesh.messages import ArchAck, Challenge, Close, GetModules, Message, ModuleList, Ready
from tests.drivers.dmesh.peers import Peer, entries, hello, record
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
NOW_HOUR = int(time.time()) // 3600


@attrs.define
class Server:
    process: "subprocess.Popen[str]"
    port: int

    def figures(self) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: dict[str, float] = json.loads(self.process.stdout.readline())
        return found

    def memory(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)


def launch(port: int, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.drivers.dmesh.serve", str(port), str(folder)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A driver that listens."""
    port = free_port()
    process = launch(port, tmp_path)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    yield Server(process, port)
    process.stdin.close()
    assert process.wait(20) == 0


class Dialled:
    """The test's concentrator on a blocking socket."""

    def __init__(self, port: int, peer: Peer | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.peer = peer or Peer(hello(oldest=1))
        self.socket.sendall(self.peer.greeting())

    def until(self, kind: type[Message]) -> Any:
        """The next message of one kind; what the server asks meanwhile is answered where the test needs it."""
        while True:
            data = self.socket.recv(65536)
            assert data, "the server hung up"
            wanted = None
            for packet in self.peer.take(data):
                if isinstance(packet.message, GetModules):
                    self.socket.sendall(self.peer.sealed(ModuleList(1, 0, 1, entries(3)), packet.corr))
                if isinstance(packet.message, kind):
                    wanted = packet.message
            if wanted is not None:
                return wanted

    def shake(self) -> "Dialled":
        self.socket.sendall(self.peer.proof(self.until(Challenge)))
        self.until(Ready)
        return self

    def deliver(self, number: int) -> None:
        """One record, and its acknowledgement."""
        self.socket.sendall(self.peer.sealed(record(number, record_hour=NOW_HOUR - 24)))
        assert self.until(ArchAck).cursor == number


def test_garbage_and_a_thousand_half_open_connections_do_not_disturb_the_field(server: Server) -> None:
    """Refused, counted, less than 50 MB of memory, and the concentrator delivers all the while; a new one gets in."""
    field = Dialled(server.port).shake()
    field.deliver(1)
    before = server.memory()
    dice = random.Random(1)
    crowd = []
    for number in range(1000):
        stranger = socket.create_connection(("127.0.0.1", server.port), 10)
        if number % 3 == 0:
            stranger.sendall(dice.randbytes(200))
        elif number % 3 == 1:
            stranger.sendall(Peer(hello(link_id=number)).greeting())
        crowd.append(stranger)
        if number % 50 == 0:
            field.deliver(2 + number // 50)
    field.deliver(22)
    unproven = server.figures()["unproven"]
    field.socket.close()
    again = Dialled(server.port, Peer(hello(newest=22))).shake()
    again.deliver(23)
    figures = server.figures()

    assert server.memory() - before < 50_000_000
    assert unproven <= 256
    assert figures["refused_unknown_link"] == 333
    assert figures["refused_full"] > 0
    assert figures["links_up"] == 1
    assert figures["blocks"] == 23
    for stranger in (*crowd, again.socket):
        stranger.close()


def test_a_flood_of_garbage_is_cut_off(server: Server) -> None:
    """Fifty peers with a megabyte of noise each: cut after a few hundred bytes."""
    before = server.memory()
    for _ in range(50):
        with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as stranger:
            try:
                stranger.sendall(b"\x00noise" * 170_000)
                while stranger.recv(4096):
                    pass
            except (ConnectionError, BrokenPipeError):
                pass
    figures = server.figures()

    assert figures["refused_protocol"] == 50
    assert server.memory() - before < 20_000_000


def test_a_half_open_connection_is_closed_in_real_time(server: Server) -> None:
    """After the handshake's 3 seconds, with a reason in plain."""
    dialled = Dialled(server.port)
    dialled.until(Challenge)

    assert dialled.until(Close).text == "no proof in time"
    assert dialled.socket.recv(100) == b""


def test_a_port_in_use_is_a_clear_sentence(tmp_path: Path) -> None:
    """StartError, no traceback."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = launch(port, tmp_path)
        said, _ = process.communicate(timeout=20)

    assert said == f"dmesh: cannot listen on 127.0.0.1 port {port}: Address already in use (change dmesh.port)\n"
    assert process.returncode == 0


def test_a_clean_stop_says_goodbye(tmp_path: Path) -> None:
    """Connected concentrators hear SHUTDOWN; the process ends by itself."""
    port = free_port()
    process = launch(port, tmp_path)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    field = Dialled(port).shake()
    process.stdin.close()
    reason = field.until(Close).reason

    assert process.wait(20) == 0
    assert reason == 9
