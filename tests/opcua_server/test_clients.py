"""What an integrator sees, through two clients that share no code with each other."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from tests.opcua_server.clients import NodeClient, asyncua_client, node_client
from tests.opcua_server.conftest import METER, Identity, Site

POWER = "ns=2;s=T01-meter/power_active_l1"
POINTS = [tag["point"] for tag in METER["tags"]]


class Heard:
    """Collects what a subscription delivers."""

    def __init__(self) -> None:
        self.values: list[ua.DataValue] = []

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values.append(data.monitored_item.Value)


async def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait until a condition holds; fails when it never does."""
    for _ in range(int(seconds * 20)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("did not happen")


@pytest.fixture(scope="module")
def node(site: Site, identity: Identity, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeClient]:
    """One node-opcua client, logged in as the dispatcher."""
    with node_client(tmp_path_factory.mktemp("node"), site.url, identity) as one:
        yield one


async def children(client: Client, node_id: str) -> dict[str, str]:
    found = await client.get_node(node_id).get_children()
    return {(await one.read_browse_name()).Name: one.nodeid.to_string() for one in found}


def test_the_tree_leads_from_the_site_to_every_tag(site: Site, identity: Identity) -> None:
    """Objects / site / transformer / meter / tag, and modules below their concentrator's folder."""

    async def run() -> None:
        async with asyncua_client(site.url, identity) as client:
            assert (await children(client, "i=85"))["Demo"] == "ns=2;s=/"
            assert {"T01", "C01", "Dispatch"} <= set(await children(client, "ns=2;s=/"))
            assert (await children(client, "ns=2;s=T01"))["T01-meter"] == "ns=2;s=T01-meter"
            assert (await children(client, "ns=2;s=/C01")) == {"C01-017": "ns=2;s=C01-017"}
            assert (await children(client, "ns=2;s=T01-meter")) == {
                point: f"ns=2;s=T01-meter/{point}" for point in POINTS
            }

    asyncio.run(run())


def test_our_namespace_has_index_two(site: Site, identity: Identity) -> None:
    """Integrators map ids with their index: 1 is the application's, 2 is the site's, for ever."""

    async def run() -> list[str]:
        async with asyncua_client(site.url, identity) as client:
            return list(await client.get_namespace_array())

    assert asyncio.run(run()) == ["http://opcfoundation.org/UA/", "urn:scada:opcua:server", "urn:scada:site"]


def test_a_value_has_its_status_and_both_timestamps(site: Site, identity: Identity) -> None:
    """The source timestamp is the batch's; the server's is ours; an uncertain value keeps its number."""
    at = 1_767_261_600_123_456_000
    site.do("publish", device="T01-meter", values=[1500.5, 12.0, None], quality=[0, 16, 36], at=at)

    async def run() -> list[ua.DataValue]:
        async with asyncua_client(site.url, identity) as client:
            nodes = [client.get_node(f"ns=2;s=T01-meter/{point}") for point in POINTS]
            while True:
                read = await client.read_attributes(nodes)
                if read[0].Value.Value == 1500.5:
                    return list(read)

    good, uncertain, bad = asyncio.run(run())
    assert good.StatusCode.value == 0
    assert good.SourceTimestamp.isoformat() == "2026-01-01T10:00:00.123456+00:00"
    assert good.ServerTimestamp.year >= 2026
    assert (uncertain.Value.Value, uncertain.StatusCode.name) == (12.0, "UncertainLastUsableValue")
    assert (bad.Value.Value, bad.StatusCode.name) == (None, "BadSensorFailure")


def test_units_and_range_are_properties(site: Site, identity: Identity) -> None:
    """EngineeringUnits with the UN/CEFACT number (W is WTT), EURange from the physical range."""

    async def run() -> tuple[Any, Any, str]:
        async with asyncua_client(site.url, identity) as client:
            unit = await client.get_node(f"{POWER}#EngineeringUnits").read_value()
            span = await client.get_node(f"{POWER}#EURange").read_value()
            return unit, span, (await client.get_node(POWER).read_display_name()).Text or ""

    unit, span, shown = asyncio.run(run())
    assert (unit.DisplayName.Text, unit.UnitId) == ("W", 5723220)
    assert (span.Low, span.High) == (-1e6, 1e6)
    assert shown == "Active power L1"


def test_asyncua_hears_a_value_go_stale_as_bad(site: Site, identity: Identity) -> None:
    """The meter falls silent, the bus marks it stale, the subscriber is told BadNoCommunication without a number."""

    async def run() -> list[ua.DataValue]:
        heard = Heard()
        async with asyncua_client(site.url, identity) as client:
            subscription = await client.create_subscription(100, heard)
            await subscription.subscribe_data_change(client.get_node(POWER))
            await asyncio.to_thread(site.do, "publish", device="T01-meter", values=[777.0, 1.0, 1.0])
            await until(lambda: any(one.Value.Value == 777.0 for one in heard.values))
            await asyncio.to_thread(site.until, lambda: site.do("sweep"))
            await until(lambda: heard.values[-1].StatusCode.name == "BadNoCommunication")
        return heard.values

    values = asyncio.run(run())
    assert values[-1].Value is None or values[-1].Value.Value is None


def test_a_subscriber_with_a_deadband_hears_it_too(site: Site, identity: Identity) -> None:
    """A drift adds up until it passes the deadband, and a value that goes bad is always told."""

    async def run() -> list[float | str]:
        heard = Heard()
        async with asyncua_client(site.url, identity) as client:
            subscription = await client.create_subscription(50, heard)
            await asyncio.to_thread(site.do, "publish", device="T01-meter", values=[0.0, 1.0, 1.0])
            await asyncio.sleep(0.2)
            await subscription.deadband_monitor(client.get_node(POWER), 1.0, ua.DeadbandType.Absolute)
            for step in range(1, 7):
                await asyncio.to_thread(site.do, "publish", device="T01-meter", values=[step * 0.5, 1.0, 1.0])
                await asyncio.sleep(0.1)
            await asyncio.to_thread(site.do, "disconnected", device="T01-meter")
            await until(lambda: heard.values[-1].StatusCode.name == "BadNotConnected")
        return [one.StatusCode.name if one.StatusCode.is_bad() else one.Value.Value for one in heard.values]

    assert asyncio.run(run()) == [0.0, 1.5, 3.0, "BadNotConnected"]


def test_a_percent_deadband_is_refused_not_ignored(site: Site, identity: Identity) -> None:
    """Better no subscription than one that does something else than asked."""

    async def run() -> None:
        async with asyncua_client(site.url, identity) as client:
            subscription = await client.create_subscription(100, Heard())
            with pytest.raises(ua.UaStatusCodeError, match="filter"):
                await subscription.deadband_monitor(client.get_node(POWER), 1.0, ua.DeadbandType.Percent)

    asyncio.run(run())


def test_tags_are_read_only(site: Site, identity: Identity) -> None:
    """Nobody writes a tag over OPC UA, the administrator included."""

    async def run() -> None:
        async with asyncua_client(site.url, identity) as client:
            with pytest.raises(ua.UaStatusCodeError):
                await client.get_node(POWER).write_value(1.0)

    asyncio.run(run())


def test_a_device_that_appears_at_runtime_is_there_at_once(site: Site, identity: Identity) -> None:
    """Plug and play: a new module and its value, seen by a client that is already connected."""

    async def run() -> float:
        async with asyncua_client(site.url, identity) as client:
            device = {"name": "C01-099", "path": ["C01"], "tags": [{"point": "register_0", "unit": "m³"}]}
            await asyncio.to_thread(site.do, "device", device=device)
            await asyncio.to_thread(site.do, "publish", device="C01-099", values=[4.25])
            node = client.get_node("ns=2;s=C01-099/register_0")
            for _ in range(100):
                value = await node.read_data_value(raise_on_bad_status=False)
                if value.Value is not None and value.Value.Value is not None:
                    return float(value.Value.Value)
                await asyncio.sleep(0.05)
            raise AssertionError("never appeared")

    assert asyncio.run(run()) == 4.25


# ------------------------------------------------------------------------------------------ node-opcua
def test_node_opcua_finds_only_encrypted_endpoints_with_users(node: NodeClient, site: Site) -> None:
    """What discovery shows: three policies, SignAndEncrypt, user name; nothing anonymous."""
    found = node.do("endpoints", url=site.url)

    assert {one["policy"] for one in found} == {"Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"}
    assert {one["mode"] for one in found} == {"SignAndEncrypt"}
    assert {token for one in found for token in one["tokens"]} == {"UserName"}


def test_node_opcua_browses_from_the_site_to_a_tag(node: NodeClient) -> None:
    """The same tree through the independent client."""
    top = {one["name"]: one for one in node.do("browse", id="ns=2;s=/")}
    tags = {one["name"]: one for one in node.do("browse", id="ns=2;s=T01-meter")}

    assert top["T01"]["id"] == "ns=2;s=T01"
    assert tags["power_active_l1"]["id"] == POWER
    assert (tags["power_active_l1"]["kind"], tags["power_active_l1"]["shown"]) == ("Variable", "Active power L1")
    assert node.do("unit", id=POWER) == {"unitId": 5723220, "text": "W"}


def test_node_opcua_reads_and_hears_a_value_go_stale_as_bad(node: NodeClient, site: Site) -> None:
    """Read, subscribe, change, silence: the last thing heard is Bad."""
    site.do("publish", device="T01-meter", values=[321.0, 5.0, 0.98])
    site.until(lambda: node.do("read", ids=[POWER])[0]["value"] == 321.0)
    node.do("subscribe", ids=[POWER])
    site.do("publish", device="T01-meter", values=[322.0, 5.0, 0.98])
    site.until(lambda: any(one["value"] == 322.0 and one["status"] == "Good" for one in node.do("seen")))
    site.until(lambda: site.do("sweep"))

    site.until(lambda: node.do("seen")[-1]["status"] == "BadNoCommunication")


def test_node_opcua_cannot_write(node: NodeClient) -> None:
    """A Bad status for a write of any tag."""
    assert node.do("write", id=POWER, value=1.0).startswith("Bad")


def test_node_opcua_sheds_a_group_and_asks_how_it_went(node: NodeClient, site: Site) -> None:
    """ShedGroup gives a command id and a sentence; CommandState counts; the desk saw the real user."""
    shed = node.do("call", method="ShedGroup", args=[["String", "LG-1"], ["UInt32", 600], ["String", "peak"]])
    command, message = shed["outputs"]
    state = node.do("call", method="CommandState", args=[["String", command]])

    assert shed["status"] == "Good"
    assert message == "LG-1: 4 loads, off for 600 s, sending; one load is off already"
    assert state == {"status": "Good", "outputs": ["sending", 2, 1, 1, "", None, None]}    # no effect measured yet: NaN
    assert site.do("asked")[-1] == {
        "actor": "dana", "role": "dispatcher", "areas": [], "origin": "opcua", "group": "LG-1", "off_for_s": 600,
        "reason": "peak",
    }


@pytest.mark.parametrize("policy", ["Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"])
def test_node_opcua_logs_in_with_every_policy(policy: str, site: Site, identity: Identity, tmp_path: Path) -> None:
    """The two newer policies work with the independent client too."""
    with node_client(tmp_path, site.url, identity, user="vera", password="right-Vera", policy=policy) as other:
        assert other.do("read", ids=["ns=2;s=T01/phase_imbalance"])[0]["status"] == "BadWaitingForInitialData"
