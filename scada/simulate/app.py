"""Composition root of the simulated field: one process, one reactor, one site clock, real sockets."""

import asyncio
import secrets
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import click
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import LogEvent, LogLevel, formatEventAsClassicLogText, globalLogBeginner

from scada.clock import HOUR_S, NS, SiteClock, TimeMap
from scada.drivers.dmesh.frame import SERIAL_MAX_FRAME
from scada.errors import ConfigError, Problem, StorageError
from scada.firmware.trust import key_file_of
from scada.registry import exchange
from scada.simulate.field import Field, MeterValues
from scada.simulate.keys import keep, link_keys, module_rings
from scada.simulate.memory import FieldMemory
from scada.simulate.options import Options
from scada.simulate.profiles import MeasuredDay, load_profiles
from scada.simulate.scenario import read as read_scenario
from scada.simulate.site import site_of
from scada.simulate.truth import TruthWriter
from scada.simulate.wire_log import WireLog
from scada.simulate.world import World
from scada.timers import cancel

TICK_S: Final = 0.1                         # real time; at 600 x that is a site minute
TEMPLATE: Final = "eastron_sdm630"


def run_simulation(options: Options) -> None:
    """Run until SIGINT or SIGTERM, or write the site file and return; raises `ScadaError`."""
    day = load_profiles(options.profiles, options.loads) if options.profiles and options.loads else None
    if options.site_file is not None:
        exchange.write(site_of(options.district(day.customers if day else ())), options.site_file)
        return
    clock = SiteClock(site_map(options, time.time_ns()))

    reactor = _install_reactor()
    globalLogBeginner.beginLoggingTo([_observer(options.verbose)], redirectStandardIO=False, discardBuffer=True)
    ending: list[BaseException | None] = []

    def end(error: BaseException | None) -> None:
        if not ending:
            reactor.stop()
        ending.append(error)

    simulation = Simulation(options, clock, reactor, day, on_failure=end)
    reactor.callWhenRunning(lambda: simulation.start().addErrback(lambda failure: end(failure.value)))
    reactor.addSystemEventTrigger("before", "shutdown", simulation.stop)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: reactor.callFromThread(end, None))
    reactor.run(installSignalHandlers=False)
    if ending and ending[0] is not None:
        raise ending[0]


def _observer(verbose: bool) -> Any:
    """Errors always, changes of state when asked for: one line each on standard error."""
    lowest = LogLevel.info if verbose else LogLevel.error

    def write(event: LogEvent) -> None:
        ours = str(event.get("log_namespace", "")).startswith("concentrator")
        if event["log_level"] >= lowest and (ours or event["log_level"] >= LogLevel.error):
            sys.stderr.write(formatEventAsClassicLogText(event) or "")

    return write


def _install_reactor() -> Any:
    """Twisted on an asyncio loop of its own, so that pymodbus lives on the same one."""
    from twisted.internet import asyncioreactor

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)
    from twisted.internet import reactor

    return reactor


def site_map(options: Options, now: int) -> TimeMap:
    """The shared clock if there is one, else one made from `--start` and `--speed`, and written where it was asked for."""
    path = options.clock_file
    try:
        if path is not None and path.exists():
            return TimeMap.load(path)
        made = TimeMap(real0=now, site0=options.start_s * NS, rate=options.speed)
        if path is not None:
            made.save(path)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError([Problem(str(path), "", f"cannot be used as a site clock: {error}")]) from None
    return made


