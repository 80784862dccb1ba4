"""One connection of a concentrator: bytes in, bytes out; no I/O and no clock of its own.

    GREETING   HELLO is sent; only CHALLENGE (or CLOSE) may come
    PROVING    AUTH is sent; the first sealed message must be READY
    UP         archive, events, reports go up; commands come down
    DOWN       over; nothing is said any more

The archive is streamed from the cursor in READY, at most `credit` records ahead of what is acknowledged.
"""

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Final

from scada.drivers.dmesh import crypto, messages
from scada.drivers.dmesh.frame import VERSION, Frame, FrameDecoder
from scada.drivers.dmesh.frame import encode as encode_frame
from scada.drivers.dmesh.keyring import Key
from scada.drivers.dmesh.messages import (
    ArchAck,
    ArchStatus,
    Auth,
    Challenge,
    Close,
    CommandReport,
    CommandStatus,
    Error,
    EventAck,
    Events,
    Hello,
    KeyActivate,
    KeyPut,
    KeyRevoke,
    Message,
    ModuleJoined,
    Packet,
    Ping,
    ProfileMessage,
    ReadResult,
    Ready,
    Reboot,
    Result,
    Sample,
    Samples,
    TimeSet,
    Wake,
)
from scada.drivers.dmesh.messages.info import UNSAID
from scada.drivers.dmesh.numbers import ANSWERS, Capability, Code, Reason
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.drivers.dmesh.simulator.answers import FIRMWARE, LONGEST_ROUND_TRIP_MS, MODEL, answers, asks_modules
from scada.drivers.dmesh.simulator.state import ConcentratorState, Listener, SimModule

ANSWERS_KEPT: Final = 64
EVENTS_A_MESSAGE: Final = 32
TRIES: Final = 3                                # of a request on a serial line
CAPABILITIES: Final = (
    Capability.GROUP_COMMANDS | Capability.LINK_STATS | Capability.SAMPLES | Capability.INFO | Capability.KEYS
    | Capability.READ_NOW | Capability.FIRMWARE | Capability.REGISTRY | Capability.GROUP_KEYS | Capability.SINGLE_COMMANDS
    | Capability.TOPOLOGY_DELTA | Capability.OVERHEARD | Capability.PARAMETERS
)


class Phase(Enum):
    GREETING = "greeting"
    PROVING = "proving"
    UP = "up"
    DOWN = "down"


