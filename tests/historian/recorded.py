"""InfluxDB 2.7 and 3 Core as their documentation says that they answer: status, headers and bodies, over real HTTP.

Nobody here has run the real ones. What is written down is what docs.influxdata.com and the sources of both say: `/ping`
with its headers, `/write` and `/api/v2/write` with their errors, buckets and DBRP mappings of 2.x, `/query`.
"""

import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

LINE = re.compile(r"(\w+),(\w+)=([^ ,]+) ((?:\w+=-?[\d.e+-]+,?)+) (\d+)")
SELECT = re.compile(r'SELECT \* FROM "(\w+)" GROUP BY "(\w+)"')
TOKEN, ORG, ORG_ID, BUCKET, BUCKET_ID = "right-token", "utility", "e20dcc436a89fa52", "scada", "2de730f52b92fae0"
PRECISIONS = {"s": 1000, "ms": 1}
Fields = dict[str, float]


class Recorded:
    """One server; `may` says what its token may do beyond writing and querying."""

    def __init__(self, kind: str, *, virtual: bool = False) -> None:
        self.kind = kind                                    # "2.7" or "3 Core"
        self.may = {"read buckets", "write dbrp"}
        self.mappings: list[dict[str, Any]] = []
        if virtual:
            self.mappings.append(mapping(virtual=True))
        self.points: dict[tuple[str, str, str, int], Fields] = {}   # (measurement, tag, its value, ms)
        self.databases = {BUCKET}
        self.asked: list[str] = []                          # method and path, in order
        self.starting = False                               # answers 503 to everything
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def do_POST(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                """Not on the tests' output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # ------------------------------------------------------------------ what is answered
    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        query = dict(parse_qsl(parts.query))
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if request.headers.get("Content-Type") == "application/x-www-form-urlencoded":
            query |= dict(parse_qsl(body.decode()))
        self.asked.append(f"{request.command} {parts.path}")
        known = request.headers.get("Authorization") in (f"Token {TOKEN}", f"Bearer {TOKEN}")
        answers = self._unavailable if self.starting else self._of_2 if self.kind == "2.7" else self._of_3
        status, said = answers(request.command, parts.path, query, body.decode(), known)
        data = json.dumps(said).encode() if said is not None else b""
        request.send_response(status)
        version, build = ("v2.7.1", "OSS") if self.kind == "2.7" else ("3.9.2", "Core")
        if status != 503 and (status != 401 or self.kind == "2.7"):
            request.send_header("X-Influxdb-Version", version)
            request.send_header("X-Influxdb-Build", build)
        if data:
            request.send_header("Content-Type", "application/json; charset=utf-8")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _unavailable(self, *_: object) -> tuple[int, Any]:
        return 503, {"code": "unavailable", "message": "not ready"}

    def _of_2(self, method: str, path: str, query: dict[str, str], body: str, known: bool) -> tuple[int, Any]:
        if path == "/ping":
            return 204, None
        if not known:
            return 401, {"code": "unauthorized", "message": "unauthorized access"}
        match method, path:
            case "GET", "/api/v2/buckets":
                found = [{"id": BUCKET_ID, "orgID": ORG_ID, "type": "user", "name": BUCKET, "retentionRules": []}]
                readable = "read buckets" in self.may and query.get("name") == BUCKET
                return 200, {"links": {"self": path}, "buckets": found if readable else []}
            case "GET", "/api/v2/dbrps":
                return 200, {"content": [one for one in self.mappings if one["database"] == query.get("db")]}
            case "POST", "/api/v2/dbrps":
                if "write dbrp" not in self.may:
                    return 401, {"code": "unauthorized", "message": f"write:orgs/{ORG_ID}/dbrp is unauthorized"}
                self.mappings.append({**json.loads(body), "id": "0a3ee7e1b9c2a000"})
                return 201, self.mappings[-1]
            case "POST", "/api/v2/write":
                if query.get("bucket") != BUCKET:
                    return 404, {"code": "not found", "message": f'bucket "{query.get("bucket")}" not found'}
                return self._all_or_nothing(body, query["precision"])
            case "POST", "/write":
                if not any(one["database"] == query.get("db") for one in self.mappings):
                    return 404, {"code": "not found", "message": "no dbrp mapping found"}
                return self._all_or_nothing(body, query["precision"])
            case "POST", "/query":
                if not any(one["database"] == query.get("db") for one in self.mappings):
                    return 404, {"code": "not found", "message": "no dbrp mapping found"}
                return 200, self._selected(query["q"])
        return 404, {"code": "not found", "message": "path not found"}

    def _of_3(self, method: str, path: str, query: dict[str, str], body: str, known: bool) -> tuple[int, Any]:
        if not known:
            return 401, None
        match method, path:
            case "GET", "/ping":
                return 200, {"version": "3.9.2", "revision": "abc123def", "process_id": "1"}
            case "POST", "/write" | "/api/v2/write":
                database = query.get("db") or query.get("bucket", "")
                if database not in self.databases and len(self.databases) >= 5:
                    return 422, {"error": "Adding a new database would exceed limit of 5 databases"}
                self.databases.add(database)
                return self._what_is_good(body, query["precision"])
            case "POST", "/query":
                return 200, self._selected(query["q"])
        return 404, None

    def _all_or_nothing(self, body: str, precision: str) -> tuple[int, Any]:
        """2.x: the first malformed line rejects the whole body."""
        bad = next((line for line in body.splitlines() if not LINE.fullmatch(line)), None)
        if bad is not None:
            return 400, {"code": "invalid", "message": f"unable to parse '{bad}': missing field value"}
        for line in body.splitlines():
            self._store(line, precision)
        return 204, None

    def _what_is_good(self, body: str, precision: str) -> tuple[int, Any]:
        """3: good lines are stored, the others numbered from 1, a hundred at most, and not repeated as they were."""
        rejected = []
        for number, line in enumerate(body.splitlines(), start=1):
            if LINE.fullmatch(line):
                self._store(line, precision)
            elif len(rejected) < 100:
                said = "No fields were provided"
                rejected.append({"original_line": line.replace("\\", ""), "line_number": number, "error_message": said})
        return (400, {"error": "partial write of line protocol occurred", "data": rejected}) if rejected else (204, None)

    def _store(self, line: str, precision: str) -> None:
        found = LINE.fullmatch(line)
        assert found
        measurement, tag, value, fields, time = found.groups()
        key = (measurement, tag, value, int(time) * PRECISIONS[precision])
        new = {name: float(number) for name, number in (one.split("=") for one in fields.split(","))}
        self.points[key] = {**self.points.get(key, {}), **new}

    def _selected(self, text: str) -> Any:
        found = SELECT.fullmatch(text)
        assert found, f"not a statement of the tests: {text}"
        measurement, tag = found.groups()
        series: dict[str, list[Any]] = {}
        for (of, _, value, at), fields in sorted(self.points.items()):
            if of == measurement:
                series.setdefault(value, []).append([at, fields.get("q"), fields.get("v")])
        return {"results": [{"statement_id": 0, "series": [
            {"name": measurement, "tags": {tag: value}, "columns": ["time", "q", "v"], "values": rows}
            for value, rows in series.items()
        ]}]}


def mapping(bucket: str = BUCKET_ID, **more: Any) -> dict[str, Any]:
    """A DBRP mapping as `GET /api/v2/dbrps` lists it."""
    return {
        "id": "0a3ee7e1b9c2afff", "database": BUCKET, "retention_policy": "autogen", "default": True, "orgID": ORG_ID,
        "bucketID": bucket, **more,
    }
