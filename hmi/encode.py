"""Values of the vocabulary as JSON: one shape for the API, the command line and the live stream."""

import math
from collections.abc import Callable
from typing import Any

from scada.clock import HOUR_S
from scada.commands import CommandStatus, MemberState, Selection
from scada.dial import Cause, DialReading, DialTable, Due, Verdict
from scada.dial_file import dial_text
from scada.events import KeptEvent
from scada.group_keys import GroupKeyState
from scada.ports import Alarm, Health, WalkbyReport
from scada.reads import ReadTask
from scada.site import MeterPeriod, Module, SiteChange
from scada.supplies import Holding, Local, SupplyNews, SupplyStatus, Switch

MOST_MEMBERS = 1000                     # of a command that are told one by one; the counts are of all of them
WORST_FIRST = {"high": 0, "medium": 1, "low": 2}
NEEDS_EYES = ("unacknowledged", "returned")


def finite(value: float) -> float | None:
    """JSON knows no NaN: a missing number is null."""
    return value if math.isfinite(value) else None


def milliseconds(ns: int) -> int:
    return ns // 1_000_000


def alarm(one: Alarm, title: str = "") -> dict[str, Any]:
    return {
        "id": one.id, "source": one.source, "title": title, "kind": one.kind, "priority": one.priority.value,
        "state": one.state.value,
        "raised_ms": milliseconds(one.raised), "changed_ms": milliseconds(one.changed), "value": finite(one.value),
        "limit": finite(one.limit), "unit": one.unit, "area": one.area, "acknowledged_by": one.acknowledged_by,
        "comment": one.comment, "count": one.count, "suppressed_by": one.suppressed_by,
        "detail": one.detail,
    }


def event(one: KeptEvent, title: str = "") -> dict[str, Any]:
    return {
        "stream": one.stream.value, "device": one.device, "source": one.source, "title": title, "kind": one.kind,
        "state": one.state, "severity": one.severity, "moment_ms": milliseconds(one.moment), "at_ms": milliseconds(one.at),
        "time_good": one.time_good, "received_ms": milliseconds(one.received), "sequence": one.sequence, "value": one.value,
        "limit": one.limit, "unit": one.unit, "text": one.text, "by": one.by,
    }


def alarm_summary(alarms: tuple[Alarm, ...], title: Callable[[str], str]) -> dict[str, Any]:
    """The banner: how many of each priority, how many of them wait for a person, and the worst one with its title."""
    counts = {priority: [0, 0] for priority in WORST_FIRST}
    for one in alarms:
        counts[one.priority.value][0] += 1
        counts[one.priority.value][1] += one.state.value in NEEDS_EYES
    waiting = [one for one in alarms if one.state.value in NEEDS_EYES]
    top = min(waiting, key=lambda one: (WORST_FIRST[one.priority.value], -one.raised), default=None)
    worst = alarm(top, title(top.source)) if top else None
    return {"counts": counts, "waiting": len(waiting), "active": len(alarms), "top": worst}


def selection(one: Selection) -> dict[str, Any]:
    return {
        "id": one.id, "digest": one.digest, "group": one.request.group, "off_for_s": one.request.off_for_s,
        "reason": one.request.reason, "action": one.request.action.name.lower(), "level_w": one.request.level_w,
        "total": len(one.members), "may_not_answer": one.may_not_answer, "area": one.area, "epoch": one.epoch,
        "expected_w": one.expected_w,
        "warnings": list(one.warnings), "made_ms": milliseconds(one.made), "expires_ms": milliseconds(one.expires),
        "monitor_only": one.monitor_only,
        "members": [
            {
                "eui": f"{member.eui:016x}", "device": member.device, "concentrator": member.concentrator,
                "title": member.title, "load_class": member.load_class.name.lower(), "rated_w": member.rated_w,
                "obstacle": member.obstacle,
            }
            for member in one.members[:MOST_MEMBERS]
        ],
    }


