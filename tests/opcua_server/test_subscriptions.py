"""Subscriptions belong to their session: every service that names one is tried from outside, as another user."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asyncua import Client, ua

from scada.opcua_server.subscriptions import LONGEST_MS, MAX_PER_USER, SHORTEST_MS, interval_ms
from tests.opcua_server.clients import asyncua_client
from tests.opcua_server.conftest import METER, TRANSFORMER, Identity, Site, running, trust

POWER = "ns=2;s=T01-meter/power_active_l1"
VERA = {"user": "vera", "password": "right-Vera"}
NO = "BadSubscriptionIdInvalid"


@pytest.fixture(autouse=True)
def _quiet_client() -> None:
    """asyncua's client logs each refusal as an exception; refusals are what is tested here."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, identity: Identity) -> Iterator[Site]:
    data_dir = tmp_path_factory.mktemp("subscriptions")
    trust(data_dir, identity)
    with running(data_dir, [METER, TRANSFORMER]) as one:
        yield one


class Values:
    """What a subscription has told."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def datachange_notification(self, _node: Any, value: float, _data: Any) -> None:
        self.seen.append(value)

    async def has(self, value: float) -> None:
        for _ in range(200):
            if value in self.seen:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{value} never came; {self.seen}")


async def name_of(answer: Awaitable[Any]) -> str:
    """The status of a service's answer, be it the service's own or its only result's."""
    try:
        result = await answer
    except ua.UaStatusCodeError as error:
        return str(ua.StatusCode(error.code).name)
    result = getattr(getattr(result, "Parameters", result), "Results", result)
    result = result[0] if isinstance(result, list) else result
    return str(getattr(getattr(result, "StatusCode", result), "name", "Good"))


def attacks(number: int, item: int) -> dict[str, Callable[[Client], Awaitable[Any]]]:
    """Each service that names a subscription, by its OPC UA name."""
    monitored = ua.MonitoredItemCreateRequest(
        ua.ReadValueId(ua.NodeId.from_string(POWER), ua.AttributeIds.Value), ua.MonitoringMode.Reporting,
        ua.MonitoringParameters(ClientHandle=99, QueueSize=1),
    )
    changed = ua.MonitoredItemModifyRequest(item, ua.MonitoringParameters(QueueSize=1))
    refresh = ua.CallMethodRequest(
        ua.NodeId(ua.ObjectIds.ConditionType), ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh),
        [ua.Variant(number, ua.VariantType.UInt32)],
    )

    def mode(client: Client) -> Awaitable[Any]:
        return client.uaclient.set_publishing_mode(ua.SetPublishingModeParameters(False, [number]))

    def sampling(client: Client) -> Awaitable[Any]:
        return client.uaclient.set_monitoring_mode(
            ua.SetMonitoringModeParameters(number, ua.MonitoringMode.Disabled, [item])
        )

    async def republish(client: Client) -> Any:
        request = ua.RepublishRequest()
        request.Parameters = ua.RepublishParameters(number, 1)
        data = await client.uaclient.protocol.send_request(request)
        return ua.ua_binary.struct_from_binary(ua.RepublishResponse, data).ResponseHeader.ServiceResult

    async def acknowledge(client: Client) -> Any:
        """With a subscription of one's own, so that Publish is answered at all."""
        often = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=50.0, RequestedLifetimeCount=1000, RequestedMaxKeepAliveCount=1,
            PublishingEnabled=True,
        )
        await client.uaclient.create_subscription(often, lambda _: None)
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = [ua.SubscriptionAcknowledgement(number, 1)]
        for _ in range(20):                                # the client's own requests are answered first
            data = await client.uaclient.protocol.send_request(request)
            response = ua.ua_binary.struct_from_binary(ua.PublishResponse, data)
            if response.Parameters.Results:
                return response.Parameters.Results
        raise AssertionError("no Publish was answered with results")

    return {
        "ModifySubscription": lambda client: client.uaclient.update_subscription(
            ua.ModifySubscriptionParameters(SubscriptionId=number, RequestedPublishingInterval=100)
        ),
        "SetPublishingMode": mode,
        "SetMonitoringMode": sampling,
        "CreateMonitoredItems": lambda client: client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(number, ua.TimestampsToReturn.Both, [monitored])
        ),
        "ModifyMonitoredItems": lambda client: client.uaclient.modify_monitored_items(
            ua.ModifyMonitoredItemsParameters(number, ua.TimestampsToReturn.Both, [changed])
        ),
        "DeleteMonitoredItems": lambda client: client.uaclient.delete_monitored_items(
            ua.DeleteMonitoredItemsParameters(number, [item])
        ),
        "Republish": republish,
        "Publish": acknowledge,
        "ConditionRefresh": lambda client: client.uaclient.call([refresh]),
        "TransferSubscriptions": lambda client: client.uaclient.transfer_subscriptions(
            ua.TransferSubscriptionsParameters([number], True)
        ),
        "DeleteSubscriptions": lambda client: client.uaclient.delete_subscriptions([number]),
    }


