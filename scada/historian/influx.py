"""InfluxDB's door: what is said to it, over HTTP.

Line protocol to `/write` (1.x, 3) or `/api/v2/write` (2.x), through influxdb-client's ApiClient and never its batching
WriteApi, which drops data on 400, 401 and 404 at once. What an answer means is in `answers`.
"""

import gzip
import os
import re
from collections.abc import Mapping
from typing import Any, Final

from influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from scada.historian import mapping
from scada.historian.answers import Answer, Verdict, judge, of_influx
from scada.historian.ceilings import QUESTION, Ceilings, ceilings_of
from scada.historian.servers import Server, dialect_of, identify, unsuitable
from scada.settings import InfluxSettings

TIMEOUT_MS: Final = 20_000
STORED: Final = 204                                 # of all versions; a login page in the way would say 200
STARTING: Final = (500, 502, 503, 504)
Query = list[tuple[str, str]]


class InfluxDoor:
    """Sends bodies to one destination; blocking, for one thread. What it knows of the server may be read from any."""

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings
        self._client: InfluxDBClient | None = None
        self._looked = False                        # since it was away, or a person had something to put right
        self.server = Server()
        self.ceilings = Ceilings()
        self.note = ""                              # what keeps InfluxQL from reading what is written

    def write(self, body: bytes, precision: str) -> Answer:
        """Send lines of one precision ("s" or "ms": the only spellings that mean the same everywhere)."""
        settings = self._settings
        try:
            self._connect()
        except OSError as error:
            return Answer(Verdict.REFUSED, str(error))
        try:
            if not self._looked and (later := self._look()):
                return later
            if why := unsuitable(self.server, settings):
                self.close()
                return Answer(Verdict.REFUSED, why)
            path, query = "/write", [("db", settings.database), ("precision", precision)]
            if dialect_of(self.server, settings) == "v2":
                path = "/api/v2/write"
                query = [("org", settings.organisation or "-"), ("bucket", settings.database), ("precision", precision)]
            headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
            status, said, answered = self._ask("POST", path, query, gzip.compress(body, 1), headers)
        except (HTTPError, OSError) as error:
            self._looked = False                    # another one may come back
            return Answer(Verdict.RETRY, f"{settings.url} does not answer: {plain_reason(error)}")
        if status == STORED or (200 <= status < 300 and of_influx(said, answered)):
            return Answer(Verdict.STORED)
        answer = judge(status, said, answered, settings, body)
        if answer.verdict is Verdict.REFUSED:
            self.close()                            # the secret is read again before the next attempt
        return answer

    def close(self) -> None:
        self._looked = False
        if self._client is not None:
            self._client.close()
            self._client = None

    # ------------------------------------------------------------------ private
    def _connect(self) -> None:
        if self._client is None:
            self._client = connect(self._settings)

    def _look(self) -> Answer | None:
        """Who is there, and whether InfluxQL will find what is written; an answer if it cannot say that yet, but will."""
        server = Server()
        for path in ("/ping", "/health"):
            status, said, headers = self._ask("GET", path)
            if 200 <= status < 300 and (server := identify(headers, said)).version:
                break
            if status in STARTING and self._settings.dialect == "auto":
                return judge(status, said, headers, self._settings)
        self.server = server
        self.note = mapping.ensure(self._settings, self._ask_json) if server.major == 2 else ""
        self.ceilings = Ceilings()
        if server.major == 1:
            self.ceilings = ceilings_of(*self._ask_json("GET", "/query", [("q", QUESTION)]))
        self._looked = True
        return None

    def _ask_json(self, method: str, path: str, query: Query, body: Mapping[str, Any] | None = None) -> tuple[int, str]:
        return self._ask(method, path, query, body)[:2]

    def _ask(
        self, method: str, path: str, query: Query | None = None, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, Mapping[str, str]]:
        """(status, body, headers) of any answer; raises `HTTPError` or `OSError` where there is none."""
        assert self._client is not None
        client = self._client.api_client
        try:
            client.call_api(path, method, query_params=query or [], header_params=headers or {}, body=body)
        except ApiException as error:
            return int(error.status or 0), body_of(error), dict(error.headers or {})
        reply = client.last_response
        return int(reply.status), str(reply.data), dict(reply.getheaders())


def connect(settings: InfluxSettings) -> InfluxDBClient:
    """A client of a destination; raises `OSError` where its secret cannot be read."""
    secret, named = read_secret(settings), bool(settings.user)
    return InfluxDBClient(
        settings.url, token=f"{settings.user}:{secret}" if named else secret, org=settings.organisation or "-",
        auth_basic=named, timeout=TIMEOUT_MS, retries=False,
    )


def body_of(error: ApiException) -> str:
    """What an answer other than 2xx says."""
    body: Any = error.body
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or error.reason or "")


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


def plain_reason(error: BaseException) -> str:
    """The innermost reason of urllib3's nested ones, without addresses of objects."""
    reason: BaseException = error
    while isinstance(inner := getattr(reason, "reason", None) or reason.__cause__, BaseException):
        reason = inner
    text = re.sub(r"<[^>]*>:? ?", "", str(reason))
    return text.strip() or type(reason).__name__