class ConcentratorSession(Listener):
    """
    Speaks for one `ConcentratorState` over one connection.

    Parameters
    ----------
    state
        What outlives the connection.
    nonce
        16 fresh random bytes.
    write, close
        The connection: bytes to send; end it, with the reason for the log.
    now, real
        Site time; real time, for the days a key is still good (site time if it is not given). [s since 1970]
    later
        Do something after real seconds; without it at once.
    """

    def __init__(
        self,
        state: ConcentratorState,
        nonce: bytes,
        write: Callable[[bytes], None],
        close: Callable[[str], None],
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object] = lambda seconds, do: do(),
        *,
        real: Callable[[], float] | None = None,
        serial: bool = False,
    ) -> None:
        self._state, self._nonce, self._write, self._close, self._now = state, nonce, write, close, now
        self._real = real or now
        self._serial, self.turn_over = serial, False        # a shared line: speak when asked, repeat what was lost
        self._unanswered: dict[int, tuple[bytes, int, float]] = {}      # corr -> request, tries, when
        self._moved = 0.0                       # when a record was last sent or acknowledged
        self._told = 0.0                        # when events were last sent
        self._key: Key | None = None            # the link key that the server proved
        self._later = later
        self._fetching: set[int] = set()        # corr of requests whose answer comes by radio
        self._decoder = FrameDecoder(state.max_frame)
        self.phase = Phase.GREETING
        self.t1 = 15.0                          # s, real time, as the server set it
        self.t3 = 20.0                          # s, real time, as the server set it
        self.retry_after = 0.0                  # s, real time the server asked us to stay away
        self.rejected = 0
        self._channel: crypto.Channel | None = None
        self._hello = b""
        self._sent, self._held, self._credit = 0, 0, 0      # archive: sent; acknowledged here; allowed under way
        self._events_sent = 0
        self._tree = state.tree                 # as it was told
        self._answers: OrderedDict[int, list[bytes]] = OrderedDict()
        self._corr = 0                          # of our own requests
        self._reports: dict[int, CommandReport] = {}        # corr -> final report that is to be answered
        self._results: dict[int, ReadResult] = {}           # corr -> final part of a read that is to be answered

    # --------------------------------------------------------------------------------------------- connection
    def start(self) -> None:
        """The connection is there: say HELLO."""
        state = self._state
        self._hello = messages.encode(Hello(
            min_version=VERSION, max_version=VERSION, link_id=state.link_id,
            boot_id=state.boot_id, archive_id=state.archive.id,
            max_frame=state.max_frame, nonce=self._nonce, model=MODEL, firmware=FIRMWARE,
            capabilities=int(CAPABILITIES),
            oldest=state.archive.oldest, newest=state.archive.newest,
            newest_event=state.events[-1].sequence if state.events else 0,
        ))
        self._plain(self._hello)

    def receive(self, data: bytes) -> None:
        """Bytes came in."""
        for event in self._decoder.feed(data):
            if self.phase is Phase.DOWN:
                return
            if isinstance(event, Rejected):
                self.rejected += 1
            else:
                self._frame(event)

    def lost(self) -> None:
        """The connection is gone."""
        self.phase = Phase.DOWN
        if self._state.listener is self:
            self._state.listener = None

    def ping(self) -> None:
        """Ask whether the server is still there."""
        if self.phase is Phase.UP:
            self._ask(Ping(int(self._now())))

    def goodbye(self) -> None:
        """Say that this is the end on purpose."""
        if self.phase is Phase.UP:
            self._send(Close(int(Reason.NORMAL)))

    # -------------------------------------------------------------------------------------------------- frames
    def _frame(self, frame: Frame) -> None:
        body: bytes | Rejected = frame.body
        if frame.secured:
            body = Rejected(Reject.CRYPTO) if self._channel is None else self._channel.open(frame)
        elif self.phase is Phase.UP:
            body = Rejected(Reject.MESSAGE, "plain, after the handshake")
        if isinstance(body, Rejected):
            self.rejected += 1
            return
        packet = messages.decode(body)
        if isinstance(packet, Rejected):
            self.rejected += 1
            if self.phase is Phase.UP and packet.reason in (Reject.UNKNOWN_TYPE, Reject.FIELD):
                code = Code.UNKNOWN if packet.reason is Reject.UNKNOWN_TYPE else Code.BAD_ARGUMENT
                self._send(Error(int(code), packet.detail, packet.type), packet.corr)
            return
        self._packet(packet, body, secured=frame.secured)

    def _packet(self, packet: Packet, body: bytes, *, secured: bool) -> None:
        match (self.phase, packet.message):
            case (_, Close(reason=reason, text=text, retry_after=retry_after)):
                self.retry_after = float(retry_after)
                self._end(f"the server closed: {_reason(reason)} {text}".rstrip())
            case (Phase.UP, Wake()) if secured and self._serial:
                self._repeat(self._real())
                self._send(Result(int(Code.OK)), packet.corr)
                self.turn_over = True
            case (_, Wake()):
                pass                            # for serial lines; a connection has said HELLO by itself
            case (Phase.GREETING, Challenge() as challenge) if not secured:
                self._challenged(challenge, body)
            case (Phase.PROVING, Ready() as ready) if secured:
                self._ready(ready)
            case (Phase.UP, message):
                self._serve(message, packet.corr)
            case _:
                self._end(f"{type(packet.message).__name__} came while {self.phase.value}")

    def _challenged(self, challenge: Challenge, body: bytes) -> None:
        state = self._state
        bodies = [self._hello, messages.without(body, messages.CHALLENGE_MAC_KEY)]
        for key in state.keys.link.held(int(self._real())):     # while a key is being changed there are several
            auth = crypto.auth_key(key.secret)
            if crypto.equal(challenge.mac, crypto.handshake_mac(auth, crypto.ROLE_SERVER, bodies)):
                self._key = key
                break
        else:
            text = "the server does not hold our key"
            self._plain(messages.encode(Close(int(Reason.BAD_KEY), text)))
            self._end(text)
            return
        if challenge.version != VERSION:
            self._end(f"the server chose version {challenge.version >> 4}.{challenge.version & 15}")
            return
        if challenge.max_frame < state.max_frame:
            self._end(f"the server takes frames of {challenge.max_frame} bytes; our records need {state.max_frame}")
            return
        self.t1, self.t3 = float(challenge.t1), float(challenge.t3)
        keys = crypto.session_keys(key.secret, self._nonce, challenge.nonce)
        self._channel = crypto.Channel(keys, state.link_id, server=False)
        mac = crypto.handshake_mac(auth, crypto.ROLE_CONCENTRATOR, [self._hello, body, messages.encode(Auth())])
        self.phase = Phase.PROVING
        self._plain(messages.encode(Auth(mac)))

    def _ready(self, ready: Ready) -> None:
        self.phase = Phase.UP
        state = self._state
        state.listener = self
        if self._key is not None:
            state.keys.proven(self._key, self._real())
        state.acknowledge(ready.archive_cursor)
        # Not what was acknowledged once: a server restored from a backup asks for less, and gets it again.
        self._sent = self._held = min(ready.archive_cursor, state.archive.newest)
        self._credit = ready.credit
        state.event_cursor = max(state.event_cursor, ready.event_cursor)
        self._events_sent = state.event_cursor
        self._tree = state.tree
        for topology in state.topology(self._now()):
            self._send(topology)
        for stats in state.link_stats(self._now()):
            self._send(stats)
        self.overheard(self._now())
        self._send(ArchStatus(state.archive.oldest, state.archive.newest))
        for report in state.owed_reports:
            self.reported(report)
        for result in state.reads.owed():
            self.read(result)
        self.events_added()
        self.records_added()

    # ------------------------------------------------------------------------------------------ from the state
    def records_added(self) -> None:
        """Send what the credit allows."""
        archive = self._state.archive
        while self.phase is Phase.UP and self._sent - self._held < self._credit:
            record = archive.after(self._sent)
            if record is None:
                return
            self._sent, self._moved = record.number, self._real()
            self._send(ProfileMessage(record.number, record.block))

    def events_added(self) -> None:
        """Send events that were not sent in this session, at most one message of them under way."""
        if self.phase is not Phase.UP or self._events_sent > self._state.event_cursor:
            return
        new = tuple(one for one in self._state.events if one.sequence > self._events_sent)[:EVENTS_A_MESSAGE]
        if new:
            self._events_sent, self._told = new[-1].sequence, self._real()
            self._send(Events(new))

    def modules_joined(self, modules: tuple[SimModule, ...]) -> None:
        self._ask(ModuleJoined(self._state.generation, self._state.entries(modules)))

    def link_stats(self, now: float) -> None:
        for page in self._state.link_stats(now):
            self._send(page)

    def tree_changed(self) -> None:
        for news in self._state.tree_news(self._tree, self._now()):
            self._send(news)
        self._tree = self._state.tree

    def overheard(self, now: float) -> None:
        for account in self._state.overheard(now):
            self._send(account)

    def sensed(self, samples: tuple[Sample, ...]) -> None:
        self._send(Samples(0, samples))

    def told(self, message: Message) -> None:
        self._send(message)

    def reported(self, report: CommandReport) -> None:
        """A report on the way is told once; the final one is owed until the server has answered it."""
        if report.final:
            self._reports[self._ask(report)] = report
        else:
            self._send(report)
            self._state.taken(report)

    def read(self, result: ReadResult) -> None:
        """A part of a read; the final one is owed until the server has answered it."""
        if result.final:
            self._results[self._corr + 1] = result          # before it leaves: over memory the answer is there at once
            self._ask(result)
        else:
            self._send(result)

    # ------------------------------------------------------------------------------------------ from the server
    def _serve(self, message: Message, corr: int) -> None:
        """Answer a request; one that was answered before gets the same answer and is not executed twice."""
        if message.TYPE in ANSWERS:
            self._unanswered.pop(corr, None)
        if isinstance(message, Result) and corr in self._reports:
            self._state.taken(self._reports.pop(corr))
            return
        if isinstance(message, Result) and corr in self._results:
            self._state.reads.taken(self._results.pop(corr))
            return
        if isinstance(message, ArchAck) and corr:
            return                              # for the answer to an ARCH_READ: moves no cursor
        if corr and corr in self._answers:
            for body in self._answers[corr]:
                self._secured(body)
            return
        if asks_modules(self._state, message) and corr not in self._fetching:
            self._fetching.add(corr)
            self._later(self._state.trip_s, lambda: self._answer(message, corr))
        elif corr not in self._fetching:
            self._answer(message, corr)

    def _answer(self, message: Message, corr: int) -> None:
        self._fetching.discard(corr)
        bodies = [messages.encode(answer, corr) for answer in self._handle(message)]
        if corr and bodies:
            self._answers[corr] = bodies
            while len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)
            for body in bodies:
                self._secured(body)
        if isinstance(message, CommandStatus) and (report := self._state.known_command(message.command_id)):
            self._send(report)
        if isinstance(message, Reboot) and not message.index:
            self._later(message.delay_s, self._reboot)

    def _reboot(self) -> None:
        """With a word, where the connection is still there; the archive, events and what modules hold stay."""
        if self.phase is Phase.UP:
            self.goodbye()
            self._close("the server has it rebooted")
        self._state.restart(self._now())

    def _handle(self, message: Message) -> tuple[Message, ...]:
        """Do what is asked; the answers, in order. What comes by itself afterwards is sent by itself."""
        match message:
            case ArchAck(cursor=cursor, credit=credit):
                self._credit = credit
                self._held, self._moved = max(self._held, min(cursor, self._sent)), self._real()
                self._state.acknowledge(self._held)
                self.records_added()
            case EventAck(cursor=cursor):
                self._state.event_cursor = max(self._state.event_cursor, cursor)
                self.events_added()
            case KeyPut() | KeyActivate() | KeyRevoke() if self._key is not None:
                answer = self._state.keys.take(message, self._key, self._state.has_module, self._real())
                return () if answer is None else (answer,)
            case TimeSet(round_trip_ms=trip) if trip <= LONGEST_ROUND_TRIP_MS:
                late = message.time + message.time_ms / 1000 - self._now()
                known = message.correction_ms != UNSAID
                self._state.time_was_set(message.correction_ms / 1000 if known else late, message.mode)
                return answers(self._state, message, self._now())
            case _:
                return answers(self._state, message, self._now())
        return ()

    # -------------------------------------------------------------------------------------------------- sending
    def _send(self, message: Message, corr: int = 0) -> None:
        if self.phase is Phase.UP:
            self._secured(messages.encode(message, corr))

    def _ask(self, message: Message) -> int:
        """Send a request; returns its corr."""
        self._corr += 1
        self._send(message, self._corr)
        if self._serial and self.phase is Phase.UP:
            self._unanswered[self._corr] = messages.encode(message, self._corr), 1, self._real()
        return self._corr

    def _repeat(self, now: float) -> None:
        """On a serial line a frame may just be lost: after t1 it is sent again, three times at most."""
        if self._sent > self._held and now - self._moved >= self.t1:
            self._sent = self._held                         # from the first that is not acknowledged
            self.records_added()
        if self._events_sent > self._state.event_cursor and now - self._told >= self.t1:
            self._events_sent = self._state.event_cursor
            self.events_added()
        for corr, (body, tries, at) in tuple(self._unanswered.items()):
            if now - at >= self.t1:
                del self._unanswered[corr]
                if tries < TRIES:
                    self._unanswered[corr] = body, tries + 1, now
                    self._secured(body)

    def _secured(self, body: bytes) -> None:
        if self._channel is not None and self.phase is Phase.UP:
            self._write(encode_frame(self._channel.seal(body)))

    def _plain(self, body: bytes) -> None:
        self._write(encode_frame(Frame(self._state.link_id, body)))

    def _end(self, reason: str) -> None:
        self.lost()
        self._close(reason)


def _reason(number: int) -> str:
    return Reason(number).name if number in Reason._value2member_map_ else str(number)
