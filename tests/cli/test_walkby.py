"""`scada walkby import` at a terminal: into the journal while no server runs, through it while one does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.lock import DataDirLock
from scada.settings import load

HEAD = "eui,channel,start,pulses\n"
GOOD = HEAD + "00124b0000000001,0,2026-01-01T00:00Z,3\n00124b0000000001,0,2026-01-01T01:00Z,4\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scada.yaml"
    path.write_text("site: {name: N}\ndata_dir: data\n", encoding="utf-8")
    return path


@pytest.fixture
def running(config: Path) -> Iterator[None]:
    """A server has the data directory."""
    lock = DataDirLock(load(config).data_dir)
    lock.acquire()
    yield
    lock.release()


def walk(config: Path, text: str, *options: str, name: str = "walk.csv") -> Result:
    path = config.parent / name
    path.write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["walkby", "import", str(config), str(path), *options])


def summary(result: Result) -> dict[str, object]:
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_without_a_server_the_hours_are_kept_once(config: Path) -> None:
    """The first import is new, the same file again is known, another value is a conflict with both values."""
    first, again = summary(walk(config, GOOD, "--json")), summary(walk(config, GOOD, "--json"))
    other = summary(walk(config, GOOD.replace(",4\n", ",5\n"), "--json"))

    assert (first["stored"], first["new"], first["known"]) == (True, 2, 0)
    assert (again["new"], again["known"]) == (0, 2)
    assert [(one["held"], one["given"]) for one in other["conflicts"]] == [(4, 5)]      # type: ignore[attr-defined]


def test_a_dry_run_and_a_strict_import_of_a_bad_file_store_nothing(config: Path) -> None:
    """A bad row is named on stderr with its line, and the exit status says so; without --strict the good rows are in."""
    bad = GOOD + "zz,0,2026-01-01T00:00Z,1\n"
    dry, strict, lenient = walk(config, GOOD, "--dry-run"), walk(config, bad, "--strict"), walk(config, bad, "--json")

    assert (dry.exit_code, strict.exit_code, lenient.exit_code) == (0, 2, 2)
    assert "nothing was stored" in dry.stdout
    assert "error: walk.csv:4: eui: 'zz'; expected 16 hexadecimal digits" in strict.stderr
    assert summary(lenient)["new"] == 2


@pytest.mark.usefixtures("running")
def test_beside_a_running_server_a_name_is_asked_for(config: Path) -> None:
    """The server checks role and password; nothing is written behind its back."""
    result = walk(config, GOOD)

    assert result.exit_code == 2
    assert "expected --user NAME" in result.stderr
    assert not (load(config).data_dir / "history").exists()
