"""Who has not answered a command and is told it once more: only the silent, only in time, never after a restore.

A retry is the same command again. A module that has executed it answers as before, so its time off is not extended; and
one that hears it only now is off no longer than a member that heard the last broadcast would have been.
"""

from collections.abc import Collection, Sequence
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.clock import NS
from scada.columns import Pairs
from scada.commands import Action, MemberState, RetryOrder
from scada.dr_dispatch import lifecycle, planner
from scada.dr_dispatch.command import Command
from scada.dr_dispatch.local import Say
from scada.dr_dispatch.members import MOST_TRIES, Members, Share
from scada.settings import DispatchSettings
from scada.site import Directory

SILENT: Final = (MemberState.ACCEPTED, MemberState.RECEIVED)    # the concentrator has it, and there is no result


def orders(
    command: Command, settings: DispatchSettings, directory: Directory, say: Say, restored: bool, now: int
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
    say : Say
        Who has the say on site: who has come into local is not told again.
    restored : bool
        Whether a restore of this shed exists: then nobody may hear of the shed any more.
    now : int
        Site time. [ns]
    """
    if not command.live or command.monitor_only or restored or now >= command.not_after:
        return ()
    found = []
    for place, share in enumerate(command.members.shares):
        if not any(share.counts[state] for state in SILENT):
            continue
        due = np.isin(share.state, SILENT) & (now >= _due(command, share, settings))
        if due.any() and (due := allowed(command, place, directory, say, due)).any():
            found.append(RetryOrder(
                command.id, command.members.roll.links[place], command.not_after // NS,
                planner.pairs(command.members.roll, place, due),
            ))
    return tuple(found)


def still_allowed(
    command: Command, due: Sequence[RetryOrder], directory: Directory, say: Say
) -> tuple[RetryOrder, ...]:
    """The same orders without those to whom something has happened while they were written down."""
    kept = []
    for order in due:
        place = command.members.roll.place[order.link_id]
        may = allowed(command, place, directory, say, _told(command.members, place, order))
        if may.any():
            pairs = planner.pairs(command.members.roll, place, may)
            kept.append(attrs.evolve(order, members=pairs))
    return tuple(kept)


def told_again(retries: Collection[RetryOrder], command: Command, now: int) -> Command:
    """The command with these retries entered: written down before they leave."""
    changed = {}
    for order in retries:
        place = command.members.roll.place[order.link_id]
        share, whom = command.members.shares[place], _told(command.members, place, order)
        tries = np.where(whom, np.minimum(share.tries, MOST_TRIES - 1) + 1, share.tries).astype(np.uint8)
        share = attrs.evolve(share, tries=tries, tried=np.where(whom, now, share.tried))
        for count in np.unique(tries[whom]).tolist():
            share = lifecycle.told(share, whom & (tries == count), f"repeats to this module: {count}")
        changed[place] = share
    return attrs.evolve(command, members=command.members.replaced(changed))


def _due(command: Command, share: Share, settings: DispatchSettings) -> NDArray[np.int64]:
    """When members that stay silent are told again. [ns, site time]"""
    first = command.made + settings.collect_seconds * NS
    return np.where(share.tried > 0, share.tried + settings.retry_seconds * NS, first)


def _told(members: Members, place: int, order: RetryOrder) -> NDArray[np.bool_]:
    return np.isin(members.roll.eui[members.roll.part(place)], Pairs.of(order.members).euis)


def allowed(
    command: Command, place: int, directory: Directory, say: Say, whom: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Those whom nothing has come to forbid it since: a restore is always allowed, a shed not for the protected."""
    if command.action is Action.RESTORE:
        return whom
    part, link_id = command.members.roll.part(place), command.members.roll.links[place]
    euis, index = command.members.roll.eui[part], command.members.roll.indices[part]
    found = np.zeros(len(whom), dtype=bool)
    if say.over(command.area, [command.members.roll.names[place]], ()):
        return found
    barred = say.barred(euis[whom].tolist())
    for at in np.flatnonzero(whom).tolist():
        if int(euis[at]) in barred:
            continue
        found[at] = _still(command, directory, int(euis[at]), link_id, int(index[at]))
    return found


def _still(command: Command, directory: Directory, eui: int, link_id: int, index: int) -> bool:
    load, module = directory.load_of_eui.get(eui), directory.module_of_eui.get(eui)
    if load is None or module is None or load.never or load.load_class is not command.load_class:
        return False
    concentrator = directory.concentrator.get(module.concentrator)
    if concentrator is None or (concentrator.link_id, module.index) != (link_id, index):
        return False
    names = {load.consumer, directory.consumer_of_eui.get(eui, "")} - {""}
    return all((one := directory.consumer.get(name)) is not None and not one.protected for name in names)
