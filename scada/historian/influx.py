"""InfluxDB's door: what is said to it, and what its answers mean.

Line protocol to `/write` (1.x) or `/api/v2/write` (2.x, 3), through influxdb-client's ApiClient and never its batching
WriteApi, which drops data on 400, 401 and 404 at once. An answer is sorted by what to do about it.
"""

import gzip
import json
import os
import re
from enum import Enum
from typing import Any, Final

import attrs
from influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from scada.settings import InfluxSettings

TIMEOUT_MS: Final = 20_000
_NAMED: Final = re.compile(r"unable to parse '(.*?)': ([^\n]*?)(?= dropped=|\n|$)", re.DOTALL)

_DROPPED: Final = re.compile(r"dropped=(\d+)")


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


class InfluxDoor:
    """Sends bodies to one destination; blocking, for one thread."""

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings
        self._client: InfluxDBClient | None = None

    def write(self, body: bytes, precision: str) -> Answer:
        """Send lines of one precision ("s" or "ms": the only spellings that mean the same everywhere)."""
        settings = self._settings
        try:
            client = self._connected()
        except OSError as error:
            return Answer(Verdict.REFUSED, str(error))
        path, query = "/write", [("db", settings.database), ("precision", precision)]
        if settings.dialect == "v2":
            path = "/api/v2/write"
            query = [("org", settings.organisation or "-"), ("bucket", settings.database), ("precision", precision)]
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
        try:
            client.api_client.call_api(
                path, "POST", query_params=query, header_params=headers, body=gzip.compress(body, 1),
            )
        except ApiException as error:
            answer = judge(int(error.status or 0), _said(error), dict(error.headers or {}), settings)
            if answer.verdict is Verdict.REFUSED:
                self.close()                        # the secret is read again before the next attempt
            return answer
        except (HTTPError, OSError) as error:
            return Answer(Verdict.RETRY, f"{settings.url} does not answer: {_plain(error)}")
        return Answer(Verdict.STORED)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    # ------------------------------------------------------------------ private
    def _connected(self) -> InfluxDBClient:
        if self._client is None:
            settings = self._settings
            secret = read_secret(settings)
            named = bool(settings.user)
            self._client = InfluxDBClient(
                settings.url, token=f"{settings.user}:{secret}" if named else secret, org=settings.organisation or "-",
                auth_basic=named, timeout=TIMEOUT_MS, retries=False,
            )
        return self._client


def read_secret(settings: InfluxSettings) -> str:
    """The password or token; raises `OSError` with a sentence that does not contain it."""
    if settings.secret_env:
        if not (secret := os.environ.get(settings.secret_env)):
            raise OSError(f"the environment variable {settings.secret_env} is not set")
        return secret
    if settings.secret_file is not None:
        try:
            return settings.secret_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise OSError(f"the secret file {settings.secret_file} cannot be read: {reason}") from None
    return ""


def judge(status: int, said: str, headers: dict[str, str], settings: InfluxSettings) -> Answer:
    """What an answer other than 2xx means."""
    where = settings.url
    match status:
        case 400 if "partial write" in said:
            return Answer(Verdict.PARTLY, f"{where} dropped lines: {said[:200]}", named_lines(said), dropped=dropped(said))
        case 400 | 422:
            return Answer(Verdict.UNUSABLE, f"{where} cannot use a body: {said[:200]}", named_lines(said))
        case 413:
            return Answer(Verdict.TOO_LARGE, f"{where} finds a body too large")
        case 401 | 403:
            return Answer(Verdict.REFUSED, f"{where} refuses user or secret ({status}), put them right: {said[:120]}")
        case 404:
            return Answer(Verdict.REFUSED, f"{where} has no database {settings.database!r} (404), create it: {said[:120]}")
        case 408 | 429:
            return Answer(Verdict.RETRY, f"{where} answers {status}: {said[:120]}", retry_after=retry_after(headers))
    if status >= 500 or status == 0:
        return Answer(Verdict.RETRY, f"{where} answers {status}: {said[:120]}", retry_after=retry_after(headers))
    return Answer(Verdict.REFUSED, f"{where} answers {status}: {said[:120]}")


def named_lines(said: str) -> tuple[tuple[str, str], ...]:
    """(line, reason) of the lines an answer names."""
    return tuple((line, reason.strip()) for line, reason in _NAMED.findall(said))


def dropped(said: str) -> int:
    found = _DROPPED.search(said)
    return int(found.group(1)) if found else 0


def retry_after(headers: dict[str, str]) -> float | None:
    """Seconds the server asks to wait; a date, which nobody sends here, is not understood."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        return max(float(text), 0.0)
    except ValueError:
        return None


def _said(error: ApiException) -> str:
    """The reason in an answer's body: JSON in all versions, with another key in 2.x."""
    body: Any = error.body
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        parsed = json.loads(text)
    except ValueError:
        return text.strip()
    if not isinstance(parsed, dict):
        return text.strip()
    return str(parsed.get("error") or parsed.get("message") or text).strip()


def _plain(error: BaseException) -> str:
    """The innermost reason of urllib3's nested ones, without addresses of objects."""
    reason: BaseException = error
    while isinstance(inner := getattr(reason, "reason", None) or reason.__cause__, BaseException):
        reason = inner
    text = re.sub(r"<[^>]*>:? ?", "", str(reason))
    return text.strip() or type(reason).__name__
