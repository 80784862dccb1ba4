"""Hands the keys of groups to their members, through one concentrator: KEY_PUT → KEY_MEMBERS → KEY_HELD …, then GROUP_SET.

Who holds a key is on the disk before it counts, and nothing else is remembered: whoever is not known to hold it is named
again, after any break on either side. An epoch is put to use when all hold its key, or at once when somebody has left.
"""

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred

from scada.columns import Pairs
from scada.drivers.dmesh import crypto, sets
from scada.drivers.dmesh.group_keys import Assignment, gone
from scada.drivers.dmesh.groups import GroupSender
from scada.drivers.dmesh.key_ledger import KeyLedger
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.link import COMMAND_T1_S, Link
from scada.drivers.dmesh.messages import KeyHeld, KeyMembers, MemberKey, Result
from scada.drivers.dmesh.numbers import Capability, Code, KeyTarget, code_name
from scada.errors import CommandRejected, LinkError
from scada.timers import cancel

BATCH: Final = 16                       # members named at once: fits the smallest frame
PATIENCE_S: Final = 300.0               # real time for a batch; a concentrator gives up after three minutes of site time
FIRST_RETRY_S: Final = 60.0             # real time before silent members are named again; doubled each time
LONGEST_RETRY_S: Final = 3600.0
Tell = Callable[[str, str], None]       # "in use", "missing" or "refused", detail


class KeyHander:
    """One session's. `assigned` says what the members here should hold: memory."""

    def __init__(
        self, link: Link, keys: KeyStore, ledger: KeyLedger, sender: GroupSender,
        assigned: Callable[[], tuple[Assignment, ...]], reactor: Any, tell: Tell,
    ) -> None:
        self._link, self._keys, self._ledger, self._sender = link, keys, ledger, sender
        self._assigned, self._reactor, self._tell = assigned, reactor, tell
        self._able = bool(link.hello.capabilities & Capability.GROUP_KEYS)
        self._busy = False
        self._asked_for = 0.0                               # s that a busy concentrator wants to be left alone
        self._settled: set[int] = set()                     # id() of assignments with nothing left to do
        self._seen: tuple[Assignment, ...] = ()
        self._waits: dict[tuple[int, int], tuple[float, float]] = {}     # (number, epoch) -> not before, next wait
        self._told: dict[tuple[int, int], str] = {}         # who was missing when it was last said
        self._under_way: tuple[Assignment, bytes] | None = None          # and the check of its key
        self._over: Deferred[None] | None = None            # the batch that is under way

    def due(self) -> Assignment | None:
        """Whose key waits to be handed on, or whose epoch to be put to use. Cheap: every few seconds, for every link."""
        assigned = self._assigned()
        if assigned is not self._seen:
            self._seen, self._settled = assigned, set()
        if len(self._settled) == len(assigned) or self._busy or not self._link.up or not self._able:
            return None
        now = self._reactor.seconds()
        for one in assigned:
            if id(one) in self._settled or self._waits.get(one.place, (now, 0.0))[0] > now:
                continue
            if one.missing(self._ledger.held(self._link.link_id, *one.place)) or not self._in_use(one):
                return one
            self._settled.add(id(one))
        return None

    async def hand(self, one: Assignment) -> None:
        """Bring one group's key as far as it goes; fails with `LinkError` when the link breaks."""
        if self._busy:
            return
        self._busy, done = True, False
        try:
            done = await self._hand(one)
        except CommandRejected as refused:
            self._tell("refused", f"group {one.number} epoch {one.epoch}: {refused}")
        finally:
            self._busy, self._under_way = False, None
            self._waits.pop(one.place, None) if done else self._put_off(one, self._asked_for)
            self._asked_for = 0.0

    async def heard(self, news: KeyHeld) -> None:
        """Who holds a key by now. What nobody here asked for in this session counts for nothing: it will be asked again."""
        if self._under_way is None or (news.group, news.epoch) != self._under_way[0].place:
            return
        one, check = self._under_way
        of_index = dict(one.pairs)
        euis = tuple(of_index[index] for index in sets.indices(news.held) if index in of_index)
        if euis:
            await self._ledger.add(self._link.link_id, *one.place, check, euis)
        for refusal in news.refused:
            self._tell("refused", f"group {one.number} epoch {one.epoch}: index {refusal.index}: {code_name(refusal.code)}")
        if news.final and self._over is not None:
            self._end()

    def went_down(self) -> None:
        if self._over is not None:
            self._end()

    # ------------------------------------------------------------------ private
    async def _hand(self, one: Assignment) -> bool:
        """Whether nothing is left to do."""
        link_id = self._link.link_id
        if gone(one.pairs, self._ledger.in_use(link_id, one.number)):
            await self._use(one)
        key = await self._sender.put_key(*one.place)
        check = crypto.key_check(key)
        missing = one.missing(self._ledger.held(link_id, *one.place, check))
        self._under_way = one, check
        for at in range(0, len(missing), BATCH):
            if not await self._name(one, key, missing[at:at + BATCH]):
                return False
        left = one.missing(self._ledger.held(link_id, *one.place, check))
        if left:
            self._tell_missing(one, left)
            return False
        if not self._in_use(one):
            await self._use(one)
        return True

    def _tell_missing(self, one: Assignment, left: Pairs) -> None:
        names = ", ".join(f"{eui:016X}" for _, eui in left[:BATCH])
        more = f" and {len(left) - BATCH} more" if len(left) > BATCH else ""
        said = f"group {one.number} epoch {one.epoch}: {len(left)} of {len(one.euis)}: {names}{more}"
        if self._told.get(one.place) != said:               # not with every attempt
            self._told[one.place] = said
            self._tell("missing", said)

    async def _use(self, one: Assignment) -> None:
        await self._sender.switch(*one.place, one.pairs)
        self._tell("in use", f"group {one.number} epoch {one.epoch}")

    async def _name(self, one: Assignment, key: bytes, members: Pairs) -> bool:
        """One batch, until its last word or our patience; False where there is no use in going on now."""
        entries = tuple(MemberKey(index, eui, self._wrapped(eui, key)) for index, eui in members)
        over: Deferred[None] = Deferred()
        self._over = over
        answer = await self._link.ask(KeyMembers(one.number, one.epoch, entries), Result, COMMAND_T1_S)
        if answer.code not in (Code.OK, Code.ACCEPTED):
            self._over = None
            self._asked_for = float(answer.retry_after)
            if answer.code != Code.BUSY:
                self._tell("refused", f"group {one.number} epoch {one.epoch}: KEY_MEMBERS: {code_name(answer.code)}")
            return False
        timer = self._reactor.callLater(PATIENCE_S, self._end)
        try:
            await over
        finally:
            cancel(timer)
        if not self._link.up:
            raise LinkError(self._link.name, "the link is down")
        return True

    def _end(self) -> None:
        over, self._over = self._over, None
        if over is not None:
            over.callback(None)

    def _wrapped(self, eui: int, key: bytes) -> bytes:
        ring = self._keys.peek((KeyTarget.MODULE, eui))
        return crypto.wrap(ring.active.secret, key) if ring is not None and ring.active is not None else b""

    def _put_off(self, one: Assignment, least: float) -> None:
        """Twice as long as the last time."""
        wait = max(self._waits.get(one.place, (0.0, FIRST_RETRY_S))[1], least)
        self._waits[one.place] = self._reactor.seconds() + wait, min(2 * wait, LONGEST_RETRY_S)

    def _in_use(self, one: Assignment) -> bool:
        used = self._ledger.in_use(self._link.link_id, one.number)
        return used is not None and used.epoch >= one.epoch
