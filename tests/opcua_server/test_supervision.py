"""The server process as somebody else's child: started, fed, restarted, and gone when its parent is gone."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from asyncua import ua

from scada.opcua_server.child import environment
from tests.leftovers import living
from tests.opcua_server.clients import asyncua_client
from tests.opcua_server.conftest import METER, MODULE, TRANSFORMER, Identity, Site, running, trust

POWER = "ns=2;s=T01-meter/power_active_l1"


async def tree(site: Site, identity: Identity) -> dict[str, str]:
    """Every node of the site with its browse name."""
    found: dict[str, str] = {}

    async def walk(node: Any) -> None:
        found[node.nodeid.to_string()] = (await node.read_browse_name()).Name or ""
        for child in await node.get_children():
            if child.nodeid.NamespaceIndex == 2:
                await walk(child)

    async with asyncua_client(site.url, identity) as client:
        await walk(client.get_node("ns=2;s=/"))
    return found


async def value_of(site: Site, identity: Identity, node: str) -> ua.DataValue:
    async with asyncua_client(site.url, identity) as client:
        return await client.get_node(node).read_data_value(raise_on_bad_status=False)


def test_a_killed_process_comes_back_with_its_ids_and_its_values(tmp_path: Path, identity: Identity) -> None:
    """kill -9: health says so, another process starts, every node id is the same and the last values are there."""
    trust(tmp_path, identity)
    with running(tmp_path, [METER, TRANSFORMER, MODULE]) as site:
        site.do("publish", device="T01-meter", values=[4711.0, 1.0, 1.0])
        before, first = asyncio.run(tree(site, identity)), site.do("pid")
        os.kill(first, signal.SIGKILL)
        site.until(lambda: not site.do("health")["ok"])
        assert "signal 9" in site.do("health")["text"]
        site.do("publish", device="T01", values=[12.5])    # while nobody listens

        site.until(lambda: site.do("health")["ok"])
        assert site.do("pid") != first
        assert site.do("health")["figures"]["restarts"] == 1
        assert asyncio.run(tree(site, identity)) == before
        assert asyncio.run(value_of(site, identity, POWER)).Value.Value == 4711.0
        assert asyncio.run(value_of(site, identity, "ns=2;s=T01/phase_imbalance")).Value.Value == 12.5


def test_a_process_that_hangs_is_replaced(tmp_path: Path, identity: Identity) -> None:
    """A stopped process gives no sign of life: it is ended and started again (the limit is shortened for the test)."""
    trust(tmp_path, identity)
    with running(tmp_path, [METER], silent_s=8.0) as site:
        first = site.do("pid")
        os.kill(first, signal.SIGSTOP)

        site.until(lambda: site.do("pid") not in {first, None} and site.do("health")["ok"], seconds=60)


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    """kill -9 of the main process leaves nobody behind."""
    with running(tmp_path, [METER]) as site:
        child = psutil.Process(site.do("pid"))
        site.process.kill()
        site.process.wait()

        ends = time.monotonic() + 10
        while living([child]) and time.monotonic() < ends:
            time.sleep(0.05)
        assert living([child]) == []


def test_stop_is_quick_with_a_client_attached(tmp_path: Path, identity: Identity) -> None:
    """A subscribed client does not hold the server up."""
    trust(tmp_path, identity)

    class Ignore:
        def datachange_notification(self, *_: Any) -> None:
            """Nothing to do: the subscription only has to exist."""

    async def run(site: Site) -> float:
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(asyncua_client(site.url, identity))
            subscription = await client.create_subscription(50, Ignore())
            await subscription.subscribe_data_change(client.get_node(POWER))
            began = time.monotonic()
            await asyncio.to_thread(site.do, "stop")
            took = time.monotonic() - began
            stack.pop_all()
            with contextlib.suppress(Exception):
                await client.disconnect()
            return took

    with running(tmp_path, [METER]) as site:
        assert asyncio.run(run(site)) < 4.0                # STOP_WITHIN_S is 5: it was not killed
        assert site.do("health") == {
            "ok": False, "text": "stopped", "figures": {"restarts": 0.0, "values_sent": 0.0, "values_merged": 0.0}
        }


def test_a_port_in_use_is_a_clear_sentence(tmp_path: Path) -> None:
    """Before any process is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(tmp_path, [METER], port=port, start=False) as site:
            with pytest.raises(RuntimeError) as refusal:
                site.do("start")
            assert site.do("pid") is None

    assert str(refusal.value) == (
        f"opcua: cannot listen on 127.0.0.1 port {port}: Address already in use (change opcua.host or opcua.port)"
    )


def test_a_key_that_cannot_be_read_is_a_start_error_with_the_reason(tmp_path: Path) -> None:
    """What the process says last is what the operator reads."""
    folder = tmp_path / "opcua"
    folder.mkdir()
    (folder / "server.der").write_bytes(b"not a certificate")
    (folder / "server.pem").write_bytes(b"not a key")
    with running(tmp_path, [METER], start=False) as site, pytest.raises(RuntimeError) as refusal:
        site.do("start")

    assert "the OPC UA process could not start: exit code 1; ValueError" in str(refusal.value)


def test_a_process_that_reads_slowly_gets_the_latest_values(tmp_path: Path, identity: Identity) -> None:
    """A stopped reader costs no memory: values that wait are replaced by newer ones, and counted; then all is well."""
    many = {"name": "BIG", "tags": [{"point": f"p{number}"} for number in range(1500)]}
    trust(tmp_path, identity)
    with running(tmp_path, [METER, many]) as site:
        os.kill(site.do("pid"), signal.SIGSTOP)
        site.do("flood", device="BIG", times=200)
        site.until(lambda: site.do("health")["figures"]["values_merged"] > 0)
        os.kill(site.do("pid"), signal.SIGCONT)

        site.until(lambda: asyncio.run(value_of(site, identity, "ns=2;s=BIG/p7")).Value.Value == 0.0)
        assert site.do("health")["figures"]["restarts"] == 0


def test_the_process_inherits_no_secret() -> None:
    """Tokens and the master key come by environment variables; the process that faces the network gets none."""
    ours = {"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "x", "SCADA_MASTER_KEY": "00", "INFLUX_TOKEN": "t", "LANG": "C"}

    assert environment(ours) == {"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "x", "LANG": "C"}


def test_ten_thousand_tags_start_in_seconds(tmp_path: Path, identity: Identity) -> None:
    """A site of the planned size is served whole: every tag there, the last one with its value."""
    devices = [
        {"name": f"D{number:03}", "path": [f"G{number % 10}"], "tags": [{"point": f"p{i}", "unit": "W"} for i in range(50)]}
        for number in range(200)
    ]
    trust(tmp_path, identity)
    with running(tmp_path, devices) as site:
        site.do("publish", device="D199", values=[float(i) for i in range(50)])
        assert site.do("health")["figures"]["tags"] == 10_000

        site.until(lambda: asyncio.run(value_of(site, identity, "ns=2;s=D199/p49")).Value.Value == 49.0)
