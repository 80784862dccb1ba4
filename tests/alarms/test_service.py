"""The alarm service: raised once, kept through restarts, acknowledged by the right people, shown as tags."""

import sqlite3

import attrs
import numpy as np
import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import globalLogPublisher

from scada.alarms import book as book_module
from scada.alarms.service import AlarmService
from scada.bus import TagBus
from scada.clock import NS
from scada.commands import Actor, Role
from scada.errors import CommandRejected, StartError, StorageError
from scada.events import DeviceEvent, EventCode
from scada.ports import AlarmState, Priority
from scada.site import Concentrator, Module, ModuleState, Site
from scada.tags import Batch, Device, Limits, Quality, TagDef
from tests.fakes import NOON, InlinePool, LoopClock, site_clock
from tests.metering.world import FixedRegistry

LIMITS = Limits(high=100.0, high_high=120.0, hysteresis=5.0)
METER = Device("M1", (TagDef("load", "%", stale_after=10 * NS, limits=LIMITS),), area="north")
ENGINEER = Actor("ana", Role.ENGINEER)
SITE = Site(
    concentrators=(Concentrator("C01", 1, area="south"),),
    modules=(Module(7, "C01-007", "C01", 7, ModuleState.ACTIVE),),
)


class MemoryAudit:
    def __init__(self):
        self.rows, self.broken = [], False

    def append(self, actor, action, target="", **detail):
        if self.broken:
            return fail(StorageError("no audit"))
        self.rows.append((actor.name, action, target, detail))
        return succeed(None)


class Field:
    """Delivers events as the driver does."""

    def __init__(self):
        self.listeners = []

    def on_events(self, listener):
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def deliver(self, *events):
        results = []
        for listener in self.listeners:
            listener(events).addBoth(results.append)
        return results


class HeldPool(InlinePool):
    """Does the work when the test lets it."""

    def __init__(self):
        self.held = None

    def callInThreadWithCallback(self, on_result, work, *args, **kwargs):
        if self.held is None:
            super().callInThreadWithCallback(on_result, work, *args, **kwargs)
        else:
            self.held.append((on_result, work, args, kwargs))

    def release(self):
        held, self.held = self.held, None
        for on_result, work, args, kwargs in held:
            super().callInThreadWithCallback(on_result, work, *args, **kwargs)


class World:
    def __init__(self, folder):
        self.folder, self.reactor = folder, LoopClock()
        self.clock = site_clock(self.reactor)
        self.audit, self.pool, self.registry = MemoryAudit(), HeldPool(), FixedRegistry(SITE)
        self.build()

    def build(self, *devices):
        self.bus, self.field = TagBus(self.clock, self.reactor), Field()
        for device in devices or (METER,):
            self.bus.add_device(device)
        self.service = AlarmService(
            self.bus, self.field, self.registry, self.audit, self.bus,
            self.clock, self.reactor, self.folder, self.pool,
        )
        self.changes = []
        self.service.subscribe(self.changes.append)
        problems = []
        self.service.start().addErrback(problems.append)
        if problems:
            problems[0].raiseException()

    def restart(self, *devices):
        assert self.service.stop().called
        self.build(*devices)

    def load(self, value, quality=Quality.GOOD):
        now = self.clock.now()
        self.bus.publish(Batch("M1", np.array([value]), np.array([quality], np.uint8), now, now))
        self.pass_seconds(1)

    def pass_seconds(self, seconds):
        for _ in range(seconds):
            self.reactor.advance(1)
            self.bus.sweep()
            self.reactor.advance(0)

    def states(self):
        return {alarm.id: alarm.state for alarm in self.service.active()}

    def acknowledge(self, alarm_id, actor=ENGINEER, comment=""):
        results = []
        self.service.acknowledge(actor, alarm_id, comment).addBoth(results.append)
        assert results, "no answer"
        return results[0]

    def tag(self, name):
        self.pass_seconds(1)
        return self.bus.snapshot().get(name)[0]


def event(code=EventCode.MAGNET, raised=True, sequence=1, at=NOON * NS, **more):
    return DeviceEvent("C01-007", code, raised, at, True, sequence, **more)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    assert world.service.stop().called
    assert [call for call in world.reactor.getDelayedCalls() if call.getTime() > world.reactor.seconds()] == []


def refused(result):
    assert result.check(CommandRejected), result
    return result.value.reasons


