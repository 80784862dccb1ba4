"""What an InfluxDB's answers mean, sorted by what to do about them. Pure.

A body with bad lines is answered differently: 1.x stores the others and names the bad ones in a sentence, 2.x stores
nothing and names the first, 3 stores the others and numbers the bad ones, a hundred of them at most. A limit of the
server's own looks the same, though every line is good; and so does what something else says in its place, of which
nothing is believed.
"""

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import attrs

from scada.settings import InfluxSettings

_NAMED: Final = re.compile(r"unable to parse '(.*?)': ([^\n]*?)(?= dropped=|\n|$)", re.DOTALL)
_DROPPED: Final = re.compile(r"dropped=(\d+)")
_LIMIT: Final = re.compile(
    r"^partial write: max-[a-z-]+ limit exceeded"       # 1.x: values of a tag, series of a database
    r"|would exceed .*limit"                            # 3 Core: five databases, and no more
)


class Verdict(Enum):
    """What to do with a body that was sent."""

    STORED = "stored"
    PARTLY = "partly"                   # the good lines are stored, the others never will be
    UNUSABLE = "unusable"               # no retry will ever help
    TOO_LARGE = "too large"             # halve it
    RETRY = "retry"                     # the server will be able to take it later
    REFUSED = "refused"                 # a person must put something right; keep everything


@attrs.frozen
class Answer:
    """One answer, sorted."""

    verdict: Verdict
    text: str = ""                      # a sentence for the operator
    lines: tuple[tuple[str, str], ...] = ()     # (line, reason) of lines the server named
    dropped: int = 0                    # how many it says it did not store; 0 if it does not say
    retry_after: float | None = None    # s


def judge(status: int, said: str, headers: Mapping[str, str], settings: InfluxSettings, sent: bytes = b"") -> Answer:
    """What an answer other than 2xx means: `said` is its body, `sent` are the lines it answers."""
    where, reason = settings.url, reason_of(said)
    if _LIMIT.search(reason):
        return Answer(Verdict.REFUSED, f"{where} is at a limit of its own ({status}): {reason[:120]}")
    match status:
        case 200 | 400 | 422 if not of_influx(said, headers):
            return Answer(
                Verdict.REFUSED,
                f"{where} answers {status}, and not as InfluxDB does (expected its address, http or https): {reason[:120]}",
            )
        case 400 if "partial write" in reason:
            text = f"{where} dropped lines: {reason[:200]}"
            return Answer(Verdict.PARTLY, text, named_lines(said, sent), dropped=dropped(reason))
        case 400 | 422:
            return Answer(Verdict.UNUSABLE, f"{where} cannot use a body: {reason[:200]}", named_lines(said, sent))
        case 413:
            return Answer(Verdict.TOO_LARGE, f"{where} finds a body too large")
        case 401 | 403:
            return Answer(Verdict.REFUSED, f"{where} refuses user or secret ({status}), put them right: {reason[:120]}")
        case 404 if "dbrp" in reason.lower():
            return Answer(Verdict.REFUSED, f"{where} has no mapping from database {settings.database!r} to a bucket (404)")
        case 404:
            return Answer(
                Verdict.REFUSED, f"{where} has no database {settings.database!r} (404), create it: {reason[:120]}"
            )
        case 408 | 429:
            return Answer(Verdict.RETRY, f"{where} answers {status}: {reason[:120]}", retry_after=retry_after(headers))
    if status >= 500 or status == 0:
        return Answer(Verdict.RETRY, f"{where} answers {status}: {reason[:120]}", retry_after=retry_after(headers))
    return Answer(Verdict.REFUSED, f"{where} answers {status}: {reason[:120]}")


def reason_of(said: str) -> str:
    """The reason in an answer's body: JSON in all versions, with another key in 2.x."""
    parsed = _parsed(said)
    return str(parsed.get("error") or parsed.get("message") or said).strip()


def named_lines(said: str, sent: bytes = b"") -> tuple[tuple[str, str], ...]:
    """
    (line, reason) of the lines an answer names.

    3 numbers them from 1, and what it repeats of them is not always what was sent: the number is taken, where there is one.
    """
    rejected = _parsed(said).get("data")
    if not isinstance(rejected, list | dict):
        return tuple((line, reason.strip()) for line, reason in _NAMED.findall(reason_of(said)))
    lines = sent.decode().splitlines()
    found = []
    for one in rejected if isinstance(rejected, list) else [rejected]:
        number = one.get("line_number") if isinstance(one, dict) else None
        if isinstance(number, int) and 1 <= number <= len(lines):
            found.append((lines[number - 1], str(one.get("error_message", "")).strip()))
    return tuple(found)


def dropped(reason: str) -> int:
    """How many lines were not stored, where it is said."""
    found = _DROPPED.search(reason)
    return int(found.group(1)) if found else 0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait; a date, which nobody sends here, is not understood."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        return max(float(text), 0.0)
    except ValueError:
        return None


def of_influx(said: str, headers: Mapping[str, str]) -> bool:
    """Whether InfluxDB itself says so: its headers, which a proxy may take away, or JSON as it writes it."""
    if any(name.lower().startswith("x-influxdb-") for name in headers):
        return True
    parsed = _parsed(said)
    return isinstance(parsed.get("error"), str) or (isinstance(parsed.get("code"), str) and "message" in parsed)


def _parsed(said: str) -> dict[str, Any]:
    try:
        parsed = json.loads(said)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
