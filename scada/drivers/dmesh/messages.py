"""Every DMLP message in use: its type, its fields, their map keys and kinds (docs/dmlp.md holds the same in CDDL).

`encode(message, corr)` makes the CBOR body, `decode(body)` gives back a `Packet` or `Rejected`; both are pure.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Final, TypeVar

import attrs

from scada.commands import Action, LoadClass
from scada.drivers.dmesh import crypto, wire
from scada.drivers.dmesh.numbers import BITMAP, MAX_CHANNELS, MAX_MODULES, ClockMode, KeyTarget, Type
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.drivers.dmesh.wire import Anything, Choice, Flag, Int, Many, Octets, Real, Text

U8 = Annotated[int, Int(0, 0xFF)]
U16 = Annotated[int, Int(0, 0xFFFF)]
U32 = Annotated[int, Int(0, 0xFFFF_FFFF)]
U64 = Annotated[int, Int(0, 0xFFFF_FFFF_FFFF_FFFF)]
Number = Annotated[int, Int(0, 0x7FFF_FFFF_FFFF_FFFF)]       # of records and events: what every database can hold
Seconds = Annotated[int, Int(0, 0x1_FFFF_FFFF)]             # UTC, since 1970; until 2242, so that ns fit 63 bits
Hour = Annotated[int, Int(0, 0x0FFF_FFFF)]                  # UTC, since 1970
Index = Annotated[int, Int(1, MAX_MODULES)]                 # of a module in its subnet
Parent = Annotated[int, Int(0, MAX_MODULES)]                # 0: the concentrator itself
Dbm = Annotated[int, Int(-200, 50)]
Level = Annotated[int, Int(0, 64)]
Bool = Annotated[bool, Flag()]
Nonce = Annotated[bytes, Octets(16, 16)]
Mac = Annotated[bytes, Octets(16, 16)]
Mac64 = Annotated[bytes, Octets(8, 8)]
CommandId = Annotated[bytes, Octets(16, 16)]
Bitmap = Annotated[bytes, Octets(BITMAP, BITMAP)]
NONE: Final = bytes(BITMAP)


class Message:
    """Base of every message; `TYPE` is its number on the wire."""

    __slots__ = ()
    TYPE: ClassVar[Type]


M = TypeVar("M", bound=Message)
BY_TYPE: Final[dict[int, type[Message]]] = {}


def numbered(number: Type) -> Callable[[type[M]], type[M]]:
    """Give a message class its type number and enter it into `BY_TYPE`."""

    def enter(cls: type[M]) -> type[M]:
        cls.TYPE = number
        BY_TYPE[number] = cls
        return cls

    return enter


# -------------------------------------------------------------------------------------------------- 0x01 link
@numbered(Type.HELLO)
@attrs.frozen
class Hello(Message):
    """First word of a concentrator, in plain."""

    min_version: Annotated[U8, 0]
    max_version: Annotated[U8, 1]
    link_id: Annotated[U32, 2]
    boot_id: Annotated[U32, 5]                                          # another number after every restart
    archive_id: Annotated[U32, 6]                                       # another number after every loss of the archive
    max_frame: Annotated[int, Int(256, 16384), 8]
    nonce: Annotated[Nonce, 11]
    model: Annotated[str, Text(32), 3] = ""
    firmware: Annotated[str, Text(32), 4] = ""
    capabilities: Annotated[U32, 7] = 0                                 # `Capability`
    t1: Annotated[U16, 9] = 15                                          # s, wanted
    t3: Annotated[U16, 10] = 20                                         # s, wanted
    oldest: Annotated[Number, 12] = 0                                   # archive records held; 0 and 0: none
    newest: Annotated[Number, 13] = 0
    newest_event: Annotated[Number, 14] = 0


@numbered(Type.CHALLENGE)
@attrs.frozen
class Challenge(Message):
    """The server's terms and its proof, in plain."""

    version: Annotated[U8, 0]
    t1: Annotated[U16, 1]                                               # s
    t3: Annotated[U16, 2]                                               # s
    max_frame: Annotated[int, Int(256, 16384), 3]
    nonce: Annotated[Nonce, 4]
    mac: Annotated[bytes, Octets(16, 16), 5] = b""                      # mandatory on the wire


@numbered(Type.AUTH)
@attrs.frozen
class Auth(Message):
    """The concentrator's proof, in plain."""

    mac: Annotated[bytes, Octets(16, 16), 0] = b""                      # mandatory on the wire


@numbered(Type.READY)
@attrs.frozen
class Ready(Message):
    """The session is up; first sealed message."""

    time: Annotated[Seconds, 0]
    archive_cursor: Annotated[Number, 1]                                # highest record durably held; go on behind it
    event_cursor: Annotated[Number, 2]                                  # highest event the server remembers; 0: none
    credit: Annotated[int, Int(1, 64), 3]                               # unacknowledged records allowed under way
    time_good: Annotated[Bool, 4] = False


