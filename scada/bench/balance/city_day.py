"""A day of a city balanced by the service on a real store: a million meters in 20,000 groups, and streets above them.

The day is put into the store in whole blocks, and the registry is made of objects; neither is part of the figure, nor is
the first look at that registry, which is told apart. Measured is from the news of the day, a mark for each concentrator,
to the last balance durable and published.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scada.balancing import edges as register_edges
from scada.balancing.memory import FILE, Memory
from scada.balancing.service import SETTLE_S, BalancingService
from scada.bench import Figure
from scada.bench.children import json_of, process
from scada.bench.historian.pulses import FIRST_DAY, LINK, Pulses, euis
from scada.bus import TagBus
from scada.clock import HOUR_S, NS, SiteClock, TimeMap
from scada.errors import ScadaError
from scada.historian.dense import SLOTS
from scada.historian.offline import ClosedHistory
from scada.historian.service import Historian
from scada.historian.whole_rows import WholeDay
from scada.intervals import MISSING, IntervalStatus, Mark, News
from scada.loop import MeasuredSelector
from scada.metering.service import MeteringService
from scada.ports import ResultRows, ResultTable
from scada.settings import HistorianSettings
from scada.site import BalanceGroup, Directory, Medium, MeterPeriod, Point, Site, Transformer
from scada.site_groups import EVER

CITY: Final = 20_000                    # groups
OF_A_GROUP: Final = 50                  # meters
OF_A_STREET: Final = 50                 # groups
BY_REGISTER: Final = 10                 # one group in so many is fed through a register on the bus, as all streets are
MISSING_HOURS: Final = 0.001            # meters that lack some hours
DOUBTFUL_HOURS: Final = 0.002           # hours of a doubtful clock
CLASS_2: Final = 50                     # one meter in so many is of another class
AT_ONCE: Final = 64                     # blocks of the import
OF_A_CONCENTRATOR: Final = 714          # channels
ZONE: Final = "Etc/UTC"
FIRST: Final = FIRST_DAY * 24
REGISTER: Final = "energy"
PATIENCE_S: Final = 900.0


def measure(groups: int = CITY) -> list[Figure]:
    """In a process of its own; one balance in some is worked out again from what was written, and compared."""
    with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
        child = process("balance.city_day", name, str(groups))
        said = json_of(child)
        child.wait(60)
    meters = f"{groups * OF_A_GROUP:,} meters in {groups:,} groups and {groups // OF_A_STREET:,} above them, one day"
    again = "the same news once more, of which nothing is stored because nothing has changed"
    return [
        Figure("city_day_s", f"{meters}: from its news to the last balance stored and shown", said["seconds"], "s"),
        Figure("city_day_cpu_s", "processor time of all threads meanwhile", said["cpu"], "s"),
        Figure("city_day_again_s", again, said["again"], "s"),
        Figure("city_day_first_s", "a start with a registry that nobody has looked at yet", said["first"], "s"),
        Figure("city_day_first_turn_ms", "longest turn of the loop in it, by the clock", said["first_turn_ms"], "ms"),
        Figure("city_day_first_turn_cpu_ms", "processor time of that turn", said["first_turn_cpu_ms"], "ms"),
        Figure("city_day_complete", "share of the groups' hours of which every member is there", said["complete"], ""),
        Figure("city_day_rss_mb", "most memory of the process", said["rss_mb"], "MB"),
        Figure("city_day_before_mb", "of it before the news, with the registry of the city", said["before_mb"], "MB"),
        Figure("city_day_turn_ms", "longest turn of the loop meanwhile, by the clock", said["turn_ms"], "ms"),
        Figure("city_day_turn_cpu_ms", "processor time of that turn", said["turn_cpu_ms"], "ms"),
    ]


# ------------------------------------------------------------------------------------------------ the city
def site_of(groups: int) -> Site:
    """Meters of a group follow one another; behind them the meters that feed groups."""
    meters = groups * OF_A_GROUP
    eui = euis(meters + groups).tolist()
    names = [f"P{n}" for n in range(meters)] + [f"F{n}" for n in range(groups)]
    return Site(
        transformers=tuple(
            Transformer(f"T{n}", rated_kva=1e5, meter=f"T{n}-meter") for n in range(groups) if by_register(n)
        ),
        points=tuple(Point(name, Medium.ELECTRICITY) for name in names),
        meters=tuple(
            MeterPeriod(f"S{n}", name, eui[n], 0, 1000.0, FIRST - 1000, accuracy_class=2.0 if n % CLASS_2 == 0 else 1.0)
            for n, name in enumerate(names)
        ),
        balance_groups=(
            *(BalanceGroup(
                f"G{n}", Medium.ELECTRICITY, transformer=f"T{n}" if by_register(n) else "",
                feed_tag=f"T{n}-meter/{REGISTER}" if by_register(n) else "", feed_point="" if by_register(n) else f"F{n}",
                members=tuple(names[n * OF_A_GROUP:(n + 1) * OF_A_GROUP]),
            ) for n in range(groups)),
            *(BalanceGroup(
                f"S{n}", Medium.ELECTRICITY, feed_tag=f"S{n}-meter/{REGISTER}",
                members=tuple(f"G{one}" for one in range(n * OF_A_STREET, (n + 1) * OF_A_STREET)),
            ) for n in range(groups // OF_A_STREET)),
        ),
    )


def by_register(group: int) -> bool:
    return group % BY_REGISTER == 0


@attrs.frozen(eq=False)
class City:
    """A day of pulses as they were written: (blocks, 256, 24)."""

    counts: NDArray[np.int64]
    status: NDArray[np.uint8]
    registers: NDArray[np.int64]

    @classmethod
    def make(cls, groups: int) -> "City":
        meters = groups * OF_A_GROUP
        blocks = -(-(meters + groups) // SLOTS)
        day = Pulses.make().day(FIRST_DAY, np.arange(blocks))
        rng = np.random.default_rng(7)
        counts = day.counts.reshape(-1, 24).copy()
        status = np.zeros(counts.shape, np.uint8)
        some = rng.choice(meters, round(MISSING_HOURS * meters), replace=False)
        counts[some[:, None], rng.integers(0, 24, (len(some), 3))] = MISSING
        status[rng.random(status.shape) < DOUBTFUL_HOURS] = IntervalStatus.CLOCK_INVALID
        taken = np.where(counts == MISSING, 0, counts)[:meters].reshape(groups, OF_A_GROUP, 24).sum(axis=1)
        counts[meters:meters + groups] = taken * 21 // 20      # 5 % is lost on the way
        return cls(counts.reshape(blocks, SLOTS, 24), status.reshape(blocks, SLOTS, 24), day.registers)


def fill(folder: Path, groups: int, city: City) -> None:
    numbers = np.arange(len(city.counts))
    channels = groups * OF_A_GROUP + groups
    with ClosedHistory(folder) as history:
        whole = history.whole()
        whole.slots(np.full(channels, LINK), euis(channels), np.zeros(channels, np.uint8))
        whole.enter((
            WholeDay(FIRST_DAY, numbers[part], city.counts[part], city.registers[part], status=city.status[part])
            for part in (slice(start, start + AT_ONCE) for start in range(0, len(numbers), AT_ONCE))
        ), received=1)


def edges_of(groups: int, city: City) -> ResultRows:
    """Where the registers of feeds stood at full hours, as the follower of readings has them stored."""
    meters = groups * OF_A_GROUP
    feeds = city.counts.reshape(-1, 24)[meters:meters + groups]
    street = feeds.reshape(-1, OF_A_STREET, 24).sum(axis=1) * 101 // 100 if groups % OF_A_STREET == 0 else feeds[:0]
    with_register = [n for n in range(groups) if by_register(n)]
    names = [f"T{n}-meter/{REGISTER}" for n in with_register] + [f"S{n}-meter/{REGISTER}" for n in range(len(street))]
    readings = np.cumsum(np.concatenate([feeds[with_register], street]), axis=1) / 1000
    readings = np.concatenate([np.zeros((len(readings), 1)), readings], axis=1)
    hours = (FIRST + np.arange(25)) * HOUR_S
    table = ResultTable(np.tile(hours, len(names)), {
        "reading": readings.ravel(), "doubt": np.full(readings.size, register_edges.RESOLUTION),
    })
    return ResultRows(tuple(names), np.repeat(np.arange(len(names)), 25), table)


# ------------------------------------------------------------------------------------------------ the server
class Told:
    """The store as one who follows it sees it, whose news we tell: what is imported in whole blocks is told to nobody."""

    def __init__(self) -> None:
        self.tell: Callable[[News], None] = lambda news: None
        self.days = 0
        self.dealt_with = 0

    def follow(self, name: str, listener: Callable[[News], None]) -> "Told":
        self.tell = listener
        return self

    def since(self) -> int:
        return FIRST

    def older(self) -> "Deferred[None]":
        return succeed(None)

    def dealt(self, news: News) -> None:
        self.dealt_with = news.number

    def stop(self) -> None:
        self.tell = lambda news: None


class FixedRegistry:
    """A registry that does not change."""

    def __init__(self, site: Site) -> None:
        self.directory = Directory(site)

    def subscribe(self, listener: Callable[[Directory], None]) -> Callable[[], None]:
        return lambda: None


class Server:
    """Historian, metering and balancing as the composition root wires them."""

    def __init__(self, reactor: Any, selector: MeasuredSelector, folder: Path, groups: int) -> None:
        self._reactor, self._selector, self._folder, self._groups = reactor, selector, folder, groups
        self.city = City.make(groups)
        self.registry: Any = FixedRegistry(site_of(groups))
        self.clock = SiteClock(TimeMap(0, FIRST * HOUR_S * NS), real=lambda: 0)
        self.bus = TagBus(self.clock, reactor)
        self.historian = Historian(HistorianSettings(), folder, self.clock, reactor, self.bus)
        self.pool = ThreadPool(1, 4, "bench")
        self.told: Any = Told()
        self.news = 0

    async def run(self) -> dict[str, float]:
        fill(self.historian.directory, self._groups, self.city)
        self.pool.start()
        await self.historian.start()
        store, results = self.historian.intervals, self.historian.results
        await results.put_many(register_edges.KIND, HOUR_S, edges_of(self._groups, self.city))
        self._known_before()
        metering = MeteringService(self.registry, store, store, self.bus, self.clock, self._reactor, self.pool)
        self.service = BalancingService(
            self.registry, self.bus, self.bus, metering, store, self.told, self.historian.live, results, self.clock,
            self._reactor, self.pool, ZONE, self._folder,
        )
        await deferLater(self._reactor, 0)                  # what was made here so far was one long turn
        self._selector.take()
        began = time.perf_counter()
        await self.service.start()
        await self._idle()                                  # the day before, of which nothing is held
        said = {"first": time.perf_counter() - began, "before_mb": _peak_mb()}
        said["first_turn_ms"], said["first_turn_cpu_ms"] = self._selector.take()
        self.clock.map = TimeMap(0, (FIRST + 24) * HOUR_S * NS)
        self._selector.take()
        cpu = time.process_time()
        said["seconds"] = await self._tell()
        said["cpu"] = time.process_time() - cpu
        said["turn_ms"], said["turn_cpu_ms"] = self._selector.take()
        said["rss_mb"] = _peak_mb()
        said["again"] = await self._tell()
        said["complete"] = self._compare()
        await self.service.stop()
        await self.historian.stop()
        self.pool.stop()
        return said

    def _known_before(self) -> None:
        """The registry has been followed already: what a new group makes due of the past is another matter."""
        memory = Memory(self._folder / FILE)
        memory.open()
        directory = self.registry.directory
        memory.adopt([directory], FIRST, FIRST)
        memory.computed(tuple(directory.balance_group), (0, EVER))
        memory.reached(FIRST - 1)
        memory.close()

    async def _tell(self) -> float:
        """The day's news; how long it takes until all of it is dealt with."""
        slots = np.arange(self._groups * (OF_A_GROUP + 1))
        self.news += 1
        marks = tuple(Mark(part, FIRST, 24) for part in np.split(slots, slots[OF_A_CONCENTRATOR::OF_A_CONCENTRATOR]))
        began = time.perf_counter()
        self.told.tell(News(self.news, marks))
        await self._idle()
        return time.perf_counter() - began

    async def _idle(self) -> None:
        """Nothing waits any more."""
        ends = time.monotonic() + PATIENCE_S
        hour = self.clock.hour()
        await deferLater(self._reactor, 2 * SETTLE_S if self.news == 0 else 0)
        while self.service._due or self.told.dealt_with < self.news or self.service._memory.hour != hour:
            if time.monotonic() > ends or not next(iter(self.service.health())).ok:
                raise ScadaError("the balances of the city were not finished")
            await deferLater(self._reactor, 0.02)

    def _compare(self) -> float:
        """Some balances against sums of what was written; the share of complete ones among them all."""
        counts = self.city.counts.reshape(-1, 24)
        meters = self._groups * OF_A_GROUP
        for group in range(self._groups):
            if group % 97 and group not in (0, self._groups - 1):
                continue
            table = self.service.table(f"G{group}", HOUR_S, FIRST * HOUR_S, (FIRST + 24) * HOUR_S)
            taken = counts[group * OF_A_GROUP:(group + 1) * OF_A_GROUP]
            there = taken != MISSING
            feed, members = counts[meters + group] / 1000, np.where(there, taken, 0).sum(axis=0) / 1000
            if not (
                np.allclose(table.columns["members"], members, rtol=1e-12)
                and np.allclose(table.columns["feed"], feed, rtol=1e-9)
                and np.allclose(table.columns["completeness"], there.mean(axis=0))
                and np.array_equal(np.isnan(table.columns["imbalance"]), ~there.all(axis=0))
            ):
                raise ScadaError(f"the balance of G{group} is not that of what was imported")
        street = self.service.table("S0", HOUR_S, FIRST * HOUR_S, (FIRST + 24) * HOUR_S)
        below = counts[meters:meters + OF_A_STREET].sum(axis=0) / 1000
        if self._groups >= OF_A_STREET and not np.allclose(street.columns["members"], below, rtol=1e-9):
            raise ScadaError("the balance of a street is not the sum of what feeds the groups in it")
        there = counts[:meters].reshape(self._groups, OF_A_GROUP, 24) != MISSING
        return float(there.all(axis=1).mean())


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: Path, groups: int) -> None:
    from scada import loop

    selector = loop.install()
    from twisted.internet import reactor as installed

    reactor: Any = installed
    sys.setswitchinterval(0.0002)
    said: list[dict[str, float] | Failure] = []

    def ended(one: Any) -> None:
        said.append(one)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(Server(reactor, selector, folder, groups).run()).addBoth(ended))
    reactor.run()
    if isinstance(said[0], Failure):
        said[0].raiseException()
    print(json.dumps(said[0]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
