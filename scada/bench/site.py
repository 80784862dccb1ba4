"""A bare server process in a temporary folder, for measurements that want the real thing."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from scada.errors import StartError

PATIENCE_S: Final = 60.0


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def scada(folder: Path, name: str, *words: str) -> "subprocess.Popen[bytes]":
    """One of our own commands as a process; what it says goes to a file in the folder."""
    with (folder / f"{name}.log").open("ab") as output:
        return subprocess.Popen([sys.executable, "-m", "scada", *words], stdout=output, stderr=subprocess.STDOUT)


def write_config(folder: Path, sections: Mapping[str, Any]) -> Path:
    path = folder / "scada.yaml"
    path.write_text(yaml.safe_dump({"site": {"name": "Bench"}, "data_dir": "data", **sections}), encoding="utf-8")
    return path


def import_keys(folder: Path, config: Path, keys: Mapping[int, bytes]) -> None:
    """Give the server the link keys, as an administrator would."""
    file = folder / "keys.json"
    file.write_text(json.dumps({f"{link:08x}": key.hex() for link, key in keys.items()}), encoding="ascii")
    if scada(folder, "keys", "keys", "import", str(config), str(file)).wait() != 0:
        raise StartError("bench", "the keys could not be imported", f"see {folder / 'keys.log'}")


def wait_ready(folder: Path, process: "subprocess.Popen[bytes]", port: int) -> float:
    """Wait until /healthz answers; how long it took. [s]"""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        if process.poll() is not None:
            raise StartError("bench", "the server ended", (folder / "server.log").read_text(encoding="utf-8")[-2000:])
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
                json.load(answer)
                return time.monotonic() - began
        except (URLError, OSError, ValueError):
            time.sleep(0.02)
    raise StartError("bench", f"the server did not answer within {PATIENCE_S:.0f} s")
