"""`scada supply` against a server that answers as ours does: what two people see at a terminal."""

import json
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.cli import supply as commands
from tests.cli.test_dispatch import Script

POINT = "/api/v1/supplies/P-1"


def supply(state: str, switch: str, over: bool = False, **more: Any) -> dict[str, Any]:
    crew = {"id": "aa11", "reason": "crew", "tag": "T-7", "name": "Rusu", "note": "", "by": "ana", "at_ms": 0}
    return {
        "point": "P-1", "kind": "contactor", "module": "C01-001", "area": "north", "state": state, "by_hand": False,
        "effect": "waiting", "holders": [crew], "local": None,
        "switch": {
            "id": "s1", "action": "disconnect", "state": switch, "over": over, "requested_by": "ana", "confirmed_by": "",
            "reason": "DENIED" if switch == "refused" else "",
        },
        "history": [{"number": 1, "at_ms": 1_767_225_600_000, "what": "requested", "actor": "ana", "detail": ""}],
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
    local = [{"scope": "area:north", "by": "ion", "at_ms": 0, "note": ""}]
    Script.answers = {
        "/api/v1/session": [{"token": "t"}],
        "/api/v1/supplies": [{"supplies": [supply("on", "requested"), supply("off", "executed", True)], "local": local}],
        "/api/v1/supplies-local": [{"local": local}],
        POINT: [supply("unknown", "requested"), supply("unknown", "sent"), supply("off", "executed", True)],
        f"{POINT}/confirm": [supply("unknown", "confirmed")],
        **{
            f"{POINT}/{what}": [supply("off", "requested")]
            for what in ("disconnect", "reconnect", "hold", "release", "withdraw")
        },
    }
    monkeypatch.setenv("SCADA_PASSWORD", "secret")
    monkeypatch.setattr(commands, "FOLLOW_S", 0.0)
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["supply", *words])


def test_the_list_says_who_holds_what_and_where_the_say_is_on_site(config: Path) -> None:
    whole, pending = (run("list", str(config), "-u", "ana", *more) for more in ((), ("--pending", "--json")))

    assert whole.exit_code == 0, whole.output
    assert "crew T-7 Rusu" in whole.output
    assert "area:north is in local since ion said so" in whole.output
    assert [one["switch"]["state"] for one in json.loads(pending.output)["supplies"]] == ["requested"]


def test_the_second_person_sees_what_was_asked_and_is_asked_before_it_is_sent(config: Path) -> None:
    refused = CliRunner().invoke(main, ["supply", "confirm", str(config), "P-1", "-u", "ion"], input="n\n")

    assert refused.exit_code == 1
    assert "disconnect requested (ana)" in refused.output


def test_followed_it_ends_with_a_status_for_scripts(config: Path) -> None:
    """0 when the module did it, 4 when it ended otherwise."""
    done = run("confirm", str(config), "P-1", "-u", "ion", "--yes", "--follow")
    Script.answers[POINT] = [supply("unknown", "requested"), supply("unknown", "refused", True)]
    failed = run("confirm", str(config), "P-1", "-u", "ion", "--yes", "--follow")

    assert done.exit_code == 0, done.output
    assert "P-1 disconnect sent (ana)" in done.output
    assert failed.exit_code == 4
    assert "disconnect refused (ana): DENIED" in failed.output


def test_one_supply_is_shown_with_the_numbers_of_its_holders_and_its_history(config: Path) -> None:
    found = run("show", str(config), "P-1", "-u", "ana")

    assert "holder aa11: crew T-7 Rusu, by ana" in found.output
    assert "2026-01-01" in found.output


@pytest.mark.parametrize("words", [
    ("disconnect", "P-1", "--reason", "debt"), ("reconnect", "P-1"), ("withdraw", "P-1"),
    ("hold", "P-1", "--reason", "crew", "--tag", "T-7", "--name", "Rusu"), ("release", "P-1", "aa11", "--tag", "T-7"),
])
def test_every_request_is_answered_with_how_the_supply_stands(config: Path, words: tuple[str, ...]) -> None:
    what, *rest = words
    done = run(what, str(config), *rest, "-u", "ana")

    assert done.exit_code == 0, done.output
    assert "P-1: off; disconnect requested (ana); pulses: waiting" in done.output


def test_local_names_a_point_or_an_area_and_not_both(config: Path) -> None:
    assert "in local: area:north" in run("local", str(config), "--area", "north", "-u", "ana").output
    assert run("local", str(config), "--area", "north", "--point", "P-1", "-u", "ana").exit_code == 2
