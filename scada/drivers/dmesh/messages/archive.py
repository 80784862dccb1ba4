"""Archive (0x20): records of interval data and samples, streamed or read again."""

from typing import Annotated, Any

import attrs

from scada.drivers.dmesh.messages.base import U8, U16, Bitmap, Hour, Message, Number, Parent, Seconds, numbered
from scada.drivers.dmesh.numbers import MAX_MODULES, Type
from scada.drivers.dmesh.wire import Anything, Int, Many, Octets, Real, Text


@numbered(Type.ARCH_STATUS)
@attrs.frozen
class ArchStatus(Message):
    oldest: Annotated[Number, 0]
    newest: Annotated[Number, 1]
    completeness: Annotated[bytes, Octets(0, MAX_MODULES), 2] = b""     # % of the last day per index; 255: no module


@numbered(Type.ARCH_READ)
@attrs.frozen
class ArchRead(Message):
    first: Annotated[Hour, 0]
    hours: Annotated[U16, 1]
    modules: Annotated[Bitmap, 2]
    credit: Annotated[int, Int(1, 64), 3] = 8


@numbered(Type.PROFILE)
@attrs.frozen
class ProfileMessage(Message):
    """One archive record of interval data; `block` is read by `profile_decode`."""

    record: Annotated[Number, 0]                                        # 0: answers an ARCH_READ
    block: Annotated[Any, Anything(), 1]


@attrs.frozen
class Sample:
    index: Annotated[Parent, 0]                                         # 0: the concentrator itself
    sensor: Annotated[U8, 1]                                            # `Sensor`
    value: Annotated[float, Real(), 2]
    time: Annotated[Seconds, 3]
    unit: Annotated[str, Text(8), 4] = ""


@numbered(Type.SAMPLES)
@attrs.frozen
class Samples(Message):
    """Readings of other sensors: live (record 0), or one archive record of them."""

    record: Annotated[Number, 0]
    samples: Annotated[tuple[Sample, ...], Many(Sample, 256), 1]


@numbered(Type.ARCH_ACK)
@attrs.frozen
class ArchAck(Message):
    cursor: Annotated[Number, 0]
    credit: Annotated[int, Int(1, 64), 1]
