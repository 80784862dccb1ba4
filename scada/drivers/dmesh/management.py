"""What people ask of one concentrator itself: information, parameters, reboot, discovery, the end of a broadcast's repeats.

Each is judged, audited, and only then sent, once. Whatever changes something in the field is refused in monitor-only mode.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from scada.commands import Actor
from scada.concentrators import (
    LONGEST_DELAY_S,
    LONGEST_DISCOVERY_S,
    LONGEST_TEXT,
    MAY_CANCEL,
    MAY_MANAGE,
    ConcentratorInfo,
    Parameters,
    fits,
)
from scada.drivers.dmesh.messages import (
    CommandCancel,
    Discovery,
    GetInfo,
    GetParam,
    Info,
    Message,
    Param,
    ParamMessage,
    Reboot,
    Result,
    SetParam,
)
from scada.drivers.dmesh.numbers import Capability, Code, Parameter, code_name
from scada.drivers.dmesh.station import Station
from scada.errors import CommandRejected, DataRejected, LinkError
from scada.ports import Audit, Registry

MOST_PAGES = 64
DONE = (Code.OK, Code.ACCEPTED, Code.DUPLICATE)
A = TypeVar("A", bound=Message)


class Management:
    """Implements `ports.Concentrators`. Every question fails with `CommandRejected`, whose reasons are sentences."""

    def __init__(
        self, registry: Registry, audit: Audit | None, stations: Mapping[int, Station], *, monitor_only: bool
    ) -> None:
        self._registry, self._audit, self._stations, self._monitor_only = registry, audit, stations, monitor_only

    def info(self, name: str) -> "Deferred[ConcentratorInfo]":
        return Deferred.fromCoroutine(self._info(name))

    def parameters(self, name: str) -> "Deferred[Parameters]":
        return Deferred.fromCoroutine(self._parameters(name))

    def set_parameters(
        self, actor: Actor, name: str, base: int, values: Mapping[str, int | str]
    ) -> "Deferred[Parameters]":
        return Deferred.fromCoroutine(self._set_parameters(actor, name, base, values))

    def reboot(self, actor: Actor, name: str, *, module: str = "", delay_s: int = 0) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._reboot(actor, name, module, delay_s))

    def discover(self, actor: Actor, name: str, duration_s: int) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._discover(actor, name, duration_s))

    def cancel(self, actor: Actor, name: str, command_id: str) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._cancel(actor, name, command_id))

    # ------------------------------------------------------------------ private
    async def _info(self, name: str) -> ConcentratorInfo:
        found = await _ask(self._up(name, Capability.INFO), name, GetInfo(), Info)
        return ConcentratorInfo(name, found.model, found.firmware, found.uptime_s, found.modules, found.configuration)

    async def _parameters(self, name: str) -> Parameters:
        station, values, page, version = self._up(name, Capability.PARAMETERS), dict[str, int | str](), 0, 0
        for _ in range(MOST_PAGES):
            found = await _ask(station, name, GetParam((), page), ParamMessage)
            if page and found.version != version:           # changed between two pages: from the beginning
                values, page, version = {}, 0, found.version
                continue
            version, page = found.version, page + 1
            values |= {_name(one.number): one.value for one in found.params}
            if page >= found.pages:
                return Parameters(name, version, values)
        raise CommandRejected([f"{name} did not answer, or not as expected; whether it did it is not known"])

    async def _set_parameters(self, actor: Actor, name: str, base: int, values: Mapping[str, int | str]) -> Parameters:
        """`base`: the version that was looked at; refused when the concentrator has another one by now."""
        reasons = [f"no parameter is called {one[:32]}" for one in values if _number(one) is None]
        reasons += [
            f"{one[:32]}: expected an integer of 32 bits, or at most {LONGEST_TEXT} bytes of text"
            for one, value in values.items() if not fits(value)
        ]
        if not values:
            reasons.append("no parameter was given")
        if not 0 <= base < 2**32:                           # no version that any of them ever has
            reasons.append(f"{name[:64]} has other parameters by now: look at them again")
        station = await self._judged(actor, "parameters", name, Capability.PARAMETERS, reasons, values=dict(values))
        params = tuple(Param(number, value) for one, value in values.items() if (number := _number(one)) is not None)
        found = await _ask(station, name, SetParam(base, params), ParamMessage)
        return Parameters(name, found.version, {_name(one.number): one.value for one in found.params})

    async def _reboot(self, actor: Actor, name: str, module: str, delay_s: int) -> None:
        """The concentrator, or one of its modules."""
        reasons, index = [], 0
        if not 0 <= delay_s <= LONGEST_DELAY_S:
            reasons.append(f"{delay_s} s: expected 0 to {LONGEST_DELAY_S}")
        if module:
            known = self._registry.directory.module_of_name.get(module)
            if known is None or known.concentrator != name or not known.index:
                reasons.append(f"{module} is not a module of {name}")
            else:
                index = known.index
        if (station := self._station(name)) is not None and station.commanding:
            reasons.append(f"commands are under way at {name}: a reboot would lose them")
        station = await self._judged(actor, "reboot", name, Capability(0), reasons, module=module, delay_s=delay_s)
        await _done(station, name, Reboot(delay_s, index))

    async def _discover(self, actor: Actor, name: str, duration_s: int) -> None:
        """Let newcomers join for so long; 0 ends it. Real time."""
        wrong = not 0 <= duration_s <= LONGEST_DISCOVERY_S
        reasons = [f"{duration_s} s: expected 0 to {LONGEST_DISCOVERY_S}"] if wrong else []
        station = await self._judged(actor, "discovery", name, Capability.REGISTRY, reasons, duration_s=duration_s)
        await _done(station, name, Discovery(duration_s))

    async def _cancel(self, actor: Actor, name: str, command_id: str) -> None:
        """End the repeats of a broadcast that not everybody has heard; who executed it keeps to it."""
        try:
            identity = bytes.fromhex(command_id)
        except ValueError:
            identity = b""
        reasons = [] if len(identity) == 16 else ["expected the 32 hexadecimal digits of a command's number"]
        station = await self._judged(
            actor, "cancel", name, Capability.GROUP_COMMANDS, reasons, may=MAY_CANCEL, command=command_id[:32]
        )
        await _done(station, name, CommandCancel(identity))

    async def _judged(
        self, actor: Actor, what: str, name: str, needs: Capability, reasons: Sequence[str], *,
        may: frozenset[Any] = MAY_MANAGE, **detail: Any,
    ) -> Station:
        """Every reason at once; then the audit; then the station as it is after that."""
        known = self._registry.directory.concentrator.get(name)
        against = list(reasons)
        if actor.role not in may:
            against.append(
                f"{actor.name} is {actor.role}; only dispatchers and administrators may do this to a concentrator"
                if may is MAY_CANCEL else
                f"{actor.name} is {actor.role}; only engineers and administrators may do this to a concentrator"
            )
        if known is not None and not actor.covers(known.area):
            against.append(f"{actor.name} may not command in area {known.area or '(none)'}")
        if self._monitor_only:
            against.append("monitor-only: nothing is sent")
        try:
            self._up(name, needs)
        except CommandRejected as error:
            against += error.reasons
        if against:
            await self._write(actor, f"concentrator.{what}.refused", name, reasons=against, **detail)
            raise CommandRejected(against)
        await self._write(actor, f"concentrator.{what}", name, **detail)
        return self._up(name, needs)

    async def _write(self, actor: Actor, action: str, name: str, **detail: Any) -> None:
        if self._audit is not None:
            await self._audit.append(actor, action, name[:64], **detail)

    def _station(self, name: str) -> Station | None:
        known = self._registry.directory.concentrator.get(name)
        return None if known is None else self._stations.get(known.link_id)

    def _up(self, name: str, needs: Capability) -> Station:
        if name not in self._registry.directory.concentrator:
            raise CommandRejected([f"not in the registry: {name[:64]}"])
        station = self._station(name)
        if station is None:
            raise CommandRejected([f"{name} is not connected"])
        if needs & ~station.link.hello.capabilities:
            raise CommandRejected([f"{name} cannot do this: it does not offer it"])
        return station


async def _ask(station: Station, name: str, message: Message, of: type[A]) -> A:
    answer: A | Result = await _answer(lambda: station.link.ask(message, of), name)
    if isinstance(answer, Result):
        raise _refused(name, answer)
    return answer


async def _done(station: Station, name: str, message: Message) -> None:
    answer: Result = await _answer(lambda: station.link.ask(message, Result), name)
    if answer.code not in DONE:
        raise _refused(name, answer)


async def _answer(ask: Callable[[], Any], name: str) -> Any:
    try:
        return await ask()
    except (LinkError, DataRejected):
        raise CommandRejected([f"{name} did not answer, or not as expected; whether it did it is not known"]) from None


def _refused(name: str, answer: Result) -> CommandRejected:
    if answer.code == Code.INTERLOCK:
        return CommandRejected([f"{name} has other parameters by now: look at them again"])
    text = f": {answer.text}" if answer.text else ""
    return CommandRejected([f"{name} refused it: {code_name(answer.code)}{text}"])


def _name(number: int) -> str:
    return Parameter(number).name.lower() if number in Parameter._value2member_map_ else str(number)


def _number(name: str) -> int | None:
    if name.upper() in Parameter.__members__:
        return int(Parameter[name.upper()])
    return int(name) if name.isascii() and name.isdecimal() and len(name) <= 5 and 1024 <= int(name) <= 0xFFFF else None
