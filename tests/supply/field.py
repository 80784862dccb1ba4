"""The driver, the supplies and a simulated concentrator over TCP; prints what came of four supplies as JSON."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install(asyncio.new_event_loop())

from twisted.internet import reactor  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.endpoints import TCP4ClientEndpoint  # noqa: E402
from twisted.internet.task import LoopingCall, deferLater  # noqa: E402

from scada.bus import TagBus  # noqa: E402
from scada.clock import SiteClock, TimeMap  # noqa: E402
from scada.commands import Action, Actor, LoadClass, Role, ShedRequest  # noqa: E402
from scada.dr_dispatch.desk import CommandDesk  # noqa: E402
from scada.drivers.dmesh.keystore import KeyStore  # noqa: E402
from scada.drivers.dmesh.numbers import Holder, KeyTarget  # noqa: E402
from scada.drivers.dmesh.service import DmeshService  # noqa: E402
from scada.drivers.dmesh.simulator.actuator import Actuator  # noqa: E402
from scada.drivers.dmesh.simulator.client import ConcentratorClient  # noqa: E402
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule  # noqa: E402
from scada.drivers.dmesh.simulator.supply import SupplyActuator  # noqa: E402
from scada.errors import CommandRejected  # noqa: E402
from scada.settings import DispatchSettings, DmeshSettings, SupplySettings  # noqa: E402
from scada.site import (  # noqa: E402
    Concentrator,
    Load,
    LoadGroup,
    Medium,
    Module,
    ModuleState,
    Point,
    Site,
    Supply,
    SupplyKind,
)
from scada.supplies import HoldReason, SupplyRequest, SwitchAction  # noqa: E402
from scada.supply.service import SupplyService  # noqa: E402
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, RegistryBook, Store  # noqa: E402
from tests.supply.fakes import FakeAlarms, FakeAudit, FakeMeters  # noqa: E402

EVA = Actor("eva", Role.ENGINEER)
ANA, ION = (Actor(name, Role.DISPATCHER) for name in ("ana", "ion"))
KINDS = (SupplyKind.CONTACTOR, SupplyKind.VALVE, SupplyKind.CONTACTOR, SupplyKind.CONTACTOR)
RATE = 120.0


async def run(port: int, folder: Path) -> dict[str, Any]:
    now = time.time_ns()
    clock, registry, audit = SiteClock(TimeMap(now, now, RATE)), RegistryBook(), FakeAudit()
    bus, keys = TagBus(clock, reactor), KeyStore.open(folder / "keys.store", folder / "master.key")
    keys.add_link(LINK_ID, LINK_KEY)
    actuators = (SupplyActuator(), SupplyActuator(manual=True), SupplyActuator(never=True), SupplyActuator())
    load = Actuator(LoadClass.GREEN)
    switches = tuple(SimModule(index, 0xD100_0000 + index, 1, supply=one) for index, one in enumerate(actuators, 1))
    modules = (*switches, SimModule(5, 0xD100_0005, 1, actuator=load))
    registry.replace(Site(
        concentrators=(Concentrator("C01", LINK_ID, area="centre"),),
        modules=tuple(Module(one.eui, f"C01-{one.index:03d}", "C01", one.index, ModuleState.ACTIVE) for one in modules),
        points=tuple(
            Point(f"P{n}", Medium.WATER if kind is SupplyKind.VALVE else Medium.ELECTRICITY)
            for n, kind in enumerate(KINDS, 1)
        ),
        supplies=tuple(Supply(f"P{one.index}", one.eui, kind) for one, kind in zip(switches, KINDS, strict=True)),
        loads=(Load(modules[4].eui, LoadClass.GREEN, "boiler"),),
        load_groups=(LoadGroup("LG", 1, LoadClass.GREEN, area="centre", max_off_s=14_400, members=(modules[4].eui,)),),
    ))
    switched: list[tuple[int, bool]] = []
    state = ConcentratorState(
        LINK_ID, LINK_KEY, modules, started=clock.now() / 1e9, archive_id=7, boot_id=1, out_of_reach=0.0,
        outputs=Outputs(on_whole_supply=lambda eui, on, at: switched.append((eui & 0xFF, on))),
    )
    dmesh = DmeshService(DmeshSettings(host="127.0.0.1", port=port), clock, reactor, bus, Store(), registry, keys)
    meters, alarms = FakeMeters(), FakeAlarms()
    supplies = SupplyService(
        SupplySettings(), registry, dmesh, audit, alarms, meters, meters, bus, clock, reactor,      # type: ignore[arg-type]
        folder, reactor.getThreadPool(), monitor_only=False,                                        # type: ignore[attr-defined]
    )
    await supplies.start()
    await dmesh.start()
    settings = DispatchSettings(monitor_only=False, without_transformer=True)
    desk = CommandDesk(
        settings, registry, bus, dmesh, supplies, audit, clock, reactor, folder, reactor.getThreadPool(),    # type: ignore[arg-type,attr-defined]
        bus.of("dispatch"),
    )
    await desk.start()
    client = ConcentratorClient(state, reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", port), lambda: clock.now() / 1e9)
    client.start()
    beat = LoopingCall(lambda: state.control.run(clock.now() / 1e9))
    beat.start(0.02)

    async def until(true: Any, what: str) -> None:
        for _ in range(600):
            if true():
                return
            await deferLater(reactor, 0.05)
        raise AssertionError(f"{what}: {supplies.supplies()}")

    async def switch(point: str, reason: HoldReason | None = None) -> Any:
        action = SwitchAction.DISCONNECT if reason else SwitchAction.RECONNECT
        asked = await supplies.request(ANA, SupplyRequest(point, action, reason))
        await supplies.confirm(ION, point, asked.switch.id)
        return asked.switch.id

    def over(point: str) -> Any:
        return lambda: supplies.supply(point).switch.over               # type: ignore[union-attr]

    async def free(point: str) -> None:
        for holding in supplies.supply(point).holders:                  # type: ignore[union-attr]
            await supplies.release(ANA, point, holding.id, note="looked")

    await until(lambda: dmesh.link_up(LINK_ID), "the link")
    beat.stop()                                             # its module does nothing before the connection is lost
    first = await switch("P1", HoldReason.DEBT)
    await until(lambda: supplies.supply("P1").switch.state.value in ("accepted", "received"), "taken")  # type: ignore[union-attr]
    client._protocol._stream.abortConnection()              # the answer of the module comes over another session
    beat.start(0.02)
    await until(over("P1"), "P1 off")
    off = supplies.supply("P1")
    await switch("P3", HoldReason.DEBT)
    await until(over("P3"), "P3 refused")
    never = supplies.supply("P3").switch.reason                         # type: ignore[union-attr]
    await switch("P3", HoldReason.DANGER)
    await until(over("P3"), "P3 off")
    actuators[0].holders.add(Holder.LOCKOUT)                # a crew has locked it at the module itself
    await free("P1")
    await switch("P1")
    await until(over("P1"), "P1 reconnected")
    locked = supplies.supply("P1")
    await switch("P2", HoldReason.LEAK)
    await until(over("P2"), "valve closed")
    await free("P2")
    await switch("P2")
    await until(over("P2"), "valve let go")
    let_go = supplies.supply("P2")
    await until(lambda: supplies.supply("P2").state.value == "on", "opened by a hand")      # type: ignore[union-attr]
    actuators[3].clock_valid = False
    await switch("P4", HoldReason.DEBT)
    await until(over("P4"), "P4 refused")
    managed = await manage(dmesh, state, client, until)
    local = await in_local(desk, supplies, load, until)
    beat.stop()
    await client.stop()
    await desk.stop()
    await supplies.stop()
    await dmesh.stop()
    return {
        "first": [first == off.switch.id, off.state, off.switch.state, off.switch.accepted > 0],    # type: ignore[union-attr]
        "never": never, "danger": supplies.supply("P3").state,          # type: ignore[union-attr]
        "locked": [locked.state, locked.switch.reason],                 # type: ignore[union-attr]
        "valve": [let_go.state, let_go.by_hand, supplies.supply("P2").by_hand],     # type: ignore[union-attr]
        "clock": supplies.supply("P4").switch.reason, "switched": switched,         # type: ignore[union-attr]
        "keys": [keys.ring((KeyTarget.MODULE, one.eui)) is not None for one in switches],
        "local": local, "managed": managed, "holders": [sorted(holder.name for holder in one.holders) for one in actuators],
    }


async def manage(
    dmesh: DmeshService, state: ConcentratorState, client: ConcentratorClient, until: Any
) -> list[Any]:
    """Discovery on demand only, then a newcomer with and without it; a reboot, after which it is there again."""
    asked = dmesh.concentrators
    before = await asked.parameters("C01")
    after = await asked.set_parameters(EVA, "C01", before.version, {"discover_always": 0})
    info = await asked.info("C01")
    newcomer = SimModule(9, 0xD100_0009, 1)
    state.admit(newcomer, client.now())
    kept_out = newcomer in state.modules
    await asked.discover(EVA, "C01", 600)
    await until(lambda: newcomer in state.modules, "joined")
    sessions, boot = client.sessions, dmesh.boot(LINK_ID)
    await asked.reboot(EVA, "C01")
    await until(lambda: client.sessions > sessions and dmesh.link_up(LINK_ID), "back")
    again = await asked.parameters("C01")
    return [
        after.version - before.version, info.configuration == after.version, kept_out, dmesh.boot(LINK_ID) != boot,
        again.values["discover_always"], state.configuration.discovers,
    ]


async def in_local(desk: CommandDesk, supplies: SupplyService, load: Actuator, until: Any) -> list[Any]:
    """A shed before people come; a limit that was reviewed, and a restore, while they have the say; a limit afterwards."""
    shed = await desk.execute(ANA, (await desk.select(ANA, ShedRequest("LG", 10_000))).id)
    await until(lambda: load.held_off, "shed")
    limit = ShedRequest("LG", 10_000, action=Action.LIMIT, level_w=500)
    reviewed = await desk.select(ANA, limit)
    await supplies.set_local(ION, area="centre", local=True)
    refused = []
    for asked in (desk.execute(ANA, reviewed.id), desk.select(ANA, ShedRequest("LG", 60, action=Action.ECO))):
        try:
            await asked
        except CommandRejected as error:
            refused += error.reasons
    await desk.restore(ANA, shed.id)
    await until(lambda: load.supplied, "restored")
    held = dict(load.holds)
    await supplies.set_local(ION, area="centre", local=False)
    await desk.execute(ANA, (await desk.select(ANA, limit)).id)
    await until(lambda: load.allowance[0] == 500, "limited")
    return [refused, len(held)]


def main(port: int, folder: Path) -> None:
    def over(outcome: Any) -> None:
        print(json.dumps(outcome) if isinstance(outcome, dict) else outcome.getTraceback(), flush=True)
        reactor.stop()                                      # type: ignore[attr-defined]

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run(port, folder)).addBoth(over))    # type: ignore[attr-defined]
    reactor.run()                                           # type: ignore[attr-defined]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
