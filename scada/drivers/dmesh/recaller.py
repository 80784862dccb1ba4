"""Takes a person's wish that a gap be asked for again: checked, audited, queued, in this order."""

from collections.abc import Sequence
from itertools import count
from typing import Final

from scada.clock import DAY_H, SiteClock
from scada.commands import Actor, Role
from scada.drivers.dmesh.collector import Collector
from scada.drivers.dmesh.wishes import GOOD_FOR_S, MOST_OPEN
from scada.errors import CommandRejected
from scada.ports import Audit, Recall, Registry
from scada.settings import CollectionSettings

MAY_ASK: Final = frozenset({Role.DISPATCHER, Role.ENGINEER, Role.ADMINISTRATOR})
MOST_HOURS: Final = 31 * DAY_H


class Recaller:
    """Without a collector (tests of the protocol) nothing is known, and everything refused."""

    def __init__(
        self, settings: CollectionSettings, clock: SiteClock, registry: Registry, audit: Audit | None,
        collector: Collector | None,
    ) -> None:
        self._settings, self._clock, self._registry = settings, clock, registry
        self._audit, self._collector = audit, collector
        self._numbers = count(1)

    async def ask(self, actor: Actor, concentrator: str, modules: Sequence[str], first: int, hours: int) -> Recall:
        """Raises `CommandRejected`."""
        directory, collector = self._registry.directory, self._collector
        known = directory.concentrator.get(concentrator)
        reasons = []
        if actor.role not in MAY_ASK:
            reasons.append(
                f"{actor.name} is {actor.role.value}; only dispatchers, engineers and administrators may ask for hours"
            )
        if not self._settings.enabled:
            reasons.append("asking for missing hours is switched off in the configuration")
        if not 1 <= hours <= MOST_HOURS:
            reasons.append(f"{hours} hours: expected 1 to {MOST_HOURS}")
        if known is None or collector is None:
            raise CommandRejected([*reasons, f"not in the registry: {concentrator}"])
        if not actor.covers(known.area):
            reasons.append(f"{actor.name} may not read in area {known.area or '-'}")
        found: dict[int, str] = {}
        for name in modules:
            module = directory.module_of_name.get(name)
            if module is None or module.concentrator != concentrator or not module.index:
                reasons.append(f"{name} is not a module of {concentrator}")
            else:
                found[module.index] = name
        if collector.wishes.open(known.link_id) >= MOST_OPEN:
            reasons.append(f"{MOST_OPEN} gaps of {concentrator} are asked for already; wait until one is over")
        if reasons:
            raise CommandRejected(reasons)
        now = self._clock.seconds()
        if not collector.lacks(known.link_id, first, hours, found or None):
            raise CommandRejected([f"nothing is missing at {concentrator} in these hours, as far as is known here"])
        if self._audit is not None:
            await self._audit.append(
                actor, "collection.ask", concentrator, modules=list(modules), first_hour=first, hours=hours
            )
        recall = Recall(
            next(self._numbers), concentrator, tuple(modules), first, hours, 0, 0, actor.name, now, now + GOOD_FOR_S
        )
        return collector.wish(known.link_id, recall, found or None)
