"""`scada balance phases`: who hangs on which phase, who should, and how uneven the feed is; see docs/phases.md."""

import csv
import sys
from pathlib import Path

import attrs
import click
import numpy as np
from rich.progress import TaskProgressColumn

from scada.cli.output import one_of, print_json, print_table
from scada.cli.periods import local, utc
from scada.clock import DAY_H, HOUR_S
from scada.phase_study import MOST_MOVES, Objective, PhaseCurves, PhaseStudy

SPANS = {HOUR_S: "hourly", DAY_H * HOUR_S: "daily"}
OBJECTIVES = [one.value for one in Objective]
NAMES = ("L1", "L2", "L3")
MEASURED = 0.02                         # of the feed: what meters may differ by
TABLES = ("order", "consumers", "moves")


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("group")
@click.option("--from", "first", help="Start, site time: 2026-11-22; without it the last 14 days.")
@click.option("--to", "last", help="End, not included.")
@click.option("--moves", type=click.IntRange(1, MOST_MOVES), help="Most moves of the work order; else what is worth it.")
@click.option("--objective", type=click.Choice(OBJECTIVES), default=OBJECTIVES[0], show_default=True,
              help="Make small: the mean of the neutral current, or of its square (its loss).")
@click.option("--exact", is_flag=True, help="Moves with the least worst hour, by a solver (scipy): groups of up to 60.")
@click.option("--weeks", is_flag=True, help="The stored studies of whole weeks instead, 26 of them by default.")
@click.option("--keep", is_flag=True, help="Keep the order, to measure later what it gave; see `scada balance orders`.")
@click.option("--table", type=click.Choice(TABLES), default=TABLES[0], show_default=True, help="What --csv writes.")
@click.option("--json", "as_json", is_flag=True, help="JSON with everything, curves included; times in UTC.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV of one table.")
def phases(
    config: Path, group: str, first: str | None, last: str | None, moves: int | None, objective: str, exact: bool,
    weeks: bool, keep: bool, table: str, as_json: bool, as_csv: bool,
) -> None:
    """
    Say on which phase the members of GROUP hang, and print whom to move, as a curve and as a work order.

    Where the group's transformer has a network in the registry, every point of the curve is checked by power flow.
    """
    from scada.balancing.phases import study as made
    from scada.cli.history_folder import bar
    from scada.cli.orders import keep_order
    from scada.cli.phase_weeks import show_weeks
    from scada.cli.phases_inputs import asked, lacking

    one_of(as_json, as_csv)
    if weeks:
        show_weeks(config, group, first, last, as_json, as_csv)
        return
    of = asked(config, group, first, last)
    with bar("computing", 1, TaskProgressColumn()) as advance:
        told = 0.0

        def tell(step: str, done: int, parts: int) -> None:
            nonlocal told
            now = (0.5 if step == "checking" else 0.0) + 0.5 * done / parts
            advance(step, now - told)
            told = now

        question = made.Asked(group, of.first_hour, of.hours, of.given, moves, Objective(objective), exact)
        found = made.study(question, map, tell)
    if keep:
        keep_order(config, found)
    said = lacking(found.lacks)
    if as_json:
        print_json(_everything(found, said))
        return
    for line in said:
        click.echo(line, err=True)
    if as_csv:
        csv.writer(sys.stdout).writerows(_csv(found, table))
    else:
        _print(found, local(of.first_hour * HOUR_S, of.zone), local((of.first_hour + of.hours) * HOUR_S, of.zone))


def _print(found: PhaseStudy, start: str, end: str) -> None:
    click.echo(f"{found.group}, {start} to {end}: {found.used} of {found.hours} hours used, "
               f"{found.fed} of them with the feed's phases")
    if not found.consumers:
        return
    click.echo(f"{found.filled:.1%} of the consumers' hours are missing and taken as usual")
    _print_rest(found)
    _print_position(found)
    if found.renamed:
        click.echo(f"the meter's L1, L2, L3 are {', '.join(found.renamed)} in the registry; look at its wires first")
    if found.fed:
        rows = [(one.point, one.title, one.registered, one.found, f"{one.margin:.2f}") for one in found.disagreements]
        columns = ("consumer", "title", "registry", "found", "margin")
        print_table("elsewhere than the registry says", columns, rows, numbers=(4,))
    _print_points(found)
    if found.proven is not None:
        click.echo("by the exact solver, for the least largest deviation of a phase in any hour: "
                   + ("proven" if found.proven else "the best in its time, not proven"))
    print_table(
        f"work order {found.group}", ("step", "consumer", "title", "from", "to", "unevenness left", "note"),
        [(str(one.number), one.point, one.title, one.of, one.to, f"{one.left:.0%}",
          "measure first" if one.measure_first else "") for one in found.order], numbers=(0, 5),
    )
    for one in found.splits:
        click.echo(f"after the moves, {one.point} on {one.phases} would take another {one.gain:.0%} off"
                   + ("" if one.large else "; a small load, hardly worth a cable"))


