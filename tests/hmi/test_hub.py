"""The live stream without a socket: what is told, what is merged, and when it ends."""

import json
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hmi.hub import MAX_PER_SESSION, STUCK_S, Hub
from hmi.sessions import Sessions
from hmi.stream import MAX_COMMANDS, MAX_TAGS, Stream
from scada.commands import Origin, Role, ShedRequest
from scada.ports import Account, Priority
from scada.reads import ReadRequest
from scada.supplies import HoldReason, SupplyRequest, SwitchAction
from scada.tags import Device, TagDef
from tests.hmi.fakes import World


class FakeRequest:
    """As much of a twisted request as a stream uses; remembers what was written."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Any]] = []
        self.producer: Any = None
        self.finished = self.aborted = False
        self.channel = self

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def notifyFinish(self) -> Any:
        self.ended: Any = Deferred()
        return self.ended

    def write(self, data: bytes) -> None:
        event, body, _ = data.decode().split("\n", 2)
        self.written.append((event.removeprefix("event: "), json.loads(body.removeprefix("data: "))))

    def finish(self) -> None:
        self.finished = True

    def forceAbortClient(self) -> None:
        self.aborted = True

    def told(self, event: str) -> list[Any]:
        return [data for name, data in self.written if name == event]


class Setup:
    def __init__(self, world: World, reactor: Clock) -> None:
        self.world, self.reactor = world, reactor
        self.sessions = Sessions(world.clock, 480)
        self.hub = Hub(world.services, self.sessions, reactor)
        self.hub.start()

    def session(self, role: Role = Role.VIEWER) -> Any:
        return self.sessions.find(self.sessions.open(Account(role.value, role), Origin.HMI))

    def open(self, *tags: str, role: Role = Role.VIEWER) -> tuple[FakeRequest, Stream]:
        request = FakeRequest()
        stream = self.hub.open(request, self.session(role), list(tags))
        assert stream is not None
        return request, stream

    def seconds(self, n: float) -> None:
        for _ in range(round(n * 10)):
            self.reactor.advance(0.1)


@pytest.fixture
def setup(world: World, reactor: Clock) -> Setup:
    return Setup(world, reactor)


def test_a_stream_begins_with_the_present_values_of_what_it_asked_for_and_nothing_else(setup: Setup) -> None:
    request, _ = setup.open("T01/loading", "T01-meter/frequency")
    setup.seconds(0.5)

    assert set(request.told("tags")[0]) == {"T01/loading", "T01-meter/frequency"}
    value, quality, at = request.told("tags")[0]["T01/loading"]
    assert value == pytest.approx(setup.world.bus.snapshot().get("T01/loading")[0])
    assert quality == 0
    assert at == setup.world.clock.now() // 1_000_000 - 500


def test_a_change_is_told_within_a_quarter_of_a_second_and_only_to_who_asked(setup: Setup) -> None:
    near, _ = setup.open("T01/loading")
    far, _ = setup.open("T02/loading")
    setup.seconds(0.5)
    before = len(near.told("tags")), len(far.told("tags"))
    setup.world.tick()
    setup.seconds(0.3)

    assert len(near.told("tags")) == before[0] + 1
    assert len(far.told("tags")) == before[1]


def test_the_heartbeat_comes_each_second_with_site_time_and_a_running_number(setup: Setup) -> None:
    request, _ = setup.open()
    setup.seconds(5.1)
    beats = request.told("beat")

    assert [beat["sequence"] for beat in beats] == [1, 2, 3, 4, 5, 6]
    assert beats[-1]["site_ms"] - beats[1]["site_ms"] == 4000


def test_a_missing_number_is_null_with_its_quality(setup: Setup) -> None:
    request, _ = setup.open("C01-001/battery", "no/such")
    setup.seconds(0.5)

    assert request.told("tags")[0] == {"C01-001/battery": [None, 32, 0], "no/such": [None, 37, 0]}


def test_a_slow_browser_is_told_the_latest_value_once_and_the_backlog_stays_bounded(setup: Setup) -> None:
    request, stream = setup.open("T01/loading", "T01-meter/frequency")
    setup.seconds(0.5)
    stream.pauseProducing()
    told = len(request.written)
    for _ in range(500):
        setup.world.tick()
        setup.reactor.advance(0.1)

    assert len(request.written) == told
    assert stream.dirty == {"T01", "T01-meter"}
    assert stream.merged >= 990
    stream.resumeProducing()
    setup.seconds(0.3)
    assert len(request.told("tags")) == 2
    assert request.told("tags")[-1]["T01/loading"][0] == pytest.approx(setup.world.bus.snapshot().get("T01/loading")[0])


def test_a_slow_browser_loses_no_alarm_and_no_commands_end(setup: Setup) -> None:
    request, stream = setup.open()
    setup.seconds(0.5)
    stream.pauseProducing()
    dispatcher = setup.session(Role.DISPATCHER).actor()
    setup.world.desk.select(dispatcher, ShedRequest("LG-boilers", 600))
    setup.world.desk.execute(dispatcher, "S0001")
    for n in range(100):
        setup.world.alarms.raise_(f"C01-{n:03}", "battery_low", Priority.LOW)
        setup.world.tick()
    stream.resumeProducing()
    setup.seconds(0.3)

    assert request.told("alarms")[-1]["counts"]["low"] == [101, 101]
    assert [command["state"] for command in request.told("command")] == ["active"]


def test_a_read_is_told_in_its_latest_state_and_not_to_subscribers(setup: Setup) -> None:
    """However many modules answered between two looks, the browser gets one line; the end is never lost."""
    request, _ = setup.open()
    outside, _ = setup.open(role=Role.SUBSCRIBER)
    actor = setup.session(Role.ENGINEER).actor()
    setup.world.reading.request(actor, ReadRequest(groups=("BG-house",)))
    for _ in range(40):
        setup.world.reading.step()
    setup.seconds(0.5)
    told = request.told("read")

    assert len(told) == 1
    assert told[0]["state"] == "done"
    assert told[0]["answered"] == sum(share["answered"] for share in told[0]["shares"]) > 0
    assert "modules" not in told[0]
    assert outside.told("read") == []


def test_a_supply_is_told_as_it_is_now_and_not_to_subscribers(setup: Setup) -> None:
    request, _ = setup.open()
    outside, _ = setup.open(role=Role.SUBSCRIBER)
    one, two = (setup.session(role).actor() for role in (Role.DISPATCHER, Role.ADMINISTRATOR))
    wish = SupplyRequest("P-01-004", SwitchAction.DISCONNECT, HoldReason.DEBT)
    switch = setup.world.supplies.request(one, wish).result.switch
    setup.world.supplies.confirm(attrs.evolve(two, name="another"), "P-01-004", switch.id)
    setup.world.supplies.step()
    setup.seconds(0.5)
    told = request.told("supply")

    assert [(each["point"], each["state"], each["switch"]["state"]) for each in told] == [("P-01-004", "off", "executed")]
    assert outside.told("supply") == []


def test_a_browser_that_reads_nothing_for_a_minute_is_cut_off(setup: Setup) -> None:
    request, stream = setup.open("T01/loading")
    stream.pauseProducing()
    setup.seconds(STUCK_S + 3)

    assert request.aborted
    assert setup.hub.stuck == 1


def test_a_log_out_ends_the_stream_within_a_second(setup: Setup) -> None:
    request, stream = setup.open("T01/loading")
    setup.sessions.close(stream.session)
    setup.seconds(1.1)

    assert request.told("bye") == [{"why": "session"}]
    assert request.finished
    assert setup.hub.streams == {}


def test_a_stream_does_not_keep_an_idle_session_alive(setup: Setup) -> None:
    request, _ = setup.open("T01/loading")
    setup.reactor.pump([60.0] * (481))

    assert request.finished


def test_streams_per_session_are_bounded(setup: Setup) -> None:
    session = setup.session()
    opened = [setup.hub.open(FakeRequest(), session, []) for _ in range(MAX_PER_SESSION + 3)]

    assert sum(stream is not None for stream in opened) == MAX_PER_SESSION
    assert setup.hub.refused == 3


def test_what_one_stream_may_ask_for_and_hold_is_bounded(setup: Setup) -> None:
    _, stream = setup.open(*(f"d{n}/x" for n in range(MAX_TAGS + 100)))

    class Status:
        def __init__(self, n: int) -> None:
            self.id = str(n)

    for n in range(100):
        stream.command(Status(n))

    assert sum(len(tags) for tags in stream.wants.values()) == MAX_TAGS
    assert list(stream.commands) == [str(n) for n in range(100 - MAX_COMMANDS, 100)]


def test_a_subscriber_hears_no_tags_no_alarms_and_no_commands(setup: Setup) -> None:
    request, _ = setup.open("T01/loading", role=Role.SUBSCRIBER)
    setup.world.alarms.raise_("T01", "stale", Priority.HIGH)
    setup.world.tick()
    setup.seconds(2)

    assert {name for name, _ in request.written} == {"hello", "beat"}


def test_an_installer_hears_the_radio_and_his_own_reads_and_nothing_else(setup: Setup) -> None:
    """Signal of a module, not what anybody uses; no alarms, no commands, no reads of others."""
    bus = setup.world.bus
    bus.add_device(Device("C02-024", (TagDef("link_rssi_up", "dBm", "Signal"), TagDef("register", "kWh", "Register"))))
    request, stream = setup.open("C02-024/link_rssi_up", "C02-024/register", "T01/loading", role=Role.INSTALLER)
    setup.world.alarms.raise_("T01", "stale", Priority.HIGH)
    for role in (Role.ENGINEER, Role.INSTALLER):
        setup.world.reading.request(setup.session(role).actor(), ReadRequest(modules=("C02-001",)))
    setup.world.tick()
    setup.seconds(1)

    assert {tag for told in request.told("tags") for tag in told} == {"C02-024/link_rssi_up"}
    assert {told["actor"] for told in request.told("read")} == {"installer"}
    assert request.told("alarms") == []
    stream.want(["T01/loading"])
    assert stream.wants == {}


def test_a_stop_says_goodbye_and_leaves_no_timer_behind(world: World, reactor: Clock) -> None:
    setup = Setup(world, reactor)
    request, _ = setup.open("T01/loading")
    setup.hub.stop()
    reactor.advance(0)

    assert request.told("bye") == [{"why": "stopping"}]
    assert reactor.getDelayedCalls() == []


def test_three_hundred_streams_are_served_a_hundred_a_turn(setup: Setup) -> None:
    requests = [setup.open("T01/loading")[0] for _ in range(300)]
    turns: list[int] = []
    tell = setup.hub._tell
    setup.hub._tell = lambda streams, *rest: (turns.append(len(streams)), tell(streams, *rest))[1]
    setup.seconds(0.3)

    assert turns == [100, 100, 100]
    assert all(request.told("tags") for request in requests)
