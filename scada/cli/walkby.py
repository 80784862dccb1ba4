"""`scada walkby`: files of the hand-held collector, through a running server or, while none runs, into its journal."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from hmi import encode
from scada.cli.client import Api
from scada.cli.output import print_json, print_table
from scada.cli.periods import utc_ns
from scada.cli.read import history_dir
from scada.cli.run import make_clock
from scada.cli.site import CONFIG, person
from scada.clock import NS
from scada.errors import StartError
from scada.lock import DataDirLock
from scada.settings import Settings, load

WRONG: Final = 2                        # exit status: some rows could not be used
MOST_NAMED: Final = 20                  # modules that the registry does not know, at a terminal
PARTLY: Final = ("conflicts", "problems", "unknown_euis", "files")


@click.group()
def walkby() -> None:
    """Import files of the hand-held collector (docs/walk-by.md)."""


@walkby.command("import")
@CONFIG
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check and compare only; nothing is stored.")
@click.option("--strict", is_flag=True, help="Store nothing of a file in which anything is wrong.")
@click.option("--user", "-u", envvar="SCADA_USER", help="Where the server runs: your user name.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
def import_(config: Path, files: tuple[Path, ...], dry_run: bool, strict: bool, user: str | None, as_json: bool) -> None:
    """
    Merge FILES with what the radio delivered; what is held is never replaced, and conflicts are listed.

    A running server is asked over its API, with --user and a password (prompt or SCADA_PASSWORD). Without one, the files
    go into the server's journal, and its next start merges them.
    """
    settings = load(config)
    with _alone(settings) as alone:
        api = None if alone else _logged_in(config, user)
        with _bar(files) as advance:
            if api is None:
                found = list(_offline(config, settings, files, dry_run, strict, advance))
            else:
                found = list(_through_the_server(api, files, dry_run, strict, advance))
    total = _summed(found)
    print_json(total) if as_json else _show(total, dry_run)
    if total["problems"]:
        raise SystemExit(WRONG)


def _logged_in(config: Path, user: str | None) -> Api:
    if not user:
        raise click.UsageError("the server runs: expected --user NAME (or SCADA_USER), the files go through it")
    api = Api.of(config)
    api.log_in(user)
    return api


def _through_the_server(
    api: Api, files: tuple[Path, ...], dry_run: bool, strict: bool, advance: Any
) -> Iterator[dict[str, Any]]:
    for path in files:
        data = path.read_bytes()
        yield api.send("/api/v1/walkby", data, name=path.name, dry_run=int(dry_run), strict=int(strict))
        advance(len(data))


def _offline(
    config: Path, settings: Settings, files: tuple[Path, ...], dry_run: bool, strict: bool, advance: Any
) -> Iterator[dict[str, Any]]:
    from scada.drivers.dmesh.walkby.merge import Pending, examine
    from scada.drivers.dmesh.walkby.service import counts
    from scada.historian.offline import ClosedHistory
    from scada.registry.database import open_registry, url_of
    from scada.site import Directory

    clock = make_clock(config, settings)
    database = open_registry(url_of(settings.registry, settings.data_dir))
    try:
        directory = Directory(database.load())
        with ClosedHistory(history_dir(settings)) as history:
            for path in files:
                now_hour = clock.hour() if clock.trusted() else None
                examined = examine(
                    [(path.name, path.read_bytes())], history.reader, directory, Pending(history.pending), now_hour,
                    clock.now(), advance,
                )
                report = examined.report
                if not dry_run and not (strict and report.problems):
                    database.audit.append_now(person(), "walkby.import", path.name, **counts(report))
                    history.append(examined.blocks)
                    report = attrs.evolve(report, stored=True)
                yield encode.walkby(report)
    finally:
        database.close()


@contextmanager
def _alone(settings: Settings) -> Iterator[bool]:
    """Whether no server runs in the data directory; while we are alone, none can start."""
    lock = DataDirLock(settings.data_dir)
    try:
        lock.acquire()
    except StartError as error:
        if not _in_use(settings.data_dir):
            raise error from None
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _in_use(data_dir: Path) -> bool:
    """Whether the directory could be locked but for another process."""
    return os.access(data_dir / "lock", os.W_OK)


@contextmanager
def _bar(files: tuple[Path, ...]) -> Iterator[Any]:
    """A bar over all bytes, on stderr, where somebody sees it."""
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=sum(path.stat().st_size for path in files))
        yield lambda count: progress.advance(task, count)


def _summed(found: list[dict[str, Any]]) -> dict[str, Any]:
    """One summary of all files; modules are counted by file."""
    total: dict[str, Any] = {name: [] for name in PARTLY} | {"stored": all(one["stored"] for one in found)}
    for one in found:
        for name, value in one.items():
            if name != "stored":
                total[name] = total.get(name, [] if name in PARTLY else 0) + value
    total["unknown_euis"] = sorted(set(total["unknown_euis"]))
    return total


def _show(total: dict[str, Any], dry_run: bool) -> None:
    said = "stored" if total["stored"] else "checked only, nothing was stored" if dry_run else "not everything was stored"
    print_table(
        f"walk-by import: {said}",
        ("modules", "hours", "new", "known", "conflicts", "not in the registry", "unusable"),
        [tuple(str(one) for one in (
            total["modules"], total["hours"], total["new"], total["known"], total["conflicting"],
            len(total["unknown_euis"]), len(total["problems"]),
        ))],
        numbers=tuple(range(7)),
    )
    if total["conflicts"]:
        print_table(
            "conflicts: the value held stays",
            ("module", "channel", "start (UTC)", "what", "held", "in the file", "file"),
            [
                (one["module"] or one["eui"], str(one["channel"]), utc_ns(one["start_s"] * NS), one["kind"],
                 str(one["held"]), str(one["given"]), one["file"])
                for one in total["conflicts"]
            ],
            numbers=(1, 4, 5),
        )
    if total["unknown_euis"]:
        more = len(total["unknown_euis"]) - MOST_NAMED
        named = ", ".join(total["unknown_euis"][:MOST_NAMED])
        click.echo(f"kept, but not in the registry: {named}" + (f" and {more} more; --json names all" if more > 0 else ""))
    for problem in total["problems"]:
        click.echo(f"error: {problem}", err=True)
