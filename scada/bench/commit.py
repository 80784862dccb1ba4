"""How fast readings go from TCP to durable: the real server process, fed by concentrators with full archives."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import yaml

from scada.bench import Figure
from scada.bench.site import free_ports, import_keys, scada, wait_ready, write_config

CONCENTRATORS: Final = 8
MODULES: Final = 240
CHANNELS: Final = 3
DAYS: Final = 10
FIRST_LINK: Final = 0xBE000001


def measure() -> list[Figure]:
    """
    Readings per second from the first session to the last acknowledgement, on both cores.

    Eight subnets of 240 modules with three channels deliver ten days of hours each, as fast as credit allows; sealed,
    deflated, in frames of 4,096 bytes. Discovery of the 1,920 modules runs at the same time.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hmi, dmlp = free_ports(2)
        links = [FIRST_LINK + number for number in range(CONCENTRATORS)]
        (folder / "site.yaml").write_text(yaml.safe_dump({
            "concentrators": [{"name": f"C{number:02d}", "link_id": f"{link:08x}"} for number, link in enumerate(links)]
        }), encoding="utf-8")
        config = write_config(folder, {
            "registry": {"import_file": "site.yaml"}, "dmesh": {"host": "127.0.0.1", "port": dmlp},
            "hmi": {"port": hmi}, "opcua": {"enabled": False},
        })
        import_keys(folder, config, {link: key_of(link) for link in links})
        server = scada(folder, "server", "run", str(config))
        try:
            wait_ready(folder, server, hmi)
            load_words = [sys.executable, "-m", "scada.bench.load", str(dmlp)]
            said = subprocess.run(load_words, capture_output=True, text=True, check=True, timeout=300)
        finally:
            server.terminate()
            server.wait(30)
    load = json.loads(said.stdout)
    what = f"TCP to durable commit, {CONCENTRATORS} x {MODULES * CHANNELS} channels x {DAYS * 24} h"
    return [
        Figure("tcp_commit", what, load["readings"] / load["seconds"], "readings/s"),
        Figure("tcp_commit_wire", what, load["bytes"] / load["seconds"] / 1e6, "MB/s"),
    ]


def key_of(link: int) -> bytes:
    """Any key will do; both sides make it from the link id."""
    return link.to_bytes(4, "big") * 4
