"""The words for states: one table each, used by the templates and sent to the browser's part.

A state is never shown by colour alone: where it has a symbol, the symbol stands beside the word.
"""

from collections.abc import Sequence
from typing import Any, Final

from flask_babel import lazy_gettext as _l

from scada.cases import CaseState
from scada.commands import Action, CommandState, CommandStatus, EffectState, LoadClass, MemberState, Role
from scada.dial import Cause, DialSource, Due, Verdict
from scada.estimates import Method
from scada.intervals import ChangeKind, IntervalStatus
from scada.leaks import LeakState, TooLittle
from scada.network import Basis, Trouble
from scada.outage import Scope
from scada.phase_orders import MoveState, NoGain, OrderState
from scada.phase_study import Lack, Objective, Unchecked
from scada.ports import AlarmState, Priority, RecallState
from scada.reads import ReadPriority, ReadState
from scada.replacement import NotReckoned
from scada.rollout import CampaignState, UpdateState
from scada.site import GroupKind, Medium, MemberRole, ModuleState, SupplyKind
from scada.supplies import Effect, HoldReason, SupplyState, SwitchAction, SwitchState
from scada.tags import Quality

QUALITY_SYMBOL: Final = {
    Quality.GOOD: "✓", Quality.GOOD_BACKFILL: "↺", Quality.SUBSTITUTED: "✎",
    Quality.UNCERTAIN_LAST_KNOWN: "?", Quality.UNCERTAIN_ESTIMATED: "≈",
    Quality.BAD_WAITING: "…", Quality.BAD_STALE: "◷", Quality.BAD_NOT_CONNECTED: "⊘",
    Quality.BAD_OUT_OF_RANGE: "⇕", Quality.BAD_SENSOR: "✖", Quality.BAD_CONFIG: "✖",
}
QUALITY: Final[dict[Quality, Any]] = {
    Quality.GOOD: _l("good"), Quality.GOOD_BACKFILL: _l("good, delivered late"), Quality.SUBSTITUTED: _l("substituted"),
    Quality.UNCERTAIN_LAST_KNOWN: _l("last known"), Quality.UNCERTAIN_ESTIMATED: _l("estimated"),
    Quality.BAD_WAITING: _l("no value yet"), Quality.BAD_STALE: _l("stale"), Quality.BAD_NOT_CONNECTED: _l("not connected"),
    Quality.BAD_OUT_OF_RANGE: _l("out of range"), Quality.BAD_SENSOR: _l("sensor fault"),
    Quality.BAD_CONFIG: _l("configuration fault"),
}
CHANGE: Final[dict[ChangeKind, Any]] = {
    ChangeKind.DELIVERED: _l("delivered"), ChangeKind.JOINED: _l("marked later"),
    ChangeKind.REFUSED: _l("refused: another count is held"),
    ChangeKind.REGISTER_REFUSED: _l("refused: the register contradicts the count"),
}
STATUS_BIT: Final[dict[IntervalStatus, Any]] = {
    IntervalStatus.OPEN_CIRCUIT: _l("open circuit"), IntervalStatus.SHORT_CIRCUIT: _l("short circuit"),
    IntervalStatus.MAGNET: _l("magnet at the meter"), IntervalStatus.COVER: _l("cover open"),
    IntervalStatus.BATTERY_LOW: _l("battery low"), IntervalStatus.CLOCK_ADJUSTED: _l("clock set"),
    IntervalStatus.CLOCK_INVALID: _l("clock was wrong"), IntervalStatus.POWER_DOWN: _l("supply lost"),
}
METHOD: Final[dict[Method, Any]] = {
    Method.VALUE: _l("a person's figure"), Method.INTERPOLATED: _l("interpolated"),
    Method.TYPICAL: _l("typical of the hour"), Method.SPREAD: _l("shared out by the register"),
    Method.WITHDRAWN: _l("withdrawn"),
}
PRIORITY_SYMBOL: Final = {Priority.HIGH: "■", Priority.MEDIUM: "▲", Priority.LOW: "◆"}
PRIORITY: Final[dict[Priority, Any]] = {
    Priority.HIGH: _l("high"), Priority.MEDIUM: _l("medium"), Priority.LOW: _l("low"),
}
PRIORITY_BY_NAME: Final = {priority.value: text for priority, text in PRIORITY.items()}
SYMBOL_BY_NAME: Final = {priority.value: symbol for priority, symbol in PRIORITY_SYMBOL.items()}
ALARM_STATE: Final[dict[AlarmState, Any]] = {
    AlarmState.NORMAL: _l("normal"), AlarmState.UNACKNOWLEDGED: _l("active, not acknowledged"),
    AlarmState.ACKNOWLEDGED: _l("active, acknowledged"), AlarmState.RETURNED: _l("over, not acknowledged"),
}
ALARM_KIND: Final[dict[str, Any]] = {
    "high": _l("above the limit"), "high_high": _l("far above the limit"), "low": _l("below the limit"),
    "low_low": _l("far below the limit"), "stale": _l("no news"), "not_connected": _l("not connected"),
    "magnet": _l("magnet at the meter"), "open_circuit": _l("open circuit"), "short_circuit": _l("short circuit"),
    "cover_open": _l("cover open"), "battery_low": _l("battery low"), "power_down": _l("supply lost"),
    "clock_stepped": _l("clock was wrong"), "module_lost": _l("module lost"), "actuator_fault": _l("actuator fault"),
    "concentrator_restarted": _l("concentrator restarted"), "archive_full": _l("archive full"),
    "link_replaced": _l("second connection with the same key"), "hours_given_up": _l("missing hours given up"),
    "wrong_subnet": _l("heard at another concentrator"), "duplicate_eui": _l("two modules with one EUI"),
    "unexpected_channel": _l("meter and channel do not match"),
    "module_gone_heard": _l("out of service, and heard"),
    "clock_set": _l("clock set"), "clock_set_back": _l("clock set back over stored hours"),
    "bypass": _l("bypass: disconnected, and still counting"),
    "imbalance": _l("imbalance above the limit"),
    "outage_relay": _l("outage: relay lost with those behind it"), "outage_riser": _l("outage of a riser"),
    "outage_building": _l("outage of a building"), "outage_concentrator": _l("outage of a concentrator"),
    "outage_backhaul": _l("outage of a back-haul"), "outage_partition": _l("outage: part of a radio network cut off"),
    "dial_mismatch": _l("dial does not agree with the count"),
    "meter_stuck": _l("no pulses any more"), "meter_too_much": _l("counts too much, by its balance"),
    "meter_too_little": _l("counts too little, by its balance"),
    "balance_over": _l("imbalance of the day over its limit"), "balance_incomplete": _l("balance of the day incomplete"),
    "safety_broken_neutral": _l("neutral broken, or badly connected"), "safety_lost_phase": _l("a phase is lost"),
    "safety_high_voltage": _l("voltage too high"), "safety_low_voltage": _l("voltage too low"),
    "safety_arcing": _l("a contact arcs"),
    "leak_water": _l("leak: water never stops"), "leak_gas": _l("leak: gas never stops"),
    "leak_heat": _l("heat never stops"),
}
POINT: Final[dict[str, Any]] = {                        # quantities that raise alarms of themselves
    "hot_spot": _l("hot spot of the winding"), "minutes_left": _l("time the load can be carried"),
    "loading": _l("loading"), "imbalance_i2_i1": _l("current imbalance"),
    "imbalance_percent": _l("imbalance of the balance"), "longest_turn": _l("time for which the server was busy"),
    "full_percent": _l("filling of the spool"), "oldest_s": _l("age of what waits in the spool"),
    "dropped_in_hour": _l("lines dropped in the last hour"), "dead_lines": _l("dead letters"),
    "refused": _l("the destination refuses what it is sent"),
}
RECALL_STATE: Final[dict[RecallState, Any]] = {
    RecallState.WAITING: _l("waits for its turn"), RecallState.ASKING: _l("is being asked"), RecallState.DONE: _l("over"),
    RecallState.EXPIRED: _l("expired"),
}
MEMBER_STATE: Final[dict[MemberState, Any]] = {
    MemberState.SELECTED: _l("selected"), MemberState.SENT: _l("sent"),
    MemberState.ACCEPTED: _l("accepted by the concentrator"),
    MemberState.RECEIVED: _l("heard by the module"), MemberState.EXECUTED: _l("executed"),
    MemberState.REFUSED: _l("refused"), MemberState.NO_ANSWER: _l("no answer"), MemberState.NOT_SENT: _l("not sent"),
    MemberState.RESTORED: _l("supply is back"),
}
MEMBER_SYMBOL: Final = {
    MemberState.SELECTED: "○", MemberState.SENT: "→", MemberState.ACCEPTED: "◔", MemberState.RECEIVED: "◑",
    MemberState.EXECUTED: "●", MemberState.REFUSED: "✖", MemberState.NO_ANSWER: "?", MemberState.NOT_SENT: "⊘",
    MemberState.RESTORED: "✓",
}
EFFECT_STATE: Final[dict[EffectState, Any]] = {
    EffectState.CONFIRMED: _l("confirmed"), EffectState.NOT_CONFIRMED: _l("not confirmed"),
    EffectState.CANNOT_TELL: _l("cannot be told"),
}
COMMAND_STATE: Final[dict[CommandState, Any]] = {
    CommandState.SENDING: _l("sending"), CommandState.COLLECTING: _l("results come in"),
    CommandState.ACTIVE: _l("loads are off"),
    CommandState.RESTORING: _l("restoring"), CommandState.CLOSED: _l("finished"), CommandState.FAILED: _l("failed"),
    CommandState.UNKNOWN: _l("not known, the field is being asked"),
}
HELD: Final = (Action.LIMIT, Action.ECO)
HELD_STATE: Final[dict[CommandState, Any]] = {          # where nothing is off: a limit, economy
    CommandState.ACTIVE: _l("in force"), CommandState.RESTORING: _l("being lifted"),
}
READ_STATE: Final[dict[ReadState, Any]] = {
    ReadState.NEW: _l("new"), ReadState.QUEUED: _l("waits"), ReadState.SENT: _l("asked"),
    ReadState.PARTIAL: _l("answers come in"), ReadState.DONE: _l("done"), ReadState.EXPIRED: _l("deadline passed"),
    ReadState.FAILED: _l("failed"), ReadState.CANCELLED: _l("cancelled"),
}
READ_PRIORITY: Final[dict[ReadPriority, Any]] = {
    ReadPriority.URGENT: _l("urgent"), ReadPriority.NORMAL: _l("normal priority"), ReadPriority.LOW: _l("low priority"),
}
CAMPAIGN_STATE: Final[dict[CampaignState, Any]] = {
    CampaignState.DRAFT: _l("draft: nothing was sent"), CampaignState.CANARY: _l("canary is being updated"),
    CampaignState.SOAK: _l("canary is being watched"), CampaignState.WAVE: _l("waves are being updated"),
    CampaignState.PAUSED: _l("paused"), CampaignState.DONE: _l("done"), CampaignState.ABORTED: _l("aborted"),
}
UPDATE_STATE: Final[dict[UpdateState, Any]] = {
    UpdateState.WAITING: _l("waits"), UpdateState.TRANSFER: _l("takes blocks"), UpdateState.COMPLETE: _l("has every block"),
    UpdateState.VERIFIED: _l("image checked"), UpdateState.ACTIVATING: _l("starts the image"),
    UpdateState.DONE: _l("runs the version"), UpdateState.FAILED: _l("failed"),
}
UPDATE_SYMBOL: Final = {
    UpdateState.WAITING: "○", UpdateState.TRANSFER: "→", UpdateState.COMPLETE: "◔", UpdateState.VERIFIED: "◑",
    UpdateState.ACTIVATING: "●", UpdateState.DONE: "✓", UpdateState.FAILED: "✖",
}
ROLLOUT: Final[dict[str, Any]] = {
    "start": _l("Start the canary"), "approve": _l("Approve the waves"), "pause": _l("Pause"), "resume": _l("Resume"),
    "abort": _l("Abort"),
}
ROLLOUT_MEANS: Final[dict[str, Any]] = {
    "start": _l("The modules of the canary take the image; the waves wait for the approval of another person."),
    "approve": _l("After the soak the waves follow each other by themselves, while the failure rate stays in its limit."),
    "resume": _l("Blocks and activations leave again; the failures so far no longer count."),
    "abort": _l("Nothing leaves any more, for good. Modules that run the new version keep it."),
}
SUPPLY_STATE: Final[dict[SupplyState, Any]] = {
    SupplyState.UNKNOWN: _l("not known"), SupplyState.ON: _l("on"), SupplyState.OFF: _l("off"),
}
SUPPLY_SYMBOL: Final = {SupplyState.UNKNOWN: "?", SupplyState.ON: "●", SupplyState.OFF: "○"}
SUPPLY_KIND: Final[dict[SupplyKind, Any]] = {
    SupplyKind.CONTACTOR: _l("contactor"), SupplyKind.BREAKER: _l("breaker"), SupplyKind.VALVE: _l("valve"),
}
SUPPLY_EFFECT: Final[dict[Effect, Any]] = {
    Effect.NONE: "–", Effect.WAITING: _l("no full hour yet"), Effect.CONFIRMED: _l("stopped"),
    Effect.BYPASS: _l("still counting"),
}
SUPPLY_FILTER: Final[dict[str, Any]] = {
    "all": _l("All"), "off": _l("Off or held off"), "pending": _l("Second person awaited"), "bypass": _l("Bypassed"),
}
HOLD_REASON: Final[dict[HoldReason, Any]] = {
    HoldReason.DEBT: _l("debt"), HoldReason.DANGER: _l("danger"), HoldReason.LEAK: _l("leak"),
    HoldReason.CREW: _l("crew at work"),
}
SWITCH_ACTION: Final[dict[SwitchAction, Any]] = {
    SwitchAction.DISCONNECT: _l("disconnect"), SwitchAction.RECONNECT: _l("reconnect"),
}
SWITCH_STATE: Final[dict[SwitchState, Any]] = {
    SwitchState.REQUESTED: _l("waits for a second person"), SwitchState.CONFIRMED: _l("confirmed, not sent yet"),
    SwitchState.SENT: _l("sent"), SwitchState.ASKING: _l("the concentrator is asked"),
    SwitchState.ACCEPTED: _l("taken by the concentrator"), SwitchState.RECEIVED: _l("heard by the module"),
    SwitchState.EXECUTED: _l("executed"), SwitchState.REFUSED: _l("refused"), SwitchState.NO_ANSWER: _l("no answer"),
    SwitchState.NOT_SENT: _l("not sent"), SwitchState.EXPIRED: _l("not confirmed in time"),
    SwitchState.WITHDRAWN: _l("withdrawn"),
}
SUPPLY_NEWS: Final[dict[str, Any]] = {
    "requested": _l("asked for"), "confirmed_by": _l("confirmed by a second person"), "withdrawn": _l("withdrawn"),
    "expired": _l("not confirmed in time"), "hold": _l("holder entered"), "release": _l("holder released"),
    "sent": _l("sent"), "not_sent": _l("not sent"), "unsure": _l("the link broke"),
    "known": _l("the concentrator knows of it"), "never_came": _l("it never came to the concentrator"),
    "accepted": _l("taken by the concentrator"),
    "received": _l("heard by the module"), "executed": _l("executed by the module"), "refused": _l("refused"),
    "no_answer": _l("no answer"), "by_hand": _l("switched on by hand on site"), "confirmed": _l("its pulses have stopped"),
    "bypass": _l("it still counts"), "another_module": _l("another module switches it now"),
}
ACTION: Final[dict[Action, Any]] = {
    Action.SHED: _l("shed"), Action.RESTORE: _l("restore"), Action.LIMIT: _l("limit"), Action.ECO: _l("economy"),
    Action.SUPPLY_OFF: _l("supply off"), Action.SUPPLY_ON: _l("supply on"),
}
LOAD_CLASS: Final[dict[LoadClass, Any]] = {
    LoadClass.RED: _l("red: never off"), LoadClass.YELLOW: _l("yellow: minutes"), LoadClass.GREEN: _l("green: hours"),
}
ROLE: Final[dict[Role, Any]] = {
    Role.VIEWER: _l("viewer"), Role.ENGINEER: _l("engineer"), Role.DISPATCHER: _l("dispatcher"),
    Role.INTEGRATOR: _l("integrator"), Role.ADMINISTRATOR: _l("administrator"), Role.SUBSCRIBER: _l("subscriber"),
    Role.INSTALLER: _l("installer"),
}
MEDIUM: Final[dict[Medium, Any]] = {
    Medium.ELECTRICITY: _l("electricity"), Medium.WATER: _l("water"), Medium.GAS: _l("gas"), Medium.HEAT: _l("heat"),
}
GROUP_KIND: Final[dict[GroupKind, Any]] = {
    GroupKind.FREE: _l("group"), GroupKind.RISER: _l("riser"), GroupKind.ENTRY: _l("entry"), GroupKind.HOUSE: _l("house"),
    GroupKind.STREET: _l("street"), GroupKind.DISTRICT: _l("district"), GroupKind.CITY: _l("city"),
    GroupKind.REGION: _l("region"), GroupKind.COUNTRY: _l("country"),
}
MEMBER_ROLE: Final[dict[MemberRole, Any]] = {
    MemberRole.CONSUMPTION: _l("consumption"), MemberRole.COMMON: _l("common needs"),
    MemberRole.GENERATION: _l("local generation"),
}
BALANCE_STATE: Final[dict[str, Any]] = {
    "over": _l("over the limit"), "whole": _l("within the limit"), "estimated": _l("estimated"),
    "incomplete": _l("incomplete"), "none": _l("no balance"),
}
MEDIUM_BY_NAME: Final = {medium.value: text for medium, text in MEDIUM.items()}
MODULE_STATE: Final[dict[ModuleState, Any]] = {
    ModuleState.PLANNED: _l("planned"), ModuleState.COMMISSIONING: _l("being put into service"),
    ModuleState.REPLACED: _l("replaced"), ModuleState.RETIRED: _l("out of service"),
    ModuleState.DISCOVERED: _l("discovered"), ModuleState.ACTIVE: _l("active"), ModuleState.LOST: _l("lost"),
}

