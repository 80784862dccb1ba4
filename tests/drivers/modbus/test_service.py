"""The driver against an independent Modbus server (pyModbusTCP) over real sockets."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest
from pyModbusTCP.server import DataBank, DataHandler, ModbusServer

from scada.clock import SiteClock
from scada.drivers.modbus.decode import encode, layout
from scada.drivers.modbus.service import ModbusService
from scada.drivers.modbus.template import load_template
from scada.errors import ConfigError
from scada.settings import ModbusDevice, ModbusSettings
from scada.tags import Quality
from tests.drivers.modbus.golden import rows
from tests.drivers.modbus.helpers import LoopTimers, Recorder
from tests.ports import free_port

TEMPLATE = load_template("eastron_sdm630")
GOLDEN = rows(TEMPLATE.name)                       # registers as literals: our own encoder would agree with our own decoder
TRUTH = {row.point: row.value for row in GOLDEN}


class Handler(DataHandler):                             # type: ignore[misc]
    """A meter that can be slow, refuse an address, or answer with too little."""

    def __init__(self) -> None:
        super().__init__(DataBank())
        self.delay = 0.0
        self.refuse: dict[int, int] = {}                # address -> exception code
        self.truncated: set[int] = set()                # addresses answered with less than the byte count says
        self.requests: list[tuple[int, int]] = []

    def read_i_regs(self, address: int, count: int, srv_info: Any) -> Any:
        self.requests.append((address, count))
        if self.delay:
            time.sleep(self.delay)                      # a thread of the peer, not ours
        if address in self.refuse:
            return DataHandler.Return(exp_code=self.refuse[address])
        answer = super().read_i_regs(address, count, srv_info)
        if address in self.truncated:
            answer.data = answer.data[:-2]
        return answer


class Meter:
    """An SDM630 played by pyModbusTCP."""

    def __init__(self) -> None:
        self.handler = Handler()
        for row in GOLDEN:
            self.handler.data_bank.set_input_registers(row.address, list(row.words))
        self.port = free_port()
        self._server: Any = None
        self.engine: Callable[[Any], None] | None = None    # answers instead of the handler

    def up(self) -> None:
        engine = {"ext_engine": self.engine} if self.engine else {"data_hdl": self.handler}
        self._server = ModbusServer("127.0.0.1", self.port, no_block=True, **engine)
        self._server.start()

    def down(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


@pytest.fixture
def meter() -> Iterator[Meter]:
    one = Meter()
    one.up()
    yield one
    one.handler.delay = 0.0
    one.down()


def settings(meter: Meter, **changes: Any) -> ModbusSettings:
    device = {"name": "T01-meter", "template": TEMPLATE.name, "host": "127.0.0.1", "port": meter.port}
    return ModbusSettings(devices=(ModbusDevice(**device | {"poll_seconds": 0.1, "timeout_seconds": 0.3} | changes),))


def drive(config: ModbusSettings, story: Callable[[Recorder, ModbusService], Coroutine[Any, Any, None]]) -> None:
    """Start the driver, live through a story, stop it; nothing may be left running."""

    async def main() -> None:
        sink = Recorder()
        service = ModbusService(config, SiteClock(), LoopTimers(), sink)
        await service.start().asFuture(asyncio.get_running_loop())
        try:
            await story(sink, service)
        finally:
            await service.stop().asFuture(asyncio.get_running_loop())
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert left == set()

    asyncio.run(main())


def test_values_are_read_equal_in_two_requests_a_poll(meter: Meter) -> None:
    """Every number the independent server holds arrives with its unit's value and GOOD."""
    async def story(sink: Recorder, service: ModbusService) -> None:
        await sink.until(lambda: len(sink.batches) >= 3)
        for point, truth in TRUTH.items():
            assert sink.value(point) == (truth, Quality.GOOD)
        assert set(meter.handler.requests) == {(0, 76), (200, 26)}
        health = next(iter(service.health()))
        assert health.ok
        assert health.text == "1 of 1 Modbus devices answer"
        assert health.figures["polls"] >= 3

    drive(settings(meter), story)


