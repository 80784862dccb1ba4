"""What a session asks of the server while it runs: the key of a link, the content of READY, the time."""

from scada.clock import SiteClock
from scada.drivers.dmesh.event_cursors import EventCursors
from scada.drivers.dmesh.keystore import KeyStore
from scada.drivers.dmesh.messages import Hello, Ready
from scada.ports import IntervalStore


class Door:
    """Implements `session.Gate`."""

    def __init__(
        self, keys: KeyStore, store: IntervalStore, clock: SiteClock, credit: int, event_cursors: EventCursors
    ) -> None:
        self._keys, self._store, self._clock, self._credit = keys, store, clock, credit
        self.event_cursors = event_cursors

    def key(self, hello: Hello) -> bytes | None:
        return self._keys.link_key(hello.link_id)

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
