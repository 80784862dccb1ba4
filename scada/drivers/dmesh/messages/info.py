"""Time (0x10), information and parameters (0x18) of a concentrator."""

from typing import Annotated, Final

import attrs

from scada.drivers.dmesh.messages.base import U8, U16, U32, Message, Parent, Seconds, numbered
from scada.drivers.dmesh.numbers import ClockMode, Type
from scada.drivers.dmesh.wire import Choice, Int, Many, Scalar, Text

UNSAID: Final = -(2**53)                # no correction was measured: the receiver goes by `time`


@numbered(Type.TIME_SET)
@attrs.frozen
class TimeSet(Message):
    time: Annotated[Seconds, 0]
    mode: Annotated[ClockMode, Choice(ClockMode), 1]
    round_trip_ms: Annotated[U32, 2] = 0                                # best of those measured
    time_ms: Annotated[int, Int(0, 999), 3] = 0                         # of `time`
    correction_ms: Annotated[int, Int(UNSAID, -UNSAID), 4] = UNSAID     # what the receiver's clock is to gain, as measured


@numbered(Type.GET_INFO)
@attrs.frozen
class GetInfo(Message):
    pass


@numbered(Type.INFO)
@attrs.frozen
class Info(Message):
    model: Annotated[str, Text(32), 0] = ""
    firmware: Annotated[str, Text(32), 1] = ""
    uptime_s: Annotated[U32, 2] = 0
    modules: Annotated[U8, 3] = 0
    configuration: Annotated[U32, 4] = 0                                # version


@attrs.frozen
class Param:
    """One setting of a concentrator; which kind of value it takes, its number says (docs/dmlp.md)."""

    number: Annotated[U16, 0]                                           # `Parameter`
    value: Annotated[int | str, Scalar(128), 1]


@numbered(Type.GET_PARAM)
@attrs.frozen
class GetParam(Message):
    numbers: Annotated[tuple[int, ...], Many(Int(0, 0xFFFF), 64), 0] = ()   # empty: all there are
    page: Annotated[U8, 1] = 0


@numbered(Type.PARAM)
@attrs.frozen
class ParamMessage(Message):
    """Answers GET_PARAM, and a SET_PARAM that was carried out."""

    version: Annotated[U32, 0]                                          # of the configuration these values are in
    page: Annotated[U8, 1]
    pages: Annotated[U8, 2]
    params: Annotated[tuple[Param, ...], Many(Param, 64), 3]


@numbered(Type.SET_PARAM)
@attrs.frozen
class SetParam(Message):
    """All of it or nothing; refused with INTERLOCK when `base` is not the current version any more."""

    base: Annotated[U32, 0]                                             # configuration version it was decided on
    params: Annotated[tuple[Param, ...], Many(Param, 64), 1]


@numbered(Type.REBOOT)
@attrs.frozen
class Reboot(Message):
    delay_s: Annotated[U16, 0] = 0
    index: Annotated[Parent, 1] = 0                                     # 0: the concentrator itself
