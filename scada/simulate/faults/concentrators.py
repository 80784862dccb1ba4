"""Faults of a concentrator: power, clock, memory, key, and a spare that takes its place."""

from typing import Final

from scada.clock import HOUR_S
from scada.drivers.dmesh.keyring import Key, Ring
from scada.drivers.dmesh.numbers import KeyTarget
from scada.drivers.dmesh.simulator.line import is_sealed
from scada.drivers.dmesh.simulator.plight import Meter
from scada.events import EventCode
from scada.intervals import IntervalStatus
from scada.simulate.faults.catalogue import Kind, fault
from scada.simulate.faults.rig import Rig, Undo

AHEAD_S: Final = 2 * HOUR_S
BATTERY_S: Final = 30.0                     # that a concentrator without supply still speaks
SMALL_LOG: Final = 2                        # records that a full log still holds


def _nothing() -> None:
    """It ended by itself."""


def _reboot(rig: Rig) -> None:
    rig.client.cut()
    rig.state.restart(rig.now())


@fault(
    "reboot-in-archive", Kind.CONCENTRATOR,
    does="Its power fails while a record is under way, three times in a row.",
    shows="It restarts, which is an event; the archive goes on from the cursor, and nothing is missing or double.",
    expect=("event.CONCENTRATOR_RESTARTED >= 3", "link.ups >= 3", "historian.conflicts == 0"),
)
def reboot_in_archive(rig: Rig) -> Undo:
    left, off = 3, False

    def bend(piece: bytes) -> tuple[bytes, ...]:
        nonlocal left, off
        off = off and is_sealed(piece)      # a HELLO: the power is back
        archive = rig.state.archive
        if left and not off and is_sealed(piece) and archive.newest > archive.acknowledged:
            left, off = left - 1, True
            _reboot(rig)
            return ()
        return (piece,)

    return rig.bend_up(bend)


@fault(
    "reboot-in-command", Kind.CONCENTRATOR,
    does="Its power fails while a group command is under way.",
    shows="Asked for the command it knows nothing of it; nothing is sent again, and every load is back in time.",
    expect=("event.CONCENTRATOR_RESTARTED >= 1", "command.forgotten == 1", "loads.off == 0"),
    command="before",
)
def reboot_in_command(rig: Rig) -> Undo:
    _reboot(rig)
    return _nothing


@fault(
    "lost-clock", Kind.CONCENTRATOR,
    does="After a loss of power its clock stands at 1970, and so do the hours it archives, until it hears the time.",
    shows="The clock is stepped; hours of 1970 go into quarantine; the same readings come again with their true hours.",
    expect=("historian.quarantined >= 1", "event.CONCENTRATOR_RESTARTED >= 1", "event.CLOCK_SET >= 1"),
)
def lost_clock(rig: Rig) -> Undo:
    rig.client.hold()
    rig.state.plight.clock_lost = rig.now() // HOUR_S * HOUR_S
    rig.state.restart(rig.now())
    return rig.client.release


@fault(
    "clock-ahead", Kind.CONCENTRATOR,
    does="Its clock jumps two hours ahead while the server cannot be reached, and it archives hours that are not over.",
    shows="The clock is set back with an event that names the stored hours between, and these bear CLOCK_INVALID; what "
          "comes for them afterwards is kept as a conflict.",
    expect=("event.CLOCK_SET_BACK >= 1", "flagged.CLOCK_INVALID >= 1", "historian.conflicts >= 1",
            "dmesh.clocks_stepped >= 1"),
)
def clock_ahead(rig: Rig) -> Undo:
    rig.client.hold()
    rig.state.plight.clock_lost -= AHEAD_S
    return rig.client.release


@fault(
    "clock-slow", Kind.CONCENTRATOR,
    does="Its clock loses 20 s while the server cannot be reached.",
    shows="It is slewed, never stepped: no event, and no hour is twice.",
    expect=("time.slewed >= 1", "dmesh.clocks_stepped == 0", "event.CLOCK_SET == 0", "historian.conflicts == 0"),
)
def clock_slow(rig: Rig) -> Undo:
    rig.client.hold()
    rig.state.clock.step(-20.0)
    return rig.client.release


