"""One concentrator that proved itself: requests with their answers, on top of a connection."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from scada.drivers.dmesh.keyring import Key
from scada.drivers.dmesh.messages import Error, Hello, Message, Packet, Ping, Result
from scada.drivers.dmesh.numbers import ANSWERS, Reason, code_name
from scada.drivers.dmesh.rejected import Rejected
from scada.drivers.dmesh.transport import Connection
from scada.errors import DataRejected, LinkError
from scada.timers import Deadlines, cancel

MOST_PENDING: Final = 64                # requests under way to one concentrator
TRIES: Final = 3                        # on a serial line, before a request is given up
COMMAND_T1_S: Final = 10.0              # a command's answer is awaited no longer than this
A = TypeVar("A", bound=Message)


class Link:
    """What the parts of the driver hold of a session; useless, but harmless, once it is down."""

    def __init__(
        self, connection: Connection, hello: Hello, naming: Callable[[int], str], deadlines: Deadlines,
        time: Callable[[], int],
    ) -> None:
        self.connection, self.hello, self._naming = connection, hello, naming
        self._deadlines, self._time = deadlines, time
        self.repeated = 0
        self._pending: dict[int, tuple[Deferred[Message], Any]] = {}

    @property
    def link_id(self) -> int:
        return self.hello.link_id

    @property
    def name(self) -> str:
        """The concentrator's name of today: the registry may learn it while the link is up."""
        return self._naming(self.link_id)

    @property
    def key(self) -> Key:
        """The link key this session was proven under: the one that KEY_PUT is wrapped under, at both ends."""
        key = self.connection.session.key
        assert key is not None
        return key

    @property
    def up(self) -> bool:
        return self.connection.up

    def send(self, message: Message, corr: int = 0) -> None:
        self.connection.send(message, corr)

    def answer(self, corr: int, message: Message) -> None:
        """Answer a request, if it was one."""
        if corr:
            self.connection.answer(corr, message)

    def close(self, reason: Reason, text: str = "", retry_after: int = 0) -> None:
        self.connection.close(reason, text, retry_after)

    def request(self, message: Message, within: float | None = None) -> "Deferred[Message]":
        """
        Ask, and get the answer; fails with `LinkError` when the link breaks or nothing comes in time.

        On TCP nothing is repeated: silence means that the connection is in doubt, and a PING finds out. On a serial line a
        frame may just be lost: the same request, with the same corr, is sent `TRIES` times.
        """
        if not self.up:
            return fail(LinkError(self.name, "the link is down"))
        if len(self._pending) >= MOST_PENDING:
            return fail(LinkError(self.name, "too many requests are under way"))
        answer: Deferred[Message] = Deferred()
        corr = self.connection.request(message)
        wait = within or float(self.connection.session.t1)
        self._pending[corr] = (answer, self._deadlines.later(wait, partial(self._late, corr, message, wait, 1)))
        return answer

    def begin(self, message: Message) -> int:
        """Send a request whose answers come one by one; returns the corr they will carry."""
        return self.connection.request(message)

    async def ask(self, message: Message, of: type[A], within: float | None = None) -> A | Result:
        """The answer as one of the expected kind, or the RESULT that came instead; `DataRejected` for anything else."""
        answer = await self.request(message, within)
        if isinstance(answer, (of, Result)):
            return answer
        said = code_name(answer.code) if isinstance(answer, Error) else answer.TYPE.name
        raise DataRejected(self.name, f"answered {message.TYPE.name} with {said}")

    def take_answer(self, packet: Packet) -> bool:
        """Whether this was the answer to a request of ours (which then goes on)."""
        return self._settle(packet.corr, packet.message) if packet.corr and packet.message.TYPE in ANSWERS else False

    def take_rejected(self, what: Rejected) -> None:
        """An answer that cannot be understood is no answer: do not wait for the time-out."""
        if what.corr and what.type in ANSWERS:
            self._settle(what.corr, Failure(DataRejected(self.name, f"unusable answer: {what.detail}")))

    def went_down(self, why: str) -> None:
        """Fail everything that waits."""
        for corr in tuple(self._pending):
            self._settle(corr, Failure(LinkError(self.name, f"the link went down: {why}")))

    def _late(self, corr: int, message: Message, wait: float, tries: int) -> None:
        if self.connection.repeats and tries < TRIES:
            self.repeated += 1
            self.send(message, corr)
            timer = self._deadlines.later(wait, partial(self._late, corr, message, wait, tries + 1))
            self._pending[corr] = (self._pending[corr][0], timer)
            return
        self.begin(Ping(self._time()))                      # a request: with corr 0 it need not be answered
        what = f"no answer to {message.TYPE.name} within {wait * tries:.0f} s"
        self._settle(corr, Failure(LinkError(self.name, what)))

    def _settle(self, corr: int, outcome: Any) -> bool:
        waiting = self._pending.pop(corr, None)
        if waiting is None:
            return False
        answer, timer = waiting
        cancel(timer)
        answer.callback(outcome)
        return True
