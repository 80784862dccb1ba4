"""TLS around DMLP: real sockets, certificates made by the commands of the guide; who has none of ours gets nowhere."""

import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from twisted.internet.testing import MemoryReactorClock, StringTransport

from scada.drivers.dmesh.messages import Ready
from scada.drivers.dmesh.simulator.client import CalledConcentrator, ConcentratorProtocol
from scada.drivers.dmesh.simulator.state import ConcentratorState, SimModule
from scada.drivers.dmesh.tls import Files, TlsProtocol, context, valid_until
from scada.errors import ConfigError, StartError
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, Peer, bench, hello
from tests.drivers.dmesh.test_groups import outcome
from tests.drivers.dmesh.test_sockets import Dialled, Server
from tests.fakes import NOON
from tests.ports import free_port

ROOT = Path(__file__).parents[3]


def make(folder: Path, name: str) -> Files:
    """An authority and a certificate, exactly as the administrator's guide says."""
    folder.mkdir(exist_ok=True)
    guide = (ROOT / "docs/guide/administrator.md").read_text(encoding="utf-8")
    authority, certificate = (block for block in re.findall(r"```sh\n(.*?)```", guide, re.DOTALL) if "openssl" in block)
    for block in ([] if (folder / "ca.pem").exists() else [authority]) + [certificate.replace("server", name)]:
        subprocess.run(["sh", "-ec", block], cwd=folder, check=True, capture_output=True)
    return Files(folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    make(folder, "server")
    make(folder, "field")
    return folder


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strangers")
    make(folder, "field")
    return folder


@pytest.fixture
def server(tmp_path: Path, ours: Path) -> Iterator[Server]:
    """A driver that listens with TLS alone."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.drivers.dmesh.serve", str(free_port()), str(tmp_path), str(port), str(ours)],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    yield Server(process, port)
    process.stdin.close()
    assert process.wait(20) == 0


def client(folder: Path, *, certificate: bool = True) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if certificate:
        made.load_cert_chain(folder / "field.pem", folder / "field.key")
    return made


class Secured(Dialled):
    """The test's concentrator inside TLS."""

    def __init__(self, port: int, made: ssl.SSLContext) -> None:
        import socket

        self.socket = made.wrap_socket(socket.create_connection(("127.0.0.1", port), 10))
        self.peer = Peer(hello(oldest=1))
        self.socket.sendall(self.peer.greeting())


def test_a_concentrator_with_our_certificate_delivers(server: Server, ours: Path) -> None:
    """Inside nothing has changed: handshake, records, acknowledgements; it also verifies us."""
    made = client(ours)
    made.load_verify_locations(ours / "ca.pem")
    made.verify_mode = ssl.CERT_REQUIRED
    field = Secured(server.port, made).shake()
    for number in (1, 2, 3):
        field.deliver(number)

    assert server.figures()["links_up"] == 1
    field.socket.close()


@pytest.mark.parametrize("who", ["without a certificate", "with another authority's"])
def test_others_do_not_reach_the_handshake(server: Server, ours: Path, strangers: Path, who: str) -> None:
    """No certificate, or a stranger's: refused by TLS and counted; not one byte of DMLP comes back."""
    made = client(ours, certificate=False) if who == "without a certificate" else client(strangers)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Secured(server.port, made).until(Ready)
    deadline = time.monotonic() + 5
    while server.figures()["tls_refused"] < 1 and time.monotonic() < deadline:
        time.sleep(0.05)

    assert server.figures()["tls_refused"] == 1
    assert server.figures()["links_up"] == 0


def test_plain_dmlp_on_the_tls_port_is_refused(server: Server) -> None:
    """And counted as what it is."""
    stranger = Dialled(server.port)
    stranger.socket.settimeout(5)
    while stranger.socket.recv(4096):
        pass

    assert server.figures()["tls_refused"] == 1


def test_a_stranger_that_never_shakes_hands_is_bounded_by_the_same_clock(tmp_path: Path, ours: Path) -> None:
    """TCP alone counts as a connection without a proof, and is cut after the handshake's time."""
    site = bench(tmp_path)
    made = context(Files(ours / "server.pem", ours / "server.key", ours / "ca.pem"), server=True)
    connection = site.service.factory.connection()
    socket = StringTransport()
    TlsProtocol(connection, made, server=True, on_refused=lambda peer, why: None).makeConnection(socket)
    unproven = site.service.factory.unproven
    site.reactor.advance(11.0)

    assert unproven == 1
    assert site.service.factory.unproven == 0
    assert socket.disconnecting
    assert socket.value() == b""


def test_a_concentrator_that_is_called_is_called_with_tls(tmp_path: Path, ours: Path, strangers: Path) -> None:
    """Whoever dials is the TLS client; one of a stranger's authority is not spoken to."""
    made = {"certificate": ours / "server.pem", "key": ours / "server.key", "ca": ours / "ca.pem"}
    site = bench(
        tmp_path, tls=made, call=[{"link_id": f"{LINK_ID:08x}", "host": "127.0.0.1", "port": 9, "tls": True}]
    )
    (caller,) = site.service._callers

    def meet(folder: Path) -> bool:
        field = CalledConcentrator(one_state(), site.reactor, None, lambda: float(NOON))
        terms = context(Files(folder / "field.pem", folder / "field.key", folder / "ca.pem"), server=True)
        theirs = TlsProtocol(ConcentratorProtocol(field), terms, server=True, on_refused=lambda peer, why: None)
        here, there = StringTransport(), StringTransport()
        mine = caller._factory.buildProtocol(None)
        theirs.makeConnection(there)
        mine.makeConnection(here)
        while here.value() or there.value():
            up, down = here.value(), there.value()
            here.clear()
            there.clear()
            theirs.dataReceived(up)
            mine.dataReceived(down)
        return site.service.link_up(LINK_ID)

    assert not meet(strangers)
    assert meet(ours)


def one_state() -> ConcentratorState:
    return ConcentratorState(LINK_ID, LINK_KEY, (SimModule(1, 1, 1),), started=float(NOON), archive_id=7, boot_id=1)


@attrs.define
class Spoilt:
    """What may be wrong with the files, and what is said."""

    how: Callable[[Path], object]
    said: str


SPOILT = {
    "missing": Spoilt(lambda folder: (folder / "ca.pem").unlink(), "ca.pem: cannot be read: No such file or directory"),
    "open to others": Spoilt(lambda folder: os.chmod(folder / "server.key", 0o644), "expected mode 0600"),
    "another's key": Spoilt(lambda folder: (folder / "field.key").replace(folder / "server.key"), "does not belong to"),
    "no certificate": Spoilt(lambda folder: (folder / "ca.pem").write_text("hello"), "no certificate in it"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_files_that_cannot_be_used_are_named_at_start(tmp_path: Path, case: str) -> None:
    """In a sentence, and the server does not start half-secured."""
    folder = tmp_path / "certificates"
    files = make(folder, "server")
    make(folder, "field")
    good = (valid_until(files) - time.time()) / 86400
    SPOILT[case].how(folder)
    (tmp_path / "data").mkdir()
    site = bench(
        tmp_path / "data", tls={"certificate": folder / "server.pem", "key": folder / "server.key", "ca": folder / "ca.pem"}
    )
    site.reactor = MemoryReactorClock()
    site.service._reactor = site.reactor
    (error,) = outcome(site.service.start())

    assert 820 < good < 826
    assert isinstance(error, ConfigError | StartError)
    assert SPOILT[case].said in str(error)
    assert site.reactor.tcpServers == []
