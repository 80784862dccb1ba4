"""A concentrator that was written from docs/dmlp.md alone, in another language, at the real server: it delivers, answers and obeys."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from .harness import PASSWORD, Api, Site, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

PEER = Path(__file__).parents[1] / "drivers" / "dmesh" / "peer" / "concentrator.mjs"
LINK_ID = 0x0000C0DE
FIRST_EUI = 0xD1FC000000000001
HOUR_S = 3600
MODULES, CHANNELS, PER_RECORD = 3, 2, 4
PULSES_PER_KWH = 1000


@attrs.frozen
class Peer:
    """The Node process and the lines to it."""

    process: "subprocess.Popen[str]"

    def do(self, what: str, **words: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, **words}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return answer["ok"]

    def until(self, condition: Callable[[Any], Any], what: str) -> Any:
        """Its own account, once `condition` holds of it."""

        def look() -> Any:
            state = self.do("state")
            return state if condition(state) else None

        return wait_for(look, what, limit=30)


@contextmanager
def peer_process(folder: Path, port: int, link_key: str) -> Iterator[Peer]:
    node = shutil.which("node")
    assert node, "Node is missing: scripts install it for `make test`, or put `node` on the PATH"
    config = folder / "peer.json"
    config.write_text(json.dumps({
        "host": "127.0.0.1", "port": port, "link_id": LINK_ID, "link_key": link_key, "state": str(folder / "peer-state.json"),
        "reconnect_ms": [50, 200], "clock_offset_s": -86_400, "t1": 5, "t3": 5,
        "modules": [{"index": i + 1, "eui": f"{FIRST_EUI + i:016x}", "channels": CHANNELS, "adapter": "AD220/50"} for i in range(MODULES)],
    }))
    with (folder / "peer.log").open("w") as log:
        process = subprocess.Popen([node, str(PEER), str(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            yield Peer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)


def rows(first_register: int = 2**32 - 700) -> list[dict[str, Any]]:
    """A day of pulses of every channel; registers wrap, one channel needs four bytes a delta, some hours carry a status."""
    return [
        {
            "index": index, "channel": channel, "register": first_register + 10 * index + channel,
            "deltas": [(17 * index + 5 * channel + 3 * hour) % 400 + (70_000 if (index, channel) == (2, 1) else 0) for hour in range(24)],
            **({"status": [16 if hour == 7 else 0 for hour in range(24)]} if index == 3 else {}),
        }
        for index in range(1, MODULES + 1) for channel in range(CHANNELS)
    ]


def write_site(site: Site, link_key: str) -> None:
    """What exists: one concentrator, its modules, a meter on each channel, one load group."""
    euis = [f"{FIRST_EUI + i:016X}" for i in range(MODULES)]
    points = [(eui, channel, f"p{i + 1}-{channel}") for i, eui in enumerate(euis) for channel in range(CHANNELS)]
    (site.folder / "site.yaml").write_text(yaml.safe_dump({
        "concentrators": [{"name": "C01", "link_id": f"{LINK_ID:08X}", "area": "North"}],
        "modules": [{"eui": eui, "name": f"C01-{i + 1:03}", "concentrator": "C01", "index": i + 1, "state": "active", "channels": CHANNELS,
                     "adapter": "AD220/50"} for i, eui in enumerate(euis)],
        "points": [{"name": name, "medium": "electricity"} for _, _, name in points],
        "meters": [{"serial": name, "point": name, "eui": eui, "channel": channel, "pulses_per_unit": PULSES_PER_KWH,
                    "valid_from": "2020-01-01T00:00Z"} for eui, channel, name in points],
        "loads": [{"eui": eui, "load_class": "green", "rated_w": 2000} for eui in euis],
        "load_groups": [{"name": "LG-BOILERS", "number": 1, "load_class": "green", "area": "North", "min_on_s": 1, "members": euis}],
    }))
    keys = site.folder / "keys.json"
    keys.touch(mode=0o600)
    keys.write_text(json.dumps({f"{LINK_ID:08x}": link_key}))
    site.scada("keys", "import", str(site.config), str(keys))


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    made = make_site(speed=1.0, changes={
        "modbus": {"devices": []}, "dmesh": {"credit": 4},
        "dispatch": {"monitor_only": False, "without_transformer": True, "restore_jitter_s": 0},
    })
    return made


def test_it(site: Site) -> None:
    link_key = os.urandom(16).hex()
    write_site(site, link_key)
    site.add_user("ana", "engineer")
    site.add_user("dan", "dispatcher")
    site.start_server()
    first_hour = (int(time.time()) // 86_400 - 1) * 24
    with peer_process(site.folder, site.dmlp_port, link_key) as peer:
        peer.do("day", first_hour=first_hour, per_record=PER_RECORD, rows=rows(), deflated=True, hole={"index": 1, "hour": 8})
        peer.do("cutAt", cursor=14)
        peer.do("dial")
        try:
            s = peer.until(lambda state: state["archive"]["acknowledged"] == 36 and state["events"]["acknowledged"], "archive")
        except AssertionError:
            print(peer.do("state"))
            raise
        finally:
            print((site.folder / "peer.log").read_text())
            print(site.server.output[-3000:])
        print(s)
        time.sleep(3)
        ana = site.log_in("ana")
        task = ana("POST", "/api/v1/reads", {"modules": ["C01-001", "C01-002", "C01-003"], "within_s": 900})
        for _ in range(20):
            time.sleep(0.5)
            t = ana("GET", f"/api/v1/reads/{task['id']}")
            if t["state"] == "done": break
        print(t)
        selection = ana("POST", "/api/v1/dispatch/select", {"group": "LG-BOILERS", "off_for_s": 3, "reason": "test"})
        print(selection)
        command = ana("POST", "/api/v1/dispatch/execute", {"selection": selection["id"]})
        for _ in range(20):
            time.sleep(0.5)
            c = ana("GET", f"/api/v1/dispatch/commands/{command['id']}")
            if c["state"] == "closed": break
        print(c)
        print(peer.do("state"))
        print(site.scada("keys", "rotate", str(site.config), f"{LINK_ID:08x}").stdout)
        time.sleep(4)
        print(site.scada("keys", "list", str(site.config)).stdout)
        peer.do("cut")
        time.sleep(2)
        print(peer.do("state"))
        print(site.scada("keys", "list", str(site.config)).stdout)
        print(site.scada("read", str(site.config), "p1-0", "--json").stdout)
        print(site.scada("read", str(site.config), "p2-1", "--json").stdout)
        print(site.server.output[-6000:])
        print((site.folder / "peer.log").read_text())
        print([x for x in site.health()["parts"] if x["part"].startswith("dmesh")])
        assert 0
