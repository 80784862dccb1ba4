"""The server's side of a group command to a city, in a process of its own: the real driver, desk, journal and audit."""

import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from scada import loop
from scada.bench.dmesh.city import City, key_of
from scada.bench.dmesh.server import KnownSite, Quiet
from scada.bench.processes import memory_of
from scada.clock import SiteClock
from scada.collector import Collector
from scada.commands import Actor, CommandStatus, LoadClass, MemberState, Role, ShedRequest
from scada.settings import DispatchSettings, DmeshSettings, HistorianSettings, RegistrySettings
from scada.site import Concentrator, Directory, Load, LoadGroup, Transformer

ANNA: Final = Actor("anna", Role.DISPATCHER)
FINAL: Final = (MemberState.EXECUTED, MemberState.REFUSED, MemberState.NO_ANSWER)


class Remote:
    """Nothing is in local."""

    def locals(self) -> tuple[()]:
        return ()


class Everybody(KnownSite):
    """The city with a load behind every module, and one group of all of them."""

    def __init__(self, city: City) -> None:
        super().__init__(city)
        site = self.directory.site
        loads = tuple(Load(module.eui, LoadClass.YELLOW, "boiler", rated_w=1500.0) for module in site.modules)
        group = LoadGroup("ALL", 1, LoadClass.YELLOW, members=tuple(module.eui for module in site.modules))
        concentrators = tuple(
            Concentrator(one.name, one.link_id, transformer=f"T{one.name}") for one in site.concentrators
        )
        transformers = tuple(Transformer(one.transformer) for one in concentrators)
        self.directory = Directory(attrs.evolve(
            site, loads=loads, load_groups=(group,), concentrators=concentrators, transformers=transformers
        ))


def main(folder: Path, port: int, city: City) -> None:
    """SIGUSR1: select the group of everybody. SIGUSR2: execute, and tell when every state is final and durable."""
    selector = loop.install()
    from twisted.internet import reactor as installed

    reactor: Any = installed
    from scada.dr_dispatch.desk import CommandDesk
    from scada.drivers.dmesh.keystore import KeyStore
    from scada.drivers.dmesh.numbers import KeyTarget
    from scada.drivers.dmesh.service import DmeshService
    from scada.historian.service import Historian
    from scada.registry.service import RegistryService

    sys.setswitchinterval(0.0002)
    gc.disable()                                            # while millions of things are made that all stay
    clock, quiet, everybody = SiteClock(), Quiet(), Everybody(city)
    unheard: Any = quiet
    registry: Any = everybody
    historian = Historian(HistorianSettings(), folder, clock, reactor, unheard)
    settings = DmeshSettings(host="127.0.0.1", port=port, max_connections=20_000, max_unproven=512)
    keys = KeyStore.open(folder / "keys.store", folder / "master.key")
    keys.add([((KeyTarget.LINK, link), key_of(link)) for link in city.links])
    service = DmeshService(settings, clock, reactor, unheard, historian.intervals, registry, keys)
    audit = RegistryService(RegistrySettings(), folder, clock, reactor)
    desk = CommandDesk(
        DispatchSettings(monitor_only=False, selection_seconds=600), registry, unheard, service, Remote(), audit.audit,
        clock, reactor, folder, reactor.getThreadPool(), unheard,
    )
    watch = loop.LoopWatch(selector)
    told: dict[str, Any] = {}

    pauses = [0.0, 0.0]                                     # of the garbage collector [s]: began, longest

    def collector(phase: str, _: Any) -> None:
        pauses[:] = [time.perf_counter(), pauses[1]] if phase == "start" else [
            0.0, max(pauses[1], time.perf_counter() - pauses[0])
        ]

    gc.callbacks.append(collector)

    async def start() -> None:
        await historian.start()
        await audit.start()
        await deferToThread(lambda: (everybody.directory.module_of_eui, everybody.directory.load_of_eui))
        await desk.start()
        await service.start()
        gc.freeze()
        gc.enable()
        Collector(reactor).start()
        watch.start()
        print("ready", flush=True)

    def forget() -> None:
        selector.take()
        pauses[1] = 0.0
        selector.long_turns = selector.busy_turns = 0
        watch.blockers.clear()

    def turns(what: str) -> None:
        wall, processor = selector.take()
        told[what] = {
            "longest_ms": wall, "longest_cpu_ms": processor, "long": selector.long_turns, "busy": selector.busy_turns,
            "collector_ms": pauses[1] * 1000, "blockers": watch.blockers.most_common(6),
        }
        forget()

    async def select() -> None:
        forget()
        began = time.monotonic()
        selection = await desk.select(ANNA, ShedRequest("ALL", 600))
        told["selection"], told["select_s"] = selection.id, time.monotonic() - began
        again = time.monotonic()
        selection = await desk.select(ANNA, ShedRequest("ALL", 600))
        told["selection"], told["select_again_s"] = selection.id, time.monotonic() - again
        turns("selecting")
        print("selected", flush=True)

    async def execute() -> None:
        forget()
        told["before_mb"] = memory_of(os.getpid())
        began, worked = time.monotonic(), time.thread_time()
        told["began"] = began
        status = await desk.execute(ANNA, told["selection"])
        told["handed_s"], told["loop_cpu_s"] = time.monotonic() - began, time.thread_time() - worked
        written(began, status)

    def written(began: float, status: CommandStatus, turns_left: int = 2) -> None:
        """What was handed to a transport leaves in the next turn."""
        if turns_left:
            reactor.callLater(0, written, began, status, turns_left - 1)
            return
        told["written_s"] = time.monotonic() - began
        turns("sending")
        durable(began, status, "sent_durable_s", lambda _: True)

    def durable(began: float, status: CommandStatus, what: str, when: Any) -> None:
        now = desk.command(status.id)
        assert now is not None
        if not when(now) or next(iter(desk.health())).figures["unwritten"]:
            reactor.callLater(0.01, durable, began, status, what, when)
            return
        told[what] = time.monotonic() - began
        if what == "sent_durable_s":
            durable(began, status, "final_s", lambda one: sum(map(one.count, FINAL)) == len(one.members))
            return
        turns("collecting")
        told["counts"] = {state.name: count for state, count in now.counts.items()}
        told["after_mb"] = memory_of(os.getpid())
        told["command"] = status.id
        print(json.dumps(told), flush=True)

    async def stop() -> None:
        await desk.stop()
        await service.stop()
        await audit.stop()
        await historian.stop()

    def go(what: Any) -> None:
        def failed(failure: Any) -> None:
            failure.printTraceback()
            reactor.stop()

        Deferred.fromCoroutine(what()).addErrback(failed)

    signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(go, select))
    signal.signal(signal.SIGUSR2, lambda *_: reactor.callFromThread(go, execute))
    reactor.callWhenRunning(go, start)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(stop()))
    reactor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), City.of(sys.argv[3]))
