"""A field that obeys: a city's concentrators in one process, each of which takes a group command and reports."""

import asyncio
import json
import sys
import time

from scada.bench.dmesh.city import City, key_of
from scada.bench.dmesh.field import Concentrator, Field
from scada.drivers.dmesh import crypto, messages
from scada.drivers.dmesh.messages import (
    CommandReport,
    GroupCommand,
    GroupSet,
    KeyConfirm,
    KeyPut,
    Packet,
    Refusal,
    Result,
)
from scada.drivers.dmesh.numbers import Code


class Obeying(Concentrator):
    """Its first module refuses, its second stays silent, all others execute."""

    _field: "ObeyingField"

    def _heard(self, packet: Packet, body: bytes) -> None:
        match packet.message:
            case GroupSet() as group:
                self.members = group.members
                self._say(messages.encode(Result(int(Code.OK)), packet.corr))
            case KeyPut() as put:
                key = crypto.unwrap(key_of(self._link), put.wrapped)
                assert isinstance(key, bytes)
                confirm = KeyConfirm(put.target, put.number, put.key_id, crypto.key_check(key))
                self._say(messages.encode(confirm, packet.corr))
                self._field.has_key()
            case GroupCommand() as command:
                self._say(messages.encode(Result(int(Code.ACCEPTED)), packet.corr))
                self._field.has_command(self, command.command_id)
            case _:
                super()._heard(packet, body)

    def report(self, command_id: bytes) -> None:
        """What its modules did, as they are heard of all at once."""
        heard, done = bytearray(self.members), bytearray(self.members)
        heard[0] &= ~2
        done[0] &= ~3
        report = CommandReport(
            command_id, bytes(heard), bytes(done), refused=(Refusal(1, int(Code.DENIED)),), final=True
        )
        self._say(messages.encode(report))


class ObeyingField(Field):
    """Reports only when everybody has the command: the worst burst there is."""

    kind = Obeying

    def __init__(self, city: City, port: int) -> None:
        super().__init__(city, port)
        self._keys = 0
        self._commanded: list[tuple[Obeying, bytes]] = []
        self._first = self._last = 0.0

    def has_key(self) -> None:
        self._keys += 1
        if self._keys == self.city.concentrators:
            print("prepared", flush=True)

    def has_command(self, one: Obeying, command_id: bytes) -> None:
        self._last = time.monotonic()
        self._first = self._first or self._last
        self._commanded.append((one, command_id))
        if len(self._commanded) == self.city.concentrators:
            print(json.dumps({"first": self._first, "last": self._last}), flush=True)
            for obeying, identity in self._commanded:
                obeying.report(identity)


def main(port: int, word: str) -> None:
    print(json.dumps(asyncio.run(ObeyingField(City.of(word), port).run(3600))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