DIAL_SOURCE: Final[dict[DialSource, Any]] = {
    DialSource.INSTALLER: _l("installation"), DialSource.WALK_BY: _l("walk-by"),
    DialSource.INSPECTION: _l("inspection"), DialSource.SUBSCRIBER: _l("subscriber"),
}
VERDICT: Final[dict[Verdict, Any]] = {
    Verdict.UNKNOWN: _l("nothing to compare yet"), Verdict.OK: _l("agrees"),
    Verdict.WAITING: _l("waits for the hours of the reading"), Verdict.DRIFT: _l("differs a little"),
    Verdict.MISMATCH: _l("does not agree"),
}
VERDICT_SYMBOL: Final = {
    Verdict.UNKNOWN: "–", Verdict.OK: "✓", Verdict.WAITING: "…", Verdict.DRIFT: "◆", Verdict.MISMATCH: "▲",
}
CAUSE: Final[dict[Cause, Any]] = {
    Cause.NONE: "", Cause.ROLLED: _l("the dial went through its end and began anew"),
    Cause.MISSED_PULSES: _l("pulses are missing: look at the pulse line and its sensor"),
    Cause.EXTRA_PULSES: _l("pulses too many: a contact that bounces, or a second source on the line"),
    Cause.WRONG_CONSTANT: _l("the constant is likely wrong: compare it with the meter's plate"),
    Cause.SWAPPED_DIGITS: _l("two digits of the reading likely changed places"),
    Cause.ONE_DIGIT: _l("one digit of the reading is likely wrong"),
    Cause.BACKWARDS: _l("the dial shows less than before: another meter, or misread"),
}
DUE: Final[dict[Due, Any]] = {
    Due.LATER: _l("later"), Due.SOON: _l("due soon"), Due.OVERDUE: _l("overdue"), Due.NEVER_READ: _l("never read"),
}

