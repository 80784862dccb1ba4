"""A real InfluxDB 1.6 for the tests: Debian's `influxd`, on loopback, with a configuration and a folder of its own."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.ports import free_port

ROOT = Path(__file__).parent.parent
START_SECONDS = 60.0

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{dir}/meta"
[data]
  dir = "{dir}/data"
  wal-dir = "{dir}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
[continuous_queries]
  enabled = false
[logging]
  level = "error"
"""


def influxd() -> str:
    """Path of the server; a missing one is a failure that names the command to run, never a skip."""
    for candidate in (shutil.which("influxd"), "/usr/bin/influxd", ROOT / ".cache/debian/usr/bin/influxd"):
        if candidate and os.access(candidate, os.X_OK):
            return str(candidate)
    raise AssertionError("no influxd: run scripts/debian-packages.sh (root), or scripts/debian-packages.sh --unpack")


class Influx:
    """One server; stopped, killed and started again on the same port and folder."""

    def __init__(self, directory: Path, *, auth: bool = False) -> None:
        self.directory, self.auth = directory, auth
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "influxdb.conf"
        auth = "true" if self.auth else "false"
        config.write_text(_CONFIG.format(dir=self.directory, port=self.port, rpc=free_port(), auth=auth))
        with (self.directory / "influxd.log").open("ab") as log:
            self._process = subprocess.Popen([influxd(), "run", "-config", str(config)], stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"influxd did not start: {(self.directory / 'influxd.log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def query(self, text: str, database: str = "scada", user: str = "", password: str = "") -> list[dict[str, Any]]:
        """Series of the first result; an error in an answer of status 200 is raised."""
        data = urllib.parse.urlencode({"q": text, "db": database, "epoch": "ms"}).encode()
        request = urllib.request.Request(f"{self.url}/query", data=data)
        if user:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            result = json.load(answer)["results"][0]
        if "error" in result:
            raise AssertionError(result["error"])
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def points(self, measurement: str, tag: str, **login: str) -> dict[tuple[str, int], tuple[float | None, float | None]]:
        """(tag value, time [ms]) -> (v, q) of a whole measurement."""
        found = {}
        for series in self.query(f'SELECT * FROM "{measurement}" GROUP BY "{tag}"', **login):
            places = {name: place for place, name in enumerate(series["columns"])}
            for row in series["values"]:
                value, quality = (row[places[name]] if name in places else None for name in ("v", "q"))
                found[series["tags"][tag], row[0]] = (value, quality)
        return found

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/ping", timeout=1).close()
        except (urllib.error.URLError, OSError):
            return False
        return True