def test_nobody_touches_the_subscription_of_another_user(site: Site, identity: Identity) -> None:
    """Every service is answered as if the number did not exist, and the owner's values go on coming afterwards."""

    async def run() -> dict[str, str]:
        async with (
            asyncua_client(site.url, identity) as dana, asyncua_client(site.url, identity, **VERA) as vera,
        ):
            values = Values()
            subscription = await dana.create_subscription(50, values)
            item = await subscription.subscribe_data_change(dana.get_node(POWER))
            await asyncio.to_thread(site.do, "publish", device="T01-meter", values=[1.0, 1.0, 1.0])
            await values.has(1.0)
            said = {
                name: await name_of(attack(vera)) for name, attack in attacks(subscription.subscription_id, item).items()
            }
            await asyncio.to_thread(site.do, "publish", device="T01-meter", values=[2.0, 1.0, 1.0])
            await values.has(2.0)
            return said

    assert asyncio.run(run()) == dict.fromkeys(attacks(0, 0), NO)


def test_a_client_moves_its_subscription_to_another_session_of_the_same_user(site: Site, identity: Identity) -> None:
    """What a client does after it lost its session; the values come on the new connection, and only there."""

    async def run() -> tuple[str, str]:
        async with (
            asyncua_client(site.url, identity) as old, asyncua_client(site.url, identity) as new,
        ):
            before, after = Values(), Values()
            subscription = await old.create_subscription(50, before)
            await subscription.subscribe_data_change(old.get_node(POWER))
            number = subscription.subscription_id
            other = await new.create_subscription(50, after)   # makes the client send Publish requests
            moved = await name_of(new.uaclient.transfer_subscriptions(ua.TransferSubscriptionsParameters([number], True)))
            told: list[Any] = []
            new.uaclient._subscription_callbacks[number] = told.append
            await asyncio.to_thread(site.do, "publish", device="T01-meter", values=[31.0, 1.0, 1.0])
            for _ in range(100):
                if any(one.NotificationMessage.NotificationData for one in told):
                    break
                await asyncio.sleep(0.05)
            else:
                raise AssertionError("nothing came on the new connection")
            assert 31.0 not in before.seen
            late = await name_of(old.uaclient.delete_subscriptions([number]))
            assert other.subscription_id != number
            return moved, late

    assert asyncio.run(run()) == ("Good", NO)


def test_one_user_leaves_subscriptions_to_the_others(site: Site, identity: Identity) -> None:
    """Half of the server's subscriptions at most, however many sessions he opens, and closes without deleting."""

    async def run() -> tuple[str, str]:
        async with asyncua_client(site.url, identity, **VERA) as vera:
            parameters = ua.CreateSubscriptionParameters(RequestedPublishingInterval=1000.0, RequestedLifetimeCount=1000)
            made = []
            refused = ""
            for _ in range(MAX_PER_USER + 1):
                try:
                    made.append((await vera.uaclient.create_subscription(parameters, lambda _: None)).SubscriptionId)
                except ua.UaStatusCodeError as error:
                    refused = ua.StatusCode(error.code).name
                    break
            assert len(made) == MAX_PER_USER
            async with asyncua_client(site.url, identity) as dana:
                await dana.create_subscription(1000, Values())
            deleted = await vera.uaclient.delete_subscriptions(made)
            return refused, deleted[0].name

    assert asyncio.run(run()) == ("BadTooManySubscriptions", "Good")


@pytest.mark.parametrize(("wanted", "given"), [
    (0.0, SHORTEST_MS), (-1.0, SHORTEST_MS), (1e-6, SHORTEST_MS), (float("nan"), SHORTEST_MS), (500.0, 500.0),
    (1e300, LONGEST_MS), (float("inf"), SHORTEST_MS),
])
def test_a_publishing_interval_is_kept_within_what_the_server_can_do(wanted: float, given: float) -> None:
    """A microsecond would be a loop without a pause; a year would keep a lost subscription for ever."""
    assert interval_ms(wanted) == given


def test_the_revised_interval_is_told_and_a_modified_queue_stays_bounded(site: Site, identity: Identity) -> None:
    """ModifyMonitoredItems is answered with the longest queue there is; asyncua would keep values without end."""

    async def run() -> tuple[float, int, list[str]]:
        async with asyncua_client(site.url, identity) as client:
            parameters = ua.CreateSubscriptionParameters(RequestedPublishingInterval=1e-3, RequestedLifetimeCount=1000)
            made = await client.uaclient.create_subscription(parameters, lambda _: None)
            asked = attacks(made.SubscriptionId, 0)
            (item,) = await asked["CreateMonitoredItems"](client)
            percent = ua.DataChangeFilter(
                ua.DataChangeTrigger.StatusValue, int(ua.DeadbandType.Percent), 5.0
            )
            wishes = [
                ua.MonitoredItemModifyRequest(item.MonitoredItemId, ua.MonitoringParameters(QueueSize=4_000_000_000)),
                ua.MonitoredItemModifyRequest(item.MonitoredItemId, ua.MonitoringParameters(Filter=percent)),
                ua.MonitoredItemModifyRequest(4711, ua.MonitoringParameters(QueueSize=1)),
            ]
            answers = await client.uaclient.modify_monitored_items(
                ua.ModifyMonitoredItemsParameters(made.SubscriptionId, ua.TimestampsToReturn.Both, wishes)
            )
            return made.RevisedPublishingInterval, answers[0].RevisedQueueSize, [one.StatusCode.name for one in answers]

    assert asyncio.run(run()) == (
        SHORTEST_MS, 1000, ["Good", "BadMonitoredItemFilterUnsupported", "BadMonitoredItemIdInvalid"]
    )
