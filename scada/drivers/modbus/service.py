"""The Modbus driver: every configured device polled on its own, each on its own connection."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import attrs
from twisted.internet.defer import Deferred, DeferredList, fail, succeed

from scada.clock import SiteClock
from scada.drivers.backoff import Backoff
from scada.drivers.modbus.poller import FOLDER, Counters, Poller, Timers
from scada.drivers.modbus.template import Template, load_template
from scada.drivers.modbus.transport import Link, ModbusTcpLink
from scada.errors import ConfigError, Problem
from scada.ports import Health, TagSink
from scada.settings import ModbusDevice, ModbusSettings

LONGEST_BACKOFF_S: Final = 10.0         # a device that was off is back on the pages within that


def templates(settings: ModbusSettings) -> dict[str, Template]:
    """Every template the configuration names; raises `ConfigError` with the problems of all of them."""
    found: dict[str, Template] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(device.template for device in settings.devices):
        try:
            found[name] = load_template(name, settings.template_dirs)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return found


def tcp_link(device: ModbusDevice) -> Link:
    return ModbusTcpLink(device.host, device.port, device.unit, device.timeout_seconds)


class ModbusService:
    """Polls the configured devices and publishes what they say; runs on Twisted's asyncioreactor."""

    def __init__(
        self,
        settings: ModbusSettings,
        clock: SiteClock,
        reactor: Timers,
        sink: TagSink,
        *,
        link: Callable[[ModbusDevice], Link] = tcp_link,
        folders: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """`folders`: where people look for a device, by its name; the others stand in the folder Modbus."""
        self._settings, self._clock, self._reactor, self._sink, self._link = settings, clock, reactor, sink, link
        self._folders = folders or {}
        self._pollers: tuple[Poller, ...] = ()

    def start(self) -> "Deferred[None]":
        """Fails with `ConfigError` naming everything wrong in the templates; a device that is off is no error."""
        try:
            known = templates(self._settings)
        except ConfigError as error:
            return fail(error)
        self._pollers = tuple(
            Poller(
                device,
                known[device.template],
                self._link(device),
                clock=self._clock,
                reactor=self._reactor,
                sink=self._sink,
                backoff=Backoff(device.poll_seconds, LONGEST_BACKOFF_S),
                path=self._folders.get(device.name, (FOLDER,)),
            )
            for device in self._settings.devices
        )
        for poller in self._pollers:
            poller.start()
        return succeed(None)

    def stop(self) -> "Deferred[None]":
        pollers, self._pollers = self._pollers, ()
        return DeferredList([poller.stop() for poller in pollers]).addCallback(lambda _: None)

    def health(self) -> Iterable[Health]:
        silent = [poller for poller in self._pollers if not poller.answering]
        total = Counters()
        for poller in self._pollers:
            for field in attrs.fields(Counters):
                setattr(total, field.name, getattr(total, field.name) + getattr(poller.counters, field.name))
        figures = {
            "devices": float(len(self._pollers)),
            "answering": float(len(self._pollers) - len(silent)),
            **{name: float(value) for name, value in attrs.asdict(total).items()},
        }
        text = f"{len(self._pollers) - len(silent)} of {len(self._pollers)} Modbus devices answer"
        for poller in self._pollers:
            if poller.reason:
                text += f"; {poller.settings.name}: {poller.reason}"
        yield Health("modbus", ok=not silent, text=text, figures=figures)
