"""Who speaks on a shared serial line, and when; the real ends of it, on a test clock, frame by frame."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from twisted.internet.testing import StringTransport

from scada.commands import Action, GroupOrder, LoadClass
from scada.drivers.dmesh import frame, messages
from scada.drivers.dmesh.frame import Frame, FrameDecoder
from scada.drivers.dmesh.messages import Challenge, Hello, Packet, Wake
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.serial import SerialConcentrators
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule
from scada.drivers.dmesh.turns import ANSWER_S, SerialLine
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, bench
from tests.drivers.dmesh.test_groups import outcome
from tests.fakes import NOON

LINKS = (LINK_ID, LINK_ID + 1)
Spoken = tuple[str, int, str]               # "server" or "field", link id, message type of plain ones


class Shared:
    """A line with two concentrators; `lose` decides which frames never arrive."""

    def __init__(self, folder: Path, absent: int | None = None) -> None:
        self.site = bench(folder)
        self.site.keys.add_link(LINKS[1], LINK_KEY)
        self.reactor, service = self.site.reactor, self.site.service
        self.switched: list[tuple[int, bool]] = []
        self.states = [self._state(link) for link in LINKS if link != absent]
        self.noise: list[Any] = []
        self.line = SerialLine(self.reactor, service, service._door, 10.0, "ttyS1", LINKS, self.noise.append)
        self.field = SerialConcentrators(self.reactor, self.states, lambda: float(self.site.clock.seconds()))
        self.here, self.there = StringTransport(), StringTransport()
        self.lose: Callable[[str, Frame], bool] = lambda who, one: False
        self.spoken: list[Spoken] = []
        self._decoders = {"server": FrameDecoder(), "field": FrameDecoder()}
        self.field.makeConnection(self.there)
        self.line.makeConnection(self.here)

    def _state(self, link: int) -> ConcentratorState:
        modules = tuple(SimModule(n, link << 16 | n, 1, actuator=Actuator(LoadClass.YELLOW)) for n in (1, 2))
        return ConcentratorState(
            link, LINK_KEY, modules, started=float(NOON), archive_id=7, boot_id=1, max_frame=1024, out_of_reach=0.0,
            outputs=Outputs(on_supply=lambda eui, on, at: self.switched.append((eui, on))),
        )

    def run(self, seconds: float) -> None:
        """Let real time pass, and carry what is said."""
        for _ in range(round(seconds / 0.05)):
            self.reactor.advance(0.05)
            while self._carry("server", self.here, self.field) or self._carry("field", self.there, self.line):
                pass
            for state in self.states:
                state.control.run(float(self.site.clock.seconds()))

    def up(self) -> list[int]:
        return [link for link in LINKS if self.site.service.link_up(link)]

    def _carry(self, who: str, transport: StringTransport, to: Any) -> bool:
        data = transport.value()
        transport.clear()
        frames = self._decoders[who].feed(data)
        for number, one in enumerate(frames, 1):
            assert isinstance(one, Frame)
            packet = None if one.secured else messages.decode(one.body)
            self.spoken.append((who, one.link_id, packet.message.TYPE.name if isinstance(packet, Packet) else ""))
            if not self.lose(who, one):
                to.dataReceived(frame.encode(one))
                if who == "field" and number < len(frames):
                    assert not self.here.value()            # two at once would destroy each other's words
        return bool(data)


def test_only_the_one_that_was_asked_speaks(tmp_path: Path) -> None:
    """Both come up; after each word of the field the last of the server's was to that concentrator."""
    line = Shared(tmp_path)
    line.run(5.0)
    asked = 0
    for who, link, _ in line.spoken:
        asked = link if who == "server" else asked
        assert who == "server" or link == asked

    assert line.up() == list(LINKS)
    assert [one for one in line.spoken if one[1] == LINK_ID][:3] == [
        ("server", LINK_ID, "WAKE"), ("field", LINK_ID, "HELLO"), ("server", LINK_ID, "CHALLENGE")
    ]


def test_nobody_speaks_unasked(tmp_path: Path) -> None:
    """The server's port is closed: an event in the field stays where it is, and what waits is bounded."""
    line = Shared(tmp_path)
    line.run(5.0)
    line.line._open = False
    line.run(1.0)
    said = len(line.spoken)
    for _ in range(400):
        line.states[0].listener.link_stats(float(NOON)) if line.states[0].listener else None
    line.run(5.0)

    assert len(line.spoken) == said
    assert len(line.field.stations[LINK_ID].outbox) <= 256


