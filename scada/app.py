"""The composition root: the only file that knows every package. It wires, starts and stops; it decides nothing."""

import sys
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from hmi.service import HmiService
from hmi.services import Services
from scada import descriptors
from scada.addresses import authority
from scada.alarms.kinds import priority_of
from scada.alarms.service import AlarmService
from scada.balancing.leak_service import LeakService
from scada.balancing.loss_service import LossService
from scada.balancing.nightly import NightlyService
from scada.balancing.phases.gather import Sources
from scada.balancing.phases.service import PhaseStudyService, losses_of
from scada.balancing.phases.weekly import PhaseWeekService
from scada.balancing.recalibration_service import RecalibrationService
from scada.balancing.service import BalancingService
from scada.balancing.technical import of_groups
from scada.balancing.watching import WatchService
from scada.balancing.week import VoltageWeeks
from scada.bus import TagBus
from scada.clock import SiteClock
from scada.collector import Collector
from scada.compute import ProcessPool
from scada.dials.service import DialService
from scada.dr_dispatch.desk import CommandDesk
from scada.drivers.dmesh.event_cursors import FILE
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.service import DmeshService
from scada.drivers.dmesh.walkby.service import WalkbyService
from scada.drivers.modbus.service import ModbusService
from scada.errors import ConfigError, Problem
from scada.firmware.service import FirmwareService
from scada.historian.queries import Queries
from scada.historian.service import Historian
from scada.lock import DataDirLock
from scada.loop import MeasuredSelector
from scada.mesh.service import NetworkService
from scada.metering.service import MeteringService
from scada.opcua_server.service import OpcuaService
from scada.outages.service import OutageService
from scada.parts import Parts
from scada.ports import Health
from scada.reading.service import ReadingService
from scada.registry.names import device_clashes
from scada.registry.service import RegistryService
from scada.self_monitor import SelfMonitor
from scada.settings import Settings
from scada.supply.service import SupplyService
from scada.validation.service import ValidationService

BEHIND: Final = 10                      # niceness of processes that nobody waits for
SWITCH_INTERVAL_S: Final = 0.0002       # a worker thread gives the loop its turn back within a fifth of a millisecond
log = Logger()


