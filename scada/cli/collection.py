"""`scada collection`: how complete what was collected is, and asking for a gap again, at a running server."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click

from scada.cli.client import Api
from scada.cli.output import print_json, print_table
from scada.cli.periods import local, parse_time
from scada.clock import HOUR_S
from scada.settings import Settings, load

COLUMNS: Final = {
    "concentrator": ("held_today", "held_yesterday", "held_7_days", "held_30_days", "missing", "given_up", "packets"),
    "group": ("held_today", "held_yesterday", "held_7_days", "held_30_days", "missing", "given_up"),
    "module": ("held_yesterday", "held_7_days", "held_30_days", "missing", "given_up"),
    "day": ("held", "due", "lacking"),
}
HEADS: Final = {
    "held_today": "today %", "held_yesterday": "yesterday %", "held_7_days": "7 days %", "held_30_days": "30 days %",
    "missing": "missing h", "given_up": "given up h", "packets": "packets today", "held": "held %", "due": "due h",
    "lacking": "lacking h",
}


@click.group()
def collection() -> None:
    """
    How complete the collected hours are, and asking for a gap again.

    The user's name is --user or SCADA_USER; the password is asked for, or taken from SCADA_PASSWORD.
    """


def options(command: Any) -> Any:
    """What every subcommand takes."""
    user = click.option("--user", "-u", required=True, envvar="SCADA_USER", help="Your user name; role and area decide.")
    command = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")(user(command))
    return click.argument("config", type=click.Path(path_type=Path, exists=True))(command)


@collection.command()
@options
@click.option("--by", type=click.Choice(list(COLUMNS)), default="concentrator", show_default=True, help="What a row is.")
@click.option("--concentrator", default="", help="Of this one only; needed for --by module.")
@click.option("--limit", type=click.IntRange(1, 20_000), default=50, show_default=True, help="Rows, at most.")
def status(config: Path, user: str, as_json: bool, by: str, concentrator: str, limit: int) -> None:
    """Show how many of the hours that are due are held, the worst first; hours are those of channels."""
    api = Api.of(config)
    api.log_in(user)
    wish = {"by": by, "limit": limit} | ({"concentrator": concentrator} if concentrator else {})
    said = api.get("/api/v1/collection", **wish)
    if as_json:
        print_json(said)
        return
    columns = COLUMNS[by]
    rows = [(row["day" if by == "day" else "name"], *(_cell(row, column) for column in columns)) for row in said["rows"]]
    title = f"{len(rows)} of {said.get('total', len(rows))}, by {by}" + (f", at {concentrator}" if concentrator else "")
    print_table(title, (by, *(HEADS[one] for one in columns)), rows, numbers=range(1, len(columns) + 1))


@collection.command()
@options
@click.argument("concentrator")
@click.option("--module", "modules", multiple=True, help="A module, by its name; may be given again. None: all of them.")
@click.option("--from", "first", required=True, help="First hour, site time: 2026-11-22 or 2026-11-22T13:00.")
@click.option("--to", "last", required=True, help="End of the last hour, exclusive; at most 31 days later.")
def ask(
    config: Path, user: str, as_json: bool, concentrator: str, modules: tuple[str, ...], first: str, last: str
) -> None:
    """
    Ask CONCENTRATOR again for what is missing between --from and --to.

    It goes before other gaps, whatever its modules answered before and however old it is, but within the radio budget. It
    is audited under your name, and over after a day.
    """
    zone = ZoneInfo(load(config).site.timezone)
    begin, end = parse_time(first, zone), parse_time(last, zone)
    if end <= begin:
        raise click.BadParameter("the period ends before it begins, or with it; expected --from earlier than --to")
    api = Api.of(config)
    api.log_in(user)
    hours = -(-end // HOUR_S) - begin // HOUR_S
    said = api.post(
        "/api/v1/collection/ask", concentrator=concentrator, modules=list(modules), first_hour=begin // HOUR_S, hours=hours
    )
    print_json(said) if as_json else _show([said], zone)


@collection.command()
@options
def asked(config: Path, user: str, as_json: bool) -> None:
    """Show what was asked for again since the server started, and what came of it."""
    api = Api.of(config)
    api.log_in(user)
    said = api.get("/api/v1/collection/asked")
    print_json(said) if as_json else _show(said["asked"], ZoneInfo(load(config).site.timezone))


def show_asked(found: list[dict[str, Any]], settings: Settings) -> None:
    """As a table."""
    _show(found, ZoneInfo(settings.site.timezone))


def _show(found: list[dict[str, Any]], zone: ZoneInfo) -> None:
    rows = [
        (
            str(one["number"]), one["concentrator"], ", ".join(one["modules"]) or "all modules",
            f"{datetime.fromtimestamp(one['first_hour'] * HOUR_S, zone):%Y-%m-%d %H:%M} + {one['hours']} h",
            str(one["lacking"]), str(one["brought"]), one["state"], one["by"], local(one["at_s"], zone),
        )
        for one in found
    ]
    print_table(
        f"{len(rows)} asked for again",
        ("no.", "concentrator", "modules", "hours", "lacked", "came", "state", "by", "at"), rows, numbers=(4, 5),
    )


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if value is None:
        return "-"
    if column == "packets":
        return f"{value} / {row['budget']}"
    return f"{value:.1f}" if column.startswith("held") else str(value)
