"""Reading on demand (0x28): registers as they stand now, of some modules, until a deadline."""

from typing import Annotated

import attrs

from scada.drivers.dmesh.messages.base import U8, U16, U32, Bitmap, Bool, Index, Message, ReadId, Seconds, numbered
from scada.drivers.dmesh.numbers import Type
from scada.drivers.dmesh.wire import Many


@numbered(Type.READ_NOW)
@attrs.frozen
class ReadNow(Message):
    """Idempotent: a read id that was heard before starts nothing."""

    read_id: Annotated[ReadId, 0]
    modules: Annotated[Bitmap, 1]
    deadline: Annotated[Seconds, 2]                                     # site time; what has not answered then is TIMEOUT


@attrs.frozen
class Reading:
    """One channel's register, or why there is none; channel 255 speaks of the whole module."""

    index: Annotated[Index, 0]
    channel: Annotated[U8, 1]
    code: Annotated[U8, 2] = 0                                          # `Code`; not OK: there is no register
    register: Annotated[U32, 3] = 0                                     # pulses, modulo 2**32
    time: Annotated[Seconds, 4] = 0                                     # when the module read it
    time_good: Annotated[Bool, 5] = True
    status: Annotated[U8, 6] = 0                                        # `IntervalStatus` of this moment


@numbered(Type.READ_RESULT)
@attrs.frozen
class ReadResult(Message):
    """The parts of one read add up; the `final` one says by its number how many there are."""

    read_id: Annotated[ReadId, 0]
    part: Annotated[U16, 1]                                             # from 0
    readings: Annotated[tuple[Reading, ...], Many(Reading, 256), 2]
    final: Annotated[Bool, 3] = False
