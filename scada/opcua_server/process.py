"""The OPC UA process: asyncio and asyncua live only here. It is told everything over the link and ends with it."""

import asyncio
import contextlib
import gc
import ipaddress
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from asyncua import Server, ua
from asyncua.common.connection import TransportLimits

from scada.opcua_server import notifications, security
from scada.opcua_server.certificates import TrustList, own_certificate
from scada.opcua_server.doorman import Credential, Doorman
from scada.opcua_server.link import MAX_TO_SERVER, Answer, Decoder, Frame, decode_batches, decode_device, encode
from scada.opcua_server.methods import Methods
from scada.opcua_server.model import Model

log = logging.getLogger("scada.opcua_server")

NAMESPACE_URI: Final = "urn:scada:site"
STATS_EVERY_S: Final = 2.0
ANSWER_WITHIN_S: Final = 30.0           # a method call waits no longer for the desk
MAX_CALLS: Final = 32                   # method calls under way
MAX_UNSENT: Final = 1 << 18             # bytes waiting for the main process; beyond it log-ins are counted, not sent
BREATH_VALUES: Final = 500              # values written before other clients get their turn
POLICIES: Final = [
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]


@attrs.define(eq=False)
class Process:
    """State of the process: the link to the main process, and the server once it is configured."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: Server | None = None
    model: Model | None = None
    doorman: Doorman = attrs.Factory(lambda: Doorman(time.monotonic))
    trust: TrustList | None = None
    calls: dict[int, "asyncio.Future[Answer]"] = attrs.Factory(dict)
    last_call: int = 0
    written: int = 0
    logins_unreported: int = 0
    listening: bool = False

    async def run(self) -> None:
        """Serve until the main process says stop, or is gone."""
        decoder = Decoder(MAX_TO_SERVER)
        stats = asyncio.create_task(self._report())
        try:
            while data := await self.reader.read(1 << 18):
                for frame in decoder.feed(data):
                    if frame.kind == "stop":
                        return
                    await self._take(frame)
        finally:
            stats.cancel()
            self.doorman.close()
            if self.server is not None and self.server.bserver is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.server.bserver.stop(), 2.0)

    async def _take(self, frame: Frame) -> None:
        header = frame.header
        match frame.kind:
            case "values":
                await self._values(frame)
            case "devices":
                assert self.model is not None
                await self.model.add_devices([decode_device(one) for one in header["devices"]])
            case "users":
                await self._users(header["users"])
            case "answer":
                future = self.calls.pop(header["id"], None)
                if future is not None and not future.done():
                    future.set_result(Answer(header["status"], tuple(header["outputs"]), header["reasons"]))
            case "configure":
                gc.disable()                               # tens of thousands of nodes that stay: collecting is in vain
                await self._configure(header)
            case "synchronised":
                gc.collect()
                gc.freeze()
                gc.enable()
                await self._listen()

    async def _values(self, frame: Frame) -> None:
        assert self.model is not None
        since = 0
        for batch in decode_batches(frame):
            since += await self.model.write(batch)
            if since >= BREATH_VALUES:
                self.written, since = self.written + since, 0
                await asyncio.sleep(0)
        self.written += since

    async def _users(self, users: list[dict[str, Any]]) -> None:
        new = [Credential(one["name"], one["hash"], one["role"], tuple(one["areas"])) for one in users]
        changed = {
            name for name in {one.name for one in new} | self.doorman.names()
            if self.doorman.credential(name) != next((one for one in new if one.name == name), None)
        }
        self.doorman.update(new)
        if self.server is not None:
            await self.server.iserver.dismiss(changed)

    async def _configure(self, header: dict[str, Any]) -> None:
        folder = Path(header["folder"])
        self.trust = TrustList(folder, trust_any=header["trust_any_client"])
        hosts = ("localhost", socket.gethostname(), "127.0.0.1", *_shown_host(header["host"]))
        certificate, key = await asyncio.to_thread(own_certificate, folder, header["application_uri"], hosts)
        notifications.install()
        security.install()
        inside = security.GuardedServer(
            self.doorman, self.trust, allow_unencrypted=header["allow_unencrypted"], on_login=self._login
        )
        server = Server(iserver=inside)
        server.name, server.manufacturer_name = f"scada {header['site']}", "scada"
        server.product_uri, server.application_type = "urn:scada:opcua", ua.ApplicationType.Server
        server._application_uri = header["application_uri"]
        server.limits = TransportLimits(
            max_recv_buffer=security.MAX_CHUNK, max_send_buffer=security.MAX_CHUNK,
            max_chunk_count=security.MAX_MESSAGE // security.MAX_CHUNK + 1, max_message_size=security.MAX_MESSAGE,
        )
        await server.init()
        server.set_endpoint(f"opc.tcp://{_literal(header['host'])}:{header['port']}/")
        server.socket_address = (header["host"], header["port"])
        unencrypted = [ua.SecurityPolicyType.NoSecurity] if header["allow_unencrypted"] else []
        server.set_security_policy([*POLICIES, *unencrypted])
        await server.load_certificate(certificate)
        await server.load_private_key(key)
        if await server.register_namespace(NAMESPACE_URI) != 2:
            raise RuntimeError("the site's namespace did not get index 2")
        self.model = Model(inside.aspace, header["site"])
        await Methods(self._ask).install(server, self.model)
        self.server = server

    async def _listen(self) -> None:
        if self.listening:
            return
        assert self.server is not None
        try:
            await self.server.start()
        except OSError as error:
            self._send({"t": "failed", "reason": os.strerror(error.errno) if error.errno else str(error)})
            raise SystemExit(3) from None
        self.listening = True
        self._send({"t": "stats", "figures": self._figures()})
        self._send({"t": "listening"})

    # -------------------------------------------------------------------- to the main process
    def _send(self, header: dict[str, Any]) -> None:
        self.writer.write(encode(header))

    def _login(self, name: str, ok: bool, peer: str, reason: str) -> None:
        if self.writer.transport.get_write_buffer_size() > MAX_UNSENT:
            self.logins_unreported += 1
            return
        self._send({"t": "login", "name": name[:64], "ok": ok, "peer": peer[:64], "reason": reason})

    async def _ask(self, user: str, method: str, arguments: Sequence[Any]) -> Answer:
        if len(self.calls) >= MAX_CALLS:
            return Answer("BadTooManyOperations", (), "too many calls are waiting for the desk")
        self.last_call += 1
        number = self.last_call
        future = self.calls[number] = asyncio.get_running_loop().create_future()
        self._send({"t": "call", "id": number, "user": user, "method": method, "arguments": list(arguments)})
        try:
            return await asyncio.wait_for(future, ANSWER_WITHIN_S)
        except TimeoutError:
            return Answer("BadTimeout", (), "the desk did not answer in time; look at the command list before trying again")
        finally:
            self.calls.pop(number, None)

    async def _report(self) -> None:
        """The figures that show how the process is; also the sign of life the main process waits for."""
        while True:
            self._send({"t": "stats", "figures": self._figures()})
            await asyncio.sleep(STATS_EVERY_S)

    def _figures(self) -> dict[str, float]:
        figures: dict[str, float] = {
            "values_written": self.written, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "logins_refused": self.doorman.refused, "logins_unreported": self.logins_unreported,
        }
        if self.server is not None and self.model is not None and self.trust is not None:
            inside = self.server.iserver
            subscriptions = list(inside.subscription_service.subscriptions.values())
            figures |= {
                "tags": self.model.tags, "misfits": self.model.misfits, "certificates_refused": self.trust.rejections,
                "sessions": sum(session.is_activated() for session in inside._external_sessions.values()),
                "connections": len(self.server.bserver.clients) if self.server.bserver else 0,
                "subscriptions": len(subscriptions),
                "monitored_items": sum(len(one.monitored_item_srv._monitored_items) for one in subscriptions),
            }
        return {name: float(value) for name, value in figures.items()}


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _shown_host(host: str) -> tuple[str, ...]:
    """A host that may stand in a certificate; an address that means "all of them" may not."""
    with contextlib.suppress(ValueError):
        return () if ipaddress.ip_address(host).is_unspecified else (host,)
    return (host,)


class Limited(logging.Filter):
    """A stranger's garbage must not fill the log: at most `most` records a minute, the rest counted."""

    def __init__(self, most: int = 30) -> None:
        super().__init__()
        self._most, self._minute, self._count = most, 0.0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created - self._minute >= 60:
            if self._count > self._most:
                record.msg, record.args = f"{record.getMessage()} (and {self._count - self._most} more before it)", ()
            self._minute, self._count = record.created, 0
        self._count += 1
        record.exc_info = record.exc_text = None           # the sentence is enough; a traceback per bad packet is not
        return self._count <= self._most


async def serve(descriptor: int) -> None:
    link = socket.socket(fileno=descriptor)
    link.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=link, limit=1 << 20)
    await Process(reader, writer).run()


def main(descriptor: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(Limited())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    signal.signal(signal.SIGINT, signal.SIG_IGN)           # Ctrl-C reaches the whole group; the main process stops us
    asyncio.run(serve(descriptor))
