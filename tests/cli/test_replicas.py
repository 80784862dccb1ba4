"""Dead letters, replay and back-fill from the terminal: shown, tried again, dropped after a question; audited."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from scada.cli import backfill, main
from scada.cli.client import Api
from scada.historian.spool import BEGIN, PAST, SERVER, Spool

LINE = "live,tag=a v= 1767225600123"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two destinations, one of which has dead letters and blocks it was sent."""
    path = tmp_path / "scada.yaml"
    path.write_text(
        "site: {name: T, timezone: Europe/Chisinau}\ndata_dir: data\nhistorian:\n  influx:\n"
        "    - {name: one, url: 'http://127.0.0.1:1'}\n    - {name: two, url: 'http://127.0.0.1:2'}\n"
    )
    spool = Spool(tmp_path / "data/spool/one.sqlite", 1 << 20)
    spool.open()
    spool.bury([(LINE, "unable to parse"), (f"{LINE}\n{LINE}\n", "it names no line")], 1_767_225_600_000_000_000)
    for day in range(20_454, 20_460):
        spool.mark_sent((3600, day, 0), 3)
    spool.close()
    return path


def run(*words: str, status: int = 0, answer: str = "") -> Result:
    done = CliRunner().invoke(main, ["historian", *words], input=answer)

    assert done.exit_code == status, done.output + repr(done.exception)
    return done


def left(config: Path) -> list[int]:
    return [one["number"] for one in json.loads(run("dead-letter", "list", str(config), "--json").stdout)]


def test_letters_are_shown_with_reason_and_time(config: Path) -> None:
    """Of all destinations or of one; one that was never used has none."""
    table = run("dead-letter", "list", str(config)).stdout
    (first, second) = json.loads(run("dead-letter", "list", str(config), "one", "--json").stdout)

    assert "2 dead letters" in table
    assert "2026-01-01T00:00:00" in table
    assert (first["destination"], first["lines"], first["reason"], first["body"]) == ("one", 1, "unable to parse", LINE)
    assert second["lines"] == 2
    assert json.loads(run("dead-letter", "list", str(config), "two", "--json").stdout) == []


def test_some_are_tried_again_and_the_rest_dropped_after_a_question(config: Path) -> None:
    """No is no; what is dropped is gone."""
    first, second = left(config)
    said = run("dead-letter", "retry", str(config), "one", str(first)).stdout
    run("dead-letter", "drop", str(config), "one", "--all", status=1, answer="n\n")
    kept = left(config)
    run("dead-letter", "drop", str(config), "one", "--all", answer="y\n")

    assert said == "to be sent again: 1 dead letter\n"
    assert kept == [second]
    assert left(config) == []


def test_days_are_named_and_only_those_are_sent_again(config: Path) -> None:
    """Both ends included, in UTC as the store keeps them."""
    said = run("replay", str(config), "one", "--from", "2026-01-02", "--to", "2026-01-03").stdout
    spool = Spool(config.parent / "data/spool/one.sqlite", 1 << 20)
    spool.open()
    sent = spool.versions(3600, 0, 10**6)[:, 1].tolist()
    spool.close()

    assert said == "to be sent to one again: 2 blocks of 2026-01-02 to 2026-01-03\n"
    assert sent == [20_454, 20_457, 20_458, 20_459]


