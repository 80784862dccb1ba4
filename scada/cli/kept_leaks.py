"""`scada balance kept-leaks`: leaks that the server's nights found and keep, listed and decided, also while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click

from scada.cli.output import print_json, print_table
from scada.cli.periods import local_ns, utc_ns
from scada.cli.read import history_dir
from scada.cli.run import make_clock
from scada.cli.site import AS_JSON, CONFIG, person, registry_of
from scada.leaks import LONGEST_NOTE, OPEN, RUNNING, Leak, LeakState, said_rate, to_json
from scada.settings import load
from scada.site import Medium

if TYPE_CHECKING:
    from scada.balancing.leakbook import Leakbook

MOST: Final = 10_000
STATES: Final = [one.value for one in LeakState]
DECIDABLE: Final = [one.value for one in RUNNING if one is not LeakState.NEW]


@click.group("kept-leaks")
def kept_leaks() -> None:
    """Leaks that the server's nights found and keep, and what people made of them."""


@kept_leaks.command("list")
@CONFIG
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="May come again; else those not settled.")
@click.option("--medium", type=click.Choice([one.value for one in Medium]), help="Only of this one.")
@AS_JSON
def list_(config: Path, states: tuple[str, ...], medium: str | None, as_json: bool) -> None:
    """List them, the strongest for its medium first."""
    chosen = tuple(LeakState(one) for one in states) or OPEN
    with _book(config) as book:
        found, total = book.find(chosen, Medium(medium) if medium else None, 0, MOST)
        day = book.night().day
    if as_json:
        print_json({"examined": day, "total": total, "leaks": [_said(one) for one in found]})
        return
    title = f"leaks; last examined on {day}" if day else "leaks; the server has not examined anything yet"
    print_table(title, ("no.", "state", "point", "medium", "never below", "since", "so far", "last night"), [(
        str(one.number), one.state.value, one.flow.point, one.flow.medium.value,
        said_rate(one.flow.medium, one.flow.rate), f"{'before ' if one.flow.at_least else ''}{one.flow.since}",
        f"{one.quantity:,.1f} {one.unit}", one.seen,
    ) for one in found], numbers=(0, 4, 6))
    if total > len(found):
        click.echo(f"the first {len(found):,} of {total:,}; --state and --medium choose fewer", err=True)


@kept_leaks.command("set")
@CONFIG
@click.argument("number", type=click.IntRange(1))
@click.argument("state", type=click.Choice(DECIDABLE))
@click.option("--note", default="", help=f"What was found or done; up to {LONGEST_NOTE} characters.")
@AS_JSON
def set_(config: Path, number: int, state: str, note: str, as_json: bool) -> None:
    """Say what became of leak NUMBER; it is kept with your name, and in the audit. That it is over, its meter says."""
    settings = load(config)
    zone, now = ZoneInfo(settings.site.timezone), make_clock(config, settings).now()
    with _book(config) as book:
        found = book.decide(person(), number, None, LeakState(state), note, at=now)
    changes = [
        {"at": utc_ns(one.at), "who": one.who, "before": one.before, "after": one.after, "note": one.note}
        for one in found.changes
    ]
    if as_json:
        print_json({**_said(found), "changes": changes})
        return
    click.echo(f"leak {number}: {found.flow.point} is {state}")
    for one in found.changes:
        click.echo(f"  {local_ns(one.at, zone)} {one.who}: {one.after}" + (f", {one.note}" if one.note else ""))


def _said(leak: Leak) -> dict[str, Any]:
    return {
        "number": leak.number, "state": leak.state.value, "opened": leak.opened, "seen": leak.seen, "unit": leak.unit,
        "quantity": leak.quantity, **to_json(leak.flow),
    }


@contextmanager
def _book(config: Path) -> "Iterator[Leakbook]":
    from scada.balancing.leakbook import FILE, Leakbook

    with registry_of(config) as database:
        book = Leakbook(history_dir(load(config)) / FILE, lambda actor, leak, detail: database.audit.append_now(
            actor, "leak.decide", str(leak), **detail
        ))
        book.open()
        try:
            yield book
        finally:
            book.close()
