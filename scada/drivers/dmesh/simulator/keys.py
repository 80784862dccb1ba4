"""What a simulated concentrator does with keys: link and module keys in rings, each change kept before it is answered."""

from collections.abc import Callable
from typing import Final

import attrs

from scada.drivers.dmesh import crypto
from scada.drivers.dmesh.keyring import Key, Ring
from scada.drivers.dmesh.messages import KeyActivate, KeyConfirm, KeyPut, KeyRevoke, Message, Result
from scada.drivers.dmesh.numbers import Code, KeyTarget
from scada.drivers.dmesh.rejected import Rejected

UNTOUCHED: Final = Ring()


@attrs.define(eq=False)
class SimKeys:
    """The rings of one subnet. `keep` makes a changed ring durable, and may fail; times are real. [s since 1970]"""

    link_id: int
    link: Ring
    keep: Callable[[KeyTarget, int, Ring], None] = lambda target, number, ring: None
    modules: dict[int, Ring] = attrs.field(factory=dict)
    groups: dict[tuple[int, int], bytes] = attrs.field(factory=dict)        # (number, epoch)

    def proven(self, key: Key, now: float) -> None:
        """A session under this key is up."""
        self._set(KeyTarget.LINK, self.link_id, self.link.proven(key.number, int(now)).without_old(int(now)))

    def take(self, message: Message, session: Key, has_module: Callable[[int], bool], now: float) -> Message | None:
        """Answer what is about keys; None for anything else. `session` is the link key this session was proven under."""
        match message:
            case KeyPut(target=KeyTarget.GROUP):
                return self._put_group(message, session)
            case KeyRevoke(target=KeyTarget.GROUP, number=number, key_id=key_id):
                return Result(Code.OK if self.groups.pop((number, key_id), None) else Code.UNKNOWN)
            case KeyPut() | KeyActivate() | KeyRevoke():
                known = message.number == self.link_id if message.target is KeyTarget.LINK else has_module(message.number)
                return self._ring(message, session, int(now)) if known else Result(Code.UNKNOWN)
        return None

    def _ring(self, message: KeyPut | KeyActivate | KeyRevoke, session: Key, now: int) -> Message:
        target, number = message.target, message.number
        ring = self.link if target is KeyTarget.LINK else self.modules.get(number, UNTOUCHED)
        match message:
            case KeyPut(key_id=key_id, wrapped=wrapped):
                key = crypto.unwrap(session.secret, wrapped)
                if isinstance(key, Rejected):
                    return Result(Code.CRYPTO)
                after = ring.put(Key(key_id, key))
                if after is None:
                    return Result(Code.DENIED, text="this key id is in use, or lower than the one in use")
                self._set(target, number, after)
                return KeyConfirm(target, number, key_id, crypto.key_check(key))
            case KeyActivate(key_id=key_id, grace_s=grace):
                after = ring.activate(key_id, grace)
                if after is None:
                    return Result(Code.UNKNOWN)
                proven = session.number if target is KeyTarget.LINK else key_id
                self._set(target, number, after.proven(proven, now))
                return Result(Code.OK)
            case KeyRevoke(key_id=key_id):
                return self._revoke(target, number, ring, key_id)

    def _revoke(self, target: KeyTarget, number: int, ring: Ring, key_id: int) -> Result:
        if target is KeyTarget.LINK and ring.active is not None and ring.active.number == key_id:
            return Result(Code.DENIED)
        left = [None if key is not None and key.number == key_id else key for key in (ring.active, ring.new, ring.old)]
        found = attrs.evolve(ring, active=left[0], new=left[1], old=left[2])
        code = Code.UNKNOWN if found == ring else Code.OK
        self._set(target, number, found)
        return Result(code)

    def _put_group(self, message: KeyPut, session: Key) -> Message:
        key, place = crypto.unwrap(session.secret, message.wrapped), (message.number, message.key_id)
        if isinstance(key, Rejected):
            return Result(Code.CRYPTO)
        if self.groups.setdefault(place, key) != key:
            return Result(Code.DENIED, text="another key of this epoch is in use")
        return KeyConfirm(message.target, *place, crypto.key_check(key))

    def _set(self, target: KeyTarget, number: int, ring: Ring) -> None:
        before = self.link if target is KeyTarget.LINK else self.modules.get(number, UNTOUCHED)
        if ring == before:
            return
        self.keep(target, number, ring)
        if target is KeyTarget.LINK:
            self.link = ring
        else:
            self.modules[number] = ring
