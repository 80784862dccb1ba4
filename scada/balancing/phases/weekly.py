"""Studies every electricity group's phases once a week and keeps a row of it, as a series and as tags.

Implements the ports PhaseWeeks and HealthSource. Every night it looks for groups that have no row of the last whole week:
what was not done when the server was down, or has come into the registry since, is done then.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.balancing.once_a_night import OnceANight
from scada.balancing.phases.gather import Sources, gathered
from scada.balancing.phases.inputs import HOPELESS
from scada.balancing.phases.study import Asked
from scada.balancing.phases.weeks import KIND, WEEK_S, Row, nothing, row_of_week, week_before
from scada.clock import NS, SiteClock
from scada.errors import StorageError
from scada.phase_study import PHASE_WEEK_COLUMNS
from scada.piecemeal import in_turns
from scada.ports import Compute, Health, Registry, ResultRows, ResultStore, ResultTable, TagSink
from scada.site import BalanceGroup, Directory, Medium
from scada.tags import Batch, Device, Quality, TagDef

AFTER_H: Final = 4                      # behind midnight: after balances and cases
PER_RUN: Final = 100                    # groups whose rows are stored together
PER_TURN: Final = 50                    # groups shown in one turn of the loop
SUFFIX: Final = "-phases"               # of a balance group's device
STALE_AFTER: Final = 15 * 24 * 3600 * NS        # two weeks, and a day for the night
SHOWN: Final = (                        # columns, and what they are multiplied by
    ("position", 1.0), ("usual", 1.0), ("rest", 100.0), ("elsewhere", 1.0), ("left", 100.0), ("g_all", 1.0),
    ("g_limit", 1.0),
)
TAGS: Final = tuple(attrs.evolve(one, stale_after=STALE_AFTER) for one in (
    TagDef("position", "", "Unevenness of the feed: 0 best split, 1 all on one phase", digits=2),
    TagDef("position_usual", "", "Unevenness of consumers spread at random", digits=2),
    TagDef("rest", "%", "Share of the feed with no member"),
    TagDef("elsewhere", "", "Consumers on another phase than registered", digits=0),
    TagDef("left", "%", "Unevenness that the moves would leave"),
    TagDef("simultaneity", "", "Simultaneity of all consumers", digits=2),
    TagDef("simultaneity_limit", "", "Simultaneity of very many consumers", digits=2),
))


class PhaseWeekService:
    log = Logger()

    def __init__(
        self, registry: Registry, sources: Sources, results: ResultStore, sink: TagSink, compute: Compute, clock: SiteClock,
        reactor: Any, pool: ThreadPool, timezone: str,
    ) -> None:
        self._registry, self._sources, self._results, self._sink = registry, sources, results, sink
        self._compute, self._clock, self._reactor, self._pool = compute, clock, reactor, pool
        self._zone = ZoneInfo(timezone)
        self.weekly = OnceANight(
            "the weekly study of phases", AFTER_H, self._night, self._done, clock, reactor, pool, timezone)
        self._fresh: tuple[int, dict[str, Row]] = 0, {}
        self._more = False
        self._failed: dict[str, int] = {}                   # groups whose study failed, and of which week [s]
        self._keeping: Deferred[None] | None = None
        self._known: dict[str, Device] = {}

    def start(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        names = [one.name for one in _electric(self._registry.directory)]
        now = self._clock.now() // NS
        rows: ResultRows = await deferToThreadPool(
            self._reactor, self._pool, self._results.get_many, KIND, names, WEEK_S, now - 3 * WEEK_S, now)
        newest = {rows.names[which]: place for place, which in enumerate(rows.which.tolist())}
        await self._show([
            (name, int(rows.table.start[place]), {key: float(of[place]) for key, of in rows.table.columns.items()})
            for name, place in newest.items()
        ])
        self.weekly.start("")

    def stop(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.weekly.stop()
        if self._keeping is not None:
            await self._keeping

    def health(self) -> Iterable[Health]:
        weekly = self.weekly
        text = "phases of last week are studied" if weekly.day else "phases of last week are not studied yet"
        if self._failed:
            some = ", ".join(sorted(self._failed)[:5])
            text = f"phases of {len(self._failed)} groups could not be studied (see the log): {some}"
        if weekly.failing:
            text = "the weekly study of phases failed; it is tried again"
        yield Health("phases", not weekly.failing and not self._failed, text, {
            "failures": float(weekly.failures), "groups_failed": float(len(self._failed)),
        })

    # ------------------------------------------------------------------ ports.PhaseWeeks
    def table(self, group: str, first: int, last: int) -> ResultTable:
        found = self._results.get(KIND, group, WEEK_S, first, last)
        return found if len(found.start) else ResultTable(found.start, {one: np.empty(0) for one in PHASE_WEEK_COLUMNS})

    # ------------------------------------------------------------------ the night, in a worker's thread
    def _night(self, day: str, stopping: threading.Event) -> bool:
        """False = the server stops meanwhile, and nothing is entered."""
        directory = self._registry.directory
        first, hours = week_before(self._zone, day)
        start = first * 3600
        groups = _electric(directory)
        stored = self._results.get_many(KIND, [one.name for one in groups], WEEK_S, start, start + 1)
        there = {stored.names[which] for which in stored.which.tolist()}
        self._failed = {name: of for name, of in self._failed.items() if of == start}
        due = [one for one in groups if one.name not in there and one.name not in self._failed]
        rows: dict[str, Row] = {}
        for name, found in self._compute.each(_tried, self._asked(directory, due[:PER_RUN], first, hours, rows, stopping)):
            if isinstance(found, str):
                self._let_go(name, start, found)
            else:
                rows[name] = found
        self._fresh, self._more = (start, rows), len(due) > PER_RUN
        return not stopping.is_set()

    def _asked(
        self, directory: Directory, groups: Sequence[BalanceGroup], first: int, hours: int, rows: dict[str, Row],
        stopping: threading.Event,
    ) -> Iterator[Asked]:
        """One is in memory at a time; who has nothing to be studied has a row that says so."""
        for group in groups:
            if stopping.is_set():
                return
            try:
                given = gathered(directory, group, first, hours, self._zone, self._sources)
            except StorageError:                            # the whole night is tried again
                raise
            except Exception as error:                      # one group must not cost all others their week
                self._let_go(group.name, first * 3600, f"{type(error).__name__}: {error}")
                continue
            if any(lack in given.of.lacks for lack in HOPELESS):
                rows[group.name] = nothing(len(given.of.hours))
            else:
                yield Asked(group.name, first, hours, given)

    def _let_go(self, name: str, start: int, why: str) -> None:
        """Not asked again of this week, but after a restart."""
        self._failed[name] = start
        self.log.error("phases of {name} could not be studied: {why}", name=name, why=why)

    # ------------------------------------------------------------------ in the reactor's thread
    def _done(self) -> None:
        self._keeping = Deferred.fromCoroutine(self._keep(*self._fresh)).addErrback(self._lost)
        if self._more:
            self.weekly.day = ""                            # the others with the next look at the clock

    async def _keep(self, start: int, rows: dict[str, Row]) -> None:
        if not rows:
            return
        at = np.array([start], dtype=np.int64)
        tables = [ResultTable(at, {name: np.array([value]) for name, value in row.items()}) for row in rows.values()]
        await self._results.put_many(KIND, WEEK_S, ResultRows.joined(list(rows), tables))
        await self._show([(name, start, row) for name, row in rows.items()])

    def _lost(self, failure: Failure) -> None:
        self.log.failure("a week's phases could not be stored; they are due again in the next night", failure)

    async def _show(self, weeks: Sequence[tuple[str, int, Row]]) -> None:
        await in_turns(self._reactor, self._show_one, [one for one in weeks if one[2].get("consumers", 0.0) > 0], PER_TURN)

    def _show_one(self, week: tuple[str, int, Row]) -> None:
        name, start, row = week
        directory = self._registry.directory
        group = directory.balance_group.get(name)
        if group is None:
            return
        transformer = directory.transformer.get(group.transformer)
        device = Device(
            f"{name}{SUFFIX}", TAGS, ("Balance", name), group.title or name, transformer.area if transformer else "")
        if self._known.get(name) != device:
            self._known[name] = device
            self._sink.add_device(device)
        values = np.array([factor * row.get(column, np.nan) for column, factor in SHOWN])
        quality = np.where(np.isnan(values), Quality.BAD_OUT_OF_RANGE, Quality.GOOD).astype(np.uint8)
        self._sink.publish(Batch(device.name, values, quality, (start + WEEK_S) * NS, self._clock.now()))


def _tried(asked: Asked) -> tuple[str, Row | str]:
    """A group's row, or why there is none."""
    try:
        return row_of_week(asked)
    except Exception as error:                              # in whatever process: it is said in ours
        return asked.group, f"{type(error).__name__}: {error}"


def _electric(directory: Directory) -> list[BalanceGroup]:
    """Groups of electricity that have members."""
    return [
        one for one in directory.site.balance_groups
        if one.medium is Medium.ELECTRICITY and directory.members_of_group.get(one.name)
    ]
