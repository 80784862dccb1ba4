"""Group commands of one link: an ordered sender, and what the members did about it.

Nothing is ever sent twice by itself: a link that breaks between GROUP_COMMAND and its answer leaves a command of
unknown fate, and whoever sent it must inquire.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, DeferredLock, fail
from twisted.python.failure import Failure

from scada.clock import SiteClock
from scada.columns import Pairs, Reports
from scada.commands import GroupOrder, MemberState, RetryOrder
from scada.drivers.dmesh import crypto, sets
from scada.drivers.dmesh.group_keys import under_old
from scada.drivers.dmesh.key_ledger import KeyLedger
from scada.drivers.dmesh.link import COMMAND_T1_S, Link
from scada.drivers.dmesh.messages import (
    CommandReport,
    CommandRetry,
    CommandStatus,
    Error,
    GroupSet,
    KeyConfirm,
    KeyPut,
    KeyRevoke,
    Message,
    Result,
)
from scada.drivers.dmesh.modules import ModuleBook
from scada.drivers.dmesh.numbers import MAX_MODULES, Capability, Code, KeyTarget, code_name
from scada.drivers.dmesh.signing import Signed, Signer
from scada.errors import CommandRejected, DataRejected, LinkError

KEPT: Final = 256                       # commands whose members are remembered, per concentrator
NO_RESULT: Final = "no result reported"
HELD: Final = "HELD"                    # executed by one module, and another holder keeps its supply off


@attrs.define
class Addressed:
    """Who was addressed by a command, by subnet index, and what was already told of them."""

    members: Pairs
    state: NDArray[np.uint8] = attrs.field(factory=lambda: np.zeros(MAX_MODULES + 1, dtype=np.uint8))
    reason: NDArray[np.uint16] = attrs.field(factory=lambda: np.zeros(MAX_MODULES + 1, dtype=np.uint16))


class CommandLog:
    """Who was addressed by which command, and what was already told; outlives the sessions of its concentrator."""

    def __init__(self) -> None:
        self._addressed: OrderedDict[bytes, Addressed] = OrderedDict()
        self._awaited: dict[bytes, int] = {}                # command -> until when its final report may come

    def enter(self, command_id: bytes, members: Iterable[tuple[int, int]], not_after: int = 0) -> None:
        """`not_after`: site time from which on nobody executes it any more. [s since 1970]"""
        if not_after:
            self._awaited[command_id] = not_after
        known = self._addressed.get(command_id)
        if known is None:
            self._addressed[command_id] = Addressed(Pairs.of(members))
        else:
            known.members = Pairs.of(members)
        if len(self._addressed) > KEPT:
            oldest, _ = self._addressed.popitem(last=False)
            self._awaited.pop(oldest, None)

    def awaited(self, now: int) -> bool:
        """Whether modules may still be executing a command, so that the radio is theirs. `now`: site time [s]."""
        return any(now <= until for until in self._awaited.values())

    def knows(self, command_id: bytes) -> bool:
        return command_id in self._addressed

    def news(self, report: CommandReport, link_id: int, at: int) -> Reports | None:
        """What a report says that was not told before. Members are those that were addressed."""
        if report.final:
            self._awaited.pop(report.command_id, None)
        known = self._addressed[report.command_id]
        state, reason = standing(report, known.members)
        index = known.members.indices
        chosen = (state[index] > 0) & ((state[index] != known.state[index]) | (reason[index] != known.reason[index]))
        fresh = index[chosen]
        if not len(fresh):
            return None
        known.state[fresh], known.reason[fresh] = state[fresh], reason[fresh]
        codes, places = np.unique(reason[fresh], return_inverse=True)
        return Reports(
            report.command_id, link_id, at, known.members.euis[chosen], state[fresh], places.astype(np.uint8),
            tuple(_reason(code) for code in codes.tolist()),
        )


UNHEARD: Final = 1                      # reasons of members, as numbers: 0 = none; from REFUSED on, a `Code`
HELD_OFF: Final = 2
REFUSED: Final = 3
WORDS: Final = {0: "", UNHEARD: NO_RESULT, HELD_OFF: HELD}


def _reason(number: int) -> str:
    return WORDS[number] if number < REFUSED else code_name(number - REFUSED)


def standing(report: CommandReport, members: Pairs) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """State and reason of each member by subnet index, (241,): the furthest it has come; 0 for who was not heard of."""
    state, reason = np.zeros(MAX_MODULES + 1, dtype=np.uint8), np.zeros(MAX_MODULES + 1, dtype=np.uint16)
    mine = np.zeros(MAX_MODULES + 1, dtype=bool)
    mine[members.indices] = True
    for bitmap, reached in (
        (report.received, MemberState.RECEIVED),
        (report.executed, MemberState.EXECUTED),
        (report.restored, MemberState.RESTORED),
    ):
        state[1:][sets.flags(bitmap)] = reached
    state[~mine] = 0
    reason[1:][sets.flags(report.held) & (state[1:] == MemberState.EXECUTED)] = HELD_OFF
    for refusal in report.refused:
        if mine[refusal.index] and state[refusal.index] < MemberState.EXECUTED:
            state[refusal.index], reason[refusal.index] = MemberState.REFUSED, REFUSED + refusal.code
    if report.final:
        silent = mine & (state < MemberState.EXECUTED)
        reason[silent & (state > 0)] = UNHEARD
        state[silent] = MemberState.NO_ANSWER
    return state, reason


class GroupSender:
    """Sends orders over one session, one after the other."""

    def __init__(
        self, link: Link, book: ModuleBook, clock: SiteClock, log: CommandLog, signer: Signer, ledger: KeyLedger
    ) -> None:
        self._link, self._book, self._clock = link, book, clock
        self._log, self._signer, self._ledger = log, signer, ledger
        self._turn = DeferredLock()
        self._said = 0                                      # commands that left without a turn, not answered yet
        self._sets: dict[int, tuple[int, Pairs]] = {}       # group -> epoch and members this session has confirmed
        self._confirmed: dict[tuple[int, int], bytes] = {}  # (group, epoch) -> key this session has confirmed

    def send(self, order: GroupOrder) -> "Deferred[None]":
        """Fires when the concentrator took the order; see `FieldGateway.send`."""
        if not self._turn.locked and (ready := self._ready(order)) is not None:
            return self._say(order, ready)
        return self._turn.run(lambda: Deferred.fromCoroutine(self._send(order)))

    def prepare(self, group: int, epoch: int, members: Pairs) -> "Deferred[bytes]":
        """Let it know a group's members and key before an order needs them; see `FieldGateway.prepare`."""
        return self._turn.run(lambda: Deferred.fromCoroutine(self._prepare_under(group, epoch, members)))

    def switch(self, group: int, epoch: int, members: Pairs) -> "Deferred[None]":
        """Put an epoch to use for these members, in turn with the commands; what was before is taken back."""
        return self._turn.run(lambda: Deferred.fromCoroutine(self._switch(group, epoch, members)))

    def put_key(self, group: int, epoch: int) -> "Deferred[bytes]":
        """Bring the key of an epoch to the concentrator, in turn with the commands; the key."""
        return self._turn.run(lambda: Deferred.fromCoroutine(self._key(group, epoch)))

    @property
    def sending(self) -> bool:
        return bool(self._turn.locked) or self._said > 0

    async def inquire(self, command_id: bytes) -> bool:
        """Whether the concentrator knows the command; its report follows by itself."""
        if not self._log.knows(command_id):
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
        epoch, members = await self._under(order.group, order.epoch, Pairs.of(order.members))
        if epoch != order.epoch:
            order = attrs.evolve(order, epoch=epoch, members=members)
        ready = self._signer.ready(order)
        if ready is None or not self._is_prepared(order, members, ready.key):
            await self._prepare(order.group, order.epoch, members)
            ready = await self._signer.sign(order)
            if self._confirmed.get((order.group, order.epoch)) != ready.key:   # it was revoked in between
                await self._put_key(order.group, order.epoch, ready.key)
            self._in_time(order.not_after)                  # preparing took its time
        self._log.enter(order.command_id, members, order.not_after)
        self._accepted("GROUP_COMMAND", await self._link.ask(ready.command, Result, COMMAND_T1_S))

    def _ready(self, order: GroupOrder) -> Signed | None:
        """The signed command where nothing has to be asked or written down before it goes: as after a review."""
        ready, link_id = self._signer.ready(order), self._link.link_id
        if ready is None or not self._is_prepared(order, Pairs.of(order.members), ready.key):
            return None
        if not self._link.hello.capabilities & Capability.GROUP_KEYS:
            return ready
        used = self._ledger.in_use(link_id, order.group)
        return ready if used is not None and used.epoch == order.epoch else None

    def _say(self, order: GroupOrder, ready: Signed) -> "Deferred[None]":
        """The command itself leaves in this very turn: what takes its turn later is behind it on the wire too."""
        try:
            self._in_time(order.not_after)
        except (CommandRejected, LinkError) as problem:
            return fail(problem)
        self._log.enter(order.command_id, order.members, order.not_after)
        self._said += 1
        return self._link.request(ready.command, COMMAND_T1_S).addBoth(self._answered)

    def _answered(self, answer: Message | Failure) -> Failure | None:
        self._said -= 1
        if isinstance(answer, Failure):
            return answer
        if not isinstance(answer, Result):
            said = code_name(answer.code) if isinstance(answer, Error) else answer.TYPE.name
            raise DataRejected(self._link.name, f"answered GROUP_COMMAND with {said}")
        self._accepted("GROUP_COMMAND", answer)
        return None

    def _in_time(self, not_after: int) -> None:
        if not self._clock.trusted():
            raise CommandRejected(["the server's time is not trusted: no timed command is sent"])
        if self._clock.seconds() >= not_after:
            raise CommandRejected(["too late: not_after has passed, nothing was sent"])
        if not self._link.up:
            raise LinkError(self._link.name, "the link is down: nothing was sent")

    def _is_prepared(self, order: GroupOrder, members: Pairs, key: bytes) -> bool:
        confirmed = self._confirmed.get((order.group, order.epoch))
        return confirmed == key and self._sets.get(order.group) == (order.epoch, members)

    async def _under(self, group: int, epoch: int, members: Pairs) -> tuple[int, Pairs]:
        """Epoch and members as an order goes out: its own, or those before where they reach more and nobody too many."""
        link_id = self._link.link_id
        if not self._link.hello.capabilities & Capability.GROUP_KEYS:
            return epoch, members
        before = self._ledger.in_use(link_id, group)
        if before is not None and before.epoch < epoch and self._signer.knows(group, before.epoch):
            holders = int(np.isin(members.euis, self._ledger.held(link_id, group, epoch)).sum())
            held_before = int(np.isin(members.euis, self._ledger.held(link_id, group, before.epoch)).sum())
            if under_old(members, holders, before, held_before):
                return before.epoch, before.pairs
        if before is None or before.epoch != epoch:
            await self._ledger.use(link_id, group, epoch, members)
        return epoch, members

    async def _switch(self, group: int, epoch: int, members: Pairs) -> None:
        before = self._ledger.in_use(self._link.link_id, group)
        await self._ledger.use(self._link.link_id, group, epoch, members)       # before the concentrator hears of it
        await self._prepare(group, epoch, members)
        if before is not None and before.epoch != epoch:
            await self._link.ask(KeyRevoke(KeyTarget.GROUP, group, before.epoch), Result, COMMAND_T1_S)
            self._confirmed.pop((group, before.epoch), None)

    async def _prepare_under(self, group: int, epoch: int, members: Pairs) -> bytes:
        return await self._prepare(group, *await self._under(group, epoch, members))

    async def _prepare(self, group: int, epoch: int, members: Pairs) -> bytes:
        """Membership and key of the group, where this session has not confirmed them yet; the key."""
        if self._sets.get(group) != (epoch, members):
            bitmap, digest = sets.bitmap(members.indices), sets.members_digest(members)
            answer = await self._link.ask(GroupSet(group, epoch, bitmap, digest), Result, COMMAND_T1_S)
            self._accepted("GROUP_SET", answer)
            self._sets[group] = epoch, members
        return await self._key(group, epoch)

    async def _key(self, group: int, epoch: int) -> bytes:
        key = await self._signer.key(group, epoch)
        if self._confirmed.get((group, epoch)) != key:
            await self._put_key(group, epoch, key)
        return key

    async def _put_key(self, group: int, epoch: int, key: bytes) -> None:
        """One that was revoked, or lost with a key store, has left another under this epoch: it is taken back first."""
        put = KeyPut(KeyTarget.GROUP, group, epoch, crypto.wrap(self._link.key.secret, key))
        answer = await self._link.ask(put, KeyConfirm, COMMAND_T1_S)
        if isinstance(answer, Result) and answer.code == Code.DENIED:
            await self._link.ask(KeyRevoke(KeyTarget.GROUP, group, epoch), Result, COMMAND_T1_S)
            answer = await self._link.ask(put, KeyConfirm, COMMAND_T1_S)
        if isinstance(answer, Result):
            raise CommandRejected([f"{self._link.name} refused the group's key: {code_name(answer.code)}"])
        same = (answer.target, answer.number, answer.key_id) == (KeyTarget.GROUP, group, epoch)
        if not same or not crypto.equal(answer.check, crypto.key_check(key)):
            raise CommandRejected([f"{self._link.name} confirmed another key than the group's"])
        self._confirmed[group, epoch] = key

    def _accepted(self, what: str, answer: Result) -> None:
        # DUPLICATE: it has this command already, which is as good as having taken it now.
        if answer.code not in (Code.OK, Code.ACCEPTED, Code.DUPLICATE):
            text = f": {answer.text}" if answer.text else ""
            raise CommandRejected([f"{self._link.name} refused {what}: {code_name(answer.code)}{text}"])
