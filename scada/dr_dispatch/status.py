"""A command as everybody but the desk sees it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from scada.commands import CommandStatus, MemberResult, MemberState
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.members import Members, Progress
from scada.dr_dispatch.outages import ends


def status_of(command: Command) -> CommandStatus:
    """The command as everybody else sees it."""
    return CommandStatus(
        id=command.id.hex(),
        action=command.action,
        group=command.group,
        actor=command.actor,
        origin=command.origin,
        state=command.state,
        off_for_s=command.off_for_s,
        not_after=command.not_after,
        made=command.made,
        ends=ends(command),
        monitor_only=command.monitor_only,
        reason=command.reason,
        members=Results(command.members),
        effects=command.effects,
        level_w=command.level_w,
        counted=counted(command),
    )


class Results(Sequence[MemberResult]):
    """Of every member, made when somebody looks at it."""

    __slots__ = ("_members",)

    def __init__(self, members: Members) -> None:
        self._members = members

    @overload
    def __getitem__(self, at: int) -> MemberResult: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[MemberResult]: ...

    def __getitem__(self, at: int | slice) -> Any:
        found = self._members[at]
        return _result(found) if isinstance(found, Progress) else tuple(_result(one) for one in found)

    def __iter__(self) -> Iterator[MemberResult]:
        return (_result(one) for one in self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Results) and self._members is other._members:
            return True
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = object.__hash__


def _result(one: Progress) -> MemberResult:
    return MemberResult(one.member, one.state, one.reason, one.changed)


def counted(command: Command) -> Mapping[MemberState, int]:
    """Members by state, as far as there are any."""
    return {state: int(command.members.counts[state]) for state in MemberState if command.members.counts[state]}


def counts(command: Command) -> dict[str, int]:
    """The same for the audit and for people."""
    return {state.name.lower(): count for state, count in counted(command).items()}
