"""Who should hold which group's key, who does, and which epoch a command goes out under. Pure."""

from collections.abc import Callable, Iterable
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.columns import Pairs
from scada.group_keys import GroupKeyShare, GroupKeyState
from scada.site import Directory, LoadGroup, ModuleState

OVER: Final = (ModuleState.REPLACED, ModuleState.RETIRED)
NOBODY: Final = np.zeros(0, dtype=np.uint64)


@attrs.frozen(eq=False)
class Assignment:
    """The members of one group in one epoch at one concentrator; arrays, because a city has millions."""

    number: int
    epoch: int
    index: NDArray[np.uint8]            # (n,) ascending
    euis: NDArray[np.uint64]            # (n,)

    @property
    def pairs(self) -> Pairs:
        return Pairs(self.index, self.euis)

    @property
    def place(self) -> tuple[int, int]:
        return self.number, self.epoch

    def missing(self, held: NDArray[np.uint64]) -> Pairs:
        """Those who are not among `held`."""
        lacks = ~np.isin(self.euis, held)
        return Pairs(self.index[lacks], self.euis[lacks])


def assignments(directory: Directory) -> dict[int, tuple[Assignment, ...]]:
    """By link id: what every concentrator's members should hold. Work of the size of all groups: for a thread."""
    found: dict[int, list[Assignment]] = {}
    for group in directory.site.load_groups:
        for link_id, pairs in _by_link(directory, group).items():
            pairs.sort()
            index, euis = zip(*pairs, strict=True)
            made = Assignment(group.number, group.epoch, np.array(index, np.uint8), np.array(euis, np.uint64))
            found.setdefault(link_id, []).append(made)
    return {link_id: tuple(of_link) for link_id, of_link in found.items()}


def _by_link(directory: Directory, group: LoadGroup) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for eui in group.members:
        module = directory.module_of_eui.get(eui)
        if module is not None and module.index and module.state not in OVER:
            found.setdefault(directory.concentrator[module.concentrator].link_id, []).append((module.index, eui))
    return found


@attrs.frozen
class InUse:
    """The epoch that the concentrator was last told to use, and for whom."""

    epoch: int
    pairs: Pairs                        # ascending by index


def under_old(wanted: Pairs, holders: int, before: InUse | None, held_before: int) -> bool:
    """
    Return whether a command still goes out under the epoch before.

    Parameters
    ----------
    wanted : Pairs
        Members of the new epoch that are addressed.
    holders : int
        How many of them hold its key.
    before : InUse or None
        What is in use.
    held_before : int
        How many of its members hold the key of that.
    """
    if before is None or holders >= len(wanted):
        return False
    if not set(before.pairs) <= set(wanted):
        return False                    # somebody left, or has another index: he would obey the old key
    return held_before > holders


def gone(wanted: Pairs, before: InUse | None) -> bool:
    """Whether somebody of the epoch in use must not obey any more: then the new one counts at once."""
    return before is not None and not set(before.pairs) <= set(wanted)


Held = Callable[[int, int, int], NDArray[np.uint64]]            # link id, number, epoch -> EUIs that hold the key
Used = Callable[[int, int], InUse | None]                       # link id, number


def state_of(directory: Directory, group: LoadGroup, held: Held, used: Used) -> GroupKeyState:
    """How far the key of a group's epoch has come, concentrator by concentrator."""
    places = {one.link_id: one.name for one in directory.site.concentrators}
    shares = []
    for link_id, pairs in sorted(_by_link(directory, group).items(), key=lambda one: places[one[0]]):
        euis = np.array([eui for _, eui in pairs], dtype=np.uint64)
        lacks = ~np.isin(euis, held(link_id, group.number, group.epoch))
        in_use = used(link_id, group.number)
        shares.append(GroupKeyShare(
            places[link_id], in_use.epoch if in_use else 0, len(pairs), tuple(euis[lacks].tolist()),
        ))
    listed = {eui for pairs in _by_link(directory, group).values() for _, eui in pairs}
    return GroupKeyState(
        group.name, group.number, group.epoch, tuple(shares), tuple(eui for eui in group.members if eui not in listed),
    )


def joined(held: NDArray[np.uint64], more: Iterable[int]) -> NDArray[np.uint64]:
    """`held`, and those besides."""
    return np.union1d(held, np.fromiter(more, dtype=np.uint64))
