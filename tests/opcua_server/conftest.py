"""A running server for the tests: the host process, its certificates, and clients that know how to log in."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
CLIENT_URI = "urn:tests:client"
USERS = {
    "dana": ["right-Dana", "dispatcher"], "vera": ["right-Vera", "viewer"],
    "sorin": ["right-Sorin", "dispatcher", "south"], "mihai": ["right-Mihai", "subscriber"],
    "radu": ["right-Radu", "installer"],
}
METER = {
    "name": "T01-meter", "path": ["T01"], "title": "Transformer meter",
    "tags": [
        {"point": "power_active_l1", "unit": "W", "title": "Active power L1", "low": -1e6, "high": 1e6, "stale_after": 1},
        {"point": "energy_import", "unit": "kWh", "title": "Energy imported"},
        {"point": "power_factor_l1"},
    ],
}
TRANSFORMER = {"name": "T01", "title": "Transformer 1", "tags": [{"point": "phase_imbalance", "unit": "%"}]}
MODULE = {"name": "C01-017", "path": ["C01"], "tags": [{"point": "register_0", "unit": "kWh"}]}


@attrs.define
class Site:
    """A host process with its OPC UA server."""

    process: "subprocess.Popen[str]"
    port: int
    data_dir: Path

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/"

    def do(self, what: str, **arguments: Any) -> Any:
        """Run one command in the host and wait for its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the host process ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ok"]

    def until(self, condition: Callable[[], Any], seconds: float = 30.0) -> Any:
        """Wait for the other processes to get somewhere; fails loudly when they do not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"did not happen within {seconds} s")


@attrs.frozen
class Identity:
    """A client's certificate and key."""

    certificate: Path
    key: Path


def make_identity(folder: Path, name: str, uri: str = CLIENT_URI, days: int = 30) -> Identity:
    """A self-signed client certificate, in DER, its key in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.KeyUsage(True, True, True, True, False, True, False, False, False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    identity = Identity(folder / f"{name}.der", folder / f"{name}.pem")
    identity.certificate.write_bytes(built.public_bytes(serialization.Encoding.DER))
    identity.key.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))
    return identity


@contextmanager
def running(
    data_dir: Path, devices: list[dict[str, Any]], *, start: bool = True, silent_s: float = 30.0, **opcua: Any
) -> Iterator[Site]:
    """A host process around a server on a free port; ended with the block, whatever happened in it."""
    port = opcua.pop("port", None) or free_port()
    config = {
        "opcua": {"port": port, **opcua}, "site": "Demo", "data_dir": str(data_dir), "users": USERS, "devices": devices,
        "silent_s": silent_s,
    }
    path = data_dir / "host.json"
    path.write_text(json.dumps(config))
    with (data_dir / "host.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.opcua_server.host", str(path)], cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )
        site = Site(process, port, data_dir)
        try:
            if start:
                site.do("start")
            yield site
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def trust(data_dir: Path, identity: Identity) -> None:
    """What an administrator does: lay the certificate into `trusted/`."""
    folder = data_dir / "opcua" / "trusted"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / identity.certificate.name).write_bytes(identity.certificate.read_bytes())


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """The client everybody trusts."""
    return make_identity(tmp_path_factory.mktemp("client"), "client")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, identity: Identity) -> Iterator[Site]:
    """One server for a module of tests, with a transformer, its meter and a module."""
    data_dir = tmp_path_factory.mktemp("site")
    trust(data_dir, identity)
    with running(data_dir, [METER, TRANSFORMER, MODULE]) as one:
        yield one
