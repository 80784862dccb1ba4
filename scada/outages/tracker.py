"""Follows causes over time: an outage begins when its cause has held for a while, and ends when it has not. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from scada.clock import NS
from scada.outage import Outage, Scope
from scada.outages.cause import Cause

BELIEVED_NS: Final = 20 * NS            # signs of one cause come one after the other
OVER_NS: Final = 60 * NS                # a short absence of a cause ends nothing
BACKHAUL_SOURCE: Final = "Outage.backhaul"


@attrs.frozen
class Changes:
    """What a look changed."""

    open: tuple[Outage, ...]            # all that are, the largest first
    changed: tuple[Outage, ...]         # opened, grown, shrunk or explained better
    closed: tuple[Outage, ...]          # with `until`, and `merged` where another one is their cause


def source_of(cause: Cause) -> str:
    """The source of the alarm that stands for it: a device where there is one."""
    if cause.scope in (Scope.BUILDING, Scope.RISER):
        return f"Outage.{cause.subject.replace('/', '.')}"
    if len(cause.posts) > 1:
        return BACKHAUL_SOURCE
    return cause.subject


def posts_of(outage: Outage) -> tuple[str, ...]:
    """The concentrators of an outage."""
    return tuple(outage.subject.split(", ")) if outage.scope in (Scope.CONCENTRATOR, Scope.BACKHAUL) else ()


def id_of(cause: Cause) -> str:
    return f"{source_of(cause)}:outage_{cause.scope}"


class Tracker:
    """`area_of` and `consumers_of` say of a cause and of modules what the registry knows."""

    def __init__(
        self, area_of: Callable[[Cause], str], consumers_of: Callable[[Sequence[str]], int], opened: Sequence[Outage] = ()
    ) -> None:
        self._area_of, self._consumers_of = area_of, consumers_of
        self._open = {one.id: one for one in opened}
        self.open: tuple[Outage, ...] = self._sorted()      # replaced as a whole, so that any thread may read it
        self._first: dict[str, int] = {}                    # causes that wait to be believed: seen since [ns]
        self._last: dict[str, int] = {}                     # open ones: seen last [ns]

    def _sorted(self) -> tuple[Outage, ...]:
        return tuple(sorted(self._open.values(), key=lambda one: (-one.consumers, -one.left, one.since, one.id)))

    def look(self, causes: Sequence[Cause], now: int, blind: Callable[[Outage], bool] = lambda _: False) -> Changes:
        """Bring what is open to what is known now [ns, site time]; of what it is `blind` for, nothing ends."""
        seen = {id_of(cause): cause for cause in causes}
        changed, closed = [], []
        self._first = {key: self._first.get(key, now) for key in seen}
        for key, cause in seen.items():
            before = self._open.get(key)
            if before is None and now - self._first[key] < BELIEVED_NS:
                continue
            after = self._outage(key, cause, before)
            self._last[key] = now
            if after != before:
                self._open[key] = after
                changed.append(after)
        for key in [key for key in self._open if key not in seen]:
            before = self._open[key]
            if blind(before):
                self._last[key] = now
                continue
            heir = self._heir(before, seen)
            if heir or now - self._last.setdefault(key, now) >= OVER_NS:
                del self._open[key], self._last[key]
                closed.append(attrs.evolve(before, until=now, left=0, merged=heir))
        if changed or closed:
            self.open = self._sorted()
        return Changes(self.open, tuple(changed), tuple(closed))

    def _heir(self, before: Outage, seen: Mapping[str, Cause]) -> str:
        """The open outage that most of its members belong to by now; "" if there is none."""
        for key, cause in seen.items():
            if key in self._open and 2 * len(cause.members.intersection(before.members)) > len(before.members):
                return key
        return ""

    def _outage(self, key: str, cause: Cause, before: Outage | None) -> Outage:
        names = cause.members | set(before.members if before else ())
        members = tuple(sorted(names))
        consumers = before.consumers if before and before.members == members else self._consumers_of(members)
        since = min(cause.since, before.since) if before else cause.since
        return Outage(
            key, cause.scope, cause.subject, self._area_of(cause), since, members, consumers, cause.sentence,
            cause.evidence, cause.also, cause.confidence, len(cause.members),
        )