SCOPE: Final[dict[Scope, Any]] = {
    Scope.MODULE: _l("Module"), Scope.RELAY: _l("Relay"), Scope.RISER: _l("Riser"), Scope.BUILDING: _l("Building"),
    Scope.CONCENTRATOR: _l("Concentrator"), Scope.BACKHAUL: _l("Back-haul"), Scope.PARTITION: _l("Part of a radio network"),
}
TROUBLE: Final[dict[Trouble, Any]] = {
    Trouble.CUT_OFF: _l("no way to the concentrator"), Trouble.POOR_LINK: _l("poor link"),
    Trouble.OVER_BUDGET: _l("relays more than its battery allows"), Trouble.BATTERY_LOW: _l("battery near its end"),
    Trouble.BATTERY_SHORT: _l("battery will not last"), Trouble.HOT: _l("hot relay"),
    Trouble.NO_WAY_ROUND: _l("others have no other way"), Trouble.FLAPPING: _l("keeps changing its parent"),
    Trouble.OVERLAP: _l("heard by another concentrator"), Trouble.SILENT: _l("not heard for over a day"),
}
BASIS: Final[dict[Basis, Any]] = {
    Basis.UNKNOWN: _l("Nothing to reckon with: no traffic was reported."),
    Basis.COUNTED: _l("Charge counted since the installation; the voltage of this cell says nothing until near its end."),
    Basis.FRESH: _l("Its age is not known: this is what a fresh cell lasts at this load."),
    Basis.AMBIGUOUS: _l("Weak under load: a cell that rested, the cold, or the end; the voltage cannot tell which."),
    Basis.VOLTAGE: _l("The voltage has left its plateau: at most a tenth is left."),
    Basis.EMPTY: _l("The voltage is below what the module works with."),
}
COLOUR: Final[dict[str, Any]] = {
    "delivery": _l("delivery"), "signal": _l("signal"), "level": _l("level"), "relayed": _l("relayed against the budget"),
    "battery": _l("battery, years"),
}
COLOUR_UNIT: Final = {"delivery": "%", "signal": "dBm", "level": "", "relayed": "%", "battery": ""}
SORT: Final[dict[str, Any]] = COLOUR | {
    "trouble": _l("troubles"), "name": _l("name"), "below": _l("modules below it"),
}


