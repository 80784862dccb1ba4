"""Who was whose parent when, as changes: a module that stays where it is costs nothing. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from scada.clock import DAY_H, HOUR_S, NS
from scada.network import Place
from scada.site import MeshNode

GONE: Final = -1                        # parent of a module that is not in the tree any more
DAY_NS: Final = DAY_H * HOUR_S * NS


def changes(before: Mapping[int, Place], nodes: Iterable[MeshNode], at: int) -> list[Place]:
    """
    Return what a report changes in the tree that was known.

    Parameters
    ----------
    before : mapping of int to Place
        The last place of every module, by EUI.
    nodes : iterable of MeshNode
        The tree as reported now; modules that never reported (heard 0) and hang on nothing are left out.
    at : int
        Site time of the report. [ns]

    Returns
    -------
    changes : list of Place
        New places, and `GONE` for modules that are not listed any more. Empty for a report older than what is known.
    """
    if any(place.since > at for place in before.values()):
        return []
    now = {node.eui: node for node in nodes if node.level > 0}
    found = [
        Place(node.eui, node.index, node.parent, node.level, at)
        for node in now.values()
        if (old := before.get(node.eui)) is None
        or (old.index, old.parent, old.level) != (node.index, node.parent, node.level)
    ]
    found += [
        attrs.evolve(old, parent=GONE, level=0, since=at)
        for eui, old in before.items() if eui not in now and old.parent != GONE
    ]
    return found


@attrs.frozen
class Traffic:
    """What a module has relayed, day by day, in one row: the days that are over and the one that is not."""

    eui: int
    days: int                           # that are over
    packets: int                        # relayed on them
    today: int                          # days since 1970, UTC
    packets_today: int

    @property
    def per_day(self) -> float:
        """Mean of the days that are over; of today while there is no other. [1/d]"""
        return self.packets / self.days if self.days else float(self.packets_today)


def entered(known: Traffic | None, eui: int, at: int, packets: int) -> Traffic:
    """A report of today's count at an instant [ns]; a day nobody reported of is not counted, one that is over is closed."""
    today = at // DAY_NS
    if known is None:
        return Traffic(eui, 0, 0, today, packets)
    if today < known.today:
        return known
    if today == known.today:
        return attrs.evolve(known, packets_today=max(known.packets_today, packets))
    return Traffic(eui, known.days + 1, known.packets + known.packets_today, today, packets)
