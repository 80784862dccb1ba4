"""What all links bring in one turn of the loop: decoded together, stored as one batch, acknowledged link by link.

A record holds some twenty channels. Taken one by one, the calls cost several times what they do; a turn's records
together cost little more than one of them. Nothing waits here longer than that turn, nor more than `MOST` records or
`MOST_CELLS` intervals: a few hundred bytes may inflate to seventy thousand.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.clock import DAY_H, SiteClock
from scada.drivers.dmesh.archive import FIRST_YEAR_H, LAST_YEAR_H, ArchiveIntake, Durable, Figures, Record, Sheaf
from scada.drivers.dmesh.held import Held, Load
from scada.drivers.dmesh.profile import MAX_CELLS, Key
from scada.drivers.dmesh.profile_decode import Profiles, decode_many
from scada.errors import DataRejected, StorageBusy
from scada.intervals import HOURLY, MISSING, IntervalBatch
from scada.ports import IntervalStore
from scada.timers import cancel

MOST: Final = 64                        # records that are put together,
MOST_CELLS: Final = 262_144             # their intervals of all channels: some milliseconds of a turn, and 3 MB,
MOST_DAYS: Final = 256                  # and the days of all records of a batch: the store opens each of them
_log = Logger()


class Harvest:
    """One for all links."""

    def __init__(
        self, store: IntervalStore, clock: SiteClock, reactor: Any, figures: Figures,
        on_durable: Durable = lambda slots, first, counts, interval_s: None,
    ) -> None:
        self._store, self._clock, self._reactor, self._figures = store, clock, reactor, figures
        self._on_durable = on_durable
        self._sheaves: list[Sheaf] = []
        self._cells = 0
        self._next: Any = None
        self._held = Held(reactor, self._commit)

    @property
    def waiting(self) -> int:
        """Batches that the store has no room for at the moment."""
        return len(self._held)

    def bring(self, sheaf: Sheaf) -> None:
        cells = _cells(sheaf.block)
        if self._cells + cells > MOST_CELLS:
            self.gather()
        self._sheaves.append(sheaf)
        self._cells += cells
        if len(self._sheaves) >= MOST:
            self.gather()
        elif self._next is None:
            self._next = self._reactor.callLater(0, self.gather)

    def stop(self) -> None:
        """What came last is on its way to the store, and no timer is left."""
        self.gather()
        self._held.stop()

    def gather(self) -> None:
        """Store what is here."""
        cancel(self._next)
        self._next = None
        sheaves, self._sheaves, self._cells = self._sheaves, [], 0
        tables: list[Profiles] = []
        with _apart(sheaves):
            tables, refused = decode_many([one.block for one in sheaves])
            _alone(sheaves[place] for place in refused)
        for table in tables:
            of_table = [sheaves[place] for place in table.places.tolist()]
            with _apart(of_table):
                self._store_table(table, of_table)

    def _store_table(self, table: Profiles, sheaves: list[Sheaf]) -> None:
        """Blocks of one shape, in batches of so many days as the store takes at once."""
        euis, bad = self._owners(table, sheaves)
        most = MOST_DAYS // -(-table.counts.shape[1] * table.interval_s // (DAY_H * HOURLY))
        if len(sheaves) <= most and not bad.any():          # as it usually is, and quicker
            self._store_batch(table, euis, sheaves)
            return
        good = np.flatnonzero(~bad)
        for begin in range(0, len(good), most):
            places = good[begin:begin + most]
            others = np.ones(len(sheaves), np.bool_)
            others[places] = False
            rows = np.repeat(~others, table.sizes)
            self._store_batch(table.without(others), euis[rows], [sheaves[place] for place in places.tolist()])
        _alone(sheaves[place] for place in np.flatnonzero(bad).tolist())

    def _store_batch(self, table: Profiles, euis: NDArray[np.uint64], sheaves: list[Sheaf]) -> None:
        h = table.counts.shape[1]
        batch = IntervalBatch(
            table.sizes, table.first_hour * HOURLY // table.interval_s,
            tuple(one.intake.provenance(one.number) for one in sheaves),
            euis, table.channel, table.counts, table.register, table.status, self._clock.now(), table.interval_s,
        )
        ends = (table.first_hour + h * table.interval_s // HOURLY).tolist()
        self._commit(Load(batch, sheaves, ends, self._reactor.seconds()))

    def _commit(self, load: Load) -> None:
        written = maybeDeferred(self._store.commit_batch, load.batch)
        written.addCallbacks(self._kept, self._failed, callbackArgs=(load,), errbackArgs=(load,))
        written.addErrback(lambda failure: _log.failure("what a batch was followed by", failure))

    def _owners(self, table: Profiles, sheaves: list[Sheaf]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """The EUI of every row, and the blocks that are not as usual."""
        euis = np.zeros(len(table.index), dtype=np.uint64)
        starts, generations = table.starts, table.generation.tolist()
        ends = (starts + table.sizes).tolist()
        for start, end, generation, sheaf in zip(starts.tolist(), ends, generations, sheaves, strict=True):
            modules = sheaf.intake.modules(generation) if generation else sheaf.current
            if modules is not None:
                euis[start:end] = modules.euis[table.index[start:end]]
        bad = np.logical_or.reduceat(euis == 0, starts)
        last = table.first_hour - (-table.counts.shape[1] * table.interval_s // HOURLY)
        bad |= (table.first_hour < FIRST_YEAR_H) | (last > LAST_YEAR_H)
        if self._clock.trusted():
            bad |= last > self._clock.hour() + DAY_H
        return euis, bad

    def _kept(self, slots: NDArray[np.int64], load: Load) -> None:
        batch = load.batch
        try:
            for first, rows in batch.rows_by_first():
                self._on_durable(slots[rows], first, batch.counts[rows], batch.interval_s)
        except Exception:                               # a bug of who listens: it is durable all the same
            _log.failure("listener of what is durable")
        self._figures.blocks += len(load.sheaves)
        self._figures.readings += int(np.count_nonzero(batch.counts != MISSING))
        of_intake: dict[ArchiveIntake, list[Record]] = {}
        for sheaf, end_hour in zip(load.sheaves, load.end_hours, strict=True):
            of_intake.setdefault(sheaf.intake, []).append(sheaf.record)
            sheaf.intake.reached(end_hour)
        for intake, records in of_intake.items():
            if not _told(partial(intake.kept, records)):
                _told(partial(intake.failed, Failure(RuntimeError("unacknowledged"))))

    def _failed(self, failure: Failure, load: Load) -> None:
        """One record that cannot be stored must not cost the others: each is told by itself what is wrong with it."""
        if failure.check(StorageBusy) and self._held.take(load):
            return
        if failure.check(DataRejected):
            _alone(load.sheaves)
            return
        for intake in dict.fromkeys(sheaf.intake for sheaf in load.sheaves):
            _told(partial(intake.failed, failure))


def _told(tell: Callable[[], None]) -> bool:
    """Whether one link's end took the news; what it makes of it must not keep the news from the others."""
    try:
        tell()
    except Exception:
        _log.failure("a concentrator was not told what became of its records")
        return False
    return True


def _alone(sheaves: Iterable[Sheaf]) -> None:
    for sheaf in sheaves:
        sheaf.intake.go_alone(sheaf)


@contextmanager
def _apart(sheaves: Sequence[Sheaf]) -> Iterator[None]:
    """A bug that one of the records wakes is that one's affair: each goes by itself. Taking one twice harms nothing."""
    try:
        yield
    except Exception:
        _log.failure("records could not be taken together")
        _alone(sheaves)


def _cells(block: object) -> int:
    """Intervals of all channels of a block, as it says; 0 for nonsense, which is refused before it is inflated."""
    if not isinstance(block, dict):
        return 0
    h, modules = block.get(Key.INTERVALS), block.get(Key.MODULES)
    if type(h) is not int or type(modules) is not bytes:
        return 0
    cells = h * (len(modules) // 2)
    return cells if 0 < cells <= MAX_CELLS else 0
