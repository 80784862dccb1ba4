"""Control (0x40): what is switched, by group or one by one, and what became of it."""

from typing import Annotated, Final, TypeVar

import attrs

from scada.commands import GROUP_ACTIONS, Action, LoadClass
from scada.drivers.dmesh import crypto, wire
from scada.drivers.dmesh.messages.base import (
    NONE,
    U8,
    U16,
    U32,
    U64,
    Bitmap,
    Bool,
    CommandId,
    Index,
    Mac64,
    Message,
    Seconds,
    numbered,
)
from scada.drivers.dmesh.numbers import MAX_MODULES, Holder, Type
from scada.drivers.dmesh.wire import Choice, Int, Many, Octets


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
    """Never for whole supplies: those are switched one by one (COMMAND)."""

    command_id: Annotated[CommandId, 0]
    group: Annotated[int, Int(1, 255), 1]
    epoch: Annotated[U32, 2]
    action: Annotated[Action, Choice(Action, GROUP_ACTIONS), 3]
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
    """What became of a command so far; cumulative, the last one is `final`."""

    command_id: Annotated[CommandId, 0]
    received: Annotated[Bitmap, 1] = NONE
    executed: Annotated[Bitmap, 2] = NONE
    restored: Annotated[Bitmap, 3] = NONE
    refused: Annotated[tuple[Refusal, ...], Many(Refusal, MAX_MODULES), 4] = ()
    latency: Annotated[tuple[int, ...], Many(Int(0, 0xFF), 16), 5] = ()  # executions within 2**i s, i = 0, 1, …
    final: Annotated[Bool, 6] = False                                   # who is in no set did not answer
    held: Annotated[Bitmap, 7] = NONE                                   # executed, but another holder keeps the supply off


@numbered(Type.COMMAND_STATUS)
@attrs.frozen
class CommandStatus(Message):
    """What became of this command? Answered RESULT UNKNOWN, or RESULT OK and then a COMMAND_REPORT."""

    command_id: Annotated[CommandId, 0]


@numbered(Type.COMMAND_RETRY)
@attrs.frozen
class CommandRetry(Message):
    """Say a group command once more, to those who have not answered: the same frame, so nobody executes it twice."""

    command_id: Annotated[CommandId, 0]
    members: Annotated[Bitmap, 1]


@numbered(Type.COMMAND)
@attrs.frozen
class Command(Message):
    """For one module, under its own key. Map keys are those of GROUP_COMMAND where they mean the same."""

    command_id: Annotated[CommandId, 0]
    index: Annotated[Index, 1]
    eui: Annotated[U64, 2]                                              # whom it is meant for; another owner: INTERLOCK
    action: Annotated[Action, Choice(Action), 3]
    not_after: Annotated[Seconds, 6]
    ctr: Annotated[U64, 9]                                              # UTC s << 16 | sequence; only grows
    holder: Annotated[Holder, Choice(Holder), 4] = Holder.NONE          # of a supply that is off
    off_for_s: Annotated[U32, 5] = 0                                    # for SHED alone
    mac: Annotated[Mac64, 10] = b""                                     # mandatory on the wire
    level: Annotated[U32, 11] = 0                                       # W, for LIMIT alone


COMMAND_MAC_KEY: Final = 10                                             # in both commands
C = TypeVar("C", Command, GroupCommand)


def signed(command: C, key: bytes) -> C:
    """The command with its MAC, under the group's key or the module's."""
    return attrs.evolve(command, mac=crypto.command_mac(key, command_body(command)))


def command_body(command: Command | GroupCommand) -> bytes:
    """What the MAC of a command is over: its map without the MAC, as every module computes it."""
    content = wire.dump_fields(command)
    content.pop(COMMAND_MAC_KEY, None)
    return wire.pack(content)


def command_fault(command: Command) -> str:
    """Why a command for one module contradicts itself; "" if it does not. Both ends refuse it with BAD_ARGUMENT."""
    supply = command.action in (Action.SUPPLY_OFF, Action.SUPPLY_ON)
    if supply and command.holder is Holder.NONE:
        return "a supply is switched for a holder: expected DEBT, DANGER or LOCKOUT"
    if not supply and command.holder is not Holder.NONE:
        return "a secondary load has no holder: expected NONE"
    if command.action is Action.SHED and not command.off_for_s:
        return "a shed is always timed: expected off_for_s above 0"
    if command.action is not Action.SHED and command.off_for_s:
        return "only a shed is timed: expected off_for_s 0"
    if (command.action is Action.LIMIT) != bool(command.level):
        return "a level above 0 belongs to LIMIT, and to it alone"
    return ""