class Server:
    """One site's server: every part, started in the order of their needs and stopped in the reverse."""

    def __init__(self, settings: Settings, clock: SiteClock, reactor: Any, selector: MeasuredSelector) -> None:
        self._settings, self._clock, self._reactor, self._selector = settings, clock, reactor, selector
        self._parts = Parts()
        self._collector = Collector(reactor)
        self._short = ""
        self._lock = DataDirLock(settings.data_dir)

    @property
    def stopping(self) -> str:
        """The part that is being stopped now, for whoever loses patience; "" while the server runs."""
        return self._parts.stopping

    def start(self) -> "Deferred[None]":
        """Fires when everything listens; fails with the `StartError` of the part that cannot start."""
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> "Deferred[None]":
        """Stop every part that was started, the last one first; never fails."""
        return Deferred.fromCoroutine(self._stop())

    def health(self) -> list[Health]:
        short = [Health("descriptors", False, self._short, {})] if self._short else []
        return [*self._parts.health(), *short]

    async def _start(self) -> None:
        settings, clock, reactor, data = self._settings, self._clock, self._reactor, self._settings.data_dir
        run = self._parts.run
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._lock.acquire()
        self._short = descriptors.shortage(descriptors.raise_limit(), descriptors.needed(settings))
        work, durable = self._parts.pool("analytics", 4), self._parts.pool("durable", 2)
        bus = TagBus(clock, reactor, on_failure=_report, on_refusal=_refused)

        registry = await run(RegistryService(settings.registry, data, clock, reactor))
        if registry.initial_password is not None:   # at once: it is stored nowhere, and a later part may fail to start
            print(f"first start: log in as admin with the one-time password {registry.initial_password}", flush=True)
        shared = device_clashes(registry.directory.site, (one.name for one in settings.modbus.devices))
        if problems := [Problem("modbus.devices", name, said) for name, said in shared]:
            raise ConfigError(problems)
        historian = await run(Historian(settings.historian, data, clock, reactor, bus, audit=registry.audit))
        keys = KeyStore.open(*key_files(settings))
        dmesh = DmeshService(
            settings.dmesh, clock, reactor, bus.of("D-Mesh"), historian.intervals, registry, keys,
            state_file=data / FILE, reader=historian.intervals, zone=ZoneInfo(settings.site.timezone),
            audit=registry.audit, monitor_only=settings.dispatch.monitor_only,
        )
        metering = await run(
            MeteringService(
                registry, historian.intervals, historian.intervals, bus.of("metering"), clock, reactor, work,
                historian.estimates,
            )
        )
        balancing = await run(
            BalancingService(
                registry, bus, bus.of("balancing"), metering, historian.intervals, historian.intervals, historian.live,
                historian.results, clock, reactor, work, settings.site.timezone,
                historian.directory, of_groups(registry, metering), historian.estimates,
            )
        )
        losses = await run(
            LossService(
                registry, bus, bus.of("losses"), metering, historian.intervals, historian.intervals, historian.results,
                clock, reactor, work, historian.directory, balancing.recompute,
            )
        )
        alarms = await run(
            AlarmService(bus, dmesh, registry, registry.audit, bus.of("alarms"), clock, reactor, data, durable)
        )
        historian.follow(dmesh, alarms, priority_of)
        await run(
            WatchService(
                settings.transformers, registry, bus, alarms, bus.of("watching"), clock, reactor, data, work, historian.live
            )
        )
        supplies = await run(
            SupplyService(
                settings.supply, registry, dmesh, registry.audit, alarms, historian.intervals, historian.intervals,
                bus.of("supply"), clock, reactor, data, durable, monitor_only=settings.dispatch.monitor_only,
            )
        )
        desk = await run(
            CommandDesk(
                settings.dispatch, registry, bus, dmesh, supplies, registry.audit, clock, reactor, data, durable,
                bus.of("dispatch"), historian.live,
            )
        )
        network = await run(
            NetworkService(settings.network, dmesh, registry, bus.of("network"), clock, reactor, data, work)
        )
        outages = await run(
            OutageService(bus, dmesh, dmesh, registry, alarms, bus.of("outages"), clock, reactor, data, durable, network)
        )
        await run(ValidationService(
            registry, metering, balancing, alarms, clock, reactor, work, settings.site.timezone
        ))
        cases = await run(
            NightlyService(
                registry, metering, balancing, historian.events, registry.audit, ProcessPool(nice=BEHIND), clock,
                reactor, work, settings.site.timezone, historian.directory,
            )
        )
        leaks = await run(
            LeakService(
                registry, metering, alarms, registry.audit, ProcessPool(nice=BEHIND), clock, reactor, work,
                settings.site.timezone, historian.directory,
            )
        )
        replacements = await run(
            RecalibrationService(registry, metering, cases, clock, reactor, work, settings.site.timezone)
        )
        dials = await run(
            DialService(
                settings.dials, registry, historian.intervals, historian.intervals, alarms, bus.of("dials"), clock, reactor,
                data, work,
            )
        )
        reading = await run(
            ReadingService(registry, dmesh, registry.audit, bus.of("reading"), clock, reactor, data, durable)
        )
        firmware = await run(
            FirmwareService(
                settings.firmware, registry, dmesh.updates, registry.audit, clock, reactor, data, durable,
                bus.of("firmware"), monitor_only=settings.dispatch.monitor_only,
            )
        )
        # The field comes in only now: whoever hears of it is already listening.
        await run(dmesh)
        meters = {one.meter: ("Transformer", one.name) for one in registry.directory.site.transformers if one.meter}
        await run(ModbusService(settings.modbus, clock, reactor, bus.of("Modbus"), folders=meters))
        waiting: list[Deferred[Any]] = []
        if settings.opcua.enabled:
            opcua = OpcuaService(
                settings.opcua, settings.site.name, data, clock, reactor,
                bus, registry, desk, registry.users, registry.audit, durable,
            )
            waiting.append(Deferred.fromCoroutine(run(opcua)))      # takes seconds: beside the rest
        walkby = WalkbyService(
            historian.intervals, historian.intervals, registry, registry.audit, clock, dmesh.durable
        )
        studies = await run(PhaseStudyService(
            registry, metering, Queries(historian.live, metering), balancing, losses, ProcessPool(nice=BEHIND),
            registry.audit, clock, reactor, work, ZoneInfo(settings.site.timezone), historian.directory,
        ))
        weeks = await run(PhaseWeekService(
            registry, Sources(metering.hourly, Queries(historian.live, metering).resample, balancing.table,
                              partial(losses_of, losses)),
            historian.results, bus.of("phases"), ProcessPool(nice=BEHIND), clock, reactor, work, settings.site.timezone,
        ))
        services = Services(
            bus=bus, registry=registry, users=registry.users, audit=registry.audit, metering=metering, balances=balancing,
            cases=cases, leaks=leaks, replacements=replacements, phases=studies, phase_orders=studies, phase_weeks=weeks,
            losses=losses, live=historian.live, voltages=VoltageWeeks(historian.live),
            history=Queries(historian.live, metering),
            alarms=alarms, events=historian.events, desk=desk, reading=reading, supplies=supplies, mesh=dmesh,
            collection=dmesh, concentrators=dmesh.concentrators,
            time=dmesh, clock_limits=settings.dmesh.time, walkby=walkby, group_keys=dmesh,
            network=network, outages=outages,
            firmware=firmware, dials=dials, health=self.health, clock=clock,
            site=settings.site, hmi=settings.hmi,
        )
        hmi = HmiService(settings.hmi, services, clock, reactor)
        registry.on_accounts(hmi.accounts_changed)
        waiting.append(Deferred.fromCoroutine(run(hmi)))
        await gatherResults(waiting, consumeErrors=True).addErrback(_first_error)
        print(announcement(settings, self._short), flush=True)
        self._collector.start()
        await run(SelfMonitor(bus, self.health, self._selector, clock, reactor))

    async def _stop(self) -> None:
        self._collector.stop()
        await self._parts.stop()
        self._lock.release()


