"""TLS around a connection: a transport that encrypts, between the socket and a `Connection` that does not know of it.

Python's own `ssl`, over memory, so that the limits of the listener (how many without a proof, how long) hold from the
first byte on. Both sides show a certificate of the site's own authority; who a concentrator is, its link key proves.
"""

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
from cryptography import x509
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from scada.errors import ConfigError, Problem

CHUNK: Final = 65536
PRIVATE: Final = 0o077                  # mode bits a private key must not have


@attrs.frozen
class Files:
    """Where certificate, private key and authority lie (PEM)."""

    certificate: Path
    key: Path
    ca: Path


def context(files: Files, *, server: bool) -> ssl.SSLContext:
    """What a side demands and shows. Raises `ConfigError` with every problem at once. Blocking."""
    problems = [
        Problem(str(path), "", f"cannot be read: {_why(path)}; expected a PEM file")
        for path in (files.certificate, files.key, files.ca) if _why(path)
    ]
    if not problems and files.key.stat().st_mode & PRIVATE:
        problems.append(Problem(str(files.key), "", "others may read this private key; expected mode 0600"))
    if problems:
        raise ConfigError(problems)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.check_hostname = False                             # addresses change; the link key says who it is
    made.verify_mode = ssl.CERT_REQUIRED
    try:
        made.load_verify_locations(files.ca)
    except ssl.SSLError:
        problems.append(Problem(str(files.ca), "", "no certificate in it; expected the authority's certificate in PEM"))
    try:
        made.load_cert_chain(files.certificate, files.key, password="")
    except (ssl.SSLError, OSError):
        said = "does not belong to this private key, or one of them is no PEM, or the key wants a passphrase"
        problems.append(Problem(f"{files.certificate}, {files.key}", "", f"{said}; expected a certificate and its key"))
    if problems:
        raise ConfigError(problems)
    return made


def valid_until(files: Files) -> int:
    """When our certificate ends. [s since 1970] Blocking."""
    return int(x509.load_pem_x509_certificate(files.certificate.read_bytes()).not_valid_after_utc.timestamp())


def _why(path: Path) -> str:
    try:
        path.read_bytes()
    except OSError as error:
        return error.strerror or str(error)
    return ""


class TlsEndpoint:
    """An endpoint whose connections are inside TLS; what it gives is the protocol inside."""

    def __init__(self, endpoint: Any, made: ssl.SSLContext, on_refused: Callable[[str, str], None]) -> None:
        self._endpoint, self._made, self._on_refused = endpoint, made, on_refused

    def connect(self, factory: Any) -> Any:
        outer: Any = Factory.forProtocol(
            lambda: TlsProtocol(factory.buildProtocol(None), self._made, server=False, on_refused=self._on_refused)
        )
        return self._endpoint.connect(outer).addCallback(lambda protocol: protocol.inner)


class TlsProtocol(Protocol):
    """Towards the socket a protocol, towards the connection its transport; decides nothing."""

    def __init__(self, inner: Any, made: ssl.SSLContext, *, server: bool, on_refused: Callable[[str, str], None]) -> None:
        self.inner, self._on_refused = inner, on_refused
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = made.wrap_bio(self._in, self._out, server_side=server)
        self._secure = self._over = False
        self._early = b""

    # ------------------------------------------------------------------ protocol
    def connectionMade(self) -> None:
        if hasattr(self._socket, "setTcpNoDelay"):
            self._socket.setTcpNoDelay(True)
            self._socket.setTcpKeepAlive(True)
        self.inner.makeConnection(self)
        self._advance()

    def dataReceived(self, data: bytes) -> None:
        if not self._over:
            self._in.write(data)
            self._advance()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._over = True
        self.inner.connectionLost(reason)

    # ------------------------------------------------------------------ transport
    def write(self, data: bytes) -> None:
        """What is said before the handshake is over (one HELLO, or one CLOSE) waits for it."""
        if not self._secure:
            self._early += data
        elif not self._over:
            self._tls.write(data)
            self._flush()

    def loseConnection(self) -> None:
        if self._secure and not self._over:
            with contextlib.suppress(ssl.SSLError):         # it wants the peer's word first: ours is in the buffer
                self._tls.unwrap()
            self._flush()
        self._over = True
        self._socket.loseConnection()

    def abortConnection(self) -> None:
        self._over = True
        self._socket.abortConnection()

    def getPeer(self) -> Any:
        return self._socket.getPeer()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._socket.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._socket.unregisterProducer()

    # ------------------------------------------------------------------ private
    @property
    def _socket(self) -> Any:
        return self.transport

    def _advance(self) -> None:
        try:
            if not self._secure:
                self._tls.do_handshake()
                self._secure = True
                if self._early:
                    self._tls.write(self._early)
                    self._early = b""
            while not self._over and (data := self._tls.read(CHUNK)):
                self.inner.dataReceived(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.loseConnection()
        except ssl.SSLError as error:
            self._flush()                                   # the alert that says why
            self._on_refused(str(getattr(self.getPeer(), "host", "")), error.reason or str(error))
            self._over = True
            self._socket.loseConnection()
            return
        self._flush()

    def _flush(self) -> None:
        if data := self._out.read():
            self._socket.write(data)
