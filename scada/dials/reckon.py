"""Every meter in service against its dial: its offset, its newest comparison, when it is due again."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar, cast

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import HOUR_S, NS
from scada.dial import DialTable, Due, Verdict
from scada.dials.readings import Readings, Registers, choose
from scada.dials.reconcile import REGISTER_MODULUS, Instant, at_instants, reconcile
from scada.intervals import MISSING
from scada.ports import IntervalReader
from scada.site import IN_SERVICE, UNIT_OF_MEDIUM, Directory, MeterPeriod

HOUR_NS: Final = HOUR_S * NS
DAY_NS: Final = 24 * HOUR_NS
START_DECIMALS: Final = 1               # of a start register: nobody wrote down how fine the dial is
NEVER: Final = np.iinfo(np.int64).max


@attrs.frozen(eq=False)
class Meters:
    """The running periods in service as columns, in the order of their points."""

    periods: tuple[MeterPeriod, ...]
    devices: tuple[str, ...]
    areas: tuple[str, ...]
    units: tuple[str, ...]
    eui: NDArray[np.uint64]
    channel: NDArray[np.uint8]
    per_unit: NDArray[np.float64]
    begin_h: NDArray[np.int64]
    start: NDArray[np.float64]          # start register; NaN where nobody wrote it down


def meters(directory: Directory) -> Meters:
    """What hangs in service now; once for each change of the registry."""
    known, rows = directory.module_of_eui, []
    for period in directory.site.meters:
        module, point = known.get(period.eui), directory.point.get(period.point)
        if period.valid_to is None and module is not None and point is not None and module.state in IN_SERVICE:
            concentrator = directory.concentrator.get(module.concentrator)
            area = concentrator.area if concentrator is not None else ""
            rows.append((period, f"{module.name}.ch{period.channel}", area, UNIT_OF_MEDIUM[point.medium]))
    rows.sort(key=lambda row: row[0].point)
    periods = tuple(row[0] for row in rows)
    return Meters(
        periods, tuple(row[1] for row in rows), tuple(row[2] for row in rows), tuple(row[3] for row in rows),
        np.array([one.eui for one in periods], dtype=np.uint64),
        np.array([one.channel for one in periods], dtype=np.uint8),
        np.array([one.pulses_per_unit for one in periods], dtype=np.float64),
        np.array([one.valid_from for one in periods], dtype=np.int64),
        np.array([np.nan if one.start_register is None else one.start_register for one in periods], dtype=np.float64),
    )


@attrs.frozen(eq=False)
class Anchored:
    """The table, and the registers its offsets rest on."""

    table: DialTable
    dial: NDArray[np.float64]           # (n,) at the beginning [unit]
    pulses: NDArray[np.float64]         # (n,) register at that instant
    per_unit: NDArray[np.float64]       # (n,)
    position: dict[str, int]            # point -> row
    registers: Registers                # of the readings

    @property
    def waiting(self) -> bool:
        """Whether hours that are still to come would change something."""
        anchored = np.isfinite(self.dial)
        open_ = (anchored & ~np.isfinite(self.pulses)) | (self.table.comparison.verdict == Verdict.WAITING)
        return bool(open_.any())


def reckon(
    these: Meters, held: Readings, intervals: IntervalReader, class_percent: float, every_days: int, soon_days: int,
    now: int, registers: Registers | None = None,
) -> Anchored:
    """
    Compare the newest reading of every meter with its count. Blocking.

    The offset comes from the installer's reading, else from the start register of the period, else from the first reading
    since it began. The store is asked for what `registers` of an earlier time does not hold.
    """
    registers = Registers.of(len(held.number), registers)
    point = np.array([held.points.get(one.point, -1) for one in these.periods], dtype=np.int64)
    chosen = choose(held, point, these.begin_h * HOUR_NS)
    size = len(these.periods)
    first = chosen.first
    installer = np.zeros(size, dtype=np.bool_)
    installer[first >= 0] = held.installer[first[first >= 0]]
    from_start = np.isfinite(these.start) & ~installer
    slots = intervals.slots(these.eui, these.channel)

    begin = _instants(held, np.where(from_start, -1, first), slots, intervals, registers)
    start = _registers(intervals, slots, np.where(from_start, these.begin_h, -1))
    begin = attrs.evolve(
        begin,
        dial=np.where(from_start, these.start, begin.dial),
        decimals=np.where(from_start, START_DECIMALS, begin.decimals),
        pulses=np.where(from_start, np.where(start == MISSING, np.nan, start), begin.pulses),
    )
    alone = (chosen.last == first) & ~from_start
    last = np.where(alone, -1, chosen.last)
    has_before = (chosen.before >= 0) & ((chosen.before != first) | from_start)
    before = _instants(held, np.where(has_before, chosen.before, -1), slots, intervals, registers)
    ratio = reconcile(begin, before, these.per_unit, class_percent).ratio
    newest_read = _instants(held, last, slots, intervals, registers)
    comparison = reconcile(begin, newest_read, these.per_unit, class_percent, ratio)
    verdict = np.where(last < 0, Verdict.UNKNOWN, comparison.verdict).astype(np.uint8)
    comparison = attrs.evolve(comparison, verdict=verdict)

    newest = chosen.last
    last_at = np.where(newest >= 0, _taken(held.at, newest, 0), np.where(from_start, these.begin_h * HOUR_NS, 0))
    due_at = np.where(last_at > 0, last_at + every_days * DAY_NS, NEVER)
    table = DialTable(
        these.periods, these.devices, these.areas, these.units,
        first=np.where(from_start, 0, _taken(held.number, first, -1)), last=_taken(held.number, newest, 0),
        last_at=last_at, read=_taken(held.value, newest, np.nan), offset=begin.dial - begin.pulses / these.per_unit,
        comparison=comparison, due_at=due_at, due=due(due_at, now, soon_days), as_of=now,
    )
    return Anchored(
        table, begin.dial, begin.pulses, these.per_unit, {one.point: row for row, one in enumerate(these.periods)},
        registers,
    )


def due(due_at: NDArray[np.int64], now: int, soon_days: int) -> NDArray[np.uint8]:
    """`Due` of each."""
    conditions = [due_at == NEVER, due_at <= now, due_at <= now + soon_days * DAY_NS]
    return np.select(conditions, [Due.NEVER_READ, Due.OVERDUE, Due.SOON], Due.LATER).astype(np.uint8)


def dial_at(
    found: Anchored, points: Sequence[str], hour: int, intervals: IntervalReader
) -> NDArray[np.float64]:
    """What dials show at the start of an hour, from the count; NaN where not known. Blocking."""
    rows = np.array([found.position.get(point, -1) for point in points], dtype=np.intp)
    shown = np.full(len(points), np.nan)
    some = rows >= 0
    if some.any():
        mine = rows[some]
        periods = [found.table.periods[row] for row in mine.tolist()]
        eui, channel = [one.eui for one in periods], [one.channel for one in periods]
        slots = intervals.slots(np.array(eui, dtype=np.uint64), np.array(channel, dtype=np.uint8))
        register = _registers(intervals, slots, np.full(len(mine), hour))
        counted = (register - found.pulses[mine]) % REGISTER_MODULUS
        shown[some] = np.where(register == MISSING, np.nan, found.dial[mine] + counted / found.per_unit[mine])
    return shown


def _instants(
    held: Readings, row: NDArray[np.intp], slots: NDArray[np.int64], intervals: IntervalReader, known: Registers
) -> Instant:
    """Readings by their rows, with the registers of then; NaN where the row is -1. What is new becomes `known`."""
    ask = (row >= 0) & (slots >= 0)
    ask[ask] = (known.slot[row[ask]] != slots[ask]) | np.isnan(known.pulses[row[ask]])
    rows, mine = row[ask], slots[ask]
    at = held.at[rows]
    start, end = _registers(intervals, mine, at // HOUR_NS), _registers(intervals, mine, at // HOUR_NS + 1)
    known.slot[rows] = mine
    known.pulses[rows], known.doubt[rows] = at_instants(start, end, at % HOUR_NS // NS, held.doubt_s[rows], MISSING)
    seen = (row >= 0) & (slots >= 0)
    return Instant(
        _taken(held.value, row, np.nan), _taken(held.decimals, row, 0), _taken(held.whole, row, 0),
        np.where(seen, _taken(known.pulses, row, np.nan), np.nan), _taken(known.doubt, row, 0.0),
    )


def _registers(
    intervals: IntervalReader, slots: NDArray[np.int64], hour: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Registers at the start of each one's own hour, -1 for none: one read for each hour that occurs."""
    found = np.full(len(slots), MISSING, dtype=np.int64)
    some = np.flatnonzero((hour >= 0) & (slots >= 0))
    some = some[np.argsort(hour[some], kind="stable")]
    for mine in np.split(some, np.flatnonzero(np.diff(hour[some])) + 1):
        if len(mine):
            found[mine] = intervals.register(slots[mine], int(hour[mine[0]]))
    return found


Column = TypeVar("Column", bound=NDArray[Any])


def _taken(column: Column, row: NDArray[np.intp], otherwise: float) -> Column:
    found: Any = np.full(len(row), otherwise, dtype=column.dtype)
    found[row >= 0] = column[row[row >= 0]]
    return cast(Column, found)

