"""What a session asks of the server while it runs: the keys of a link, the content of READY, the time."""

from scada.clock import SiteClock
from scada.drivers.dmesh.event_cursors import EventCursors
from scada.drivers.dmesh.keyring import Key
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.messages import Hello, Ready
from scada.drivers.dmesh.numbers import KeyTarget
from scada.ports import IntervalStore


class Door:
    """Implements `session.Gate`."""

    def __init__(
        self, keys: KeyStore, store: IntervalStore, clock: SiteClock, credit: int, event_cursors: EventCursors
    ) -> None:
        self._keys, self._store, self._clock, self._credit = keys, store, clock, credit
        self._turns: dict[int, int] = {}                    # proofs that failed one after the other, of links with two keys
        self.event_cursors = event_cursors

    def keys(self, hello: Hello) -> tuple[Key, ...]:
        """While a key is being changed, and the proof failed with one, the next attempt begins with another."""
        ring = self._keys.ring((KeyTarget.LINK, hello.link_id))
        tried = ring.tried(self._clock.real()) if ring is not None else ()
        if len(tried) < 2:
            self._turns.pop(hello.link_id, None)
            return tried
        at = self._turns.get(hello.link_id, 0) % len(tried)
        return tried[at:] + tried[:at]

    def failed(self, link_id: int) -> None:
        """A proof did not hold, on one side or the other."""
        ring = self._keys.ring((KeyTarget.LINK, link_id))
        if ring is not None and len(ring.tried(self._clock.real())) > 1:
            self._turns[link_id] = self._turns.get(link_id, 0) + 1

    def proven(self, link_id: int) -> None:
        self._turns.pop(link_id, None)

    def ready(self, hello: Hello) -> Ready:
        seconds, good = self.time()
        key = hello.link_id, hello.archive_id
        if 0 < hello.newest_event < self.event_cursors.get(key):
            self.event_cursors.forget(key)                    # it counts anew: what comes now is not what was told before
        return Ready(seconds, self.archive_cursor(hello), self.event_cursors.get(key), self._credit, good)

    def archive_cursor(self, hello: Hello) -> int:
        """Where an archive goes on: behind what is held, unless its numbers went back under the same archive id.

        What it holds then is not what we hold, and must not be acknowledged unread; taking a record twice harms nothing.
        """
        held = self._store.cursor(hello.link_id, hello.archive_id)
        return max(hello.oldest, 1) - 1 if hello.newest < held else held

    def time(self) -> tuple[int, bool]:
        return self._clock.seconds(), self._clock.trusted()
