"""Group commands of one link: an ordered sender, and what the members did about it.

Nothing is ever sent twice by itself: a link that breaks between GROUP_COMMAND and its answer leaves a command of
unknown fate, and whoever sent it must inquire.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import attrs
import numpy as np
from twisted.internet.defer import Deferred, DeferredLock

from scada.clock import SiteClock
from scada.commands import GroupOrder, MemberReport, MemberState, RetryOrder
from scada.drivers.dmesh import crypto, sets
from scada.drivers.dmesh.group_keys import Pairs, under_old
from scada.drivers.dmesh.key_ledger import KeyLedger
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.link import COMMAND_T1_S, Link
from scada.drivers.dmesh.messages import (
    CommandReport,
    CommandRetry,
    CommandStatus,
    GroupCommand,
    GroupSet,
    KeyConfirm,
    KeyPut,
    KeyRevoke,
    Result,
    signed,
)
from scada.drivers.dmesh.modules import ModuleBook
from scada.drivers.dmesh.numbers import Capability, Code, KeyTarget, code_name
from scada.errors import CommandRejected, ConfigError, DataRejected, LinkError, StorageError

KEPT: Final = 256                       # commands whose members are remembered, per concentrator
NO_RESULT: Final = "no result reported"
HELD: Final = "HELD"                    # executed by one module, and another holder keeps its supply off
T = TypeVar("T")
RunBlocking = Callable[..., "Deferred[Any]"]


class CommandLog:
    """Who was addressed by which command, and what was already told; outlives the sessions of its concentrator."""

    def __init__(self) -> None:
        self._members: OrderedDict[bytes, dict[int, int]] = OrderedDict()          # command -> index -> EUI
        self._told: dict[bytes, dict[int, tuple[MemberState, str]]] = {}
        self._awaited: dict[bytes, int] = {}                # command -> until when its final report may come

    def enter(self, command_id: bytes, members: Iterable[tuple[int, int]], not_after: int = 0) -> None:
        """`not_after`: site time from which on nobody executes it any more. [s since 1970]"""
        if not_after:
            self._awaited[command_id] = not_after
        self._members[command_id] = dict(members)
        self._told.setdefault(command_id, {})
        if len(self._members) > KEPT:
            oldest, _ = self._members.popitem(last=False)
            self._told.pop(oldest, None)
            self._awaited.pop(oldest, None)

    def awaited(self, now: int) -> bool:
        """Whether modules may still be executing a command, so that the radio is theirs. `now`: site time [s]."""
        return any(now <= until for until in self._awaited.values())

    def members(self, command_id: bytes) -> dict[int, int] | None:
        return self._members.get(command_id)

    def news(self, report: CommandReport, link_id: int, at: int) -> list[MemberReport]:
        """What a report says that was not told before. Members are those that were addressed."""
        if report.final:
            self._awaited.pop(report.command_id, None)
        members, told = self._members[report.command_id], self._told[report.command_id]
        found = []
        for index, (state, reason) in states(report, members).items():
            if told.get(index) != (state, reason):
                told[index] = (state, reason)
                found.append(MemberReport(report.command_id, link_id, members[index], state, reason, at))
        return found


def states(report: CommandReport, members: Iterable[int]) -> dict[int, tuple[MemberState, str]]:
    """The furthest each member has come, by subnet index; nothing for those that were not heard of."""
    members = set(members)
    found: dict[int, tuple[MemberState, str]] = {}
    for bitmap, state in (
        (report.received, MemberState.RECEIVED),
        (report.executed, MemberState.EXECUTED),
        (report.restored, MemberState.RESTORED),
    ):
        found.update((index, (state, "")) for index in sets.indices(bitmap) if index in members)
    for index in sets.indices(report.held):
        if found.get(index) == (MemberState.EXECUTED, ""):
            found[index] = (MemberState.EXECUTED, HELD)
    for refusal in report.refused:
        if refusal.index in members and found.get(refusal.index, (MemberState.RECEIVED, ""))[0] < MemberState.EXECUTED:
            found[refusal.index] = (MemberState.REFUSED, code_name(refusal.code))
    if report.final:
        for index in members:
            if found.get(index, (MemberState.RECEIVED, ""))[0] < MemberState.EXECUTED:
                reason = NO_RESULT if index in found else ""
                found[index] = (MemberState.NO_ANSWER, reason)
    return found


class GroupSender:
    """Sends orders over one session, one after the other."""

    def __init__(
        self, link: Link, book: ModuleBook, keys: KeyStore, clock: SiteClock, log: CommandLog, run_blocking: RunBlocking,
        ledger: KeyLedger,
    ) -> None:
        self._link, self._book, self._keys, self._clock = link, book, keys, clock
        self._log, self._run, self._ledger = log, run_blocking, ledger
        self._turn = DeferredLock()
        self._sets: dict[int, tuple[int, bytes]] = {}       # group -> (epoch, digest) this session has confirmed
        self._confirmed: dict[tuple[int, int], bytes] = {}  # (group, epoch) -> key this session has confirmed

    def send(self, order: GroupOrder) -> "Deferred[None]":
        """Fires when the concentrator took the order; see `FieldGateway.send`."""
        return self._turn.run(lambda: Deferred.fromCoroutine(self._send(order)))

    @property
    def sending(self) -> bool:
        return bool(self._turn.locked)

    async def inquire(self, command_id: bytes) -> bool:
        """Whether the concentrator knows the command; its report follows by itself."""
        if self._log.members(command_id) is None:
            modules = await self._book.of(0)
            pairs = modules.pairs if modules else ()
            self._log.enter(command_id, pairs)
        answer = await self._link.ask(CommandStatus(command_id), Result, COMMAND_T1_S)
        if answer.code == Code.UNKNOWN:
            return False
        if answer.code in (Code.OK, Code.ACCEPTED, Code.DUPLICATE):
            return True
        raise LinkError(self._link.name, f"cannot say what became of a command: {code_name(answer.code)}")

    def retry(self, order: RetryOrder) -> "Deferred[bool]":
        """Fires when the concentrator took it, False where it does not know the command; see `FieldGateway.retry`."""
        return self._turn.run(lambda: Deferred.fromCoroutine(self._retry(order)))

    async def _retry(self, order: RetryOrder) -> bool:
        self._in_time(order.not_after)
        members = sets.bitmap(index for index, _ in order.members)
        try:
            answer = await self._link.ask(CommandRetry(order.command_id, members), Result, COMMAND_T1_S)
        except DataRejected as problem:                     # an older concentrator answers ERROR: it knows no retries
            raise CommandRejected([str(problem)]) from None
        if answer.code == Code.UNKNOWN:
            return False
        self._accepted("COMMAND_RETRY", answer)
        return True

    async def _send(self, order: GroupOrder) -> None:
        self._in_time(order.not_after)
        order = await self._under(order)
        key = await self._prepare(order.group, order.epoch, order.members)
        counter = await self._stored(self._keys.next_counter, self._clock.seconds())
        self._in_time(order.not_after)                      # preparing took its time
        self._log.enter(order.command_id, order.members, order.not_after)
        command = GroupCommand(
            command_id=order.command_id,
            group=order.group,
            epoch=order.epoch,
            action=order.action,
            load_class=order.load_class,
            off_for_s=order.off_for_s,
            not_after=order.not_after,
            restore_jitter_s=order.restore_jitter_s,
            repeat=order.repeat,
            ctr=counter,
        )
        self._accepted("GROUP_COMMAND", await self._link.ask(signed(command, key), Result, COMMAND_T1_S))

    def _in_time(self, not_after: int) -> None:
        if not self._clock.trusted():
            raise CommandRejected(["the server's time is not trusted: no timed command is sent"])
        if self._clock.seconds() >= not_after:
            raise CommandRejected(["too late: not_after has passed, nothing was sent"])
        if not self._link.up:
            raise LinkError(self._link.name, "the link is down: nothing was sent")

    def switch(self, number: int, epoch: int, pairs: Pairs) -> "Deferred[None]":
        """Put an epoch to use for these members, in turn with the commands; what was before is taken back."""
        return self._turn.run(lambda: Deferred.fromCoroutine(self._switch(number, epoch, pairs)))

    async def _switch(self, number: int, epoch: int, pairs: Pairs) -> None:
        before = self._ledger.in_use(self._link.link_id, number)
        await self._ledger.use(self._link.link_id, number, epoch, pairs)        # before the concentrator hears of it
        await self._prepare(number, epoch, pairs)
        if before is not None and before.epoch != epoch:
            await self._link.ask(KeyRevoke(KeyTarget.GROUP, number, before.epoch), Result, COMMAND_T1_S)

    def put_key(self, number: int, epoch: int) -> "Deferred[bytes]":
        """Bring the key of an epoch to the concentrator, in turn with the commands; the key."""
        return self._turn.run(lambda: Deferred.fromCoroutine(self._key(number, epoch)))

    async def _under(self, order: GroupOrder) -> GroupOrder:
        """The order as it goes out: in its own epoch, or in the one before where that reaches more and nobody too many."""
        link_id, number = order.link_id, order.group
        before = self._ledger.in_use(link_id, number)
        if not self._link.hello.capabilities & Capability.GROUP_KEYS:
            return order
        if before is not None and before.epoch < order.epoch and (number, before.epoch) in self._keys.groups():
            euis = np.array([eui for _, eui in order.members], dtype=np.uint64)
            holders = int(np.isin(euis, self._ledger.held(link_id, number, order.epoch)).sum())
            held_before = int(np.isin(euis, self._ledger.held(link_id, number, before.epoch)).sum())
            if under_old(order.members, holders, before, held_before):
                return attrs.evolve(order, epoch=before.epoch, members=before.pairs)
        if before is None or before.epoch != order.epoch:
            await self._ledger.use(link_id, number, order.epoch, order.members)
        return order

    async def _prepare(self, number: int, epoch: int, members: Pairs) -> bytes:
        """Membership and key of the group, where this session has not confirmed them yet; the key."""
        wanted = (epoch, sets.members_digest(members))
        if self._sets.get(number) != wanted:
            bitmap = sets.bitmap(index for index, _ in members)
            answer = await self._link.ask(GroupSet(number, epoch, bitmap, wanted[1]), Result, COMMAND_T1_S)
            self._accepted("GROUP_SET", answer)
            self._sets[number] = wanted
        return await self._key(number, epoch)

    async def _key(self, number: int, epoch: int) -> bytes:
        key = await self._stored(self._keys.group_key, number, epoch)
        if self._confirmed.get((number, epoch)) != key:
            await self._put_key(number, epoch, key)
            self._confirmed[number, epoch] = key
        return key

    async def _put_key(self, number: int, epoch: int, key: bytes) -> None:
        """One that was revoked, or lost with a key store, has left another under this epoch: it is taken back first."""
        put = KeyPut(KeyTarget.GROUP, number, epoch, crypto.wrap(self._link.key.secret, key))
        answer = await self._link.ask(put, KeyConfirm, COMMAND_T1_S)
        if isinstance(answer, Result) and answer.code == Code.DENIED:
            await self._link.ask(KeyRevoke(KeyTarget.GROUP, number, epoch), Result, COMMAND_T1_S)
            answer = await self._link.ask(put, KeyConfirm, COMMAND_T1_S)
        if isinstance(answer, Result):
            raise CommandRejected([f"{self._link.name} refused the group's key: {code_name(answer.code)}"])
        same = (answer.target, answer.number, answer.key_id) == (KeyTarget.GROUP, number, epoch)
        if not same or not crypto.equal(answer.check, crypto.key_check(key)):
            raise CommandRejected([f"{self._link.name} confirmed another key than the group's"])

    async def _stored(self, ask: Callable[..., T], *args: Any) -> T:
        """What the key store says, off the loop; without it nothing can be signed, so nothing is sent."""
        try:
            found: T = await self._run(ask, *args)
        except (StorageError, ConfigError) as problem:
            raise CommandRejected([f"the key store cannot be used: {problem}"]) from None
        return found

    def _accepted(self, what: str, answer: Result) -> None:
        # DUPLICATE: it has this command already, which is as good as having taken it now.
        if answer.code not in (Code.OK, Code.ACCEPTED, Code.DUPLICATE):
            text = f": {answer.text}" if answer.text else ""
            raise CommandRejected([f"{self._link.name} refused {what}: {code_name(answer.code)}{text}"])