class Simulation:
    """The district's processes: two concentrators that dial, a meter that listens, and the beat that moves the world."""

    def __init__(
        self, options: Options, clock: SiteClock, reactor: Any, day: MeasuredDay | None = None,
        *, on_failure: Callable[[BaseException], None],
    ) -> None:
        from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint

        from scada.drivers.dmesh.serial_port import PortKeeper
        from scada.drivers.dmesh.simulator.client import CalledConcentrator, ConcentratorClient
        from scada.drivers.dmesh.simulator.serial import SerialConcentrators
        from scada.drivers.dmesh.tls import Files, TlsEndpoint, context
        from scada.drivers.dmesh.turns import Port
        from scada.drivers.modbus.simulator import SimulatedMeter
        from scada.drivers.modbus.template import load_template
        from scada.simulate.panel import Panel
        from scada.simulate.pty_port import PtyPort
        from scada.simulate.stage import Stage

        self._options, self._clock, self._reactor, self._on_failure = options, clock, reactor, on_failure
        district = options.district(day.customers if day else ())
        scenario = options.scenario_file and read_scenario(
            options.scenario_file,
            {one.name: frozenset(module.index for module in one.modules) for one in district.concentrators},
        )
        links = [one.link_id for one in district.concentrators]
        keys = link_keys(options.keys_file, links)
        self._truth = TruthWriter(options.truth_file)
        world = World(district, clock.now() // (NS * HOUR_S) - options.history_hours, day)
        self._memory = FieldMemory(options.memory_file, world.identity)
        before = self._memory.load(clock.now())
        if before is not None:
            world.recall(before["world"])
            world.sleep(clock.now())
        self._truth.start(world.at // NS, options.seed)
        self.field = Field(
            world, keys, {link: secrets.randbits(32) or 1 for link in links}, self._truth,
            boot_id=secrets.randbits(32), max_frame=SERIAL_MAX_FRAME if options.on_a_line else 4096,
        )
        if before is not None:
            self.field.recall(before)
        modules, makers = module_rings(options.keys_file), tuple(map(key_file_of, options.firmware_keys))
        for one in self.field.concentrators:
            one.firmware.makers = makers
            one.keys.keep = partial(keep, options.keys_file)
            one.keys.modules.update({eui: ring for eui, ring in modules.items() if one.index_of(eui) is not None})

        def now() -> float:
            return clock.now() / NS

        server: Any = HostnameEndpoint(reactor, options.host, options.port)
        if options.tls is not None:
            made = context(Files(*options.tls), server=False)
            server = TlsEndpoint(server, made, lambda peer, why: click.echo(f"TLS with {peer} failed: {why}", err=True))
        states, first = self.field.concentrators, options.listen_port
        self._port: PortKeeper | PtyPort | None = None
        if options.pty is not None:
            self._port = PtyPort(reactor, options.pty, lambda: SerialConcentrators(reactor, states, now))
        elif options.serial is not None:
            port = Port(options.serial, options.baud, "N")
            self._port = PortKeeper(reactor, port, lambda: SerialConcentrators(reactor, states, now))
        self.clients: tuple[ConcentratorClient | CalledConcentrator, ...] = () if options.on_a_line else tuple(
            ConcentratorClient(state, reactor, server, now)
            if first is None
            else CalledConcentrator(state, reactor, TCP4ServerEndpoint(reactor, first + number, interface="127.0.0.1"), now)
            for number, state in enumerate(states)
        )
        names = [one.name for one in district.concentrators]
        dialling = [client for client in self.clients if isinstance(client, ConcentratorClient)]
        if not dialling and (scenario or options.panel_file or options.record_file):
            expected = "faults, scenarios and recordings need concentrators that dial in"
            raise ConfigError([Problem("scada simulate", "", expected)])
        players = dict(zip(names, dialling, strict=bool(dialling)))
        self.stage = Stage(
            players, lambda: self.field.world.at / NS, clock.now() / NS, options.seed, scenario or None, self._happened
        )
        self._values = MeterValues(self.field)
        self.meter = SimulatedMeter(
            load_template(TEMPLATE), self._read_meter, options.modbus_host, options.modbus_port, ct_ratio=options.ct_ratio
        )
        self._panel = Panel(self.stage, reactor, options.panel_file, options.panel_port) if options.panel_file else None
        self._wire = WireLog(options.record_file, reactor.seconds) if options.record_file else None
        if self._wire is not None:
            for client in dialling:
                client.line.taps.append(self._wire.tap(client.state.link_id))
        self._beat: Any = None

    @property
    def _manner(self) -> str:
        if self._port is not None:
            return "on a serial line" if self._options.pty is None else f"on the serial line {self._options.pty}"
        return "calling" if self._options.listen_port is None else f"waiting on port {self._options.listen_port} and after"

    def start(self) -> "Deferred[None]":
        """Listen, dial, and let time run; fails with `StartError`."""
        return self.meter.start().addCallback(self._listening)

    def stop(self) -> "Deferred[None]":
        """Hang up, close the meter, complete the truth file."""
        return Deferred.fromCoroutine(self._stop())

    def _listening(self, _: object) -> "Deferred[Any]":
        self.field.run_until(self._clock.now())         # the history, before anybody is told
        self.field.remember = lambda: self._memory.save(self.field.memory())
        self.field.remember()
        click.echo(f"simulated field: Modbus TCP meter on port {self.meter.port}, "
                   f"{len(self.field.concentrators)} concentrators {self._manner}, site time x {self._clock.rate:g}")
        if self._panel is not None:
            self._panel.start()
            click.echo(f"fault panel: http://127.0.0.1:{self._panel.port}")
        self._tick()
        if self._port is not None:
            self._port.start()
        return gatherResults([maybeDeferred(client.start) for client in self.clients], consumeErrors=True)

    async def _stop(self) -> None:
        cancel(self._beat)
        if self._panel is not None:
            await self._panel.stop()
        for client in self.clients:
            await client.stop()
        if self._port is not None:
            self._port.stop()
        await self.meter.stop()
        if self._wire is not None:
            self._wire.close()
        self.field.remember()
        self._truth.close()

    def _tick(self) -> None:
        self._beat = self._reactor.callLater(TICK_S, self._tick)
        try:
            self._run()
        except StorageError as error:
            self._on_failure(error)
        if self._truth.broken is not None:              # noticed in a connection or by the meter
            self._on_failure(self._truth.broken)
        if self._memory.broken is not None:
            self._on_failure(self._memory.broken)

    def _run(self) -> None:
        """Bring the field up to now; a fault begins and ends at its own instant, however seldom we come by."""
        now = self._clock.now()
        while (due := self.stage.next_due()) is not None and round(due * NS) <= now:
            self.field.run_until(round(due * NS))
            self.stage.run(due)
        self.field.run_until(now)

    def _happened(self, said: str) -> None:
        click.echo(said)
        self._truth.fault(said, self.field.world.at // NS)

    def _read_meter(self) -> dict[str, float]:
        """What the meter shows at the instant it is asked."""
        self._run()
        return self._values.now()
