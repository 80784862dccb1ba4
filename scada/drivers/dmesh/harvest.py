"""What all links bring in one turn of the loop: decoded together, stored as one batch, acknowledged link by link.

A record holds some twenty channels. Taken one by one, the calls cost several times what they do; a turn's records
together cost little more than one of them. Nothing waits here longer than that turn, nor more than `MOST` records.
"""

from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.python.failure import Failure

from scada.clock import DAY_H, SiteClock
from scada.drivers.dmesh.archive import FIRST_YEAR_H, ArchiveIntake, Durable, Figures, Record, Sheaf
from scada.drivers.dmesh.profile_decode import Profiles, decode_many
from scada.errors import DataRejected
from scada.intervals import HOURLY, MISSING, IntervalBatch
from scada.ports import IntervalStore
from scada.timers import cancel

MOST: Final = 256                       # records that are put together


@attrs.frozen(eq=False)
class _Load:
    """A batch on its way to the disk, and who is to hear of it."""

    batch: IntervalBatch
    sheaves: Sequence[Sheaf]
    end_hours: list[int]


class Harvest:
    """One for all links."""

    def __init__(
        self, store: IntervalStore, clock: SiteClock, reactor: Any, figures: Figures,
        on_durable: Durable = lambda slots, first, counts, interval_s: None,
    ) -> None:
        self._store, self._clock, self._reactor, self._figures = store, clock, reactor, figures
        self._on_durable = on_durable
        self._sheaves: list[Sheaf] = []
        self._next: Any = None

    def bring(self, sheaf: Sheaf) -> None:
        self._sheaves.append(sheaf)
        if len(self._sheaves) >= MOST:
            self.gather()
        elif self._next is None:
            self._next = self._reactor.callLater(0, self.gather)

    def gather(self) -> None:
        """Store what is here."""
        cancel(self._next)
        self._next = None
        sheaves, self._sheaves = self._sheaves, []
        try:
            self._store_all(sheaves)
        except Exception:                               # a bug: the concentrators must not wait for it for ever
            _give_up(sheaves, Failure())

    def _store_all(self, sheaves: list[Sheaf]) -> None:
        tables, refused = decode_many([one.block for one in sheaves])
        for place in refused:
            sheaves[place].intake.go_alone(sheaves[place])
        for table in tables:
            self._store_table(table, [sheaves[place] for place in table.places.tolist()])

    def _store_table(self, table: Profiles, sheaves: list[Sheaf]) -> None:
        euis, bad = self._owners(table, sheaves)
        if bad.any():
            for place in np.flatnonzero(bad).tolist():
                sheaves[place].intake.go_alone(sheaves[place])
            if bad.all():
                return
            rows = np.repeat(~bad, table.sizes)
            table, euis = table.without(bad), euis[rows]
            sheaves = [one for one, wrong in zip(sheaves, bad.tolist(), strict=True) if not wrong]
        h = table.counts.shape[1]
        batch = IntervalBatch(
            table.sizes, table.first_hour * HOURLY // table.interval_s,
            tuple(one.intake.provenance(one.number) for one in sheaves),
            euis, table.channel, table.counts, table.register, table.status, self._clock.now(), table.interval_s,
        )
        ends = (table.first_hour + h * table.interval_s // HOURLY).tolist()
        load = _Load(batch, sheaves, ends)
        written = self._store.commit_batch(batch)
        written.addCallbacks(self._kept, self._failed, callbackArgs=(load,), errbackArgs=(load,))
        written.addErrback(lambda failure: _give_up(load.sheaves, failure))

    def _owners(self, table: Profiles, sheaves: list[Sheaf]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """The EUI of every row, and the blocks that are not as usual."""
        euis = np.zeros(len(table.index), dtype=np.uint64)
        starts, generations = table.starts, table.generation.tolist()
        ends = (starts + table.sizes).tolist()
        for start, end, generation, sheaf in zip(starts.tolist(), ends, generations, sheaves, strict=True):
            modules = sheaf.intake.modules(generation)
            if modules is not None:
                euis[start:end] = modules.euis[table.index[start:end]]
        bad = np.logical_or.reduceat(euis == 0, starts)
        bad |= table.first_hour < FIRST_YEAR_H
        if self._clock.trusted():
            last = table.first_hour - (-table.counts.shape[1] * table.interval_s // HOURLY)
            bad |= last > self._clock.hour() + DAY_H
        return euis, bad

    def _kept(self, slots: NDArray[np.int64], load: _Load) -> None:
        batch = load.batch
        for first, rows in batch.rows_by_first():
            self._on_durable(slots[rows], first, batch.counts[rows], batch.interval_s)
        self._figures.blocks += len(load.sheaves)
        self._figures.readings += int(np.count_nonzero(batch.counts != MISSING))
        of_intake: dict[ArchiveIntake, list[Record]] = {}
        for sheaf, end_hour in zip(load.sheaves, load.end_hours, strict=True):
            of_intake.setdefault(sheaf.intake, []).append(sheaf.record)
            sheaf.intake.reached(end_hour)
        for intake, records in of_intake.items():
            intake.kept(records)

    def _failed(self, failure: Failure, load: _Load) -> None:
        """One record that cannot be stored must not cost the others: each is told by itself what is wrong with it."""
        if failure.check(DataRejected):
            for sheaf in load.sheaves:
                sheaf.intake.go_alone(sheaf)
            return
        _give_up(load.sheaves, failure)


def _give_up(sheaves: Sequence[Sheaf], failure: Failure) -> None:
    for intake in dict.fromkeys(sheaf.intake for sheaf in sheaves):
        intake.failed(failure)