def test_frames_are_no_longer_than_a_serial_line_allows(tmp_path: Path) -> None:
    """1024 bytes of body, whatever the concentrator could take."""
    line = Shared(tmp_path)
    terms: list[int] = []

    def look(who: str, one: Frame) -> bool:
        packet = None if one.secured else messages.decode(one.body)
        if isinstance(packet, Packet) and isinstance(packet.message, Challenge):
            terms.append(packet.message.max_frame)
        return False

    line.lose = look
    line.run(2.0)

    assert terms == [1024, 1024]


def test_a_command_whose_answer_is_lost_is_repeated_and_executed_once(tmp_path: Path) -> None:
    """The same corr: the concentrator answers again from what it kept."""
    line = Shared(tmp_path)
    line.run(5.0)
    members = tuple((one.index, one.eui) for one in line.states[0].modules)
    order = GroupOrder(b"c" * 16, LINK_ID, 5, 1, Action.SHED, LoadClass.YELLOW, 600, NOON + 300, 0, 1, members)
    result = outcome(line.site.service.send(order))
    until = line.reactor.seconds()
    control = line.states[0].control
    line.lose = lambda who, one: who == "field" and one.link_id == LINK_ID and control.known(b"c" * 16) is not None
    while control.known(b"c" * 16) is None:                 # once the command has arrived, its answer shall not
        line.run(0.05)
        assert line.reactor.seconds() < until + 5
    line.run(0.5)
    unanswered = list(result)
    line.lose = lambda who, one: False
    line.run(200.0)
    (health,) = line.site.service.health()

    assert unanswered == []
    assert result == [None]
    assert sorted(eui for eui, on in line.switched if not on) == [eui for _, eui in members]
    assert health.figures["requests_repeated"] == 1


def test_one_that_is_silent_is_asked_less_and_less_and_holds_nobody_up(tmp_path: Path) -> None:
    """Its turns cost an answer time each; the other is asked many times between two of them."""
    line = Shared(tmp_path, absent=LINKS[1])
    line.run(120.0)
    wakes = [n for n, (who, link, kind) in enumerate(line.spoken) if link == LINKS[1] and kind == "WAKE"]
    between = [later - earlier for earlier, later in pairwise(wakes)]

    assert line.up() == [LINK_ID]
    assert 3 <= len(wakes) <= 10
    assert [one.figures["refused_timeout"] for one in line.site.service.health()] == [0]
    assert between[-1] > 5 * between[0] > 0


def test_three_turns_without_an_answer_end_a_session_and_a_wake_begins_the_next(tmp_path: Path) -> None:
    """One or two do not: a frame may just be lost."""
    line = Shared(tmp_path, absent=LINKS[1])
    line.run(5.0)
    line.lose = lambda who, one: who == "field"
    line.run(2 * ANSWER_S)
    still = line.up()
    line.run(3 * ANSWER_S)
    gone = line.up()
    line.lose = lambda who, one: False
    line.run(30.0)

    assert (still, gone, line.up()) == ([LINK_ID], [], [LINK_ID])
    assert line.field.stations[LINK_ID].sessions == 2


def test_a_wake_from_a_stranger_disturbs_no_session(tmp_path: Path) -> None:
    """It proves nothing: HELLO is answered, and what is up goes on beside it."""
    line = Shared(tmp_path, absent=LINKS[1])
    line.run(5.0)
    line.field.dataReceived(frame.encode(Frame(LINK_ID, messages.encode(Wake(LINK_ID)))))
    line.there.clear()
    line.run(10.0)

    assert line.up() == [LINK_ID]
    assert line.field.stations[LINK_ID].sessions == 1
    assert line.field.stations[LINK_ID].current is line.states[0].listener


def test_a_tenth_of_a_second_of_silence_drops_half_a_frame(tmp_path: Path) -> None:
    """It is counted as noise, and the next frame is whole."""
    line = Shared(tmp_path, absent=LINKS[1])
    half = frame.encode(Frame(LINK_ID, messages.encode(Hello(0x10, 0x10, LINK_ID, 1, 7, 1024, bytes(16)))))[:-1]
    line.line.dataReceived(half)
    before = list(line.noise)
    line.reactor.advance(0.2)
    dropped = [(one.detail, one.count) for one in line.noise]
    line.run(10.0)

    assert before == []
    assert dropped == [("silence inside a frame", len(half))]
    assert line.up() == [LINK_ID]
