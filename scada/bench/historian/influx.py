"""What an InfluxDB costs: rendering lines, writing them to a real server, and the durable queue in front of it."""

import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Final

import numpy as np

from scada.bench import Figure
from scada.bench.historian.pulses import FIRST_DAY, LINK, Pulses, euis
from scada.bench.processes import processor_of
from scada.bench.site import free_ports
from scada.clock import NS, SiteClock
from scada.errors import ScadaError
from scada.historian.answers import Answer, Verdict
from scada.historian.back_off import BackOff
from scada.historian.backlog import Backlog
from scada.historian.dense import SLOTS
from scada.historian.events_left import EventsLeft
from scada.historian.influx import InfluxDoor
from scada.historian.lines import escaped, live_lines
from scada.historian.offline import ClosedHistory
from scada.historian.past import Past
from scada.historian.results_left import ResultsLeft
from scada.historian.sender import Sender
from scada.historian.slots import SlotBook
from scada.historian.spool import Spool
from scada.settings import InfluxSettings

METERS: Final = 20_480                  # two days: a million lines
BODIES: Final = 100
LIVE_LINES: Final = 10_000              # a body
START_S: Final = 60.0
_CONFIG: Final = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{dir}/meta"
[data]
  dir = "{dir}/data"
  wal-dir = "{dir}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
[continuous_queries]
  enabled = false
"""


def measure(meters: int = METERS, bodies: int = BODIES) -> list[Figure]:
    """Needs `influxd` 1.x on this machine, and starts one of its own."""
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
        return [*_lines(Path(name), meters), *_spool(Path(name), bodies)]


def _lines(folder: Path, meters: int) -> list[Figure]:
    """A million lines rendered, then written; blocks as the store has them."""
    blocks, book = _blocks(folder, meters)
    began, used, lines = time.perf_counter(), time.process_time(), 0
    while (key := blocks.take()) is not None and (found := blocks.lines(key)):
        lines += found[1]
    rendered = lines / (time.process_time() - used)
    blocks.close()
    blocks = _backlog(folder, book)
    (port, rpc) = free_ports(2)
    server = _influxd(folder, port, rpc)
    try:
        door = InfluxDoor(InfluxSettings(name="bench", url=f"http://127.0.0.1:{port}", database="scada"))
        theirs, ours, began = processor_of(server.pid), time.process_time(), time.perf_counter()
        while (key := blocks.take()) is not None and (found := blocks.lines(key)):
            answer = door.write(found[0], "s")
            if answer.verdict is not Verdict.STORED:
                raise ScadaError(f"the InfluxDB of this measurement says: {answer.text}")
        wall, ours = time.perf_counter() - began, time.process_time() - ours
        theirs = processor_of(server.pid) - theirs
        door.close()
    finally:
        server.kill()
        server.wait(30)
        blocks.close()
    what = f"{lines:,} lines of hourly pulses"
    return [
        Figure("influx_lines_per_s", f"{what}: read from the store and rendered, a core", rendered, "lines/s"),
        Figure("influx_written_per_s", f"{what}: the same, and taken by an InfluxDB 1.x", lines / wall, "lines/s"),
        Figure("influx_client_share", f"{what}: our part of all the processor time", 100 * ours / (ours + theirs), "%"),
    ]


def _blocks(folder: Path, meters: int) -> tuple[Backlog, SlotBook]:
    pulses, numbers, book = Pulses.make(), np.arange(meters // SLOTS), SlotBook()
    eui, channel = euis(meters), np.zeros(meters, np.uint8)
    with ClosedHistory(folder / "history") as history:
        whole = history.whole()
        book.adopt(LINK, eui, channel, whole.slots(np.full(meters, LINK), eui, channel))
        whole.enter([pulses.day(day, numbers) for day in (FIRST_DAY, FIRST_DAY + 1)], received=1)
    return _backlog(folder, book), book


def _backlog(folder: Path, book: SlotBook) -> Backlog:
    """Of a destination that has nothing."""
    nothing = Spool(folder / "nothing.sqlite", 1 << 20)
    nothing.open()
    backlog = Backlog(folder / "history", lambda: book, nothing)
    backlog.open()
    return backlog


def _influxd(folder: Path, port: int, rpc: int) -> "subprocess.Popen[bytes]":
    """A server with an empty database."""
    found = shutil.which("influxd")
    if found is None:
        raise ScadaError("this measurement needs an InfluxDB 1.x: install it so that `influxd` is on the PATH")
    config = folder / "influxdb.conf"
    config.write_text(_CONFIG.format(dir=folder / "influx", port=port, rpc=rpc), encoding="utf-8")
    server = subprocess.Popen([found, "run", "-config", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ends = time.monotonic() + START_S
    while True:
        try:
            body = b"q=CREATE+DATABASE+scada"
            urllib.request.urlopen(f"http://127.0.0.1:{port}/query", data=body, timeout=5).read()
            return server
        except OSError as error:
            if server.poll() is not None or time.monotonic() > ends:
                server.kill()
                raise ScadaError(f"{found} did not start: {error}") from error
            time.sleep(0.05)


class _Nowhere(InfluxDoor):
    """Takes everything."""

    def write(self, body: bytes, precision: str) -> Answer:
        return Answer(Verdict.STORED)


def _spool(folder: Path, bodies: int) -> list[Figure]:
    """Bodies of live lines into the queue, each durable before the next; then out of it, each forgotten durably."""
    clock, names = SiteClock(), [escaped(f"T{number:03d}/power of phase {number % 3}") for number in range(LIVE_LINES)]
    values = np.round(np.random.default_rng(3).normal(230, 3, LIVE_LINES), 2)
    body = live_lines(names, values, np.zeros(LIVE_LINES, np.uint8), clock.now()).encode()
    spool = Spool(folder / "spool.sqlite", 1 << 30)
    spool.open()
    began = time.perf_counter()
    for number in range(bodies):
        spool.put(body, LIVE_LINES, clock.now() + number * NS)
    appended = bodies * LIVE_LINES / (time.perf_counter() - began)
    settings = InfluxSettings(name="nowhere", url="http://127.0.0.1:1", database="scada")
    nothing = folder / "nothing"
    backlog, past = Backlog(nothing, SlotBook, spool), Past(nothing)
    results, events = ResultsLeft(nothing), EventsLeft(nothing)
    sender = Sender("nowhere", _Nowhere(settings), spool, backlog, past, results, events, clock, BackOff())
    began = time.perf_counter()
    sender.start()
    while spool.bodies:
        time.sleep(0.001)
    drained = bodies * LIVE_LINES / (time.perf_counter() - began)
    sender.close()
    spool.close()
    for source in (backlog, past, results, events):
        source.close()
    what = f"{bodies} bodies of {LIVE_LINES:,} live values"
    return [
        Figure("spool_append_per_s", f"{what}: durable in the spool, one after the other", appended, "values/s"),
        Figure("spool_drain_per_s", f"{what}: out of it into nowhere, each forgotten durably", drained, "values/s"),
    ]
