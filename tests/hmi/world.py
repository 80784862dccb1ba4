"""The fake district behind the real HMI, as a process of its own: `python -m tests.hmi.world PORT [hang]`; says READY.

With `hang` the desk never answers: a page that waits for it is a request in flight for as long as anybody likes.
With `flood` values change two hundred times a second, and the stream tells all of them to whoever reads.
"""

import sys
from typing import Any

import attrs
from twisted.internet import asyncioreactor

asyncioreactor.install()

from twisted.internet import reactor as installed_reactor  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.task import LoopingCall  # noqa: E402

from hmi import hub  # noqa: E402
from hmi.service import HmiService  # noqa: E402
from scada.clock import SiteClock  # noqa: E402
from tests.hmi.fakes import World  # noqa: E402


def main(port: int, *options: str) -> None:
    reactor: Any = installed_reactor
    clock = SiteClock()
    world = World(clock, reactor, port)
    if "flood" in options:
        hub.FLUSH_S = 0.005
    if "hang" in options:
        world.desk.select = lambda *_: Deferred()
    services = attrs.evolve(world.services, health=lambda: [*world.health(), *service.health()])
    service = HmiService(services.hmi, services, clock, reactor, patience_s=1.0 if "hang" in options else 5.0)

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