# ------------------------------------------------------------------------------------------------- limits
def test_a_limit_is_raised_once_and_goes_home_by_its_end_and_an_acknowledgement(world):
    """Value, limit, unit and area are those of the raise."""
    world.load(105.0)
    world.load(106.0)
    alarm, = world.service.active()
    assert (alarm.id, alarm.source, alarm.kind, alarm.priority) == ("M1/load:high", "M1/load", "high", Priority.MEDIUM)
    assert (alarm.value, alarm.limit, alarm.unit, alarm.area, alarm.count) == (105.0, 100.0, "%", "north", 1)

    world.load(50.0)
    assert world.states() == {"M1/load:high": AlarmState.RETURNED}
    assert world.acknowledge("M1/load:high", comment="seen").state is AlarmState.NORMAL

    assert world.service.active() == ()
    assert [alarm.state for alarm in world.service.history()] == [
        AlarmState.NORMAL, AlarmState.RETURNED, AlarmState.UNACKNOWLEDGED
    ]
    assert [alarm.state for alarm in world.changes] == [
        AlarmState.UNACKNOWLEDGED, AlarmState.RETURNED, AlarmState.NORMAL
    ]


def test_an_alarm_may_be_acknowledged_while_its_condition_holds(world):
    """It stays on the screen until the load is back, and then goes home by itself."""
    world.load(105.0)
    assert world.acknowledge("M1/load:high").state is AlarmState.ACKNOWLEDGED
    assert world.states() == {"M1/load:high": AlarmState.ACKNOWLEDGED}

    world.load(94.0)

    assert world.states() == {}


def test_two_limits_of_a_tag_are_two_alarms(world):
    """The worse one stands first."""
    world.load(130.0)

    assert [alarm.kind for alarm in world.service.active()] == ["high_high", "high"]


def test_a_value_that_turns_bad_leaves_the_limit_alarm_and_raises_one_of_its_own(world):
    """A lost meter proves neither that the overload is over nor that it goes on."""
    world.load(105.0)
    world.pass_seconds(12)

    assert world.states() == {"M1/load:high": AlarmState.UNACKNOWLEDGED, "M1:stale": AlarmState.UNACKNOWLEDGED}


def test_a_condition_that_returns_counts_again(world):
    """An operator sees that it comes and goes."""
    for value in (105.0, 90.0, 107.0):
        world.load(value)

    alarm, = world.service.active()
    assert (alarm.state, alarm.count, alarm.value) == (AlarmState.UNACKNOWLEDGED, 2, 107.0)


def test_a_limit_that_is_taken_away_ends_its_alarm(world):
    """Nobody could ever report its end."""
    world.load(105.0)
    world.bus.add_device(attrs.evolve(METER, tags=(TagDef("load", "%"),)))
    world.pass_seconds(1)

    assert world.states() == {"M1/load:high": AlarmState.RETURNED}


# ------------------------------------------------------------------------------------------ communication
def test_silence_and_disconnection_are_one_alarm_at_a_time(world):
    """Stale first, then the driver finds the socket closed, then the device is back."""
    world.load(50.0)
    world.pass_seconds(12)
    assert world.states() == {"M1:stale": AlarmState.UNACKNOWLEDGED}

    world.bus.disconnected("M1")
    world.pass_seconds(1)
    assert world.states() == {"M1:stale": AlarmState.RETURNED, "M1:not_connected": AlarmState.UNACKNOWLEDGED}

    world.load(50.0)
    assert set(world.states().values()) == {AlarmState.RETURNED}


# ------------------------------------------------------------------------------------------ device events
def test_a_device_event_twice_is_one_alarm(world):
    """The field repeats what it was not acknowledged; also after the alarm has gone home."""
    assert world.field.deliver(event()) == [None]
    assert world.field.deliver(event(), event()) == [None]
    alarm, = world.service.active()
    assert (alarm.id, alarm.count, alarm.area, alarm.raised) == ("C01-007:magnet", 1, "south", NOON * NS)

    world.field.deliver(event(raised=False, sequence=2, at=NOON * NS + 5))
    world.acknowledge("C01-007:magnet")
    world.field.deliver(event(), event(raised=False, sequence=2, at=NOON * NS + 5))

    assert world.states() == {}


def test_the_same_number_from_a_wiped_concentrator_is_another_event(world):
    """It counts from 1 again, at another instant."""
    world.field.deliver(event(), event(raised=False, sequence=2))
    world.acknowledge("C01-007:magnet")

    world.field.deliver(event(at=NOON * NS + 3600 * NS))

    assert world.states() == {"C01-007:magnet": AlarmState.UNACKNOWLEDGED}