def kind(name: str) -> str:
    """An alarm kind in words; one nobody translated yet is shown as it is."""
    return str(ALARM_KIND.get(name, name.replace("_", " ")))


def point(source: str) -> str:
    """The quantity of a tag in words, "" where it has none here."""
    _device, _slash, name = source.partition("/")
    return str(POINT.get(name, ""))


def command_state(command: CommandStatus) -> Any:
    """How far a command has come, in words."""
    text = COMMAND_STATE[command.state]
    return HELD_STATE.get(command.state, text) if command.action in HELD else text


def for_browser() -> dict[str, Any]:
    """The tables the browser's part needs, in the language of this request."""
    return {
        "quality": {int(q): [QUALITY_SYMBOL[q], str(QUALITY[q])] for q in Quality},
        "priority": {p.value: [PRIORITY_SYMBOL[p], str(PRIORITY[p])] for p in Priority},
        "kind": {name: str(text) for name, text in ALARM_KIND.items()},
        "point": {name: str(text) for name, text in POINT.items()},
        "alarm": {state.value: str(text) for state, text in ALARM_STATE.items()},
        "member": {state.name.lower(): [MEMBER_SYMBOL[state], str(text)] for state, text in MEMBER_STATE.items()},
        "supply": {state.value: f"{SUPPLY_SYMBOL[state]} {text}" for state, text in SUPPLY_STATE.items()},
        "switch": {state.value: str(text) for state, text in SWITCH_STATE.items()},
        "read": {state.value: str(text) for state, text in READ_STATE.items()},
        "campaign": {state.value: str(text) for state, text in CAMPAIGN_STATE.items()},
        "command": {state.value: str(text) for state, text in COMMAND_STATE.items()} | {
            f"{action.name.lower()}:{state.value}": str(text) for action in HELD for state, text in HELD_STATE.items()
        },
    }

