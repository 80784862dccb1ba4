"""One body to a destination: in halves where it is too large, without the lines that it will never take."""

from typing import Final

from twisted.logger import Logger

from scada.historian.answers import Answer, Verdict
from scada.historian.influx import InfluxDoor

KEPT: Final = (Verdict.RETRY, Verdict.REFUSED)      # the body stays where it is, for later
Dead = list[tuple[str, str]]                        # (line, reason) of lines nobody will store
_log = Logger()


def deliver(door: InfluxDoor, name: str, body: bytes, precision: str) -> tuple[Answer, Dead]:
    """Send a body; what came of it, and the lines nobody will store. Blocking."""
    answer = door.write(body, precision)
    if answer.verdict is Verdict.TOO_LARGE:
        lines = body.splitlines(keepends=True)
        if len(lines) == 1:
            return answer, [(body.decode(), answer.text)]
        dead: Dead = []
        for half in (lines[:len(lines) // 2], lines[len(lines) // 2:]):
            answer, more = deliver(door, name, b"".join(half), precision)
            dead += more
            if answer.verdict in KEPT:
                break
        return answer, dead
    if answer.verdict in (Verdict.PARTLY, Verdict.UNUSABLE):
        _log.warn("influx {name}: {text}", name=name, text=answer.text)
        return _without_named(door, name, body, precision, answer)
    return answer, []


def _without_named(door: InfluxDoor, name: str, body: bytes, precision: str, answer: Answer) -> tuple[Answer, Dead]:
    """
    A body again, without the lines the answer names: 2.x names the first bad one and stores nothing.

    1.x and 3 have stored the good ones, but may not have named every bad one; the same point twice is one.
    """
    named = {line.encode() for line, _ in answer.lines}
    lines = body.splitlines(keepends=True)
    good = [line for line in lines if line.rstrip(b"\n") not in named]
    if len(good) == len(lines):
        return answer, [(body.decode(), answer.text)]
    dead = list(answer.lines)
    if good:
        answer, more = deliver(door, name, b"".join(good), precision)
        dead += more
    return answer, dead
