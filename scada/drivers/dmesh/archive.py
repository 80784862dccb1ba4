"""PROFILE intake of one link: every record is durable, or durably in quarantine, before it is acknowledged, in order.

At most `credit` records wait here. A block of the usual kind goes the quick way, with those of all other links
(`harvest`); one whose module list is not known yet, that follows a gap or that cannot be used goes by itself.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.clock import DAY_H, SiteClock
from scada.drivers.dmesh import profile_decode
from scada.drivers.dmesh.link import Link
from scada.drivers.dmesh.messages import ArchAck
from scada.drivers.dmesh.modules import ModuleBook, Modules
from scada.drivers.dmesh.numbers import Reason
from scada.drivers.dmesh.profile import Profile
from scada.drivers.dmesh.rejected import Rejected
from scada.errors import DataRejected, LinkError, StorageError
from scada.intervals import HOURLY, MISSING, IntervalBlock, Provenance, Quarantined
from scada.ports import IntervalStore

Durable = Callable[[NDArray[np.int64], int, NDArray[np.int64], int], None]     # slots, first interval, pulses, interval_s
FIRST_YEAR_H: Final = 262_968           # 2000-01-01T00Z: no pulse module is older
log = Logger()
STORAGE_RETRY_S: Final = 30             # a concentrator is asked to come back after this when nothing can be stored


@attrs.define
class Figures:
    """Counters over all links, since start."""

    blocks: int = 0
    readings: int = 0                   # intervals delivered, missing ones not counted
    quarantined: int = 0
    duplicates: int = 0                 # records that were here already
    lost_records: int = 0               # overwritten in the concentrator before they could be fetched
    storage_failures: int = 0
    storing: bool = True                # False from a failed commit until one succeeds


@attrs.define(eq=False)
class Record:
    """One record under way."""

    number: int
    done: bool = False


@attrs.define(eq=False)
class Sheaf:
    """One record that may go with others."""

    intake: "ArchiveIntake"
    number: int
    block: object
    body: bytes
    record: Record


class Harvester(Protocol):
    """Keeps the usual records of all links together; what it cannot take, `go_alone`."""

    def bring(self, sheaf: Sheaf) -> None:
        """Take one; its intake is told when it is durable."""


def to_interval_block(decoded: Profile, modules: Modules, provenance: Provenance, received: int) -> IntervalBlock:
    """The block in the store's terms; rows of indices that nobody owns must have been taken out before."""
    return IntervalBlock(
        eui=modules.euis[decoded.index],
        channel=decoded.channel,
        first=decoded.first,
        counts=decoded.counts,
        register=decoded.register,
        status=decoded.status,
        provenance=provenance,
        received=received,
        interval_s=decoded.interval_s,
    )


