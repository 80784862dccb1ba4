"""Dial readings and installations as CSV, for people: every line that cannot be used is named. Pure."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from scada.clock import HOUR_S, NS
from scada.dial import PHOTO_NAME, DialReading, DialSource, Installation, Shown, read_dial, read_source
from scada.errors import Problem
from scada.eui import read_eui
from scada.site import Directory, Medium, MeterPeriod

READING_COLUMNS: Final = ("time", "dial", "point", "eui", "channel", "serial", "source", "by", "photo")
INSTALL_COLUMNS: Final = ("eui", "channel", "serial", "constant", "dial", "time", "medium", "point", "photo", "key")
NEEDED: Final = {READING_COLUMNS: ("time", "dial"), INSTALL_COLUMNS: ("eui", "serial", "constant", "dial", "time")}
MOST_LINES: Final = 100_000
LONGEST_NAME: Final = 200

Row = dict[str, str]


def time_of(text: str) -> int:
    """ISO 8601 with its zone, to the second. [ns since 1970]"""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f"expected a time with its zone, as 2026-01-31T14:05Z, found {text!r}")
    return round(at.timestamp()) * NS


def time_text(at: int) -> str:
    return datetime.fromtimestamp(at // NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dial_text(shown: Shown) -> str:
    """A dial as it was written down, with the zeros in front."""
    text = f"{shown.value:.{shown.decimals}f}"
    return text.zfill(shown.whole + (shown.decimals + 1 if shown.decimals else 0))


def period_at(directory: Directory, point: str, hour: int) -> MeterPeriod | None:
    """The meter that hung at a point at an hour."""
    periods = directory.meters_of_point.get(point, ())
    return next((one for one in periods if _valid(one, hour)), None)


def _valid(period: MeterPeriod, hour: int) -> bool:
    return period.valid_from <= hour and (period.valid_to is None or hour < period.valid_to)


def reading_of(
    directory: Directory, point: str, serial: str, at: int, shown: Shown, source: DialSource, by: str, photo: str = ""
) -> DialReading:
    """A reading of the meter that hung at a point then; raises ValueError where there was none, or another one."""
    if point not in directory.point:
        raise ValueError(f"there is no metering point {point}")
    period = period_at(directory, point, at // (HOUR_S * NS))
    if period is None:
        raise ValueError(f"no meter hung at {point} then")
    if serial and serial != period.serial:
        raise ValueError(f"meter {period.serial} hung at {point} then, not {serial}")
    return DialReading(point, period.serial, at, shown, source, by, photo)


def read_readings(
    text: str, name: str, directory: Directory, by: str, source: DialSource, now: int
) -> tuple[list[DialReading], list[Problem]]:
    """Readings out of a CSV file; `by` and `source` where a line does not say them."""
    by_serial: dict[str, set[str]] = {}
    for period in directory.site.meters:
        by_serial.setdefault(period.serial, set()).add(period.point)

    def make(row: Row) -> DialReading:
        at = time_of(row["time"])
        if at > now:
            raise ValueError("the time is still to come")
        said = read_source(row["source"]) if row.get("source") else source
        photo, who = row.get("photo", ""), row.get("by") or by
        if photo and PHOTO_NAME.fullmatch(photo) is None:
            raise ValueError(f"{photo!r}: expected the name of a stored photo, as an export has it")
        if len(who) > LONGEST_NAME or not who.isprintable():
            raise ValueError(f"by: expected at most {LONGEST_NAME} printable characters")
        return reading_of(
            directory, _point(row, directory, by_serial, at), row.get("serial", ""), at, read_dial(row["dial"]), said, who,
            photo,
        )

    return _lines(text, name, READING_COLUMNS, make)


def _channel(row: Row) -> int:
    text = row.get("channel") or "0"
    if text not in {"0", "1", "2", "3", "4", "5", "6", "7"}:
        raise ValueError(f"channel: expected 0 to 7, found {text!r}")
    return int(text)


def _point(row: Row, directory: Directory, by_serial: dict[str, set[str]], at: int) -> str:
    if row.get("point"):
        return row["point"]
    if row.get("eui"):
        eui, channel, hour = read_eui(row["eui"]), _channel(row), at // (HOUR_S * NS)
        periods = (one for one in directory.meters_of_eui.get(eui, ()) if one.channel == channel)
        found = next((one for one in periods if _valid(one, hour)), None)
        if found is None:
            raise ValueError(f"no meter hung on channel {channel} of {eui:016X} then")
        return found.point
    points = by_serial.get(row.get("serial", ""), set())
    if len(points) != 1:
        said = "no meter has this serial number" if not points else "several meters have this serial number: name the point"
        raise ValueError(said if row.get("serial") else "expected a point, an eui with its channel, or a serial")
    return next(iter(points))


def read_installations(text: str, name: str) -> tuple[list[tuple[int, Installation]], list[Problem]]:
    """Installations with their lines; the photo is still the name of a file. A line without a key has one made of it."""

    def make(row: Row) -> Installation:
        eui, channel, at = read_eui(row["eui"]), _channel(row), time_of(row["time"])
        if row.get("medium", "") not in {"", *Medium}:
            raise ValueError(f"medium: expected one of {', '.join(Medium)}")
        try:
            constant = float(row["constant"].replace(",", "."))
        except ValueError:
            raise ValueError(f"constant: expected a number above 0, found {row['constant']!r}") from None
        return Installation(
            eui, channel, row["serial"], constant, read_dial(row["dial"]), at,
            row.get("key") or f"csv:{eui:016X}:{channel}:{at // NS}", row.get("medium", ""), row.get("point", ""),
            row.get("photo", ""),
        )

    return _lines(text, name, INSTALL_COLUMNS, make, numbered=True)


def written(readings: Iterable[DialReading]) -> str:
    """Readings as the same CSV that is read."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = ("time", "dial", "point", "serial", "source", "by", "photo")
    writer.writerow(columns)
    for one in readings:
        row = (time_text(one.at), dial_text(one.shown), one.point, one.serial, one.source.value, one.by, one.photo)
        writer.writerow(_harmless(cell) for cell in row)
    return out.getvalue()


