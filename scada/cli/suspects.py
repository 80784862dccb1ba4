"""`scada balance suspects`: which members explain what is missing in balance groups; see docs/suspects.md."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.progress import Progress

from scada.cases import GroupState, Suspicion
from scada.cli.examined_days import FEWEST, MOST_DAYS, of_case, whole_days
from scada.cli.output import one_of, print_json, print_table
from scada.cli.read import history_dir, open_directory, unknown
from scada.cli.run import make_clock
from scada.clock import DAY_H
from scada.errors import ConfigError
from scada.settings import Settings, load

if TYPE_CHECKING:
    from scada.balancing.answers import Answer
    from scada.balancing.examination import Period

MOST_SHOWN: Final = 50
FIELDS: Final = ("group", "member", "suspect", "cause", "reason", "energy", "half_width", "unit", "share", "score", "since")
STATES: Final = {
    "balanced": "balanced", "technical": "technical losses", "explained": "members explain it",
    "unmetered": "unassigned: a connection without a meter?", "not_enough_data": "not enough data",
    "surplus": "more registered than fed",
}


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("groups", nargs=-1, metavar="[GROUP]...")
@click.option("--from", "first", help="First day, site time: 2026-11-02. By default 20 days before --to.")
@click.option("--to", "last", help="The day behind the last one. By default today, which is not over yet.")
@click.option("--days", type=click.IntRange(FEWEST, MOST_DAYS), help="Whole days before --to, in the place of --from.")
@click.option("--case", "number", type=click.IntRange(1), help="The group and the days that this case rests on.")
@click.option("--one-process", is_flag=True, help="Do not use other processors.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, a line for every member that there is something to say of.")
def suspects(
    config: Path, groups: tuple[str, ...], first: str | None, last: str | None, days: int | None, number: int | None,
    one_process: bool, as_json: bool, as_csv: bool,
) -> None:
    """
    Name members of each GROUP (by default of all that have a feed) that explain what is missing, and why.

    Nothing is entered anywhere: the server's own examination of every night opens case files, see `scada balance cases`.
    """
    one_of(as_json, as_csv)
    settings = load(config)
    if number is not None:
        if groups or first or last or days:
            raise click.UsageError("--case says which group and which days; expected nothing beside it")
        groups, first, last = of_case(settings, number)
    period, answers = _examine(config, settings, groups, whole_days(config, settings, first, last, days), one_process)
    from scada.balancing.answers import ranked

    states = sorted((one for answer in answers for one in answer.states), key=lambda one: one.group)
    found = ranked([one for answer in answers for one in answer.suspicions])
    if as_json:
        print_json({
            "first_day": period.first_day.isoformat(), "days": period.days,
            "groups": [{
                "group": one.group, "state": one.state, "unit": one.unit, "hours": one.hours,
                "unassigned_a_day": one.unassigned if one.unassigned == one.unassigned else None,
            } for one in states],
            "suspects": [one.to_json() for one in found],
        })
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(FIELDS)
        writer.writerows([getattr(one, name) for name in FIELDS] for one in found)
    else:
        _print(found, states, period)


def _examine(
    config: Path, settings: Settings, names: Sequence[str], period: "Period", one_process: bool
) -> "tuple[Period, list[Answer]]":
    from scada.balancing.answers import examined
    from scada.balancing.compute import KIND
    from scada.balancing.examination import Sources, inquiries
    from scada.compute import InThisProcess, ProcessPool
    from scada.historian.service import open_reader
    from scada.metering.hourly import consumption

    now = make_clock(config, settings).hour()
    directory = open_directory(settings)
    there = {group.name: group for group in directory.site.balance_groups}
    if wrong := [name for name in names if name not in there]:
        raise ConfigError([problem for name in wrong for problem in unknown("balance group", name, there).problems])
    chosen = [there[name] for name in dict.fromkeys(names)] or [one for one in there.values() if one.fed]
    compute = InThisProcess() if one_process else ProcessPool()
    reader = open_reader(history_dir(settings))
    sources = Sources(
        lambda points, first, hours: consumption(directory, reader.intervals, points, first, hours, now),
        lambda group, span, first, last: reader.results.get(KIND, group, span, first, last),
        reader.events,
    )
    answers = []
    console = Console(stderr=True)
    try:
        with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("examining", total=sum(1 for group in chosen if group.members))
            for answer in compute.each(examined, inquiries(sources, directory, chosen, period)):
                answers.append(answer)
                progress.advance(task, len(answer.states))
    finally:
        reader.close()
    return period, answers


def about(one: Suspicion) -> str:
    """Whom people send somebody to."""
    return "the whole group" if one.whole else one.member


def _print(found: Sequence[Suspicion], states: Sequence[GroupState], period: "Period") -> None:
    named = [one for one in found if one.suspect]
    rows = [
        (about(one), one.group, f"{one.energy:,.0f} ± {one.half_width:,.0f} {one.unit}", one.since, one.reason)
        for one in named[:MOST_SHOWN]
    ]
    title = f"suspects, {period.days} days from {period.first_day}: a reason to look at a meter, not a proof"
    print_table(title, ("member", "group", "with 90 % interval", "since", "reason"), rows, numbers=(2,))
    if len(named) > MOST_SHOWN:
        click.echo(f"the first {MOST_SHOWN} of {len(named):,}; --json and --csv give all", err=True)
    others = [one for one in found if not one.suspect]
    if others:
        print_table(
            "others that somebody should read of", ("member", "group", "why"),
            [(one.member, one.group, one.reason) for one in others[:MOST_SHOWN]],
        )
    print_table("groups", ("group", "state", "unassigned a day", "hours"), [
        (
            one.group, STATES[one.state], "" if one.unassigned != one.unassigned else f"{one.unassigned:,.1f} {one.unit}",
            f"{one.hours} of {period.days * DAY_H}",
        ) for one in states[:MOST_SHOWN]
    ], numbers=(2, 3))
    if len(states) > MOST_SHOWN:
        click.echo(f"the first {MOST_SHOWN} of {len(states):,} groups; --json gives all", err=True)
