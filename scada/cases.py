"""Case files of balance groups: of members that are suspected, and of whole groups that no member explains."""

import math
from enum import StrEnum
from typing import Any, Final

import attrs

from scada.commands import Role

MAY_DECIDE: Final = frozenset({Role.ENGINEER, Role.ADMINISTRATOR})
LONGEST_NOTE: Final = 500


class CaseState(StrEnum):
    """What people made of a suspicion. The last two are outcomes, kept to score the examination by."""

    NEW = "new"
    INSPECTION = "inspection"           # somebody is on it
    CONFIRMED = "confirmed"
    CLEARED = "cleared"


OPEN: Final = (CaseState.NEW, CaseState.INSPECTION)


@attrs.frozen
class Suspicion:
    """What an examination says of one member, or of the group as a whole; energies in `unit`."""

    group: str
    member: str                         # the group's own name: of it as a whole
    suspect: bool                       # False: somebody should read of it, nobody should go there
    cause: str                          # "faulty_meter", "bypass_hours" …; of a whole group "unmetered", "technical"
    reason: str                         # a sentence
    unit: str
    energy: float                       # since the beginning
    half_width: float                   # of its 90 % interval
    share: float                        # of the imbalance since then [1]
    score: float                        # log-odds, up to a constant
    since: str                          # site day; "" unless a suspect
    first_day: str                      # of the days that were looked at
    forecast: tuple[float, ...] = ()    # each day, from its own past; NaN = not known
    registered: tuple[float, ...] = ()  # each day
    imbalance: tuple[float, ...] = ()   # of the group, each day
    unassigned: tuple[float, ...] = ()  # of a whole group: what nobody explains, each day
    mean_registered: tuple[float, ...] = ()     # of a member: its mean day, 24 hours from midnight on
    mean_imbalance: tuple[float, ...] = ()      # and that of its group
    resemblance: float = math.nan       # plain correlation of the two, hour by hour; nothing decides by it [1]

    @property
    def whole(self) -> bool:
        return self.member == self.group

    def to_json(self) -> dict[str, Any]:
        """NaN as null."""
        return {name: _null(value) for name, value in attrs.asdict(self).items()}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Suspicion":
        values: dict[str, Any] = {
            name: tuple(_nan(one) for one in value) if isinstance(value, list) else _nan(value)
            for name, value in found.items()
        }
        return cls(**values)


@attrs.frozen
class GroupState:
    """What is the matter with a group as a whole."""

    group: str
    state: str                          # "balanced", "technical", "explained", "unmetered", "not_enough_data", "surplus"
    unassigned: float                   # a day, that nobody explains; NaN without enough data
    unit: str
    hours: int                          # in which the feed and all members are there


@attrs.frozen
class CaseChange:
    at: int                             # ns
    who: str
    before: str                         # state; "" where the case was opened
    after: str
    note: str = ""


@attrs.frozen
class Case:
    number: int
    state: CaseState
    opened: str                         # site day of the examination that opened it
    seen: str                           # of the last one that suspected the same member
    suspicion: Suspicion                # as of that one
    changes: tuple[CaseChange, ...] = ()


def _null(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_null(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _nan(value: Any) -> Any:
    return math.nan if value is None else value
