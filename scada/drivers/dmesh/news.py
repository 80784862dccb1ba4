"""What the driver itself has to say to people: clashes of a list with the registry, keys that changed, links replaced.

Each becomes an event, an entry of the audit, or both, and a line of the log.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.clock import SiteClock
from scada.commands import Actor, Origin, Role
from scada.drivers.dmesh.conflicts import Conflict, conflicts
from scada.drivers.dmesh.keystore import Holder, name_of
from scada.drivers.dmesh.messages import ModuleEntry
from scada.events import DeviceEvent, EventCode
from scada.ports import Audit, Registry

SYSTEM: Final = Actor("system", Role.ADMINISTRATOR, origin=Origin.SYSTEM)
log = Logger()


class News:
    """One for all links. `lists`: whether a concentrator, by name, is connected and has an EUI in its present list."""

    def __init__(
        self, clock: SiteClock, registry: Registry, audit: Audit | None,
        tell: "Callable[[Sequence[DeviceEvent]], Deferred[Any]]", lists: Callable[[str, int], bool],
    ) -> None:
        self._clock, self._registry, self._audit, self._tell, self._lists = clock, registry, audit, tell, lists
        self._conflicts: dict[int, dict[tuple[EventCode, str], Conflict]] = {}  # by the link that lists the modules
        self.of_keys: Counter[str] = Counter()              # since start, by what happened

    def compare(self, link_id: int, name: str, entries: tuple[ModuleEntry, ...], whole: bool) -> None:
        """What a list says against the registry is told once, and its end when a whole list no longer says it."""
        found = conflicts(self._registry.directory, name, entries, self._lists, self._clock.hour())
        known = self._conflicts.setdefault(link_id, {})
        now = {(one.code, one.device): one for one in found}
        news = [(one, True) for key, one in now.items() if key not in known]
        news += [(one, False) for key, one in known.items() if whole and key not in now]
        self._conflicts[link_id] = now if whole else known | now
        at, good = self._clock.now(), self._clock.trusted()
        for one, raised in news:
            log.warn("{what} {detail}", what="conflict:" if raised else "no longer:", detail=one.detail)
        self._own(name, [
            DeviceEvent(one.device, one.code, raised, at, good, at + number, None, at, one.detail)
            for number, (one, raised) in enumerate(news)
        ])

    def replaced(self, name: str) -> None:
        """A second connection of a concentrator proved itself, and the first is ended."""
        now, good = self._clock.now(), self._clock.trusted()
        self._own(name, [DeviceEvent(name, EventCode.LINK_REPLACED, True, now, good, sequence=now, received=now)])

    def keys(self, name: str, holder: Holder, what: str, detail: str) -> None:
        """A step of a change of keys."""
        log.info("{name}: key of {holder} {what}: {detail}", name=name, holder=name_of(holder), what=what, detail=detail)
        self.of_keys[what] += 1
        self._write(f"keys.{what}", name_of(holder), concentrator=name, detail=detail)

    def change(self, name: str, what: str, detail: str) -> None:
        """What a concentrator was told of its module list or its groups' keys, and took or refused."""
        log.info("{name}: {what}: {detail}", name=name, what=what, detail=detail)
        self._write(what, name, detail=detail)

    # ------------------------------------------------------------------ private
    def _own(self, name: str, events: list[DeviceEvent]) -> None:
        """An event of our own that cannot be stored is in the log at least; the field has nothing to repeat."""
        def lost(failure: Failure) -> None:
            log.warn("{name}: an event of its link could not be told: {why}", name=name, why=failure.getErrorMessage())

        if events:
            self._tell(events).addErrback(lost)

    def _write(self, action: str, subject: str, **detail: Any) -> None:
        if self._audit is not None:
            written = self._audit.append(SYSTEM, action, subject, **detail)
            written.addErrback(lambda failure: log.warn("not audited: {why}", why=failure.getErrorMessage()))