def _harmless(cell: str) -> str:
    """A spreadsheet takes a cell that begins like this for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") else cell


def _lines(
    text: str, name: str, columns: tuple[str, ...], make: Callable[[Row], Any], *, numbered: bool = False
) -> tuple[list[Any], list[Problem]]:
    made: list[Any] = []
    problems: list[Problem] = []
    try:
        for line, row in _rows(text, name, columns, problems):
            try:
                one = make(row)
                made.append((line, one) if numbered else one)
            except ValueError as error:
                problems.append(Problem(name, f"line {line}", str(error), line))
    except csv.Error as error:
        problems.append(Problem(name, "", f"not valid CSV: {error}"))
    return made, problems


def _rows(text: str, name: str, columns: tuple[str, ...], problems: list[Problem]) -> Iterator[tuple[int, Row]]:
    header, _, _ = text.partition("\n")
    delimiter = ";" if ";" in header and "," not in header else ","
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter)
    fields = [one.strip().lower() for one in next(reader, [])]
    needed = NEEDED[columns]
    expected = f"expected the columns {', '.join(needed)}, and if wanted {', '.join(c for c in columns if c not in needed)}"
    wrong = [one for one in fields if one not in columns] + [one for one in needed if one not in fields]
    if wrong or len(set(fields)) < len(fields):
        problems.append(Problem(name, ", ".join(wrong), expected, 1))
        return
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if reader.line_num > MOST_LINES + 1:
            problems.append(Problem(name, "", f"more than {MOST_LINES} lines: split the file", reader.line_num))
            return
        cells = {field: cell.strip() for field, cell in zip(fields, row, strict=False)}
        if missing := [one for one in needed if not cells.get(one)]:
            problems.append(Problem(name, ", ".join(missing), "missing", reader.line_num))
            continue
        yield reader.line_num, cells
