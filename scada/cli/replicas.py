"""`scada historian dead-letter` and `replay`: what a destination refused for good, and what it should be sent again."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import click

from scada.cli.output import counted, print_json, print_table
from scada.cli.periods import utc_ns
from scada.cli.site import AS_JSON, CONFIG, person, registry_of
from scada.errors import ConfigError, Problem
from scada.historian.letters import Letter, Letters
from scada.settings import load

SHOWN: Final = 200                      # characters of a letter in a table
EPOCH: Final = date(1970, 1, 1)


@click.group("dead-letter")
def dead_letter() -> None:
    """What an InfluxDB will never take as it was sent: kept, with its reason, for people to decide."""


@dead_letter.command("list")
@CONFIG
@click.argument("name", required=False)
@AS_JSON
def list_(config: Path, name: str | None, as_json: bool) -> None:
    """Show the dead letters of the destination NAME, or of all."""
    only = None if name is None else known(config, name)
    found = {one: letters.read() for one, letters in _all(config).items() if only in (None, one)}
    if as_json:
        print_json([_plain(one, letter) for one, letters in found.items() for letter in letters])
        return
    rows = [
        (one, str(letter.number), utc_ns(letter.at) if letter.at else "-", f"{letter.lines}", letter.reason, _short(letter))
        for one, letters in found.items() for letter in letters
    ]
    columns = ("destination", "number", "set aside, UTC", "lines", "reason", "begins with")
    print_table(counted(len(rows), "dead letter"), columns, rows, numbers=(1, 3))


@dead_letter.command()
@CONFIG
@click.argument("name")
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "every", is_flag=True, help="All of them.")
def retry(config: Path, name: str, numbers: tuple[int, ...], every: bool) -> None:
    """Send dead letters of NAME again: after what was wrong at the destination was put right."""
    letters = letters_of(config, name)
    queued, left = letters.retry(_chosen(numbers, every))
    audit(config, "retry", name, numbers, queued)
    stay = f"; {counted(left, 'letter')} cannot be read any more and stay here" if left else ""
    click.echo(f"to be sent again: {counted(queued, 'dead letter')}{stay}")


@dead_letter.command()
@CONFIG
@click.argument("name")
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "every", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(config: Path, name: str, numbers: tuple[int, ...], every: bool, yes: bool) -> None:
    """Forget dead letters of NAME: the destination will never have them. Here nothing of the history is lost."""
    letters, chosen = letters_of(config, name), _chosen(numbers, every)
    if not yes:
        which = "all dead letters" if chosen is None else counted(len(chosen), "dead letter")
        click.confirm(f"Forget {which} of {name}?", abort=True)
    dropped = letters.drop(chosen)
    audit(config, "drop", name, numbers, dropped)
    click.echo(f"forgotten: {counted(dropped, 'dead letter')}")


@click.command()
@CONFIG
@click.argument("name")
@click.option("--from", "first", required=True, type=click.DateTime(["%Y-%m-%d"]), help="First day, UTC.")
@click.option("--to", "last", required=True, type=click.DateTime(["%Y-%m-%d"]), help="Last day, UTC, included.")
def replay(config: Path, name: str, first: Any, last: Any) -> None:
    """
    Send the intervals of some days to the destination NAME again: after it was restored from a backup, or lost some.

    A running server begins within some seconds, behind what is live. What the destination has already stays as it is.
    """
    if last < first:
        raise click.UsageError("the period ends before it begins; expected --from not later than --to")
    letters = letters_of(config, name)
    blocks = letters.replay((first.date() - EPOCH).days, (last.date() - EPOCH).days)
    audit(config, "replay", name, (), blocks, first=first.date().isoformat(), last=last.date().isoformat())
    days = f"{first.date()} to {last.date()}"
    if blocks:
        click.echo(f"to be sent to {name} again: {counted(blocks, 'block')} of {days}")
    else:
        click.echo(f"nothing of {days} counts as sent to {name}: what the history has of these days goes there by itself")


def _all(config: Path) -> dict[str, Letters]:
    """Of every destination that has a spool."""
    settings = load(config)
    paths = {one.name: settings.path(one.spool_dir, "spool") / f"{one.name}.sqlite" for one in settings.historian.influx}
    return {name: Letters(path) for name, path in paths.items() if path.exists()}


def known(config: Path, name: str) -> str:
    names = [one.name for one in load(config).historian.influx]
    if name not in names:
        expected = f"expected one of {', '.join(names)}" if names else "none is configured"
        raise ConfigError([Problem("historian.influx", name, f"no such destination; {expected}")])
    return name


def letters_of(config: Path, name: str) -> Letters:
    settings = load(config)
    (one,) = (one for one in settings.historian.influx if one.name == known(config, name))
    return Letters(settings.path(one.spool_dir, "spool") / f"{one.name}.sqlite")


def _chosen(numbers: Sequence[int], every: bool) -> Sequence[int] | None:
    if every == bool(numbers):
        raise click.UsageError("expected the numbers of some letters, or --all")
    return None if every else numbers


def audit(config: Path, action: str, name: str, numbers: Sequence[int], count: int, **detail: Any) -> None:
    with registry_of(config) as database:
        database.audit.append_now(person(), f"historian.{action}", name, numbers=list(numbers), count=count, **detail)


def _plain(name: str, letter: Letter) -> dict[str, Any]:
    return {
        "destination": name, "number": letter.number, "at": letter.at, "lines": letter.lines, "reason": letter.reason,
        "body": letter.body,
    }


def _short(letter: Letter) -> str:
    first = letter.body.splitlines()[0] if letter.body else ""
    return first if len(first) <= SHOWN else f"{first[:SHOWN]}…"
