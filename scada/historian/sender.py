"""The thread that sends to one destination: what is live before the backlog, and nothing while the back-off lasts."""

import sqlite3
import threading
from contextlib import suppress
from typing import Final

from twisted.logger import Logger

from scada.clock import SiteClock
from scada.errors import StorageError
from scada.historian.back_off import BackOff
from scada.historian.backlog import Backlog
from scada.historian.influx import Answer, InfluxDoor, Verdict
from scada.historian.lines import INTERVAL_PRECISION, LIVE_PRECISION
from scada.historian.refusals import sqlite_sentence
from scada.historian.rows import BlockKey
from scada.historian.spool import BACKLOG, LIVE, Item, Spool

IDLE_S: Final = 5.0
STOP_S: Final = 5.0                                 # how long a stop waits for a request under way
KEPT: Final = (Verdict.RETRY, Verdict.REFUSED)      # the body stays where it is, for later
SEARCHES_MOST: Final = 64                           # requests to find the bad lines of a body: one among 10,000 takes 28
Dead = list[tuple[str, str]]                        # (line, reason) of lines nobody will store
_log = Logger()


class Sender:
    """Lines stay in the spool, and blocks in the backlog, until the destination has confirmed them."""

    def __init__(
        self, name: str, door: InfluxDoor, spool: Spool, backlog: Backlog, clock: SiteClock, back_off: BackOff
    ) -> None:
        self._name, self._door, self._spool, self._backlog = name, door, spool, backlog
        self._clock, self._back_off = clock, back_off
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._not_before = 0.0                      # monotonic; when the next attempt may be made
        self._backlog_turn = True
        self._searches = 0                          # requests since the last body was taken
        self.failures = 0                           # since the last success
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
                    self._backlog.open(self._spool.sent())
                if self._may_send():
                    self._send_next()
            except Exception as error:              # the thread must outlive a full disk and a bug; what waits stays
                if not self._closing:
                    self._failed(Answer(Verdict.RETRY, self._sentence(error)))
        self._door.close()

    def _waiting(self) -> bool:
        return bool(self._spool.bodies or len(self._backlog))

    def _may_send(self) -> bool:
        return self._closing or (self._waiting() and self._clock.monotonic() >= self._not_before)

    def _pause(self) -> float:
        return max(self._not_before - self._clock.monotonic(), 0.0) if self._waiting() else IDLE_S

    def _send_next(self) -> None:
        """One body: live first; then the spool's backlog and the store's blocks in turn."""
        self._searches = 0
        item = self._spool.take(LIVE)
        if item is None:
            self._backlog_turn = not self._backlog_turn
            if self._backlog_turn or not len(self._backlog):
                item = self._spool.take(BACKLOG)
        if item is not None:
            self._send_item(item)
        elif (key := self._backlog.take()) is not None:
            try:
                self._send_block(key)
            except Exception:
                self._backlog.again(key)
                raise

    def _send_item(self, item: Item) -> None:
        answer, dead = self._deliver(item.body, LIVE_PRECISION)
        if answer.verdict in KEPT:
            self._failed(answer)
            return
        self._spool.done(item.number, dead, self._clock.now())
        self._succeeded(item.lines - len(dead))

    def _send_block(self, key: BlockKey) -> None:
        if (found := self._backlog.lines(key)) is None:
            return
        body, lines, version = found
        if lines:
            answer, dead = self._deliver(body, INTERVAL_PRECISION)
            if answer.verdict in KEPT:
                self._backlog.again(key)
                self._failed(answer)
                return
            if dead:
                self._spool.bury(dead, self._clock.now())
            lines -= len(dead)
        self._spool.mark_sent(key, version)
        self._backlog.sent(key, version)
        self._succeeded(lines)

    def _deliver(self, body: bytes, precision: str) -> tuple[Answer, Dead]:
        """Send a body, in halves where it is too large; returns what came of it, and the lines nobody will store."""
        answer = self._door.write(body, precision)
        if answer.verdict is Verdict.TOO_LARGE:
            lines = body.splitlines(keepends=True)
            if len(lines) > 1:
                return self._deliver_halves(lines, precision)
            text = f"even a single line is too large for {self._name} (413): put its limit right"
            return Answer(Verdict.REFUSED, text), []
        if answer.verdict in (Verdict.PARTLY, Verdict.UNUSABLE):
            _log.warn("influx {name}: {text}", name=self._name, text=answer.text)
        if answer.verdict is Verdict.PARTLY:
            return (answer, list(answer.lines)) if answer.lines else self._search(body, precision, answer)
        if answer.verdict is Verdict.UNUSABLE:
            return self._deliver_without(body, precision, answer)
        return answer, []

    def _deliver_without(self, body: bytes, precision: str, answer: Answer) -> tuple[Answer, Dead]:
        """A body of which nothing was stored, without the lines the answer names (2.x: the first bad one only)."""
        named = {line.encode() for line, _ in answer.lines}
        lines = body.splitlines(keepends=True)
        good = [line for line in lines if line.rstrip(b"\n") not in named]
        if len(good) == len(lines):
            return self._search(body, precision, answer)
        dead = list(answer.lines)
        if good:
            answer, more = self._deliver(b"".join(good), precision)
            dead += more
        return answer, dead

    def _deliver_halves(self, lines: list[bytes], precision: str) -> tuple[Answer, Dead]:
        dead: Dead = []
        for half in (lines[:len(lines) // 2], lines[len(lines) // 2:]):
            answer, more = self._deliver(b"".join(half), precision)
            dead += more
            if answer.verdict in KEPT:
                break
        return answer, dead

    def _search(self, body: bytes, precision: str, answer: Answer) -> tuple[Answer, Dead]:
        """
        Bad lines that the answer does not name, by sending halves; what is stored already is stored once.

        Where all are bad, or it would take too many requests, the lines stay together.
        """
        lines = body.splitlines(keepends=True)
        if len(lines) == 1 or answer.dropped == len(lines) or self._searches >= SEARCHES_MOST:
            return answer, [(body.decode(), answer.text)]
        self._searches += 2
        return self._deliver_halves(lines, precision)

    def _succeeded(self, lines: int) -> None:
        if self.trouble:
            _log.info("influx {name}: takes data again", name=self._name)
        self.failures, self.trouble, self._not_before = 0, "", 0.0
        self.sent_lines += lines

    def _failed(self, answer: Answer) -> None:
        self.failures += 1
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
