"""Who may do what with a supply, and every reason against it at once. Pure; nothing a user interface checked is trusted."""

from collections.abc import Mapping
from typing import Final

import attrs

from scada.commands import Actor, Role
from scada.site import Directory, Medium, Point, Supply, SupplyKind
from scada.supplies import (
    Holding,
    HoldReason,
    Local,
    SupplyRequest,
    SupplyState,
    SupplyStatus,
    SwitchAction,
    SwitchState,
    area_scope,
    point_scope,
)
from scada.supply.record import Record
from scada.supply.show import device_name

COMMANDERS: Final = frozenset({Role.DISPATCHER, Role.ADMINISTRATOR})
MAY_SAY_LOCAL: Final = COMMANDERS | {Role.ENGINEER}
OF_A_VALVE: Final = frozenset({HoldReason.LEAK, HoldReason.DANGER})
WITH_A_NOTE: Final = frozenset({HoldReason.DANGER, HoldReason.LEAK})        # to release them somebody must have looked
LONGEST: Final = 200                    # characters of a tag, a name or a note


@attrs.frozen
class Place:
    """Where a supply is, as the registry has it."""

    supply: Supply
    point: Point
    device: str                         # the module's name
    concentrator: str
    link_id: int
    index: int
    area: str
    protected: bool


def place_of(directory: Directory, name: str) -> Place | None:
    """None where the point has no supply that can be switched."""
    supply, point = directory.supply_of_point.get(name), directory.point.get(name)
    module = directory.module_of_eui.get(supply.eui) if supply else None
    concentrator = directory.concentrator.get(module.concentrator) if module else None
    if supply is None or point is None or module is None or concentrator is None:
        return None
    consumer = directory.consumer.get(point.consumer)
    return Place(
        supply, point, module.name, concentrator.name, concentrator.link_id, module.index, concentrator.area,
        consumer is not None and consumer.protected,
    )


def local_of(place: Place, locals_: Mapping[str, Local]) -> Local | None:
    """Who has the say on site, at the point or in its whole area; None: commands may come from here."""
    return locals_.get(point_scope(place.point.name)) or locals_.get(area_scope(place.area))


def status_of(place: Place, record: Record, locals_: Mapping[str, Local]) -> SupplyStatus:
    """What people and programs are shown."""
    return SupplyStatus(
        point=place.point.name, kind=place.supply.kind, medium=place.point.medium,
        title=place.supply.title or place.point.title or place.point.name, device=device_name(place.device),
        module=place.device, concentrator=place.concentrator, area=place.area, protected=place.protected,
        state=record.state, by_hand=record.by_hand, holders=record.holders, switch=record.switch, effect=record.effect,
        effect_pulses=record.effect_pulses, local=local_of(place, locals_), since=record.since,
    )


# ------------------------------------------------------------------------------------------- who, and where
def authority(actor: Actor, place: Place) -> list[str]:
    """Role and area of the real person."""
    reasons = []
    if actor.role not in COMMANDERS:
        reasons.append(f"{actor.name} is {actor.role}; only dispatchers and administrators may command")
    if not actor.covers(place.area):
        reasons.append(f"{actor.name} may not command in area {place.area or '(none)'}")
    return reasons


def texts(*given: str) -> list[str]:
    if any(len(one) > LONGEST or not (one.isprintable()) for one in given):
        return [f"tag, name and note have at most {LONGEST} printable characters"]
    return []


def remote(place: Place, locals_: Mapping[str, Local]) -> list[str]:
    local = local_of(place, locals_)
    return [f"{local.scope} is in local since {local.by} said so: nothing is switched from here"] if local else []


# ------------------------------------------------------------------------------------------------- requests
def against_request(
    actor: Actor, place: Place, record: Record, request: SupplyRequest, locals_: Mapping[str, Local]
) -> list[str]:
    """Every reason against asking for a switch."""
    reasons = authority(actor, place) + texts(request.tag, request.name, request.note)
    switch = record.switch
    if switch is not None and not switch.over:
        waits = switch.state is SwitchState.REQUESTED
        if waits:
            reasons.append(f"a request of {switch.requested_by} waits for a second person: confirm or withdraw it first")
        elif request.action is SwitchAction.RECONNECT or switch.action is SwitchAction.DISCONNECT:
            reasons.append(f"a switch of {switch.requested_by} is under way")
    if request.action is SwitchAction.RECONNECT:
        return reasons + against_reconnection(place, record, locals_)
    return reasons + against_disconnection(place, request, locals_)


def against_disconnection(place: Place, request: SupplyRequest, locals_: Mapping[str, Local]) -> list[str]:
    reasons = remote(place, locals_)
    reason = request.reason
    if reason is None:
        return [*reasons, "a disconnection needs its reason: debt, danger, leak or crew"]
    valve = place.supply.kind is SupplyKind.VALVE
    if valve and reason not in OF_A_VALVE:
        reasons.append("a valve is closed for a leak or a danger only")
    if reason is HoldReason.LEAK and place.point.medium not in (Medium.WATER, Medium.GAS, Medium.HEAT):
        reasons.append("only water, gas and heat leak")
    if place.protected and reason not in OF_A_VALVE:
        reasons.append(f"{place.point.consumer} is a protected consumer: its supply is switched off in danger only")
    return reasons + tagged(reason, request.tag, request.name)


