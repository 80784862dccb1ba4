"""`scada concentrator` against a server that answers as ours does: what is shown, asked first, and sent."""

import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from tests.cli.test_collection import Remembering

API = "/api/v1/concentrators/C01"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    server = HTTPServer(("127.0.0.1", 0), Remembering)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    path = tmp_path / "scada.yaml"
    path.write_text(f"site: {{name: North}}\nhmi: {{port: {server.server_port}}}\n", encoding="utf-8")
    Remembering.asked.clear()
    Remembering.answers = {
        "/api/v1/session": [{"token": "t"}],
        f"{API}/info": [
            {"name": "C01", "model": "J100UC", "firmware": "1.4", "uptime_s": 60, "modules": 3, "configuration": 9}
        ],
        f"{API}/parameters": [{"name": "C01", "version": 9, "values": {"radio_channel": 3}}],
        f"{API}/reboot": [{"accepted": True}], f"{API}/discovery": [{"duration_s": 600}],
        f"{API}/cancel": [{"cancelled": True}],
    }
    monkeypatch.setenv("SCADA_PASSWORD", "secret")
    monkeypatch.setenv("SCADA_USER", "eva")
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


def run(config: Path, command: str, *words: str, said: str = "") -> Result:
    return CliRunner().invoke(main, ["concentrator", command, str(config), "C01", *words], input=said)


def sent(path: str) -> list[object]:
    return [body for asked, body in Remembering.asked if asked == f"{API}/{path}" and body]


def test_what_it_says_of_itself_is_a_table(config: Path) -> None:
    assert "1.4" in run(config, "info").output
    assert "radio_channel" in run(config, "params").output


def test_parameters_and_a_reboot_are_asked_first(config: Path) -> None:
    """What changes is shown; no is no; `--yes` asks nothing. Texts stay texts."""
    shown = run(config, "set", "radio_channel=4", said="n\n")
    refused = run(config, "reboot", said="n\n")
    nothing = sent("parameters") + sent("reboot")
    run(config, "set", "radio_channel=4", "apn=5", "--yes")
    run(config, "reboot", "--module", "C01-002", said="y\n")

    assert [one.strip() for one in shown.output.splitlines()[4].strip("│").split("│")] == ["radio_channel", "3", "4"]
    assert (shown.exit_code, refused.exit_code, nothing) == (1, 1, [])
    assert sent("parameters") == [{"version": 9, "values": {"radio_channel": 4, "apn": "5"}, "confirm": "C01"}]
    assert sent("reboot") == [{"module": "C01-002", "delay_s": 0, "confirm": "C01"}]


def test_discovery_and_the_end_of_repeats(config: Path) -> None:
    assert "takes up newcomers for 600 s" in run(config, "discovery", "--for", "600").output
    assert "does not repeat" in run(config, "cancel", "ab" * 16).output
    assert sent("discovery") == [{"duration_s": 600}]
    assert sent("cancel") == [{"command": "ab" * 16}]
    assert run(config, "set", "nonsense").exit_code == 2
