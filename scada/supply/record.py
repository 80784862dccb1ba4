"""One supply as it is kept on disk, and everything that can happen to it. Pure.

What keeps people safe is decided here and nowhere else: a holder stays until somebody who may releases it, a
reconnection goes no further once anybody holds the supply, nothing is sent at or after `not_after`, and a valve is open
only when the field says that somebody opened it by hand.
"""

from collections.abc import Iterable
from typing import Final

import attrs

from scada.supplies import (
    IN_THE_FIELD,
    Effect,
    Holding,
    HoldReason,
    Step,
    SupplyState,
    Switch,
    SwitchAction,
    SwitchState,
)

WIRE: Final = {HoldReason.DEBT: "DEBT", HoldReason.DANGER: "DANGER", HoldReason.LEAK: "DANGER", HoldReason.CREW: "LOCKOUT"}
ALL_ON_THE_WIRE: Final = ("DANGER", "DEBT", "LOCKOUT")
HELD: Final = "HELD"                    # executed, and somebody in the module still holds the supply off

MEANWHILE_HELD: Final = "somebody holds the supply off meanwhile"
HELD_IN_MODULE: Final = "the module says that somebody else holds the supply off"
TOO_LATE: Final = "expired before it could leave"
ON_AGAIN: Final = "the field says that the supply is on again"
REPLACED: Final = "another switch took its place"
NOBODY_CONFIRMED: Final = "no second person confirmed it in time"
NO_ANSWER: Final = "the module did not answer until the command expired"
RESTARTED: Final = "server restarted while sending; the concentrator is asked"


@attrs.frozen
class Record:
    """All times are site time. [ns]"""

    point: str
    state: SupplyState = SupplyState.UNKNOWN
    since: int = 0
    by_hand: bool = False               # let go here, and waits for a hand on site
    holders: tuple[Holding, ...] = ()
    in_module: frozenset[str] = frozenset()     # holders on the wire that the module may have
    switch: Switch | None = None
    effect: Effect = Effect.NONE
    effect_pulses: int = 0
    eui: int = 0                        # of the module that all this is known of; 0: of none yet

    @property
    def busy(self) -> bool:
        return self.switch is not None and not self.switch.over

    def holding(self, holding_id: str) -> Holding | None:
        return next((one for one in self.holders if one.id == holding_id), None)


def same(holders: Iterable[Holding], wanted: Holding) -> Holding | None:
    """The holder that is already there for the same reason, tag and name."""
    key = (wanted.reason, wanted.tag, wanted.name)
    return next((one for one in holders if (one.reason, one.tag, one.name) == key), None)


# ------------------------------------------------------------------------------------------------ people
def requested(record: Record, switch: Switch) -> Record:
    """
    Take the place of a switch that is over, or of a reconnection.

    What that reconnection, or a hand on site, does from now on is told of a command that nobody waits for any more.
    """
    lost = record.by_hand or (record.switch is not None and record.switch.state in IN_THE_FIELD)
    return attrs.evolve(record, switch=switch, state=SupplyState.UNKNOWN if lost else record.state, by_hand=False)


def confirmed(record: Record, by: str, now: int, not_after: int, command_ids: Iterable[bytes], eui: int = 0) -> Record:
    """The second person has said yes: the holder is entered before anything is sent. `eui`: of the module to be told."""
    switch = record.switch
    assert switch is not None
    assert switch.state is SwitchState.REQUESTED
    holders, in_module = record.holders, record.in_module
    if switch.action is SwitchAction.DISCONNECT:
        assert switch.holding is not None
        wire: tuple[str, ...] = (WIRE[switch.holding.reason],)
        if same(holders, switch.holding) is None:
            holders = (*holders, attrs.evolve(switch.holding, at=now))
        in_module |= set(wire)
    else:
        wire = tuple(sorted(in_module)) or ALL_ON_THE_WIRE
    steps = tuple(Step(identity, holder) for identity, holder in zip(command_ids, wire, strict=False))
    switch = attrs.evolve(
        switch, state=SwitchState.CONFIRMED, confirmed_by=by, not_after=not_after, was=record.state, steps=steps,
        changed=now, reason="",
    )
    return attrs.evolve(record, holders=holders, in_module=in_module, switch=switch, eui=eui or record.eui)


