"""`scada historian changes`: how the hours of a metering point came to what they say."""

from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
import numpy as np

from scada.cli.output import print_json, print_table
from scada.cli.periods import local_ns, parse_time, period, utc_ns
from scada.cli.read import history_of, open_directory
from scada.cli.run import make_clock
from scada.cli.site import AS_JSON, CONFIG
from scada.clock import HOUR_S, NS
from scada.intervals import ChangeKind, IntervalStatus
from scada.ports import PointChange
from scada.settings import load
from scada.site import UNIT_OF_MEDIUM

MOST_SHOWN: Final = 5000                # rows of a table; more is for programs
WHY: Final = {
    ChangeKind.DELIVERED: "delivered", ChangeKind.JOINED: "marked", ChangeKind.REFUSED: "refused: the first value stays",
    ChangeKind.REGISTER_REFUSED: "register refused: it contradicts the pulses",
}


@click.command()
@CONFIG
@click.argument("point")
@click.option("--from", "first", help="Start, site time: 2026-11-22 or 2026-11-22T13:00.")
@click.option("--to", "last", help="End, not included.")
@click.option("--since", "after", help="Only what came at this time or later: what a bill written then did not have.")
@AS_JSON
def changes(config: Path, point: str, first: str | None, last: str | None, after: str | None, as_json: bool) -> None:
    """Say how the hours of POINT came to what they say: what was there, what came, when and from whom."""
    from scada.metering.known import point_changes

    settings = load(config)
    zone = ZoneInfo(settings.site.timezone)
    start, end = period(first, last, zone, make_clock(config, settings).seconds())
    directory = open_directory(settings)
    intervals = history_of(settings, directory, point)
    begin = start // HOUR_S
    found = point_changes(directory, intervals, point, begin, -(-end // HOUR_S) - begin)
    if after:
        found = tuple(one for one in found if one.at >= parse_time(after, zone) * NS)
    unit = UNIT_OF_MEDIUM[directory.point[point].medium]
    if as_json:
        print_json({"point": point, "unit": unit, "changes": [as_row(one) for one in found]})
        return
    print_table(
        f"{point} [{unit}]", ("interval", "length", "came", "before", "after", "what", "from"),
        [
            (local_ns(one.start, zone), f"{one.interval_s // 60} min", local_ns(one.at, zone) if one.at else "not noted",
             *_said(one), WHY[one.kind], source(one))
            for one in found[-MOST_SHOWN:]
        ],
        numbers=(3, 4),
    )
    if len(found) > MOST_SHOWN:
        click.echo(f"the newest {MOST_SHOWN:,} of {len(found):,} changes; --json writes all", err=True)


def as_row(one: PointChange) -> dict[str, Any]:
    """For programs; what is not known is null."""
    bits = one.kind is ChangeKind.JOINED
    return {
        "start": utc_ns(one.start), "interval_s": one.interval_s, "kind": one.kind.value,
        "at": utc_ns(one.at) if one.at else None,
        "before": bit_names(one.bits_before) if bits else _known(one.before),
        "after": bit_names(one.bits_after) if bits else _known(one.after),
        "link_id": f"{one.provenance.link_id:08x}" if one.provenance else None,
        "archive_id": one.provenance.archive_id if one.provenance else None,
        "record": one.provenance.record if one.provenance else None,
        "eui": f"{one.eui:016x}", "channel": one.channel,
    }


def source(one: PointChange) -> str:
    """From whom it came, for a person."""
    match one.provenance:
        case None:
            return "not noted"
        case given if not given.link_id:
            return "hand-held collector"
        case given if not given.record:
            return f"{given.link_id:08x}, asked for"
        case given:
            return f"{given.link_id:08x}, archive {given.archive_id}, record {given.record}"


def bit_names(bits: int) -> list[str]:
    """Status bits by name."""
    return [flag.name.lower() for flag in IntervalStatus if bits & flag and flag.name]


def _said(one: PointChange) -> tuple[str, str]:
    if one.kind is ChangeKind.JOINED:
        return " ".join(bit_names(one.bits_before)), " ".join(bit_names(one.bits_after))
    before, after = ("" if np.isnan(value) else f"{value:,.3f}" for value in (one.before, one.after))
    return before, after


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