@numbered(Type.CLOSE)
@attrs.frozen
class Close(Message):
    reason: Annotated[U8, 0]                                            # `Reason`
    text: Annotated[str, Text(200), 1] = ""
    retry_after: Annotated[U32, 2] = 0                                  # s


@numbered(Type.PING)
@attrs.frozen
class Ping(Message):
    time: Annotated[Seconds, 0]


@numbered(Type.PONG)
@attrs.frozen
class Pong(Message):
    time: Annotated[Seconds, 0]                                         # of the PING
    own: Annotated[Seconds, 1]
    time_good: Annotated[Bool, 2] = False


@numbered(Type.ERROR)
@attrs.frozen
class Error(Message):
    """A message could not be understood."""

    code: Annotated[U8, 0]                                              # `Code`
    text: Annotated[str, Text(200), 1] = ""
    type: Annotated[U16, 2] = 0                                         # of the message complained of


@numbered(Type.RESULT)
@attrs.frozen
class Result(Message):
    """Plain answer to a request that has none of its own."""

    code: Annotated[U8, 0]                                              # `Code`
    retry_after: Annotated[U32, 1] = 0                                  # s, with BUSY
    text: Annotated[str, Text(200), 2] = ""


# ------------------------------------------------------------------------------------- 0x10 time, 0x18 info
@numbered(Type.TIME_SET)
@attrs.frozen
class TimeSet(Message):
    time: Annotated[Seconds, 0]
    mode: Annotated[ClockMode, Choice(ClockMode), 1]
    round_trip_ms: Annotated[U32, 2] = 0                                # best of those measured


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


# ---------------------------------------------------------------------------------------------- 0x20 archive
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
    """One archive record of interval data; `block` is read by `profile.decode`."""

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
    """Readings of other sensors, live (record 0)."""

    record: Annotated[Number, 0]
    samples: Annotated[tuple[Sample, ...], Many(Sample, 256), 1]


@numbered(Type.ARCH_ACK)
@attrs.frozen
class ArchAck(Message):
    cursor: Annotated[Number, 0]
    credit: Annotated[int, Int(1, 64), 1]


# ----------------------------------------------------------------------------------------------- 0x30 events
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


# --------------------------------------------------------------------------------------------- 0x38 registry
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


# ---------------------------------------------------------------------------------------------- 0x40 control
@numbered(Type.GROUP_SET)
@attrs.frozen
class GroupSet(Message):
    group: Annotated[int, Int(1, 255), 0]
    epoch: Annotated[U32, 1]
    members: Annotated[Bitmap, 2]
    digest: Annotated[bytes, Octets(32, 32), 3]                         # `members_digest`


@numbered(Type.GROUP_COMMAND)
@attrs.frozen
class GroupCommand(Message):
    command_id: Annotated[CommandId, 0]
    group: Annotated[int, Int(1, 255), 1]
    epoch: Annotated[U32, 2]
    action: Annotated[Action, Choice(Action), 3]
    load_class: Annotated[LoadClass, Choice(LoadClass), 4]
    off_for_s: Annotated[U32, 5]
    not_after: Annotated[Seconds, 6]
    restore_jitter_s: Annotated[U16, 7]
    repeat: Annotated[int, Int(1, 15), 8]
    ctr: Annotated[U64, 9]                                              # UTC s << 16 | sequence; only grows
    mac: Annotated[Mac64, 10] = b""                                     # mandatory on the wire
    level: Annotated[U32, 11] = 0                                       # W, for LIMIT


@numbered(Type.COMMAND_CANCEL)
@attrs.frozen
class CommandCancel(Message):
    """Stop repeating a broadcast that not everybody has heard yet."""

    command_id: Annotated[CommandId, 0]


@attrs.frozen
class Refusal:
    index: Annotated[Index, 0]
    code: Annotated[U8, 1]                                              # `Code`


@numbered(Type.COMMAND_REPORT)
@attrs.frozen
class CommandReport(Message):
    """What became of a group command so far; cumulative, the last one is `final`."""

    command_id: Annotated[CommandId, 0]
    received: Annotated[Bitmap, 1] = NONE
    executed: Annotated[Bitmap, 2] = NONE
    restored: Annotated[Bitmap, 3] = NONE
    refused: Annotated[tuple[Refusal, ...], Many(Refusal, MAX_MODULES), 4] = ()
    latency: Annotated[tuple[int, ...], Many(Int(0, 0xFF), 16), 5] = ()  # executions within 2**i s, i = 0, 1, …
    final: Annotated[Bool, 6] = False                                   # who is in no set did not answer


@numbered(Type.COMMAND_STATUS)
@attrs.frozen
class CommandStatus(Message):
    """What became of this command? Answered RESULT UNKNOWN, or RESULT OK and then a COMMAND_REPORT."""

    command_id: Annotated[CommandId, 0]


