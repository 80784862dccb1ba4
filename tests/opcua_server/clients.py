"""Two clients that share no code: asyncua's, and node-opcua's in a Node process driven by JSON lines."""

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
from asyncua import Client, ua
from asyncua.crypto import security_policies
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.node import node
from tests.opcua_server.conftest import CLIENT_URI, Identity

NODE = Path(__file__).parent / "node"


@asynccontextmanager
async def asyncua_client(
    url: str, identity: Identity | None, user: str | None = "dana", password: str = "right-Dana",
    policy: str = "Basic256Sha256", uri: str = CLIENT_URI,
) -> AsyncIterator[Client]:
    """A logged-in asyncua client; without an identity on an unencrypted channel."""
    client = Client(url, timeout=20)
    client.application_uri = uri
    if identity is not None:
        await client.set_security(
            getattr(security_policies, f"SecurityPolicy{policy}"), str(identity.certificate), str(identity.key),
            mode=ua.MessageSecurityMode.SignAndEncrypt,
        )
    if user is not None:
        client.set_user(user)
        client.set_password(password)
    async with client:
        yield client


@attrs.frozen
class NodeClient:
    """The Node process."""

    process: "subprocess.Popen[str]"

    def do(self, what: str, **arguments: Any) -> Any:
        """One command; raises `RuntimeError` with the client's own words when it failed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self.process.stdin.flush()
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the node process ended")
            if line.startswith(("{\"ok\"", "{\"error\"", "{}")):   # node-opcua prints remarks of its own
                break
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer.get("ok")


@contextmanager
def node_client(folder: Path, url: str, identity: Identity | None = None, **login: Any) -> Iterator[NodeClient]:
    """A Node process, connected where an identity is given; its packages come from `npm ci` in tests/opcua_server/node."""
    assert (NODE / "node_modules").is_dir(), f"run: npm ci --prefix {NODE}"
    with (folder / "node.log").open("w") as log:
        process = subprocess.Popen(
            [node(), "client.js"], cwd=NODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            client = NodeClient(process)
            if identity is not None:
                client.do(
                    "connect", url=url, certificate=str(_pem(identity)), key=str(identity.key), pki=str(folder / "pki"),
                    uri=CLIENT_URI, **(login or {"user": "dana", "password": "right-Dana"}),
                )
            yield client
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _pem(identity: Identity) -> Path:
    """node-opcua reads certificates as PEM."""
    path = identity.certificate.with_suffix(".crt.pem")
    certificate = x509.load_der_x509_certificate(identity.certificate.read_bytes())
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path
