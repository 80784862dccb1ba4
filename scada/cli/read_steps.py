"""The rows of `scada read --step`: one a step, with what stands for it, how good it is and how complete."""

import csv
import sys
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import click
import numpy as np

from scada.cli.output import print_json, print_table
from scada.cli.periods import local_ns, utc_ns
from scada.series import Buckets, How
from scada.tags import Quality

MOST_SHOWN = 5000                       # rows of a table; more is for programs
NAMES = {int(one): one.name.lower() for one in Quality}


def show(
    name: str, unit: str, found: Buckets, step: str, how: How, zone: ZoneInfo, *, as_json: bool, as_csv: bool
) -> None:
    """As a table, JSON or CSV; what is not known is empty, or null."""
    unit = "" if how is How.COUNT else unit
    if as_json:
        print_json({
            "name": name, "unit": unit, "step": step, "how": how.value, "end": utc_ns(int(found.edges[-1])),
            "rows": [
                {"at": utc_ns(at), "value": _known(value), "quality": quality, "completeness": _known(share)}
                for at, value, quality, share in _rows(found)
            ],
        })
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(("at", f"{how.value} [{unit}]" if unit else how.value, "quality", "completeness"))
        writer.writerows(
            (utc_ns(at), "" if np.isnan(value) else repr(value), quality, "" if np.isnan(share) else f"{share:.4f}")
            for at, value, quality, share in _rows(found)
        )
    else:
        shown = [
            (local_ns(at, zone), "" if np.isnan(value) else f"{value:,.3f}", quality,
             "" if np.isnan(share) else f"{share:.1%}")
            for at, value, quality, share in list(_rows(found))[-MOST_SHOWN:]
        ]
        title = f"{name}, {how.value} of {step}" + (f" [{unit}]" if unit else "")
        print_table(title, ("from", unit or "value", "quality", "complete"), shown, numbers=(1, 3))
        if len(found.values) > MOST_SHOWN:
            click.echo(f"the newest {MOST_SHOWN:,} of {len(found.values):,} steps; --csv or --json writes all", err=True)


def _rows(found: Buckets) -> Iterator[tuple[int, float, str, float]]:
    """(start [ns], value, quality, share) of every step."""
    return (
        (at, value, NAMES[quality], share) for at, value, quality, share in zip(
            found.edges[:-1].tolist(), found.values.tolist(), found.quality.tolist(), found.completeness.tolist(),
            strict=True,
        )
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
