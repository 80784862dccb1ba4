"""What `scada historian` says: tables and sentences for people, the same for programs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import click

from scada.cli.history_removals import removals
from scada.cli.history_removals import size_text as _size
from scada.cli.output import counted, print_json, print_table
from scada.cli.periods import utc_ns
from scada.historian.compacting import Compacted
from scada.historian.destinations import Destination
from scada.historian.evidence import FOLDER
from scada.historian.inspection import Inspection, MonthHeld
from scada.historian.manifest import Manifest
from scada.historian.repairing import Repaired
from scada.historian.restoring import Restored
from scada.historian.result_file import RESULT_FILE
from scada.historian.verification import Finding, Verified

MOST_NAMED: Final = 200                 # damaged places, at a terminal


def _day(day: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day):%Y-%m-%d}" if day >= 0 else ""


def _month(month: MonthHeld) -> dict[str, Any]:
    return {
        "file": month.path.name, "bytes": month.size, "first_day": _day(month.first_day) or None,
        "last_day": _day(month.last_day) or None, "blocks": month.blocks, "channels": month.channels,
        "values": month.values, "values_counted": month.counted,
        "bytes_per_value": round(month.size / month.values, 3) if month.values else None,
        "blocks_set_aside": month.blocks_set_aside, "trouble": month.trouble,
    }


def inspection(found: Inspection) -> dict[str, Any]:
    return {
        "directory": str(found.directory), "bytes": dict(found.sizes), "channels": found.channels, "values": found.values,
        "merged": attrs.asdict(found.merged), "unmerged_bytes": found.unmerged, "quarantined": found.quarantined,
        "months": [_month(month) for month in found.months],
        "set_aside": [str(path.relative_to(found.directory)) for path in found.set_aside], "trouble": list(found.trouble),
        "removed": removals(found.directory),
    }


def show(found: Inspection) -> None:
    sizes = [(kind, _size(size)) for kind, size in found.sizes.items()]
    print_table(f"history in {found.directory}", ("kind", "size"), [*sizes, ("all", _size(sum(found.sizes.values())))],
                numbers=(1,))
    print_table(
        f"{found.channels:,} channels",
        ("month", "first day", "last day", "blocks", "channels", "values", "size", "bytes a value", "set aside"),
        [
            (month.path.name, _day(month.first_day), _day(month.last_day), f"{month.blocks:,}", f"{month.channels:,}",
             f"{month.values:,}" if month.counted else f"about {month.values:,}", _size(month.size),
             f"{month.size / month.values:,.2f}" if month.values else "", f"{month.blocks_set_aside:,}")
            for month in found.months
        ],
        numbers=tuple(range(3, 9)),
    )
    click.echo(f"{_size(found.unmerged)} of the journal are not merged yet")
    if found.quarantined:
        click.echo(f"{found.quarantined:,} records could not be understood and are kept in quarantine")
    if (gone := removals(found.directory))["pieces"]:
        last = ", ".join(gone["names"])
        click.echo(f"removed by retention: {gone['pieces']:,} pieces, {_size(gone['bytes'])}, last {gone['last']}: {last}")
    for path in found.set_aside:
        click.echo(f"set aside as damaged: {path.relative_to(found.directory)}", err=True)
    for text in found.trouble:
        click.echo(f"error: {text}", err=True)


def destination(one: Destination) -> dict[str, Any]:
    return attrs.asdict(one)


def show_destinations(found: Sequence[Destination]) -> None:
    if not found:
        return
    print_table(
        counted(len(found), "destination"),
        ("destination", "server", "lines that wait", "size", "dead letters", "lines in them", "earlier live values"),
        [
            (one.name, one.server or "not known yet", f"{one.waiting_lines:,}", _size(one.waiting_bytes),
             f"{one.dead_letters:,}", f"{one.dead_lines:,}", one.past)
            for one in found
        ],
        numbers=(2, 3, 4, 5),
    )
    for one in found:
        if one.trouble:
            click.echo(f"error: {one.trouble}", err=True)


def _finding(one: Finding) -> dict[str, Any]:
    said: dict[str, Any] = {"file": one.path.name, "where": one.where, "reason": one.reason}
    if one.day is not None:
        said |= {"day": _day(one.day), "block": one.block, "interval_s": one.interval_s, "channels": one.channels}
    return said


def verified(found: Verified) -> dict[str, Any]:
    return {
        "ok": found.ok, "blocks": found.blocks, "records": found.records, "chunks": found.chunks,
        "events": found.events, "results": found.results, "bodies": found.bodies,
        "torn_tails": found.torn, "kept": [path.name for path in found.kept],
        "damaged": [_finding(one) for one in found.findings],
    }


def show_verified(directory: Path, found: Verified) -> None:
    for one in found.findings[:MOST_NAMED]:
        click.echo(f"damaged: {one}", err=True)
    if len(found.findings) > MOST_NAMED:
        click.echo(f"and {len(found.findings) - MOST_NAMED:,} more; --json names all", err=True)
    read = f"blocks {found.blocks:,}, records of the journal {found.records:,}, chunks of live tags {found.chunks:,}"
    read += f", events {found.events:,}, rows of results {found.results:,}, bodies of spools {found.bodies:,}"
    places = "1 place is" if len(found.findings) == 1 else f"{len(found.findings):,} places are"
    click.echo(f"{directory}: {read}: {'all sound' if found.ok else f'{places} damaged'}")
    for path in found.kept[:MOST_NAMED]:
        click.echo(f"was damaged, and is kept: {path.parent.name}/{path.name}")
    if found.torn:
        click.echo("the journal ends in a record that was being written; it was never acknowledged")


def repairs(done: Repaired) -> dict[str, Any]:
    return {
        "blocks_put_away": [_finding(one) for one in done.blocks], "files_set_aside": [path.name for path in done.files],
        "notes_begun_anew": [_finding(one) for one in done.notes],
        "blocks_salvaged": done.salvaged, "conflicts": done.conflicts,
        "live_put_away": [_finding(one) for one in done.pieces], "samples_salvaged": done.samples,
        "results_taken_out": [attrs.asdict(row) for row in done.rows], "results_salvaged": done.results,
        "left_damaged": [_finding(one) for one in done.left],
    }


def show_repairs(directory: Path, done: Repaired) -> None:
    for one in done.blocks:
        click.echo(f"put away as damaged: {one}")
    for one in done.notes:
        click.echo(f"its hours are whole, who brought them and when is not known any more: {one}")
    for path in done.files:
        click.echo(f"set aside, a fresh file has taken its place: {path.name}")
    for one in done.pieces:
        click.echo(f"live tags, kept in {directory / FOLDER}: {one}")
    for row in done.rows[:MOST_NAMED]:
        click.echo(f"taken out of the results as damaged: {row}")
    if len(done.rows) > MOST_NAMED:
        click.echo(f"and {len(done.rows) - MOST_NAMED:,} more; --json names all")
    if done.rows:
        click.echo("the next start computes balances anew; losses: scada balance losses CONFIG --recompute FROM TO")
    for one in done.left:
        click.echo(f"error: {one}; it is in a backup: `scada historian restore`", err=True)
    if done.conflicts:
        click.echo(f"{done.conflicts:,} values contradict what came since; what is held stays, and they are kept beside it")
    if done.salvaged or any(path.name.startswith("intervals-") for path in done.files):
        click.echo(f"{done.salvaged:,} blocks of spoilt files were brought back")
    if done.samples or any(path.name.startswith("live-") for path in done.files):
        click.echo(f"{done.samples:,} samples of live tags in spoilt files were brought back")
    if done.results or any(path.name == RESULT_FILE for path in done.files):
        click.echo(f"{done.results:,} rows of spoilt results were brought back; the next start computes balances anew")
    if done == Repaired():
        click.echo(f"{directory}: there was nothing to repair")


def compaction(done: Compacted) -> dict[str, Any]:
    return {
        "bytes_before": done.before, "bytes_after": done.after, "files": [path.name for path in done.files],
        "damaged": done.damaged,
    }


def show_compaction(directory: Path, done: Compacted) -> None:
    sizes = f"{_size(done.before)} before, {_size(done.after)} now"
    click.echo(f"{directory}: {sizes}; files written anew: {len(done.files):,}")
    for text in done.damaged:
        click.echo(f"error: {text}; it is left as it is", err=True)


def tell_backup(made: Manifest, target: Path, as_json: bool) -> None:
    if as_json:
        print_json(_manifest(made) | {"bytes_copied": made.copied})
    else:
        held = f"{len(made.files):,} files, {_size(made.size)}, with all that was acknowledged before {made.begun}"
        click.echo(f"backed up to {target}: {held}; copied now {_size(made.copied)}")
    _tell_damaged(made)


def tell_restored(made: Restored, target: Path, as_json: bool) -> None:
    reaches = utc_ns(made.reaches) if made.reaches else None
    if as_json:
        print_json(_manifest(made.base) | {
            "files": len(made.files), "bytes": made.size, "newest_record": reaches, "later_ones_left_out": made.cut,
        })
    else:
        held = f"{len(made.files):,} files, {_size(made.size)}, of the backup of {made.base.begun}"
        click.echo(f"restored to {target}: {held}")
        newest = f"the newest record was received {reaches}" if reaches else "there is no record of an interval"
        left = "; later ones were left out" if made.cut else ""
        click.echo(f"{newest}{left}; results are those of that backup")
    _tell_damaged(made.base)


def _manifest(made: Manifest) -> dict[str, Any]:
    return {
        "version": made.version, "begun": made.begun, "ended": made.ended, "files": len(made.files),
        "bytes": made.size, "damaged": list(made.damaged),
    }


def _tell_damaged(made: Manifest) -> None:
    for name in made.damaged:
        click.echo(f"{name} was damaged before the backup and was copied as it was", err=True)
