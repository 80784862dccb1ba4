"""`scada collection` against a server that answers as ours does: what a person sees at a terminal."""

import json
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from tests.cli.test_dispatch import Script

RECALL = {
    "number": 3, "concentrator": "C01", "modules": ["C01-002"], "first_hour": 490_886, "hours": 24, "lacking": 3,
    "brought": 0, "by": "eva", "at_s": 1_767_261_600, "until_s": 1_767_348_000, "state": "waiting",
}
ROW = {
    "name": "C07", "held_today": 50.0, "held_yesterday": 98.25, "held_7_days": None, "held_30_days": 99.0, "missing": 12,
    "given_up": 4, "oldest_hour": 490_000, "link_up": True, "packets": 120, "budget": 500, "busy_s": 0,
}


class Remembering(Script):
    """Keeps what was asked."""

    asked: ClassVar[list[tuple[str, Any]]] = []

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.asked.append((self.path, json.loads(body) if body else None))
        answer = json.dumps(self.answers[self.path.partition("?")[0]][0]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    server = HTTPServer(("127.0.0.1", 0), Remembering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    path = tmp_path / "scada.yaml"
    path.write_text(
        f"site: {{name: North, timezone: Europe/Chisinau}}\nhmi: {{port: {server.server_port}}}\n", encoding="utf-8"
    )
    Remembering.asked.clear()
    Remembering.answers = {
        "/api/v1/session": [{"token": "t"}],
        "/api/v1/collection": [{"by": "concentrator", "total": 7, "rows": [ROW]}],
        "/api/v1/collection/ask": [RECALL], "/api/v1/collection/asked": [{"asked": [RECALL]}],
    }
    monkeypatch.setenv("SCADA_PASSWORD", "secret")
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["collection", *words])


def test_the_state_is_a_table_and_says_how_much_of_it_is_shown(config: Path) -> None:
    """Shares with one decimal, a dash where nothing is due, the budget beside what it cost."""
    done = run("status", str(config), "-u", "eva")

    assert done.exit_code == 0, done.output
    assert "1 of 7, by concentrator" in done.output
    assert [cell.strip() for cell in done.output.splitlines()[4].strip("│").split("│")] == [
        "C07", "50.0", "98.2", "-", "99.0", "12", "4", "120 / 500"
    ]


def test_what_a_program_asks_for_comes_as_json(config: Path) -> None:
    """And the wish goes to the server as it was typed."""
    done = run("status", str(config), "-u", "eva", "--by", "module", "--concentrator", "C07", "--limit", "9", "--json")

    assert json.loads(done.output)["rows"] == [ROW]
    assert Remembering.asked[-1][0] == "/api/v1/collection?by=module&limit=9&concentrator=C07"


def test_a_gap_is_named_by_site_time(config: Path) -> None:
    """A winter's day of Chisinau begins at 22:00 UTC; the end is exclusive."""
    done = run("ask", str(config), "C01", "--module", "C01-002", "--from", "2025-12-31", "--to", "2026-01-01", "-u", "eva")

    assert done.exit_code == 0, done.output
    assert Remembering.asked[-1][1] == {
        "concentrator": "C01", "modules": ["C01-002"], "first_hour": 490_870, "hours": 24
    }
    assert "waiting" in done.output


def test_a_period_that_ends_before_it_begins_asks_for_nothing(config: Path) -> None:
    """A sentence, and nothing sent."""
    done = run("ask", str(config), "C01", "--from", "2026-01-02", "--to", "2026-01-01", "-u", "eva")

    assert done.exit_code == 2
    assert "the period ends before it begins" in done.output
    assert Remembering.asked == []


def test_what_was_asked_for_is_listed_with_what_came_of_it(config: Path) -> None:
    """Number, hours, who and the state."""
    done = run("asked", str(config), "-u", "eva")

    assert "1 asked for again" in done.output
    assert "2026-01-01" in done.output
    assert "+ 24 h" in done.output
