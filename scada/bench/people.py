"""What people ask of a server while it is measured: one live stream, one page a second."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from scada.errors import ScadaError

PAGE_EVERY_S: Final = 1.0
PAGE: Final = "/transformers/T01"
STREAM: Final = "/live?tags=T01-meter/power_active_total,T01-meter/voltage_l1_n,server.process/longest_turn"
PERSON: Final = "bench"


class Load:
    """What people ask of the server meanwhile: one live stream, one page a second."""

    def __init__(self, base: str, password: str) -> None:
        body = json.dumps({"name": PERSON, "password": password}).encode()
        log_in = Request(f"{base}/api/v1/session", body, {"Content-Type": "application/json"})
        with urlopen(log_in, timeout=15) as answer:
            self._headers = {"Authorization": f"Bearer {json.load(answer)['token']}"}
        self._base = base
        self.pages = self.updates = 0
        self.slowest_s = 0.0

    def run(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        stream = threading.Thread(target=self._listen, args=(ends,), daemon=True)
        stream.start()
        while (left := ends - time.monotonic()) > 0:
            began = time.monotonic()
            with urlopen(Request(self._base + PAGE, headers=self._headers), timeout=15) as answer:
                answer.read()
            took = time.monotonic() - began
            self.pages, self.slowest_s = self.pages + 1, max(self.slowest_s, took)
            time.sleep(max(0.0, min(PAGE_EVERY_S - took, left)))
        stream.join(PAGE_EVERY_S)

    def _listen(self, ends: float) -> None:
        with suppress(OSError), urlopen(Request(self._base + STREAM, headers=self._headers), timeout=15) as answer:
            while time.monotonic() < ends and (line := answer.readline()):
                self.updates += line.startswith(b"data:")


def person_of(folder: Path) -> str:
    """Somebody who may look at pages: a viewer of our own; returns the password."""
    added = subprocess.run(
        [sys.executable, "-m", "scada", "users", "add", str(folder / "scada.yaml"), PERSON, "--role", "viewer"],
        input=f"{(secret := os.urandom(12).hex())}\n", capture_output=True, text=True, check=False,
    )
    if added.returncode != 0:
        raise ScadaError(f"no account could be made: {added.stderr.strip()}")
    return secret
