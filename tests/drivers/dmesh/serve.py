"""The driver as a process of its own, for tests over real sockets: everything around it is in memory.

Prints its port, then a line of figures for each line it reads; ends when its input ends, by a clean stop.
"""

import asyncio
import json
import sys
from pathlib import Path

from twisted.internet import asyncioreactor

asyncioreactor.install(asyncio.new_event_loop())

from twisted.internet import reactor  # noqa: E402
from twisted.internet.stdio import StandardIO  # noqa: E402
from twisted.protocols.basic import LineOnlyReceiver  # noqa: E402

from scada.bus import TagBus  # noqa: E402
from scada.clock import SiteClock  # noqa: E402
from scada.drivers.dmesh.keystore import KeyStore  # noqa: E402
from scada.drivers.dmesh.service import DmeshService  # noqa: E402
from scada.settings import DmeshSettings, TlsSettings  # noqa: E402
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, RegistryBook, Store  # noqa: E402


class Console(LineOnlyReceiver):
    delimiter = b"\n"

    def __init__(self, service: DmeshService) -> None:
        self.service = service

    def lineReceived(self, line: bytes) -> None:
        (health,) = self.service.health()
        self.sendLine(json.dumps(dict(health.figures)).encode())

    def connectionLost(self, reason: object = None) -> None:
        self.service.stop().addBoth(lambda _: reactor.stop())


def main(port: int, folder: Path, tls_port: int = 0, certificates: str = "") -> None:
    clock = SiteClock()
    keys = KeyStore.open(folder / "keys.store", folder / "master.key")
    keys.add_link(LINK_ID, LINK_KEY)
    tls = None
    if tls_port:
        own = Path(certificates)
        tls = TlsSettings(port=tls_port, certificate=own / "server.pem", key=own / "server.key", ca=own / "ca.pem")
    settings = DmeshSettings(host="127.0.0.1", port=port, handshake_seconds=3, tls=tls, plain=tls is None)
    service = DmeshService(settings, clock, reactor, TagBus(clock, reactor), Store(), RegistryBook(), keys)

    def started(_: object) -> None:
        console = Console(service)
        StandardIO(console)
        console.sendLine(b"ready")

    def failed(failure: object) -> None:
        print(getattr(failure, "getErrorMessage", lambda: "")(), flush=True)
        reactor.stop()

    reactor.callWhenRunning(lambda: service.start().addCallbacks(started, failed))
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:4]), *sys.argv[4:])
