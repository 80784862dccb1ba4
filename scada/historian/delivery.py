"""One body to a destination: in halves where it is too large, without the lines that it will never take."""

from typing import Final

from twisted.logger import Logger

from scada.historian.answers import Answer, Verdict
from scada.historian.influx import InfluxDoor

SEARCHES_MOST: Final = 64                           # requests to find the bad lines of a body: one among 10,000 takes 28
KEPT: Final = (Verdict.RETRY, Verdict.REFUSED)      # the body stays where it is, for later
Dead = list[tuple[str, str]]                        # (line, reason) of lines nobody will store
_log = Logger()


def deliver(door: InfluxDoor, name: str, body: bytes, precision: str) -> tuple[Answer, Dead]:
    """Send a body; what came of it, and the lines nobody will store. Blocking."""
    return _Delivery(door, name, precision).send(body)


class _Delivery:
    """Of one body."""

    def __init__(self, door: InfluxDoor, name: str, precision: str) -> None:
        self._door, self._name, self._precision = door, name, precision
        self._searches = 0                          # requests so far

    def send(self, body: bytes) -> tuple[Answer, Dead]:
        answer = self._door.write(body, self._precision)
        match answer.verdict:
            case Verdict.TOO_LARGE:
                lines = body.splitlines(keepends=True)
                if len(lines) > 1:
                    return self._halves(lines)
                text = f"even a single line is too large for {self._name} (413): put its limit right"
                return Answer(Verdict.REFUSED, text), []
            case Verdict.PARTLY | Verdict.UNUSABLE:
                _log.warn("influx {name}: {text}", name=self._name, text=answer.text)
                return self._without_named(body, answer)
        return answer, []

    def _without_named(self, body: bytes, answer: Answer) -> tuple[Answer, Dead]:
        """
        A body again, without the lines the answer names: 2.x names the first bad one and stores nothing.

        1.x and 3 have stored the good ones, but may not have named every bad one; the same point twice is one.
        """
        if answer.verdict is Verdict.PARTLY and 0 < answer.dropped == len(answer.lines):
            return answer, list(answer.lines)       # all were named
        named = {line.encode() for line, _ in answer.lines}
        lines = body.splitlines(keepends=True)
        good = [line for line in lines if line.rstrip(b"\n") not in named]
        if len(good) == len(lines):
            return self._search(lines, answer)
        dead = list(answer.lines)
        if good:
            answer, more = self.send(b"".join(good))
            dead += more
        return answer, dead

    def _halves(self, lines: list[bytes]) -> tuple[Answer, Dead]:
        dead: Dead = []
        for half in (lines[:len(lines) // 2], lines[len(lines) // 2:]):
            answer, more = self.send(b"".join(half))
            dead += more
            if answer.verdict in KEPT:
                break
        return answer, dead

    def _search(self, lines: list[bytes], answer: Answer) -> tuple[Answer, Dead]:
        """
        Bad lines that the answer does not name, by sending halves; what is stored already is stored once.

        Where all are bad, or it would take too many requests, the lines stay together.
        """
        if len(lines) == 1 or answer.dropped == len(lines) or self._searches >= SEARCHES_MOST:
            return answer, [(b"".join(lines).decode(), answer.text)]
        self._searches += 2
        return self._halves(lines)
