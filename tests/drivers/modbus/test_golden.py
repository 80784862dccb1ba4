"""The SDM630 as its maker describes it, and a peer by other people on either side of the wire."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest

from scada.clock import SiteClock
from scada.drivers.modbus.decode import decode, layout
from scada.drivers.modbus.service import ModbusService
from scada.drivers.modbus.simulator import SimulatedMeter
from scada.drivers.modbus.template import DataType, Register, WordOrder, load_template
from scada.settings import ModbusDevice, ModbusSettings
from scada.tags import Quality
from tests.drivers.modbus import libmodbus
from tests.drivers.modbus.golden import rows
from tests.drivers.modbus.helpers import LoopTimers, Recorder

NAME = "eastron_sdm630"
TEMPLATE = load_template(NAME)
GOLDEN = rows(NAME)


def test_the_template_is_the_makers_table() -> None:
    """Every point, no more and no fewer: its address, unit, type, word order and what its ratio is."""
    said = {point.name: (point.address, point.unit, point.scales_with.value) for point in TEMPLATE.points}

    assert said == {row.point: (row.address, row.unit, row.ratio) for row in GOLDEN}
    assert {(one.register, one.type, one.word_order, one.scale) for one in TEMPLATE.points} == {
        (Register.INPUT, DataType.FLOAT32, WordOrder.BIG, 1.0)
    }


def test_an_address_is_the_manuals_number_less_30001() -> None:
    """The table itself: input registers are numbered from 30001 and counted from 0 on the wire."""
    assert len(GOLDEN) == 26
    assert [row.register - 30001 for row in GOLDEN] == [row.address for row in GOLDEN]


def test_the_golden_registers_decode_to_the_golden_values() -> None:
    """Laid into an image by address, not by our own encoder."""
    device = layout(TEMPLATE)
    memory = np.zeros(0x200, dtype=np.uint16)
    for row in GOLDEN:
        memory[row.address:row.address + 2] = row.words
    image = np.concatenate([memory[block.address:block.address + block.count] for block in device.blocks])
    values, quality = decode(device, image, np.zeros(len(device.blocks), dtype=np.uint8))

    assert dict(zip((point.name for point in TEMPLATE.points), values.tolist(), strict=True)) == {
        row.point: row.value for row in GOLDEN
    }
    assert set(quality.tolist()) == {Quality.GOOD}


@pytest.fixture
def meter() -> Iterator[libmodbus.Meter]:
    one = libmodbus.Meter({row.address: row.words for row in GOLDEN})
    yield one
    one.stop()


def test_the_driver_reads_a_meter_played_by_libmodbus(meter: libmodbus.Meter) -> None:
    """Every value arrives, GOOD and equal, in two requests a poll."""
    device = ModbusDevice(name="T01-meter", template=NAME, host="127.0.0.1", port=meter.port, poll_seconds=0.1)

    async def story() -> None:
        sink = Recorder()
        service = ModbusService(ModbusSettings(devices=(device,)), SiteClock(), LoopTimers(), sink)
        await _live(service, lambda: sink.until(lambda: len(sink.batches) >= 2))

        assert {row.point: sink.value(row.point) for row in GOLDEN} == {
            row.point: (row.value, Quality.GOOD) for row in GOLDEN
        }
        assert meter.requests >= 4

    asyncio.run(story())


def test_libmodbus_reads_our_simulated_meter() -> None:
    """The simulated field speaks to other people's readers too."""
    async def story() -> list[tuple[int, int]]:
        truth = {row.point: row.value for row in GOLDEN}
        simulated = SimulatedMeter(TEMPLATE, lambda: truth, "127.0.0.1", 0)
        found: list[tuple[int, int]] = []

        async def read() -> None:
            found.extend(await asyncio.to_thread(libmodbus.read_pairs, simulated.port, [row.address for row in GOLDEN]))

        await _live(simulated, read)
        return found

    assert asyncio.run(story()) == [row.words for row in GOLDEN]


async def _live(service: Any, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = asyncio.get_running_loop()
    await service.start().asFuture(loop)
    try:
        await story()
    finally:
        await service.stop().asFuture(loop)
