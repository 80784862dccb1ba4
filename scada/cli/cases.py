"""`scada balance cases`: case files of suspects, listed and decided, also while the server runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import click

from scada.cases import LONGEST_NOTE, OPEN, Case, CaseState
from scada.cli.output import print_json, print_table
from scada.cli.periods import local_ns, utc_ns
from scada.cli.read import history_dir
from scada.cli.run import make_clock
from scada.cli.site import AS_JSON, CONFIG, person, registry_of
from scada.cli.suspects import about
from scada.clock import NS
from scada.settings import load

if TYPE_CHECKING:
    from scada.balancing.casebook import Casebook

MOST: Final = 10_000
STATES: Final = [one.value for one in CaseState]


@click.group("cases")
def cases() -> None:
    """Case files of suspects: what the examination of every night found, and what people made of it."""


@cases.command("list")
@CONFIG
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="May come again; else those not decided.")
@AS_JSON
def list_(config: Path, states: tuple[str, ...], as_json: bool) -> None:
    """List cases, the strongest suspicion of the newest examination first."""
    chosen = tuple(CaseState(one) for one in states) or OPEN
    with _book(config) as book:
        found, total = book.find(chosen, 0, MOST)
        day, _groups = book.night()
    if as_json:
        print_json({"examined": day, "total": total, "cases": [
            {"number": one.number, "state": one.state.value, "opened": one.opened, "seen": one.seen,
             **one.suspicion.to_json()} for one in found
        ]})
        return
    title = f"cases; last examined on {day}" if day else "cases; the server has not examined anything yet"
    print_table(title, ("no.", "state", "member", "group", "opened", "seen", "reason"), [
        (str(one.number), one.state.value, about(one.suspicion), one.suspicion.group, one.opened, one.seen,
         one.suspicion.reason) for one in found
    ], numbers=(0,))
    if total > len(found):
        click.echo(f"the first {len(found):,} of {total:,}; --state chooses fewer", err=True)


@cases.command("set")
@CONFIG
@click.argument("number", type=click.IntRange(1))
@click.argument("state", type=click.Choice(STATES))
@click.option("--note", default="", help=f"What was found; up to {LONGEST_NOTE} characters.")
@AS_JSON
def set_(config: Path, number: int, state: str, note: str, as_json: bool) -> None:
    """Say what became of case NUMBER; it is kept with your name, and in the audit."""
    settings = load(config)
    zone, now = ZoneInfo(settings.site.timezone), make_clock(config, settings).now()
    with _book(config) as book:
        day = datetime.fromtimestamp(now // NS, UTC).astimezone(zone).date().isoformat()
        found = book.decide(person(), number, None, CaseState(state), note, at=now, day=day)
    if as_json:
        print_json(_with_changes(found))
        return
    click.echo(f"case {number}: {about(found.suspicion)} of {found.suspicion.group} is {state}")
    for one in found.changes:
        click.echo(f"  {local_ns(one.at, zone)} {one.who}: {one.after}" + (f", {one.note}" if one.note else ""))


def _with_changes(case: Case) -> dict[str, object]:
    return {
        "number": case.number, "state": case.state.value, **case.suspicion.to_json(),
        "changes": [
            {"at": utc_ns(one.at), "who": one.who, "before": one.before, "after": one.after, "note": one.note}
            for one in case.changes
        ],
    }


@contextmanager
def _book(config: Path) -> "Iterator[Casebook]":
    from scada.balancing.casebook import FILE, Casebook

    with registry_of(config) as database:
        book = Casebook(history_dir(load(config)) / FILE, lambda actor, case, detail: database.audit.append_now(
            actor, "case.decide", str(case), **detail
        ))
        book.open()
        try:
            yield book
        finally:
            book.close()
