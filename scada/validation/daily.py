"""What is said of yesterday's balances by six in the morning: over the limit, or not whole. Pure but for reading.

As soon as a day is whole it is judged; at five o'clock site time it is judged as it is, and what is not whole is said to be
incomplete, never balanced. Until then the day before stands. Losses that are to be expected are taken off before, and a
doubt that reaches back to the limit is no message.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from scada.beyond import beyond
from scada.clock import DAY_H, HOUR_S, NS
from scada.ports import Balances
from scada.site import UNIT_OF_MEDIUM, BalanceGroup, Directory

OVER, INCOMPLETE = "balance_over", "balance_incomplete"
LATEST_H: Final = 5                     # o'clock: the look behind this hour still comes before six
ONE_DAY: Final = timedelta(days=1)


@attrs.frozen
class DayFinding:
    """What is to be said of one group's day."""

    source: str                         # the group
    kind: str
    area: str
    since: int                          # ns, site time: when that day was over
    detail: str


def days_found(directory: Directory, balances: Balances, zone: ZoneInfo, hour_now: int) -> tuple[DayFinding, ...]:
    """
    Return what is to be said as of an hour.

    Parameters
    ----------
    directory : Directory
        The registry.
    balances : Balances
        Blocking.
    zone : ZoneInfo
        The site's zone.
    hour_now : int
        The hour that is running. [h since 1970]
    """
    local = datetime.fromtimestamp(hour_now * HOUR_S, UTC).astimezone(zone)
    return tuple(
        found for group in directory.site.balance_groups if group.fed
        for found in _group(directory, balances, zone, group, local)
    )


def _group(
    directory: Directory, balances: Balances, zone: ZoneInfo, group: BalanceGroup, local: datetime
) -> Iterator[DayFinding]:
    day = local.date() - ONE_DAY
    row = _row(balances, zone, group.name, day)
    if local.hour < LATEST_H and not _whole(row):
        day -= ONE_DAY
        row = _row(balances, zone, group.name, day)
    transformer = directory.transformer.get(group.transformer)
    area, over = transformer.area if transformer is not None else "", _midnight(zone, day + ONE_DAY) * NS
    unit = UNIT_OF_MEDIUM[group.medium]
    if not _whole(row):
        share = 100.0 * row.get("completeness", 0.0)
        fed = row.get("feed", float("nan"))
        known = f"{share:.1f} % of the readings" + ("" if fed == fed else ", without the feed")
        said = f"the balance of {day} is incomplete and not judged: {known}"
        if (guessed := 100.0 * row.get("estimated", 0.0)) > 0 and row["imbalance"] == row["imbalance"]:
            measured = f"{share:.1f} % of readings are measured"
            said = f"the balance of {day} is estimated and not judged: {measured}, {guessed:.1f} % estimated"
        yield DayFinding(group.name, INCOMPLETE, area, over, said)
    elif (found := beyond(group, row)).over:
        yield DayFinding(
            group.name, OVER, area, over,
            f"the balance of {day}: {row['imbalance']:.2f} ± {row['uncertainty']:.2f} {unit}, "
            f"{row['imbalance_percent']:.1f} % of the feed, {found.percent:.1f} % beyond expected losses; "
            f"the limit is {group.limit:g} %",
        )


def _whole(row: dict[str, float]) -> bool:
    """Measured, all of it: an estimate is not judged."""
    return bool(row) and row["imbalance"] == row["imbalance"] and not row.get("estimated", 0.0) > 0


def _row(balances: Balances, zone: ZoneInfo, group: str, day: date) -> dict[str, float]:
    """The columns of one site day; {} where there is no row."""
    start = _midnight(zone, day)
    table = balances.table(group, DAY_H * HOUR_S, start, start + 1)
    return {name: float(column[0]) for name, column in table.columns.items()} if len(table.start) else {}


def _midnight(zone: ZoneInfo, day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
