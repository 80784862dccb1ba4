"""The reads in memory, and the journal that follows them: changed at once here, on disk a moment later.

Whatever is to be sent waits until the state that says so is on disk, and so does the acknowledgement of what came.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from scada.errors import StorageError
from scada.reading import queue
from scada.reading.journal import Journal
from scada.reading.machine import Action
from scada.reads import OVER, ReadShare, ReadTask

MOST_OPEN: Final = 500                  # tasks that are not over; beyond it requests are refused with the reason
NEWEST: Final = 1000                    # finished tasks in memory; the journal keeps more
T = TypeVar("T")


class Book:
    """`ask` is called when an order may leave, `changed` whenever a task has changed."""

    log = Logger()

    def __init__(
        self, path: Path, reactor: Any, pool: ThreadPool, ask: Callable[[str, bytes], None], changed: Callable[[str], None]
    ) -> None:
        self._journal, self._reactor, self._pool = Journal(path), reactor, pool
        self._ask, self._changed = ask, changed
        self.tasks: OrderedDict[str, ReadTask] = OrderedDict()          # oldest first
        self._of_key: dict[tuple[str, str], str] = {}
        self._open: dict[int, dict[bytes, str]] = {}                    # link id -> read id -> task, of shares not over
        self._task_of: dict[bytes, str] = {}                            # read id -> task, of tasks in memory
        self._dirty: dict[bytes, str] = {}
        self._to_ask: dict[bytes, str] = {}
        self._owed: list[Deferred[None]] = []                           # who waits for what is dirty
        self._disk = DeferredLock()
        self.fault = ""                                                 # what keeps the journal from being written

    # ---------------------------------------------------------------------- disk
    async def open(self) -> tuple[ReadTask, ...]:
        """What the journal holds of today's interest, oldest first; whoever asked takes it in with `remember`."""
        await self._in_thread(self._journal.open)
        return await self._in_thread(partial(self._journal.load, NEWEST))

    def close(self) -> "Deferred[None]":
        """Write what is left, then close."""
        return self._disk.run(lambda: Deferred.fromCoroutine(self._finish()))

    async def add(self, task: ReadTask) -> None:
        """Make a new task durable, then remember it. Raises `StorageError`, and then the task does not exist."""
        await self._disk.run(self._in_thread, partial(self._journal.save, [(task, task.shares)]))
        self.remember(task)
        self.write()                                        # what came while the disk was ours

    async def of_key(self, actor: str, key: str) -> ReadTask | None:
        """The task that a person's key has become, however long ago."""
        task_id = self._of_key.get((actor, key))
        if task_id is not None:
            return self.tasks[task_id]
        return await self._disk.run(self._in_thread, partial(self._journal.of_key, actor, key))

    def durable(self, read_id: bytes) -> "Deferred[None]":
        """Fires when the share is on disk as it is now; fails with `StorageError`."""
        if read_id not in self._dirty and not self._disk.locked:
            return succeed(None)
        owed: Deferred[None] = Deferred()
        self._owed.append(owed)
        self._dirty.setdefault(read_id, self._task_of[read_id])
        self.write()
        return owed

    def write(self) -> None:
        """Begin to write what has changed; a failure is kept for the next call."""
        if self._dirty and not self._disk.locked:
            self._disk.run(lambda: Deferred.fromCoroutine(self._flush()))

    # -------------------------------------------------------------------- memory
    def remember(self, task: ReadTask) -> None:
        self.tasks[task.id] = task
        if task.key:
            self._of_key[task.actor, task.key] = task.id
        for share in task.shares:
            self._task_of[share.read_id] = task.id
            if not share.over:
                self._open.setdefault(share.link_id, {})[share.read_id] = task.id
        self._changed(task.id)
        if len(self.tasks) > NEWEST + MOST_OPEN:
            self._forget()

    def put(self, task_id: str, share: ReadShare, actions: Sequence[Action] = (), *, durable: bool = True) -> None:
        """Replace a share; what is only reckoned (`durable=False`) need not be written."""
        self.tasks[task_id] = queue.with_share(self.tasks[task_id], share)
        if share.over:
            of_link = self._open.get(share.link_id, {})
            of_link.pop(share.read_id, None)
            if not of_link:
                self._open.pop(share.link_id, None)
        if Action.ASK in actions:
            self._to_ask[share.read_id] = task_id
        if durable:
            self._dirty[share.read_id] = task_id
        self._changed(task_id)
        self.write()

    def owner(self, read_id: bytes) -> str | None:
        """The task that a read id of the field belongs to."""
        return self._task_of.get(read_id)

    def share(self, task_id: str, read_id: bytes) -> ReadShare:
        return next(share for share in self.tasks[task_id].shares if share.read_id == read_id)

    def links(self) -> tuple[int, ...]:
        """Concentrators with open shares."""
        return tuple(self._open)

    def open_at(self, link_id: int) -> list[tuple[ReadTask, ReadShare]]:
        """Open shares of one concentrator, with their tasks."""
        shares = self._open.get(link_id, {})
        return [(self.tasks[task_id], self.share(task_id, read_id)) for read_id, task_id in shares.items()]

    def open_tasks(self) -> int:
        return len({task_id for shares in self._open.values() for task_id in shares.values()})

    # ------------------------------------------------------------------- private
    def _forget(self) -> None:
        for task in tuple(self.tasks.values())[: len(self.tasks) - NEWEST - MOST_OPEN]:
            if task.state in OVER and not any(share.read_id in self._dirty for share in task.shares):
                del self.tasks[task.id]
                self._of_key.pop((task.actor, task.key), None)
                for share in task.shares:
                    self._task_of.pop(share.read_id, None)

    async def _flush(self) -> None:
        while self._dirty:
            dirty, self._dirty = self._dirty, {}
            asks, self._to_ask = self._to_ask, {}
            owed, self._owed = self._owed, []
            by_task: dict[str, list[ReadShare]] = {}
            for read_id, task_id in dirty.items():
                by_task.setdefault(task_id, []).append(self.share(task_id, read_id))
            items = [(self.tasks[task_id], shares) for task_id, shares in by_task.items()]
            try:
                await self._in_thread(partial(self._journal.save, items))
            except StorageError as error:
                self._dirty, self._to_ask = dirty | self._dirty, asks | self._to_ask
                if not self.fault:
                    self.log.error("{error}", error=str(error))
                self.fault = str(error)
                for one in owed:
                    one.errback(error)
                return
            self.fault = ""
            for one in owed:
                one.callback(None)
            for read_id, task_id in asks.items():
                self._ask(task_id, read_id)

    async def _finish(self) -> None:
        await self._flush()
        await self._in_thread(self._journal.close)

    def _in_thread(self, job: Callable[[], T]) -> "Deferred[T]":
        return deferToThreadPool(self._reactor, self._pool, job)
