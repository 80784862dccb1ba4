"""`scada balance losses --recompute`: the running server computes stored losses anew, and the balances that deduct them."""

from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from scada.cli.client import Api
from scada.cli.following import follow
from scada.cli.periods import parse_time
from scada.clock import HOUR_S
from scada.settings import load

EVERY_S: Final = 1.0
PARTS: Final = ("losses", "balancing")
Left = dict[str, Any]


def recompute(config: Path, transformer: str | None, first: str, last: str, user: str) -> None:
    """Ask the server for it, and wait with a bar; Ctrl-C ends the waiting alone."""
    zone = ZoneInfo(load(config).site.timezone)
    begin, end = (parse_time(one, zone) // HOUR_S for one in (first, last))
    if begin >= end:
        raise click.UsageError("--recompute: expected a start before the end")
    api = Api.of(config)
    api.log_in(user)
    accepted = api.post(
        "/api/v1/losses/recompute", first_hour=begin, last_hour=end, transformers=[transformer] if transformer else []
    )
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("days to compute anew", total=None)
        most = 0.0

        def line(now: Left) -> str:
            nonlocal most
            most = max(most, now["days"])
            progress.update(bar, total=most or 1.0, completed=most - now["days"] if most else 1.0)
            bad = "; ".join(now["bad"])
            return bad if console.is_terminal or bad else f"{now['days']:.0f} days left"

        follow(
            _left(api), lambda: _left(api), over=lambda now: not now["days"], line=line, every_s=EVERY_S,
            without_us="the server goes on by itself; `scada status` says how many days are left",
        )
    losses, balances = (", ".join(accepted[name]) or "none" for name in ("transformers", "groups"))
    click.echo(f"computed anew: losses of {losses}; balances of {balances}")


def _left(api: Api) -> Left:
    """Days that wait, of losses and of balances, whatever for; and what is the matter."""
    parts = [one for one in api.get("/healthz")["parts"] if one["part"] in PARTS]
    return {
        "days": sum(one["figures"].get("days_left", 0.0) for one in parts),
        "bad": [one["text"] for one in parts if not one["ok"] and one["figures"].get("failures")],
    }
