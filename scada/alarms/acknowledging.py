"""Who may acknowledge which alarm: every reason against it at once."""

from typing import Final

from scada.commands import Actor, Role
from scada.ports import Alarm, AlarmState

MAY_ACKNOWLEDGE: Final = frozenset({Role.ENGINEER, Role.DISPATCHER, Role.ADMINISTRATOR})


def obstacles(actor: Actor, alarm_id: str, alarm: Alarm | None) -> list[str]:
    """Every reason why this person cannot acknowledge this alarm now."""
    if alarm is None:
        return [f"there is no alarm {alarm_id} to acknowledge"]
    reasons = []
    if actor.role not in MAY_ACKNOWLEDGE:
        reasons.append(f"the role {actor.role} may not acknowledge alarms")
    if not actor.covers(alarm.area):
        reasons.append(f"{actor.name} is not responsible for the area {alarm.area!r}")
    if alarm.state is AlarmState.ACKNOWLEDGED:
        reasons.append(f"{alarm_id} is acknowledged already, by {alarm.acknowledged_by}")
    return reasons
