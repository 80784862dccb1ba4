"""How fast a city's archives become durable: a field process and a server process on two cores, over real TCP."""

import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from scada.bench import Figure
from scada.bench.children import expect, json_of, process
from scada.bench.dmesh.city import FIRST_LINK, PATTERNS, City, counts, eui_of
from scada.bench.processes import memory_of, processor_of
from scada.bench.site import free_ports
from scada.errors import ScadaError
from scada.historian.service import open_reader

CITY: Final = City()
HOURLY: Final = City(block_hours=1, hours=2)
CHECKED: Final = 40                     # concentrators whose readings are read back and compared


def measure(city: City = CITY, hourly: City = HOURLY) -> list[Figure]:
    """A city's day of archive in blocks of 24 hours, then an hourly push in blocks of one hour."""
    day, push = run(city), run(hourly)
    frames = day["blocks"] / day["seconds"]
    what = f"{city.concentrators} sessions x {city.rows} channels, TCP to acknowledged"
    return [
        Figure("ingest_per_s", f"{what}, blocks of {city.block_hours} h", day["rate"], "readings/s"),
        Figure("ingest_hourly_per_s", f"{what}, blocks of {hourly.block_hours} h", push["rate"], "readings/s"),
        Figure("ingest_blocks_per_s", f"{what}, blocks of {city.block_hours} h", frames, "frames/s"),
        Figure("ingest_longest_turn", "longest turn of the loop meanwhile", day["longest_ms"], "ms"),
        Figure("ingest_longest_turn_cpu", "its processor time", day["longest_cpu_ms"], "ms"),
        Figure("city_backlog_s", f"{city.readings:,} readings acknowledged and merged", day["merged_s"], "s"),
        Figure("city_memory", "resident memory of the server process afterwards", day["memory"], "MB"),
        Figure("handshakes_per_s", f"{city.concentrators} concentrators dialling in", day["handshakes"], "1/s"),
    ]


def run(city: City) -> dict[str, Any]:
    """One measurement: everybody dials in, everybody sends, everything is read back."""
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
        folder, (port,) = Path(name), free_ports(1)
        server = process("dmesh.server", str(folder), str(port), city.word())
        try:
            expect(server, "ready")
            field = process("dmesh.field", str(port), city.word(), "0")
            expect(field, "go")
            server.send_signal(signal.SIGUSR1)
            began = time.monotonic()
            said = json_of(field)
            server.send_signal(signal.SIGUSR2)
            expect(server, "merged")
            merged_s = time.monotonic() - began
            memory, busy = memory_of(server.pid), processor_of(server.pid)
            server.terminate()
            told = json_of(server)
            server.wait(60)
        finally:
            server.kill()
        if said["problems"]:
            raise ScadaError(f"the field was not served: {said['problems']}")
        _compare(folder / "history", city)
    return {
        **said, **told, "rate": city.readings / said["seconds"], "merged_s": merged_s, "memory": memory, "busy_s": busy,
        "handshakes": city.concentrators / said["handshakes_s"],
    }


def _compare(history: Path, city: City) -> None:
    """What some concentrators sent is what is stored, to the pulse."""
    reader = open_reader(history).intervals
    index = np.arange(city.rows) // city.channels + 1
    channel = (np.arange(city.rows) % city.channels).astype(np.uint8)
    for link in range(FIRST_LINK, FIRST_LINK + city.concentrators, max(1, city.concentrators // CHECKED)):
        eui = np.array([eui_of(link, int(one)) for one in index], dtype=np.uint64)
        stored = reader.read(reader.slots(eui, channel), city.first_hour, city.hours).counts
        if not np.array_equal(stored, counts(city, link % PATTERNS)):
            raise ScadaError(f"what {link:08x} sent is not what is stored")
