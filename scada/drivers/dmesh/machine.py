"""The states of a session at the server's end, as one table; the picture in docs/dmlp.md is drawn from it."""

from enum import Enum
from typing import Final


class State(Enum):
    GREETING = "greeting"               # connected; HELLO is awaited
    PROVING = "proving"                 # CHALLENGE sent; AUTH is awaited
    UP = "up"
    CLOSED = "closed"


class Happening(Enum):
    HELLO = "hello"                     # a HELLO we can serve
    PROVEN = "proven"                   # AUTH with the right MAC
    REFUSED = "refused"                 # we end it, with a reason
    LATE = "late"                       # no proof in time
    MESSAGE = "message"
    QUIET = "quiet"                     # nothing heard for t3
    SILENT = "silent"                   # nor after two PINGs
    BYE = "bye"                         # the peer said CLOSE
    LOST = "lost"                       # the connection broke


class Action(Enum):
    SEND_CHALLENGE = "send CHALLENGE"
    SEND_READY = "send READY"
    SEND_PING = "send PING"
    SEND_CLOSE = "send CLOSE"
    DELIVER = "deliver"
    TELL_UP = "tell: up"
    TELL_CLOSED = "tell: closed"


_S, _H, _A = State, Happening, Action
_END = (_A.SEND_CLOSE, _A.TELL_CLOSED)
TRANSITIONS: Final[dict[tuple[State, Happening], tuple[State, tuple[Action, ...]]]] = {
    (_S.GREETING, _H.HELLO): (_S.PROVING, (_A.SEND_CHALLENGE,)),
    (_S.GREETING, _H.REFUSED): (_S.CLOSED, _END),
    (_S.GREETING, _H.LATE): (_S.CLOSED, _END),
    (_S.GREETING, _H.BYE): (_S.CLOSED, (_A.TELL_CLOSED,)),
    (_S.GREETING, _H.LOST): (_S.CLOSED, (_A.TELL_CLOSED,)),
    (_S.PROVING, _H.PROVEN): (_S.UP, (_A.SEND_READY, _A.TELL_UP)),
    (_S.PROVING, _H.REFUSED): (_S.CLOSED, _END),
    (_S.PROVING, _H.LATE): (_S.CLOSED, _END),
    (_S.PROVING, _H.BYE): (_S.CLOSED, (_A.TELL_CLOSED,)),
    (_S.PROVING, _H.LOST): (_S.CLOSED, (_A.TELL_CLOSED,)),
    (_S.UP, _H.MESSAGE): (_S.UP, (_A.DELIVER,)),
    (_S.UP, _H.QUIET): (_S.UP, (_A.SEND_PING,)),
    (_S.UP, _H.SILENT): (_S.CLOSED, _END),
    (_S.UP, _H.REFUSED): (_S.CLOSED, _END),
    (_S.UP, _H.BYE): (_S.CLOSED, (_A.TELL_CLOSED,)),
    (_S.UP, _H.LOST): (_S.CLOSED, (_A.TELL_CLOSED,)),
}