def test_an_events_channel_is_its_source(world):
    """Which of a module's three meters is cut off is the first thing a fitter asks."""
    world.field.deliver(event(EventCode.OPEN_CIRCUIT, channel=2))

    assert list(world.states()) == ["C01-007.ch2:open_circuit"]
    assert world.service.active()[0].area == "south"


def test_the_field_is_acknowledged_only_when_the_event_is_on_the_disk(world):
    """The listener's Deferred waits for the transaction; a copy of the file made then holds the alarm."""
    world.pool.held = []
    results = world.field.deliver(event())
    assert results == []

    world.pool.release()

    assert results == [None]
    with sqlite3.connect(world.folder / "alarms.sqlite") as database:
        assert database.execute("SELECT id, state FROM alarm").fetchall() == [("C01-007:magnet", "unacknowledged")]


def test_an_event_that_cannot_be_stored_is_not_acknowledged_to_the_field(world, monkeypatch):
    """The field keeps it and sends it again; then it is one alarm, not two."""
    store = world.service._store
    write = store.write
    monkeypatch.setattr(store, "write", lambda *_: (_ for _ in ()).throw(StorageError("the disk is full")))
    result, = world.field.deliver(event())
    assert result.check(StorageError)
    assert [health.ok for health in world.service.health()] == [False]

    monkeypatch.setattr(store, "write", write)
    assert world.field.deliver(event()) == [None]

    assert [(alarm.id, alarm.count) for alarm in world.service.active()] == [("C01-007:magnet", 1)]
    assert [health.ok for health in world.service.health()] == [True]


def test_a_thing_that_only_happens_waits_for_acknowledgement_and_then_goes_home(world):
    """A concentrator's restart has no end that anybody would send."""
    world.field.deliver(event(EventCode.CONCENTRATOR_RESTARTED))
    assert world.states() == {"C01-007:concentrator_restarted": AlarmState.RETURNED}

    world.acknowledge("C01-007:concentrator_restarted")

    assert world.states() == {}


def test_an_unknown_code_is_an_alarm_too(world):
    """Newer firmware than server: better an ugly name than silence."""
    world.field.deliver(event(77), event(78, sequence=2))

    assert sorted(world.states()) == ["C01-007:event_77", "C01-007:event_78"]
    assert world.tag("Alarm.C01-007/kind_code") in (1077.0, 1078.0)


@pytest.mark.parametrize("state", [ModuleState.REPLACED, ModuleState.RETIRED])
@pytest.mark.parametrize("stopped", [False, True])
def test_what_a_module_said_is_over_when_it_has_left_service(world, state, stopped):
    """Nobody is left who could take it back, late words too; what lists say of it is no word of its own."""
    world.field.deliver(
        event(EventCode.MODULE_LOST), event(EventCode.MAGNET, sequence=2, channel=1),
        event(EventCode.MODULE_GONE_HEARD, sequence=3),
    )
    world.pass_seconds(2)
    before = set(world.states().values())
    world.registry.replace(attrs.evolve(SITE, modules=(attrs.evolve(SITE.modules[0], state=state, index=0),)))
    if stopped:
        world.restart(METER)
    world.pass_seconds(1)
    gone = world.states()
    world.field.deliver(event(EventCode.POWER_DOWN, sequence=4))
    world.pass_seconds(1)

    assert before == {AlarmState.UNACKNOWLEDGED}
    assert gone == {
        "C01-007:module_lost": AlarmState.RETURNED, "C01-007.ch1:magnet": AlarmState.RETURNED,
        "C01-007:module_gone_heard": AlarmState.UNACKNOWLEDGED,
    }
    assert world.states() == {**gone, "C01-007:power_down": AlarmState.RETURNED}


# -------------------------------------------------------------------------------------------- persistence
def test_a_restart_keeps_states_and_raises_nothing_again(world):
    """Acknowledged stays acknowledged, and the first good value below the limit ends it."""
    world.load(105.0)
    world.acknowledge("M1/load:high")
    world.field.deliver(event())
    before = [str(alarm) for alarm in world.service.active()]

    world.restart()
    world.pass_seconds(3)
    assert [str(alarm) for alarm in world.service.active()] == before

    world.load(106.0)
    assert world.states()["M1/load:high"] is AlarmState.ACKNOWLEDGED
    world.load(50.0)
    assert world.states() == {"C01-007:magnet": AlarmState.UNACKNOWLEDGED}


