"""The thread that sends to one destination: what is live before the backlog, and nothing while the back-off lasts.

Backlog are the bodies that a failure left behind, the store's blocks, its results and events, and the live values from
before the destination; they take turns, a body each, and before every body what is live is asked for.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from twisted.logger import Logger

from scada.clock import SiteClock
from scada.errors import StorageError
from scada.historian.answers import Answer, Verdict
from scada.historian.back_off import BackOff
from scada.historian.backlog import Backlog
from scada.historian.delivery import KEPT, deliver
from scada.historian.events_left import EventsLeft
from scada.historian.influx import InfluxDoor
from scada.historian.letter_rows import lines_in
from scada.historian.lines import INTERVAL_PRECISION, LIVE_PRECISION
from scada.historian.past import Past
from scada.historian.refusals import sqlite_sentence
from scada.historian.results_left import ResultsLeft
from scada.historian.rows import BlockKey
from scada.historian.spool import BACKLOG, EVENTS, LIVE, PAST, RESULTS, SERVER, Item, Spool

IDLE_S: Final = 5.0
STOP_S: Final = 5.0                                 # how long a stop waits for a request under way
NOW: Final = "live"                                 # whose body it is; the pieces are named as their facts in the spool
LINES: Final = "lines"
BLOCKS: Final = "blocks"
_log = Logger()


class Sender:
    """Lines stay in the spool, and blocks in the backlog, until the destination has confirmed them."""

    def __init__(
        self, name: str, door: InfluxDoor, spool: Spool, backlog: Backlog, past: Past, results: ResultsLeft,
        events: EventsLeft, clock: SiteClock, back_off: BackOff,
    ) -> None:
        self._name, self._door, self._spool, self._backlog = name, door, spool, backlog
        self._past, self._results, self._events = past, results, events
        self._clock, self._back_off = clock, back_off
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._not_before = 0.0                      # monotonic; when the next attempt may be made
        self._turns: deque[tuple[str, Callable[[], bool]]] = deque([
            (LINES, self._left_behind), (BLOCKS, self._block), (PAST, self._piece_of_past),
            (RESULTS, self._piece_of_results), (EVENTS, self._piece_of_events),
        ])
        self._stuck = ""                            # whose body was refused last; what others have sent mends nothing
        self._server = ""                           # as it stands in the spool
        self.failures = 0                           # since the last success
        self.refused = False                        # a person must put something right
        self.sent_lines = 0
        self.trouble = ""

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"influx-{self._name}", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """There is something to send."""
        with self._condition:
            self._condition.notify_all()

    def close(self) -> None:
        """Stop after the request under way. Blocking."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(self._may_send, self._pause())
                if self._closing:
                    break
            try:
                if self._spool.look():              # somebody wants dead letters, or some days, to be sent again
                    self._backlog.open()
                    self._past.open(self._spool.fact(PAST))
                    self._results.open(self._spool.fact(RESULTS))
                    self._events.open(self._spool.fact(EVENTS))
                if self._may_send():
                    self._send_next()
            except Exception as error:              # the thread must outlive a full disk and a bug; what waits stays
                if not self._closing:
                    self._failed(Answer(Verdict.RETRY, self._sentence(error)))
        self._door.close()

    def _waiting(self) -> bool:
        pieces = self._past.left or self._results.left or self._events.left
        return bool(self._spool.bodies or len(self._backlog) or pieces)

    def _may_send(self) -> bool:
        return self._closing or (self._waiting() and self._clock.monotonic() >= self._not_before)

    def _pause(self) -> float:
        return max(self._not_before - self._clock.monotonic(), 0.0) if self._waiting() else IDLE_S

    def _send_next(self) -> None:
        """One body: live first, then those that take turns."""
        item = self._spool.take(LIVE)
        if item is not None:
            self._send_item(item, NOW)
            return
        for _ in range(len(self._turns)):
            self._turns.rotate(-1)
            whose, send = self._turns[-1]
            if send():
                return
            if whose == self._stuck:
                self._stuck = ""                    # it has nothing left that could be tried again

    def _left_behind(self) -> bool:
        """Send a body that was live when it could not be sent; False if there is none. So with the other two."""
        item = self._spool.take(BACKLOG)
        if item is not None:
            self._send_item(item, LINES)
        return item is not None

    def _block(self) -> bool:
        key = self._backlog.take()
        if key is None:
            return False
        try:
            self._send_block(key)
        except Exception:
            self._backlog.again(key)                # behind the others: it may be this one that cannot be read
            raise
        return True

    def _piece_of_past(self) -> bool:
        return self._send_piece(self._past, PAST, LIVE_PRECISION)

    def _piece_of_results(self) -> bool:
        return self._send_piece(self._results, RESULTS, INTERVAL_PRECISION)

    def _piece_of_events(self) -> bool:
        return self._send_piece(self._events, EVENTS, LIVE_PRECISION)

    def _send_piece(self, source: Past | ResultsLeft | EventsLeft, name: str, precision: str) -> bool:
        """Send the next piece of what is read from the store, and remember its place."""
        piece = source.take()
        if piece is None:
            return False
        lines = piece.lines
        if lines:
            answer, dead = deliver(self._door, self._name, piece.body, precision)
            if answer.verdict in KEPT:
                self._failed(answer, name)
                return True
            if dead:
                self._spool.bury(dead, self._clock.now())
            lines -= lines_in(dead)
        self._spool.remember(name, piece.place)
        source.sent(piece)
        if piece.lines:
            self._succeeded(lines, name)
        return True

    def _send_item(self, item: Item, whose: str) -> None:
        answer, dead = deliver(self._door, self._name, item.body, LIVE_PRECISION)
        if answer.verdict in KEPT:
            self._failed(answer, LINES)             # a live one falls behind
            return
        self._spool.done(item.number, dead, self._clock.now())
        self._succeeded(item.lines - lines_in(dead), whose)

    def _send_block(self, key: BlockKey) -> None:
        if (found := self._backlog.lines(key)) is None:
            return
        body, lines, version = found
        if lines:
            answer, dead = deliver(self._door, self._name, body, INTERVAL_PRECISION)
            if answer.verdict in KEPT:
                self._backlog.again(key, first=True)
                self._failed(answer, BLOCKS)
                return
            if dead:
                self._spool.bury(dead, self._clock.now())
            lines -= lines_in(dead)
        self._backlog.sent(key, version)
        self._succeeded(lines, BLOCKS)

    def _succeeded(self, lines: int, whose: str) -> None:
        """A body is stored. A refusal is over when what was refused is taken, not when something else is."""
        if self._stuck in ("", whose) or not self._waiting():
            if self.trouble:
                _log.info("influx {name}: takes data again", name=self._name)
            self.failures, self.trouble, self._not_before, self.refused, self._stuck = 0, "", 0.0, False, ""
        self.sent_lines += lines
        if (server := str(self._door.server)) != self._server:
            _log.info("influx {name}: writing to {server}", name=self._name, server=server or "a server without a version")
            self._spool.remember(SERVER, server)
            self._server = server

    def _failed(self, answer: Answer, whose: str = "") -> None:
        self.failures += 1
        self.refused = answer.verdict is Verdict.REFUSED
        self._stuck = whose if self.refused else ""
        if answer.text != self.trouble:
            _log.warn("influx {name}: {text}", name=self._name, text=answer.text)
        self.trouble = answer.text
        self._not_before = self._clock.monotonic() + self._back_off.wait(self.failures, answer)
        with suppress(sqlite3.Error, StorageError):     # on a full disk the order of what waits stays as it is
            self._spool.fall_behind()

    def _sentence(self, error: Exception) -> str:
        """Why a round of sending failed: a refusal of the disk, or a bug, which goes to the log whole."""
        if isinstance(error, sqlite3.Error):
            return sqlite_sentence("the spool", self._spool.path.parent, error)
        if not isinstance(error, OSError | StorageError):
            _log.failure("influx {name}: sending", name=self._name)
        return f"the spool in {self._spool.path.parent} cannot be used: {error}"