def withdrawn(record: Record, now: int, why: str) -> Record:
    """Nothing of it was sent: it is as if it had not been asked for."""
    return _ended(record, SwitchState.WITHDRAWN, now, why)


def held(record: Record, holding: Holding) -> Record:
    """One more who holds a supply that is off."""
    return record if same(record.holders, holding) else attrs.evolve(record, holders=(*record.holders, holding))


def released(record: Record, holding_id: str) -> Record:
    """One less; nothing returns by that."""
    return attrs.evolve(record, holders=tuple(one for one in record.holders if one.id != holding_id))


# --------------------------------------------------------------------------------------------- the field
def obstacle(record: Record, now: int) -> str:
    """What forbids that the next command leaves at this very moment; "" = nothing."""
    switch = record.switch
    if switch is None or switch.over or switch.step is None or switch.state is SwitchState.REQUESTED:
        return "there is nothing to send"
    if now >= switch.not_after:
        return TOO_LATE
    if switch.action is SwitchAction.RECONNECT and record.holders:
        return MEANWHILE_HELD
    return ""


def sending(record: Record, now: int) -> Record:
    """To be on disk before the command leaves: from now on the field may have it, and the supply may be either way."""
    switch = record.switch
    assert switch is not None
    off = switch.action is SwitchAction.DISCONNECT
    stays = record.state is (SupplyState.OFF if off else SupplyState.ON)
    return attrs.evolve(_moved(record, SwitchState.SENT, now), state=record.state if stays else SupplyState.UNKNOWN)


def waits(record: Record, why: str) -> Record:
    """Not sent yet, for a reason that may pass."""
    if record.switch is None or record.switch.reason == why:
        return record
    return attrs.evolve(record, switch=attrs.evolve(record.switch, reason=why))


def not_sent(record: Record, now: int, why: str) -> Record:
    """For certain nothing (more) left, and nothing will. What is held stays held."""
    return _as_it_was(_ended(record, SwitchState.NOT_SENT, now, why))


def unsure(record: Record, now: int, why: str) -> Record:
    """The link broke, or this process died: nobody knows whether it came."""
    if record.switch is None or record.switch.state not in IN_THE_FIELD:
        return record
    return _moved(record, SwitchState.ASKING, now, why)


def never_came(record: Record, now: int) -> Record:
    """The concentrator knows nothing of it, so it may be sent; should it have forgotten, the supply may be either way."""
    switch = record.switch
    if switch is None or switch.state is not SwitchState.ASKING:
        return record
    return _moved(attrs.evolve(record, switch=attrs.evolve(switch, was=record.state)), SwitchState.CONFIRMED, now)


def accepted(record: Record, now: int) -> Record:
    switch = record.switch
    if switch is None or switch.state not in (SwitchState.SENT, SwitchState.ASKING):
        return record
    switch = attrs.evolve(switch, accepted=switch.accepted or now)
    return _moved(attrs.evolve(record, switch=switch), SwitchState.ACCEPTED, now)


def received(record: Record, now: int) -> Record:
    if record.switch is None or record.switch.state not in IN_THE_FIELD:
        return record
    return _moved(record, SwitchState.RECEIVED, now)


def refused(record: Record, now: int, why: str) -> Record:
    """By the concentrator or the module: the supply is as it was."""
    if record.switch is None or record.switch.state not in IN_THE_FIELD:
        return record
    return _as_it_was(_ended(record, SwitchState.REFUSED, now, why))


def silent(record: Record, now: int, why: str = NO_ANSWER) -> Record:
    """Nothing can come any more, and nothing came: how the supply is nobody knows."""
    if record.switch is None or record.switch.state not in IN_THE_FIELD:
        return record
    # `sending` has said what may have become of the supply; one more holder of one that is off leaves it off.
    return _ended(record, SwitchState.NO_ANSWER, now, why)


