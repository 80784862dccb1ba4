"""Starts the real server and the real simulated field as processes, and talks to them as a user would."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import yaml
from click.testing import CliRunner

from scada.cli import main
from scada.clock import TimeMap
from tests.nursery import Process
from tests.ports import free_ports

START_LIMIT_S = 60.0
PASSWORD = "a long enough password"


def wait_for(condition: Any, what: str, limit: float = START_LIMIT_S, every: float = 0.1) -> Any:
    """Poll until `condition()` is true; its value, or an AssertionError that names what was awaited."""
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        if value := condition():
            return value
        time.sleep(every)
    raise AssertionError(f"waited {limit:.0f} s in vain for {what}")


def run_here(*words: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
    """A `scada` command in this process, told like one of its own; what it sets for its files ends with it."""
    mask = os.umask(0o022)
    try:
        done = CliRunner().invoke(main, words, input=stdin)
    finally:
        os.umask(mask)
    failed = "" if done.exception is None or isinstance(done.exception, SystemExit) else "".join(
        traceback.format_exception(done.exception)
    )
    return subprocess.CompletedProcess(["scada", *words], done.exit_code, done.stdout, done.stderr + failed)


def run_apart(*words: str) -> "subprocess.CompletedProcess[str]":
    """A `scada` command as a process of its own, to its end."""
    return subprocess.run([sys.executable, "-m", "scada", *words], capture_output=True, text=True, timeout=120, check=False)


class Api:
    """A person at the HTTP API."""

    def __init__(self, base: str, token: str = "") -> None:
        self.base, self.token = base, token

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = Request(self.base + path, method=method, data=None if body is None else json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urlopen(request, timeout=15) as answer:
            return json.load(answer)


class Site:
    """A site in a folder: its configuration, its simulated district, its server."""

    def __init__(self, folder: Path, *, speed: float = 60.0, changes: dict[str, Any] | None = None, opcua: bool = False,
                 field: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.hmi_port, self.opcua_port, self.dmlp_port, self.modbus_port = free_ports(4)
        self.base = f"http://127.0.0.1:{self.hmi_port}"
        self.truth_file = folder / "truth.json"
        self.config = folder / "scada.yaml"
        self.speed, self.field_options = speed, field
        settings: dict[str, Any] = {
            "site": {"name": "Test", "title": "Test district", "timezone": "Europe/Chisinau"},
            "data_dir": "data",
            "clock": {"map_file": "clock.json", "trust": "assumed"},
            "registry": {"import_file": "site.yaml"},
            "dmesh": {"host": "127.0.0.1", "port": self.dmlp_port},
            "modbus": {"devices": [{"name": "T01-meter", "template": "eastron_sdm630", "host": "127.0.0.1",
                                    "port": self.modbus_port, "poll_seconds": 1, "ct_ratio": 40}]},
            "opcua": {"enabled": opcua, "port": self.opcua_port, "trust_any_client": True},
            "hmi": {"port": self.hmi_port},
            "dispatch": {"monitor_only": False},
        }
        for section, values in (changes or {}).items():
            settings[section] = {**settings.get(section, {}), **values} if isinstance(values, dict) else values
        self.config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        TimeMap(time.time_ns(), time.time_ns(), speed).save(folder / "clock.json")
        self.server: Process | None = None
        self.field: Process | None = None

    # ---------------------------------------------------------------- processes
    def scada(self, *words: str, stdin: str | None = None, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end, in this process: starting one takes longer than what it does."""
        done = run_here(*words, stdin=stdin)
        assert not check or done.returncode == 0, f"scada {' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def field_words(self) -> list[str]:
        return [
            "simulate", "--clock", str(self.folder / "clock.json"), "--server", f"127.0.0.1:{self.dmlp_port}",
            "--modbus-port", str(self.modbus_port), "--keys", str(self.folder / "field-keys.json"),
            "--truth", str(self.truth_file), *self.field_options,
        ]

    def prepare(self) -> None:
        """The site file, and the field's keys in the server's store."""
        self.scada(*self.field_words(), "--write-site", str(self.folder / "site.yaml"))
        links = [one["link_id"].lower() for one in yaml.safe_load((self.folder / "site.yaml").read_text())["concentrators"]]
        keys = self.folder / "field-keys.json"
        keys.touch(mode=0o600)
        keys.write_text(json.dumps({link: os.urandom(16).hex() for link in links}))
        self.scada("keys", "import", str(self.config), str(keys))

    def start_field(self) -> Process:
        self.field = Process(self.folder, "field", *self.field_words())
        return self.field

    def start_server(self, *, ready: bool = True, env: dict[str, str] | None = None, from_nothing: bool = False) -> Process:
        self.server = Process(self.folder, "server", "run", str(self.config), env=env, from_nothing=from_nothing)
        if ready:
            self.wait_ready()
        return self.server

    def start(self) -> "Site":
        self.prepare()
        self.start_field()
        self.start_server()
        return self

    def wait_ready(self) -> Any:
        def answers() -> Any:
            assert self.server is not None
            assert self.server.alive(), f"the server ended:\n{self.server.output[-4000:]}"
            return self.health()

        return wait_for(answers, "/healthz")

    def wait_field(self) -> None:
        """Both concentrators have called and the meter answers: what a page shows of them is there or on its way."""
        wait_for(
            lambda: self.figure("dmesh", "links_up") == 2 and self.figure("modbus", "answering") == 1,
            "the field", limit=120,
        )

    def close(self) -> None:
        """End both, the hard way if need be; for the end of a test."""
        for process in (self.server, self.field):
            if process is not None and process.alive():
                os.killpg(process.popen.pid, signal.SIGKILL)
                process.popen.wait()

    # ------------------------------------------------------------------- a user
    def health(self) -> Any:
        try:
            with urlopen(f"{self.base}/healthz", timeout=5) as answer:
                return json.load(answer)
        except (URLError, OSError, ValueError):
            return None

    def figure(self, part: str, name: str) -> float:
        """One figure of one part's health; NaN when it is not there."""
        said = self.health() or {"parts": []}
        return float(next((p["figures"].get(name, "nan") for p in said["parts"] if p["part"] == part), "nan"))

    def initial_password(self) -> str:
        assert self.server is not None
        found = re.search(r"one-time password (\S+)", self.server.output)
        assert found, self.server.output
        return found.group(1)

    def add_user(self, name: str, role: str) -> None:
        self.scada("users", "add", str(self.config), name, "--role", role, stdin=f"{PASSWORD}\n{PASSWORD}\n")

    def log_in(self, name: str, password: str = PASSWORD) -> Api:
        token = Api(self.base)("POST", "/api/v1/session", {"name": name, "password": password})["token"]
        return Api(self.base, token)

    def truth(self) -> Any:
        return json.loads(self.truth_file.read_text(encoding="utf-8"))
