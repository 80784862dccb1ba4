"""The driver, the campaigns and a simulated concentrator over TCP; prints what came of two images as JSON."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install(asyncio.new_event_loop())

from twisted.internet import reactor  # noqa: E402
from twisted.internet.defer import Deferred, succeed  # noqa: E402
from twisted.internet.endpoints import TCP4ClientEndpoint  # noqa: E402
from twisted.internet.task import LoopingCall, deferLater  # noqa: E402

from scada.bus import TagBus  # noqa: E402
from scada.clock import SiteClock  # noqa: E402
from scada.commands import Actor, Role  # noqa: E402
from scada.drivers.dmesh.keystore import KeyStore  # noqa: E402
from scada.drivers.dmesh.messages import image_id  # noqa: E402
from scada.drivers.dmesh.service import DmeshService  # noqa: E402
from scada.drivers.dmesh.simulator.client import ConcentratorClient  # noqa: E402
from scada.drivers.dmesh.simulator.firmware import DEAF, Pace  # noqa: E402
from scada.drivers.dmesh.simulator.state import ConcentratorState, SimModule  # noqa: E402
from scada.errors import CommandRejected  # noqa: E402
from scada.firmware.service import FirmwareService  # noqa: E402
from scada.firmware.store import FILE, FirmwareStore, Package  # noqa: E402
from scada.firmware.trust import TrustedKey  # noqa: E402
from scada.rollout import CampaignRequest, CampaignState, UpdateFilter, UpdateState  # noqa: E402
from scada.settings import DmeshSettings, FirmwareSettings  # noqa: E402
from scada.site import Concentrator, Module, ModuleState, Site  # noqa: E402
from tests import firmware_maker as maker  # noqa: E402
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, RegistryBook, Store  # noqa: E402

MODULES = 8
ANA, ION = (Actor(name, Role.ENGINEER) for name in ("ana", "ion"))


class Trail:
    def __init__(self) -> None:
        self.rows: list[str] = []

    def append(self, actor: Actor, action: str, target: str = "", **detail: Any) -> Any:
        self.rows.append(action)
        return succeed(None)


async def run(port: int, folder: Path) -> dict[str, Any]:
    clock, registry, trail = SiteClock(), RegistryBook(), Trail()
    bus = TagBus(clock, reactor)
    keys = KeyStore.open(folder / "keys.store", folder / "master.key")
    keys.add_link(LINK_ID, LINK_KEY)
    modules = tuple(SimModule(index, 0xD100_0000 + index, 1) for index in range(1, MODULES + 1))
    registry.replace(Site(
        concentrators=(Concentrator("C01", LINK_ID),),
        modules=tuple(Module(m.eui, f"C01-{m.index:03d}", "C01", m.index, ModuleState.ACTIVE) for m in modules),
    ))
    state = ConcentratorState(LINK_ID, LINK_KEY, modules, started=clock.now() / 1e9, archive_id=7, boot_id=1)
    state.firmware.makers, state.firmware.pace = (maker.PUBLIC,), Pace(0.05, 8, 0.2, 0.3, 1.0)
    store = FirmwareStore(folder / FILE)
    store.open()
    store.trust(TrustedKey(maker.VENDOR, maker.PUBLIC, 0, "admin"))
    ids = {}
    for name, start, version in (("bad", DEAF, "1.9"), ("good", b"", "2.0")):
        image = maker.content(start=start)
        body = maker.manifest(image, version)
        ids[name] = image_id(body)
        store.add_image(Package(ids[name], body, maker.sign(body), 0, "admin"), image)
    store.close()
    dmesh = DmeshService(DmeshSettings(host="127.0.0.1", port=port), clock, reactor, bus, Store(), registry, keys)

    def campaigns() -> FirmwareService:
        return FirmwareService(
            FirmwareSettings(block_pause_seconds=0.02), registry, dmesh.updates, trail, clock, reactor, folder,
            reactor.getThreadPool(), bus, monitor_only=False,
        )

    firmware = campaigns()
    await firmware.start()
    await dmesh.start()
    client = ConcentratorClient(state, reactor, TCP4ClientEndpoint(reactor, "127.0.0.1", port), lambda: clock.now() / 1e9)
    client.start()
    beat = LoopingCall(lambda: state.firmware.run(clock.now() / 1e9))
    beat.start(0.02)

    async def until(number: int, *states: CampaignState) -> Any:
        for _ in range(600):
            found = firmware.campaign(number)
            if found is not None and found.state in states:
                return found
            await deferLater(reactor, 0.05)
        raise AssertionError(f"campaign {number}: {firmware.campaign(number)}")

    for _ in range(200):
        if len(firmware._keeper.known) == MODULES:
            break
        await deferLater(reactor, 0.05)
    wish = CampaignRequest(ids["bad"].hex(), canary=2, wave=3, soak_s=0)
    bad = await firmware.draft(ANA, wish)
    await firmware.start_canary(ANA, bad.number)
    paused = await until(bad.number, CampaignState.PAUSED)
    modules_of_bad = firmware.updates(bad.number, UpdateFilter())[0]
    await firmware.abort(ANA, bad.number, "it does not come back")
    good = await firmware.draft(ANA, CampaignRequest(ids["good"].hex(), canary=2, wave=3, soak_s=0))
    await firmware.start_canary(ANA, good.number)
    while state.firmware.blocks_taken < 24 + 6:             # in the middle of the good image
        await deferLater(reactor, 0.01)
    client._protocol._stream.abortConnection()
    await firmware.stop()
    firmware = campaigns()                                  # from the disk alone
    await firmware.start()
    soaked = await until(good.number, CampaignState.SOAK)
    alone = ""
    try:
        await firmware.approve(ANA, good.number)
    except CommandRejected as refused:
        alone = str(refused)
    await firmware.approve(ION, good.number)
    done = await until(good.number, CampaignState.DONE)
    modules_of_good = firmware.updates(good.number, UpdateFilter())[0]
    beat.stop()
    await client.stop()
    await firmware.stop()
    await dmesh.stop()
    return {
        "paused": [paused.why, sorted({one.reason for one in modules_of_bad if one.stage == 0})],
        "untouched": [one.state.name for one in modules_of_bad if one.stage], "soaked": soaked.count(UpdateState.DONE),
        "alone": alone, "done": [one.state.name for one in modules_of_good], "stages": len(done.stages),
        "running": sorted({one.running for one in state.firmware.devices.values()}),
        "again": state.firmware.blocks_again, "audit": trail.rows,
    }


def main(port: int, folder: Path) -> None:
    def over(outcome: Any) -> None:
        print(json.dumps(outcome) if isinstance(outcome, dict) else outcome.getTraceback(), flush=True)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run(port, folder)).addBoth(over))
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