CASE_STATE: Final[dict[CaseState, Any]] = {
    CaseState.NEW: _l("new case"), CaseState.INSPECTION: _l("under inspection"), CaseState.CONFIRMED: _l("confirmed"),
    CaseState.CLEARED: _l("cleared"),
}
CASE_SYMBOL: Final = {
    CaseState.NEW: "○", CaseState.INSPECTION: "◔", CaseState.CONFIRMED: "✖", CaseState.CLEARED: "✓",
}
GROUP_STATE: Final[dict[str, Any]] = {
    "balanced": _l("balanced"), "technical": _l("technical losses"), "explained": _l("members explain it"),
    "unmetered": _l("unassigned: perhaps a connection without a meter"), "not_enough_data": _l("not enough data"),
    "surplus": _l("members register more than was fed"),
}


LEAK_STATE: Final[dict[LeakState, Any]] = {
    LeakState.NEW: _l("new leak"), LeakState.SEEN: _l("seen"), LeakState.TOLD: _l("subscriber told"),
    LeakState.CREW: _l("crew sent"), LeakState.USUAL: _l("usual: it may run"), LeakState.OVER: _l("over"),
}
LEAK_SYMBOL: Final = {
    LeakState.NEW: "○", LeakState.SEEN: "◔", LeakState.TOLD: "◑", LeakState.CREW: "→", LeakState.USUAL: "∞",
    LeakState.OVER: "✓",
}
TOO_LITTLE: Final[dict[TooLittle, Any]] = {
    TooLittle.NO_METER: _l("no meter hangs there"), TooLittle.FEW_NIGHTS: _l("too few whole nights one after the other"),
    TooLittle.COARSE: _l("a count of its register is too large for such a flow"),
}
NOT_RECKONED: Final[dict[NotReckoned, Any]] = {
    NotReckoned.NO_TERMS: _l("nobody has entered what meters of this medium cost"),
    NotReckoned.NO_QUANTITY: _l("what passes them in a year is not known: their registers are missing"),
    NotReckoned.YOUNG: _l("here for less than a week"),
}
PHASE_LACK: Final[dict[Lack, Any]] = {
    Lack.NOT_ELECTRICITY: _l("The group is not of electricity: there are no phases."),
    Lack.NO_CONSUMERS: _l("No member of the group has one phase and was there all the time."),
    Lack.TOO_LARGE: _l("%(n)s members or more are too many for one study; at most %(least)s."),
    Lack.FEW_HOURS: _l("Members are known in %(n)s hours of the period only; at least %(least)s are needed."),
    Lack.NO_FEED: _l("No three-phase feed: the group is not fed by a meter whose powers by phase are known. What else "
                     "hangs on its phases is unknown, and moves go by the registry and the members alone."),
    Lack.FEW_FEED_HOURS: _l("The phases of the feed are known in %(n)s hours only; at least %(least)s are needed. "
                            "What else hangs on them is unknown, and moves go by the registry and the members alone."),
    Lack.SILENT: _l("Left out, because too few of their hours have come: %(n)s members."),
    Lack.UNKNOWN_PHASE: _l("Left out of the moves, because nobody knows where they hang: %(n)s members."),
    Lack.THREE_PHASE: _l("Members of several phases, taken as even and never moved: %(n)s."),
    Lack.EXACT_TOO_LARGE: _l("%(n)s consumers are too many for the exact solver; at most %(least)s. "
                             "The moves were searched."),
    Lack.NO_SOLVER: _l("No exact solver is installed (scipy). The moves were searched."),
    Lack.NO_ANSWER: _l("The exact solver found nothing in %(n)s s. The moves were searched."),
    Lack.PASSING: _l("Members that came or went within the period, counted while they were there and never moved: %(n)s."),
    Lack.GENERATION: _l("Members that generate, counted negatively on their phase and never moved: %(n)s."),
}


