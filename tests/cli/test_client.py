"""The command line's way to a running server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from scada.cli.client import Api


class Answer(BaseHTTPRequestHandler):
    """Answers every request with its own name, and remembers what came."""

    heard: list[str]

    def do_POST(self) -> None:
        self.heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        body = b'{"token": "t"}'
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""


def listening() -> HTTPServer:
    server = HTTPServer(("127.0.0.1", 0), type("Own", (Answer,), {"heard": []}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize(
    ("host", "base"),
    [("127.0.0.1", "http://127.0.0.1:8080"), ("0.0.0.0", "http://127.0.0.1:8080"), ("'::'", "http://[::1]:8080"),
     ("'fd00::5'", "http://[fd00::5]:8080"), ("scada.local", "http://scada.local:8080")],
)
def test_the_address_is_one_that_can_be_called(tmp_path: Path, host: str, base: str) -> None:
    """An IPv6 address stands in brackets; "everywhere" is called here."""
    config = tmp_path / "scada.yaml"
    config.write_text(f"site: {{name: N}}\nhmi: {{host: {host}}}\n", encoding="utf-8")

    assert Api.of(config).base == base


@pytest.fixture
def servers() -> Iterator[tuple[HTTPServer, HTTPServer]]:
    both = listening(), listening()
    yield both
    for one in both:
        one.shutdown()
        one.server_close()


def test_a_password_never_goes_through_the_proxy_of_the_environment(
    servers: tuple[HTTPServer, HTTPServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Companies set http_proxy for everybody; the server of this machine is not behind it, which must see none."""
    server, proxy = servers
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SCADA_PASSWORD", "a long enough password")
    Api(f"http://127.0.0.1:{server.server_port}").log_in("anna")

    assert proxy.RequestHandlerClass.heard == []             # type: ignore[attr-defined]
    assert len(server.RequestHandlerClass.heard) == 1        # type: ignore[attr-defined]
