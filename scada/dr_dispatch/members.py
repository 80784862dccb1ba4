"""The members of a command and how far each has come: one share of columns for each concentrator, replaced as a whole.

A share is a value: concentrators whose members stand alike have the same one, so that what happens to all of them at
once is worked out once. What is asked about the whole command (counts, the next time something ends) is kept beside.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, overload

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.commands import Member, MemberState
from scada.dr_dispatch.roll import MANUAL, Roll, roll_of

STATES: Final = max(MemberState) + 1
NEVER: Final = 2**63 - 1                # ns
MOST_TRIES: Final = 255


@attrs.frozen
class Progress:
    """One member of a command, and how far it has come."""

    member: Member
    state: MemberState = MemberState.SELECTED
    reason: str = ""
    changed: int = 0                    # ns, site time
    executed: int = 0                   # ns, site time its load went off; 0 = nobody said so
    manual: bool = False                # the load must be switched on by hand
    tries: int = 0                      # times the concentrator was asked to repeat it to this member
    tried: int = 0                      # ns, site time of the last of them
    boot: int = 0                       # the concentrator's start when the command was made; 0 = it was not connected


@attrs.frozen(eq=False)
class Share:
    """Progress of the members of one concentrator, (n,) each."""

    state: NDArray[np.uint8]            # `MemberState`
    reason: NDArray[np.uint8]           # place in `reasons`
    reasons: tuple[str, ...]
    changed: NDArray[np.int64]          # ns, site time
    executed: NDArray[np.int64]         # ns, site time; 0 = nobody said so
    tries: NDArray[np.uint8]
    tried: NDArray[np.int64]            # ns, site time
    counts: NDArray[np.int64] = attrs.field(init=False)        # (STATES,)

    @counts.default
    def _count(self) -> NDArray[np.int64]:
        return np.bincount(self.state, minlength=STATES)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Share):
            return NotImplemented
        if self is other:
            return True
        texts = [self.reasons[code] for code in self.reason] == [other.reasons[code] for code in other.reason]
        columns = ("state", "changed", "executed", "tries", "tried")
        return texts and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in columns)

    __hash__ = object.__hash__

    def coded(self, text: str) -> tuple[int, tuple[str, ...]]:
        """The place of a reason, and the reasons with it; those that nobody has any more make room."""
        if text in self.reasons:
            return self.reasons.index(text), self.reasons
        return len(self.reasons), (*self.reasons, text)

    def compacted(self) -> "Share":
        """Without reasons that nobody has."""
        used, codes = np.unique(self.reason, return_inverse=True)
        return attrs.evolve(self, reason=codes.astype(np.uint8), reasons=tuple(self.reasons[code] for code in used))


@lru_cache(maxsize=512)
def fresh(count: int) -> Share:
    """Members at the start of a command."""
    narrow, wide = np.zeros(count, dtype=np.uint8), np.zeros(count, dtype=np.int64)
    return Share(narrow, narrow, ("",), wide, wide, narrow, wide)


@attrs.frozen
class Terms:
    """What of a command decides when something ends for its members."""

    ends: bool                          # by itself
    span: int                           # ns
    not_after: int                      # ns, site time
    deadline: int                       # ns, site time: nobody waits for an answer any more


@attrs.frozen(eq=False)
class Times:
    """Of each concentrator, (k,), in ns of site time."""

    terms: Terms
    wake: NDArray[np.int64]             # when time next ends something
    end: NDArray[np.int64]              # when the last of its loads is back, as far as is known; -1 = none is off
    settled: NDArray[np.int64]          # when the last of its loads went off; 0 = none did


class Members(Sequence[Progress]):
    """All of them. Values, though `Times` are worked out when they are first asked for."""

    __slots__ = ("_times", "boots", "counts", "roll", "shares")

    def __init__(
        self, roll: Roll, shares: tuple[Share, ...], boots: tuple[int, ...], counts: NDArray[np.int64] | None = None
    ) -> None:
        self.roll, self.shares, self.boots = roll, shares, boots
        self.counts = counts if counts is not None else sum((one.counts for one in shares), np.zeros(STATES, np.int64))
        self._times: Times | None = None

    @classmethod
    def fresh(cls, roll: Roll, boots: tuple[int, ...] = ()) -> "Members":
        sizes = np.diff(roll.starts).tolist()
        counts = np.zeros(STATES, np.int64)
        counts[MemberState.SELECTED] = len(roll)
        return cls(roll, tuple(map(fresh, sizes)), boots or (0,) * len(sizes), counts)

    # ------------------------------------------------------------------ as a whole
    def any_in(self, states: Iterable[MemberState]) -> bool:
        return any(self.counts[state] for state in states)

    def all_in(self, states: Iterable[MemberState]) -> bool:
        return sum(int(self.counts[state]) for state in states) == len(self.roll)

    def replaced(self, by_place: Mapping[int, Share]) -> "Members":
        """With other shares at some places; the same if they are no others."""
        news = {place: share for place, share in by_place.items() if share is not self.shares[place]}
        if not news:
            return self
        shares, counts = list(self.shares), self.counts.copy()
        for place, share in news.items():
            counts += share.counts - shares[place].counts
            shares[place] = share
        after = Members(self.roll, tuple(shares), self.boots, counts)
        if self._times is not None:
            old = self._times
            wake, end, settled = old.wake.copy(), old.end.copy(), old.settled.copy()
            known: dict[int, tuple[int, int, int]] = {}
            for place, share in news.items():
                if id(share) not in known:
                    known[id(share)] = times(share, old.terms)
                wake[place], end[place], settled[place] = known[id(share)]
            after._times = Times(old.terms, wake, end, settled)
        return after

    def times(self, terms: Terms) -> Times:
        if self._times is None or self._times.terms != terms:
            known = {id(share): share for share in self.shares}
            found = {key: times(share, terms) for key, share in known.items()}
            table = np.array([found[id(share)] for share in self.shares], dtype=np.int64).reshape(-1, 3)
            self._times = Times(terms, *(np.ascontiguousarray(column) for column in table.T))
        return self._times

    def manual(self, place: int) -> NDArray[np.bool_]:
        return (self.roll.flags[self.roll.part(place)] & MANUAL).astype(bool)

    def flat(self, column: str) -> NDArray[Any]:
        """One column of all members."""
        return np.concatenate([getattr(share, column) for share in self.shares]) if self.shares else np.zeros(0, np.int64)

    # ------------------------------------------------------------------ as a sequence
    @overload
    def __getitem__(self, at: int) -> Progress: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Progress]: ...

    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return tuple(self[one] for one in range(*at.indices(len(self))))
        at = range(len(self))[at]
        return self._row(at, int(np.searchsorted(self.roll.starts, at, side="right")) - 1)

    def __iter__(self) -> Iterator[Progress]:
        for place in range(len(self.shares)):
            for at in range(self.roll.starts[place], self.roll.starts[place + 1]):
                yield self._row(at, place)

    def __len__(self) -> int:
        return len(self.roll)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Members):
            return NotImplemented
        return (self.boots, self.shares) == (other.boots, other.shares) and self.roll == other.roll

    __hash__ = object.__hash__

    def _row(self, at: int, place: int) -> Progress:
        share, row = self.shares[place], at - self.roll.starts[place]
        return Progress(
            self.roll._row(at, place), MemberState(int(share.state[row])), share.reasons[share.reason[row]],
            int(share.changed[row]), int(share.executed[row]), bool(self.roll.flags[at] & MANUAL), int(share.tries[row]),
            int(share.tried[row]), self.boots[place],
        )


def members_of(rows: "Iterable[Progress] | Members") -> Members:
    """From one by one, in any order."""
    if isinstance(rows, Members):
        return rows
    rows = tuple(rows)
    of_eui = {(one.member.link_id, one.member.eui): one for one in rows}
    roll = roll_of((one.member, MANUAL * one.manual) for one in rows)
    shares, boots = [], []
    for place, link in enumerate(roll.links):
        mine = [of_eui[link, int(eui)] for eui in roll.eui[roll.part(place)]]
        reasons = tuple(dict.fromkeys(one.reason for one in mine))
        shares.append(Share(
            np.array([one.state for one in mine], dtype=np.uint8),
            np.array([reasons.index(one.reason) for one in mine], dtype=np.uint8), reasons,
            np.array([one.changed for one in mine], dtype=np.int64),
            np.array([one.executed for one in mine], dtype=np.int64),
            np.array([one.tries for one in mine], dtype=np.uint8),
            np.array([one.tried for one in mine], dtype=np.int64),
        ))
        boots.append(mine[0].boot)
    return Members(roll, tuple(shares), tuple(boots))


WAITING: Final = (MemberState.SENT, MemberState.ACCEPTED, MemberState.RECEIVED)


def times(share: Share, terms: Terms) -> tuple[int, int, int]:
    """`Times` of one concentrator."""
    wakes = np.full(STATES, NEVER)
    wakes[MemberState.SELECTED] = terms.not_after
    wakes[list(WAITING)] = terms.deadline
    ends = np.full(STATES, terms.not_after + terms.span)
    ends[[MemberState.REFUSED, MemberState.NOT_SENT]] = -1
    wake, end, settled = wakes[share.state], ends[share.state], 0
    if share.counts[MemberState.EXECUTED]:
        off = share.state == MemberState.EXECUTED
        end[off] = share.executed[off] + terms.span
        if terms.ends:
            wake[off] = end[off]
    if share.counts[MemberState.RESTORED]:
        back = share.state == MemberState.RESTORED
        end[back] = share.changed[back]
    if share.counts[MemberState.EXECUTED:].any():
        settled = int(share.executed.max(initial=0))
    return int(wake.min(initial=NEVER)), int(end.max(initial=-1)), settled
