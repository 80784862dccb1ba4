"""The stored weekly studies of a group's phases, for `scada balance phases --weeks`: where things go."""

import csv
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from scada.cli.balance import find_group
from scada.cli.output import print_json, print_table
from scada.cli.periods import local, period, utc
from scada.cli.read import history_dir
from scada.cli.run import make_clock
from scada.clock import DAY_H
from scada.phase_study import PHASE_WEEK_COLUMNS
from scada.settings import load

USUAL_WEEKS = 26


def show_weeks(config: Path, group: str, first: str | None, last: str | None, as_json: bool, as_csv: bool) -> None:
    """Print them, oldest first."""
    from scada.balancing.phases.weeks import KIND, WEEK_S
    from scada.historian.service import open_reader

    settings = load(config)
    zone, now = ZoneInfo(settings.site.timezone), make_clock(config, settings).seconds()
    start, end = period(first, last, zone, now, USUAL_WEEKS * 7 * DAY_H)
    find_group(settings, group)
    reader = open_reader(history_dir(settings))
    try:
        found = reader.results.get(KIND, group, WEEK_S, start, end)
    finally:
        reader.close()
    lacking = np.full(len(found.start), np.nan)
    rows = [
        (at, [float(found.columns.get(name, lacking)[place]) for name in PHASE_WEEK_COLUMNS])
        for place, at in enumerate(found.start.tolist())
    ]
    if as_json:
        print_json({"group": group, "weeks": [
            {"start": utc(at), **{name: None if np.isnan(value) else value
                                  for name, value in zip(PHASE_WEEK_COLUMNS, row, strict=True)}} for at, row in rows
        ]})
    elif as_csv:
        csv.writer(sys.stdout).writerows([
            ("start", *PHASE_WEEK_COLUMNS),
            *((utc(at), *("" if np.isnan(one) else one for one in row)) for at, row in rows),
        ])
    else:
        print_table(f"weeks of {group}", ("from", *PHASE_WEEK_COLUMNS), [
            (local(at, zone)[:10], *("" if np.isnan(one) else f"{one:.4g}" for one in row)) for at, row in rows
        ], numbers=range(1, 1 + len(PHASE_WEEK_COLUMNS)))
