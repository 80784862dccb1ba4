"""`scada balance voltage`: weeks of a transformer's voltage and its unbalance as EN 50160 reports them, from the store."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import numpy as np

from scada.cli.output import print_json, print_table
from scada.cli.periods import local_ns, parse_time, utc_ns
from scada.cli.run import make_clock
from scada.clock import NS
from scada.errors import ConfigError, Problem
from scada.ports import PhaseWeek, UnbalanceWeek, VoltageWeek
from scada.settings import Settings, load

NOT_NOW = "what is missing counts neither for nor against"
WEEK = timedelta(days=7)
Row = tuple[Any, ...]


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True))
@click.argument("transformer")
@click.option("--week", "week", help="ISO week in site time, 2026-W47; else the last seven days.")
@click.option("--from", "first", help="The week this is in, and those after it, a row each: 2026-W36 or 2026-09-01.")
@click.option("--to", "last", help="With --from: the end, not included; else now.")
@click.option("--json", "as_json", is_flag=True, help="JSON, times in UTC; a list of weeks with --from.")
def voltage(
    config: Path, transformer: str, week: str | None, first: str | None, last: str | None, as_json: bool
) -> None:
    """
    Print how TRANSFORMER's voltage kept to nominal over a week, or over each of many weeks.

    In means of ten minutes: 95 % within 10 % of 230 V, none above +10 % or below -15 % (EN 50160). A meter that is asked
    once a second is no class A instrument. Where the meter has the voltages between the phases, also their unbalance,
    negative over positive sequence: 95 % at most 2 %.
    """
    from scada.balancing.week import VoltageWeeks
    from scada.historian.service import open_reader

    if (last and not first) or (week and first):
        raise click.UsageError("--to goes with --from, and both without --week")
    settings = load(config)
    zone = ZoneInfo(settings.site.timezone)
    _known_transformer(settings, transformer)
    now = make_clock(config, settings).now()
    reader = open_reader(settings.path(settings.historian.dir, "history"))
    try:
        weeks = VoltageWeeks(reader.live)
        if first:
            names = list(_weeks(first, last, now, zone))
            found = [weeks.week(transformer, _end(name, zone)) for name in names]
        else:
            one = weeks.week(transformer, _end(week, zone) if week else now)
    finally:
        reader.close()
    if first and as_json:
        print_json([{"week": name, **said(each)} for name, each in zip(names, found, strict=True)])
    elif first:
        _print_weeks(transformer, names, found)
    elif as_json:
        print_json(said(one))
    else:
        _print_week(one, zone)


def _print_week(found: VoltageWeek, zone: ZoneInfo) -> None:
    rows = [
        (
            f"L{n + 1}", str(one.counted), _number(100 * one.share), _number(100 * one.worst), str(one.far_beyond),
            _number(one.lowest), _number(one.highest), _kept(one),
        )
        for n, one in enumerate(found.phases)
    ]
    title = f"{found.transformer}: {local_ns(found.first, zone)} to {local_ns(found.last, zone)}"
    columns = ("phase", "means", "within 10 %, %", "95 % within, %", "far beyond", "lowest V", "highest V", "complies")
    print_table(title, columns, rows, numbers=range(1, 7))
    if found.unbalance is not None:
        of = found.unbalance
        row = (_number(100 * of.share), _number(100 * of.worst, 2), _number(100 * of.highest, 2), _kept(of))
        titles = ("means", "at most 2 %, %", "95 % at most, %", "highest %", "complies")
        print_table("unbalance of the voltages", titles, [(str(of.counted), *row)], numbers=range(4))
    else:
        click.echo("no unbalance of the voltages: the meter has none between the phases, or none was kept", err=True)
    if not found.whole:
        click.echo(f"not a whole week of {found.due} means: {NOT_NOW}", err=True)


def _print_weeks(transformer: str, names: list[str], found: list[VoltageWeek]) -> None:
    columns = (
        "week", "means", *(f"L{n + 1} within 10 %, %" for n in range(3)), "lowest V", "highest V", "voltage",
        "unbalance 95 % at most, %", "unbalance",
    )
    rows = [_row(*pair) for pair in zip(names, found, strict=True)]
    print_table(transformer, columns, rows, numbers=(1, 2, 3, 4, 5, 6, 8))
    if any(not one.whole for one in found):
        click.echo(f"some are not whole weeks of {found[0].due} means: {NOT_NOW}", err=True)


def _row(name: str, of: VoltageWeek) -> Row:
    """One week; the phase that is known least, and the worst answer of the three."""
    answers = [_kept(one) for one in of.phases]
    voltages = np.array([[one.lowest, one.highest] for one in of.phases])
    return (
        name, str(min(one.counted for one in of.phases)), *(_number(100 * one.share) for one in of.phases),
        _number(float(np.fmin.reduce(voltages[:, 0]))), _number(float(np.fmax.reduce(voltages[:, 1]))),
        next(answer for answer in ("no", "not so far", "–", "so far", "yes") if answer in answers),
        "–" if of.unbalance is None else _number(100 * of.unbalance.worst, 2),
        "–" if of.unbalance is None else _kept(of.unbalance),
    )


def _kept(one: PhaseWeek | UnbalanceWeek) -> str:
    if not one.counted:
        return "–"
    return ("yes" if one.complies else "no") if one.settled else "so far" if one.complies else "not so far"


def said(found: VoltageWeek) -> dict[str, object]:
    """For programs: times in UTC, null where there is no figure."""
    return {
        "transformer": found.transformer, "first": utc_ns(found.first), "last": utc_ns(found.last), "due": found.due,
        "whole": found.whole, "complies": found.complies, "unbalance": _unbalance_said(found.unbalance),
        "phases": [
            {
                "phase": f"L{n + 1}", "counted": one.counted, "beyond": one.beyond, "far_beyond": one.far_beyond,
                "share": _known(one.share), "worst": _known(one.worst), "lowest_v": _known(one.lowest),
                "highest_v": _known(one.highest), "complies": one.complies, "settled": one.settled,
            }
            for n, one in enumerate(found.phases)
        ],
    }


def _unbalance_said(one: UnbalanceWeek | None) -> dict[str, object] | None:
    return None if one is None else {
        "counted": one.counted, "beyond": one.beyond, "share": one.share, "worst": one.worst, "highest": one.highest,
        "complies": one.complies, "settled": one.settled,
    }


def _known_transformer(settings: Settings, name: str) -> None:
    from scada.registry.database import open_registry, url_of

    database = open_registry(url_of(settings.registry, settings.data_dir))
    try:
        known = [one.name for one in database.load().transformers]
    finally:
        database.close()
    if name not in known:
        there = f"there are {', '.join(sorted(known)[:5])}" if known else "there are none, see docs/guide/site-file.md"
        raise ConfigError([Problem("argument", "TRANSFORMER", f"no transformer {name!r}; {there}")])


def _weeks(first: str, last: str | None, now: int, zone: ZoneInfo) -> Iterator[str]:
    """ISO weeks from the one that `first` is in, those that begin before `last` and before now."""
    end = min(_begin(last, zone), now) if last else now
    week = _iso(_begin(first, zone), zone)
    if _begin(week, zone) >= end:
        raise click.BadParameter("ends before it begins, or has not begun; expected an earlier week", param_hint="--from")
    while _begin(week, zone) < end:
        yield week
        week = _iso(_end(week, zone) + NS * 12 * 3600, zone)            # on its Monday, whatever the clocks did


def _begin(text: str, zone: ZoneInfo) -> int:
    """Of a week, or of a day or an instant. [ns]"""
    return (_monday(text, zone) if re.fullmatch(r"\d{4}-W\d{2}", text) else parse_time(text, zone)) * NS


def _iso(at: int, zone: ZoneInfo) -> str:
    year, week, _ = datetime.fromtimestamp(at // NS, UTC).astimezone(zone).isocalendar()
    return f"{year}-W{week:02d}"


def _end(week: str, zone: ZoneInfo) -> int:
    """Seven times 24 h after the Monday it begins with; a change of the clocks in it moves its end by an hour."""
    return (_monday(week, zone) + round(WEEK.total_seconds())) * NS


def _monday(week: str, zone: ZoneInfo) -> int:
    try:
        return round(datetime.strptime(f"{week}-1", "%G-W%V-%u").replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{week!r} is no week; expected 2026-W47", param_hint="--week") from None


def _number(value: float, digits: int = 1) -> str:
    return "–" if np.isnan(value) else f"{value:.{digits}f}"


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
