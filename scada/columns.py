"""Columns that read like sequences of the objects in `commands`: a command may have millions of members, no object each."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.commands import MemberReport, MemberState


class Pairs(Sequence[tuple[int, int]]):
    """(subnet index, EUI) of some modules of one concentrator, by index."""

    __slots__ = ("euis", "indices")

    def __init__(self, indices: NDArray[np.uint8], euis: NDArray[np.uint64]) -> None:
        self.indices, self.euis = indices, euis

    @classmethod
    def of(cls, pairs: "Iterable[tuple[int, int]] | Pairs") -> "Pairs":
        if isinstance(pairs, Pairs):
            return pairs
        rows = tuple(pairs)
        index, euis = [index for index, _ in rows], [eui for _, eui in rows]
        return cls(np.array(index, dtype=np.uint8), np.array(euis, dtype=np.uint64))

    @overload
    def __getitem__(self, at: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, at: slice) -> "Pairs": ...

    def __getitem__(self, at: int | slice) -> "tuple[int, int] | Pairs":
        if isinstance(at, slice):
            return Pairs(self.indices[at], self.euis[at])
        return int(self.indices[at]), int(self.euis[at])

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.indices.tolist(), self.euis.tolist(), strict=True)

    def __len__(self) -> int:
        return len(self.indices)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Pairs):
            same = len(self) == len(other) and bool((self.indices == other.indices).all())
            return self is other or (same and bool((self.euis == other.euis).all()))
        return tuple(self) == other

    def __hash__(self) -> int:
        return hash((self.indices.tobytes(), self.euis.tobytes()))

    def __repr__(self) -> str:
        return f"Pairs({tuple(self)!r})"


@attrs.frozen(eq=False)
class Reports(Sequence[MemberReport]):
    """What one concentrator said of its members of one command, each of them once."""

    command_id: bytes
    link_id: int
    at: int                             # ns, site time
    euis: NDArray[np.uint64]
    state: NDArray[np.uint8]            # `MemberState`
    reason: NDArray[np.uint8]           # place in `reasons`
    reasons: tuple[str, ...] = ("",)

    @overload
    def __getitem__(self, at: int) -> MemberReport: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[MemberReport]: ...

    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        state, reason = MemberState(int(self.state[at])), self.reasons[self.reason[at]]
        return MemberReport(self.command_id, self.link_id, int(self.euis[at]), state, reason, self.at)

    def __len__(self) -> int:
        return len(self.euis)


def reports_of(reports: "Sequence[MemberReport] | Sequence[Reports]") -> list[Reports]:
    """The same as columns, in the order they came: what says several things of one member becomes several of them."""
    if isinstance(reports, Reports):
        return [reports]
    found: list[Reports] = []
    part: dict[int, MemberReport] = {}
    for one in reports:
        last = next(iter(part.values()), None)
        if part and (isinstance(one, Reports) or one.eui in part or last is None or _about(one) != _about(last)):
            found.append(_columns(tuple(part.values())))
            part = {}
        if isinstance(one, Reports):
            found.append(one)
        else:
            part[one.eui] = one
    return [*found, _columns(tuple(part.values()))] if part else found


def _about(one: MemberReport) -> tuple[bytes, int, int]:
    return one.command_id, one.link_id, one.at


def _columns(rows: tuple[MemberReport, ...]) -> Reports:
    first, reasons = rows[0], tuple(dict.fromkeys(one.reason for one in rows))
    return Reports(
        first.command_id, first.link_id, first.at, np.array([one.eui for one in rows], dtype=np.uint64),
        np.array([one.state for one in rows], dtype=np.uint8),
        np.array([reasons.index(one.reason) for one in rows], dtype=np.uint8), reasons,
    )
