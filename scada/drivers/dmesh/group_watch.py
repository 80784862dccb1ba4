"""Whose members should hold which group's key, as the registry says it: worked out off the loop when that changes."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from scada.drivers.dmesh.group_keys import Assignment, assignments, state_of
from scada.drivers.dmesh.key_ledger import KeyLedger
from scada.drivers.dmesh.signing import RunBlocking
from scada.group_keys import GroupKeyState
from scada.site import Directory

log = Logger()


class GroupWatch:
    """One for all links."""

    def __init__(self, ledger: KeyLedger, run_blocking: RunBlocking) -> None:
        self._ledger, self._run = ledger, run_blocking
        self._assigned: dict[int, tuple[Assignment, ...]] = {}
        self._made_from: tuple[object, object] = (None, None)   # what of the registry they were made from

    def assigned(self, link_id: int) -> tuple[Assignment, ...]:
        return self._assigned.get(link_id, ())

    def registry_changed(self, directory: Directory) -> None:
        made_from = (directory.site.load_groups, directory.site.concentrators)
        if any(was is not now for was, now in zip(self._made_from, made_from, strict=True)):
            self._made_from = made_from
            made: Deferred[Any] = self._run(assignments, directory)
            made.addCallbacks(self._take, lambda failure: log.failure("groups", failure), callbackArgs=(made_from,))

    def state(self, directory: Directory, name: str) -> GroupKeyState | None:
        """How far the members of a group, by name, are with its keys."""
        group = directory.load_group.get(name)
        return None if group is None else state_of(directory, group, self._ledger.held, self._ledger.in_use)

    def _take(self, assigned: dict[int, tuple[Assignment, ...]], made_from: tuple[object, object]) -> None:
        if made_from is self._made_from:                    # else a newer one is on its way
            self._assigned = assigned
