"""Talks to a running server over its HTTP API, as a person with a name and a password.

The password comes from a prompt, from standard input or from SCADA_PASSWORD; never from an argument, which other
users of the machine could read.
"""

import json
import os
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

import click

from scada.addresses import authority, to_call
from scada.errors import CommandRejected, LinkError, ScadaError
from scada.settings import load

TIMEOUT_S = 15.0
UPLOAD_TIMEOUT_S = 300.0                # a large file is read and compared while the request waits
DIRECT = build_opener(ProxyHandler({}))     # never through http_proxy: it would see the password


class Api:
    """One session with a server."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        self._token = ""

    @classmethod
    def of(cls, config: Path) -> "Api":
        """The API of the server that runs with this configuration on this machine."""
        hmi = load(config).hmi
        return cls(f"http://{authority(to_call(hmi.host), hmi.port)}")

    def log_in(self, name: str) -> None:
        password = os.environ.get("SCADA_PASSWORD") or click.prompt(f"password of {name}", hide_input=True, err=True)
        self._token = self.post("/api/v1/session", name=name, password=password)["token"]

    def get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def post(self, path: str, **body: Any) -> Any:
        return self._ask("POST", path, json.dumps(body).encode())

    def send(self, path: str, body: bytes, **query: Any) -> Any:
        """A file as it is."""
        return self._ask("POST", f"{path}?{urlencode(query)}", body, "application/octet-stream", UPLOAD_TIMEOUT_S)

    def _ask(
        self, method: str, path: str, body: bytes | None, kind: str = "application/json", timeout: float = TIMEOUT_S
    ) -> Any:
        request = Request(self.base + quote(path, safe="/?&=%:.-_"), data=body, method=method)
        request.add_header("Accept", "application/json")
        if body is not None:
            request.add_header("Content-Type", kind)
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with DIRECT.open(request, timeout=timeout) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise _refusal(self.base, error) from None
        except (URLError, HTTPException, TimeoutError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise LinkError(self.base, f"the server does not answer ({reason}); is it running?") from None


def _refusal(base: str, error: HTTPError) -> ScadaError:
    try:
        said = json.load(error)
        reasons = said.get("reasons") or [said.get("error", error.reason)]
    except (ValueError, AttributeError):
        reasons = [f"{error.code} {error.reason}"]
    if error.code >= 500:
        return LinkError(base, "; ".join(str(reason) for reason in reasons))
    return CommandRejected(str(reason) for reason in reasons)
