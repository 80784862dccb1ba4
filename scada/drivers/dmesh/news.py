"""What the driver itself has to say to people: clashes of a list with the registry, keys that changed, links replaced.

Each becomes an event, an entry of the audit, or both, and a line of the log.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.clock import SiteClock
from scada.commands import Actor, Origin, Role
from scada.drivers.dmesh.conflicts import conflicts
from scada.drivers.dmesh.keystore import Holder, name_of
from scada.drivers.dmesh.list_memory import ListMemory, Told
from scada.drivers.dmesh.messages import ModuleEntry
from scada.drivers.dmesh.modules import Modules
from scada.events import DeviceEvent, EventCode
from scada.ports import Audit, Registry
from scada.site import Directory

SYSTEM: Final = Actor("system", Role.ADMINISTRATOR, origin=Origin.SYSTEM)
log = Logger()


class News:
    """One for all links. `lists`: whether a concentrator, by name, has an EUI in its present list; None: not connected.

    `compare_again` compares another link's list; `delivering`: channels on which something counts, by EUI, or None.
    """

    def __init__(
        self, clock: SiteClock, registry: Registry, audit: Audit | None,
        tell: "Callable[[Sequence[DeviceEvent]], Deferred[Any]]", lists: Callable[[str, int], bool | None],
        memory: ListMemory, compare_again: Callable[[int], None],
        delivering: Callable[[int], Mapping[int, tuple[int, ...]] | None],
    ) -> None:
        self._clock, self._registry, self._audit, self._tell, self._lists = clock, registry, audit, tell, lists
        self._memory, self._compare_again, self._delivering = memory, compare_again, delivering
        self._due: set[int] = set()                         # links whose conflicts a change of the registry may have ended
        self.of_keys: Counter[str] = Counter()              # since start, by what happened

    def compare(
        self, link_id: int, name: str, entries: tuple[ModuleEntry, ...], whole: bool, onwards: bool = True
    ) -> None:
        """What a list says against the registry is told once, and its end when a whole list no longer says it.

        Once over restarts too. `onwards`: who was found to contradict modules of this concentrator is compared again.
        """
        known = self._memory.conflicts(link_id)
        counting = self._delivering(link_id)
        found = conflicts(self._registry.directory, name, entries, self._lists, self._clock.hour(), known, counting or {})
        now = {(one.code, one.device): one for one in found}
        if counting is None:                                # not known yet, as after a start: nothing is over by that
            now = {key: one for key, one in known.items() if key[0] is EventCode.UNEXPECTED_CHANNEL} | now
        self._become(link_id, name, now if whole else {**known, **now})
        if whole and onwards:
            directory = self._registry.directory
            for other in self._memory.contradicting:
                devices = (device for _, device in self._memory.conflicts(other))
                modules = (directory.module_of_name.get(device) for device in devices)
                if other != link_id and any(one is not None and one.concentrator == name for one in modules):
                    self._compare_again(other)

    def registry_changed(self, directory: Directory) -> None:
        """A concentrator that is no longer in the registry contradicts nothing; the others are looked at in turn."""
        self._due = set(self._memory.contradicting)
        for link_id in self._memory.contradicting:
            if link_id not in directory.concentrator_of_link:
                self._become(link_id, f"link-{link_id:08x}", {})

    def look_after(self, link_id: int, name: str, modules: Modules | None) -> None:
        """Every few seconds: what was put right in the registry is over.

        Nothing new is told: a list that lags behind the registry is being put right just now.
        """
        if modules is None or link_id not in self._due:
            return
        self._due.discard(link_id)
        known, directory = self._memory.conflicts(link_id), self._registry.directory
        counting = self._delivering(link_id)
        found = conflicts(directory, name, modules.entries, self._lists, self._clock.hour(), known, counting or {})
        devices = {one.device for one in found}
        self._become(link_id, name, {
            key: one for key, one in known.items()
            if one.device in devices or (counting is None and key[0] is EventCode.UNEXPECTED_CHANNEL)
        })

    def _become(self, link_id: int, name: str, now: Told) -> None:
        known, at, good = self._memory.conflicts(link_id), self._clock.now(), self._clock.trusted()
        news = [(one, True) for key, one in now.items() if key not in known]
        news += [(one, False) for key, one in known.items() if key not in now]
        self._memory.keep(link_id, now)
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
