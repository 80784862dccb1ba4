"""Takes new keys to one concentrator: what `scada keys rotate` laid up, step by step, each durable before the next.

KEY_PUT → KEY_CONFIRM → (stored) → KEY_ACTIVATE → RESULT → (stored). It may break off anywhere, on either side: the next
session goes on from what the store says, and every step may be repeated.
"""

from collections.abc import Callable, Container, Iterable
from typing import Any, Final

from scada.clock import SiteClock
from scada.drivers.dmesh import crypto
from scada.drivers.dmesh.keyring import Ring
from scada.drivers.dmesh.keystore import Holder, KeyStore
from scada.drivers.dmesh.link import Link
from scada.drivers.dmesh.messages import KeyActivate, KeyConfirm, KeyPut, Result
from scada.drivers.dmesh.numbers import Capability, Code, KeyTarget, code_name
from scada.drivers.dmesh.signing import RunBlocking
from scada.errors import DataRejected

RETRY_S: Final = 300.0                  # real time before a refused or unanswered change is tried again in a session
PATIENCE_S: Final = 60.0                # a module meets its parent only every few seconds, on every hop
Tell = Callable[[Holder, str, str], None]   # whose key, "activated" or "refused", detail


class KeyCarrier:
    """One session's; the link's own key, then those of its modules."""

    def __init__(
        self, link: Link, keys: KeyStore, clock: SiteClock, run: RunBlocking, seconds: Callable[[], float], grace: int,
        tell: Tell,
    ) -> None:
        self._link, self._keys, self._clock, self._run, self._seconds = link, keys, clock, run, seconds
        self._grace, self._tell = grace, tell
        self._busy = False
        self._not_before: dict[Holder, float] = {}
        self._mine: Holder = (KeyTarget.LINK, link.link_id)

    @property
    def withdrawn(self) -> bool:
        """The key of this session is no longer in the store: it was revoked, or replaced by hand."""
        ring = self._keys.peek(self._mine)
        return ring is None or self._link.key not in ring.held(self._clock.real())

    def due(self, unsettled: Iterable[Holder], euis: Container[int]) -> tuple[Holder, ...]:
        """Which of those whose keys are being changed are here, and wait for something. Memory only."""
        if self._busy:
            return ()
        now = self._seconds()
        return tuple(
            holder for holder in unsettled
            if (holder == self._mine or (holder[0] is KeyTarget.MODULE and holder[1] in euis))
            and self._not_before.get(holder, now) <= now
            and (ring := self._keys.peek(holder)) is not None
            and (ring.new is not None or self._settled(holder, ring) != ring)
        )

    async def carry_out(self, holders: Iterable[Holder]) -> None:
        """Bring each on its way as far as it goes; fails with `LinkError` when the link breaks."""
        if self._busy:
            return
        self._busy = True
        try:
            for holder in holders:
                self._not_before[holder] = self._seconds() + RETRY_S
                await self._change(holder)
                del self._not_before[holder]
        finally:
            self._busy = False

    def _settled(self, holder: Holder, ring: Ring) -> Ring:
        """What the mere fact of this session says: its key is proven; and what has had its time goes."""
        now = self._clock.real()
        newest = ring.active.number if ring.active is not None else -1
        proven = self._link.key.number if holder[0] is KeyTarget.LINK else newest
        if ring.new is not None and proven == ring.new.number:
            return ring.without_old(now)                    # KEY_ACTIVATE first: its grace is not agreed yet
        return ring.proven(proven, now).without_old(now)

    async def _change(self, holder: Holder) -> None:
        ring: Ring = await self._run(self._keys.change, holder, lambda held: self._settled(holder, held))
        if ring is None or (new := ring.new) is None:
            return
        if not self._link.hello.capabilities & Capability.KEYS:
            self._tell(holder, "refused", "this concentrator cannot change keys; carry one there by hand")
            raise DataRejected(self._link.name, "does not take keys over the link")
        if holder[0] is not KeyTarget.LINK or self._link.key.number != new.number:
            await self._put(holder, new.number, new.secret)
            await self._run(self._keys.change, holder, lambda held: held.confirm(new.number))
        answer = await self._link.ask(KeyActivate(*holder, new.number, self._grace), Result, self._within(holder))
        self._accepted(holder, "KEY_ACTIVATE", answer)

        def active(held: Ring) -> Ring | None:
            after = held.activate(new.number, self._grace)
            return None if after is None else self._settled(holder, after)

        await self._run(self._keys.change, holder, active)
        self._tell(holder, "activated", f"key {new.number}")

    async def _put(self, holder: Holder, number: int, secret: bytes) -> None:
        put = KeyPut(*holder, number, crypto.wrap(self._link.key.secret, secret))
        answer: Any = await self._link.ask(put, KeyConfirm, self._within(holder))
        if isinstance(answer, Result):
            self._accepted(holder, "KEY_PUT", answer)
        same = isinstance(answer, KeyConfirm) and (answer.target, answer.number, answer.key_id) == (*holder, number)
        if not same or not crypto.equal(answer.check, crypto.key_check(secret)):
            self._tell(holder, "refused", "another key was confirmed than was sent")
            raise DataRejected(self._link.name, "confirmed another key than was sent")

    def _within(self, holder: Holder) -> float | None:
        return PATIENCE_S if holder[0] is KeyTarget.MODULE else None

    def _accepted(self, holder: Holder, what: str, answer: Result) -> None:
        if answer.code != Code.OK:
            self._tell(holder, "refused", f"{what}: {code_name(answer.code)} {answer.text}".rstrip())
            raise DataRejected(self._link.name, f"refused {what}: {code_name(answer.code)}")
