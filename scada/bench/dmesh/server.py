"""The server's side of a city in a process of its own: the real driver and historian, and nothing else of the server."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

from scada import loop
from scada.bench.dmesh.city import City, eui_of, key_of
from scada.clock import SiteClock
from scada.collector import Collector
from scada.settings import DmeshSettings, HistorianSettings
from scada.site import Concentrator, Directory, JoinedModule, Module, ModuleState, Site


class KnownSite:
    """A registry in which the whole city stands and to which nothing is news."""

    def __init__(self, city: City) -> None:
        concentrators = tuple(Concentrator(f"C{number:04d}", link) for number, link in enumerate(city.links))
        modules = tuple(
            Module(eui_of(one.link_id, index), f"{one.name}-{index}", one.name, index, ModuleState.ACTIVE, city.channels)
            for one in concentrators for index in range(1, city.modules + 1)
        )
        self.directory = Directory(Site(concentrators=concentrators, modules=modules, generation=1))

    def subscribe(self, listener: Callable[[Directory], None]) -> Callable[[], None]:
        return lambda: None

    def module_joined(self, modules: Sequence[JoinedModule]) -> "Deferred[tuple[Module, ...]]":
        return succeed(())

    def set_module_states(self, states: Mapping[int, str]) -> "Deferred[None]":
        return succeed(None)


class Quiet:
    """A bus nobody listens to: the tags of a city's modules are another measurement."""

    def devices(self) -> Mapping[str, Any]:
        return {}

    def __getattr__(self, name: str) -> Any:
        return lambda *_arguments, **_named: (lambda: None)


def main(folder: Path, port: int, city: City) -> None:
    """Serve until SIGTERM; then say how the loop was, as one line of JSON. SIGUSR1: forget the loop's record until now."""
    selector = loop.install()
    from twisted.internet import reactor as installed

    reactor: Any = installed
    from scada.drivers.dmesh.keystore import KeyStore
    from scada.drivers.dmesh.numbers import KeyTarget
    from scada.drivers.dmesh.service import DmeshService
    from scada.historian.service import Historian

    sys.setswitchinterval(0.0002)
    clock = SiteClock()
    quiet: Any = Quiet()
    historian = Historian(HistorianSettings(), folder, clock, reactor, quiet)
    settings = DmeshSettings(host="127.0.0.1", port=port, max_connections=20_000, max_unproven=512)
    registry: Any = KnownSite(city)
    keys = KeyStore.open(folder / "keys.store", folder / "master.key")
    keys.add([((KeyTarget.LINK, link), key_of(link)) for link in city.links])
    service = DmeshService(
        settings, clock, reactor, quiet, historian.intervals, registry, keys, reader=historian.intervals
    )
    watch = loop.LoopWatch(selector)
    longest = [0.0, 0.0]

    def look() -> None:
        wall, processor = selector.take()
        longest[:] = [max(longest[0], wall), max(longest[1], processor)]

    async def start() -> None:
        await historian.start()
        await service.start()
        Collector(reactor).start()
        watch.start()
        print("ready", flush=True)

    def forget() -> None:
        selector.take()
        selector.long_turns = selector.busy_turns = 0
        longest[:] = [0.0, 0.0]
        watch.blockers.clear()

    async def stop() -> None:
        look()
        await service.stop()
        figures = dict(historian.intervals.health().figures)
        print(json.dumps({
            "longest_ms": longest[0], "longest_cpu_ms": longest[1], "long_turns": selector.long_turns,
            "busy_turns": selector.busy_turns, "blockers": watch.blockers.most_common(8), "historian": figures,
        }), flush=True)
        await historian.stop()

    def merged() -> None:
        """Tell when everything acknowledged is readable too."""
        if historian.intervals.health().figures["unmerged"] or not historian.intervals.records:
            reactor.callLater(0.02, merged)
        else:
            print("merged", flush=True)

    signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(forget))
    signal.signal(signal.SIGUSR2, lambda *_: reactor.callFromThread(merged))
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(start()))
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(stop()))
    threading.current_thread().name = "bench-server"
    reactor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), City.of(sys.argv[3]))