def against_reconnection(place: Place, record: Record, locals_: Mapping[str, Local]) -> list[str]:
    """Asked of a request, of its confirmation, and of each command before it leaves."""
    reasons = remote(place, locals_)
    if record.holders:
        who = ", ".join(in_words(one) for one in record.holders)
        reasons.append(f"held off by {who}: all of them must release it first")
    if record.state is SupplyState.ON and not record.in_module:
        reasons.append("the supply is on already")
    if record.by_hand:
        reasons.append("it is let go already: somebody on site must switch it by hand")
    return reasons


def against_confirmation(
    actor: Actor, place: Place, record: Record, switch_id: str, now: int, locals_: Mapping[str, Local]
) -> list[str]:
    """A second person looks at the same request: everything is judged again, as it is now."""
    reasons = authority(actor, place)
    switch = record.switch
    if switch is None or switch.id != switch_id:
        return [*reasons, "no such request"]
    if switch.state is not SwitchState.REQUESTED:
        return [*reasons, f"the request does not wait any more: it is {switch.state}"]
    if actor.name == switch.requested_by:
        reasons.append(f"{actor.name} asked for it: another person must confirm")
    if now >= switch.expires:
        reasons.append("the request has expired: ask again")
    if switch.action is SwitchAction.RECONNECT:
        return reasons + against_reconnection(place, record, locals_)
    assert switch.holding is not None
    asked = SupplyRequest(
        record.point, switch.action, switch.holding.reason, switch.holding.tag, switch.holding.name, switch.holding.note
    )
    return reasons + against_disconnection(place, asked, locals_)


def against_withdrawal(actor: Actor, place: Place, record: Record, switch_id: str) -> list[str]:
    reasons = authority(actor, place)
    switch = record.switch
    if switch is None or switch.id != switch_id:
        reasons.append("no such request")
    elif switch.state is not SwitchState.REQUESTED:
        reasons.append(f"the request does not wait any more: it is {switch.state}")
    return reasons


# -------------------------------------------------------------------------------------------------- holders
def against_holding(actor: Actor, place: Place, record: Record, holding: Holding) -> list[str]:
    """A holder of a supply that is off is safe to add; one of a supply that is on would only look like safety."""
    reasons = authority(actor, place) + texts(holding.tag, holding.name, holding.note)
    reasons += tagged(holding.reason, holding.tag, holding.name)
    if record.state is not SupplyState.OFF:
        reasons.append("the supply is not known to be off: disconnect it instead")
    elif record.by_hand:
        reasons.append("it is let go, and a hand may switch it on: disconnect it instead")
    switch = record.switch
    under_way = switch is not None and not switch.over and switch.state is not SwitchState.REQUESTED
    if under_way and switch is not None and switch.action is SwitchAction.RECONNECT:
        reasons.append("a reconnection is under way: disconnect it instead")
    return reasons


def against_release(
    actor: Actor, place: Place, record: Record, holding_id: str, tag: str, name: str, note: str
) -> list[str]:
    """A crew's lock-out is lifted by who names its tag and its name, or by an administrator who says why."""
    reasons = authority(actor, place) + texts(tag, name, note)
    holding = record.holding(holding_id)
    if holding is None:
        return [*reasons, "no such holder"]
    if holding.reason is HoldReason.CREW and (tag, name) != (holding.tag, holding.name):
        if actor.role is not Role.ADMINISTRATOR:
            reasons.append("a crew's lock-out is released with the number and the name on its tag, or by an administrator")
        elif not note:
            reasons.append("an administrator who lifts a crew's lock-out says why")
    if holding.reason in WITH_A_NOTE and not note:
        reasons.append("a danger or a leak is released with a note of who looked, and what was found")
    return reasons


def tagged(reason: HoldReason, tag: str, name: str) -> list[str]:
    if reason is HoldReason.CREW and not (tag.strip() and name.strip()):
        return ["a crew's lock-out needs the number of its tag and a name"]
    return []


def in_words(holding: Holding) -> str:
    """A holder, fit for a sentence."""
    who = f" {holding.tag} {holding.name}" if holding.reason is HoldReason.CREW else ""
    return f"{holding.reason}{who}"


# --------------------------------------------------------------------------------------- local and remote
def against_local(actor: Actor, area: str, known: Local | None) -> list[str]:
    """`known`: who said local, where it is to end: he himself, or an administrator, says remote again."""
    reasons = []
    if actor.role not in MAY_SAY_LOCAL:
        name, role = actor.name, actor.role
        reasons.append(f"{name} is {role}; only dispatchers, engineers and administrators may say local or remote")
    if not actor.covers(area):
        reasons.append(f"{actor.name} may not command in area {area or '(none)'}")
    if known is not None and actor.name != known.by and actor.role is not Role.ADMINISTRATOR:
        reasons.append(f"{known.by} said local: the same person or an administrator says remote again")
    return reasons
