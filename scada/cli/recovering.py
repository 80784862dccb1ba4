"""What a repair could not read any more: brought back from InfluxDB, and for the rest the field is asked again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import click
from rich.console import Console
from rich.progress import track

from scada.balancing.compute import KIND as BALANCE
from scada.balancing.memory import FILE as MEMORY_FILE
from scada.balancing.memory import Memory
from scada.cli.client import Api
from scada.cli.collection import show_asked
from scada.cli.output import print_json, print_table
from scada.cli.read import history_dir
from scada.cli.run import make_clock
from scada.cli.site import AS_JSON, CONFIG, person, registry_of
from scada.clock import DAY_H, HOUR_S
from scada.errors import CommandRejected, ScadaError, StartError
from scada.historian.holes import Missing, holes
from scada.historian.refetching import Refetched, refetch
from scada.historian.results_checked import BadRow
from scada.settings import Settings, load
from scada.site import Directory
from scada.site_groups import joined

MOST_HOURS: Final = 31 * DAY_H          # of one wish
MOST_NAMED: Final = 20                  # wishes, at a terminal
REFUSED: Final = 3                      # exit status


@attrs.frozen
class Wish:
    """What to ask one concentrator for; whole hours."""

    concentrator: str
    first: int                          # [h since 1970]
    last: int                           # exclusive

    def __str__(self) -> str:
        begin, end = (datetime.fromtimestamp(hour * HOUR_S, UTC) for hour in (self.first, self.last))
        return f"{self.concentrator} --from {begin.isoformat()} --to {end.isoformat()}"


def wishes(left: Iterable[Missing], directory: Directory) -> tuple[list[Wish], int]:
    """What to ask whom for, days that follow each other together; and how many modules no concentrator is known for."""
    spans: dict[str, list[Wish]] = {}
    strangers: set[int] = set()
    for hole in sorted(left, key=lambda one: one.start):
        first, last = hole.start // HOUR_S, -(-hole.end // HOUR_S)
        modules = {eui: directory.module_of_eui.get(eui) for eui in hole.eui.tolist()}
        strangers |= {eui for eui, module in modules.items() if module is None or not module.index}
        for name in {module.concentrator for module in modules.values() if module is not None and module.index}:
            mine = spans.setdefault(name, [])
            if mine and first - mine[-1].last <= DAY_H and last - mine[-1].first <= MOST_HOURS:
                mine[-1] = attrs.evolve(mine[-1], last=max(last, mine[-1].last))
            else:
                mine.append(Wish(name, first, last))
    return [one for name in sorted(spans) for one in spans[name]], len(strangers)


def bring_back(
    config: Path, settings: Settings, directory: Path, advance: Callable[[str, float], None]
) -> tuple[Refetched, list[Wish]]:
    """Ask every backend but the embedded store; audited. And what is left to be asked for in the field."""
    from scada.historian.backends import configured

    embedded, *others = configured(settings.historian, settings.data_dir)
    with ExitStack() as stack:
        target = stack.enter_context(closing(embedded.open()))
        sources = [(one.name, stack.enter_context(closing(one.open()))) for one in others]
        found = refetch(directory, sources, target, make_clock(config, settings).now(), advance)
    if not found.looked_for:
        return found, []
    with registry_of(config) as database:
        for name, count in found.brought.items():
            database.audit.append_now(person(), "historian.refetch", name, intervals=count)
        return found, wishes(found.left, Directory(database.load()))[0]


def refetched(found: Refetched, asks: Sequence[Wish]) -> dict[str, Any]:
    return {
        "looked_for": found.looked_for, "brought_back": dict(found.brought), "missing": found.missing,
        "trouble": list(found.trouble), "ask": [attrs.asdict(one) for one in asks],
    }


def balance_again(directory: Path, lost: Sequence[BadRow]) -> None:
    """Balances that a repair took out are computed anew by the next start."""
    lost = [one for one in lost if isinstance(one.start, int)]           # else it says no hour
    groups = sorted({one.name for one in lost if one.kind == BALANCE})
    if not groups:
        return
    memory = Memory(directory / MEMORY_FILE)
    memory.open()
    try:
        for name in groups:
            rows = [one for one in lost if (one.kind, one.name) == (BALANCE, name)]
            hours = joined([(one.start // HOUR_S, (one.start + one.span) // HOUR_S) for one in rows])
            for span in hours:
                memory.touch([name], span)
    finally:
        memory.close()


def show_refetched(config: Path, found: Refetched, asks: Sequence[Wish]) -> None:
    for name, count in found.brought.items():
        click.echo(f"brought back from {name}: {count:,} intervals")
    for text in found.trouble:
        click.echo(f"error: {text}; make the repair again when it answers", err=True)
    if found.missing:
        click.echo(f"still missing of what was damaged: {found.missing:,} intervals")
    if asks:
        click.echo("once it runs, the server asks the field for what its archives have; at once, and for older hours, by")
        click.echo(f"  scada historian ask-again {config} --user NAME")
        click.echo("which is")
        for one in asks[:MOST_NAMED]:
            click.echo(f"  scada collection ask {config} {one} --user NAME")
        if len(asks) > MOST_NAMED:
            click.echo(f"  and {len(asks) - MOST_NAMED:,} more; --json names all")


@click.command("ask-again")
@CONFIG
@click.option("--user", "-u", required=True, envvar="SCADA_USER", help="Your user name; role and area decide.")
@AS_JSON
def ask_again(config: Path, user: str, as_json: bool) -> None:
    """
    Ask the field again for what damaged blocks have lost, through the running server, up to a week beyond archives' depth.

    What InfluxDB has is brought back by `repair`. The password is asked for, or taken from SCADA_PASSWORD.
    """
    settings = load(config)
    directory = history_dir(settings)
    if not directory.is_dir():
        raise StartError("historian", f"{directory} holds no history")
    now = make_clock(config, settings).seconds()
    with registry_of(config) as database:
        asks, strangers = wishes(_missing(directory, now), Directory(database.load()))
    asked, refused = [], []
    if asks:
        api = Api.of(config)
        api.log_in(user)
        for one in _shown(asks):
            try:
                asked.append(api.post(
                    "/api/v1/collection/ask", concentrator=one.concentrator, modules=[], first_hour=one.first,
                    hours=one.last - one.first,
                ))
            except CommandRejected as error:
                refused.append({**attrs.asdict(one), "reasons": list(error.reasons)})
    if as_json:
        print_json({"asked": asked, "refused": refused, "unknown_modules": strangers})
    else:
        _tell(asked, refused, strangers, settings)
    if refused and not asked:
        raise SystemExit(REFUSED)


@click.command()
@CONFIG
@AS_JSON
def backends(config: Path, as_json: bool) -> None:
    """Show where history is kept, what each place holds, and whether it can be read now; exit status 1 if one cannot."""
    from scada.historian.backends import KINDS, configured

    settings = load(config)
    found = []
    for one in configured(settings.historian, settings.data_dir):
        offers = KINDS[one.kind].offers
        with closing(one.open()) as place:
            try:
                place.tag("server.process/uptime", 0, 1, 1)
                trouble = ""
            except ScadaError as error:
                trouble = str(error)
        found.append({"name": one.name, "kind": one.kind, "where": one.where, **attrs.asdict(offers), "trouble": trouble})
    if as_json:
        print_json(found)
    else:
        yes = {True: "yes", False: "no"}
        print_table("history is kept in", ("name", "kind", "where", "registers", "results", "times", "can be read"), [
            (str(one["name"]), str(one["kind"]), str(one["where"]), yes[bool(one["registers"])], yes[bool(one["results"])],
             "ns" if one["resolution"] == 1 else "ms", str(one["trouble"]) or "yes")
            for one in found
        ])
    if any(one["trouble"] for one in found):
        raise SystemExit(1)


# ---------------------------------------------------------------------- private
def _missing(directory: Path, now_s: int) -> Iterator[Missing]:
    return (hole.brief() for hole, _ in holes(directory, now_s) if hole is not None)


def _shown(asks: Sequence[Wish]) -> Iterator[Wish]:
    """With a bar, on stderr, where somebody sees it."""
    console = Console(stderr=True)
    yield from track(asks, "asking", console=console, transient=True, disable=not console.is_terminal)


def _tell(asked: list[Any], refused: list[dict[str, Any]], strangers: int, settings: Settings) -> None:
    if not asked and not refused:
        click.echo("nothing is missing of what was damaged, or nobody can be asked for it")
    if asked:
        show_asked(asked, settings)
    for one in refused:
        for reason in one["reasons"]:
            click.echo(f"refused: {reason}", err=True)
    if strangers:
        click.echo(f"modules that no concentrator has any more: {strangers:,}", err=True)