def test_ct_and_vt_ratio_are_applied_once(meter: Meter) -> None:
    """Behind 400/5 A and 10/0.1 kV the primary values stand on the bus."""
    async def story(sink: Recorder, service: ModbusService) -> None:
        await sink.until(lambda: bool(sink.batches))
        assert sink.value("voltage_l1_n")[0] == 231.5 * 100
        assert sink.value("current_l1")[0] == 12.5 * 80
        assert sink.value("power_active_l2")[0] == -512.0 * 8000
        assert sink.value("energy_import")[0] == 123456.5 * 8000
        assert sink.value("power_factor_l1")[0] == 0.875
        assert sink.value("frequency")[0] == 50.0625
        tag = next(tag for tag in sink.devices["T01-meter"].tags if tag.point == "current_l1")
        assert tag.high == 150 * 80

    drive(settings(meter, ct_ratio=80.0, vt_ratio=100.0), story)


def test_a_refused_connection_is_tried_again_until_it_is_there(meter: Meter) -> None:
    """The driver starts before the meter does."""
    meter.down()

    async def story(sink: Recorder, service: ModbusService) -> None:
        await sink.until(lambda: sink.lost == ["T01-meter"])
        assert not next(iter(service.health())).ok
        await asyncio.to_thread(meter.up)
        await sink.until(lambda: bool(sink.batches))
        assert sink.value("voltage_l1_n") == (231.5, Quality.GOOD)

    drive(settings(meter), story)


def test_a_meter_that_goes_away_is_lost_and_comes_back(meter: Meter) -> None:
    """Not connected while it is gone, good again when it returns, without help."""
    async def story(sink: Recorder, service: ModbusService) -> None:
        await sink.until(lambda: len(sink.batches) >= 2)
        await asyncio.to_thread(meter.down)
        await sink.until(lambda: sink.lost == ["T01-meter"])
        before = len(sink.batches)
        await asyncio.to_thread(meter.up)
        await sink.until(lambda: len(sink.batches) > before)
        assert sink.value("frequency") == (50.0625, Quality.GOOD)

    drive(settings(meter), story)


def test_a_silent_meter_is_lost_and_its_late_replies_are_never_used(meter: Meter) -> None:
    """A server that answers after the time-out changes its values meanwhile: only fresh ones may appear."""
    async def story(sink: Recorder, service: ModbusService) -> None:
        await sink.until(lambda: len(sink.batches) >= 2)
        meter.handler.delay = 0.5
        await sink.until(lambda: sink.lost == ["T01-meter"])
        before = len(sink.batches)
        device = layout(TEMPLATE)
        image = encode(device, np.array([TRUTH[point.name] / 2 for point in TEMPLATE.points]))
        meter.handler.data_bank.set_input_registers(0, device.cut(image, 0).tolist())
        meter.handler.delay = 0.0
        await sink.until(lambda: len(sink.batches) > before)
        assert sink.value("voltage_l1_n")[0] == 231.5 / 2

    drive(settings(meter), story)


def test_a_slow_meter_is_read_as_fast_as_it_can(meter: Meter) -> None:
    """0.15 s an answer with a period of 0.1 s: good values, polls left out and counted, no queue."""
    meter.handler.delay = 0.15

    async def story(sink: Recorder, service: ModbusService) -> None:
        await sink.until(lambda: len(sink.batches) >= 4)
        assert sink.value("voltage_l1_n") == (231.5, Quality.GOOD)
        assert next(iter(service.health())).figures["missed"] >= 3
        assert len(meter.handler.requests) <= 2 * (len(sink.batches) + 1)

    drive(settings(meter, timeout_seconds=2.0), story)


