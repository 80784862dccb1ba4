"""What `scada historian retention` and `status` say of what may go, and of what went."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from scada.cli.output import print_table
from scada.cli.periods import utc, utc_ns
from scada.historian.removal import ROWS, Due, removed
from scada.settings import RetentionSettings

SHOWN_REMOVED: Final = 5                # names of what retention removed last


def size_text(count: float) -> str:
    """Bytes for a person."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            break
        count, unit = count / 1000, {"B": "KB", "KB": "MB", "MB": "GB", "GB": "TB"}[unit]
    return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"


def to_remove(found: Mapping[Due, Sequence[str]]) -> list[dict[str, Any]]:
    return [
        {
            "kind": one.kind, "name": one.name, "before": utc(one.before),
            "rows" if one.kind in ROWS else "bytes": one.size, "not_confirmed_by": list(lacks),
        }
        for one, lacks in found.items()
    ]


def show_to_remove(settings: RetentionSettings, found: Mapping[Due, Sequence[str]]) -> None:
    kept = {
        "live samples": settings.live_days, "interval data": settings.interval_days, "results": settings.result_days,
        "events": settings.event_days,
    }
    replaced = f"{settings.replaced_days:,} days" if settings.replaced_days else "not at all"
    said = ", ".join(f"{what} {f'{days:,} days' if days else 'for ever'}" for what, days in kept.items())
    click.echo(f"kept: {said}, the merged journal {settings.journal_days:,} days, replaced results {replaced}")
    print_table(f"{len(found):,} pieces may go", ("kind", "name", "older than", "size", "not confirmed by"), [
        (one.kind, one.name, utc(one.before), f"{one.size:,} rows" if one.kind in ROWS else size_text(one.size),
         ", ".join(lacks))
        for one, lacks in found.items()
    ], numbers=(3,))


def removals(directory: Path) -> dict[str, Any]:
    """What retention removed so far, as far as it is remembered."""
    found = removed(directory)
    return {
        "pieces": len(found), "bytes": sum(one["size"] for one in found if one["kind"] not in ROWS),
        "last": utc_ns(found[-1]["at"]) if found else None, "names": [one["name"] for one in found[-SHOWN_REMOVED:]],
    }
