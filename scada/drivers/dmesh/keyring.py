"""The keys of one link or module, and what a change of key does to them; the same at both ends of a link.

A change goes new → confirmed → active, each step durable before the next is spoken of. The key before is kept until a
session under the new one has been up for `grace` seconds, so that no answer that is lost half-way locks anybody out.
"""

import attrs


@attrs.frozen
class Key:
    """One key; `number` is the key_id of KEY_PUT, 0 for a key that was carried there by hand."""

    number: int
    secret: bytes = attrs.field(repr=False)


@attrs.frozen
class Ring:
    """Immutable; times are real UTC. [s since 1970]"""

    active: Key | None = None           # None: a module whose first key is on its way
    new: Key | None = None
    confirmed: bool = False             # the other end is known to hold `new`
    old: Key | None = None
    grace: int | None = None            # s for which `old` stays good once `active` has proven itself
    until: int | None = None            # then `old` is forgotten

    @property
    def state(self) -> str:
        """For people."""
        if self.new is not None:
            return "new key confirmed" if self.confirmed else "new key waits"
        if self.old is not None:
            return "key before is still good"
        return "active"

    def held(self, now: int) -> tuple[Key, ...]:
        """All keys that are good, the newest first."""
        old = self.old if self.until is None or now < self.until else None
        return tuple(key for key in (self.new, self.active, old) if key is not None)

    def tried(self, now: int) -> tuple[Key, ...]:
        """The same for the server: the newest that the other end is known to hold comes first."""
        held = self.held(now)
        return held if self.new is None or self.confirmed else (*held[1:], held[0])

    def next_number(self, now: int) -> int:
        """A key_id above all others; with the time in it, it grows over a restore from a backup too."""
        return max(now, *(key.number + 1 for key in (self.new, self.active, self.old) if key is not None), 1)

    def put(self, key: Key) -> "Ring | None":
        """With a new key; as it is for a repeat; None for a number that is in use or does not grow."""
        for one in (self.new, self.active, self.old):
            if one is not None and one.number == key.number:
                return self if one.secret == key.secret else None
        if self.active is not None and key.number < self.active.number:
            return None
        return attrs.evolve(self, new=key, confirmed=False)

    def confirm(self, number: int) -> "Ring":
        """The other end has shown that it holds the new key."""
        mine = self.new is not None and self.new.number == number
        return attrs.evolve(self, confirmed=True) if mine else self

    def activate(self, number: int, grace: int) -> "Ring | None":
        """The new key is the one in use; also for a repeat. None where there is no such key."""
        if self.new is not None and self.new.number == number:
            return attrs.evolve(self._promoted(), grace=grace)
        if self.active is not None and self.active.number == number:
            return attrs.evolve(self, grace=grace) if self.until is None else self
        return None

    def proven(self, number: int, now: int) -> "Ring":
        """A session under this key is up: if it is the newest, the days of the one before are counted."""
        ring = self._promoted() if self.new is not None and self.new.number == number else self
        newest = ring.active is not None and ring.active.number == number
        if newest and ring.old is not None and ring.until is None and ring.grace is not None:
            return attrs.evolve(ring, until=now + ring.grace)
        return ring

    def without_old(self, now: int | None = None) -> "Ring":
        """Once its time is over; at once where no time is given."""
        over = now is None or (self.until is not None and now >= self.until)
        return attrs.evolve(self, old=None, until=None, grace=None) if over and self.old is not None else self

    def _promoted(self) -> "Ring":
        return Ring(self.new, old=self.active)


def dumped(ring: Ring) -> list[object]:
    """A ring as plain values, for a file."""
    keys = [None if key is None else [key.number, key.secret] for key in (ring.active, ring.new, ring.old)]
    return [*keys, ring.confirmed, ring.grace, ring.until]


def loaded(value: object) -> Ring:
    """The ring of a file; one bare key is what files of earlier versions hold. Raises `ValueError` or `TypeError`."""
    if isinstance(value, bytes):
        return Ring(Key(0, value))
    if not isinstance(value, list):
        raise TypeError("expected the keys of a holder")
    active, new, old, confirmed, grace, until = value
    keys = [None if key is None else Key(int(key[0]), bytes(key[1])) for key in (active, new, old)]
    return Ring(keys[0], keys[1], bool(confirmed), keys[2], grace, until)
