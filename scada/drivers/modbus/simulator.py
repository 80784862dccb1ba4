"""A Modbus TCP meter made of a device template: shows values that somebody else works out, when it is asked.

The registers are those of the template the driver reads with, through pymodbus's server; the driver's own tests use
another implementation, so that the two sides of one library do not confirm each other.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from twisted.internet.defer import Deferred

from scada.drivers.modbus.decode import encode, layout
from scada.drivers.modbus.template import Register, Template
from scada.errors import ConfigError, Problem, StartError

READ: Final = {Register.HOLDING: 3, Register.INPUT: 4}          # function code


class SimulatedMeter:
    """
    Serves one device on a TCP port; runs on Twisted's asyncioreactor.

    Parameters
    ----------
    template
        Which registers there are.
    values
        Called when a request comes: every point of the template by name, in the tag's unit, primary side.
    host, port
        Where to listen; port 0 lets the system choose.
    ct_ratio
        Current transformer before the meter, which shows secondary values. [1]
    """

    def __init__(
        self, template: Template, values: Callable[[], Mapping[str, float]], host: str, port: int,
        *, unit: int = 1, ct_ratio: float = 1.0,
    ) -> None:
        self._values, self._address, self._unit = values, (host, port), unit
        self._layout = layout(template, ct_ratio)
        self._names = tuple(point.name for point in template.points)
        if missing := sorted(set(self._names) - set(values())):
            raise ConfigError([Problem(template.name, "points", f"nothing measures {', '.join(missing)} here")])
        self._server: Any = None
        self.requests = 0

    @property
    def port(self) -> int:
        """Where it listens; 0 before it does."""
        sockets = self._server.transport.sockets if self._server is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    def start(self) -> "Deferred[None]":
        """Listen; fails with `StartError`."""
        return Deferred.fromFuture(asyncio.ensure_future(self._start()))

    def stop(self) -> "Deferred[None]":
        return Deferred.fromFuture(asyncio.ensure_future(self._stop()))

    async def _start(self) -> None:
        blocks = self._layout.blocks
        data: dict[Register, list[SimData]] = {
            table: [
                SimData(block.address, count=block.count, values=0, datatype=DataType.REGISTERS)
                for block in blocks if block.register is table
            ]
            for table in Register
        }
        empty = [SimData(0, count=1, values=False, datatype=DataType.BITS)]
        unused = [SimData(0, count=1, values=0, datatype=DataType.REGISTERS)]
        device = SimDevice(
            self._unit,
            (empty, empty, data[Register.HOLDING] or unused, data[Register.INPUT] or unused),
            action=self._refresh,
        )
        server = ModbusTcpServer(device, address=self._address)
        try:
            await server.serve_forever(background=True)
        except (RuntimeError, OSError) as error:
            host, port = self._address
            reason = f"{host}:{port} cannot be listened on: {error}"
            raise StartError("simulated meter", reason, "choose another port") from None
        self._server = server

    async def _stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.shutdown()

    async def _refresh(
        self, function: int, start: int, address: int, count: int, registers: list[int], to_write: Any
    ) -> ExcCodes | None:
        """Bring the registers up to date before they are read; nothing here can be written."""
        if to_write is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        self.requests += 1
        now = self._values()
        image = encode(self._layout, np.array([now[name] for name in self._names]))
        for number, block in enumerate(self._layout.blocks):
            if READ[block.register] == function:
                place = block.address - start           # `registers` is the whole table from `start` on
                registers[place:place + block.count] = [int(word) for word in self._layout.cut(image, number)]
        return None
