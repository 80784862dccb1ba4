"""`scada balance`: a balance group's hours or days as a table, JSON or CSV, from the store, also while the server runs."""

import csv
import sys
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import numpy as np

from scada.cli.output import one_of, print_json, print_table
from scada.cli.periods import local, parse_time, period, utc
from scada.cli.run import make_clock
from scada.clock import DAY_H, HOUR_S, NS
from scada.errors import ConfigError, NotKept, Problem
from scada.ports import BALANCE_COLUMNS, MONTH_S, ResultTable
from scada.settings import Settings, load
from scada.site import UNIT_OF_MEDIUM, BalanceGroup, Directory

HOURS_SHOWN, DAYS_SHOWN, MONTHS_SHOWN = DAY_H, 31 * DAY_H, 366 * DAY_H


@click.command("show")
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("group")
@click.option("--from", "first", help="Start, site time: 2026-11-22 or 2026-11-22T13:00.")
@click.option("--to", "last", help="End, not included.")
@click.option("--daily", is_flag=True, help="Site days instead of hours.")
@click.option("--monthly", is_flag=True, help="Site months instead of hours.")
@click.option("--as-of", help="As it was known at this time, before it was computed anew.")
@click.option("--json", "as_json", is_flag=True, help="JSON, times in UTC.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, times in UTC.")
def balance(
    config: Path, group: str, first: str | None, last: str | None, daily: bool, monthly: bool, as_of: str | None,
    as_json: bool, as_csv: bool,
) -> None:
    """
    Print what was fed into GROUP, what its members took, and the imbalance of every hour that is whole.

    With --as-of what a page or a report said then; `historian.retention.replaced_days` says how long that is kept.
    """
    one_of(as_json, as_csv)
    if daily and monthly:
        raise click.UsageError("--daily and --monthly exclude each other")
    settings = load(config)
    zone = ZoneInfo(settings.site.timezone)
    now = make_clock(config, settings).seconds()
    span, shown = (MONTH_S, MONTHS_SHOWN) if monthly else (DAY_H * HOUR_S, DAYS_SHOWN) if daily else (HOUR_S, HOURS_SHOWN)
    start, end = period(first, last, zone, now, shown)
    unit = UNIT_OF_MEDIUM[find_group(settings, group)[1].medium]
    try:
        table = _rows(settings, group, span, start, end, zone, parse_time(as_of, zone) * NS if as_of else None)
    except NotKept as error:
        since = "at no instant" if error.since is None else f"from {local(error.since // NS, zone)} on"
        raise ConfigError([Problem("argument", "--as-of", f"how balances were known is kept {since}")]) from None
    if as_csv:
        print_csv(table, unit)
    else:
        print_balance(table, group, unit, zone, as_json)


def print_balance(table: ResultTable, group: str, unit: str, timezone: ZoneInfo, as_json: bool) -> None:
    """A balance for people (site time; no imbalance where readings are missing, marked where estimated) or JSON."""
    if as_json:
        print_json({"group": group, "unit": unit, "rows": [
            {"start": utc(start), **{name: None if np.isnan(value) else value for name, value in row.items()}}
            for start, row in _each(table)
        ]})
        return
    rows = _each(table)
    doubt = any(row["doubtful"] > 0 for _, row in rows)     # a column more only where there is some
    shown = [
        (
            local(start, timezone), _number(row["feed"]), _number(row["members"]),
            _number(row["imbalance"]) + (" estimated" if row["estimated"] > 0 and np.isfinite(row["imbalance"]) else ""),
            _number(row["imbalance_percent"], 1), _number(row["uncertainty"]), _number(row["technical"]),
            _number(row["own"]), _number(row["unexplained"]), f"{100 * row['completeness']:.1f}",
            f"{100 * row['estimated']:.1f}", *([f"{100 * np.nan_to_num(row['doubtful']):.1f}"] if doubt else []),
        )
        for start, row in rows
    ]
    columns = (
        "from", f"feed {unit}", f"members {unit}", f"imbalance {unit}", "%", f"± {unit}", f"technical {unit}",
        f"own {unit}", f"unexplained {unit}", "complete %", "estimated %", *(["doubtful %"] if doubt else []),
    )
    print_table(group, columns, shown, numbers=range(1, len(columns)))


def print_csv(table: ResultTable, unit: str) -> None:
    """One line per interval; energies in `unit`, a share for completeness, empty where there is nothing."""
    energies = set(BALANCE_COLUMNS) - {"imbalance_percent", "completeness", "estimated", "doubtful", "version"}
    writer = csv.writer(sys.stdout)
    writer.writerow(["start", *(f"{name} [{unit}]" if name in energies else name for name in BALANCE_COLUMNS)])
    for start, row in _each(table):
        writer.writerow([utc(start), *("" if np.isnan(row[name]) else repr(row[name]) for name in BALANCE_COLUMNS)])


def _each(table: ResultTable) -> list[tuple[int, dict[str, float]]]:
    lacking = np.full(len(table.start), np.nan)             # a column that a former version did not compute
    columns = {name: table.columns.get(name, lacking) for name in BALANCE_COLUMNS}
    return [
        (int(start), {name: float(columns[name][index]) for name in BALANCE_COLUMNS})
        for index, start in enumerate(table.start)
    ]


def _number(value: float, digits: int = 2) -> str:
    return "" if np.isnan(value) else f"{value:,.{digits}f}"


def find_group(settings: Settings, name: str) -> tuple[Directory, BalanceGroup]:
    """The registry, and a balance group in it."""
    from scada.cli.read import open_directory

    directory = open_directory(settings)
    groups = directory.balance_group
    if name not in groups:
        there = f"there are {', '.join(sorted(groups)[:5])}" if groups else "there are none, see docs/guide/site-file.md"
        raise ConfigError([Problem("argument", "GROUP", f"no balance group {name!r}; {there}")])
    return directory, groups[name]


def _rows(
    settings: Settings, group: str, span_s: int, start: int, end: int, zone: ZoneInfo, as_of: int | None
) -> ResultTable:
    from scada.balancing.compute import KIND
    from scada.balancing.months import months_between
    from scada.historian.service import open_reader

    reader = open_reader(settings.path(settings.historian.dir, "history"))
    try:
        if span_s == MONTH_S:
            return months_between(partial(reader.results.get, KIND, group, as_of=as_of), zone, start, end)
        return reader.results.get(KIND, group, span_s, start, end, as_of)
    finally:
        reader.close()
