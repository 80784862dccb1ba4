"""`scada dispatch` against a server that answers as ours does: what a dispatcher sees at a terminal."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result

from scada.cli import dispatch, main

ID = "2dc9f8ca08f790fee575e38d4618fa75"


def command(state: str, counts: dict[str, int], **more: Any) -> dict[str, Any]:
    return {
        "id": ID, "action": "shed", "group": "LG-1", "actor": "dan", "state": state, "off_for_s": 600,
        "made_ms": 1_767_225_600_000, "monitor_only": False, "counts": counts, "members": [], **more,
    }


class Script(BaseHTTPRequestHandler):
    """Answers each path with the next of its answers, the last one for ever."""

    answers: ClassVar[dict[str, list[Any]]] = {}

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        waiting = self.answers[self.path]
        body = json.dumps(waiting.pop(0) if len(waiting) > 1 else waiting[0]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    server = HTTPServer(("127.0.0.1", 0), Script)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    path = tmp_path / "scada.yaml"
    path.write_text(
        f"site: {{name: North, timezone: Europe/Chisinau}}\nhmi: {{port: {server.server_port}}}\n", encoding="utf-8"
    )
    Script.answers = {
        "/api/v1/session": [{"token": "t"}],
        "/api/v1/dispatch/select": [{"id": "s", "members": [], "expected_w": 0, "warnings": [], "monitor_only": False}],
        "/api/v1/dispatch/execute": [command("sending", {"pending": 2})],
        f"/api/v1/dispatch/commands/{ID}": [
            command("collecting", {"accepted": 2}), command("active", {"executed": 1, "no_answer": 1}),
            command("active", {"executed": 1, "no_answer": 1}), command("closed", {"restored": 1, "no_answer": 1}),
        ],
        "/api/v1/dispatch/commands": [{"commands": [command("closed", {"restored": 1, "no_answer": 1})]}],
        "/api/v1/dispatch/groups": [{"groups": [
            {"name": "LG-1", "title": "Boilers", "load_class": "yellow", "area": "North", "members": 3, "max_off_s": 900},
        ]}],
    }
    monkeypatch.setattr(dispatch, "FOLLOW_S", 0.0)
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


def run(config: Path, *words: str) -> Result:
    first, *rest = words
    return CliRunner().invoke(main, ["dispatch", first, str(config), *rest, "-u", "dan"], env={"SCADA_PASSWORD": "secret"})


def shed(config: Path) -> Result:
    return run(config, "shed", "LG-1", "--off-for", "600", "--yes", "--follow")


def test_every_change_is_told_while_a_command_is_followed(config: Path) -> None:
    """A quarter of an hour of silence would look like a hang; a state that stays is told once."""
    done = shed(config)

    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines() == [
        f"{ID} sending: 2 pending", f"{ID} collecting: 2 accepted", f"{ID} active: 1 executed, 1 no answer",
        f"{ID} closed: 1 restored, 1 no answer",
    ]


def test_ctrl_c_ends_the_waiting_and_says_that_the_command_goes_on(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody must believe that the loads are back."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    done = shed(config)

    assert done.exit_code == 130
    assert f"the command goes on without us; `scada dispatch show CONFIG {ID}`" in done.stderr


def test_the_list_says_when_how_long_and_with_what_result(config: Path) -> None:
    """In the site's zone, with the whole id: it is what `show` and `restore` want."""
    row = run(config, "list").output

    for part in (ID, "2026-01-01 02:00:00+02:00", "600", "dan", "closed", "1 restored, 1 no"):
        assert part in row


def test_the_groups_can_be_asked_for(config: Path) -> None:
    """Who sheds has to know the names."""
    table, said = run(config, "groups").output, run(config, "groups", "--json").output

    assert "LG-1" in table
    assert "900" in table
    assert json.loads(said)[0]["name"] == "LG-1"


@pytest.mark.parametrize(("words", "asked"), [
    (("limit", "--level", "500", "--for", "3600"), {"off_for_s": 3600, "action": "limit", "level_w": 500}),
    (("eco", "--for", "600"), {"off_for_s": 600, "action": "eco"}),
])
def test_a_limit_and_economy_are_asked_of_the_same_desk(
    config: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], asked: dict[str, Any]
) -> None:
    """What is typed is what is selected."""
    posted: list[dict[str, Any]] = []
    post = dispatch.Api.post
    monkeypatch.setattr(dispatch.Api, "post", lambda self, path, **body: (posted.append(body), post(self, path, **body))[1])
    said = run(config, words[0], "LG-1", "--yes", *words[1:])

    assert said.exit_code == 0, said.output
    assert {"group": "LG-1", "reason": "", **asked} in posted