def command(one: CommandStatus, *, members: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": one.id, "action": one.action.name.lower(), "group": one.group, "actor": one.actor,
        "origin": one.origin.value, "state": one.state.value, "off_for_s": one.off_for_s,
        "not_after_ms": milliseconds(one.not_after), "made_ms": milliseconds(one.made), "ends_ms": milliseconds(one.ends),
        "monitor_only": one.monitor_only, "reason": one.reason, "level_w": one.level_w, "total": len(one.members),
        "counts": {state.name.lower(): n for state in MemberState if (n := one.count(state))},
    }
    if one.confirmation is not None:
        shed, uncertainty = one.measured_w
        found["confirmation"] = one.confirmation.value
        found["shed_w"], found["shed_uncertainty_w"] = finite(shed), finite(uncertainty)
        found["effects"] = [
            {
                "transformer": seen.transformer, "state": seen.state.value, "shed_w": finite(seen.shed_w),
                "uncertainty_w": finite(seen.uncertainty_w), "expected_w": finite(seen.expected_w),
                "before_w": finite(seen.before_w), "after_w": finite(seen.after_w), "at_ms": milliseconds(seen.at),
                "reason": seen.reason,
            }
            for seen in one.effects
        ]
    if members:
        found["members"] = [
            {
                "eui": f"{result.member.eui:016x}", "device": result.member.device, "title": result.member.title,
                "concentrator": result.member.concentrator, "rated_w": result.member.rated_w,
                "state": result.state.name.lower(), "reason": result.reason, "changed_ms": milliseconds(result.changed),
            }
            for result in one.members[:MOST_MEMBERS]
        ]
    return found


def read(one: ReadTask, *, members: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": one.id, "state": one.state.value, "asked": one.asked, "actor": one.actor, "origin": one.origin.value,
        "key": one.key, "priority": one.priority.name.lower(), "made_ms": milliseconds(one.made),
        "deadline_ms": milliseconds(one.deadline), "expected_ms": milliseconds(one.expected), "total": one.total,
        "answered": one.answered,
        "shares": [
            {
                "concentrator": share.concentrator, "state": share.state.value, "reason": share.reason,
                "attempts": share.attempts, "expected_ms": milliseconds(share.expected), "total": len(share.members),
                "answered": sum(member.answered for member in share.members),
            }
            for share in one.shares
        ],
    }
    if members:
        found["modules"] = [
            {
                "eui": f"{member.eui:016x}", "device": member.device, "title": member.title,
                "concentrator": share.concentrator, "reason": member.reason,
                "readings": [
                    {
                        "channel": reading.channel, "code": reading.code,
                        "pulses": reading.pulses if reading.code == "OK" else None, "at_ms": milliseconds(reading.at),
                        "time_good": reading.time_good, "status": reading.status,
                    }
                    for reading in member.readings if reading.channel >= 0
                ],
            }
            for share in one.shares for member in share.members
        ]
    return found


def dial(one: DialReading) -> dict[str, Any]:
    return {
        "number": one.number, "point": one.point, "serial": one.serial, "at_ms": milliseconds(one.at),
        "dial": dial_text(one.shown), "value": one.shown.value, "source": one.source.value, "by": one.by,
        "photo": one.photo,
    }


def dial_row(table: DialTable, row: int) -> dict[str, Any]:
    """One meter of the table of dials."""
    period, found = table.periods[row], table.comparison
    return {
        "point": period.point, "serial": period.serial, "eui": f"{period.eui:016x}", "channel": period.channel,
        "unit": table.units[row], "read": finite(float(table.read[row])), "read_ms": milliseconds(int(table.last_at[row])),
        "expected": finite(float(found.expected[row])), "difference": finite(float(found.difference[row])),
        "tolerance": finite(float(found.tolerance[row])), "verdict": Verdict(int(found.verdict[row])).name.lower(),
        "cause": Cause(int(found.cause[row])).name.lower(), "offset": finite(float(table.offset[row])),
        "due": Due(int(table.due[row])).name.lower(),
        "due_ms": milliseconds(int(table.due_at[row])) if table.last_at[row] else None,
    }


def supply(one: SupplyStatus) -> dict[str, Any]:
    return {
        "point": one.point, "kind": one.kind.value, "medium": one.medium.value, "title": one.title, "device": one.device,
        "module": one.module, "concentrator": one.concentrator, "area": one.area, "protected": one.protected,
        "state": one.state.value, "by_hand": one.by_hand, "since_ms": milliseconds(one.since),
        "holders": [holding(each) for each in one.holders], "switch": switch(one.switch) if one.switch else None,
        "effect": one.effect.value, "effect_pulses": one.effect_pulses, "local": local(one.local) if one.local else None,
    }


