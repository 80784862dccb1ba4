"""Module list (0x38): which EUI owns which index, and changes of it."""

from typing import Annotated

import attrs

from scada.drivers.dmesh.messages.base import U8, U32, U64, Dbm, Index, Level, Message, Parent, numbered
from scada.drivers.dmesh.numbers import MAX_CHANNELS, MAX_MODULES, Type
from scada.drivers.dmesh.wire import Int, Many, Text


@attrs.frozen
class ModuleEntry:
    index: Annotated[Index, 0]
    eui: Annotated[U64, 1]
    channels: Annotated[int, Int(0, MAX_CHANNELS), 2]
    adapter: Annotated[str, Text(16), 3] = ""                           # actuator type, "" if none
    level: Annotated[Level, 4] = 0
    parent: Annotated[Parent, 5] = 0
    rssi: Annotated[Dbm, 6] = 0                                         # 0: not measured


@numbered(Type.MODULE_JOINED)
@attrs.frozen
class ModuleJoined(Message):
    generation: Annotated[U32, 0]                                       # of the list these modules are now in
    modules: Annotated[tuple[ModuleEntry, ...], Many(ModuleEntry, MAX_MODULES), 1]


@numbered(Type.GET_MODULES)
@attrs.frozen
class GetModules(Message):
    generation: Annotated[U32, 0] = 0                                   # 0: the current one
    page: Annotated[U8, 1] = 0


@numbered(Type.MODULE_LIST)
@attrs.frozen
class ModuleList(Message):
    generation: Annotated[U32, 0]
    page: Annotated[U8, 1]
    pages: Annotated[U8, 2]
    modules: Annotated[tuple[ModuleEntry, ...], Many(ModuleEntry, MAX_MODULES), 3]


@numbered(Type.MODULE_ADD)
@attrs.frozen
class ModuleAdd(Message):
    """Give an index to a module that was not heard yet; refused with INTERLOCK on another generation (as below)."""

    generation: Annotated[U32, 0]                                       # of the list this was decided on
    eui: Annotated[U64, 1]
    index: Annotated[Parent, 2] = 0                                     # 0: a free one of the concentrator's choice


@numbered(Type.MODULE_REMOVE)
@attrs.frozen
class ModuleRemove(Message):
    generation: Annotated[U32, 0]
    eui: Annotated[U64, 1]
    index: Annotated[Index, 2]                                          # must be that module's


@numbered(Type.MODULE_REPLACE)
@attrs.frozen
class ModuleReplace(Message):
    """Another module takes over an index; records before keep pointing at the old owner."""

    generation: Annotated[U32, 0]
    eui: Annotated[U64, 1]                                              # of the old one
    index: Annotated[Index, 2]                                          # must be the old one's
    new_eui: Annotated[U64, 3]


@numbered(Type.DISCOVERY)
@attrs.frozen
class Discovery(Message):
    """Take up modules that announce themselves, for so long; it ends by itself."""

    duration_s: Annotated[int, Int(0, 86400), 0]                        # 0: off