def test_days_that_never_were_sent_are_not_sent_again(config: Path) -> None:
    """It is no success: the days may be misspelt."""
    said = run("replay", str(config), "one", "--from", "2025-01-02", "--to", "2025-01-03").stdout

    assert said.startswith("nothing of 2025-01-02 to 2025-01-03 counts as sent to one:")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("dead-letter", "retry", "CONFIG", "three", "--all"), 2, "no such destination; expected one of one, two"),
        (("dead-letter", "list", "CONFIG", "three"), 2, "no such destination; expected one of one, two"),
        (("dead-letter", "retry", "CONFIG", "one"), 2, "expected the numbers of some letters, or --all"),
        (("dead-letter", "retry", "CONFIG", "one", "77"), 1, "has no dead letter 77; nothing was changed"),
        (("dead-letter", "drop", "CONFIG", "two", "--all", "--yes"), 1, "this destination was never used here"),
        (("replay", "CONFIG", "one", "--from", "2026-01-03", "--to", "2026-01-02"), 2, "expected --from not later than"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_changed(
    config: Path, words: tuple[str, ...], status: int, sentence: str
) -> None:
    """The destination, the letters, the days."""
    before = left(config)
    done = run(*(str(config) if word == "CONFIG" else word for word in words), status=status)

    assert sentence in done.output + done.stderr
    assert left(config) == before


# ------------------------------------------------------------------------------------------------- back-fill
class Server:
    """What `/healthz` says, one answer after the other; the last one stays."""

    base = "http://here"

    def __init__(self, *shares: tuple[float, float], part: str = "influx:one") -> None:
        self.answers = [
            {"part": part, "ok": True, "text": "", "figures": {"intervals_percent": first, "past_percent": second}}
            for first, second in shares
        ]

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/healthz"
        found = self.answers[0]
        if len(self.answers) > 1:
            del self.answers[0]
        return {"parts": [{"part": "loop", "ok": True, "text": "", "figures": {}}, found]}


def serve(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(Api, "of", classmethod(lambda cls, config: server))
    monkeypatch.setattr(backfill, "EVERY_S", 0.001)


def test_a_back_fill_is_followed_until_all_is_there(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for every step that is seen, and a sentence at the end."""
    serve(monkeypatch, Server((0.0, 0.0), (50.4, 0.0), (100.0, 20.0), (100.0, 100.0)))
    done = run("backfill", str(config), "one")

    assert done.stdout == "one has everything\n"
    assert done.stderr.splitlines() == [
        "0 % of the intervals, 0 % of the live values", "50 % of the intervals, 0 % of the live values",
        "100 % of the intervals, 20 % of the live values", "100 % of the intervals, 100 % of the live values",
    ]


def test_at_a_terminal_there_are_bars(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for the intervals and one for the live values, full at the end."""
    serve(monkeypatch, Server((0.0, 0.0), (50.0, 0.0), (100.0, 100.0)))
    monkeypatch.setenv("FORCE_COLOR", "1")
    said = click.unstyle(run("backfill", str(config), "one").stderr)

    assert "% of the" not in said
    assert [re.search(rf"{what} .*100%", said) is not None for what in ("intervals", "live values")] == [True, True]


def test_all_of_it_is_asked_for_again_and_audited(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spool lacks everything; a server that has not noticed yet does not end the waiting."""
    serve(monkeypatch, Server((100.0, 100.0), (100.0, 100.0), (0.0, 0.0), (0.0, 0.0), (100.0, 100.0)))
    done = run("backfill", str(config), "one", "--again")
    spool = Spool(config.parent / "data/spool/one.sqlite", 1 << 20)
    spool.open()
    lacks = (spool.versions(3600, 0, 10**6).tolist(), spool.fact(PAST))
    spool.close()

    assert lacks == ([], BEGIN)
    assert "0 % of the intervals, 0 % of the live values\n" in done.stderr
    assert done.stdout == "one has everything\n"


def test_how_far_it_is_can_be_asked_without_waiting(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, Server((12.0, 3.0)))

    assert run("backfill", str(config), "one", "--no-wait").stdout == "12 % of the intervals, 3 % of the live values\n"


def test_a_server_without_that_destination_is_told_apart(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was configured and the server not started again."""
    serve(monkeypatch, Server((0.0, 0.0), part="influx:two"))

    assert "does not know one; it must be started" in run("backfill", str(config), "one", status=1).stderr


def test_status_tells_how_far_each_destination_is(config: Path) -> None:
    """From their files: server, what waits, dead letters; one that was never used is told."""
    (config.parent / "data/history").mkdir()
    spool = Spool(config.parent / "data/spool/one.sqlite", 1 << 20)
    spool.open()
    spool.remember(SERVER, "InfluxDB 1.8.10")
    spool.remember(PAST, "live-2026-01.sqlite 7 490896")
    spool.put(b"a v=1 1\nb v=1 1\n", 2, 1)
    spool.bury([("c v= 1\n" * 6144, "why")], 1)
    spool.close()
    first, second = json.loads(run("status", str(config), "--json").stdout)["destinations"]
    table = run("status", str(config)).stdout

    assert (first["server"], first["waiting_lines"], first["dead_letters"], first["dead_lines"], first["past"]) == (
        "InfluxDB 1.8.10", 2, 3, 6147, "being sent, now 2026-01"
    )
    assert "2 destinations" in table
    assert "6,147" in table
    assert second["past"] == "it was never used"
    assert "InfluxDB 1.8.10" in table
