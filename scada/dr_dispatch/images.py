"""Takes the image that guards look at: registry, gateway, bus and earlier commands at one instant."""

from typing import Final

import attrs

from scada.clock import SiteClock
from scada.commands import Actor, Origin, Role, ShedRequest
from scada.dr_dispatch import guards, planner
from scada.dr_dispatch.book import Book
from scada.ports import FieldGateway, Registry, TagSource
from scada.settings import DispatchSettings
from scada.site import Directory

SYSTEM: Final = Actor("system", Role.ADMINISTRATOR, origin=Origin.SYSTEM)         # for what happens by itself


class Images:
    def __init__(
        self, settings: DispatchSettings, registry: Registry, bus: TagSource, gateway: FieldGateway, book: Book,
        clock: SiteClock,
    ) -> None:
        self._settings, self._registry, self._bus, self._gateway = settings, registry, bus, gateway
        self._book, self._clock = book, clock

    @property
    def directory(self) -> Directory:
        """What the registry holds now."""
        return self._registry.directory

    def take(self, actor: Actor, request: ShedRequest, but: bytes = b"") -> guards.Image:
        """The image of now; the command `but` does not stand in its own way."""
        directory = self.directory
        group = directory.load_group.get(request.group)
        return guards.Image(
            now=self._clock.now(),
            rate=self._clock.rate,
            trusted=self._clock.trusted(),
            actor=actor,
            request=request,
            settings=self._settings,
            directory=directory,
            group=group,
            members=planner.freeze(directory, group, self._gateway.link_up) if group else (),
            outages=self._book.outages(but),
            snapshot=self._bus.snapshot(),
            devices=self._bus.devices(),
        )

    def barred(self, directory: Directory) -> set[str]:
        """Groups that can never be shed as they are in the registry."""
        whole = self.take(SYSTEM, ShedRequest("", 1))       # one picture of the bus for all of them
        return {
            group.name
            for group in directory.site.load_groups
            if guards.barred(attrs.evolve(
                whole, request=ShedRequest(group.name, 1), group=group,
                members=planner.freeze(directory, group, self._gateway.link_up),
            ))
        }
