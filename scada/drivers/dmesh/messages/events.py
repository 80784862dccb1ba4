"""Events (0x30): what a device noticed."""

from typing import Annotated

import attrs

from scada.drivers.dmesh.messages.base import U16, Bool, Message, Number, Parent, Seconds, numbered
from scada.drivers.dmesh.numbers import Type
from scada.drivers.dmesh.wire import Int, Many


@attrs.frozen
class Event:
    sequence: Annotated[Number, 0]
    code: Annotated[U16, 1]                                             # `EventCode`
    raised: Annotated[Bool, 2]
    time: Annotated[Seconds, 3]
    time_good: Annotated[Bool, 4] = True
    index: Annotated[Parent, 5] = 0                                     # 0: the concentrator itself
    channel: Annotated[int, Int(0, 255), 6] = 255                       # 255: none


@numbered(Type.EVENT)
@attrs.frozen
class Events(Message):
    events: Annotated[tuple[Event, ...], Many(Event, 256), 0]


@numbered(Type.EVENT_ACK)
@attrs.frozen
class EventAck(Message):
    cursor: Annotated[Number, 0]
