"""How many sessions one process holds, what they cost, and how fast they come back after everybody has lost the server."""

import resource
import signal
import tempfile
from pathlib import Path
from typing import Final

from scada.bench import Figure
from scada.bench.children import expect, json_of, process
from scada.bench.dmesh.city import City
from scada.bench.processes import memory_of, processor_of
from scada.bench.site import free_ports
from scada.errors import ScadaError

CITY: Final = City(concentrators=14_000, modules=0)
HOLD_S: Final = 20.0


def measure(city: City = CITY, hold_s: float = HOLD_S) -> list[Figure]:
    """Everybody dials in at once and stays; a keep-alive a session, module lists left out."""
    room_for(city)
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
        (port,) = free_ports(1)
        server = process("dmesh.server", str(Path(name)), str(port), city.word())
        try:
            expect(server, "ready")
            empty = memory_of(server.pid)
            field = process("dmesh.field", str(port), city.word(), str(hold_s))
            server.send_signal(signal.SIGUSR1)
            expect(field, "up")
            busy = processor_of(server.pid)
            said = json_of(field)
            held, memory = processor_of(server.pid) - busy, memory_of(server.pid)
            server.terminate()
            told = json_of(server)
            server.wait(60)
        finally:
            server.kill()
    if said["problems"]:
        raise ScadaError(f"the field was not served: {said['problems']}")
    what = f"{said['up']} sessions held for {hold_s:.0f} s"
    return [
        Figure("sessions", "sessions held by one process, each with its keep-alive", said["up"], ""),
        Figure("sessions_memory", f"{what}: resident memory of the process", memory, "MB"),
        Figure("sessions_memory_each", f"{what}: memory a session", (memory - empty) * 1024 / said["up"], "kB"),
        Figure("sessions_handshakes", "handshakes while everybody dials in", said["up"] / said["handshakes_s"], "1/s"),
        Figure("sessions_processor", f"{what}: share of a core", 100 * held / hold_s, "%"),
        Figure("sessions_longest_turn", "longest turn of the loop meanwhile", told["longest_ms"], "ms"),
    ]


def room_for(city: City) -> None:
    """Files the two processes need; children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = city.concentrators + 500
    if hard != resource.RLIM_INFINITY and hard < need:
        raise ScadaError(f"{city.concentrators} sessions need {need} open files; this machine allows {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))