def phase_lack(lack: Lack, figures: Sequence[int]) -> str:
    """Why a part of a study is not there, with its figures."""
    named = dict(zip(("n", "least"), figures, strict=False))
    return str(PHASE_LACK[lack]) % named if named else str(PHASE_LACK[lack])


PHASE_OBJECTIVE: Final[dict[str, Any]] = {
    Objective.SQUARES: _l("Squared neutral current (loss)"), Objective.ABSOLUTE: _l("Mean neutral current"),
}
PHASE_UNCHECKED: Final[dict[Unchecked, Any]] = {
    Unchecked.NO_NETWORK: _l("Not checked by power flow: the transformer has no network in the registry."),
    Unchecked.WRONG_NETWORK: _l("Not checked by power flow: the transformer's network in the registry is wrong."),
    Unchecked.OUTSIDE: _l("Not checked by power flow: no consumer has a node in the transformer's network."),
    Unchecked.COLLAPSED: _l("Not checked by power flow: no voltages were found, more is asked of the network than it can "
                              "carry."),
}
WORKING: Final[dict[str, Any]] = {
    "reading": _l("The history is being read."), "computing": _l("Phases and moves are being worked out."),
    "checking": _l("The moves are being checked by power flow."),
}
ORDER_STATE: Final[dict[str, Any]] = {
    OrderState.OPEN: _l("open order"), OrderState.DONE: _l("order done"),
    OrderState.WITHDRAWN: _l("order withdrawn"),
}
MOVE_STATE: Final[dict[MoveState, Any]] = {
    MoveState.DONE: _l("done"), MoveState.NOT_DONE: _l("not in the registry yet"),
    MoveState.ELSEWHERE: _l("moved elsewhere"), MoveState.SAID_BEFORE: _l("the registry said so before: not known"),
    MoveState.GONE: _l("no longer in the registry"),
}
NO_GAIN: Final[dict[NoGain, Any]] = {
    NoGain.NOT_DONE: _l("Nobody has said yet that the crew was there."),
    NoGain.NONE_MOVED: _l("The registry has none of the moves: enter the consumers' new phases."),
    NoGain.NO_FEED: _l("The transformer has no three-phase meter in the registry."),
    NoGain.TOO_EARLY: _l("Too early to say: %(n)s whole days after the moves are known, %(least)s are needed."),
    NoGain.FEW_BEFORE: _l("Only %(n)s days before the moves are known, %(least)s are needed, and the moved consumers' "
                          "hours are missing."),
    NoGain.NOTHING_ALIKE: _l("No hour after the moves is like one before, and the moved consumers' hours are missing."),
}


def no_gain(lack: NoGain, figures: Sequence[int]) -> str:
    """Why no achieved gain is said, with its figures."""
    named = dict(zip(("n", "least"), figures, strict=False))
    return str(NO_GAIN[lack]) % named if named else str(NO_GAIN[lack])