def fault(decoded: Profile, modules: Modules | None, now_hour: int | None) -> str:
    """Why a well-formed block cannot be stored; "" if it can. `now_hour` is None where our own time is not trusted."""
    end = decoded.first_hour + -(-decoded.counts.shape[1] * decoded.interval_s // HOURLY)
    if decoded.first_hour < FIRST_YEAR_H:
        return "its hours lie before the year 2000"
    if now_hour is not None and end > now_hour + DAY_H:
        return "its hours lie more than a day in the future"
    if modules is None:
        return f"the concentrator has no module list of generation {decoded.generation} any more"
    if not modules.euis[decoded.index].all():
        return f"an index that the module list of generation {modules.generation} does not hold"
    return ""


class ArchiveIntake:
    """The archive of one session."""

    def __init__(
        self, link: Link, book: ModuleBook, store: IntervalStore, clock: SiteClock, cursor: int, credit: int,
        figures: Figures, on_commit: Callable[[int], None] = lambda end_hour: None,
        on_durable: Durable = lambda slots, first, counts, interval_s: None, harvest: "Harvester | None" = None,
    ) -> None:
        self._link, self._book, self._store, self._clock = link, book, store, clock
        self._credit, self._figures, self._on_commit = credit, figures, on_commit
        self._on_durable, self._harvest = on_durable, harvest
        self._archive = link.hello.archive_id
        self.cursor = cursor                                # as READY told it
        self._taken = self._told = self.cursor
        self._oldest, self._newest = link.hello.oldest, link.hello.newest
        self._waiting: deque[Record] = deque()
        self.answering = 0                                  # records that were asked for and are under way
        self._halted = False

    @property
    def waiting(self) -> int:
        """Records that are not acknowledged yet."""
        return len(self._waiting)

    def take(self, number: int, block: object, body: bytes) -> None:
        """One PROFILE that moves the cursor."""
        lost = self._admit(number)
        if lost == 0 and self._harvest is not None:
            self._harvest.bring(Sheaf(self, number, block, body, self._waiting[-1]))
        elif lost is not None:
            self._go(self._keep(number, block, body, lost), self._waiting[-1])

    def refuse(self, number: int, reason: str, body: bytes) -> None:
        """A record of a kind that cannot be used: kept as evidence, then acknowledged like any other."""
        lost = self._admit(number)
        if lost is not None:
            self._go(self._set_aside(number, reason, body, lost), self._waiting[-1])

    def _admit(self, number: int) -> int | None:
        """How many records before it are lost for ever; None for one that is not to be taken now."""
        if self._halted:
            return None
        if number <= self._taken:
            self._figures.duplicates += 1
            if not self._waiting:
                self._acknowledge()
            return None
        if len(self._waiting) >= self._credit:
            self._halt(Reason.PROTOCOL, f"more than {self._credit} unacknowledged records")
            return None
        if number != self._taken + 1 and number != max(self._taken + 1, self._oldest):
            if not self._link.connection.repeats:           # there a frame may be lost: it comes again with those behind it
                self._halt(Reason.PROTOCOL, f"record {number} after {self._taken}")
            return None
        lost, self._taken = number - self._taken - 1, number
        self._waiting.append(Record(number))
        return lost

    def _go(self, keep: Coroutine[Any, Any, None], record: Record) -> None:
        Deferred.fromCoroutine(keep).addCallbacks(lambda _: self.kept([record]), self.failed)

    def go_alone(self, sheaf: "Sheaf") -> None:
        """What the harvest cannot take: it is kept by itself, whatever it is."""
        self._go(self._keep(sheaf.number, sheaf.block, sheaf.body), sheaf.record)

    def take_answer(self, corr: int, block: object, body: bytes) -> None:
        """One PROFILE that was asked for: it is acknowledged by corr and moves no cursor."""
        if self._halted:
            return
        if self.answering >= self._credit:
            self._halt(Reason.PROTOCOL, f"more than {self._credit} unacknowledged answers")
            return
        self.answering += 1
        Deferred.fromCoroutine(self._keep(0, block, body)).addCallbacks(
            self._kept_answer, self.failed, callbackArgs=(corr,)
        )

    def moved(self, oldest: int, newest: int) -> None:
        """ARCH_STATUS: records below `oldest` were overwritten in the concentrator."""
        self._oldest, self._newest = max(self._oldest, oldest), max(self._newest, newest)

    @property
    def caught_up(self) -> bool:
        """Whether everything the concentrator said it has is here: nothing more comes by itself."""
        return not self._waiting and self.cursor >= self._newest

    def halt(self) -> None:
        """The link is gone: what is under way may still become durable, but nothing is acknowledged any more."""
        self._halted = True

    async def _keep(self, number: int, block: object, body: bytes, lost: int = 0) -> None:
        """Make one record durable, whatever it is."""
        provenance = await self._provenance(number, lost)
        decoded = profile_decode.decode(block)
        if isinstance(decoded, Rejected):
            await self._quarantine(provenance, decoded.detail, body)
            return
        try:
            modules = await self._book.of(decoded.generation)
        except DataRejected as problem:
            await self._quarantine(provenance, str(problem), body)
            return
        now_hour = self._clock.hour() if self._clock.trusted() else None
        if reason := fault(decoded, modules, now_hour):
            await self._quarantine(provenance, reason, body)
            return
        assert modules is not None
        try:
            kept = to_interval_block(decoded, modules, provenance, self._clock.now())
            mark = await self._store.commit(kept)
        except DataRejected as problem:                     # e.g. of the year 2300, while our own time is not trusted
            await self._quarantine(provenance, str(problem), body)
            return
        self._on_durable(mark.slots, kept.first, kept.counts, kept.interval_s)
        self._figures.blocks += 1
        self._figures.readings += int(np.count_nonzero(decoded.counts != MISSING))
        self.reached(decoded.first_hour + decoded.counts.shape[1] * decoded.interval_s // HOURLY)

    async def _set_aside(self, number: int, reason: str, body: bytes, lost: int) -> None:
        await self._quarantine(await self._provenance(number, lost), reason, body)

    async def _provenance(self, number: int, lost: int) -> Provenance:
        """Where a record stands; the cursor first passes the `lost` ones before it, which will never come."""
        provenance = self.provenance(number) if number else Provenance(self._link.link_id, 0, 0)
        if lost:
            await self._store.pass_gap(provenance, self._clock.now())
            self._figures.lost_records += lost
        return provenance

    async def _quarantine(self, provenance: Provenance, reason: str, body: bytes) -> None:
        await self._store.quarantine(Quarantined(provenance, reason, body, self._clock.now()))
        self._figures.quarantined += 1

    def modules(self, generation: int) -> Modules | None:
        """The module list of a generation where it is here already."""
        return self._book.held(generation)

    def provenance(self, number: int) -> Provenance:
        """Where a record of this archive stands."""
        return Provenance(self._link.link_id, self._archive, number)

    def reached(self, end_hour: int) -> None:
        """Hours up to this one are durable."""
        self._on_commit(end_hour)

    def kept(self, records: Iterable[Record]) -> None:
        """These are durable, or set aside: the cursor follows."""
        self._figures.storing = True
        for record in records:
            record.done = True
        moved = False
        while self._waiting and self._waiting[0].done:
            self.cursor = self._waiting.popleft().number
            moved = True
        # Records come and are kept in bursts: one acknowledgement for some of them, and one for whatever is the last.
        if moved and (not self._waiting or self.cursor - self._told >= self._credit // 2):
            self._acknowledge()

    def _kept_answer(self, _: None, corr: int) -> None:
        self.answering -= 1
        if not self._halted:
            self._link.send(ArchAck(self.cursor, self._credit), corr)

    def _acknowledge(self) -> None:
        if not self._halted:
            self._told = self.cursor
            self._link.send(ArchAck(self.cursor, self._credit))

    def failed(self, failure: Failure) -> None:
        """Something could not be stored: nothing behind it is acknowledged in this session."""
        if failure.check(LinkError):
            self._halt(Reason.PROTOCOL, "the module list did not come")      # the link may be down already: harmless
            return
        if failure.check(DataRejected):
            self._halt(Reason.PROTOCOL, failure.getErrorMessage(), STORAGE_RETRY_S)
            return
        if failure.check(StorageError):
            self._figures.storage_failures += 1
            self._figures.storing = False
        else:
            log.failure("{name}: a record could not be handled", failure, name=self._link.name)
        self._halt(Reason.STORAGE, "nothing can be stored at present", STORAGE_RETRY_S)

    def _halt(self, reason: Reason, text: str, retry_after: int = 0) -> None:
        if not self._halted:
            self._halted = True
            self._link.close(reason, text, retry_after)


