"""Signs each group command once for all concentrators it goes to: one counter, one key, one MAC."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs
from twisted.internet.defer import Deferred, succeed

from scada.clock import SiteClock
from scada.commands import GroupOrder
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.messages import GroupCommand, signed
from scada.errors import CommandRejected, ConfigError, StorageError

KEPT: Final = 8                         # signed commands, of which some orders may still leave
T = TypeVar("T")
RunBlocking = Callable[..., "Deferred[Any]"]


@attrs.frozen
class Signed:
    """A command ready for any concentrator; the key is the one it was signed with."""

    command: GroupCommand
    key: bytes = attrs.field(repr=False)


class Signer:
    """One for all links. What touches the key store's disk runs off the loop, once for all who wait for it."""

    def __init__(self, keys: KeyStore, clock: SiteClock, run_blocking: RunBlocking) -> None:
        self._keys, self._clock, self._run = keys, clock, run_blocking
        self._signed: OrderedDict[GroupCommand, Signed] = OrderedDict()     # by the command without counter and MAC
        self._coming: dict[Any, list[Deferred[Any]]] = {}

    def ready(self, order: GroupOrder) -> Signed | None:
        """The command of an order, where it has been signed already."""
        return self._signed.get(_plain(order))

    def knows(self, group: int, epoch: int) -> bool:
        """Whether the group has a key under this epoch."""
        return (group, epoch) in self._keys.groups()

    async def key(self, group: int, epoch: int) -> bytes:
        """The group's key of today; without the key store nothing can be signed, so nothing is sent."""
        return await self._shared((group, epoch), self._keys.group_key, group, epoch)

    async def sign(self, order: GroupOrder) -> Signed:
        if (ready := self.ready(order)) is not None:
            return ready
        key = await self.key(order.group, order.epoch)
        plain = _plain(order)
        counter = await self._shared(plain, self._keys.next_counter, self._clock.seconds())
        if plain not in self._signed:                       # else somebody who waited for the same counter was first
            self._signed[plain] = Signed(signed(attrs.evolve(plain, ctr=counter), key), key)
            if len(self._signed) > KEPT:
                self._signed.popitem(last=False)
        return self._signed[plain]

    async def _shared(self, what: Any, ask: Callable[..., T], *args: Any) -> T:
        """The key store's answer; who asks for the same while it is on its way waits for it."""
        try:
            if what in self._coming:
                waiting: Deferred[T] = Deferred()
                self._coming[what].append(waiting)
                return await waiting
            self._coming[what] = []
            asked = self._run(ask, *args).addBoth(self._came, what)
            found: T = await asked
        except (StorageError, ConfigError) as problem:
            raise CommandRejected([f"the key store cannot be used: {problem}"]) from None
        return found

    def _came(self, outcome: Any, what: Any) -> Any:
        for waiting in self._coming.pop(what, ()):
            succeed(None).addCallback(lambda _: outcome).chainDeferred(waiting)
        return outcome


def _plain(order: GroupOrder) -> GroupCommand:
    """The command without counter and MAC: the same for every concentrator."""
    return GroupCommand(
        command_id=order.command_id,
        group=order.group,
        epoch=order.epoch,
        action=order.action,
        load_class=order.load_class,
        off_for_s=order.off_for_s,
        not_after=order.not_after,
        restore_jitter_s=order.restore_jitter_s,
        repeat=order.repeat,
        ctr=0,
        level=order.level_w,
    )
