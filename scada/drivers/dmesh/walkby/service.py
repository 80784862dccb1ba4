"""Walk-by import beside a running server: compares in the caller's thread, stores through the store's own door."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, DeferredLock, gatherResults

from scada.clock import SiteClock
from scada.commands import Actor
from scada.drivers.dmesh.walkby.merge import Pending, examine
from scada.intervals import IntervalBlock, Mark
from scada.ports import Audit, IntervalReader, IntervalStore, Registry, WalkbyExamination, WalkbyReport

BATCH: Final = 256                      # blocks handed to the store at once
PENDING_S: Final = 60.0                 # real time after which what was stored is surely readable


class WalkbyService:
    """Implements `ports.WalkbyImport`; `durable` hears of every block that no concentrator delivered."""

    def __init__(
        self, store: IntervalStore, reader: IntervalReader, registry: Registry, audit: Audit, clock: SiteClock,
        durable: Callable[[Mark, IntervalBlock], None] = lambda mark, block: None,
    ) -> None:
        self._store, self._reader, self._registry, self._audit, self._clock = store, reader, registry, audit, clock
        self._durable = durable
        self._lock = DeferredLock()
        self._recent: tuple[tuple[float, tuple[IntervalBlock, ...]], ...] = ()

    def examine(self, files: Sequence[tuple[str, bytes]]) -> WalkbyExamination:
        now_hour = self._clock.hour() if self._clock.trusted() else None
        since = self._clock.monotonic() - PENDING_S
        pending = Pending(block for at, blocks in self._recent if at >= since for block in blocks)
        return examine(files, self._reader, self._registry.directory, pending, now_hour, self._clock.now())

    def store(self, actor: Actor, examined: WalkbyExamination) -> "Deferred[WalkbyReport]":
        stored: Deferred[WalkbyReport] = self._lock.run(
            lambda: Deferred.fromCoroutine(self._put(actor, examined))
        )
        return stored

    async def _put(self, actor: Actor, examined: WalkbyExamination) -> WalkbyReport:
        report = examined.report
        await self._audit.append(actor, "walkby.import", ", ".join(report.files), **counts(report))
        for start in range(0, len(examined.blocks), BATCH):
            await gatherResults(
                [self._commit(block) for block in examined.blocks[start:start + BATCH]], consumeErrors=True
            ).addErrback(_first)
        now = self._clock.monotonic()
        self._recent = (
            *((at, blocks) for at, blocks in self._recent if at >= now - PENDING_S), (now, examined.blocks)
        )
        return attrs.evolve(report, stored=True)

    def _commit(self, block: IntervalBlock) -> "Deferred[Any]":
        return self._store.commit(block).addCallback(self._durable, block)


def counts(report: WalkbyReport) -> dict[str, int]:
    """What the audit keeps of an import."""
    return {
        "modules": report.modules, "hours": report.hours, "new": report.new, "known": report.known,
        "conflicts": report.conflicting, "unknown_modules": len(report.unknown), "problems": len(report.problems),
    }


def _first(failure: Any) -> Any:
    """gatherResults wraps what went wrong; people want the thing itself."""
    return getattr(failure.value, "subFailure", failure)
