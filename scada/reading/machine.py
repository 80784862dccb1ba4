"""The states of one concentrator's share of a read, as one table; every state but the four ends can still get home."""

from enum import Enum
from typing import Final

from scada.reads import ReadState


class Happening(Enum):
    STORED = "stored"                   # it is on disk
    TURN = "turn"                       # the concentrator is up and it is this share's turn
    TAKEN = "taken"                     # ACCEPTED, or DUPLICATE: answers follow
    BUSY = "busy"                       # the concentrator has too many reads under way
    REFUSED = "refused"                 # the concentrator will not read, with a reason
    SILENT = "silent"                   # no answer to the order, or the link broke: nobody knows whether it came
    BACK = "back"                       # the link is up again, or this process: ask under the same number
    MISSED = "missed"                   # the final part is here, another is not: ask under the same number
    PART = "part"                       # some registers, or reasons
    WHOLE = "whole"                     # every part is here, and a register among them
    EMPTY = "empty"                     # every part is here, and no register
    TIME = "time"                       # the deadline passed
    CANCEL = "cancel"


class Action(Enum):
    ASK = "ask"                         # send READ_NOW, after the state is on disk


_S, _H, _A = ReadState, Happening, Action
TRANSITIONS: Final[dict[tuple[ReadState, Happening], tuple[ReadState, tuple[Action, ...]]]] = {
    (_S.NEW, _H.STORED): (_S.QUEUED, ()),
    (_S.NEW, _H.CANCEL): (_S.CANCELLED, ()),
    (_S.NEW, _H.TIME): (_S.EXPIRED, ()),
    (_S.QUEUED, _H.TURN): (_S.SENT, (_A.ASK,)),
    (_S.QUEUED, _H.TIME): (_S.EXPIRED, ()),
    (_S.QUEUED, _H.CANCEL): (_S.CANCELLED, ()),
    # BUSY put it back, and yet answers come: an earlier order under the same number had arrived.
    (_S.QUEUED, _H.PART): (_S.PARTIAL, ()),
    (_S.QUEUED, _H.MISSED): (_S.PARTIAL, (_A.ASK,)),
    (_S.QUEUED, _H.WHOLE): (_S.DONE, ()),
    (_S.QUEUED, _H.EMPTY): (_S.FAILED, ()),
    (_S.SENT, _H.TAKEN): (_S.SENT, ()),
    (_S.SENT, _H.BUSY): (_S.QUEUED, ()),
    (_S.SENT, _H.REFUSED): (_S.FAILED, ()),
    (_S.SENT, _H.SILENT): (_S.SENT, ()),
    (_S.SENT, _H.BACK): (_S.SENT, (_A.ASK,)),
    (_S.SENT, _H.MISSED): (_S.PARTIAL, (_A.ASK,)),
    (_S.SENT, _H.PART): (_S.PARTIAL, ()),
    (_S.SENT, _H.WHOLE): (_S.DONE, ()),
    (_S.SENT, _H.EMPTY): (_S.FAILED, ()),
    (_S.SENT, _H.TIME): (_S.EXPIRED, ()),
    (_S.SENT, _H.CANCEL): (_S.CANCELLED, ()),
    (_S.PARTIAL, _H.TAKEN): (_S.PARTIAL, ()),
    (_S.PARTIAL, _H.BUSY): (_S.PARTIAL, ()),
    (_S.PARTIAL, _H.REFUSED): (_S.PARTIAL, ()),         # what came is kept; the deadline ends it
    (_S.PARTIAL, _H.SILENT): (_S.PARTIAL, ()),
    (_S.PARTIAL, _H.BACK): (_S.PARTIAL, (_A.ASK,)),
    (_S.PARTIAL, _H.MISSED): (_S.PARTIAL, (_A.ASK,)),
    (_S.PARTIAL, _H.PART): (_S.PARTIAL, ()),
    (_S.PARTIAL, _H.WHOLE): (_S.DONE, ()),
    (_S.PARTIAL, _H.EMPTY): (_S.FAILED, ()),
    (_S.PARTIAL, _H.TIME): (_S.EXPIRED, ()),
    (_S.PARTIAL, _H.CANCEL): (_S.CANCELLED, ()),
}
UNDER_WAY: Final = frozenset({ReadState.SENT, ReadState.PARTIAL})
