"""Who has not answered a command and is told it once more: only the silent, only in time, never after a restore.

A retry is the same command again. A module that has executed it answers as before, so its time off is not extended; and
one that hears it only now is off no longer than a member that heard the last broadcast would have been.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import attrs

from scada.clock import NS
from scada.commands import Action, MemberState, RetryOrder
from scada.dr_dispatch.command import Command, Progress
from scada.settings import DispatchSettings
from scada.site import Directory

SILENT = frozenset({MemberState.ACCEPTED, MemberState.RECEIVED})    # the concentrator has it, and there is no result


def orders(
    command: Command, settings: DispatchSettings, directory: Directory, asked: Callable[[int], bool],
    restored: bool, now: int,
) -> tuple[RetryOrder, ...]:
    """
    Return what is due now, one order a concentrator.

    Parameters
    ----------
    command : Command
        Any one.
    settings : DispatchSettings
        When to begin, and how long to wait between.
    directory : Directory
        Who may be shed today: a member that has become protected is not told again.
    asked : callable
        Whether nothing is in doubt with a concentrator (link id), so that it need not be asked first.
    restored : bool
        Whether a restore of this shed exists: then nobody may hear of the shed any more.
    now : int
        Site time. [ns]
    """
    if not command.live or command.monitor_only or restored or now >= command.not_after:
        return ()
    of_link: dict[int, list[tuple[int, int]]] = {}
    for progress in command.members:
        member = progress.member
        if progress.state in SILENT and now >= due(command, progress, settings) and _still(command, progress, directory):
            of_link.setdefault(member.link_id, []).append((member.index, member.eui))
    return tuple(
        RetryOrder(command.id, link_id, command.not_after // NS, tuple(sorted(members)))
        for link_id, members in of_link.items() if asked(link_id)
    )


def still_allowed(command: Command, due: Sequence[RetryOrder], directory: Directory) -> tuple[RetryOrder, ...]:
    """The same orders without those to whom something has happened while they were written down."""
    progress = {(one.member.link_id, one.member.eui): one for one in command.members}
    kept = (
        attrs.evolve(order, members=tuple(
            member for member in order.members if _still(command, progress[order.link_id, member[1]], directory)
        ))
        for order in due
    )
    return tuple(order for order in kept if order.members)


def due(command: Command, progress: Progress, settings: DispatchSettings) -> int:
    """When a member that stays silent is told again. [ns, site time]"""
    first = command.made + settings.collect_seconds * NS
    return first if not progress.tried else progress.tried + settings.retry_seconds * NS


def told_again(command: Command, retries: Collection[RetryOrder], now: int) -> Command:
    """The command with these retries entered: written down before they leave."""
    of_link: Mapping[int, set[int]] = {one.link_id: {eui for _, eui in one.members} for one in retries}
    return attrs.evolve(command, members=tuple(
        attrs.evolve(one, tries=one.tries + 1, tried=now, reason=f"repeats to this module: {one.tries + 1}")
        if one.member.eui in of_link.get(one.member.link_id, ()) else one
        for one in command.members
    ))


def _still(command: Command, progress: Progress, directory: Directory) -> bool:
    """Whether nothing has come to forbid it since: a restore is always allowed, a shed not for the protected."""
    if command.action is not Action.SHED:
        return True
    eui = progress.member.eui
    load, module = directory.load_of_eui.get(eui), directory.module_of_eui.get(eui)
    if load is None or module is None or load.never or load.load_class is not command.load_class:
        return False
    concentrator = directory.concentrator.get(module.concentrator)
    if concentrator is None or (concentrator.link_id, module.index) != (progress.member.link_id, progress.member.index):
        return False
    names = {load.consumer, directory.consumer_of_eui.get(eui, "")} - {""}
    return all((one := directory.consumer.get(name)) is not None and not one.protected for name in names)
