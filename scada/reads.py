"""Reading on demand: which registers a person wants now and until when; and what became of it, module by module."""

from enum import IntEnum, StrEnum
from typing import Final

import attrs

from scada.commands import Origin


class ReadState(StrEnum):
    """How far a read has come; of one concentrator's share, and of the whole."""

    NEW = "new"                         # taken, not on disk yet
    QUEUED = "queued"                   # on disk; waits for its turn, or for the concentrator
    SENT = "sent"                       # on disk as sent, then sent: the field may be at work
    PARTIAL = "partial"                 # some modules have answered
    DONE = "done"                       # every module has its result, and there are registers among them
    EXPIRED = "expired"                 # the deadline passed first; what had come by then is kept
    FAILED = "failed"                   # refused, or not one register came
    CANCELLED = "cancelled"


OVER: Final = frozenset({ReadState.DONE, ReadState.EXPIRED, ReadState.FAILED, ReadState.CANCELLED})


class ReadPriority(IntEnum):
    """Who goes first at one concentrator."""

    URGENT = 0
    NORMAL = 1
    LOW = 2


@attrs.frozen
class ReadRequest:
    """What a person asks for: points, modules, groups (of balance or of load) by name; checked, never trusted."""

    points: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    within_s: int = 900                 # site seconds; what has not answered then is no longer waited for
    priority: ReadPriority = ReadPriority.NORMAL
    key: str = ""                       # the same key of the same person is the same task; "" = always a new one


@attrs.frozen
class ChannelReading:
    """One channel's register as its module had it, or why there is none."""

    channel: int                        # 0-based; -1: said of the whole module
    code: str                           # "OK", or a result code of the field: "TIMEOUT", "NO_ROUTE" …
    pulses: int = 0                     # modulo 2**32; meaningless unless OK
    at: int = 0                         # ns, site time when the module read it
    time_good: bool = True
    status: int = 0                     # `IntervalStatus` of that moment


@attrs.frozen
class ReadOrder:
    """What goes to one concentrator."""

    read_id: bytes                      # 16 bytes; asking again under the same number starts nothing
    link_id: int
    members: tuple[tuple[int, int], ...]    # (subnet index, EUI)
    deadline: int                       # s since 1970, site time


@attrs.frozen
class ReadAnswer:
    """What a concentrator said to an order."""

    code: str                           # name of a result code; ACCEPTED and DUPLICATE mean that answers follow
    retry_after_s: int = 0              # real seconds, with BUSY


@attrs.frozen
class ReadReport:
    """One part of the results of one concentrator; parts add up."""

    read_id: bytes
    link_id: int
    part: int                           # from 0
    final: bool                         # by its number it says how many parts there are
    readings: tuple[tuple[int, ChannelReading], ...]    # (EUI, reading)


@attrs.frozen
class ReadMember:
    """One module of a read, and what came of it."""

    eui: int
    index: int                          # subnet index when the task was made
    device: str                         # name on the bus
    title: str = ""
    readings: tuple[ChannelReading, ...] = ()   # one a channel; empty while nothing came
    reason: str = ""                    # why there is no register, "" while it may still come

    @property
    def answered(self) -> bool:
        return any(reading.code == "OK" for reading in self.readings)


@attrs.frozen
class ReadShare:
    """The part of a read that one concentrator does."""

    read_id: bytes
    concentrator: str
    link_id: int
    state: ReadState
    members: tuple[ReadMember, ...]
    parts: tuple[int, ...] = ()         # numbers of the parts that came
    last_part: int = -1                 # number of the final part; -1 while it has not come
    attempts: int = 0                   # how often it was asked, always under the same number
    sent: int = 0                       # ns, site time when it was first sent
    reason: str = ""                    # why it stands where it stands
    expected: int = 0                   # ns, site time when it is likely to be over; 0 = not known

    @property
    def over(self) -> bool:
        return self.state in OVER


@attrs.frozen
class ReadTask:
    """A read as the service knows it now; replaced as a whole when anything changes."""

    id: str                             # 32 hex digits
    key: str
    actor: str
    origin: Origin
    asked: str                          # what was asked for, in the words of the asker
    priority: ReadPriority
    made: int                           # ns, site time
    deadline: int                       # ns, site time
    shares: tuple[ReadShare, ...]

    @property
    def state(self) -> ReadState:
        """Of the whole: as far as the share that is furthest while any is open; the worst once all are over."""
        states = {share.state for share in self.shares}
        if states <= OVER:
            worst = (ReadState.CANCELLED, ReadState.EXPIRED, ReadState.FAILED, ReadState.DONE)
            if ReadState.FAILED in states and ReadState.DONE in states and states <= {ReadState.FAILED, ReadState.DONE}:
                return ReadState.DONE       # registers came, and every module has its reason
            return next(state for state in worst if state in states)
        if ReadState.PARTIAL in states or any(one.answered for share in self.shares for one in share.members):
            return ReadState.PARTIAL
        if ReadState.SENT in states or states & OVER:
            return ReadState.SENT
        return ReadState.QUEUED if ReadState.QUEUED in states else ReadState.NEW

    @property
    def expected(self) -> int:
        """When all of it is likely to be over [ns, site time]; 0 where that is not known."""
        times = [share.expected for share in self.shares if not share.over]
        return max(times) if times and all(times) else 0

    @property
    def total(self) -> int:
        return sum(len(share.members) for share in self.shares)

    @property
    def answered(self) -> int:
        return sum(one.answered for share in self.shares for one in share.members)
