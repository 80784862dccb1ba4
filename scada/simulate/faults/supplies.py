"""Faults of whole supplies. They take module keys, two persons and a meter's hours: judged at the real server."""

from scada.events import EventCode
from scada.simulate.faults.catalogue import Kind, fault
from scada.simulate.faults.rig import Rig, Undo


@fault(
    "bypassed-supply", Kind.SUPPLY,
    does="Somebody has bridged the contactor of a home: it opens, says so, and the supply goes on.",
    shows="The command has been executed, and yet its meter counts: the alarm bypass.",
    expect=("alarm.bypass >= 1",), command="supply", live=True,
)
def bypassed(rig: Rig) -> Undo:
    index = rig.supply
    rig.state.plight.bypassed.add(index)
    return lambda: rig.state.plight.bypassed.discard(index)


@fault(
    "jammed-supply", Kind.SUPPLY,
    does="The drive of a valve or contactor of a whole supply is jammed: it tries, and never reaches its end position.",
    shows="The command is refused with TIMEOUT, the fault is an event, and the supply is shown as not known.",
    expect=("alarm.actuator_fault >= 1",), command="supply", live=True,
)
def jammed(rig: Rig) -> Undo:
    index = rig.supply
    rig.state.plight.jammed.add(index)

    def end() -> None:
        rig.state.plight.jammed.discard(index)
        rig.state.event(EventCode.ACTUATOR_FAULT, False, rig.now(), index)

    return end
