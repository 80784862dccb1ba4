"""Where somebody on site has the say, and what that forbids a command: pure, asked at every step up to the frame itself.

A RESTORE is not asked about: it ends a shed of ours earlier than the module would end it by itself, so it switches nothing
that people on site need not expect anyway, and whoever is there may be waiting for it.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

from scada.commands import TIMED
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.roll import Roll
from scada.site import Directory, Medium
from scada.supplies import Local, area_scope, point_of


class Say:
    """Who has the say where, by area and by module. Costs what is in local, not what there is."""

    def __init__(self, locals_: Sequence[Local], directory: Directory) -> None:
        self._all = {one.scope: one for one in locals_}
        self._directory = directory

    def __bool__(self) -> bool:
        """Whether anything is in local at all."""
        return bool(self._all)

    def over_areas(self, areas: Iterable[str]) -> list[Local]:
        found = (self._all.get(area_scope(area)) for area in sorted(set(areas)))
        return [one for one in found if one is not None]

    def barred(self, euis: Iterable[int]) -> frozenset[int]:
        """Those of these modules that switch or measure at a point in local, or switch its consumer's load."""
        return frozenset(self._of_module).intersection(euis) if self._of_module else frozenset()

    def over_modules(self, euis: Iterable[int]) -> list[Local]:
        """The points in local of those."""
        return list({one.scope: one for eui in sorted(self.barred(euis)) for one in self._of_module[eui]}.values())

    @cached_property
    def _of_module(self) -> dict[int, list[Local]]:
        """By EUI: from what is in local to the modules there, for there are few of the one and a city of the other."""
        of, found = self._directory, dict[int, list[Local]]()
        for one in self._all.values():
            name = point_of(one.scope)
            supply, point = of.supply_of_point.get(name), of.point.get(name)
            there = {supply.eui} if supply else set()
            there |= {meter.eui for meter in of.meters_of_point.get(name, ()) if meter.valid_to is None}
            if point is not None and point.medium is Medium.ELECTRICITY:    # its loads may be switched by any module
                there |= {load.eui for load in of.loads_of_consumer.get(point.consumer, ())}
            for eui in there:
                found.setdefault(eui, []).append(one)
        return found

    def over(self, area: str, concentrators: Iterable[str], euis: Iterable[int]) -> list[Local]:
        """Over a group of this area with members on these concentrators."""
        if not self:
            return []
        known = (self._directory.concentrator.get(name) for name in concentrators)
        return self.over_areas([area, *(one.area for one in known if one)]) + self.over_modules(euis)


def members_in_local(say: Say, area: str, members: Roll) -> list[Local]:
    """Everything in local that a command to this group would reach."""
    return say.over(area, filter(None, members.names), members.eui.tolist()) if say else []


def obstacle(command: Command, link_id: int, say: Say, euis: Iterable[int] | None = None) -> str:
    """What keeps a command from one concentrator's members, or from some of them; "" = nothing."""
    place = command.members.roll.place.get(link_id)
    if command.action not in TIMED or place is None or not say:
        return ""
    roll = command.members.roll
    whom = roll.eui[roll.part(place)].tolist() if euis is None else euis
    return "; ".join(map(in_words, say.over(command.area, [roll.names[place]], whom)))


def in_words(local: Local) -> str:
    return (
        f"{local.scope} is in local since {local.by} said so: no load there is commanded from here, "
        "and a shed that runs may be restored or ends by itself"
    )

