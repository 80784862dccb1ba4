"""`scada historian export` and `import`: history as Parquet files."""

from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.progress import DownloadColumn

from scada.cli.history_folder import bar, folder
from scada.cli.output import print_json
from scada.cli.periods import parse_time, utc
from scada.cli.read import history_dir
from scada.cli.run import make_clock
from scada.cli.site import AS_JSON, CONFIG, person, registry_of
from scada.errors import StartError
from scada.historian.exported import KINDS, Export
from scada.lock import private_files
from scada.settings import load

WRONG = 1                               # exit status: something is damaged and not in the export


@click.command("export")
@CONFIG
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--from", "first", help="First instant, e.g. 2026-11-01 (site time); default: all.")
@click.option("--to", "last", help="Up to before this instant; default: all.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="May be repeated; default: all.")
@AS_JSON
def export_command(
    config: Path, target: Path, first: str | None, last: str | None, kinds: tuple[str, ...], as_json: bool
) -> None:
    """
    Write the history as Parquet files into TARGET, a new or empty folder, also while the server writes it.

    A folder a kind, and in it a file a month. Exit status 1 if a damaged place had to be left out.
    """
    _needs_pyarrow()
    from scada.historian.exporting import bytes_to_read, export

    settings = load(config)
    directory, zone = folder(settings), ZoneInfo(settings.site.timezone)
    start, end = (parse_time(text, zone) if text else None for text in (first, last))
    if start is not None and end is not None and start >= end:
        raise click.BadParameter("the period ends before it begins, or with it; expected --from earlier than --to")
    private_files()
    chosen = kinds or KINDS
    with bar("exporting", bytes_to_read(directory, chosen), DownloadColumn()) as advance:
        made = export(directory, target, chosen, start, end, advance)
    _tell_exported(made, target, as_json)
    if made.damaged:
        raise SystemExit(WRONG)


@click.command("import")
@CONFIG
@click.argument("source", metavar="EXPORT", type=click.Path(path_type=Path, exists=True, file_okay=False))
@AS_JSON
def import_command(config: Path, source: Path, as_json: bool) -> None:
    """
    Enter an export by the rules of every delivery. The server must not run.

    What is held stays; a value that contradicts it is kept beside it and counted. The same import again changes nothing.
    """
    _needs_pyarrow()
    from scada.historian.exported import read_export
    from scada.historian.importing import import_export

    settings = load(config)
    directory, now = history_dir(settings), make_clock(config, settings).now()
    private_files()
    with registry_of(config) as database:
        with bar("importing", read_export(source).size, DownloadColumn()) as advance:
            done = import_export(directory, source, now, advance)
        database.audit.append_now(
            person(), "historian.import", str(source), rows=done.rows, conflicts=done.conflicts, kept=done.results_kept
        )
    if as_json:
        print_json({
            "rows": done.rows, "conflicts": done.conflicts, "results_kept": done.results_kept,
            "events_new": done.events_new,
        })
        return
    read = ", ".join(f"{kind} {rows:,}" for kind, rows in done.rows.items()) or "none"
    click.echo(f"imported into {directory}: rows of {read}")
    if done.conflicts:
        click.echo(f"{done.conflicts:,} values contradict what is held, which stays; they are kept beside it")
    if done.results_kept:
        click.echo(f"{done.results_kept:,} results differ from what is held, which stays")


# ---------------------------------------------------------------------- private
def _tell_exported(made: Export, target: Path, as_json: bool) -> None:
    if as_json:
        print_json({
            "version": made.version, "begun": made.begun, "files": len(made.files), "bytes": made.size,
            "rows": {kind: made.rows(kind) for kind in made.kinds}, "damaged": list(made.damaged), "unnamed": made.unnamed,
            "from": None if made.first is None else utc(made.first), "to": None if made.last is None else utc(made.last),
        })
    else:
        rows = ", ".join(f"{kind} {made.rows(kind):,}" for kind in made.kinds)
        click.echo(f"exported to {target}: {made.size:,} bytes, files: {len(made.files):,}, rows of {rows}")
    for place in made.damaged:
        click.echo(f"damaged, and not in the export: {place}", err=True)
    if made.unnamed:
        click.echo(f"{made.unnamed:,} rows of channels without a name yet are not in the export; export again", err=True)


def _needs_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        remedy = "in the checkout: .venv/bin/pip install -c constraints.txt -e '.[parquet]'"
        raise StartError("historian", "Parquet files need the library pyarrow, which is not installed", remedy) from None
