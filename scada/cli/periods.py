"""Times as people type them on the command line, in the site's zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import click

from scada.clock import HOUR_S, NS

FIRST_YEAR, LAST_YEAR = 1971, 2200       # in ns since 1970 they fit 64 bits


def parse_time(text: str, zone: ZoneInfo) -> int:
    """`2026-11-22`, `2026-11-22T13:00` (site time) or with an offset; in s since 1970."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time; expected 2026-11-22 or 2026-11-22T13:00[+02:00]") from None
    if not FIRST_YEAR <= when.year <= LAST_YEAR:
        raise click.BadParameter(f"{text!r} is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return round((when if when.tzinfo else when.replace(tzinfo=zone)).timestamp())


def period(first: str | None, last: str | None, zone: ZoneInfo, now_s: int, hours: int = 24) -> tuple[int, int]:
    """[first, last) in s since 1970; by default the last `hours` full hours."""
    end = parse_time(last, zone) if last else -(-now_s // HOUR_S) * HOUR_S
    start = parse_time(first, zone) if first else end - hours * HOUR_S
    if start >= end:
        raise click.BadParameter("the period ends before it begins, or with it; expected --from earlier than --to")
    return start, end


def local(seconds: float, zone: ZoneInfo) -> str:
    """A time for people: site zone, with its offset."""
    return datetime.fromtimestamp(seconds, zone).isoformat(sep=" ", timespec="seconds")


def local_ns(at: int, zone: ZoneInfo) -> str:
    """The same from ns since 1970, with milliseconds where there are some."""
    seconds, millis = _split(at)
    when = datetime.fromtimestamp(seconds, zone).replace(microsecond=millis * 1000)
    return when.isoformat(sep=" ", timespec="milliseconds" if millis else "seconds")


def utc_ns(at: int) -> str:
    """UTC from ns since 1970, with milliseconds where there are some."""
    seconds, millis = _split(at)
    return utc(seconds).replace("Z", f".{millis:03d}Z") if millis else utc(seconds)


def _split(at: int) -> tuple[int, int]:
    return at // NS, at % NS // 1_000_000


def utc(seconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
