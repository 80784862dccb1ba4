"""The fault panel of a simulator that runs: its page, its interface, the command that uses it, and who is kept out."""

import http.client
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scada.cli import main
from scada.simulate.faults import CATALOGUE
from scada.simulate.panel_page import PAGE, SCRIPT
from tests.simulate.test_app import Running, wait_for

SCENARIO = """\
name: one outage
steps:
  - {at: 00:30:00, fault: wrong-key, target: C02, duration: 00:20:00}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One process for all of these; it is only looked at and asked."""
    folder = tmp_path_factory.mktemp("panel")
    (folder / "s.yaml").write_text(SCENARIO)
    one = Running(folder, "--scenario", str(folder / "s.yaml"), "--panel", str(folder / "panel.json"),
                  "--record", str(folder / "wire.jsonl"))
    wait_for((folder / "panel.json").exists)
    wait_for(lambda: "token" in (folder / "panel.json").read_text())
    yield one
    one.close()


def ask(running: Running, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    content = json.loads((running.folder / "panel.json").read_text())
    connection = http.client.HTTPConnection(content["url"].removeprefix("http://"), timeout=20)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection.request(method, path, data, {"X-Token": content["token"], **headers})
    answer = connection.getresponse()
    raw = answer.read()
    connection.close()
    return answer.status, json.loads(raw) if answer.getheader("content-type") == "application/json" else raw.decode()


def scada(running: Running, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["simulate", "fault", "--panel", str(running.folder / "panel.json"), *arguments])


def test_a_fault_is_begun_listed_and_ended_from_the_command_line(running: Running) -> None:
    """The server of the field sees it: a second connection of the same link id, and the outage's silence."""
    before = len(running.server.peers)
    begun = scada(running, "second-connection", "--target", "C01", "--for", "40:00:00")
    wait_for(lambda: len(running.server.peers) > before)
    listed = scada(running)
    number = begun.output.split()[1].rstrip(";")
    again = scada(running, "second-connection", "--target", "C01")
    ended = scada(running, "--end", number)

    assert begun.exit_code == ended.exit_code == 0
    assert "the server must show dmesh.links_replaced >= 1, event.LINK_REPLACED >= 1" in begun.output
    assert f"{number}  second-connection on C01" in listed.output
    assert again.exit_code != 0
    assert "second-connection is on C01 already" in str(again.exception) + again.output
    assert "second-connection" not in scada(running).output


def test_the_scenario_is_played_and_told_in_the_truth(running: Running) -> None:
    """A wrong key for twenty minutes, refused by the server, then the right one again."""
    def told() -> list[str]:
        facts = [json.loads(line) for line in running.truth_file.read_text().splitlines() if line.startswith("{")]
        return [one["said"] for one in facts if one["is"] == "fault" and "wrong-key" in one["said"]]

    wait_for(lambda: len(told()) == 2)
    began, ended = told()

    assert began.startswith("00:30:00 wrong-key on C02 begins. Must show: It is refused for its key")
    assert ended == "00:50:00 wrong-key on C02 is over"
    assert ask(running, "GET", "/faults")[1]["over"][0]["fault"] in ("wrong-key", "second-connection")


def test_without_the_token_or_by_another_name_nobody_gets_in(running: Running) -> None:
    """Nor does anything leak but the page, which holds no secret."""
    assert ask(running, "GET", "/faults", **{"X-Token": "x"})[0] == 401
    assert ask(running, "POST", "/faults", {"fault": "outage", "target": "C01"}, **{"X-Token": ""})[0] == 401
    assert ask(running, "GET", "/faults", Host="evil.example:80")[0] == 403
    assert ask(running, "GET", "/nothing")[0] == 404
    assert stat.S_IMODE((running.folder / "panel.json").stat().st_mode) == 0o600


def test_the_catalogue_and_the_page_are_served(running: Running) -> None:
    """The page is self-contained: nothing is fetched from anywhere else."""
    status, found = ask(running, "GET", "/faults")

    assert status == 200
    assert [one["name"] for one in found["catalogue"]] == list(CATALOGUE)
    assert set(found["there"]) == {"C01", "C02"}
    assert ask(running, "GET", "/") == (200, PAGE)
    assert ask(running, "GET", "/panel.js") == (200, SCRIPT)
    assert not re.findall(r"https?://", PAGE + SCRIPT)
    assert set(re.findall(r'\$\("(\w+)"\)', SCRIPT)) <= set(re.findall(r'id="(\w+)"', PAGE))


@pytest.mark.parametrize(("body", "why"), [
    (b"x", "expected a JSON object"), (b"[]", "expected a JSON object"),
    (b"{" + b" " * 5000 + b"}", "expected a JSON object"),
    ({}, "fault: expected the name of one; target: expected a concentrator"),
    ({"fault": "outage", "target": "C01", "duration_s": 0}, "duration_s: expected seconds"),
    ({"fault": "outage", "target": "C0 1"}, "target: expected a concentrator such as C01"),
    ({"fault": "thunder", "target": "C01"}, "no fault is called thunder"),
    ({"fault": "welded-contact", "target": "C01/60"}, "has no"),
])
def test_a_request_that_cannot_be_done_is_refused_with_every_reason(running: Running, body: Any, why: str) -> None:
    """And nothing begins."""
    status, found = ask(running, "POST", "/faults", body)

    assert status == 400
    assert why in found["error"]


def test_the_catalogue_and_a_scenario_are_shown_without_a_simulator(tmp_path: Path) -> None:
    """`faults` and `check` need nothing that runs."""
    (tmp_path / "s.yaml").write_text(SCENARIO)
    listed = CliRunner().invoke(main, ["simulate", "faults", "--json"])
    checked = CliRunner().invoke(main, ["simulate", "check", str(tmp_path / "s.yaml")])
    (tmp_path / "s.yaml").write_text("name: x")
    wrong = CliRunner().invoke(main, ["simulate", "check", str(tmp_path / "s.yaml")])

    assert [one["name"] for one in json.loads(listed.output)] == list(CATALOGUE)
    assert checked.output == "00:30:00 wrong-key on C02 for 00:20:00\n"
    assert wrong.exit_code == 2


def test_where_no_simulator_runs_the_command_says_so(tmp_path: Path) -> None:
    """No file; a file of a simulator that is gone; a file that is something else."""
    def said(content: str | None) -> str:
        path = tmp_path / "panel.json"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        found = CliRunner().invoke(main, ["simulate", "fault", "--panel", str(path)])
        assert found.exit_code != 0
        return found.output + str(found.stderr)

    assert "expected that of a simulator that runs with --panel" in said(None)
    assert "no simulator answers" in said('{"url": "http://127.0.0.1:1", "token": "x"}')
    assert "is not the file of a fault panel" in said("[]")
    assert "expected http://127.0.0.1:PORT" in said('{"url": "http://example.org/", "token": "x"}')


def test_the_panels_file_goes_with_the_simulator_and_the_wire_can_be_replayed(running: Running) -> None:
    """Last of all: the token opens nothing any more; the record is read with the keys, also of the refused sessions."""
    wait_for(lambda: running.server.blocks)
    status, said = running.stop()

    assert status == 0
    assert "Traceback" not in said
    assert not (running.folder / "panel.json").exists()
    keys = str(running.folder / "keys.json")
    replayed = CliRunner().invoke(main, ["simulate", "replay", str(running.folder / "wire.jsonl"), "--keys", keys])
    assert replayed.exit_code == 0
    assert stat.S_IMODE((running.folder / "wire.jsonl").stat().st_mode) == 0o600
    names = set(re.findall(r" ([A-Z_]+) ", replayed.output))
    assert {"HELLO", "CHALLENGE", "AUTH", "READY", "PROFILE"} <= names