def test_a_file_of_another_version_is_refused_with_a_sentence(world):
    """Not silently rewritten."""
    assert world.service.stop().called
    with sqlite3.connect(world.folder / "alarms.sqlite") as database:
        database.execute("PRAGMA user_version = 99")

    with pytest.raises(StartError, match="another version"):
        world.build()


def test_a_folder_that_cannot_be_written_is_refused_with_a_sentence(world):
    """A file stands where the folder should be."""
    (world.folder / "file").write_text("")
    world.service._path = world.folder / "file" / "alarms.sqlite"
    assert world.service.stop().called
    results = []

    world.service.start().addErrback(results.append)

    assert results[0].check(StartError)


def test_changes_are_written_when_the_disk_is_back(world, monkeypatch):
    """A limit alarm of the bad minutes is not lost from the journal."""
    store = world.service._store
    write = store.write
    monkeypatch.setattr(store, "write", lambda *_: (_ for _ in ()).throw(StorageError("the disk is full")))
    world.load(105.0)
    assert world.service.history() == ()

    monkeypatch.setattr(store, "write", write)
    world.pass_seconds(6)

    assert [alarm.id for alarm in world.service.history()] == ["M1/load:high"]


def test_a_disk_that_stays_full_is_said_once(world, monkeypatch):
    """It is tried again every few seconds, maybe for hours; the log tells changes, not tries."""
    heard = []
    monkeypatch.setattr(world.service._store, "write", lambda *_: (_ for _ in ()).throw(StorageError("the disk is full")))
    globalLogPublisher.addObserver(heard.append)
    try:
        world.load(105.0)
        world.pass_seconds(30)
    finally:
        globalLogPublisher.removeObserver(heard.append)

    assert [event.get("reason") for event in heard] == ["the disk is full"]


def test_the_journal_is_paged_without_losing_or_repeating_a_change(world):
    """Pages of two over ten changes in one instant."""
    world.field.deliver(*(event(100 + n, sequence=n) for n in range(10)))
    seen, before = [], None
    while page := world.service.history(before, 2):
        seen += [alarm.id for alarm in page]
        before = page[-1].changed

    assert seen == [f"C01-007:event_{100 + n}" for n in reversed(range(10))]


# ---------------------------------------------------------------------------------------- acknowledgement
@pytest.mark.parametrize(("actor", "reason"), [
    (Actor("v", Role.VIEWER), "role viewer"),
    (Actor("s", Role.SUBSCRIBER), "role subscriber"),
    (Actor("i", Role.INTEGRATOR), "role integrator"),
    (Actor("d", Role.DISPATCHER, ("south",)), "area 'north'"),
])
def test_not_everybody_may_acknowledge(world, actor, reason):
    """Nothing changes and nothing is audited."""
    world.load(105.0)

    assert reason in refused(world.acknowledge("M1/load:high", actor))[0]
    assert world.states() == {"M1/load:high": AlarmState.UNACKNOWLEDGED}
    assert world.audit.rows == []


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.DISPATCHER, Role.ADMINISTRATOR])
def test_an_acknowledgement_is_audited_with_its_comment(world, role):
    """Who, what and why."""
    world.load(105.0)
    alarm = world.acknowledge("M1/load:high", Actor("ana", role, ("north",)), "crew sent")

    assert (alarm.acknowledged_by, alarm.comment) == ("ana", "crew sent")
    assert world.audit.rows == [("ana", "alarm.acknowledge", "M1/load:high", {"comment": "crew sent"})]


def test_without_audit_there_is_no_acknowledgement(world):
    """What cannot be proven did not happen."""
    world.load(105.0)
    world.audit.broken = True

    assert world.acknowledge("M1/load:high").check(StorageError)
    assert world.states() == {"M1/load:high": AlarmState.UNACKNOWLEDGED}


def test_acknowledging_twice_or_nothing_is_refused_with_the_reason(world):
    """The second dispatcher learns who was first."""
    world.load(105.0)
    world.acknowledge("M1/load:high")

    assert "already, by ana" in refused(world.acknowledge("M1/load:high"))[0]
    assert "no alarm nothing:at_all" in refused(world.acknowledge("nothing:at_all"))[0]


def test_an_alarm_of_a_device_that_is_gone_goes_home_when_acknowledged(world):
    """The meter was taken out of the configuration: nobody will ever report the end."""
    world.load(105.0)
    world.restart(Device("other", (TagDef("x"),)))
    world.pass_seconds(2)

    assert world.acknowledge("M1/load:high").state is AlarmState.NORMAL
    assert world.states() == {}