@fault(
    "full-log", Kind.CONCENTRATOR,
    does="Its memory is so damaged that only two records fit, while the server cannot be reached.",
    shows="The overwritten records are counted as lost, and the log being full is an event; the cursor passes the gap.",
    expect=("event.ARCHIVE_FULL >= 1", "dmesh.lost_records >= 1", "historian.lost_records >= 1", "hours.missing >= 1"),
    complete=False,
)
def full_log(rig: Rig) -> Undo:
    before = rig.state.archive.depth
    rig.client.hold()
    rig.state.archive.depth = SMALL_LOG

    def end() -> None:
        rig.client.release()
        rig.state.archive.depth = before

    return end


@fault(
    "spare", Kind.CONCENTRATOR,
    does="It is replaced by a spare: same link id and key, another archive; the modules give it what was not delivered.",
    shows="The new archive starts at record 1 and is taken from there; nothing is missing, nothing is double.",
    expect=("link.ups >= 1", "historian.conflicts == 0", "event.CONCENTRATOR_RESTARTED >= 1"),
)
def spare(rig: Rig) -> Undo:
    rig.client.hold()

    def end() -> None:
        rig.state.begin_archive(rig.dice.randrange(1, 2**31))
        rig.state.restart(rig.now())
        rig.client.release()

    return end


@fault(
    "wrong-key", Kind.CONCENTRATOR,
    does="It has another link key than the server.",
    shows="It is refused for its key and counted, its link is down; with the right key it delivers everything.",
    expect=("dmesh.refused_bad_key >= 1", "link.downs >= 1", "link.ups >= 1"),
)
def wrong_key(rig: Rig) -> Undo:
    right, rig.state.keys.link = rig.state.keys.link, Ring(Key(0, rig.dice.randbytes(16)))
    rig.client.cut()

    def end() -> None:
        rig.state.keys.link = right

    return end


@fault(
    "key-half-changed", Kind.CONCENTRATOR,
    does="While its key is being changed its connection breaks after each step that it has taken, before it can answer.",
    shows="It comes back under a key that both hold; the change goes on and ends, and nobody is locked out.",
    expect=("link.ups >= 2", "keys.settled == 1", "dmesh.refused_bad_key == 0"),
    command="rotate",
)
def half_changed(rig: Rig) -> Undo:
    keys, keep = rig.state.keys, rig.state.keys.keep

    def cut(target: KeyTarget, number: int, ring: Ring) -> None:
        keep(target, number, ring)
        if target is KeyTarget.LINK:
            rig.client.cut()

    keys.keep = cut

    def end() -> None:
        keys.keep = keep

    return end


@fault(
    "dark-building", Kind.CONCENTRATOR,
    does="The building loses its supply. Its modules have batteries and say so; the concentrator has one too.",
    shows="One outage and one alarm, of the building; the hours bear POWER_DOWN; both end with the supply.",
    expect=("event.POWER_DOWN >= 20", "cleared.POWER_DOWN >= 20", "outage.building == 1", "alarm.outage_building == 1",
            "over.outage_building == 1", "flagged.POWER_DOWN >= 20"),
)
def dark_building(rig: Rig) -> Undo:
    modules = tuple(one.index for one in rig.state.modules)
    dark = [Meter(index, factor=0.0, status=int(IntervalStatus.POWER_DOWN)) for index in modules]
    rig.state.plight.meters += dark
    for index in modules:
        rig.state.event(EventCode.POWER_DOWN, True, rig.now(), index)

    def end() -> None:
        for one in dark:
            one.active = False
        for index in modules:
            rig.state.event(EventCode.POWER_DOWN, False, rig.now(), index)

    return end


@fault(
    "dark-concentrator", Kind.CONCENTRATOR,
    does="The concentrator alone loses its supply: it says so, and half a minute later its battery is empty.",
    shows="An outage of that concentrator, not of its back-haul: it said so before it went. Nothing is missing afterwards.",
    expect=("event.POWER_DOWN == 1", "cleared.POWER_DOWN == 1", "outage.concentrator == 1", "outage.backhaul == 0",
            "link.downs >= 1", "hours.missing == 0"),
)
def dark_concentrator(rig: Rig) -> Undo:
    rig.state.event(EventCode.POWER_DOWN, True, rig.now())
    rig.state.control.at(rig.now() + BATTERY_S, lambda at: rig.client.hold())

    def end() -> None:
        rig.client.release()
        rig.state.restart(rig.now())
        rig.state.event(EventCode.POWER_DOWN, False, rig.now())

    return end
