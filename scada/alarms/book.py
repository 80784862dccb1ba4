"""The alarms that are not normal, in memory: bounded, and every change as a value to be stored."""

from collections.abc import Iterable
from typing import Final

import attrs

from scada.alarms.kinds import RANK, SUPPRESSIBLE, priority_of
from scada.alarms.states import HOLDS, AlarmEvent, after
from scada.events import device_of
from scada.ports import Alarm, AlarmState

MOST_ACTIVE: Final = 5_000              # beyond it an operator is helped by nothing; new ones are refused and counted
RESERVE: Final = 1_000                  # places kept for each higher priority: a flood of trifles hides no overload


@attrs.frozen
class Condition:
    """What an alarm is about, and what is known when it is raised."""

    source: str                         # tag id or device name
    kind: str
    value: float = float("nan")
    limit: float = float("nan")
    unit: str = ""
    area: str = ""
    detail: str = ""

    @property
    def id(self) -> str:
        return f"{self.source}:{self.kind}"


class Book:
    """Applies events to alarms; knows nothing of where they come from or where they are kept."""

    def __init__(self, alarms: tuple[Alarm, ...] = (), last_change: int = 0) -> None:
        self._alarms = {alarm.id: alarm for alarm in alarms}
        self._last_change = last_change
        self._sorted: tuple[Alarm, ...] | None = None
        self._under = {device_of(one.source): one.suppressed_by for one in alarms if one.suppressed_by}
        self.refused = 0                # raises beyond the bound

    def get(self, alarm_id: str) -> Alarm | None:
        return self._alarms.get(alarm_id)

    @property
    def full(self) -> bool:
        return len(self._alarms) >= MOST_ACTIVE

    def holds(self, alarm_id: str) -> bool:
        """Whether the condition holds, as far as the book knows."""
        alarm = self._alarms.get(alarm_id)
        return alarm is not None and alarm.state in HOLDS

    def active(self) -> tuple[Alarm, ...]:
        """Everything not normal, worst and newest first; safe from any thread."""
        found = self._sorted
        if found is None:
            alarms = list(self._alarms.values())
            found = tuple(sorted(alarms, key=lambda alarm: (-RANK[alarm.priority], -alarm.raised, alarm.id)))
            self._sorted = found
        return found

    def raised(self, condition: Condition, now: int, at: int | None = None) -> Alarm | None:
        """The condition holds; the changed alarm, or None if it was known or there is no room."""
        alarm = self._alarms.get(condition.id)
        if alarm is None:
            priority = priority_of(condition.kind)
            if len(self._alarms) >= MOST_ACTIVE + RESERVE * (RANK[priority] - min(RANK.values())):
                self.refused += 1
                return None
            alarm = Alarm(
                condition.id, condition.source, condition.kind, priority, AlarmState.NORMAL,
                raised=now, changed=now, value=condition.value, limit=condition.limit, unit=condition.unit,
                area=condition.area, count=0, detail=condition.detail,
            )
        state = after(alarm.state, AlarmEvent.RAISE)
        if state is alarm.state:
            return None
        return self._put(attrs.evolve(
            alarm, state=state, raised=now if at is None else at, value=condition.value, limit=condition.limit,
            detail=condition.detail, acknowledged_by="", comment="", count=alarm.count + 1,
        ), now)

    def cleared(self, alarm_id: str, now: int) -> Alarm | None:
        """The condition is over; the changed alarm, or None if it was not holding."""
        alarm = self._alarms.get(alarm_id)
        if alarm is None or (state := after(alarm.state, AlarmEvent.CLEAR)) is alarm.state:
            return None
        if alarm.suppressed_by:                             # nobody was shown it, so nobody need take note of its end
            state = AlarmState.NORMAL
        return self._put(attrs.evolve(alarm, state=state), now)

    def acknowledged(self, alarm_id: str, by: str, comment: str, now: int) -> Alarm | None:
        """Somebody took note; the changed alarm, or None if there was nothing to take note of."""
        alarm = self._alarms.get(alarm_id)
        if alarm is None or (state := after(alarm.state, AlarmEvent.ACKNOWLEDGE)) is alarm.state:
            return None
        return self._put(attrs.evolve(alarm, state=state, acknowledged_by=by, comment=comment), now)

    def cover(self, parent: str, devices: Iterable[str], now: int) -> list[Alarm]:
        """
        Suppress what devices say while an alarm that says more holds; those no longer named are released.

        Nothing is deleted: a suppressed alarm lives on, and is shown again if it still holds when it is released.
        """
        named = frozenset(devices)
        if not self.holds(parent):                          # nothing is hidden behind an alarm that nobody sees
            named = frozenset()
        self._under = {device: by for device, by in self._under.items() if by != parent or device in named}
        self._under.update((device, parent) for device in named if device not in self._under)
        turned = [
            alarm for alarm in self._alarms.values()
            if alarm.state in HOLDS and self._suppressor(alarm) != alarm.suppressed_by
        ]
        return [self._put(alarm, now) for alarm in turned]

    def _suppressor(self, alarm: Alarm) -> str:
        if alarm.kind not in SUPPRESSIBLE or alarm.state not in HOLDS:
            return ""
        return self._under.get(device_of(alarm.source), "")

    def _put(self, alarm: Alarm, now: int) -> Alarm:
        """Every change gets an instant of its own, so that the journal can be paged by it."""
        self._last_change = max(now, self._last_change + 1)
        alarm = attrs.evolve(alarm, changed=self._last_change, suppressed_by=self._suppressor(alarm))
        if alarm.state is AlarmState.NORMAL:
            self._alarms.pop(alarm.id, None)
        else:
            self._alarms[alarm.id] = alarm
        self._sorted = None
        return alarm
