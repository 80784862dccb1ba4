"""The field of a city in one process: as many concentrators as there are, each no more than its end of the protocol."""

import asyncio
import json
import os
import secrets
import sys
import time
from typing import Any, Final

from scada.bench.dmesh.city import PATTERNS, City, hello, key_of, module_pages, records
from scada.drivers.dmesh import crypto, frame, messages
from scada.drivers.dmesh.frame import Frame, FrameDecoder
from scada.drivers.dmesh.messages import (
    ArchAck,
    Auth,
    Challenge,
    Close,
    GetModules,
    Packet,
    Ping,
    Pong,
    Ready,
    Result,
)
from scada.drivers.dmesh.numbers import Code

DIALS_AT_ONCE: Final = 200              # handshakes under way


class Concentrator(asyncio.Protocol):
    """One of them: proves itself, sends its archive as credit allows, answers what it is asked."""

    transport: asyncio.Transport

    def __init__(self, field: "Field", link: int, archive: list[bytes]) -> None:
        self._field, self._link, self._archive = field, link, archive
        self._decoder = FrameDecoder(4096)
        self._channel: crypto.Channel | None = None
        self._next = self._acknowledged = 0
        self._bodies: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._nonce = secrets.token_bytes(16)
        self._bodies = [messages.encode(hello(self._field.city, self._link, self._nonce, len(self._archive)))]
        transport.write(frame.encode(Frame(self._link, self._bodies[0])))

    def connection_lost(self, exc: Exception | None) -> None:
        self._field.lost(self._link, exc)

    def data_received(self, data: bytes) -> None:
        for event in self._decoder.feed(data):
            assert isinstance(event, Frame), event
            body = event.body
            if event.secured:
                assert self._channel is not None
                opened = self._channel.open(event)
                assert isinstance(opened, bytes), opened
                body = opened
            packet = messages.decode(body)
            assert isinstance(packet, Packet), packet
            self._heard(packet, body)

    def _heard(self, packet: Packet, body: bytes) -> None:
        match packet.message:
            case Challenge() as challenge:
                key = key_of(self._link)
                bodies = [*self._bodies, body, messages.encode(Auth())]
                mac = crypto.handshake_mac(crypto.auth_key(key), crypto.ROLE_CONCENTRATOR, bodies)
                keys = crypto.session_keys(key, self._nonce, challenge.nonce)
                self._channel = crypto.Channel(keys, self._link, server=False)
                self.transport.write(frame.encode(Frame(self._link, messages.encode(Auth(mac)))))
            case Ready(archive_cursor=cursor, credit=credit):
                self._field.is_up()
                self._next = self._acknowledged = cursor
                self._stream(credit)
            case ArchAck(cursor=cursor, credit=credit) if not packet.corr:
                self._acknowledged = cursor
                self._stream(credit)
                if cursor >= len(self._archive):
                    self._field.done(self._link)
            case GetModules(page=page):
                pages = self._field.pages(self._link)
                self._say(messages.encode(pages[page], packet.corr))
                if page == len(pages) - 1:
                    self._field.is_listed(self._link)
            case Ping(time=at):
                self._say(messages.encode(Pong(at, int(time.time()), True), packet.corr))
            case Close() as close:
                self._field.refused(close.text)
            case Pong() | Result():
                pass
            case _:
                if packet.corr:
                    self._say(messages.encode(Result(int(Code.OK)), packet.corr))

    def _stream(self, credit: int) -> None:
        assert self._channel is not None
        ready = self._archive[self._next:self._acknowledged + credit]
        if ready and self._field.open:
            self._next += len(ready)
            self.transport.write(b"".join(frame.encode(self._channel.seal(body)) for body in ready))

    def begin(self, credit: int) -> None:
        """The gate is open: what READY asked for may go."""
        self._stream(credit)

    def _say(self, body: bytes) -> None:
        assert self._channel is not None
        self.transport.write(frame.encode(self._channel.seal(body)))


class Field:
    """All of them, and what became of them."""

    kind: type[Concentrator] = Concentrator

    def __init__(self, city: City, port: int) -> None:
        self.city, self._port = city, port
        self._archives = [records(city, pattern) for pattern in range(PATTERNS)]
        self._waiting = set(city.links)
        self._lists: dict[int, list[Any]] = {}
        self._up = 0
        self.open = False                                   # records flow only once everybody is up
        self._everybody, self._listed = asyncio.Event(), asyncio.Event()
        self._unlisted = set(city.links)
        self._all_done = asyncio.Event()
        self._gate = asyncio.Semaphore(DIALS_AT_ONCE)
        self._problems: list[str] = []
        self._all: list[Concentrator] = []

    def archive(self, link: int) -> list[bytes]:
        return self._archives[link % PATTERNS]

    def pages(self, link: int) -> list[Any]:
        if link not in self._lists:
            self._lists[link] = list(module_pages(self.city, link))
        return self._lists[link]

    def is_up(self) -> None:
        self._up += 1
        self._gate.release()
        if self._up == self.city.concentrators:
            self._everybody.set()

    def is_listed(self, link: int) -> None:
        """The server knows its modules."""
        self._unlisted.discard(link)
        if not self._unlisted:
            self._listed.set()

    def done(self, link: int) -> None:
        self._waiting.discard(link)
        if not self._waiting:
            self._all_done.set()

    def lost(self, link: int, exc: Exception | None) -> None:
        if link in self._waiting:
            self._problems.append(f"{link:08x} lost its link: {exc}")
            self._everybody.set()
            self._all_done.set()

    def refused(self, text: str) -> None:
        self._problems.append(f"closed: {text}")

    async def run(self, hold_s: float) -> dict[str, Any]:
        """Everybody dials in, then everybody sends; what it took. With `hold_s` the sessions are only held so long."""
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        for link in self.city.links:
            await self._gate.acquire()
            _, protocol = await loop.create_connection(
                lambda link=link: self.kind(self, link, [] if hold_s else self.archive(link)),  # type: ignore[misc]
                "127.0.0.1", self._port,
            )
            self._all.append(protocol)
        await asyncio.wait_for(self._everybody.wait(), 120)
        handshakes_s = time.monotonic() - began
        if hold_s:
            print("up", flush=True)
            await asyncio.sleep(hold_s)
            return {"problems": self._problems[:5], "handshakes_s": handshakes_s, "up": self._up}
        await asyncio.wait_for(self._listed.wait(), 120)
        await asyncio.sleep(1)                              # module lists have been fetched, the loop is quiet
        print("go", flush=True)
        began, self.open = time.monotonic(), True
        for one in self._all:
            one.begin(8)
        await asyncio.wait_for(self._all_done.wait(), 600)
        seconds = time.monotonic() - began
        size = sum(len(body) + 29 for link in self.city.links for body in self.archive(link))
        blocks = sum(len(self.archive(link)) for link in self.city.links)
        return {
            "problems": self._problems[:5], "handshakes_s": handshakes_s, "up": self._up, "seconds": seconds,
            "bytes": size, "blocks": blocks,
        }


def main(port: int, word: str, hold_s: float) -> None:
    os.nice(10)                             # the field has processors of its own: here it takes what the server leaves
    print(json.dumps(asyncio.run(Field(City.of(word), port).run(hold_s))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
