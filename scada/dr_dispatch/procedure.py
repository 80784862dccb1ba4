"""select → review → execute, and early restore: what a person may ask, in the order that makes it safe.

A command passes every guard, is written to the audit, is written to the journal, passes every guard again, and only
then leaves. Nothing is ever sent twice: a selection becomes one command for ever.
"""

import secrets
from collections import OrderedDict
from typing import Any, Final

from scada.clock import SiteClock
from scada.commands import Actor, CommandStatus, MemberState, Selection, ShedRequest
from scada.dr_dispatch import drafts, guards, lifecycle, review
from scada.dr_dispatch.book import Book
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.course import Course
from scada.dr_dispatch.images import Images
from scada.dr_dispatch.pursuit import Counters
from scada.dr_dispatch.sender import Sender
from scada.dr_dispatch.status import status_of
from scada.dr_dispatch.trail import Trail
from scada.errors import CommandRejected, StorageError
from scada.settings import DispatchSettings

SELECTIONS: Final = 200                 # open selections; beyond it the oldest goes


class Procedure:
    """One at a time; who calls it sees to that."""

    def __init__(
        self,
        settings: DispatchSettings,
        clock: SiteClock,
        book: Book,
        images: Images,
        trail: Trail,
        course: Course,
        sender: Sender,
        counters: Counters,
    ) -> None:
        self._settings, self._clock, self._book, self._images = settings, clock, book, images
        self._trail, self._course, self._sender, self._counters = trail, course, sender, counters
        self.selections: OrderedDict[str, Selection] = OrderedDict()

    async def select(self, actor: Actor, request: ShedRequest) -> Selection:
        image, name = await self._images.take(actor, request), request.action.name.lower()
        if reasons := await self._images.refusals(image):
            await self._trail.refuse(actor, f"{name}.select", request.group, reasons, off_for_s=request.off_for_s)
        selection = await self._images.reviewed(secrets.token_hex(16), image)
        detail = {"selection": selection.id, "digest": selection.digest, "expected_w": selection.expected_w}
        try:
            await self._trail.record(
                actor, f"{name}.select", request.group, **detail, **_level(request.level_w),
                off_for_s=request.off_for_s, members=len(selection.members), reason=request.reason,
            )
        except StorageError as error:
            raise CommandRejected([str(error)]) from None
        self.selections[selection.id] = selection
        while len(self.selections) > SELECTIONS:
            self.selections.popitem(last=False)
        self._counters.selected += 1
        if image.group is not None:
            self._sender.prepare(selection, image.group.number)
        await self._book.prepare(image.members)
        return selection

    async def execute(self, actor: Actor, selection_id: str) -> CommandStatus:
        selection = self.selections.get(selection_id)
        if selection is None and (done := await self._book.of_selection(selection_id)) is not None:
            if done.actor != actor.name:
                await self._trail.refuse(actor, "shed.execute", done.group, (f"executed by {done.actor} already",))
            return status_of(done)
        if selection is None:
            await self._trail.refuse(actor, "shed.execute", "", (review.UNKNOWN_SELECTION,), selection=selection_id)
        request, name = selection.request, f"{selection.request.action.name.lower()}.execute"
        image = await self._images.take(actor, request)
        if reasons := await self._images.objections(selection, image):
            await self._trail.refuse(actor, name, request.group, reasons, selection=selection_id)
        command = self._sender.addressed(drafts.of_selection(secrets.token_bytes(16), selection, image))
        await self._commit(actor, name, command, digest=selection.digest, expected_w=selection.expected_w)
        self.selections.pop(selection_id, None)             # it may have expired meanwhile
        # The world went on while disks were written.
        image = await self._images.take(actor, request, but=command.id)
        if reasons := await self._images.objections(selection, image):
            self._course.put(lifecycle.give_up(command, "; ".join(reasons), self._clock.now()))
            await self._trail.refuse(actor, name, request.group, reasons, selection=selection_id)
        self._counters.executed += 1
        return await self._sender.send(command)

    async def restore(self, actor: Actor, command_id: str) -> CommandStatus:
        shed = self._book.named(command_id)
        restores = self._book.restores(shed.id) if shed else ()
        name = f"{shed.action.name.lower() if shed else 'shed'}.restore"
        if reasons := guards.restorable(shed, restores, actor, self._clock.trusted(), self._images.directory):
            await self._trail.refuse(actor, name, shed.group if shed else command_id, reasons)
        assert shed is not None                             # or `restorable` had spoken
        draft = drafts.restore(secrets.token_bytes(16), shed, actor, self._settings, self._clock.now())
        restore = self._sender.addressed(draft)
        there = await self._images.local(shed.area, shed.members.roll)
        said = {"local": [one.scope for one in there]} if there else {}         # allowed, and to be seen in the audit
        await self._commit(actor, name, restore, restores=shed.id.hex(), **said)
        self._counters.restored += 1
        sent = await self._sender.send(restore)
        if sent.count(MemberState.NOT_SENT) < len(sent.members):
            self._course.change(shed.id, lambda one, now: lifecycle.step(one, lifecycle.Event.RESTORE))
        return status_of(self._book.get(shed.id) or shed)

    def forget_expired(self) -> None:
        """Selections nobody may execute any more."""
        now = self._clock.now()
        for selection in tuple(self.selections.values()):
            if now >= selection.expires:
                del self.selections[selection.id]

    async def _commit(self, actor: Actor, action: str, command: Command, **detail: Any) -> None:
        """Audit, then journal; a command that either of them cannot take does not exist."""
        try:
            await self._trail.record(
                actor, action, command.group, command=command.id.hex(), off_for_s=command.off_for_s,
                members=len(command.members), monitor_only=command.monitor_only, reason=command.reason,
                **_level(command.level_w), **detail,
            )
            await self._book.add(command)
        except StorageError as error:
            reasons = (f"nothing was sent: {error}",)
            await self._trail.refuse(actor, action, command.group, reasons, command=command.id.hex())


def _level(level_w: int) -> dict[str, int]:
    return {"level_w": level_w} if level_w else {}
