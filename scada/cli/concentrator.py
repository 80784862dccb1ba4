"""`scada concentrator`: what a concentrator says of itself, its parameters, reboot and discovery, at a running server."""

from pathlib import Path
from typing import Any

import click

from scada.cli.client import Api
from scada.cli.output import print_json, print_table


@click.group()
def concentrator() -> None:
    """
    Ask and manage one concentrator, through a running server.

    The user's name is --user or SCADA_USER; the password is asked for, or taken from SCADA_PASSWORD.
    """


def options(command: Any) -> Any:
    """What every subcommand takes."""
    user = click.option("--user", "-u", required=True, envvar="SCADA_USER", help="Your user name; role and area decide.")
    command = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")(user(command))
    command = click.argument("name")(command)
    return click.argument("config", type=click.Path(path_type=Path, exists=True))(command)


YES = click.option("--yes", is_flag=True, help="Without asking.")


def _logged_in(config: Path, user: str) -> Api:
    api = Api.of(config)
    api.log_in(user)
    return api


@concentrator.command()
@options
def info(config: Path, name: str, user: str, as_json: bool) -> None:
    """Show model, firmware, uptime and modules of concentrator NAME, as it answers now."""
    said = _logged_in(config, user).get(f"/api/v1/concentrators/{name}/info")
    if as_json:
        print_json(said)
        return
    rows = [(what, str(said[what])) for what in ("model", "firmware", "uptime_s", "modules", "configuration")]
    print_table(f"{name}, as it answers now", ("what", "value"), rows)


@concentrator.command()
@options
def params(config: Path, name: str, user: str, as_json: bool) -> None:
    """Show the parameters of concentrator NAME, and the version of its configuration."""
    said = _logged_in(config, user).get(f"/api/v1/concentrators/{name}/parameters")
    if as_json:
        print_json(said)
        return
    rows = [(one, str(value)) for one, value in sorted(said["values"].items())]
    print_table(f"{name}, configuration {said['version']}", ("parameter", "value"), rows)


@concentrator.command("set")
@options
@click.argument("values", nargs=-1, required=True, metavar="PARAMETER=VALUE…")
@YES
def set_(config: Path, name: str, user: str, as_json: bool, values: tuple[str, ...], yes: bool) -> None:
    """
    Set parameters of concentrator NAME, all of them or none, after showing what changes.

    A wrong server_host or server_port is taken back by the concentrator after ten minutes without a session.
    """
    wished = dict(map(_value, values))
    api = _logged_in(config, user)
    before = api.get(f"/api/v1/concentrators/{name}/parameters")
    rows = [(one, str(before["values"].get(one, "-")), str(value)) for one, value in wished.items()]
    if not as_json:
        print_table(f"{name}, configuration {before['version']}", ("parameter", "now", "then"), rows)
    if not yes:
        click.confirm(f"Set this at {name}?", abort=True, err=as_json)
    said = api.post(
        f"/api/v1/concentrators/{name}/parameters", version=before["version"], values=wished, confirm=name
    )
    print_json(said) if as_json else click.echo(f"{name} has configuration {said['version']}")


@concentrator.command()
@options
@click.option("--module", default="", help="Reboot this module of it; the concentrator itself without it.")
@click.option("--delay", default=0, show_default=True, help="Seconds to wait before.")
@YES
def reboot(config: Path, name: str, user: str, as_json: bool, module: str, delay: int, yes: bool) -> None:
    """Reboot concentrator NAME, or one of its modules. Its archive and its events are kept; discovery ends."""
    if not yes:
        click.confirm(f"Reboot {module or name}?", abort=True, err=as_json)
    said = _logged_in(config, user).post(
        f"/api/v1/concentrators/{name}/reboot", module=module, delay_s=delay, confirm=name
    )
    print_json(said) if as_json else click.echo(f"{name} has accepted it")


@concentrator.command()
@options
@click.option("--for", "duration", type=click.IntRange(0, 86_400), required=True, help="Seconds; 0 ends it.")
def discovery(config: Path, name: str, user: str, as_json: bool, duration: int) -> None:
    """Let modules that nobody put on the list join concentrator NAME for a while. It ends by itself."""
    said = _logged_in(config, user).post(f"/api/v1/concentrators/{name}/discovery", duration_s=duration)
    text = f"{name} takes up newcomers for {duration} s" if duration else f"{name} takes up nobody by itself"
    print_json(said) if as_json else click.echo(text)


@concentrator.command()
@options
@click.argument("command")
def cancel(config: Path, name: str, user: str, as_json: bool, command: str) -> None:
    """
    End the repeats of group command COMMAND at concentrator NAME for those who have not heard it.

    Who has executed it keeps to it; `scada dispatch restore` gives the supply back.
    """
    said = _logged_in(config, user).post(f"/api/v1/concentrators/{name}/cancel", command=command)
    print_json(said) if as_json else click.echo(f"{name} does not repeat it any more")


def _value(text: str) -> tuple[str, int | str]:
    name, separator, value = text.partition("=")
    if not (separator and name and value):
        raise click.UsageError(f"{text}: expected PARAMETER=VALUE, as radio_channel=4")
    return name, int(value) if value.lstrip("-").isdecimal() and name not in ("server_host", "apn") else value
