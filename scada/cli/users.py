"""`scada users`: accounts from the terminal. A password is asked for or read from standard input, never an argument."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from scada.cli.site import AS_JSON, CONFIG, person, registry_of
from scada.commands import Role
from scada.ports import Account
from scada.registry.passwords import one_time_password
from scada.registry.users import LANGUAGES

ROLE = click.Choice([role.value for role in Role])
AREAS = click.option("--area", "areas", multiple=True, help="Area the person may act in; repeat it; none means every area.")
ONE_TIME = click.option("--one-time", is_flag=True, help="Make a one-time password and show it, instead of asking for one.")


@click.group("users")
def users() -> None:
    """Manage who may log in."""


def _password(one_time: bool) -> str:
    if one_time:
        return one_time_password()
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _plain(account: Account) -> dict[str, object]:
    return {
        "name": account.name, "role": account.role.value, "areas": list(account.areas), "language": account.language,
        "disabled": account.disabled, "must_change": account.must_change,
    }


def _tell(done: str, account: Account, as_json: bool, password: str | None = None) -> None:
    if as_json:
        click.echo(json.dumps(_plain(account) | ({} if password is None else {"one_time_password": password})))
        return
    click.echo(f"{account.name}: {done}")
    if password is not None:
        click.echo(f"one-time password (shown only now): {password}")


@users.command("add")
@CONFIG
@click.argument("name")
@click.option("--role", type=ROLE, required=True, help="What the person may do.")
@click.option("--language", type=click.Choice(LANGUAGES), help="Of the pages; the site's if not given.")
@AREAS
@ONE_TIME
@AS_JSON
def add(
    config: Path, name: str, role: str, language: str | None, areas: tuple[str, ...], one_time: bool, as_json: bool
) -> None:
    """Make an account NAME in the registry of CONFIG."""
    with registry_of(config) as database:
        password = _password(one_time)
        account = database.users.add(
            person(), name, password, Role(role), areas, must_change=one_time, language=language or ""
        )
    _tell("added", account, as_json, password if one_time else None)


@users.command("list")
@CONFIG
@AS_JSON
def list_(config: Path, as_json: bool) -> None:
    """Show the accounts in the registry of CONFIG."""
    with registry_of(config) as database:
        accounts = database.users.accounts()
    if as_json:
        click.echo(json.dumps([_plain(account) for account in accounts]))
        return
    table = Table(title="Users")
    for heading in ("name", "role", "areas", "language", "state"):
        table.add_column(heading)
    for account in accounts:
        state = "disabled" if account.disabled else "must change password" if account.must_change else "enabled"
        areas, language = ", ".join(account.areas) or "every", account.language or "the site's"
        table.add_row(account.name, account.role.value, areas, language, state)
    Console().print(table)


@users.command("password")
@CONFIG
@click.argument("name")
@ONE_TIME
@AS_JSON
def password(config: Path, name: str, one_time: bool, as_json: bool) -> None:
    """Give the account NAME another password."""
    with registry_of(config) as database:
        new = _password(one_time)
        account = database.users.reset_password(person(), name, new, must_change=one_time)
    _tell("password changed", account, as_json, new if one_time else None)


@users.command("disable")
@CONFIG
@click.argument("name")
@click.option("--enable", is_flag=True, help="Open the account again.")
@AS_JSON
def disable(config: Path, name: str, enable: bool, as_json: bool) -> None:
    """Close the account NAME; it stays in the audit and can be opened again."""
    with registry_of(config) as database:
        account = database.users.set_disabled(person(), name, not enable)
    _tell("enabled" if enable else "disabled", account, as_json)


@users.command("role")
@CONFIG
@click.argument("name")
@click.argument("role", type=ROLE)
@AREAS
@click.option("--every-area", is_flag=True, help="Take away the limits to areas.")
@AS_JSON
def role(config: Path, name: str, role: str, areas: tuple[str, ...], every_area: bool, as_json: bool) -> None:
    """Give the account NAME another ROLE; its areas stay unless --area or --every-area is given."""
    if areas and every_area:
        raise click.UsageError("give --area or --every-area, not both")
    with registry_of(config) as database:
        account = database.users.set_role(person(), name, Role(role), areas if areas or every_area else None)
    _tell(f"is {account.role} now", account, as_json)
