"""`scada historian`: what the embedded store holds, whether it is sound, and its backups; beside a running server too."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
from rich.progress import DownloadColumn, TaskProgressColumn

from scada.cli.backfill import backfill
from scada.cli.changes import changes
from scada.cli.estimates import estimate, estimates
from scada.cli.events import events
from scada.cli.history_folder import bar, folder, spools
from scada.cli.history_parquet import export_command, import_command
from scada.cli.history_removals import show_to_remove, to_remove
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
    tell_backup,
    tell_restored,
    verified,
)
from scada.cli.output import print_json
from scada.cli.periods import parse_time
from scada.cli.recovering import ask_again, backends, balance_again, bring_back, refetched, show_refetched
from scada.cli.replicas import dead_letter, replay
from scada.cli.run import make_clock
from scada.cli.site import AS_JSON, CONFIG
from scada.clock import NS
from scada.lock import private_files
from scada.settings import load

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
    directory, files = folder(settings), spools(settings)
    with bar("looking", 1.0, TaskProgressColumn()) as advance:
        found = inspect(directory, files, advance)
    replicas = [look(path) for path in files]
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
def retention(config: Path, as_json: bool) -> None:
    """Show what is older than `historian.retention` keeps it. Nothing is removed: the running server does that."""
    from scada.historian.removal import due
    from scada.historian.spool import facts_in, versions_in

    settings = load(config)
    directory = folder(settings)
    found = due(directory, settings.historian.retention, make_clock(config, settings).now())
    destinations = zip(settings.historian.influx, spools(settings), strict=True)
    sent = {one.name: (partial(versions_in, path), facts_in(path)) for one, path in destinations}
    waits = {one: [name for name, has in sent.items() if _lacks(one, *has)] for one in found}
    if as_json:
        print_json(to_remove(waits))
    else:
        show_to_remove(settings.historian.retention, waits)


@historian.command()
@CONFIG
@AS_JSON
def verify(config: Path, as_json: bool) -> None:
    """
    Read every check sum: blocks, journal, live tags, results, events, spools; and let SQLite check its files.

    Nothing is changed. Exit status 1 if anything is not what was written; each place is named.
    """
    from scada.historian import verification

    settings = load(config)
    directory, waiting = folder(settings), spools(settings)
    with bar("verifying", verification.bytes_to_read(directory, waiting), DownloadColumn()) as advance:
        found = verification.verify(directory, advance, waiting)
    print_json(verified(found)) if as_json else show_verified(directory, found)
    if not found.ok:
        raise SystemExit(WRONG)


@historian.command()
@CONFIG
@AS_JSON
def repair(config: Path, as_json: bool) -> None:
    """
    Put what is damaged out of the way, and read again what spoilt files still hold. The server must not run.

    Nothing is thrown away. What is missing then is brought back from each InfluxDB that has it; exit status 1 if one could
    not be asked, or if something can only come from a backup. For the rest the field is asked when the server runs;
    `ask-again` asks at once, and for older hours.
    """
    from scada.historian.repairing import repair as repaired

    settings = load(config)
    directory = folder(settings)
    private_files()
    with bar("repairing", 1.0, TaskProgressColumn()) as advance:
        done = repaired(directory, advance, partial(balance_again, directory))
    with bar("bringing back", 1.0, TaskProgressColumn()) as advance:
        found, asks = bring_back(config, settings, directory, advance)
    if as_json:
        print_json(repairs(done) | {"refetched": refetched(found, asks)})
    else:
        show_repairs(directory, done)
        show_refetched(config, found, asks)
    if found.trouble or done.left:
        raise SystemExit(WRONG)


@historian.command()
@CONFIG
@AS_JSON
def compact(config: Path, as_json: bool) -> None:
    """Give back the room of replaced blocks and rolled samples, by writing files anew. The server must not run."""
    from scada.historian.compacting import compact as compacted
    from scada.historian.inspection import databases, size_on_disk, with_logs

    directory = folder(load(config))
    private_files()
    with bar("compacting", size_on_disk(with_logs(databases(directory))), DownloadColumn()) as advance:
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
    Copy the history into TARGET, also while the server writes it: a new or empty folder, or one with a backup of it.

    To an earlier backup what has changed since is added. The copy holds everything that was acknowledged before it began.
    The spool of InfluxDB replicas is no part of it.
    """
    from scada.historian.backup import back_up, bytes_to_copy

    directory = folder(load(config))
    private_files()
    with bar("copying", bytes_to_copy(directory), DownloadColumn()) as advance:
        made = back_up(directory, target, advance)
    tell_backup(made, target, as_json)


@historian.command()
@click.argument("source", metavar="BACKUP", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="A new or empty folder.")
@click.option("--at", help="As of this instant, e.g. 2026-11-26T13:00+02:00 (UTC without an offset); default: the newest.")
@AS_JSON
def restore(source: Path, target: Path, at: str | None, as_json: bool) -> None:
    """
    Make a folder of BACKUP that a server can start with; every file is compared with the manifest first.

    Nothing is overwritten. The folder is `history` in the data directory, or what `historian.dir` names. As of an instant,
    intervals are what had been received by then, live samples what had been measured, events what had been
    received, results those of the backup before.
    """
    from scada.historian.restoring import restore as restored
    from scada.historian.restoring import to_copy

    instant = parse_time(at, ZoneInfo("UTC")) * NS if at else None
    private_files()
    with bar("copying", to_copy(source, instant).size, DownloadColumn()) as advance:
        made = restored(source, target, instant, advance)
    tell_restored(made, target, as_json)


for _command in (
    ask_again, backends, backfill, changes, dead_letter, estimate, estimates, events, export_command, import_command,
    replay,
):
    historian.add_command(_command)


def _lacks(one: Any, versions: Any, facts: Mapping[str, str]) -> bool:
    """Whether a destination that has so much keeps something from going."""
    from scada.historian.past import needed
    from scada.historian.removal import lacking, lacking_events, lacking_results
    from scada.historian.spool import EVENTS, PAST, RESULTS

    match one.kind:
        case "intervals":
            return lacking(one.path, versions)
        case "live":
            return needed(facts.get(PAST, ""), one.path)
        case "results":
            return lacking_results(one.path, one.before, int(facts.get(RESULTS) or 0))
        case "events":
            return lacking_events(one.path, one.before, int(facts.get(EVENTS) or 0))
    return False
