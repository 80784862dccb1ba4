"""`scada sums`: what the members of balance groups took together, hour by hour, from the store."""

import csv
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import click
import numpy as np

from scada.cli.output import one_of, print_json, print_table
from scada.cli.periods import local, parse_time, period, utc
from scada.cli.read import history_dir, open_directory, unknown
from scada.cli.run import make_clock
from scada.clock import HOUR_S, NS
from scada.ports import GroupSums
from scada.settings import load

MOST_SHOWN: Final = 5000                # rows of a table; more is for programs
COLUMNS: Final = ("group", "from", "sum", "unit", "present", "members", "completeness")


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("group", nargs=-1)
@click.option("--from", "first", help="Start, site time: 2026-11-22 or 2026-11-22T13:00.")
@click.option("--to", "last", help="End, not included.")
@click.option("--as-of", help="As it was known at this time.")
@click.option("--json", "as_json", is_flag=True, help="JSON, times in UTC.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, times in UTC.")
def sums(
    config: Path, group: tuple[str, ...], first: str | None, last: str | None, as_of: str | None, as_json: bool,
    as_csv: bool,
) -> None:
    """Print what the members of each GROUP took together in every hour, and how many are in it; all groups by default."""
    from scada.historian.service import open_reader
    from scada.metering.known import as_known
    from scada.metering.sums import group_sums, members_of

    one_of(as_json, as_csv)
    settings = load(config)
    zone = ZoneInfo(settings.site.timezone)
    start, end = period(first, last, zone, make_clock(config, settings).seconds())
    directory = open_directory(settings)
    for name in group:
        if name not in directory.balance_group:
            raise unknown("balance group", name, directory.balance_group)
    members = members_of(directory).of(group or tuple(directory.balance_group))
    intervals = as_known(open_reader(history_dir(settings)).intervals, parse_time(as_of, zone) * NS if as_of else None)
    begin = start // HOUR_S
    found = group_sums(members, intervals, begin, -(-end // HOUR_S) - begin)
    if as_json:
        print_json({"hours": found.sums.shape[1], "rows": [
            {**dict(zip(COLUMNS, row, strict=True)), "from": utc(row[1]), "sum": None if np.isnan(row[2]) else row[2]}
            for row in _rows(found)
        ]})
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(COLUMNS)
        writer.writerows(
            (name, utc(at), "" if np.isnan(value) else repr(value), *rest) for name, at, value, *rest in _rows(found)
        )
    else:
        shown = [
            (name, local(at, zone), "" if np.isnan(value) else f"{value:,.3f}", unit, f"{present:,} of {expected:,}")
            for name, at, value, unit, present, expected, _ in islice(_rows(found), MOST_SHOWN)
        ]
        print_table("sums of members", ("group", "from", "sum", "unit", "members"), shown, numbers=(2, 4))
        if found.sums.size > MOST_SHOWN:
            click.echo(f"the first {MOST_SHOWN:,} of {found.sums.size:,} rows; --csv or --json writes all", err=True)


def _rows(found: GroupSums) -> Iterator[tuple[str, int, float, str, int, int, float | None]]:
    share = found.completeness
    for group, (name, unit) in enumerate(zip(found.groups, found.units, strict=True)):
        for hour in range(found.sums.shape[1]):
            expected = int(found.expected[group, hour])
            yield (
                name, (found.first_hour + hour) * HOUR_S, float(found.sums[group, hour]), unit,
                int(found.present[group, hour]), expected, float(share[group, hour]) if expected else None,
            )
