"""Who the members of a group are, concentrator by concentrator, as columns: frozen once, shared by all that ask."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final, overload

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.columns import Pairs
from scada.commands import LoadClass, Member

NO_LOAD: Final = 1                      # flags: nothing in the registry says what is switched there
NEVER: Final = 2
PROTECTED: Final = 4
UNKNOWN_CONSUMER: Final = 8
MANUAL: Final = 16                      # the load must be switched on by hand


@attrs.frozen(eq=False)
class Roll(Sequence[Member]):
    """Members of one concentrator stand together, in the order of their group."""

    eui: NDArray[np.uint64]             # (n,)
    indices: NDArray[np.uint8]          # (n,) in their subnet; 0: it has none
    load_class: NDArray[np.uint8]       # (n,)
    rated_w: NDArray[np.float64]        # (n,) [W]
    flags: NDArray[np.uint8]            # (n,)
    obstacle: NDArray[np.uint8]         # (n,) place in `obstacles`
    obstacles: tuple[str, ...]
    devices: tuple[str, ...]            # (n,)
    titles: tuple[str, ...]             # (n,)
    starts: tuple[int, ...]             # (k + 1,) where the members of each concentrator begin, and the end
    links: tuple[int, ...]              # (k,) 0: nobody knows it
    names: tuple[str, ...]              # (k,) of the concentrators
    down: frozenset[int] = frozenset()  # concentrators that were not connected when it was frozen, by place

    @cached_property
    def place(self) -> dict[int, int]:
        """Of a concentrator, by link id."""
        return {link: number for number, link in enumerate(self.links)}

    @cached_property
    def addressable(self) -> NDArray[np.bool_]:
        """Whether an order can hold each member: it has a link, and an index there."""
        linked = np.repeat(np.array(self.links, dtype=np.int64), np.diff(self.starts))
        found: NDArray[np.bool_] = (linked > 0) & (self.indices > 0)
        return found

    @cached_property
    def pairs(self) -> "tuple[Pairs | None, ...]":
        """Of each concentrator whose members can all be addressed, (index, EUI) of all of them, by index."""
        parts = map(self.part, range(len(self.links)))
        return tuple(
            pairs_of(self.indices[part], self.eui[part]) if self.addressable[part].all() else None for part in parts
        )

    @cached_property
    def reachable(self) -> NDArray[np.bool_]:
        """Whether nothing was known that keeps each member from answering."""
        down = np.zeros(len(self.links), dtype=bool)
        down[list(self.down)] = True
        found: NDArray[np.bool_] = (self.obstacle == 0) & ~np.repeat(down, np.diff(self.starts))
        return found

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over what is reviewed; what changes by the minute (obstacles) stays out."""
        found = hashlib.sha256(repr((self.starts, self.links)).encode())
        for column in (self.eui, self.indices, self.load_class, self.rated_w):
            found.update(column.tobytes())
        return found.digest()

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        order = np.argsort(self.eui, kind="stable")
        return order, self.eui[order]

    def seen(self, down: frozenset[int]) -> "Roll":
        """The same members with other concentrators not connected; what was worked out of them goes along."""
        if down == self.down:
            return self
        after = attrs.evolve(self, down=down)
        for name in ("place", "addressable", "pairs", "digest", "_sorted"):
            object.__setattr__(after, name, getattr(self, name))
        return after

    def places_of(self, euis: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Where members stand; -1 for who is none."""
        order, known = self._sorted
        if not len(known):
            return np.full(len(euis), -1)
        at = np.minimum(np.searchsorted(known, euis), len(known) - 1)
        return np.where(known[at] == euis, order[at], -1)

    def part(self, place: int) -> slice:
        """Of one concentrator's members."""
        return slice(self.starts[place], self.starts[place + 1])

    @overload
    def __getitem__(self, at: int) -> Member: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Member]: ...

    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return tuple(self[one] for one in range(*at.indices(len(self))))
        at = range(len(self))[at]
        return self._row(at, int(np.searchsorted(self.starts, at, side="right")) - 1)

    def __iter__(self) -> Iterator[Member]:
        for place in range(len(self.links)):
            for at in range(self.starts[place], self.starts[place + 1]):
                yield self._row(at, place)

    def __len__(self) -> int:
        return len(self.eui)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return self is other or (len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True)))

    __hash__ = object.__hash__

    def _row(self, at: int, place: int) -> Member:
        obstacle = self.obstacles[self.obstacle[at]]
        if not obstacle and place in self.down:
            obstacle = not_connected(self.names[place])
        return Member(
            int(self.eui[at]), self.devices[at], self.names[place], self.links[place], int(self.indices[at]),
            self.titles[at], LoadClass(int(self.load_class[at])), float(self.rated_w[at]), obstacle,
        )


def pairs_of(indices: NDArray[np.uint8], euis: NDArray[np.uint64]) -> Pairs:
    """By index."""
    if (indices[1:] < indices[:-1]).any():
        order = np.argsort(indices, kind="stable")
        indices, euis = indices[order], euis[order]
    return Pairs(indices, euis)


def not_connected(concentrator: str) -> str:
    return f"{concentrator} not connected"


def roll_of(rows: Iterable[tuple[Member, int]]) -> Roll:
    """From members and their flags, in any order."""
    of_link: dict[tuple[int, str], list[tuple[Member, int]]] = {}
    for member, flags in rows:
        of_link.setdefault((member.link_id, member.concentrator), []).append((member, flags))
    flat = [one for part in of_link.values() for one in part]
    obstacles = tuple(dict.fromkeys(["", *(member.obstacle for member, _ in flat)]))
    code = {text: number for number, text in enumerate(obstacles)}
    starts = np.cumsum([0, *(len(part) for part in of_link.values())])
    return Roll(
        np.array([one.eui for one, _ in flat], dtype=np.uint64), np.array([one.index for one, _ in flat], dtype=np.uint8),
        np.array([one.load_class for one, _ in flat], dtype=np.uint8),
        np.array([one.rated_w for one, _ in flat], dtype=np.float64),
        np.array([flags for _, flags in flat], dtype=np.uint8),
        np.array([code[one.obstacle] for one, _ in flat], dtype=np.uint8), obstacles,
        tuple(one.device for one, _ in flat), tuple(one.title for one, _ in flat), tuple(starts.tolist()),
        tuple(link for link, _ in of_link), tuple(name for _, name in of_link),
    )
