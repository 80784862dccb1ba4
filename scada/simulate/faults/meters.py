"""Faults of a meter, its cable or its module's pulse input: the first input of the module."""

from collections.abc import Callable
from typing import Any, Final

from scada.drivers.dmesh.simulator.plight import WRAP, Meter
from scada.events import EventCode
from scada.intervals import IntervalStatus
from scada.simulate.faults.catalogue import Kind, fault
from scada.simulate.faults.rig import Rig, Undo

FAST_PPM: Final = 420.0
NEAR_THE_END: Final = WRAP - 3


def _meter(rig: Rig, **how: Any) -> Undo:
    """Count wrongly from the next hour until undone; the register keeps what went wrong."""
    meter = Meter(rig.module, **how)
    rig.state.plight.meters.append(meter)

    def end() -> None:
        meter.active = False

    return end


def _noticed(code: EventCode, status: IntervalStatus, **how: Any) -> Callable[[Rig], Undo]:
    """What the module notices itself: a pair of events, and a bit in every hour."""

    def begin(rig: Rig) -> Undo:
        quiet = _meter(rig, status=int(status), **how)
        rig.state.event(code, True, rig.now(), rig.module, 0)

        def end() -> None:
            quiet()
            rig.state.event(code, False, rig.now(), rig.module, 0)

        return end

    return begin


@fault(
    "pulse-stuck", Kind.METER,
    does="No pulse comes any more, though the meter turns.",
    shows="Hours of exactly 0, good in themselves. After half a day without any, the meter is named by its own past.",
    expect=("hours.zero >= 12", "pulses.fewer >= 1", "alarm.meter_stuck == 1", "over.meter_stuck == 1"),
    lasts_h=14.0, settled_h=26.5,
)
def stuck(rig: Rig) -> Undo:
    return _meter(rig, factor=0.0)


@fault(
    "bounce", Kind.METER,
    does="The contact bounces: every pulse is counted twice.",
    shows="Twice the consumption; the balance has a surplus that follows this meter: it is named.",
    expect=("pulses.more >= 1", "pulses.fewer == 0", "hours.zero == 0", "alarm.meter_too_much == 1"),
    lasts_h=56.0,
)
def bounce(rig: Rig) -> Undo:
    return _meter(rig, factor=2.0)


@fault(
    "lost-pulses", Kind.METER,
    does="A quarter of the pulses is lost in a bad cable.",
    shows="Three quarters of the consumption; the balance lacks what follows this meter: it is named.",
    expect=("pulses.fewer >= 1", "pulses.more == 0", "hours.zero == 0", "alarm.meter_too_little == 1"),
    lasts_h=56.0,
)
def lost(rig: Rig) -> Undo:
    return _meter(rig, factor=0.75)


@fault(
    "wrong-constant", Kind.METER,
    does="The meter was exchanged for one with 3200 pulses/kWh where 1000 were entered.",
    shows="3.2 times the consumption; the balance names the meter and about how much. Pulses are kept as they came.",
    expect=("pulses.more >= 1", "hours.zero == 0", "alarm.meter_too_much == 1", "alarm.meter_too_little == 0"),
    lasts_h=56.0,
)
def wrong_constant(rig: Rig) -> Undo:
    return _meter(rig, factor=3.2)


@fault(
    "counter-wrap", Kind.METER,
    does="The module's register jumps to just below 2**32, and passes it with the next hour.",
    shows="The jump contradicts the register held: a conflict. The hours are what the meter gave; the wrap is nothing.",
    expect=("historian.conflicts >= 1", "pulses.more == 0", "pulses.fewer == 0"),
)
def wrap(rig: Rig) -> Undo:
    return _meter(rig, register=NEAR_THE_END)


@fault(
    "counter-reset", Kind.METER,
    does="The module was reset: its register begins at 0.",
    shows="It contradicts the register held: a conflict, kept with both values. The hours are what the meter gave.",
    expect=("historian.conflicts >= 1", "pulses.more == 0", "pulses.fewer == 0"),
)
def reset(rig: Rig) -> Undo:
    return _meter(rig, register=0)


