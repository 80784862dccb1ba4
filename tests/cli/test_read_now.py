"""`scada read-now` against a server that answers as ours does: what a person sees at a terminal."""

import json
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scada.cli import main, read_now
from tests.cli.test_dispatch import Script

ID = "2dc9f8ca08f790fee575e38d4618fa75"


def task(state: str, answered: int, reason: str = "", **more: Any) -> dict[str, Any]:
    return {
        "id": ID, "state": state, "asked": "P-1", "answered": answered, "total": 2,
        "shares": [{"concentrator": "C01", "state": state, "reason": reason}],
        "modules": [
            {"device": "C01-001", "title": "flat 1", "reason": "", "readings": [
                {"channel": 0, "code": "OK", "pulses": 1234, "at_ms": 1_767_225_600_000}]},
            {"device": "C01-002", "title": "flat 2", "reason": "NO_ROUTE", "readings": []},
        ],
        **more,
    }


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
        "/api/v1/reads": [task("queued", 0, "C01 is not connected")],
        f"/api/v1/reads/{ID}": [task("sent", 0, "asked; the answers come by radio"), task("partial", 1), task("done", 1)],
    }
    monkeypatch.setenv("SCADA_PASSWORD", "secret")
    monkeypatch.setattr(read_now, "FOLLOW_S", 0.0)
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["read-now", *words])


def test_without_follow_it_says_what_was_begun(config: Path) -> None:
    done = run(str(config), "P-1", "-u", "eva")

    assert done.exit_code == 0, done.output
    assert "queued" in done.output
    assert "C01: C01 is not connected" in done.output


def test_followed_it_ends_with_every_module_and_a_status_for_scripts(config: Path) -> None:
    """Registers with their time, the rest with the reason; 4 where somebody gave none."""
    done = run(str(config), "P-1", "-u", "eva", "--follow")

    assert done.exit_code == 4
    assert "0 of 2 answered (asked; the answers come by radio)" in done.output
    assert "1234" in done.output
    assert "2026-01-01" in done.output
    assert "NO_ROUTE" in done.output


def test_json_is_the_task_and_nothing_else(config: Path) -> None:
    done = run(str(config), "--group", "G", "--module", "M", "-u", "eva", "--json")

    assert json.loads(done.output)["id"] == ID
