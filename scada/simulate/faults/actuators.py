"""Faults of secondary loads and of people who switch them."""

from scada.events import EventCode
from scada.simulate.faults.catalogue import Kind, fault
from scada.simulate.faults.rig import Rig, Undo


@fault(
    "welded-contact", Kind.ACTUATOR,
    does="The contact of a load is welded: it obeys, and the load stays on.",
    shows="The member has executed, and its feedback is an event: the two are kept apart.",
    expect=("event.ACTUATOR_FAULT >= 1", "alarm.actuator_fault >= 1", "member.EXECUTED >= 2"),
    command="during",
)
def welded(rig: Rig) -> Undo:
    _ = rig.actuator
    rig.state.plight.welded.add(rig.module)

    def end() -> None:
        rig.state.plight.welded.discard(rig.module)
        rig.state.event(EventCode.ACTUATOR_FAULT, False, rig.now(), rig.module)

    return end


@fault(
    "jammed-valve", Kind.ACTUATOR,
    does="The drive of a load is jammed: it tries, and never reaches its end position.",
    shows="It refuses with TIMEOUT and is named, its fault is an event, and its load stays on; the others obey.",
    expect=("refused.TIMEOUT == 1", "event.ACTUATOR_FAULT >= 1", "alarm.actuator_fault >= 1", "member.EXECUTED >= 2"),
    command="during",
)
def jammed(rig: Rig) -> Undo:
    _ = rig.actuator
    rig.state.plight.jammed.add(rig.module)

    def end() -> None:
        rig.state.plight.jammed.discard(rig.module)
        rig.state.event(EventCode.ACTUATOR_FAULT, False, rig.now(), rig.module)

    return end


@fault(
    "no-feedback", Kind.ACTUATOR,
    does="A module obeys, but nothing of what it answers is heard.",
    shows="It did not answer, by name, which is not the same as refused; its load comes back by itself.",
    expect=("member.NO_ANSWER == 1", "member.EXECUTED >= 2", "loads.off == 0"),
    command="during",
)
def no_feedback(rig: Rig) -> Undo:
    _ = rig.actuator
    rig.state.control.mute.add(rig.module)
    return lambda: rig.state.control.mute.discard(rig.module)


@fault(
    "restored-by-hand", Kind.ACTUATOR,
    does="Somebody opens the cabinet and switches a load on again that is being held off.",
    shows="The member has executed, and the opened cover is an event.",
    expect=("event.COVER_OPEN >= 1", "cleared.COVER_OPEN >= 1", "member.EXECUTED >= 2"),
    command="before",
)
def by_hand(rig: Rig) -> Undo:
    module = next(one for one in rig.state.modules if one.index == rig.module)
    _ = rig.actuator
    rig.state.event(EventCode.COVER_OPEN, True, rig.now(), rig.module)
    rig.state.outputs.on_supply(module.eui, True, rig.now())
    return lambda: rig.state.event(EventCode.COVER_OPEN, False, rig.now(), rig.module)


@fault(
    "protected-consumer", Kind.ACTUATOR,
    does="A member of the group is a protected consumer: its module is marked NEVER.",
    shows="It refuses with DENIED whatever the server says, and is named; the others obey.",
    expect=("refused.DENIED == 1", "member.EXECUTED >= 1"),
    command="during",
)
def protected(rig: Rig) -> Undo:
    actuator = rig.actuator
    before, actuator.never = actuator.never, True

    def end() -> None:
        actuator.never = before

    return end


@fault(
    "two-operators", Kind.ACTUATOR,
    does="Two operators shed the same group at the same moment.",
    shows="The desk refuses the second before anything is sent. Where both have left (two servers), each member obeys one "
          "and refuses the other with INTERLOCK: nobody is off for longer than once.",
    expect=("refused.INTERLOCK >= 1", "member.EXECUTED >= 1", "loads.off == 0"),
    command="twice",
)
def two_operators(rig: Rig) -> Undo:
    return lambda: None
