"""Results and live history in memory, and a house with a transformer meter in front of it."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import numpy as np
from twisted.internet.defer import Deferred, fail, succeed

from scada.balancing.service import BalancingService
from scada.bus import TagBus
from scada.clock import HOUR_S, NS
from scada.errors import StorageError
from scada.estimates import Estimate, Method
from scada.historian.database import ReadPool
from scada.historian.estimates import EstimateHistory, add_estimates
from scada.metering.service import MeteringService
from scada.ports import ResultRows, ResultTable, TagHistory
from scada.site import BalanceGroup, Medium, Transformer
from scada.tags import Batch, Device, Quality, TagDef
from tests.fakes import InlinePool, LoopClock, site_clock
from tests.metering.world import HOUR, FixedRegistry, MemoryIntervals, house

FEED = "T01-meter/energy_import"
PER_PHASE = ("power_active", "power_reactive", "power_apparent", "current")
POINTS = (*(f"{name}_l{phase}" for name in PER_PHASE for phase in (1, 2, 3)), "energy_import")
METER = Device("T01-meter", tuple(TagDef(point, stale_after=30 * NS) for point in POINTS), ("Transformer",))


class MemoryResults:
    """A result store; while it is `broken` no balance can be put."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, int], dict[int, dict[str, float]]] = {}
        self.broken = False
        self.puts: list[tuple[str, str, int, ResultTable]] = []

    def put(self, kind: str, name: str, span_s: int, table: ResultTable) -> "Deferred[None]":
        if self.broken and kind == "balance":
            return fail(StorageError("the disk is full"))
        self.puts.append((kind, name, span_s, table))
        series = self.rows.setdefault((kind, name, span_s), {})
        for row, start in enumerate(table.start.tolist()):
            series[start] = {column: float(values[row]) for column, values in table.columns.items()}
        return succeed(None)

    def put_many(self, kind: str, span_s: int, rows: ResultRows) -> "Deferred[None]":
        if self.broken and kind == "balance":
            return fail(StorageError("the disk is full"))
        for place, name in enumerate(rows.names):
            if len(rows.of(place).start):
                self.put(kind, name, span_s, rows.of(place))
        return succeed(None)

    def get_many(self, kind: str, names, span_s: int, first: int, last: int) -> ResultRows:
        return ResultRows.joined(names, [self.get(kind, name, span_s, first, last) for name in names])

    def get(self, kind: str, name: str, span_s: int, first: int, last: int, as_of: int | None = None) -> ResultTable:
        series = self.rows.get((kind, name, span_s), {})
        starts = sorted(start for start in series if first <= start < last)
        names = series[starts[0]] if starts else {}
        return ResultTable(
            np.array(starts, dtype=np.int64),
            {column: np.array([series[start][column] for start in starts]) for column in names},
        )


class MemoryLive:
    """History of live tags, kept from a bus; survives a restart of what reads it."""

    def __init__(self) -> None:
        self.samples: dict[str, list[tuple[int, float, int]]] = {}

    def keep(self, tag: str, at: int, value: float, quality: int = Quality.GOOD) -> None:
        self.samples.setdefault(tag, []).append((at, value, quality))

    def read(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        found = [sample for sample in self.samples.get(tag, []) if first <= sample[0] < last][-limit:]
        at, values, quality = (list(column) for column in zip(*found, strict=True)) if found else ([], [], [])
        return TagHistory(np.array(at, dtype=np.int64), np.array(values, dtype=float), np.array(quality, dtype=np.uint8))


def estate(flats: int = 2, **changes: object):
    """A house behind transformer T01, balanced as BG-1."""
    group = BalanceGroup("BG-1", Medium.ELECTRICITY, "House", "T01", FEED, members=tuple(f"P{n}" for n in range(flats)))
    return attrs.evolve(
        house(flats),
        transformers=(Transformer("T01", "Transformer 1", 100.0, "north", "T01-meter"),),
        balance_groups=(attrs.evolve(group, **changes),),
    )


class World:
    """A site that is running; `restart` replaces the services and keeps what is on disk."""

    def __init__(self, site=None, timezone: str = "Europe/Chisinau", start: int = HOUR * HOUR_S) -> None:
        self.site, self.timezone = site or estate(), timezone
        self.reactor = LoopClock()
        self.clock = site_clock(self.reactor, start=start)
        self.intervals, self.results, self.live = MemoryIntervals(), MemoryResults(), MemoryLive()
        self._data, self._entered = TemporaryDirectory(), TemporaryDirectory()
        self.estimates = EstimateHistory(Path(self._entered.name), ReadPool())
        self._build()

    def _build(self) -> None:
        self.bus = TagBus(self.clock, self.reactor)
        self.registry = FixedRegistry(self.site)
        pool = InlinePool()
        self.metering = MeteringService(
            self.registry, self.intervals, self.intervals, self.bus, self.clock, self.reactor, pool,
            self.estimates,
        )
        self.service = BalancingService(
            self.registry, self.bus, self.bus, self.metering, self.intervals, self.intervals, self.live, self.results,
            self.clock, self.reactor, pool, self.timezone, Path(self._data.name), estimates=self.estimates,
        )
        self.batches: list[Batch] = []
        self.bus.subscribe(self.batches.extend, name="test")
        self.bus.add_device(METER)

    def start(self) -> "World":
        self.service.start()
        self.settle()
        return self

    def stop(self) -> None:
        assert self.service.stop().called

    def restart(self) -> "World":
        self.stop()
        self._build()
        return self.start()

    def estimate(self, point: str, hours: Iterable[int], value: float, method: Method = Method.TYPICAL) -> None:
        """As another process enters it: nobody is told."""
        add_estimates(Path(self._entered.name), [
            Estimate(point, hour, value, method, "anna", self.clock.now()) for hour in hours
        ])

    def settle(self, seconds: float = 2.0) -> None:
        for _ in range(round(seconds / 0.25)):
            self.reactor.advance(0.25)

    def until(self, hour: float, offset_s: float = 0.0) -> None:
        """Let time pass to an instant, given in hours."""
        self.reactor.advance(hour * HOUR_S + offset_s - self.clock.now() / NS)

    def read(self, register: float, *, phases=(0.0,) * 12, quality: int = Quality.GOOD, kept: bool = True) -> None:
        """The meter answers now."""
        now = self.clock.now()
        values = np.array([*phases, register])
        self.bus.publish(Batch("T01-meter", values, np.full(len(values), quality, np.uint8), now, now))
        if kept:
            self.live.keep(FEED, now, register, quality)
        self.reactor.advance(0)

    def table(self, span: int = HOUR_S) -> dict[int, dict[str, float]]:
        """Stored rows of BG-1 by start hour."""
        found = self.service.table("BG-1", span, 0, 2**40)
        return {
            start // HOUR_S: {name: float(column[row]) for name, column in found.columns.items()}
            for row, start in enumerate(found.start.tolist())
        }

    def tag(self, name: str):
        return self.bus.snapshot().get(name)
