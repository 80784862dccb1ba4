"""The supply of one metering point: who holds it off, what was asked of it by whom, and what became of that."""

from enum import StrEnum
from typing import Final

import attrs

from scada.commands import Action, Origin
from scada.site import Medium, SupplyKind


class SupplyState(StrEnum):
    """Always the supply's: never that of a relay, and for a valve ON means that water or gas can flow."""

    UNKNOWN = "unknown"
    ON = "on"
    OFF = "off"


class HoldReason(StrEnum):
    """Why somebody holds a supply off."""

    DEBT = "debt"
    DANGER = "danger"
    LEAK = "leak"
    CREW = "crew"                       # people at work: lock-out with a tag


@attrs.frozen
class Holding:
    """One reason for which a supply stays off, and who answers for it."""

    id: str                             # 8 hex digits
    reason: HoldReason
    by: str                             # who entered it
    at: int                             # ns, site time
    tag: str = ""                       # number on the crew's tag
    name: str = ""                      # who hung it there
    note: str = ""


class SwitchAction(StrEnum):
    DISCONNECT = "disconnect"
    RECONNECT = "reconnect"             # of a valve: it may then be opened by hand on site, and never by us


class SwitchState(StrEnum):
    """How far a switch has come."""

    REQUESTED = "requested"             # waits for a second person
    CONFIRMED = "confirmed"             # on disk, and for certain not sent yet
    SENT = "sent"                       # on disk as sent, then sent: the field may have it
    ASKING = "asking"                   # nobody knows whether it came; the concentrator is asked
    ACCEPTED = "accepted"               # by the concentrator
    RECEIVED = "received"               # by the module
    EXECUTED = "executed"               # by the module
    REFUSED = "refused"                 # by the module or the concentrator, with a reason
    NO_ANSWER = "no_answer"             # nothing came until nothing could come any more
    NOT_SENT = "not_sent"               # for certain nothing left: monitor-only, too late, local
    EXPIRED = "expired"                 # no second person came in time
    WITHDRAWN = "withdrawn"             # taken back, or another switch took its place


OVER: Final = frozenset({
    SwitchState.EXECUTED, SwitchState.REFUSED, SwitchState.NO_ANSWER, SwitchState.NOT_SENT, SwitchState.EXPIRED,
    SwitchState.WITHDRAWN,
})
IN_THE_FIELD: Final = frozenset({SwitchState.SENT, SwitchState.ASKING, SwitchState.ACCEPTED, SwitchState.RECEIVED})


@attrs.frozen
class Step:
    """One COMMAND of a switch: a reconnection lets the module's holders go one by one."""

    command_id: bytes                   # 16 bytes
    holder: str                         # on the wire: DEBT, DANGER or LOCKOUT
    done: bool = False


@attrs.frozen
class Switch:
    """One request to switch a supply, and what became of it."""

    id: str                             # 32 hex digits
    action: SwitchAction
    requested_by: str
    origin: Origin
    requested: int                      # ns, site time
    expires: int                        # ns, site time: until when a second person may confirm
    holding: Holding | None = None      # what a disconnection is for
    note: str = ""
    state: SwitchState = SwitchState.REQUESTED
    confirmed_by: str = ""
    not_after: int = 0                  # ns, site time: nothing of it is sent or executed from then on
    was: SupplyState = SupplyState.UNKNOWN      # of the supply, when the switch was confirmed
    steps: tuple[Step, ...] = ()
    reason: str = ""
    accepted: int = 0                   # ns, site time: the concentrator took it
    executed: int = 0                   # ns, site time: the module did it
    changed: int = 0                    # ns, site time

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def step(self) -> Step | None:
        """The command whose turn it is."""
        return next((step for step in self.steps if not step.done), None)


class Effect(StrEnum):
    """The third acknowledgement: what the meter behind a disconnected supply says."""

    NONE = "none"                       # nothing to confirm
    WAITING = "waiting"                 # no full hour was delivered yet
    CONFIRMED = "confirmed"             # its pulses have stopped
    BYPASS = "bypass"                   # it still counts


@attrs.frozen
class Local:
    """Somebody on site has the say: nothing is switched from here."""

    scope: str                          # "area:centre" or "point:B1-flat-1-electricity"
    by: str
    at: int                             # ns, site time
    note: str = ""


def point_scope(name: str) -> str:
    """The scope of a point that is in local."""
    return f"point:{name}"


def point_of(scope: str) -> str:
    """The point of a scope, "" where it is an area."""
    return scope.removeprefix("point:") if scope.startswith("point:") else ""


def area_scope(area: str) -> str:
    """The scope of a whole area that is in local."""
    return f"area:{area}"


@attrs.frozen
class SupplyStatus:
    """One supply as it is known now; replaced as a whole when anything changes."""

    point: str
    kind: SupplyKind
    medium: Medium
    title: str
    device: str                         # of its tags on the bus
    module: str
    concentrator: str
    area: str
    protected: bool                     # the consumer is
    state: SupplyState
    by_hand: bool                       # let go here; somebody on site must open or close it
    holders: tuple[Holding, ...]
    switch: Switch | None               # the last one
    effect: Effect
    effect_pulses: int                  # counted in the hours that were looked at
    local: Local | None
    since: int                          # ns, site time: of the state


@attrs.frozen
class SupplyRequest:
    """What a person asks for; checked, never trusted."""

    point: str
    action: SwitchAction
    reason: HoldReason | None = None    # of a disconnection
    tag: str = ""
    name: str = ""
    note: str = ""


@attrs.frozen
class SupplyNews:
    """One line of a point's history."""

    number: int
    at: int                             # ns, site time
    point: str
    what: str                           # "requested", "confirmed", "hold", "release", "executed" …
    actor: str                          # "" = the field
    detail: str = ""


@attrs.frozen
class SupplyOrder:
    """What goes to one module."""

    command_id: bytes                   # 16 bytes
    link_id: int
    index: int
    eui: int
    action: Action                      # SUPPLY_OFF or SUPPLY_ON
    holder: str                         # on the wire
    not_after: int                      # s since 1970, site time