def announcement(settings: Settings, short: str = "") -> str:
    """What a person at the terminal should know once everything listens."""
    lines = [f"{settings.site.title or settings.site.name}: started"]
    lines.append(f"  HMI      http://{authority(settings.hmi.host, settings.hmi.port)}")
    if settings.opcua.enabled:
        lines.append(f"  OPC UA   opc.tcp://{authority(settings.opcua.host, settings.opcua.port)}/")
    dmesh = settings.dmesh
    if dmesh.plain:
        lines.append(f"  DMLP     {dmesh.host} port {dmesh.port}")
    if dmesh.tls is not None:
        lines.append(f"  DMLP     {dmesh.host} port {dmesh.tls.port} (TLS)")
    lines += [f"  DMLP     {one.device} ({one.baud} baud)" for one in dmesh.serial]
    if settings.dispatch.monitor_only:
        lines.append("  MONITOR ONLY: no command leaves for the field (dispatch.monitor_only)")
    if short:
        lines.append(f"  WARNING: {short}")
    return "\n".join(lines)


def key_files(settings: Settings) -> tuple[Path, Path]:
    """Where the key store and its master key are."""
    dmesh = settings.dmesh
    return settings.path(dmesh.keys_file, "keys.store"), settings.path(dmesh.master_key_file, "master.key")


def _report(name: str, error: BaseException) -> None:
    log.error("listener {name} of the bus failed: {error!r}", name=name, error=error)


def _refused(sentence: str) -> None:
    log.warn("the bus refused something: {sentence}", sentence=sentence)


def _first_error(failure: Any) -> Any:
    """gatherResults wraps what went wrong; people want the thing itself."""
    return getattr(failure.value, "subFailure", failure)
