"""Commands for one module: under its own key, to whom the index belongs now, each sent once.

A module gets its first key over the air when it is first to be commanded; what waits for that is not sent meanwhile.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredLock

from scada.clock import SiteClock
from scada.drivers.dmesh.groups import CommandLog
from scada.drivers.dmesh.keyring import Ring
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.link import COMMAND_T1_S, Link
from scada.drivers.dmesh.messages import Command, Result, signed
from scada.drivers.dmesh.modules import ModuleBook
from scada.drivers.dmesh.numbers import Capability, Code, Holder, KeyTarget, code_name
from scada.drivers.dmesh.signing import RunBlocking
from scada.errors import CommandRejected, ConfigError, DataRejected, LinkError, StorageError
from scada.supplies import SupplyOrder

T = TypeVar("T")
KEY_ON_ITS_WAY: Final = "the module's own key is on its way to it"


class SingleSender:
    """Sends to one module after the other, over one session."""

    def __init__(
        self, link: Link, book: ModuleBook, keys: KeyStore, clock: SiteClock, log: CommandLog, run_blocking: RunBlocking,
        hurry_keys: Callable[[], None],
    ) -> None:
        self._link, self._book, self._keys, self._clock = link, book, keys, clock
        self._log, self._run, self._hurry = log, run_blocking, hurry_keys
        self._turn = DeferredLock()

    @property
    def sending(self) -> bool:
        return bool(self._turn.locked)

    async def obstacle(self, index: int, eui: int) -> str:
        """What keeps a command to this module from being sent now, and may pass; lays up its first key. "" = nothing."""
        await self._check(index, eui)
        ring = await self._ring(eui)
        if ring is not None and ring.active is not None:
            return ""
        if ring is None:
            try:
                await self._run(self._keys.begin, [(KeyTarget.MODULE, eui)], self._clock.real())
            except (StorageError, ConfigError) as problem:
                return f"the key store cannot be used: {problem}"
        self._hurry()
        return KEY_ON_ITS_WAY

    def send(self, order: SupplyOrder) -> "Deferred[None]":
        """Fires when the concentrator took the order; see `SupplyGateway.switch_supply`."""
        return self._turn.run(lambda: Deferred.fromCoroutine(self._send(order)))

    async def _send(self, order: SupplyOrder) -> None:
        self._in_time(order.not_after)
        await self._check(order.index, order.eui)
        ring = await self._ring(order.eui)
        if ring is None or ring.active is None:
            raise CommandRejected([KEY_ON_ITS_WAY])
        counter = await self._stored(self._keys.next_counter, self._clock.seconds())
        self._in_time(order.not_after)                      # preparing took its time
        self._log.enter(order.command_id, [(order.index, order.eui)], order.not_after)
        command = Command(
            command_id=order.command_id,
            index=order.index,
            eui=order.eui,
            action=order.action,
            not_after=order.not_after,
            ctr=counter,
            holder=Holder[order.holder],
        )
        try:
            answer = await self._link.ask(signed(command, ring.active.secret), Result, COMMAND_T1_S)
        except DataRejected as problem:                     # ERROR: it does not deal with COMMAND at all
            raise CommandRejected([str(problem)]) from None
        if answer.code not in (Code.OK, Code.ACCEPTED, Code.DUPLICATE):
            text = f": {answer.text}" if answer.text else ""
            raise CommandRejected([f"{self._link.name} refused COMMAND: {code_name(answer.code)}{text}"])

    async def _check(self, index: int, eui: int) -> None:
        """That this concentrator can do it, and that the index is still whose it was. Raises `CommandRejected`."""
        if not self._link.hello.capabilities & Capability.SINGLE_COMMANDS:
            raise CommandRejected([f"{self._link.name} cannot command single modules"])
        modules = await self._book.of(0)
        if modules is None or int(modules.euis[index]) != eui:
            raise CommandRejected([f"{self._link.name} has another module at index {index}: nothing was sent"])

    def _in_time(self, not_after: int) -> None:
        if not self._clock.trusted():
            raise CommandRejected(["the server's time is not trusted: no timed command is sent"])
        if self._clock.seconds() >= not_after:
            raise CommandRejected(["too late: not_after has passed, nothing was sent"])
        if not self._link.up:
            raise LinkError(self._link.name, "the link is down: nothing was sent")

    async def _ring(self, eui: int) -> Ring | None:
        found: Ring | None = await self._stored(self._keys.ring, (KeyTarget.MODULE, eui))
        return found

    async def _stored(self, ask: Callable[..., T], *args: Any) -> T:
        """What the key store says, off the loop; without it nothing can be signed, so nothing is sent."""
        try:
            found: T = await self._run(ask, *args)
        except (StorageError, ConfigError) as problem:
            raise CommandRejected([f"the key store cannot be used: {problem}"]) from None
        return found
