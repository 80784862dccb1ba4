"""`scada balance simultaneity`: how much the members of a group peak together, and what they could make of the phases."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from scada.cli.output import one_of, print_json, print_table
from scada.cli.periods import local
from scada.cli.phases import SPANS, curves_said
from scada.clock import DAY_H, HOUR_S
from scada.phase_study import PhaseCurves

COLUMNS = ("minimum", "low", "high", "maximum", "measured")
SHOWN = 24                              # rows of curves on the terminal; all of them are in --json and --csv


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("group")
@click.option("--from", "first", help="Start, site time: 2026-11-22; without it the last 14 days.")
@click.option("--to", "last", help="End, not included.")
@click.option("--daily", is_flag=True, help="Curves of site days instead of hours.")
@click.option("--json", "as_json", is_flag=True, help="JSON, times in UTC.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV of g(n).")
def simultaneity(
    config: Path, group: str, first: str | None, last: str | None, daily: bool, as_json: bool, as_csv: bool
) -> None:
    """
    Print the coincidence factor g(n) of GROUP's one-phase members, its fit, and the curves of their unevenness.

    g(n) is the peak of n members together over the sum of their own peaks, hour by hour.
    """
    from scada.balancing.phases import study as made
    from scada.cli.phases_inputs import asked, lacking

    one_of(as_json, as_csv)
    of = asked(config, group, first, last)
    found = made.simultaneity_of(group, of.first_hour, of.hours, of.given.of)
    said = lacking(found.lacks)
    rows = list(zip(found.sizes, found.mean, found.low, found.high, found.fitted, strict=True))
    if as_csv:
        _tell(said)
        csv.writer(sys.stdout).writerows([("n", "g", "p5", "p95", "fitted"), *rows])
        return
    curves = made.begun(made.Asked(group, of.first_hour, of.hours, of.given, 1)).study
    kinds = {"uneven": curves.uneven, "losses": curves.losses, "net": curves.net}
    if as_json:
        print_json({
            "group": group, "used": found.used, "hours": found.hours, "filled": found.filled, "lacks": said,
            "g": [dict(zip(("n", "g", "p5", "p95", "fitted"), row, strict=True)) for row in rows],
            "limit": None if np.isnan(found.limit) else found.limit,
            "computed_losses": curves.computed,
            "misfit": None if np.isnan(found.misfit) else found.misfit,
            **{kind: {SPANS[span]: curves_said(one) for span, one in of_span.items()} for kind, of_span in kinds.items()},
        })
        return
    _tell(said)
    if not rows:
        return
    print_table(
        f"{group}: g(n), {found.used} hours", ("n", "g", "p5", "p95", "fitted"),
        [(str(row[0]), *(f"{value:.3f}" for value in row[1:])) for row in rows], numbers=range(5),
    )
    click.echo(f"g∞ = {found.limit:.3f}, misfit {found.misfit:.3f}")
    span = DAY_H * HOUR_S if daily else HOUR_S
    of_kind = next(((kind, kinds[kind][span]) for kind in ("uneven", "losses") if span in kinds[kind]), None)
    if of_kind is not None:
        _print_curves(*of_kind, lambda start: local(start, of.zone), daily)


def _print_curves(kind: str, one: PhaseCurves, when: Callable[[int], str], daily: bool) -> None:
    unit = ("kWh" if daily else "kW") if kind == "uneven" else "kW², the imbalance kWh"
    scale = np.array([1e3 if kind == "uneven" else 1e6] * 4 + [1e3 if kind == "uneven" else 1.0])
    values = np.column_stack([getattr(one, name) for name in COLUMNS]) / scale
    rows = [
        (when(start), *("" if np.isnan(value) else f"{value:,.2f}" for value in row))
        for start, row in zip(one.start.tolist(), values.tolist(), strict=True)
    ]
    title = "unevenness" if kind == "uneven" else "shape of losses"
    columns = ("from", "minimum", "p5", "p95", "maximum", "measured")
    print_table(f"{title} [{unit}]", columns, rows[-SHOWN:], numbers=range(1, 6))
    if len(rows) > SHOWN:
        click.echo(f"the newest {SHOWN} of {len(rows)}; --json writes all", err=True)


def _tell(said: list[str]) -> None:
    for line in said:
        click.echo(line, err=True)
