"""Who takes part in a study of a group: the homes below it, through groups of groups, for the hours they count. Pure.

A balance counts a group that has a feed by that feed. A feed's phases are made by the homes behind it, so a study goes on
down to them; what feeds a group in which nobody is metered stays, as a consumer of several phases.
"""

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.site import BalanceGroup, Directory
from scada.site_groups import Span, common, joined, sum_of


@attrs.frozen
class Home:
    """One metering point of a study."""

    point: str
    spans: tuple[Span, ...]             # hours of the period in which it counts, ascending
    sign: int                           # -1: generation
    feeds: bool = False                 # a whole group, of which nobody is metered

    def counts(self, first: int, hours: int) -> NDArray[np.float64]:
        """(hours,): its sign where it counts, else 0."""
        found = np.zeros(hours)
        for begin, end in self.spans:
            found[begin - first:end - first] = self.sign
        return found


def homes(directory: Directory, group: BalanceGroup, first: int, hours: int, most: int) -> tuple[Home, ...]:
    """
    Return who counts in a group in some hour of a period, each once.

    Parameters
    ----------
    directory, group
        The registry, and the group in it.
    first, hours : int
        The period. [h since 1970], [h]
    most : int
        With more than that nobody looks further: of a city only a few are found, and more than `most`.
    """
    found: dict[str, Home] = {}
    todo: list[tuple[BalanceGroup, Sequence[Span], int, frozenset[str]]] = [
        (group, [(first, first + hours)], 1, frozenset({group.name}))
    ]
    while todo:
        one, during, sign, path = todo.pop(0)
        for part in sum_of(directory, one).parts:
            its = common(part.counting, during)
            child = directory.balance_group.get(part.group)
            if not its or part.group in path:               # the import refuses a circle; a walk must end all the same
                continue
            if child is not None and sum_of(directory, child).parts:
                todo.append((child, its, sign * part.sign, path | {child.name}))
            elif part.point in directory.point:             # energy registers have no hours of their own to read
                before = found[part.point].spans if part.point in found else ()
                spans = tuple(joined((*its, *before)))
                found[part.point] = Home(part.point, spans, sign * part.sign, bool(part.group))
                if len(found) > most:
                    return tuple(found.values())
    return tuple(found.values())