@fault(
    "archive-hole", Kind.METER,
    does="The module has no record of some hours.",
    shows="They are missing, never 0; the register across the gap holds what was used in it.",
    expect=("hours.missing >= 2", "hours.zero == 0"),
)
def hole(rig: Rig) -> Undo:
    return _meter(rig, hole=True)


@fault(
    "drift", Kind.METER,
    does="The module's clock runs late: a twentieth of each hour's pulses is put into the next one.",
    shows="The hours bear CLOCK_ADJUSTED; over all of them not a pulse is missing.",
    expect=("flagged.CLOCK_ADJUSTED >= 2", "pulses.sum_off == 0"),
)
def drift(rig: Rig) -> Undo:
    return _meter(rig, late=0.05, status=int(IntervalStatus.CLOCK_ADJUSTED))


@fault(
    "module-clock-fast", Kind.MODULE,
    does="The crystal of a module is broken: its clock gains a second and a half an hour.",
    shows="It is counted as beyond tolerance, and is the worst of its subnet; its concentrator keeps setting it right.",
    expect=("time.beyond >= 1", "dmesh.clocks_stepped == 0"),
)
def module_clock_fast(rig: Rig) -> Undo:
    rig.state.crystals.hurry(rig.module, FAST_PPM)
    return lambda: rig.state.crystals.hurry(rig.module, -FAST_PPM)


@fault(
    "clock-back", Kind.METER,
    does="The module's clock is set back an hour: it delivers one hour twice, with other pulses.",
    shows="The first value stays, the second is kept as a conflict, and the step is an event.",
    expect=("historian.conflicts >= 1", "event.CLOCK_STEPPED >= 1"),
)
def clock_back(rig: Rig) -> Undo:
    rig.state.plight.repeats.add(rig.module)
    rig.state.event(EventCode.CLOCK_STEPPED, True, rig.now(), rig.module)
    return lambda: rig.state.event(EventCode.CLOCK_STEPPED, False, rig.now(), rig.module)


@fault(
    "battery-dead", Kind.METER,
    does="The module's battery is empty: it warns and is silent, without any record, until the battery is exchanged.",
    shows="BATTERY_LOW, then MODULE_LOST, both cleared later; the hours between are missing, never 0.",
    expect=("event.BATTERY_LOW >= 1", "event.MODULE_LOST >= 1", "cleared.MODULE_LOST >= 1", "hours.missing >= 2",
            "hours.zero == 0"),
)
def battery_dead(rig: Rig) -> Undo:
    quiet = _meter(rig, hole=True)
    rig.state.event(EventCode.BATTERY_LOW, True, rig.now(), rig.module)
    rig.state.plight.away.add(rig.module)

    def end() -> None:
        quiet()
        rig.state.plight.away.discard(rig.module)
        rig.state.event(EventCode.BATTERY_LOW, False, rig.now(), rig.module)

    return end


for _name, _code, _status, _does, _how in (
    ("magnet", EventCode.MAGNET, IntervalStatus.MAGNET, "A magnet lies at the sensor, which counts a third.",
     {"factor": 0.34}),
    ("open-circuit", EventCode.OPEN_CIRCUIT, IntervalStatus.OPEN_CIRCUIT, "The cable to the meter is cut.",
     {"factor": 0.0}),
    ("short-circuit", EventCode.SHORT_CIRCUIT, IntervalStatus.SHORT_CIRCUIT, "The cable to the meter is shorted.",
     {"factor": 0.0}),
    ("cover", EventCode.COVER_OPEN, IntervalStatus.COVER, "The cover of the module is open.", {}),
    ("battery-low", EventCode.BATTERY_LOW, IntervalStatus.BATTERY_LOW, "The module's battery is nearly empty.", {}),
):
    fault(
        _name, Kind.METER, does=_does,
        shows=f"The event {_code.name} is raised and cleared, and the hours between bear {_status.name}.",
        expect=(f"event.{_code.name} >= 1", f"cleared.{_code.name} >= 1", f"flagged.{_status.name} >= 2"),
    )(_noticed(_code, _status, **_how))
