"""What a simulated concentrator does when the server asks for something, and what it answers."""

from typing import Final

import attrs

from scada.drivers.dmesh import profile as profiles
from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import (
    ArchRead,
    Command,
    CommandCancel,
    CommandRetry,
    CommandStatus,
    Discovery,
    Error,
    FwActivate,
    FwBlock,
    FwOffer,
    FwVerify,
    GetFwStatus,
    GetInfo,
    GetModules,
    GetParam,
    GetTopology,
    GroupCommand,
    GroupSet,
    Info,
    KeyMembers,
    Message,
    ModuleAdd,
    ModuleList,
    ModuleRemove,
    ModuleReplace,
    Ping,
    Pong,
    ProfileMessage,
    ReadNow,
    Reboot,
    Result,
    SetParam,
    TimeSet,
)
from scada.drivers.dmesh.numbers import Code
from scada.drivers.dmesh.simulator import network
from scada.drivers.dmesh.simulator.state import WRAPPING, ConcentratorState

LONGEST_ROUND_TRIP_MS: Final = 5000
BUSY_S: Final = 1                           # real time
MODEL: Final = "J100UC (simulated)"
FIRMWARE: Final = "1.0"


def answers(state: ConcentratorState, message: Message, now: float) -> tuple[Message, ...]:
    """Do what is asked at a site time [s since 1970]; the answers, in order."""
    match message:
        case Ping(time=time):
            return (Pong(time, int(now), state.plight.clock_lost <= 0, int(now % 1 * 1000)),)
        case TimeSet(round_trip_ms=trip):
            return (_result(Code.OK if trip <= LONGEST_ROUND_TRIP_MS else Code.BAD_ARGUMENT),)
        case GetInfo():
            own = state.configuration
            return (Info(MODEL, FIRMWARE, own.uptime_s, len(state.modules) + len(state.awaited), own.version),)
        case GetParam():
            return (state.configuration.get(message),)
        case SetParam():
            return (state.configuration.set(message),)
        case Reboot(index=index):
            return (_result(Code.ACCEPTED if not index or index in {one.index for one in state.modules} else Code.UNKNOWN),)
        case Discovery(duration_s=duration_s):
            state.configuration.discover(duration_s)
            state.join(now)
            return (_result(Code.OK),)
        case GetModules(generation=generation, page=page):
            pages = _module_pages(state, generation or state.generation)
            return (pages[page],) if page < len(pages) else (_result(Code.UNKNOWN),)
        case GetTopology(page=page):
            trees = state.topology(now)
            return (trees[page],) if page < len(trees) else (_result(Code.UNKNOWN),)
        case ArchRead() if state.plight.busy:
            state.plight.busy -= 1
            return (Result(int(Code.BUSY), BUSY_S),)
        case ArchRead():
            return _read(state, message)
        case ReadNow():
            code, retry_after = state.reads.take(message, now)
            return (Result(int(code), retry_after),)
        case ModuleAdd() | ModuleReplace() | ModuleRemove():
            return (_result(state.change_list(message, now)),)
        case KeyMembers():
            return (_result(state.handing.take(message, now)),)
        case GroupSet():
            return (_result(state.control.set_group(message)),)
        case GroupCommand():
            return (_result(state.control.take(message, now)),)
        case Command():
            return (_result(state.singles.take(message, now)),)
        case CommandCancel(command_id=command_id):
            return (_result(state.control.cancel(command_id)),)
        case CommandRetry():
            return (_result(state.control.retry(message, now)),)
        case CommandStatus(command_id=command_id):
            return (_result(Code.UNKNOWN if state.known_command(command_id) is None else Code.OK),)
        case FwOffer() | FwBlock() | FwVerify() | FwActivate() | GetFwStatus():
            return state.firmware.handle(message, now)
        case Pong() | Result() | Error():
            pass
        case _:
            kind = message.TYPE
            return (Error(int(Code.UNKNOWN), f"{kind.name} is not dealt with by this concentrator", int(kind)),)
    return ()


def asks_modules(state: ConcentratorState, message: Message) -> bool:
    """Whether the answer must be fetched by radio, which takes its time."""
    return isinstance(message, ArchRead) and not state.plight.busy and bool(
        state.fetched(sets.indices(message.modules), message.first, message.hours)
    )


def _read(state: ConcentratorState, message: ArchRead) -> tuple[Message, ...]:
    """What covers the hours asked for, here or in the modules, at most `credit` blocks, and that this is all.

    Record number 0 moves no cursor.
    """
    wanted = set(sets.indices(message.modules))
    found = [
        record for record in state.archive.covering(message.first, message.hours)
        if wanted & set(record.profile.index.tolist())
    ]
    blocks = []
    for record in found[-message.credit:]:
        held = record.profile
        rows = [number for number, index in enumerate(held.index.tolist()) if index in wanted]
        part = attrs.evolve(
            held, index=held.index[rows], channel=held.channel[rows], register=held.register[rows],
            counts=held.counts[rows], status=held.status[rows],
        )
        blocks.append(ProfileMessage(0, profiles.encode(part)))
    fetched = [
        ProfileMessage(0, block)
        for one in state.fetched(wanted, message.first, message.hours)
        for block in profiles.split(one, state.max_frame - WRAPPING)
    ]
    blocks = (blocks + fetched)[-message.credit:]
    return (*blocks, _result(Code.OK if blocks else Code.UNKNOWN))


def _module_pages(state: ConcentratorState, generation: int) -> tuple[ModuleList, ...]:
    modules = state.generations.get(generation)
    if modules is None:
        return ()
    awaited = state.awaited if generation == state.generation else ()       # no record is of theirs
    parts = network.pages((*state.entries(modules), *awaited), state.max_frame)
    return tuple(ModuleList(generation, number, len(parts), part) for number, part in enumerate(parts))


def _result(code: Code) -> Result:
    return Result(int(code))
