"""`scada historian`: what the embedded store holds, whether it is sound, and its backups; beside a running server too."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn

from scada.cli.backfill import backfill
from scada.cli.history_shown import (
    compaction,
    destination,
    inspection,
    repairs,
    show,
    show_compaction,
    show_destinations,
    show_repairs,
    show_verified,
    tell_copied,
    verified,
)
from scada.cli.output import print_json
from scada.cli.read import history_dir
from scada.cli.recovering import ask_again, backends, bring_back, refetched, show_refetched
from scada.cli.replicas import dead_letter, replay
from scada.cli.site import AS_JSON, CONFIG
from scada.errors import StartError
from scada.lock import private_files
from scada.settings import Settings, load

WRONG: Final = 1                        # exit status: something is damaged


@click.group()
def historian() -> None:
    """The embedded store: what it holds, whether it is sound, backups; and what its replicas are sent again."""


@historian.command()
@CONFIG
@AS_JSON
def status(config: Path, as_json: bool) -> None:
    """
    Show sizes by kind, what each month holds, and how far each destination is.

    Exit status 1 if something is damaged or was set aside as damaged.
    """
    from scada.historian.destinations import look
    from scada.historian.inspection import inspect

    settings = load(config)
    directory = _folder(settings)
    with _bar("looking", 1.0, TaskProgressColumn()) as advance:
        found = inspect(directory, _spools(settings), advance)
    replicas = [look(path) for path in _spools(settings)]
    if as_json:
        print_json(inspection(found) | {"destinations": [destination(one) for one in replicas]})
    else:
        show(found)
        show_destinations(replicas)
    if found.trouble or found.set_aside:
        raise SystemExit(WRONG)


@historian.command()
@CONFIG
@AS_JSON
def verify(config: Path, as_json: bool) -> None:
    """
    Read every check sum: blocks, journal, live tags; and let SQLite check its files. Nothing is changed.

    Exit status 1 if anything is not what was written; each place is named.
    """
    from scada.historian import verification

    directory = _folder(load(config))
    with _bar("verifying", verification.bytes_to_read(directory), DownloadColumn()) as advance:
        found = verification.verify(directory, advance)
    print_json(verified(found)) if as_json else show_verified(directory, found)
    if not found.ok:
        raise SystemExit(WRONG)


@historian.command()
@CONFIG
@AS_JSON
def repair(config: Path, as_json: bool) -> None:
    """
    Put damaged blocks out of the way, and read again what a spoilt month file still holds. The server must not run.

    Nothing is thrown away. What is missing then is brought back from each InfluxDB that has it; exit status 1 if one could
    not be asked. For the rest the field is asked when the server runs; `ask-again` asks at once, and for older hours.
    """
    from scada.historian.repairing import repair as repaired

    settings = load(config)
    directory = _folder(settings)
    private_files()
    with _bar("repairing", 1.0, TaskProgressColumn()) as advance:
        done = repaired(directory, advance)
    with _bar("bringing back", 1.0, TaskProgressColumn()) as advance:
        found, asks = bring_back(config, settings, directory, advance)
    if as_json:
        print_json(repairs(done) | {"refetched": refetched(found, asks)})
    else:
        show_repairs(directory, done)
        show_refetched(config, found, asks)
    if found.trouble:
        raise SystemExit(WRONG)


@historian.command()
@CONFIG
@AS_JSON
def compact(config: Path, as_json: bool) -> None:
    """Give back the room of replaced blocks and rolled samples, by writing files anew. The server must not run."""
    from scada.historian.compacting import compact as compacted
    from scada.historian.inspection import databases, size_on_disk, with_logs

    directory = _folder(load(config))
    private_files()
    with _bar("compacting", size_on_disk(with_logs(databases(directory))), DownloadColumn()) as advance:
        done = compacted(directory, advance)
    print_json(compaction(done)) if as_json else show_compaction(directory, done)
    if done.damaged:
        raise SystemExit(WRONG)


@historian.command()
@CONFIG
@click.argument("target", type=click.Path(path_type=Path))
@AS_JSON
def backup(config: Path, target: Path, as_json: bool) -> None:
    """
    Copy the history into TARGET, a new or empty folder, also while the server writes it.

    The copy holds everything that was acknowledged before it began. The spool of InfluxDB replicas is no part of it.
    """
    from scada.historian.backup import back_up, bytes_to_copy

    directory = _folder(load(config))
    private_files()
    with _bar("copying", bytes_to_copy(directory), DownloadColumn()) as advance:
        made = back_up(directory, target, advance)
    tell_copied(made, f"backed up to {target}", as_json)


@historian.command()
@click.argument("source", metavar="BACKUP", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="A new or empty folder.")
@AS_JSON
def restore(source: Path, target: Path, as_json: bool) -> None:
    """
    Make a folder of BACKUP that a server can start with; every file is compared with the manifest first.

    Nothing is overwritten. The folder is `history` in the data directory, or what `historian.dir` names.
    """
    from scada.historian.restoring import read_manifest
    from scada.historian.restoring import restore as restored

    private_files()
    with _bar("copying", read_manifest(source).size, DownloadColumn()) as advance:
        made = restored(source, target, advance)
    tell_copied(made, f"restored to {target}", as_json)


# ---------------------------------------------------------------------- private
def _folder(settings: Settings) -> Path:
    directory = history_dir(settings)
    if not directory.is_dir():
        raise StartError("historian", f"{directory} holds no history")
    return directory


def _spools(settings: Settings) -> list[Path]:
    return [settings.path(one.spool_dir, "spool") / f"{one.name}.sqlite" for one in settings.historian.influx]


@contextmanager
def _bar(what: str, total: float, column: Any) -> Iterator[Callable[[str, float], None]]:
    """A bar, on stderr, where somebody sees it, with the file that is being read."""
    columns = (TextColumn("{task.description}"), BarColumn(), column, TextColumn("{task.fields[file]}", markup=False))
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, file="")

        def advance(name: str, done: float) -> None:
            progress.update(task, advance=done, file=name)

        yield advance


historian.add_command(backfill)
historian.add_command(dead_letter)
historian.add_command(replay)
historian.add_command(ask_again)
historian.add_command(backends)
