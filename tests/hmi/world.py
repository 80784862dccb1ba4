"""The fake district behind the real HMI, as a process of its own: `python -m tests.hmi.world PORT [hang]`; says READY.

With `hang` the desk never answers: a page that waits for it is a request in flight for as long as anybody likes.
With `stuck` no page is ever answered, as if every thread waited for a disk.
With `flood` values change two hundred times a second, and the stream tells all of them to whoever reads.
"""

import sys
import threading
from typing import Any

import attrs
from twisted.internet import asyncioreactor

asyncioreactor.install()

from twisted.internet import reactor as installed_reactor  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.task import LoopingCall  # noqa: E402

from hmi import hub  # noqa: E402
from hmi import service as service_module  # noqa: E402
from hmi.service import HmiService  # noqa: E402
from scada.clock import SiteClock  # noqa: E402
from tests.hmi.fakes import World  # noqa: E402


def main(port: int, *options: str) -> None:
    reactor: Any = installed_reactor
    clock = SiteClock()
    world = World(clock, reactor, port)
    world.firmware.rehearse()
    if "flood" in options:
        hub.FLUSH_S = 0.005
    if "hang" in options:
        world.desk.select = lambda *_: Deferred()
    if "stuck" in options:
        for_ever = threading.Event()
        service_module.create_app = lambda *_: lambda *_: for_ever.wait() or []
    services = attrs.evolve(world.services, health=lambda: [*world.health(), *service.health()])
    patience_s = 1.0 if {"hang", "stuck"} & set(options) else 5.0
    service = HmiService(services.hmi, services, clock, reactor, patience_s=patience_s)

    def ready(_: object) -> None:
        LoopingCall(world.tick).start(0.005 if "flood" in options else 1.0, now=False)
        print("READY", service.port, flush=True)

    def failed(failure: Any) -> None:
        print(failure.getErrorMessage(), flush=True)
        reactor.stop()

    reactor.addSystemEventTrigger("before", "shutdown", service.stop)
    reactor.callWhenRunning(lambda: service.start().addCallbacks(ready, failed))
    reactor.run()
    print("STOPPED", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
