"""`scada site` and `scada users`: what a person at the terminal sees."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from scada.cli.site import site
from scada.cli.users import users
from scada.registry import exchange
from scada.registry.database import open_registry
from tests.registry.sites import a_site, same

GOOD = "correct horse battery"


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "scada.yaml").write_text("site: {name: test}\n")
    exchange.write(a_site(), tmp_path / "site.yaml")
    return str(tmp_path / "scada.yaml")


def run(group: click.Group, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(group, list(arguments), input=stdin, catch_exceptions=False)


def test_import_then_export_gives_the_same_site(config: str, tmp_path: Path) -> None:
    """Through YAML and CSV; the second import says that nothing changed."""
    first = run(site, "import", config, str(tmp_path / "site.yaml"))
    exported = run(site, "export", config, str(tmp_path / "out"))
    again = run(site, "import", config, str(tmp_path / "out"), "--replace")

    assert (first.exit_code, exported.exit_code, again.exit_code) == (0, 0, 0)
    assert "modules" in first.output
    assert "Nothing changed" in again.output
    assert same(open_registry(f"sqlite:///{tmp_path}/data/registry.sqlite").load(), a_site())


def test_the_answers_in_json(config: str, tmp_path: Path) -> None:
    """Counts of an import and an export, and the site itself."""
    imported = json.loads(run(site, "import", config, str(tmp_path / "site.yaml"), "--json").output)
    written = json.loads(run(site, "export", config, str(tmp_path / "x.yaml"), "--json").output)
    whole = json.loads(run(site, "export", config, "-", "--json").output)

    assert imported["added"]["modules"] == 3
    assert written["written"]["meters"] == 3
    assert whole == exchange.plain(a_site())
    assert run(site, "export", config, "-").output == exchange.yaml_text(a_site())


def test_a_dry_run_tells_and_changes_nothing(config: str, tmp_path: Path) -> None:
    """Not even the audit."""
    told = run(site, "import", config, str(tmp_path / "site.yaml"), "--dry-run")
    database = open_registry(f"sqlite:///{tmp_path}/data/registry.sqlite")

    assert "Would change" in told.output
    assert (database.load().modules, database.audit.count()) == ((), 0)


def test_every_error_of_a_file_is_printed_without_a_traceback(config: str, tmp_path: Path) -> None:
    """With its line, each as an error of its own, and with the exit code of `scada check`."""
    (tmp_path / "bad.yaml").write_text("modules: 7\npoints: 8\n")
    result = run(site, "import", config, str(tmp_path / "bad.yaml"))

    assert result.exit_code == 2
    assert [line.partition("bad.yaml")[0].split("/")[0] for line in result.stderr.splitlines()] == ["error: ", "error: "]
    assert "bad.yaml:1: modules: expected a list" in result.stderr
    assert "bad.yaml:2: points: expected a list" in result.stderr
    assert run(site, "export", str(tmp_path / "none.yaml"), "x").exit_code == 2


def test_an_account_is_made_listed_changed_and_closed(config: str) -> None:
    """The password comes from standard input."""
    made = run(users, "add", config, "ana", "--role", "dispatcher", "--area", "north", stdin=GOOD + "\n")
    run(users, "role", config, "ana", "engineer")
    run(users, "password", config, "ana", stdin=GOOD + "!\n")
    closed = json.loads(run(users, "disable", config, "ana", "--json").output)
    listed = json.loads(run(users, "list", config, "--json").output)

    assert made.output == "ana: added\n"
    assert closed == {
        "name": "ana", "role": "engineer", "areas": ["north"], "language": "", "disabled": True, "must_change": False
    }
    assert listed == [closed]
    assert "disabled" in run(users, "list", config).output
    assert run(users, "disable", config, "ana", "--enable").output == "ana: enabled\n"
    assert json.loads(run(users, "role", config, "ana", "viewer", "--every-area", "--json").output)["areas"] == []


def test_a_one_time_password_is_shown_once_and_opens(config: str, tmp_path: Path) -> None:
    """It must be changed at the first log-in."""
    run(users, "add", config, "ana", "--role", "administrator", stdin=GOOD + "\n")
    told = json.loads(run(users, "password", config, "ana", "--one-time", "--json").output)
    database = open_registry(f"sqlite:///{tmp_path}/data/registry.sqlite")
    account = database.users.authenticate("ana", told["one_time_password"])

    assert account is not None
    assert account.must_change


def test_a_refusal_is_a_sentence(config: str) -> None:
    """A weak password, an unknown name, the last administrator."""
    weak = run(users, "add", config, "ana", "--role", "viewer", stdin="short\n")
    unknown = run(users, "disable", config, "eva")

    assert (weak.exit_code, unknown.exit_code) == (3, 3)
    assert "refused: the password has 5 characters; at least 12 are needed" in weak.stderr
    assert "refused: there is no user eva" in unknown.stderr
    assert run(users, "role", config, "ana", "viewer", "--area", "x", "--every-area").exit_code == 2


def test_no_command_takes_a_password_as_an_argument() -> None:
    """It would stay in the shell's history and in the process list."""
    parameters = {name for command in users.commands.values() for name in (one.name or "" for one in command.params)}

    assert parameters == {"config", "name", "role", "areas", "one_time", "as_json", "enable", "every_area", "language"}