# ------------------------------------------------------------------------------------------- tags, floods
def test_alarms_are_tags(world):
    """Counts for the overview, and a device per source for a SCADA's own alarm list."""
    world.load(105.0)
    world.field.deliver(event())
    counts = [world.tag(f"Alarms/{point}") for point in ("active", "unacknowledged", "high", "medium", "low")]
    points = ("active", "unacknowledged", "priority", "kind_code")
    assert counts == [2, 2, 1, 1, 0]
    assert [world.tag(f"Alarm.C01-007/{point}") for point in points] == [1, 1, 3, EventCode.MAGNET]

    world.acknowledge("C01-007:magnet")
    world.field.deliver(event(raised=False, sequence=2))

    assert [world.tag(f"Alarm.C01-007/{point}") for point in points] == [0] * 4
    assert world.bus.devices()["Alarm.M1"].path == ("Alarms",)


def test_every_source_of_a_flood_gets_its_tags(world):
    """They are published a few in each turn of the loop, and all of them in the end."""
    world.field.deliver(*(event(sequence=n, channel=n) for n in range(130)))

    assert [world.tag(f"Alarm.C01-007.ch{n}/active") for n in (0, 64, 129)] == [1, 1, 1]
    assert world.tag("Alarms/active") == 130


def test_the_tags_are_there_again_after_a_restart(world):
    """A SCADA that reconnects first must not read "no alarms"."""
    world.field.deliver(event())
    world.restart()

    assert world.tag("Alarm.C01-007/active") == 1
    assert world.tag("Alarms/active") == 1


def test_a_flood_is_bounded_and_counted(world, monkeypatch):
    """Beyond the bound new alarms are refused, said in the health, and the old ones live on."""
    monkeypatch.setattr(book_module, "MOST_ACTIVE", 20)
    world.field.deliver(*(event(200 + n, sequence=n) for n in range(50)))

    assert len(world.service.active()) == 20
    health, = world.service.health()
    assert (health.ok, health.figures["refused"]) == (False, 30)

    for alarm in world.service.active()[:5]:
        world.field.deliver(event(int(alarm.kind.removeprefix("event_")), raised=False, sequence=900, at=NOON * NS + 9))
        world.acknowledge(alarm.id)
    assert [health.ok for health in world.service.health()] == [True]


def test_a_flood_of_trifles_does_not_keep_an_overload_out(world, monkeypatch):
    """One concentrator that invents event codes, or a wide outage, must not hide what burns."""
    monkeypatch.setattr(book_module, "MOST_ACTIVE", 20)
    world.field.deliver(*(event(200 + n, sequence=n) for n in range(50)))
    world.load(105.0)

    assert world.states()["M1/load:high"]
    assert len(world.service.active()) == 21


def test_a_broken_listener_or_look_does_not_end_the_watch(world, monkeypatch):
    """One bad second is counted; the next one looks again."""
    world.service.subscribe(lambda alarm: 1 / 0)
    snapshot = world.bus.snapshot
    monkeypatch.setattr(world.bus, "snapshot", lambda: 1 / 0)
    world.pass_seconds(2)
    monkeypatch.setattr(world.bus, "snapshot", snapshot)
    world.load(105.0)

    assert list(world.states()) == ["M1/load:high"]
    assert next(iter(world.service.health())).figures["failures"] == 2


def test_stop_waits_for_what_is_being_written(world):
    """The last change before Ctrl-C is on the disk when stop fires."""
    world.pool.held = []
    world.load(105.0)
    stopped: Deferred = world.service.stop()
    assert not stopped.called
    assert len(world.pool.held) == 1, "the file must not be closed before the write is done"

    world.pool.release()

    assert stopped.called
    with sqlite3.connect(world.folder / "alarms.sqlite") as database:
        assert database.execute("SELECT count(*) FROM alarm").fetchone() == (1,)


def test_a_file_from_before_suppression_is_taken_over(world):
    """Its alarms and its journal stay; nothing in it is suppressed."""
    world.field.deliver(event())
    world.service.stop()
    with sqlite3.connect(world.folder / "alarms.sqlite") as database:
        for table in ("alarm", "journal"):
            database.execute(f"ALTER TABLE {table} DROP COLUMN suppressed_by")
        database.execute("PRAGMA user_version = 1")
    world.restart(METER)

    assert world.states() == {"C01-007:magnet": AlarmState.UNACKNOWLEDGED}
    assert [alarm.suppressed_by for alarm in world.service.history()] == [""]
