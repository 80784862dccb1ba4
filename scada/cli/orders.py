"""`scada balance orders`: work orders for moves between phases: kept, settled, and what they gave, measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import attrs
import click

from scada.cli.output import print_json, print_table
from scada.cli.periods import local_ns, utc_ns
from scada.cli.read import history_dir, open_directory
from scada.cli.run import make_clock
from scada.cli.site import AS_JSON, CONFIG, person, registry_of
from scada.clock import HOUR_S, NS
from scada.errors import ConfigError, Problem
from scada.phase_orders import LONGEST_NOTE, Achieved, MeasuredGain, MoveState, NoGain, OrderState, PhaseOrder
from scada.phase_study import PhaseStudy
from scada.settings import load

if TYPE_CHECKING:
    from scada.balancing.phases.orderbook import OrderBook

STATES: Final = [one.value for one in OrderState]
SAID: Final = {
    MoveState.DONE: "done", MoveState.NOT_DONE: "not in the registry", MoveState.ELSEWHERE: "moved elsewhere",
    MoveState.SAID_BEFORE: "the registry said so before", MoveState.GONE: "no longer in the registry",
}
WHY: Final = {
    NoGain.NOT_DONE: "nobody has said that the crew was there; scada balance orders set CONFIG NUMBER done --on DAY",
    NoGain.NONE_MOVED: "the registry has none of the moves",
    NoGain.NO_FEED: "the group's transformer has no three-phase meter",
    NoGain.TOO_EARLY: "too early to say: {} days after the moves are known, {} are needed",
    NoGain.FEW_BEFORE: "only {} days before the moves are known, {} are needed, and the moved consumers' hours are missing",
    NoGain.NOTHING_ALIKE: "no hour after the moves is like one before, and the moved consumers' hours are missing",
}


@click.group("orders")
def orders() -> None:
    """Work orders for moves between phases that were kept: what became of them, and what they gave, measured."""


@orders.command("list")
@CONFIG
@click.argument("group", required=False)
@AS_JSON
def list_(config: Path, group: str | None, as_json: bool) -> None:
    """List orders, of one GROUP or of all, newest first."""
    from scada.balancing.phases.outcome import move_states

    settings = load(config)
    directory, zone = open_directory(settings), ZoneInfo(settings.site.timezone)
    with _book(config) as book:
        found = book.of(group)
    states = [move_states(one.proposal, directory) for one in found]
    if as_json:
        print_json({"orders": [_plain(one, of) for one, of in zip(found, states, strict=True)]})
        return
    print_table("work orders", ("no.", "group", "made", "state", "moves", "in the registry"), [
        (str(one.number), one.group, local_ns(one.made, zone), _state(one), str(len(of)), str(of.count(MoveState.DONE)))
        for one, of in zip(found, states, strict=True)
    ], numbers=(0, 4, 5))


@orders.command("set")
@CONFIG
@click.argument("number", type=click.IntRange(1))
@click.argument("state", type=click.Choice(STATES))
@click.option("--on", "day", default="", help="Site day on which the crew was there: 2026-11-22; today without it.")
@click.option("--note", default="", help=f"Up to {LONGEST_NOTE} characters.")
def set_(config: Path, number: int, state: str, day: str, note: str) -> None:
    """Say what became of order NUMBER. Its moves are entered in the registry as any change of a consumer's phase is."""
    settings = load(config)
    now = make_clock(config, settings).now()
    today = datetime.fromtimestamp(now // NS, UTC).astimezone(ZoneInfo(settings.site.timezone)).date().isoformat()
    with _book(config) as book:
        found = book.settle(person(), number, None, OrderState(state), note, at=now, today=today, day=day)
    click.echo(f"work order {number} of {found.group} is {_state(found)}")


@orders.command("achieved")
@CONFIG
@click.argument("number", type=click.IntRange(1))
@AS_JSON
def achieved(config: Path, number: int, as_json: bool) -> None:
    """Measure what order NUMBER has given, by weeks before and after it."""
    from rich.progress import TaskProgressColumn

    from scada.balancing.phases.outcome import outcome
    from scada.cli.balance import find_group
    from scada.cli.history_folder import bar
    from scada.cli.phases_inputs import sources_of

    settings = load(config)
    zone, hour = ZoneInfo(settings.site.timezone), make_clock(config, settings).seconds() // HOUR_S
    with _book(config) as book:
        order = book.one(number)
    if order is None:
        raise ConfigError([Problem("argument", "NUMBER", f"there is no work order {number}")])
    directory, _ = find_group(settings, order.group)
    with sources_of(settings, directory, hour) as sources, bar("reading", 6 * 28, TaskProgressColumn()) as advance:
        found = outcome(order, directory, zone, hour, sources, lambda tag: advance(tag, 1))
    if as_json:
        print_json({**_plain(order, found.moves), "lack": found.lack, "days_before": found.days_before,
                    "days_after": found.days_after, "load": None if found.load != found.load else found.load,
                    **{name: None if gain is None else attrs.asdict(gain)
                       for name, gain in (("alike", found.alike), ("without", found.without))}})
        return
    _print(order, found)


def keep_order(config: Path, found: PhaseStudy) -> None:
    """Keep the moves of a study, and say under which number."""
    from scada.balancing.phases.outcome import proposed

    now = make_clock(config, load(config)).now()
    with _book(config) as book:
        order = book.keep(person(), found.group, proposed(found), now)
    click.echo(f"kept as work order {order.number}", err=True)


def _print(order: PhaseOrder, found: Achieved) -> None:
    rows = [(one.point, one.title, one.of, one.to, SAID[state])
            for one, state in zip(order.proposal.moves, found.moves, strict=True)]
    title = f"work order {order.number} of {order.group}, {_state(order)}"
    print_table(title, ("consumer", "title", "from", "to", "registry"), rows)
    if found.lack is not None:
        click.echo(WHY[found.lack].format(*found.figures))
        return
    click.echo(f"{found.days_before} days before, {found.days_after} after; mean load after is {found.load:.0%} of before")
    for what, gain in (("against the same hours without the moves", found.without),
                       ("against like hours before (same hour of the week, like load)", found.alike)):
        if gain is not None:
            click.echo(_sentence(what, gain))
    today, after = order.proposal.today, order.proposal.after
    if today is not None and after is not None:
        click.echo(f"promised by power flow: mean neutral current {1 - after.neutral / today.neutral:.0%} smaller, "
                   f"line loss {1 - after.lost / today.lost:.0%} smaller")


def _sentence(what: str, gain: MeasuredGain) -> str:
    sure = "" if gain.low > 0 or gain.high < 0 else "; the interval holds 0: no gain is shown"
    return (f"mean neutral current {gain.neutral:.0%} smaller ({gain.low:.0%} to {gain.high:.0%}), its square "
            f"{gain.squared:.0%}, {what}, {gain.hours} hours, {gain.left_out} left out{sure}")


def _state(order: PhaseOrder) -> str:
    return f"done on {order.done_on}" if order.state is OrderState.DONE else order.state.value


def _plain(order: PhaseOrder, states: tuple[MoveState, ...]) -> dict[str, object]:
    return {
        "number": order.number, "group": order.group, "state": order.state, "made": utc_ns(order.made),
        "done_on": order.done_on or None, "objective": order.proposal.objective,
        "moves": [{**attrs.asdict(one), "state": state} for one, state in zip(order.proposal.moves, states, strict=True)],
        "changes": [{"at": utc_ns(one.at), "who": one.who, "before": one.before, "after": one.after, "note": one.note}
                    for one in order.changes],
    }


@contextmanager
def _book(config: Path) -> "Iterator[OrderBook]":
    from scada.balancing.phases.orderbook import FILE, OrderBook

    with registry_of(config) as database:
        book = OrderBook(history_dir(load(config)) / FILE, lambda actor, action, target, detail: database.audit.append_now(
            actor, action, target, **detail
        ))
        book.open()
        try:
            yield book
        finally:
            book.close()
