"""What the utility's own SCADA sees: two independent OPC UA clients at the real server above the real simulated field."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from scada.simulate.truth import read_truth
from tests.opcua_server.clients import NodeClient, asyncua_client, node_client
from tests.opcua_server.conftest import Identity, make_identity

from .harness import PASSWORD, Site, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

POWER = "ns=2;s=T01-meter/power_active_l1"
LOADING = "ns=2;s=T01/loading"
WATT, VOLT, KWH = 5723220, 5655636, 4937544            # UN/CEFACT, as docs/opcua.md prints them


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("opcua"), speed=60.0, opcua=True, field=("--history", "2"))
    made.prepare()
    for name, role in (("dana", "dispatcher"), ("vera", "viewer")):
        made.add_user(name, role)
    made.start_field()
    start(made)
    yield made
    made.close()


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_identity(tmp_path_factory.mktemp("client"), "client")


@pytest.fixture
def node(site: Site, identity: Identity, tmp_path: Path) -> Iterator[NodeClient]:
    """node-opcua, logged in as the dispatcher."""
    with node_client(tmp_path, url(site), identity, user="dana", password=PASSWORD) as one:
        yield one


def start(site: Site) -> None:
    """The OPC UA process listens some seconds after the pages do."""

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", site.opcua_port), 1).close()
        except OSError:
            return False
        return True

    site.start_server()
    wait_for(listens, "the OPC UA server")


def url(site: Site) -> str:
    return f"opc.tcp://127.0.0.1:{site.opcua_port}/"


def asyncua_at(site: Site, identity: Identity, user: str = "dana") -> Any:
    return asyncua_client(url(site), identity, user=user, password=PASSWORD)


class Heard:
    """Collects what a subscription delivers: node id -> data values."""

    def __init__(self) -> None:
        self.values: dict[str, list[ua.DataValue]] = {}

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values.setdefault(node.nodeid.to_string(), []).append(data.monitored_item.Value)


async def until(condition: Any, what: str, seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")


async def children(client: Client, node_id: str) -> dict[str, str]:
    found = await client.get_node(node_id).get_children()
    return {(await one.read_browse_name()).Name: one.nodeid.to_string() for one in found}


async def tree(client: Client) -> dict[str, str]:
    """Everything below the site that a person would browse to: path -> node id."""
    found: dict[str, str] = {}
    for path, node_id in (("", "ns=2;s=/"), ("Transformer/", "ns=2;s=/Transformer"), ("T01/", "ns=2;s=T01"),
                          ("T01-meter/", "ns=2;s=T01-meter"), ("C01/", "ns=2;s=C01"), ("C01-005/", "ns=2;s=C01-005"),
                          ("C01-005.ch0/", "ns=2;s=C01-005.ch0"), ("Dispatch/", "ns=2;s=/Dispatch")):
        found |= {path + name: one for name, one in (await children(client, node_id)).items()}
    return found


def good(value: dict[str, Any]) -> bool:
    return bool(value["status"] == "Good" and value["value"] is not None)


def test_two_clients_find_the_same_transformers_and_channels(site: Site, identity: Identity, node: NodeClient) -> None:
    """Site, transformer, its meter, its tags; site, concentrator, module, channel."""

    async def run() -> dict[str, str]:
        async with asyncua_at(site, identity) as client:
            assert (await children(client, "i=85"))["Test"] == "ns=2;s=/"
            return await tree(client)

    wait_for(lambda: len(node.do("browse", id="ns=2;s=C01-005")) > 3, "the module's channels")
    found = asyncio.run(run())
    by_node = {
        path: {one["id"] for one in node.do("browse", id=node_id)}
        for path, node_id in (("T01", "ns=2;s=T01-meter"), ("C01", "ns=2;s=C01"), ("module", "ns=2;s=C01-005"))
    }

    assert {"Transformer", "C01", "C02", "Dispatch"} <= found.keys()
    assert {"Transformer/T01", "T01/T01-meter", "T01/loading", "T01/imbalance_i2_i1"} <= found.keys()
    beside = ("-sensors", "-collection", "-network", "-time")       # devices of the concentrator, not modules
    assert sum(path.startswith("C01/C01-") and not path.endswith(beside) for path in found) == 60
    assert {one for path, one in found.items() if path.startswith("T01-meter/")} <= by_node["T01"]
    assert {one for path, one in found.items() if path.startswith("C01/C01-")} <= by_node["C01"]
    assert {"ns=2;s=C01-005/battery", "ns=2;s=C01-005.ch0"} <= by_node["module"]
    assert "C01-005.ch0/register" in found, [path for path in found if path.startswith("C01-005")]


def test_values_are_read_with_units_and_status(site: Site, identity: Identity, node: NodeClient) -> None:
    """Both clients read a good number; its unit is the one an integrator expects."""
    wait_for(lambda: good(node.do("read", ids=[POWER])[0]), "the meter to be good")
    volts, energy = node.do("read", ids=["ns=2;s=T01-meter/voltage_l1_n", "ns=2;s=T01-meter/energy_import"])

    async def run() -> tuple[ua.DataValue, Any]:
        async with asyncua_at(site, identity) as client:
            unit = client.get_node(f"{POWER}#EngineeringUnits")
            return await client.get_node(POWER).read_data_value(), await unit.get_value()

    power, unit = asyncio.run(run())

    assert power.StatusCode.is_good()
    assert 100 < power.Value.Value < 200_000
    assert power.SourceTimestamp is not None
    assert 200 < volts["value"] < 260
    assert energy["value"] > 0
    assert unit.UnitId == WATT
    assert node.do("unit", id="ns=2;s=T01-meter/voltage_l1_n")["unitId"] == VOLT
    assert node.do("unit", id="ns=2;s=T01-meter/energy_import")["unitId"] == KWH


def test_a_subscription_hears_the_values_change(site: Site, identity: Identity, node: NodeClient) -> None:
    """Every second the meter is polled; measured and derived tags arrive at both clients."""
    node.do("subscribe", ids=[POWER, LOADING])

    async def run() -> Heard:
        async with asyncua_at(site, identity) as client:
            heard = Heard()
            subscription = await client.create_subscription(100, heard)
            await subscription.subscribe_data_change([client.get_node(POWER), client.get_node(LOADING)])
            await until(
                lambda: all(len({one.Value.Value for one in heard.values.get(tag, ())}) >= 3 for tag in (POWER, LOADING)),
                "three different values of each",
            )
            return heard

    asyncio.run(run())

    def told() -> bool:
        seen = node.do("seen")
        return all(len({one["value"] for one in seen if one["id"] == tag}) >= 3 for tag in (POWER, LOADING))

    wait_for(told, "three different values of each at node-opcua")


def test_a_dispatcher_sheds_over_opc_ua_and_a_viewer_does_not(site: Site, identity: Identity, node: NodeClient) -> None:
    """The method goes to the desk as the user who is logged in; the truth file says what was switched."""
    wait_for(lambda: good(node.do("read", ids=[LOADING])[0]), "the transformer's data")
    shed = [["String", "LG-EV"], ["UInt32", 600], ["String", "peak"]]

    async def as_viewer() -> str:
        async with asyncua_at(site, identity, "vera") as client:
            method = ua.CallMethodRequest()
            method.ObjectId = ua.NodeId.from_string("ns=2;s=/Dispatch")
            method.MethodId = ua.NodeId.from_string("ns=2;s=/Dispatch/ShedGroup")
            method.InputArguments = [
                ua.Variant("LG-EV", ua.VariantType.String), ua.Variant(600, ua.VariantType.UInt32),
                ua.Variant("peak", ua.VariantType.String),
            ]
            (result,) = await client.uaclient.call([method])
            return str(result.StatusCode.name)

    refused = asyncio.run(as_viewer())
    nobody = read_truth(site.truth_file).loads
    red = node.do("call", method="ShedGroup", args=[["String", "LG-MIXED"], ["UInt32", 300], ["String", ""]])
    why = node.do("call", method="WhyRefused", args=[])
    called = node.do("call", method="ShedGroup", args=shed)
    command = called["outputs"][0]
    off = wait_for(
        lambda: {eui for eui, on, _ in read_truth(site.truth_file).loads if not on}, "a load to be switched off"
    )

    def answered() -> Any:
        said = node.do("call", method="CommandState", args=[["String", command]])["outputs"]
        return said if said[1] >= len(off) else None

    state = wait_for(answered, "the modules' answers")

    assert refused == "BadUserAccessDenied"
    assert nobody == []
    assert red["status"] == "BadRequestNotAllowed"
    assert "protected" in why["outputs"][0]
    assert called["status"] == "Good"
    assert len(off) >= 1
    assert state[0] in ("collecting", "active")


def test_node_ids_outlive_a_restart(site: Site, identity: Identity) -> None:
    """Tags that an integrator mapped yesterday are the same today."""

    async def browsed() -> dict[str, str]:
        async with asyncua_at(site, identity) as client:
            return await tree(client)

    before = asyncio.run(browsed())
    assert site.server is not None
    assert site.server.stop() == 0
    start(site)
    wait_for(lambda: asyncio.run(reads_good(site, identity)), "the meter after the restart", every=0.5)

    wait_for(lambda: before.items() <= asyncio.run(browsed()).items(), f"the same tree as before: {before}", every=0.5)


async def reads_good(site: Site, identity: Identity) -> bool:
    try:
        async with asyncua_at(site, identity) as client:
            return bool((await client.get_node(POWER).read_data_value(raise_on_bad_status=False)).StatusCode.is_good())
    except (OSError, ua.UaError):
        return False


def test_when_the_field_is_killed_its_tags_arrive_as_bad(site: Site, identity: Identity, node: NodeClient) -> None:
    """Nobody has to ask: a subscription tells it, and a number is not sent with it."""
    tags = [POWER, LOADING]
    wait_for(lambda: all(good(one) for one in node.do("read", ids=tags)), "good values")
    node.do("subscribe", ids=tags)

    async def run() -> Heard:
        async with asyncua_at(site, identity) as client:
            heard = Heard()
            subscription = await client.create_subscription(100, heard)
            await subscription.subscribe_data_change([client.get_node(tag) for tag in tags])
            await until(lambda: all(heard.values.get(tag) for tag in tags), "first values")
            assert site.field is not None
            site.field.kill()
            await until(
                lambda: all(heard.values[tag][-1].StatusCode.is_bad() for tag in tags), "Bad for measured and derived"
            )
            return heard

    heard = asyncio.run(run())

    def told() -> bool:
        seen = node.do("seen")
        return all([one for one in seen if one["id"] == tag][-1]["status"].startswith("Bad") for tag in tags)

    wait_for(told, "Bad at node-opcua")
    assert {heard.values[tag][-1].Value.Value for tag in tags} == {None}
