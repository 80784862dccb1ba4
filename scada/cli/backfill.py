"""`scada historian backfill`: how a destination gets what was before it, with bars; or all of it once more."""

import time
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from scada.cli.client import Api
from scada.cli.following import follow
from scada.cli.replicas import audit, known, letters_of
from scada.cli.site import CONFIG
from scada.errors import LinkError

EVERY_S: Final = 1.0
NOTICED_S: Final = 20.0                 # a running server notices within some seconds what was asked of it
SHARES: Final = {"intervals_percent": "intervals", "past_percent": "live values"}
Part = dict[str, Any]


@click.command()
@CONFIG
@click.argument("name")
@click.option("--again", is_flag=True, help="Send everything again first, as to a destination that is new.")
@click.option("--no-wait", is_flag=True, help="Do not wait; say how far it is.")
def backfill(config: Path, name: str, again: bool, no_wait: bool) -> None:
    """
    Wait until the destination NAME has everything that was before it, with bars.

    It begins by itself when a destination is added. What is live always goes first. Ctrl-C ends the waiting alone.
    """
    known(config, name)
    api = Api.of(config)
    if again:
        letters_of(config, name).refill()
        audit(config, "backfill", name, (), 0)
        _wait_until_noticed(api, name)
    if no_wait:
        click.echo(_line(_part(api, name)))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {figure: progress.add_task(what, total=100.0) for figure, what in SHARES.items()}

        def line(part: Part) -> str:
            for figure, bar in bars.items():
                progress.update(bar, completed=part["figures"].get(figure, 0.0))
            return ("" if part["ok"] else part["text"]) if console.is_terminal else _line(part)

        follow(
            _part(api, name), lambda: _part(api, name), over=_over, line=line, every_s=EVERY_S,
            without_us="the server goes on by itself; `scada status` says how far it is",
        )
    click.echo(f"{name} has everything")


def _wait_until_noticed(api: Api, name: str) -> None:
    """A server that has not looked yet would say that nothing is to be done; an empty store never says otherwise."""
    waited = 0.0
    while waited < NOTICED_S and _over(_part(api, name)):
        time.sleep(EVERY_S)
        waited += EVERY_S


def _part(api: Api, name: str) -> Part:
    parts: list[Part] = api.get("/healthz")["parts"]
    found = next((one for one in parts if one["part"] == f"influx:{name}"), None)
    if found is None:
        raise LinkError(api.base, f"the server that runs does not know {name}; it must be started with this configuration")
    return found


def _over(part: Part) -> bool:
    return all(part["figures"].get(figure, 100.0) >= 100.0 for figure in SHARES)


def _line(part: Part) -> str:
    shares = ", ".join(f"{int(part['figures'].get(figure, 0.0))} % of the {what}" for figure, what in SHARES.items())
    return shares if part["ok"] else f"{shares}; {part['text']}"
