"""Starts `tests.hmi.world` on a free port and makes sure that it is gone afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.ports import free_port

ROOT = Path(__file__).parents[2]


@attrs.frozen
class Served:
    process: "subprocess.Popen[str]"
    port: int
    said: str  # its first line: READY, or why not

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self, limit_s: float) -> str:
        """Ask it to end, as Ctrl-C does; returns what it said meanwhile. Raises `TimeoutExpired` if it hangs."""
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=limit_s)
        return said


@contextmanager
def served(*options: str, port: int | None = None) -> Iterator[Served]:
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hmi.world", str(port), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        yield Served(process, port, process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