@pytest.mark.parametrize(
    ("code", "quality"), [(2, Quality.BAD_CONFIG), (4, Quality.BAD_SENSOR), (11, Quality.BAD_NOT_CONNECTED)]
)
def test_an_exception_code_spoils_the_points_of_its_block(meter: Meter, code: int, quality: Quality) -> None:
    """The code says whose fault it is; the other block stays good."""
    meter.handler.refuse[200] = code

    async def story(sink: Recorder, service: ModbusService) -> None:
        await sink.until(lambda: len(sink.batches) >= 2)
        value, got = sink.value("current_neutral")
        assert np.isnan(value)
        assert got == quality
        assert sink.value("voltage_l1_n") == (231.5, Quality.GOOD)
        assert f"exception {code} at 0x00c8" in next(iter(service.health())).text

    drive(settings(meter), story)


def too_short(session: Any) -> None:
    """A well-formed answer with two registers less than were asked for, for the long block only."""
    function, _, count = struct.unpack(">BHH", session.request.pdu.raw)
    given = count - 2 if count > 26 else count
    session.response.pdu.raw = struct.pack(f">BB{given}H", function, 2 * given, *[0] * given)


def test_an_answer_of_the_wrong_length_is_no_answer(meter: Meter) -> None:
    """pymodbus hands over whatever came; the driver counts registers before it believes them."""
    meter.down()
    meter.engine = too_short
    meter.up()

    async def story(sink: Recorder, service: ModbusService) -> None:
        await sink.until(lambda: len(sink.batches) >= 2)
        assert sink.value("voltage_l1_n")[1] == Quality.BAD_NOT_CONNECTED
        assert np.isnan(sink.value("voltage_l1_n")[0])
        assert sink.value("current_neutral") == (0.0, Quality.GOOD)
        assert "74 registers at 0x0000 where 76 were asked for" in next(iter(service.health())).text

    drive(settings(meter), story)


def test_a_frame_that_cannot_be_decoded_fails_its_request_at_once(
    meter: Meter, caplog: pytest.LogCaptureFixture
) -> None:
    """pymodbus raises out of the loop there: no traceback, no waiting, the other block stays good."""
    meter.handler.truncated.add(0)

    async def story(sink: Recorder, service: ModbusService) -> None:
        await sink.until(lambda: len(sink.batches) >= 3)
        assert sink.value("voltage_l1_n")[1] == Quality.BAD_NOT_CONNECTED
        assert sink.value("current_neutral") == (8.25, Quality.GOOD)
        assert "no Modbus frame" in next(iter(service.health())).text

    drive(settings(meter, timeout_seconds=600.0), story)            # nobody would live to see a time-out
    assert caplog.records == []


def test_one_dead_device_does_not_slow_the_others(meter: Meter) -> None:
    """Every device has its own connection and its own loop."""
    with socket.create_server(("127.0.0.1", 0)) as mute:            # accepts in the kernel, never answers
        devices = (
            ModbusDevice(name="dead", template=TEMPLATE.name, host="127.0.0.1", port=mute.getsockname()[1],
                         poll_seconds=0.1, timeout_seconds=0.3),
            *settings(meter).devices,
        )

        async def story(sink: Recorder, service: ModbusService) -> None:
            await sink.until(lambda: "dead" in sink.lost)
            assert len(sink.batches) >= 5
            assert {batch.device for batch in sink.batches} == {"T01-meter"}
            health = next(iter(service.health()))
            assert "1 of 2" in health.text
            assert "dead: no answer within 0.3 s" in health.text

        drive(ModbusSettings(devices=devices), story)


def test_a_wrong_template_stops_the_start_with_every_problem() -> None:
    """A configuration error is told before the first poll, all of it."""
    devices = tuple(
        ModbusDevice(name=name, template=name, host="127.0.0.1") for name in ("no_such_meter", "nor_this_one")
    )

    async def main() -> None:
        service = ModbusService(ModbusSettings(devices=devices), SiteClock(), LoopTimers(), Recorder())
        with pytest.raises(ConfigError) as error:
            await service.start().asFuture(asyncio.get_running_loop())
        assert len(error.value.problems) == 2
        await service.stop().asFuture(asyncio.get_running_loop())

    asyncio.run(main())
