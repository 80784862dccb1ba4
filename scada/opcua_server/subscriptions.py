"""Whose subscription is it: asyncua numbers subscriptions consecutively and lets every session use every number.

Read in asyncua 2.1's `subscription_service` and held by `tests/opcua_server/test_subscriptions.py`. A number that is not
the session's own is answered like one that does not exist, so that nobody learns which ones are in use.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession
from asyncua.server.internal_subscription import InternalSubscription

MAX_PER_USER: Final = 100               # of the server's subscriptions: half of them are always left to the others
SHORTEST_MS: Final = 50.0               # publishing interval; asyncua takes 1 µs and publishes without a pause
LONGEST_MS: Final = 60_000.0            # lifetimes are counted in intervals: a year would keep a lost subscription for ever
_REFRESH: Final = (
    ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh), ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh2),
)


def _invalid() -> ua.StatusCode:
    return ua.StatusCode(ua.StatusCodes.BadSubscriptionIdInvalid)


def interval_ms(wanted: float) -> float:
    """The publishing interval that is given to whom wants this one; 0 and nonsense mean the shortest."""
    return SHORTEST_MS if not math.isfinite(wanted) else min(max(wanted, SHORTEST_MS), LONGEST_MS)


class OwnSubscriptions(InternalSession):
    """A session that can touch no subscription but its own."""

    def _own(self, number: Any) -> InternalSubscription | None:
        found = self.subscription_service.subscriptions.get(number)
        return found if found is not None and found.session_id == self.session_id else None

    def _require(self, number: Any) -> InternalSubscription:
        own = self._own(number)
        if own is None:
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)
        return own

    async def create_subscription(
        self, params: ua.CreateSubscriptionParameters, callback: Callable[..., Any],
        request_callback: Callable[..., Any] | None = None,
    ) -> ua.CreateSubscriptionResult:
        if self.external:
            params.RequestedPublishingInterval = interval_ms(params.RequestedPublishingInterval)
            held = [one for one in self.subscription_service.subscriptions.values() if _owner(one) == self.user.name]
            if len(held) >= MAX_PER_USER:
                raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        result = await super().create_subscription(params, callback, request_callback)
        made: Any = self.subscription_service.subscriptions[result.SubscriptionId]
        made.owner = self.user.name                        # its session may be gone when somebody asks for a transfer
        return result

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        self._require(params.SubscriptionId)
        return super().modify_subscription(params)

    async def delete_subscriptions(self, ids: Sequence[int]) -> list[ua.StatusCode]:
        return await _each(ids, self._own, super().delete_subscriptions)

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        async def set_own(own: list[int]) -> list[ua.StatusCode]:
            params.SubscriptionIds = own
            return list(await super(OwnSubscriptions, self).set_publishing_mode(params))

        return await _each(params.SubscriptionIds, self._own, set_own)

    def publish(
        self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None
    ) -> tuple[int, list[ua.StatusCode]]:
        """Acknowledge what is ours; the count, which bounds the waiting requests, is of our subscriptions too."""
        count = sum(one.session_id == self.session_id for one in self.subscription_service.subscriptions.values())
        if not count:
            raise ServiceError(ua.StatusCodes.BadNoSubscription)
        results = []
        for ack in acks or ():
            own = self._own(ack.SubscriptionId)
            if own is not None:
                own.publish([ack.SequenceNumber])
            results.append(_invalid() if own is None else ua.StatusCode())
        return count, results

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        self._require(params.SubscriptionId)
        return super().republish(params)

    async def transfer_subscriptions(
        self, params: ua.TransferSubscriptionsParameters, callback: Callable[..., Any]
    ) -> list[ua.TransferResult]:
        """Between sessions of one user; the old connection forgets the number, the new one is asked for requests."""
        results = []
        for number in params.SubscriptionIds:
            sub: Any = self.subscription_service.subscriptions.get(number)
            if sub is None or _owner(sub) is None or _owner(sub) != self.user.name:
                results.append(ua.TransferResult(StatusCode=_invalid()))
                continue
            before, after = (getattr(one, "__self__", None) for one in (sub.pub_request_callback, callback))
            if after is not None and before is not after:
                getattr(before, "_publish_results_subs", {}).pop(number, None)
                sub.pub_request_callback = after.get_publish_request
            one = ua.TransferSubscriptionsParameters(SubscriptionIds=[number], SendInitialValues=params.SendInitialValues)
            results += await super().transfer_subscriptions(one, callback)
        return results

    async def create_monitored_items(self, params: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
        """Refuse filters that asyncua accepts but does not apply: percent deadbands, aggregates."""
        self._require(params.SubscriptionId)
        refused = [_unsupported(item.RequestedParameters.Filter) for item in params.ItemsToCreate]
        params.ItemsToCreate = [item for item, bad in zip(params.ItemsToCreate, refused, strict=True) if not bad]
        made = iter(await super().create_monitored_items(params))
        no = ua.StatusCode(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
        return [ua.MonitoredItemCreateResult(StatusCode=no) if bad else next(made) for bad in refused]

    async def modify_monitored_items(self, params: ua.ModifyMonitoredItemsParameters) -> list[ua.MonitoredItemModifyResult]:
        """With the filters and the longest queue of `create_monitored_items`, which asyncua forgets here."""
        own = self._require(params.SubscriptionId)
        results = []
        for item in params.ItemsToModify:
            wanted = item.RequestedParameters
            code = None
            if item.MonitoredItemId not in own.monitored_item_srv._monitored_items:
                code = ua.StatusCodes.BadMonitoredItemIdInvalid
            elif _unsupported(wanted.Filter):
                code = ua.StatusCodes.BadMonitoredItemFilterUnsupported
            if code is not None:
                results.append(ua.MonitoredItemModifyResult(StatusCode=ua.StatusCode(code)))
                continue
            wanted.QueueSize = own.monitored_item_srv._revise_queue_size(wanted.QueueSize)
            one = ua.ModifyMonitoredItemsParameters(SubscriptionId=params.SubscriptionId, ItemsToModify=[item])
            results += await super().modify_monitored_items(one)
        return results

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        self._require(params.SubscriptionId)
        return list(await super().delete_monitored_items(params))

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        self._require(params.SubscriptionId)
        return list(await super().set_monitoring_mode(params))

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """ConditionRefresh names a subscription in its first argument."""
        foreign = [
            one.MethodId in _REFRESH and not (one.InputArguments and self._own(one.InputArguments[0].Value))
            for one in params
        ]
        made = iter(await super().call([one for one, bad in zip(params, foreign, strict=True) if not bad]))
        return [ua.CallMethodResult(StatusCode=_invalid()) if bad else next(made) for bad in foreign]


def _owner(subscription: Any) -> str | None:
    return getattr(subscription, "owner", None)


async def _each(ids: Sequence[int], own: Callable[[int], Any], act: Callable[[list[int]], Any]) -> list[ua.StatusCode]:
    """Answers in the order of the ids: what `act` says of the own ones, "invalid" for the rest."""
    ours = [own(number) is not None for number in ids]
    done = iter(await act([number for number, mine in zip(ids, ours, strict=True) if mine]))
    return [next(done) if mine else _invalid() for mine in ours]


def _unsupported(wanted: Any) -> bool:
    """By name: what arrives is the generated class, what `asyncua.ua` exports is a subclass of it."""
    kind = type(wanted).__name__
    percent = getattr(wanted, "DeadbandType", ua.DeadbandType.None_) == ua.DeadbandType.Percent
    return percent or kind == "AggregateFilter"