# ---------------------------------------------------------------------------------------------- 0x50 network
@attrs.frozen
class TopologyNode:
    index: Annotated[Index, 0]
    parent: Annotated[Parent, 1]
    level: Annotated[Level, 2]


@numbered(Type.TOPOLOGY)
@attrs.frozen
class Topology(Message):
    generation: Annotated[U32, 0]                                       # of the tree
    page: Annotated[U8, 1]
    pages: Annotated[U8, 2]
    time: Annotated[Seconds, 3]
    nodes: Annotated[tuple[TopologyNode, ...], Many(TopologyNode, MAX_MODULES), 4]


@attrs.frozen
class LinkStat:
    index: Annotated[Index, 0]
    level: Annotated[Level, 1]
    parent: Annotated[Parent, 2]
    rssi_down: Annotated[Dbm, 3]                                        # mean at the module
    rssi_up: Annotated[Dbm, 4]                                          # mean at its parent
    delivery: Annotated[int, Int(0, 1000), 5]                           # per mille of packets delivered
    travel_ms: Annotated[U32, 6]                                        # mean, to the concentrator
    relayed: Annotated[U16, 7]                                          # packets today
    battery_idle_mv: Annotated[U16, 8]
    battery_load_mv: Annotated[U16, 9]
    heard: Annotated[Seconds, 10]
    clock_offset_ms: Annotated[int, Int(-(2**31), 2**31 - 1), 11] = 0


@numbered(Type.LINK_STATS)
@attrs.frozen
class LinkStats(Message):
    page: Annotated[U8, 0]
    pages: Annotated[U8, 1]
    time: Annotated[Seconds, 2]
    nodes: Annotated[tuple[LinkStat, ...], Many(LinkStat, MAX_MODULES), 3]


@numbered(Type.GET_TOPOLOGY)
@attrs.frozen
class GetTopology(Message):
    page: Annotated[U8, 0] = 0


# ------------------------------------------------------------------------------------------------- 0x60 keys
@numbered(Type.KEY_PUT)
@attrs.frozen
class KeyPut(Message):
    target: Annotated[KeyTarget, Choice(KeyTarget), 0]
    number: Annotated[U64, 1]                                           # group number
    key_id: Annotated[U32, 2]                                           # epoch of a group key
    wrapped: Annotated[bytes, Octets(24, 24), 3] = attrs.field(repr=False)


@numbered(Type.KEY_CONFIRM)
@attrs.frozen
class KeyConfirm(Message):
    target: Annotated[KeyTarget, Choice(KeyTarget), 0]
    number: Annotated[U64, 1]
    key_id: Annotated[U32, 2]
    check: Annotated[Mac64, 3]                                          # `crypto.key_check` of the new key


# -------------------------------------------------------------------------------------------- both directions
@attrs.frozen
class Packet:
    """One message with its correlation number."""

    message: Message
    corr: int = 0


def encode(message: Message, corr: int = 0) -> bytes:
    """The deterministic CBOR body of a message."""
    return wire.pack([int(message.TYPE), corr, wire.dump_fields(message)])


def decode(body: bytes) -> Packet | Rejected:
    """A message from a body; every field is checked, no input raises."""
    item = wire.unpack(body)
    if isinstance(item, Rejected):
        return item
    match item:
        case [int(number), int(corr), dict(content)] if (
            type(number) is int and type(corr) is int and 0 <= number <= 0xFFFF and 0 <= corr <= 0xFFFF_FFFF
        ):
            pass
        case _:
            return Rejected(Reject.MESSAGE, "expected [type, corr, map]")
    cls = BY_TYPE.get(number)
    if cls is None:
        return Rejected(Reject.UNKNOWN_TYPE, f"type {number:#04x}", type=number, corr=corr)
    try:
        return Packet(wire.load_fields(cls, content), corr)
    except wire.Malformed as problem:
        return Rejected(Reject.FIELD, f"{Type(number).name}: {problem}", type=number, corr=corr)


def without(body: bytes, key: int) -> bytes:
    """The body of a handshake message that came in, encoded again without one map key: what its MAC is over."""
    number, corr, content = wire.unpack(body)
    return wire.pack([number, corr, {one: value for one, value in content.items() if one != key}])


CHALLENGE_MAC_KEY: Final = 5
AUTH_MAC_KEY: Final = 0
COMMAND_MAC_KEY: Final = 10


def signed(command: GroupCommand, group_key: bytes) -> GroupCommand:
    """The command with its MAC."""
    return attrs.evolve(command, mac=crypto.command_mac(group_key, command_body(command)))


def command_body(command: GroupCommand) -> bytes:
    """What the MAC of a group command is over: its map without the MAC, as every module computes it."""
    content = wire.dump_fields(command)
    content.pop(COMMAND_MAC_KEY, None)
    return wire.pack(content)
