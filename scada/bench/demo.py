"""What the demo costs this machine: memory, turns of the main loop, time until it answers; started as `make run` does."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import attrs

from scada.bench import Figure
from scada.bench.people import Load, person_of
from scada.bench.processes import children, memory_of, words_of
from scada.bench.site import free_ports
from scada.errors import ScadaError

SPEED: Final = 60.0
RUN_S: Final = 60.0                     # real time under load; a site hour
START_LIMIT_S: Final = 180.0
STOP_LIMIT_S: Final = 40.0


def measure(run_s: float = RUN_S) -> list[Figure]:
    """The demo at 60 x, its first start with one live stream and a page a second for `run_s`, then its second start."""
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
        folder, ports = Path(name), free_ports(4)
        with demo(folder, ports) as first:
            load = Load(f"http://127.0.0.1:{ports[0]}", person_of(folder))
            load.run(run_s)
            loop = part_of(health(ports[0]), "loop")["figures"]
            main, opcua = memory_of(first.server()), memory_of(first.opcua())
        with demo(folder, ports) as second:
            pass
    what = f"demo at {SPEED:.0f} x, {run_s:.0f} s with a live stream and a page a second"
    return [
        Figure("demo_memory_main", f"{what}: resident memory of the main process", main, "MB"),
        Figure("demo_memory_opcua", f"{what}: resident memory of the OPC UA process", opcua, "MB"),
        Figure("demo_longest_turn", f"{what}: longest turn of the main loop", loop["longest_turn_ms"], "ms"),
        Figure("demo_long_turns", f"{what}: turns over 20 ms", loop["long_turns"], ""),
        Figure("demo_busy_turns", f"{what}: turns with over 20 ms of processor time", loop["busy_turns"], ""),
        Figure("demo_pages", f"{what}: pages answered", load.pages, ""),
        Figure("demo_page_slowest", f"{what}: slowest page", load.slowest_s * 1000, "ms"),
        Figure("demo_updates", f"{what}: messages of the live stream", load.updates, ""),
        Figure("demo_first_start", "first `scada demo` until /healthz answers", first.took_s, "s"),
        Figure("demo_second_start", "second `scada demo` until /healthz answers", second.took_s, "s"),
    ]


@attrs.define
class Demo:
    """A running demo."""

    process: "subprocess.Popen[bytes]"
    took_s: float                       # from its start until /healthz answered

    def server(self) -> int:
        """Process id of `scada run`."""
        return next(child for child in children(self.process.pid) if "run" in words_of(child))

    def opcua(self) -> int:
        """Process id of the server's OPC UA process; it is still on its way when /healthz answers first."""
        def processes() -> list[int]:
            return [one for one in children(self.server()) if "scada.opcua_server" in words_of(one)]

        (process,) = within(START_LIMIT_S, processes, "the OPC UA process")
        return int(process)


@contextmanager
def demo(folder: Path, ports: list[int]) -> Iterator[Demo]:
    """`scada demo` in a folder, from its start until it answers to its clean end."""
    names = ("--hmi-port", "--opcua-port", "--dmlp-port", "--modbus-port")
    options = [word for name, port in zip(names, ports, strict=True) for word in (name, str(port))]
    began = time.monotonic()
    with (folder / "demo.out").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scada", "demo", "--dir", str(folder), "--speed", f"{SPEED:g}", *options],
            stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )

    def answers() -> Any:
        if process.poll() is not None:
            said = (folder / "demo.out").read_text(encoding="utf-8", errors="replace")
            raise ScadaError(f"the demo ended with status {process.returncode}: {said[-1000:]}")
        with suppress(OSError, HTTPException, ValueError):
            return health(ports[0])

    try:
        within(START_LIMIT_S, answers, "/healthz")
        yield Demo(process, time.monotonic() - began)
    finally:
        process.send_signal(signal.SIGTERM)             # it stops its children by itself
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ScadaError(f"the demo did not stop within {STOP_LIMIT_S:.0f} s") from None


def health(port: int) -> Any:
    with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
        return json.load(answer)


def part_of(said: Any, name: str) -> Any:
    return next(part for part in said["parts"] if part["part"] == name)


def within(limit_s: float, ask: Callable[[], Any], what: str) -> Any:
    """Ask until there is an answer."""
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        if answer := ask():
            return answer
        time.sleep(0.05)
    raise ScadaError(f"waited {limit_s:.0f} s in vain for {what}")
