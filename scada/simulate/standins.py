"""What a head-end in one process has in the place of a database and of threads: the site, the work, the store's count."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from scada.errors import NotKept
from scada.historian.store import EmbeddedIntervals
from scada.ports import ResultRows, ResultTable, TagHistory
from scada.series import Instant
from scada.site import Directory, JoinedModule, Module, ModuleState, Site
from scada.tags import Quality

Listener = Callable[[Directory], None]


class SiteBook:
    """A registry in memory: what exists is given; what joins is noted and adopted by nobody."""

    def __init__(self, site: Site) -> None:
        self._directory = Directory(site)
        self._listeners: list[Listener] = []
        self.joined: list[JoinedModule] = []

    @property
    def directory(self) -> Directory:
        return self._directory

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def module_joined(self, modules: Sequence[JoinedModule]) -> "Deferred[tuple[Module, ...]]":
        self.joined += modules
        return succeed(())

    def set_module_states(self, states: Mapping[int, str]) -> "Deferred[None]":
        site = self._directory.site
        modules = tuple(
            attrs.evolve(one, state=ModuleState(states[one.eui])) if one.eui in states else one for one in site.modules
        )
        self.replace(attrs.evolve(site, modules=modules))
        return succeed(None)

    def replace(self, site: Site) -> None:
        """Somebody changed it."""
        self._directory = Directory(attrs.evolve(site, generation=self._directory.site.generation + 1))
        for listener in tuple(self._listeners):
            listener(self._directory)


class Inline:
    """A thread pool without threads: the work is done when it is asked for."""

    def callInThreadWithCallback(
        self, on_result: Callable[[bool, Any], None], work: Callable[..., Any], *args: Any, **named: Any
    ) -> None:
        try:
            result = work(*args, **named)
        except Exception:                                   # as in a thread: whoever asked is told
            on_result(False, Failure())
        else:
            on_result(True, result)


class Counted:
    """The interval store; it tells what is durable all at once and in order, however its thread groups it."""

    def __init__(self, store: EmbeddedIntervals) -> None:
        self.store = store
        self._given: list[tuple[Deferred[Any], list[Any]]] = []

    @property
    def under_way(self) -> int:
        """What is not durable yet."""
        return len(self._given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def commit(self, block: Any) -> "Deferred[Any]":
        return self._count(self.store.commit(block))

    def commit_batch(self, batch: Any) -> "Deferred[Any]":
        return self._count(self.store.commit_batch(batch))

    def quarantine(self, block: Any) -> "Deferred[Any]":
        return self._count(self.store.quarantine(block))

    def pass_gap(self, provenance: Any, received: int) -> "Deferred[Any]":
        return self._count(self.store.pass_gap(provenance, received))

    def _count(self, deferred: "Deferred[Any]") -> "Deferred[Any]":
        told: Deferred[Any] = Deferred()
        self._given.append((told, done := []))

        def durable(outcome: Any) -> None:
            done.append(outcome)
            if all(finished for _, finished in self._given):
                given, self._given = self._given, []
                for one, (result,) in given:
                    one.callback(result)

        deferred.addBoth(durable)
        return told


class NoHistory:
    """The history of live tags, of which there is none."""

    def read(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        nothing = np.empty(0)
        return TagHistory(nothing.astype(np.int64), nothing, nothing.astype(np.uint8))

    def at(self, tags: Sequence[str], instant: int, back: int) -> Instant:
        return Instant(
            np.zeros(len(tags), np.int64), np.full(len(tags), np.nan), np.full(len(tags), Quality.BAD_WAITING, np.uint8)
        )


class ResultsBook:
    """What analytics computed, in memory."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, int], dict[int, dict[str, float]]] = {}

    def put(self, kind: str, name: str, span_s: int, table: ResultTable) -> "Deferred[None]":
        rows = self._rows.setdefault((kind, name, span_s), {})
        for place, start in enumerate(table.start.tolist()):
            rows[start] = {column: float(values[place]) for column, values in table.columns.items()}
        return succeed(None)

    def put_many(self, kind: str, span_s: int, rows: ResultRows) -> "Deferred[None]":
        for place, name in enumerate(rows.names):
            self.put(kind, name, span_s, rows.of(place))
        return succeed(None)

    def get_many(
        self, kind: str, names: Sequence[str], span_s: int, first: int, last: int, as_of: int | None = None
    ) -> ResultRows:
        return ResultRows.joined(names, [self.get(kind, name, span_s, first, last) for name in names])

    def get(
        self, kind: str, name: str, span_s: int, first: int, last: int, as_of: int | None = None
    ) -> ResultTable:
        if as_of is not None:
            raise NotKept(None)
        rows = self._rows.get((kind, name, span_s), {})
        starts = sorted(one for one in rows if first <= one < last)
        columns = {column: np.array([rows[one][column] for one in starts]) for column in rows[starts[0]]} if starts else {}
        return ResultTable(np.array(starts, dtype=np.int64), columns)


def run_now(function: Callable[..., Any], *args: Any) -> "Deferred[Any]":
    """Instead of in a thread."""
    return succeed(function(*args))
