"""Dead letters and replay from the terminal: shown, tried again, dropped after a question, sent again; audited."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.historian.spool import Spool

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

    assert said == "1 dead letters wait to be sent again\n"
    assert kept == [second]
    assert left(config) == []


def test_days_are_named_and_only_those_are_sent_again(config: Path) -> None:
    """Both ends included, in UTC as the store keeps them."""
    said = run("replay", str(config), "one", "--from", "2026-01-02", "--to", "2026-01-03").stdout
    spool = Spool(config.parent / "data/spool/one.sqlite", 1 << 20)
    spool.open()
    sent = sorted(day for _, day, _ in spool.sent())
    spool.close()

    assert said == "2 blocks of 2026-01-02 to 2026-01-03 wait to be sent to one again\n"
    assert sent == [20_454, 20_457, 20_458, 20_459]


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
