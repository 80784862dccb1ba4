"""Modbus TCP through pymodbus, with the traps of that library closed: no retries, no late replies, lengths checked.

A request that nobody answered costs the connection. Whatever the device says later, it says to a closed socket, so a
late reply can never be taken for the answer to another request (gateways that send transaction 0 would allow it).
"""

import asyncio
import logging
import struct
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from twisted.internet.defer import Deferred

from scada.drivers.modbus.plan import Block
from scada.drivers.modbus.template import Register
from scada.errors import LinkError
from scada.tags import Quality

T = TypeVar("T")

# pymodbus logs a line per lost request; we count them, and log changes of state.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

# Modbus Application Protocol V1.1b3, section 7: whose fault an exception is decides what the value is worth.
OF_EXCEPTION: dict[int, Quality] = {
    1: Quality.BAD_CONFIG,              # illegal function
    2: Quality.BAD_CONFIG,              # illegal data address
    3: Quality.BAD_CONFIG,              # illegal data value
    4: Quality.BAD_SENSOR,              # server device failure
    10: Quality.BAD_NOT_CONNECTED,      # gateway path unavailable
    11: Quality.BAD_NOT_CONNECTED,      # gateway target device failed to respond
}


@attrs.frozen(eq=False)
class Answer:
    """What a device said to one request: registers, or why there are none."""

    quality: Quality
    registers: NDArray[np.uint16] | None = None
    reason: str = ""


class Garbage(Exception):
    """A frame came that cannot be decoded."""


class Link(Protocol):
    """One device behind one connection."""

    @property
    def connected(self) -> bool: ...

    def connect(self) -> "Deferred[None]":
        """Fails with `LinkError`."""

    def read(self, block: Block) -> "Deferred[Answer]":
        """One request, sent once. Fails with `LinkError` when nobody answers; then close the link."""

    def close(self) -> None: ...


class ModbusTcpLink:
    """Implements `Link`; must be used inside a running asyncio loop (Twisted's asyncioreactor)."""

    def __init__(self, host: str, port: int, unit: int, timeout_s: float) -> None:
        self._peer, self._unit = f"{host}:{port} unit {unit}", unit
        self._timeout_s = timeout_s
        self._client = AsyncModbusTcpClient(host, port=port, timeout=timeout_s, retries=0, reconnect_delay=0)
        self._hear = self._client.ctx.callback_data
        self._client.ctx.callback_data = self._guarded      # held by a test; pymodbus is pinned to 3.16

    @property
    def connected(self) -> bool:
        return bool(self._client.connected)

    def connect(self) -> "Deferred[None]":
        return _deferred(self._connect())

    def read(self, block: Block) -> "Deferred[Answer]":
        return _deferred(self._read(block))

    def close(self) -> None:
        self._client.close()

    async def _connect(self) -> None:
        if not await self._client.connect():
            raise LinkError(self._peer, "connection refused or host not reachable")

    async def _read(self, block: Block) -> Answer:
        request = (
            self._client.read_input_registers
            if block.register is Register.INPUT
            else self._client.read_holding_registers
        )
        try:
            reply = await request(block.address, count=block.count, device_id=self._unit)
        except Garbage:
            raise LinkError(self._peer, "answered with something that is no Modbus frame") from None
        except ModbusException:
            raise LinkError(self._peer, f"no answer within {self._timeout_s:g} s") from None
        if reply.isError():
            code = int(reply.exception_code)
            quality = OF_EXCEPTION.get(code, Quality.BAD_NOT_CONNECTED)
            return Answer(quality, reason=f"exception {code} at {block.address:#06x}")
        registers = np.array(reply.registers, dtype=np.uint16)
        if len(registers) != block.count:
            reason = f"{len(registers)} registers at {block.address:#06x} where {block.count} were asked for"
            return Answer(Quality.BAD_NOT_CONNECTED, reason=reason)
        return Answer(Quality.GOOD, registers)

    def _guarded(self, data: bytes, addr: Any = None) -> int:
        """pymodbus raises out of the event loop when a frame cannot be decoded: let the request fail instead, at once."""
        try:
            return int(self._hear(data, addr))
        except (ModbusException, struct.error, IndexError, ValueError):
            waiting = self._client.ctx.response_future
            if not waiting.done():
                waiting.set_exception(Garbage())
            return len(data)


def _deferred(coroutine: Coroutine[Any, Any, T]) -> "Deferred[T]":
    return Deferred.fromFuture(asyncio.ensure_future(coroutine))
