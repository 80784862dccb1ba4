"""Takes the image that guards look at: registry, gateway, bus and earlier commands at one instant."""

from functools import partial
from typing import Final

import attrs

from scada.clock import SiteClock
from scada.commands import Actor, Origin, Role, Selection, ShedRequest
from scada.dr_dispatch import guards, planner, review
from scada.dr_dispatch.book import Book
from scada.dr_dispatch.heavy import LARGE, Heavy
from scada.dr_dispatch.local import Say, members_in_local
from scada.dr_dispatch.outages import Ledger, Outages
from scada.dr_dispatch.roll import Roll, roll_of
from scada.ports import FieldGateway, LocalSay, Registry, TagSource
from scada.settings import DispatchSettings
from scada.site import Directory, LoadGroup
from scada.supplies import Local

SYSTEM: Final = Actor("system", Role.ADMINISTRATOR, origin=Origin.SYSTEM)         # for what happens by itself
NOBODY: Final = roll_of(())
AGAIN: Final = 3                        # times an image is begun anew because the registry has changed meanwhile


class Images:
    def __init__(
        self, settings: DispatchSettings, registry: Registry, bus: TagSource, gateway: FieldGateway, book: Book,
        clock: SiteClock, heavy: Heavy, local: LocalSay,
    ) -> None:
        self._local = local
        self._settings, self._registry, self._bus, self._gateway = settings, registry, bus, gateway
        self._book, self._clock, self._heavy = book, clock, heavy
        self._ledger = Ledger()
        self._rolls: dict[str, tuple[tuple[object, ...], Roll]] = {}    # of large groups, with what they were made from

    @property
    def directory(self) -> Directory:
        """What the registry holds now."""
        return self._registry.directory

    @property
    def say(self) -> Say:
        """Who has the say on site now."""
        return Say(self._local.locals(), self.directory)

    async def take(self, actor: Actor, request: ShedRequest, but: bytes = b"") -> guards.Image:
        """The image of now; the command `but` does not stand in its own way."""
        for _ in range(AGAIN):                              # a large group takes a while, and the registry goes on
            directory = self.directory
            group = directory.load_group.get(request.group)
            members = await self.members(directory, group) if group else NOBODY
            outages = await self.outages(but)
            if self.directory is directory:
                break
        return guards.Image(
            now=self._clock.now(),
            rate=self._clock.rate,
            trusted=self._clock.trusted(),
            actor=actor,
            request=request,
            settings=self._settings,
            directory=directory,
            group=group,
            members=planner.seen(members, self._gateway.link_up),
            outages=outages,
            snapshot=self._bus.snapshot(),
            devices=self._bus.devices(),
            say=self.say,
        )

    async def local(self, area: str, members: Roll) -> list[Local]:
        """What is in local of a group's area, its members and their concentrators."""
        return await self._heavy.run(len(members), partial(members_in_local, self.say, area, members))

    async def refusals(self, image: guards.Image) -> tuple[str, ...]:
        """Every reason against a shed; empty = allowed."""
        return await self._heavy.run(len(image.members), partial(guards.refusals, image))

    async def reviewed(self, identity: str, image: guards.Image) -> Selection:
        """What a person reviews."""
        return await self._heavy.run(len(image.members), partial(review.selection, identity, image))

    async def objections(self, selection: Selection, image: guards.Image) -> tuple[str, ...]:
        """Every reason why a reviewed selection must not run now."""
        return await self._heavy.run(len(image.members), partial(review.objections, selection, image))

    async def members(self, directory: Directory, group: LoadGroup) -> Roll:
        """Of a group, as it is in the registry. That of a large one is kept until something it was made from changes."""
        made = partial(planner.freeze, directory, group, self._clock.now())
        if len(group.members) <= LARGE:
            return made()
        site = directory.site
        sources = (
            site.modules, site.loads, site.consumers, site.points, site.meters, site.concentrators, group.members,
        )
        kept = self._rolls.get(group.name)
        if kept is not None and all(is_ is was for is_, was in zip(sources, kept[0], strict=True)):
            return kept[1]
        found = await self._heavy.run(len(group.members), made)
        self._rolls[group.name] = sources, found
        return found

    async def outages(self, but: bytes = b"") -> tuple[Outages, ...]:
        """By all commands that are remembered, except one."""
        commands = tuple(one for one in self._book.all() if one.id != but)
        return await self._heavy.run(sum(len(one.members) for one in commands), partial(self._ledger.of, commands))

    async def barred(self, directory: Directory) -> set[str]:
        """Groups that can never be shed as they are in the registry."""
        whole = await self.take(SYSTEM, ShedRequest("", 1))     # one picture of the bus for all of them
        found = set()
        for group in directory.site.load_groups:
            members = await self.members(directory, group)
            request = ShedRequest(group.name, 1)
            image = attrs.evolve(whole, request=request, directory=directory, group=group, members=members)
            if await self._heavy.run(len(members), partial(guards.barred, image)):
                found.add(group.name)
        return found
