"""Commands to the field: who, what, until when; and what became of it, member by member."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Final

import attrs


class Role(StrEnum):
    """What a person may do; `dispatcher` and `administrator` may command, each in their areas."""

    VIEWER = "viewer"
    ENGINEER = "engineer"
    DISPATCHER = "dispatcher"
    INTEGRATOR = "integrator"
    ADMINISTRATOR = "administrator"
    INSTALLER = "installer"             # puts modules and meters into service, and sees no more than that needs
    SUBSCRIBER = "subscriber"


class Origin(StrEnum):
    HMI = "hmi"
    CLI = "cli"
    OPCUA = "opcua"
    SYSTEM = "system"


@attrs.frozen
class Actor:
    """The real person behind a request, whatever it came through."""

    name: str
    role: Role
    areas: tuple[str, ...] = ()         # empty: every area
    origin: Origin = Origin.HMI

    def covers(self, area: str) -> bool:
        return not self.areas or area in self.areas


class LoadClass(IntEnum):
    """Domain D3. The number is on the wire."""

    RED = 0                             # never off
    YELLOW = 1                          # minutes
    GREEN = 2                           # hours


class Action(IntEnum):
    """What happens to the supply of a secondary load or of a whole point (never "relay on"). The number is on the wire."""

    SHED = 1
    RESTORE = 2
    LIMIT = 3
    ECO = 4
    SUPPLY_OFF = 5                      # latched, held by a named holder
    SUPPLY_ON = 6                       # that holder lets go; the supply returns when the last one does


TIMED: Final = frozenset({Action.SHED, Action.LIMIT, Action.ECO})     # end by themselves at every module
GROUP_ACTIONS: Final = (Action.SHED, Action.RESTORE, Action.LIMIT, Action.ECO)  # whole supplies never by group


class MemberState(IntEnum):
    """How far one member has come; ordered by finality, DONE from EXECUTED on."""

    SELECTED = 0
    SENT = 1                            # handed to the concentrator's link
    ACCEPTED = 2                        # the concentrator took it
    RECEIVED = 3                        # the module heard it
    EXECUTED = 10
    REFUSED = 11                        # by the module or the concentrator, with a reason
    NO_ANSWER = 12                      # nothing came until the command expired
    NOT_SENT = 13                       # monitor-only mode, link down or expired before it could leave
    RESTORED = 14                       # supply is back (by expiry or by a RESTORE)


class CommandState(StrEnum):
    SENDING = "sending"                 # persisted, frames are leaving
    COLLECTING = "collecting"           # accepted by at least one concentrator; member results come in
    ACTIVE = "active"                   # every member has a result, loads are off
    RESTORING = "restoring"
    CLOSED = "closed"
    FAILED = "failed"                   # nothing reached anybody
    UNKNOWN = "unknown"                 # restarted while sending: the concentrators are being asked


@attrs.frozen
class ShedRequest:
    """What a dispatcher asks for; checked, never trusted."""

    group: str                          # name of the load group
    off_for_s: int                      # site seconds it holds; mandatory, the modules restore by themselves
    reason: str = ""
    action: Action = Action.SHED        # or LIMIT, ECO
    level_w: int = 0                    # what each load may still draw, for LIMIT alone


@attrs.frozen
class Member:
    """One load of a frozen selection."""

    eui: int
    device: str                         # name on the bus
    concentrator: str
    link_id: int
    index: int                          # subnet index 1-240
    title: str
    load_class: LoadClass
    rated_w: float
    obstacle: str = ""                  # why it may not answer; it is addressed all the same


@attrs.frozen
class Selection:
    """A frozen, reviewed set of members; executable once, until `expires`."""

    id: str
    digest: str                         # SHA-256 over group, epoch, off_for and members: what was reviewed is what runs
    actor: str
    request: ShedRequest
    area: str
    epoch: int
    members: Sequence[Member]
    expected_w: float                   # rated power of the members expected to answer
    warnings: tuple[str, ...]
    made: int                           # ns, site time
    expires: int                        # ns, site time
    monitor_only: bool
    may_not_answer: int = attrs.field()                     # members with an obstacle,
    hindered: Sequence[Member] = attrs.field()              # and the first of them

    @may_not_answer.default
    def _hindered_count(self) -> int:
        return sum(bool(member.obstacle) for member in self.members)

    @hindered.default
    def _hindered(self) -> Sequence[Member]:
        return tuple(member for member in self.members if member.obstacle)


@attrs.frozen
class GroupOrder:
    """What the desk hands to the field gateway for one concentrator."""

    command_id: bytes                   # 16 bytes, the same for every concentrator of the command
    link_id: int
    group: int                          # number of the load group on the wire
    epoch: int
    action: Action
    load_class: LoadClass
    off_for_s: int
    not_after: int                      # s since 1970, site time; nothing is sent or executed after it
    restore_jitter_s: int
    repeat: int
    members: Sequence[tuple[int, int]]  # (subnet index, EUI) of every member on this concentrator, by index
    level_w: int = 0                    # what each load may still draw, for LIMIT alone


@attrs.frozen
class RetryOrder:
    """The same command once more, for those members of one concentrator who are silent."""

    command_id: bytes
    link_id: int
    not_after: int                      # s since 1970, site time; that of the command
    members: Sequence[tuple[int, int]]  # (subnet index, EUI), by index


@attrs.frozen
class MemberReport:
    """One step of one member, as the field reported it."""

    command_id: bytes
    link_id: int                        # of the concentrator that says so: it speaks for its own members only
    eui: int
    state: MemberState
    reason: str = ""                    # result code name from the field, e.g. "EXPIRED"
    at: int = 0                         # ns, site time


@attrs.frozen
class MemberResult:
    member: Member
    state: MemberState
    reason: str
    changed: int                        # ns, site time


class EffectState(StrEnum):
    """The third acknowledgement: what the transformer's meter says of a shed."""

    CONFIRMED = "confirmed"             # the load fell, beyond what it does by itself
    NOT_CONFIRMED = "not_confirmed"     # the fall that was expected would have been seen, and was not
    CANNOT_TELL = "cannot_tell"


