"""The desk's entries in the audit: what was asked, why it was refused, how it ended."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from scada.commands import Actor
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.images import SYSTEM
from scada.dr_dispatch.pursuit import Counters
from scada.dr_dispatch.status import counts
from scada.errors import CommandRejected, StorageError
from scada.ports import Audit


class Trail:
    log = Logger()

    def __init__(self, audit: Audit, counters: Counters, running: Callable[[], bool]) -> None:
        self._audit, self._counters, self._running = audit, counters, running

    async def record(self, actor: Actor, action: str, target: str, **detail: Any) -> None:
        """Durable when this returns; raises `StorageError`, and then nothing may be done."""
        if not self._running():
            raise StorageError("the command desk is not running")
        try:
            await self._audit.append(actor, action, target, **detail)
        except StorageError:
            self._counters.audit_failures += 1
            raise

    async def refuse(self, actor: Actor, action: str, target: str, reasons: Sequence[str], **detail: Any) -> NoReturn:
        """Record a refusal, then tell the person."""
        self._counters.refused += 1
        try:
            await self.record(actor, f"{action}.refused", target, reasons=list(reasons), **detail)
        except StorageError:
            self.log.error("{actor} was refused {action} {target}", actor=actor.name, action=action, target=target)
        raise CommandRejected(reasons)

    def ended(self, command: Command) -> None:
        """A command is over."""
        detail = {"command": command.id.hex(), "members": counts(command)}
        recorded = self.record(SYSTEM, f"{command.action.name.lower()}.{command.state}", command.group, **detail)
        complaint = "the end of command {command} is not in the audit: {error}"
        Deferred.fromCoroutine(recorded).addErrback(
            lambda failure: self.log.error(complaint, command=command.id.hex(), error=failure.getErrorMessage())
        )
