"""The commands in memory, and the journal that follows them: changed at once here, on disk a moment later.

Only a new command waits for the disk; the desk sends nothing before that. What happens to it afterwards is written
in the background, one command at a time and always in its newest state, and is asked about again after a crash.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from scada.dr_dispatch.command import Command
from scada.dr_dispatch.heavy import LARGE
from scada.dr_dispatch.journal import Journal
from scada.dr_dispatch.roll import Roll
from scada.errors import StorageError

NEWEST: Final = 100                     # finished commands kept in memory in any case

T = TypeVar("T")


class Reactor(Protocol):
    """The part of a Twisted reactor that the desk needs."""

    def callLater(self, delay: float, function: Callable[[], Any]) -> Any: ...

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None: ...


class Book:
    log = Logger()

    def __init__(self, path: Path, reactor: Reactor, pool: ThreadPool) -> None:
        self._journal, self._pool = Journal(path), pool
        self._reactor: Any = reactor                        # twisted's own type asks for more than it needs
        self._commands: OrderedDict[bytes, Command] = OrderedDict()     # oldest first
        self._of_selection: dict[str, bytes] = {}
        self._dirty: dict[bytes, None] = {}                 # ordered
        self._disk = DeferredLock()
        self._closing = False
        self.trouble = ""                                   # what keeps the journal from being written, "" = nothing
        self.failures = 0

    # ---------------------------------------------------------------------- disk
    async def open(self, since: int) -> tuple[Command, ...]:
        """Open the journal and remember what still matters: commands since `since` [ns], the newest, and all live ones."""
        await self._in_thread(self._journal.open)
        known = await self._in_thread(partial(self._journal.load, since, NEWEST))
        for command in known:
            self._remember(command)
        return known

    def close(self) -> "Deferred[None]":
        """Write what is left, then close."""
        self._closing = True
        return self._disk.run(self._finish)

    async def add(self, command: Command) -> None:
        """Make a new command durable, then remember it. Raises `StorageError`, and then the command does not exist."""
        try:
            await self._disk.run(self._in_thread, partial(self._journal.save, command))
        except StorageError as error:
            self._failed(error)
            raise
        self.trouble = ""
        self._remember(command)
        self.write()                                        # what came while the disk was ours

    async def prepare(self, roll: Roll) -> None:
        """Write what will not change of a command that a person may make soon; where that fails, it is written then."""
        if len(roll) > LARGE:
            with contextlib.suppress(StorageError):
                await self._disk.run(self._in_thread, partial(self._journal.prepare, roll))
            self.write()

    async def keep(self, identity: bytes) -> None:
        """Make a command durable as it is now, before going on. Raises `StorageError`."""
        try:
            await self._disk.run(lambda: self._in_thread(partial(self._journal.save, self._commands[identity])))
        except StorageError as error:
            self._dirty[identity] = None
            self._failed(error)
            raise
        self.trouble = ""
        self.write()

    async def prune(self, before: int) -> int:
        """Delete a few commands from disk that are over and older than a time [ns]. Raises `StorageError`."""
        gone = await self._disk.run(self._in_thread, partial(self._journal.prune, before))
        self.write()
        return gone

    async def of_selection(self, selection: str) -> Command | None:
        """The command a selection has become, however long ago."""
        identity = self._of_selection.get(selection)
        if identity is not None:
            return self._commands[identity]
        found = await self._disk.run(self._in_thread, partial(self._journal.of_selection, selection))
        self.write()
        return found

    def write(self) -> None:
        """Begin to write what has changed; a failure is kept for the next call."""
        if self._dirty and not self._disk.locked and not self._closing:
            self._disk.run(Deferred.fromCoroutine, self._flush())

    @property
    def unwritten(self) -> int:
        """Commands of which something is not on disk yet."""
        return len(self._dirty) + bool(self._disk.locked)

    # -------------------------------------------------------------------- memory
    def get(self, identity: bytes) -> Command | None:
        return self._commands.get(identity)

    def named(self, command_id: str) -> Command | None:
        """By the name a person or another program uses; anything may come from there."""
        try:
            return self._commands.get(bytes.fromhex(command_id))
        except ValueError:
            return None

    def put(self, command: Command) -> bool:
        """Replace a command by its newer state; False if nothing is new."""
        if self._commands[command.id] == command:
            return False
        self._commands[command.id] = command
        self._dirty[command.id] = None
        self.write()
        return True

    def all(self) -> tuple[Command, ...]:
        """Oldest first."""
        return tuple(self._commands.values())

    def live(self) -> tuple[Command, ...]:
        return tuple(command for command in self._commands.values() if command.live)

    def restores(self, identity: bytes) -> tuple[Command, ...]:
        """The restores that end a command: its own, and any later one of its group, because a module obeys it for all."""
        own = self._commands.get(identity)
        return tuple(
            one for one in self._commands.values()
            if one.restores == identity
            or (own is not None and not own.restores and one.restores and one.number == own.number and one.made >= own.made)
        )

    def ended_by(self, restore: Command) -> tuple[Command, ...]:
        """The commands that a restore ends."""
        return tuple(
            one for one in self._commands.values()
            if not one.restores and one.number == restore.number and one.live and one.made <= restore.made
        )

    def forget(self, before: int) -> None:
        """Drop finished commands made before a time [ns] from memory, except the newest; the journal keeps them."""
        spare = len(self._commands) - NEWEST
        for command in self.all()[: max(0, spare)]:
            if command.made < before and not command.live and command.id not in self._dirty:
                del self._commands[command.id]
                del self._of_selection[command.selection]

    # ------------------------------------------------------------------- private
    def _remember(self, command: Command) -> None:
        self._commands[command.id] = command
        self._of_selection[command.selection] = command.id

    async def _flush(self) -> None:
        while self._dirty:
            identity = next(iter(self._dirty))
            del self._dirty[identity]
            command = self._commands[identity]
            try:
                await self._in_thread(partial(self._journal.save, command))
                self.trouble = ""
            except StorageError as error:
                self._dirty[identity] = None
                self._failed(error)
                return

    def _finish(self) -> "Deferred[None]":
        async def finish() -> None:
            await self._flush()
            await self._in_thread(self._journal.close)

        return Deferred.fromCoroutine(finish())

    def _failed(self, error: StorageError) -> None:
        if not self.trouble:
            self.log.error("{error}", error=str(error))
        self.trouble = str(error)
        self.failures += 1

    def _in_thread(self, job: Callable[[], T]) -> "Deferred[T]":
        return deferToThreadPool(self._reactor, self._pool, job)
