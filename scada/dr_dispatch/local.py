"""Where somebody on site has the say, and what that forbids a command: pure, asked at every step up to the frame itself.

A RESTORE is not asked about: it ends a shed of ours earlier than the module would end it by itself, so it switches nothing
that people on site need not expect anyway, and whoever is there may be waiting for it.
"""

from collections.abc import Iterable, Sequence

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
        self._points = {name: one for one in locals_ if (name := point_of(one.scope))}
        self._modules = {
            supply.eui: one for name, one in self._points.items() if (supply := directory.supply_of_point.get(name))
        }
        self._consumers = {
            point.consumer: one for name, one in self._points.items()
            # Loads behind an electricity point may be switched by any module.
            if (point := directory.point.get(name)) and point.consumer and point.medium is Medium.ELECTRICITY
        }

    def __bool__(self) -> bool:
        """Whether anything is in local at all."""
        return bool(self._all)

    def over_areas(self, areas: Iterable[str]) -> list[Local]:
        found = (self._all.get(area_scope(area)) for area in sorted(set(areas)))
        return [one for one in found if one is not None]

    def over_modules(self, euis: Iterable[int]) -> list[Local]:
        """The points in local that some of these modules switch or measure, or whose consumer's load they switch."""
        if not self._points:
            return []
        loads, meters, found = self._directory.load_of_eui, self._directory.meters_of_eui, {}
        for eui in euis:
            load = loads.get(eui)
            there = [self._modules.get(eui), self._consumers.get(load.consumer) if load else None]
            there += [self._points.get(one.point) for one in meters.get(eui, ()) if one.valid_to is None]
            found.update({one.scope: one for one in there if one is not None})
        return list(found.values())

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

