"""Which days `scada balance suspects` looks at: as they are named, or those of a case."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from scada.cli.periods import parse_time
from scada.cli.read import history_dir
from scada.cli.run import make_clock
from scada.clock import HOUR_S
from scada.errors import ConfigError, Problem
from scada.settings import Settings

if TYPE_CHECKING:
    from scada.balancing.examination import Period

FEWEST, MOST_DAYS = 10, 366


def whole_days(config: Path, settings: Settings, first: str | None, last: str | None, days: int | None) -> "Period":
    """Whole site days up to a midnight that is over."""
    from scada.balancing.examination import DAYS, period_before

    if first and days:
        raise click.UsageError("--days are counted back from --to; expected --from or --days")
    now, zone = make_clock(config, settings).hour(), ZoneInfo(settings.site.timezone)

    def day(text: str) -> date:
        return datetime.fromtimestamp(parse_time(text, zone), zone).date()

    today = datetime.fromtimestamp(now * HOUR_S, zone).date()
    end = day(last) if last else today
    number = days or ((end - day(first)).days if first else DAYS)
    if end > today:
        raise click.BadParameter(f"--to {end}: today, {today}, is not over yet; expected a day up to it")
    if not FEWEST <= number <= MOST_DAYS:
        raise click.BadParameter(f"{number} days up to {end}; expected {FEWEST} to {MOST_DAYS}")
    noon = datetime(end.year, end.month, end.day, 12, tzinfo=zone)
    try:
        return period_before(zone, int(noon.timestamp()) // HOUR_S, number)
    except ValueError as error:
        raise ConfigError([Problem(str(config), "site.timezone", str(error))]) from None


def of_case(settings: Settings, number: int) -> tuple[tuple[str, ...], str, str]:
    """The group of a case, and the days of the newest night that suspected the same."""
    from scada.balancing.casebook import FILE, Casebook

    path, found = history_dir(settings) / FILE, None
    if path.exists():
        book = Casebook(path, lambda *_: None)
        book.open()
        try:
            found = book.one(number)
        finally:
            book.close()
    if found is None:
        raise click.BadParameter(f"there is no case {number}; scada balance cases list names those that there are")
    one = found.suspicion
    last = date.fromisoformat(one.first_day) + timedelta(days=len(one.imbalance))
    return (one.group,), one.first_day, last.isoformat()
