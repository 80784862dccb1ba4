"""The CSV form of a walk-by file (docs/walk-by.md): rows of channels and hours -> blocks, with every bad row named."""

import csv
import io
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import attrs
import numpy as np

from scada.clock import DAY_H, HOUR_S
from scada.drivers.dmesh.numbers import MAX_CHANNELS
from scada.drivers.dmesh.walkby.parts import MAX_CELLS, Complaints, Read, block_of, ill_timed
from scada.intervals import MISSING, IntervalBlock

REQUIRED: Final = ("eui", "channel", "start", "pulses")
OPTIONAL: Final = ("register", "status")
WRAP: Final = 2**32
LONGEST_FIELD: Final = 64
_EUI: Final = re.compile(r"[0-9A-Fa-f]{16}")
Channel = tuple[int, int]               # EUI, channel


@attrs.frozen
class Row:
    """One hour of one channel."""

    line: int
    hour: int
    pulses: int
    register: int                       # at the start of the hour
    status: int


class _Wrong(ValueError):
    """A field that cannot be used: which, and what was expected."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(expected)
        self.field = field


def read(name: str, data: bytes, now_hour: int | None, received: int) -> Read:
    """Everything usable of a CSV file, and every problem of the rest."""
    complaints = Complaints(name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        complaints.add("", "bytes that are not UTF-8; expected a CSV file in UTF-8", line)
        return Read(name, (), complaints.all())
    rows = _rows(text, now_hour, complaints)
    days: dict[tuple[int, int, int], dict[Channel, dict[int, Row]]] = {}
    for channel, hours in rows.items():
        for run in _runs(hours, complaints):
            first = min(run)
            days.setdefault((first // DAY_H, first, max(run)), {})[channel] = run
    blocks = tuple(_block(first, last - first + 1, runs, received) for (_, first, last), runs in sorted(days.items()))
    return Read(name, blocks, complaints.all())


def _rows(text: str, now_hour: int | None, complaints: Complaints) -> dict[Channel, dict[int, Row]]:
    head = text.partition("\n")[0]
    table = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in head and "," not in head else ",")
    found: dict[Channel, dict[int, Row]] = {}
    cells = 0
    try:
        names = [one.strip().lower() for one in next(table, [])]
        missing = [one for one in REQUIRED if one not in names]
        strange = [one for one in names if one not in REQUIRED + OPTIONAL]
        if missing or strange or len(set(names)) < len(names):
            expected = f"expected the columns {', '.join(REQUIRED)} and perhaps {', '.join(OPTIONAL)}, each once"
            complaints.add("head", f"found {', '.join(names)[:200] or 'nothing'}; {expected}", 1)
            return {}
        for fields in table:
            if not any(one.strip() for one in fields):
                continue
            cells += 1
            if cells > MAX_CELLS:
                complaints.add("", f"more than {MAX_CELLS:,} rows; the rest is left out, split the file", table.line_num)
                break
            if len(fields) != len(names):
                complaints.add("", f"{len(fields)} fields; expected {len(names)}, as the head has", table.line_num)
                continue
            try:
                texts = dict(zip(names, (one.strip() for one in fields), strict=True))
                channel, row = _row(texts, table.line_num, now_hour)
            except _Wrong as wrong:
                complaints.add(wrong.field, str(wrong), table.line_num)
                continue
            before = found.setdefault(channel, {}).setdefault(row.hour, row)
            if attrs.evolve(before, line=0) != attrs.evolve(row, line=0):
                complaints.add("start", f"this hour stands in line {before.line} already, with other values", row.line)
    except csv.Error as error:
        complaints.add("", f"{error}; the rest of the file is left out", table.line_num)
    return found


def _row(fields: Mapping[str, str], line: int, now_hour: int | None) -> tuple[Channel, Row]:
    eui, start = fields["eui"].replace("-", "").replace(":", ""), fields["start"]
    if not _EUI.fullmatch(eui) or not int(eui, 16):
        raise _Wrong("eui", f"{_said(fields['eui'])}; expected 16 hexadecimal digits, not all 0")
    channel = _whole(fields, "channel", 0, MAX_CHANNELS - 1)
    try:
        at = datetime.fromisoformat(start)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.timestamp() % HOUR_S:
        raise _Wrong("start", f"{_said(start)}; expected the start of an hour with its offset, such as 2026-11-22T13:00Z")
    hour = int(at.timestamp()) // HOUR_S
    if reason := ill_timed(hour, hour + 1, now_hour):
        raise _Wrong("start", f"{_said(start)} {reason}")
    row = Row(
        line, hour, _whole(fields, "pulses", 0, WRAP - 2, MISSING), _whole(fields, "register", 0, WRAP - 1, MISSING),
        _whole(fields, "status", 0, 255, 0),
    )
    if row.pulses == MISSING and row.register == MISSING:
        raise _Wrong("pulses", "empty, and no register; expected at least one of them")
    return (int(eui, 16), channel), row


def _whole(fields: Mapping[str, str], name: str, low: int, high: int, empty: int | None = None) -> int:
    text = fields.get(name, "")
    if not text and empty is not None:
        return empty
    if text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high:
        return int(text)
    nothing = "" if empty is None else ", or nothing"
    raise _Wrong(name, f"{_said(text)}; expected a whole number from {low} to {high}{nothing}")


def _said(text: str) -> str:
    return repr(text[:LONGEST_FIELD])


def _runs(hours: dict[int, Row], complaints: Complaints) -> list[dict[int, Row]]:
    """One channel's hours in parts, each of one UTC day and resting on one register: that is what a block can say."""
    runs: list[dict[int, Row]] = []
    run: dict[int, Row] = {}
    base: int | None = None                     # register at the end of the hours of `run` so far; None: not known
    for hour in sorted(hours):
        row = hours[hour]
        follows = bool(run) and hour // DAY_H == min(run) // DAY_H
        if follows and row.register != MISSING:
            whole = len(run) == hour - min(run) and all(one.pulses != MISSING for one in run.values())
            if not whole:
                follows = False
            elif base is not None and base != row.register:
                complaints.add("register", f"{row.register}; expected {base}, the register before and its pulses", row.line)
                row = attrs.evolve(row, register=MISSING)
            elif base is None:
                first = min(run)
                before = (row.register - sum(one.pulses for one in run.values())) % WRAP
                run[first] = attrs.evolve(run[first], register=before)
                base = row.register
        if not follows:
            run, base = {}, None
            runs.append(run)
            base = None if row.register == MISSING else row.register
        run[hour] = row
        if base is not None:
            base = None if row.pulses == MISSING else (base + row.pulses) % WRAP
    return runs


def _block(first: int, width: int, runs: dict[Channel, dict[int, Row]], received: int) -> IntervalBlock:
    counts = np.full((len(runs), width), MISSING, dtype=np.int64)
    status = np.zeros((len(runs), width), dtype=np.uint8)
    register = np.full(len(runs), MISSING, dtype=np.int64)
    for line, run in enumerate(runs.values()):
        register[line] = run[first].register
        for hour, row in run.items():
            counts[line, hour - first], status[line, hour - first] = row.pulses, row.status
    return block_of(runs, first, counts, register, status, received)