@attrs.frozen
class Effect:
    """What one transformer's meter showed of a command. Powers in W; NaN where nothing could be measured."""

    transformer: str
    state: EffectState
    shed_w: float
    uncertainty_w: float                # half-width, about 95 %
    expected_w: float                   # rated power of the loads that had executed: a load may have been idle
    before_w: float
    after_w: float
    at: int                             # ns, site time: end of the window that was measured
    reason: str = ""                    # why it cannot be told


@attrs.frozen
class CommandStatus:
    """A command as the desk knows it now; replaced as a whole when anything changes."""

    id: str                             # hex of the command id
    action: Action
    group: str
    actor: str
    origin: Origin
    state: CommandState
    off_for_s: int
    not_after: int                      # ns, site time
    made: int                           # ns, site time
    ends: int                           # ns, site time when the last load is back by itself
    monitor_only: bool
    reason: str
    members: Sequence[MemberResult]
    effects: tuple[Effect, ...] = ()    # by transformer; empty until measured
    level_w: int = 0                    # what each load may still draw, for LIMIT
    counted: Mapping[MemberState, int] | None = None        # members by state, where that is known without looking

    @property
    def counts(self) -> Mapping[MemberState, int]:
        """Members by state."""
        return Counter(result.state for result in self.members) if self.counted is None else self.counted

    def count(self, state: MemberState) -> int:
        return self.counts.get(state, 0)

    @property
    def confirmation(self) -> EffectState | None:
        """Of the whole command: what is seen nowhere is not seen; None = not measured yet."""
        states = {effect.state for effect in self.effects}
        wanted = (EffectState.NOT_CONFIRMED, EffectState.CONFIRMED, EffectState.CANNOT_TELL)
        return next((state for state in wanted if state in states), None)

    @property
    def measured_w(self) -> tuple[float, float]:
        """Power shed and its uncertainty, over the transformers where it could be measured; NaN if nowhere. [W]"""
        seen = [effect for effect in self.effects if effect.state is not EffectState.CANNOT_TELL]
        if not seen:
            return math.nan, math.nan
        return sum(one.shed_w for one in seen), math.hypot(*(one.uncertainty_w for one in seen))