def _print_points(found: PhaseStudy) -> None:
    from scada.cli.phases_inputs import FORMS, UNCHECKED

    names = ("moves", "unevenness left", "W (rms)", "W, worst hour", "deviation")
    checked = ("kWh lost", "A neutral", "A, worst", "V, lowest") if found.points and found.points[0].check else ()
    rows = [
        (str(one.moves), f"{one.left:.0%}", f"{one.unevenness:,.0f}", f"{one.worst:,.0f}", f"{one.deviation:.0%}",
         *(f"{value:,.1f}" for value in (
             (one.check.lost, one.check.neutral, one.check.neutral_peak, one.check.lowest) if one.check else ())),
         "yes" if one.worth else "no better than fewer") for one in found.points
    ]
    print_table("what moves give", (*names, *checked, "worth it"), rows, numbers=range(len(names) + len(checked)))
    if found.unchecked is not None:
        click.echo(f"not checked by power flow: {UNCHECKED[found.unchecked]}")
    elif checked:
        click.echo("kWh lost (lines), neutral current and lowest voltage are by power flow over the hours used, from "
                   f"hourly means; the loss {FORMS[found.form]}")
        if found.outside:
            click.echo(f"{found.outside} consumers have no node in the network and are not in the power flow")
        if left := max(one.check.collapsed for one in found.points if one.check):
            click.echo(f"{left} hours are left out of it: no voltages were found")


def _print_rest(found: PhaseStudy) -> None:
    """What else hangs on the phases: the moves are only as good as that is known."""
    if np.isnan(found.rest):
        click.echo("what else hangs on the feed's phases is unknown: moves are reckoned from the members alone")
        return
    if found.rest < -MEASURED:
        click.echo(f"the members take {-found.rest:.0%} more than was fed: some of them are not behind this feed")
    else:
        click.echo(f"{max(found.rest, 0.0):.0%} of the feed is with no member of this study (losses, consumers without a "
                   "meter, members left out)")
    if found.staying:
        said = ", ".join(f"{name} {power / 1000:,.1f}" for name, power in zip(NAMES, found.staying, strict=True))
        click.echo(f"on the phases besides those who may move, mean kW: {said}; moves are reckoned with it")


def _print_position(found: PhaseStudy) -> None:
    """0 is the best split of every hour, 1 is all on one phase."""
    usual = next((one.usual for one in (*found.uneven.values(), *found.losses.values())), np.nan)
    for what, value in (("by the registry", found.registered_position),
                        *(("as metered", one.position) for span, one in found.uneven.items() if span == HOUR_S)):
        if np.isfinite(value):
            click.echo(f"unevenness {what}: {value:.2f} between the best split (0) and all on one phase (1)")
    like = found.losses[HOUR_S].similarity if HOUR_S in found.losses else usual
    if np.isfinite(like):
        click.echo(f"shape of the imbalance and of the least losses: {like:.2f} alike (no proof of a good spread)")


def _csv(found: PhaseStudy, table: str) -> list[tuple[object, ...]]:
    if table == "moves":
        return [
            ("moves", "left", "unevenness [W]", "worst [W]", "deviation", "worth", "lost [kWh]", "neutral [A]",
             "neutral peak [A]", "lowest [V]"),
            *((one.moves, one.left, one.unevenness, one.worst, one.deviation, int(one.worth), *(
                ("", "", "", "") if one.check is None else
                (one.check.lost, one.check.neutral, one.check.neutral_peak, one.check.lowest)
            )) for one in found.points),
        ]
    if table == "consumers":
        return [
            ("consumer", "title", "registered", "found", "margin", "disagrees"),
            *((one.point, one.title, one.registered, one.found, "" if np.isnan(one.margin) else one.margin,
               int(one.disagrees)) for one in found.consumers),
        ]
    return [
        ("step", "consumer", "title", "from", "to", "left", "measure first"),
        *((one.number, one.point, one.title, one.of, one.to, one.left, int(one.measure_first)) for one in found.order),
    ]


def _everything(found: PhaseStudy, said: list[str]) -> dict[str, object]:
    tables = {
        name: [_plain(attrs.asdict(one)) for one in getattr(found, name)]
        for name in ("consumers", "points", "order", "splits")
    }
    return {
        "objective": found.objective.value, "proven": found.proven, "unchecked": found.unchecked and found.unchecked.value,
        "form_factor": found.form.value,
        "outside_network": found.outside, "computed_losses": found.computed,
        "group": found.group, "from": utc(found.first_hour * HOUR_S), "to": utc((found.first_hour + found.hours) * HOUR_S),
        "hours": found.hours, "used": found.used, "fed": found.fed, "filled": found.filled, "lacks": said,
        "renamed": found.renamed, **tables,
        **_plain({"registered_position": found.registered_position, "rest_of_feed": found.rest}),
        "staying_w": dict(zip(NAMES, found.staying, strict=False)) or None,
        **{name: {SPANS[span]: curves_said(one) for span, one in getattr(found, name).items()}
           for name in ("uneven", "losses", "net")},
    }


def curves_said(one: PhaseCurves) -> dict[str, object]:
    """Curves as JSON: columns, null where nothing is known."""
    columns = ("minimum", "low", "high", "maximum", "measured")
    return {
        "start": [utc(start) for start in one.start.tolist()],
        **{name: [None if np.isnan(value) else value for value in getattr(one, name).tolist()] for name in columns},
        **_plain({name: getattr(one, name) for name in ("similarity", "factor", "position", "usual")}),
    }


def _plain(row: dict[str, object]) -> dict[str, object]:
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