def holding(one: Holding) -> dict[str, Any]:
    return {
        "id": one.id, "reason": one.reason.value, "tag": one.tag, "name": one.name, "note": one.note, "by": one.by,
        "at_ms": milliseconds(one.at),
    }


def switch(one: Switch) -> dict[str, Any]:
    return {
        "id": one.id, "action": one.action.value, "state": one.state.value, "over": one.over,
        "requested_by": one.requested_by, "origin": one.origin.value, "requested_ms": milliseconds(one.requested),
        "expires_ms": milliseconds(one.expires), "confirmed_by": one.confirmed_by,
        "not_after_ms": milliseconds(one.not_after), "accepted_ms": milliseconds(one.accepted),
        "executed_ms": milliseconds(one.executed), "reason": one.reason, "note": one.note,
        "holder": holding(one.holding) if one.holding else None,
    }


def local(one: Local) -> dict[str, Any]:
    return {"scope": one.scope, "by": one.by, "at_ms": milliseconds(one.at), "note": one.note}


def supply_news(one: SupplyNews) -> dict[str, Any]:
    return {
        "number": one.number, "at_ms": milliseconds(one.at), "what": one.what, "actor": one.actor, "detail": one.detail,
    }


def health(one: Health) -> dict[str, Any]:
    return {"part": one.part, "ok": one.ok, "text": one.text, "figures": {k: finite(v) for k, v in one.figures.items()}}


def walkby(report: WalkbyReport) -> dict[str, Any]:
    return {
        "files": list(report.files), "stored": report.stored, "modules": report.modules, "hours": report.hours,
        "new": report.new, "known": report.known, "conflicting": report.conflicting,
        "conflicts": [
            {
                "file": one.file, "eui": f"{one.eui:016x}", "module": one.module, "channel": one.channel,
                "start_s": one.hour * HOUR_S, "kind": one.kind, "held": one.held, "given": one.given,
            }
            for one in report.conflicts
        ],
        "unknown_euis": [f"{eui:016x}" for eui in report.unknown],
        "problems": [str(one) for one in report.problems],
    }


def module(one: Module) -> dict[str, Any]:
    return {
        "eui": f"{one.eui:016x}", "name": one.name, "title": one.title, "state": one.state.value,
        "concentrator": one.concentrator, "index": one.index, "channels": one.channels, "adapter": one.adapter,
        "building": one.building,
    }


def meter(one: MeterPeriod) -> dict[str, Any]:
    return {
        "serial": one.serial, "point": one.point, "eui": f"{one.eui:016x}", "channel": one.channel,
        "pulses_per_unit": one.pulses_per_unit, "valid_from_s": one.valid_from * HOUR_S,
        "valid_to_s": None if one.valid_to is None else one.valid_to * HOUR_S,
        "start_register": one.start_register, "final_register": one.final_register,
    }


def change(one: SiteChange) -> dict[str, Any]:
    """What a swap or a step changes."""
    return {
        "modules": [{"was": None if was is None else module(was), "is": module(now)} for was, now in one.modules],
        "closed": [meter(period) for period in one.closed], "opened": [meter(period) for period in one.opened],
        "loads": [{"was": f"{was.eui:016x}", "is": f"{now.eui:016x}", "title": now.title} for was, now in one.loads],
        "groups": [
            {"name": now.name, "epoch_was": was.epoch, "epoch_is": now.epoch, "members": len(now.members)}
            for was, now in one.groups
        ],
        "nothing": one.nothing,
    }


def group_keys(one: GroupKeyState) -> dict[str, Any]:
    """How far a group's key has come."""
    return {
        "group": one.group, "number": one.number, "epoch": one.epoch, "held": one.held, "members": one.members,
        "unplaced": [f"{eui:016x}" for eui in one.unplaced],
        "concentrators": [
            {"name": share.concentrator, "epoch_in_use": share.in_use, "held": share.held, "members": share.members,
             "missing": [f"{eui:016x}" for eui in share.missing]}
            for share in one.shares
        ],
    }