def executed(record: Record, command_id: bytes, now: int, *, still_held: bool, supplied: bool) -> Record:
    """
    Take in that the module did what one command said, also where it says so late.

    `still_held`: somebody in the module still holds the supply off. `supplied`: the field says that the supply is back.
    A supply that comes back later, by a hand on site, is told of the same command once more.
    """
    switch = record.switch
    if switch is None:
        return record
    if switch.state is SwitchState.EXECUTED:
        known = bool(switch.steps) and switch.steps[-1].command_id == command_id
        return _back(record, now) if supplied and known else record
    step = switch.step
    heard = switch.state in (*IN_THE_FIELD, SwitchState.CONFIRMED, SwitchState.NO_ANSWER)
    if not heard or step is None or step.command_id != command_id:
        return record
    steps = tuple(attrs.evolve(one, done=True) if one.command_id == command_id else one for one in switch.steps)
    if switch.action is SwitchAction.DISCONNECT:
        switch = attrs.evolve(switch, steps=steps, state=SwitchState.EXECUTED, executed=now, changed=now, reason="")
        if supplied:
            return _back(attrs.evolve(record, switch=switch), now)
        if record.state is SupplyState.OFF:             # one more holder; the meter's silence is counted from the first
            return attrs.evolve(record, switch=switch)
        return attrs.evolve(
            record, switch=switch, state=SupplyState.OFF, since=now, by_hand=False, effect=Effect.WAITING, effect_pulses=0,
        )
    record = attrs.evolve(record, in_module=record.in_module - {step.holder})
    if any(not one.done for one in steps):
        switch = attrs.evolve(switch, steps=steps, state=SwitchState.CONFIRMED, changed=now)
        return _as_it_was(attrs.evolve(record, switch=switch))
    why = HELD_IN_MODULE if still_held else ""
    switch = attrs.evolve(switch, steps=steps, state=SwitchState.EXECUTED, executed=now, changed=now, reason=why)
    if still_held:
        return attrs.evolve(record, switch=switch, state=SupplyState.OFF)
    if supplied:
        return attrs.evolve(
            record, switch=switch, state=SupplyState.ON, since=now, effect=Effect.NONE, effect_pulses=0
        )
    return attrs.evolve(record, switch=switch, state=SupplyState.OFF, by_hand=True, effect=Effect.NONE, effect_pulses=0)


def passed(record: Record, now: int, grace: int) -> Record:
    """Let time end what has had its time; `grace`: how long after `not_after` an answer may still be on its way. [ns]"""
    switch = record.switch
    if switch is None or switch.over:
        return record
    if switch.state is SwitchState.REQUESTED:
        return _ended(record, SwitchState.EXPIRED, now, NOBODY_CONFIRMED) if now >= switch.expires else record
    if switch.state is SwitchState.CONFIRMED:
        return not_sent(record, now, TOO_LATE) if now >= switch.not_after else record
    return silent(record, now) if now >= switch.not_after + grace else record


def moved(record: Record, eui: int) -> Record:
    """Another module switches the supply now: it knows of no holder, and nobody knows how it stands."""
    return attrs.evolve(record, eui=eui, state=SupplyState.UNKNOWN, by_hand=False, in_module=frozenset())


def counted(record: Record, effect: Effect, pulses: int) -> Record:
    """What the meter behind a supply that is off says of it."""
    return attrs.evolve(record, effect=effect, effect_pulses=pulses)


def restarted(record: Record, now: int) -> Record:
    """After a restart of the server: what may have left is asked about, what has not left waits for its turn."""
    return unsure(record, now, RESTARTED)


def _back(record: Record, now: int) -> Record:
    """The field says that the supply is back: somebody on site has switched it, if need be without asking us."""
    if record.state is SupplyState.ON:
        return record
    switch = record.switch
    if switch is not None and switch.action is SwitchAction.DISCONNECT:
        switch = attrs.evolve(switch, reason=ON_AGAIN)
    return attrs.evolve(record, switch=switch, state=SupplyState.ON, since=now, by_hand=False)


def _as_it_was(record: Record) -> Record:
    """Nothing that could change the supply has come to the module."""
    return record if record.switch is None else attrs.evolve(record, state=record.switch.was)


def _moved(record: Record, state: SwitchState, now: int, why: str = "") -> Record:
    assert record.switch is not None
    return attrs.evolve(record, switch=attrs.evolve(record.switch, state=state, changed=now, reason=why))


def _ended(record: Record, state: SwitchState, now: int, why: str) -> Record:
    return _moved(record, state, now, why)
