"""What a concentrator's module list says against the registry: named with both sides, for people to decide. Pure."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from types import MappingProxyType

import attrs

from scada.drivers.dmesh.messages import ModuleEntry
from scada.drivers.dmesh.modules import only_named
from scada.events import EventCode
from scada.site import IN_SERVICE, Directory, Module, ModuleState


@attrs.frozen
class Conflict:
    """One of them; `device` is the registered side."""

    code: EventCode
    device: str
    detail: str


def conflicts(
    directory: Directory, name: str, entries: Iterable[ModuleEntry], lists: Callable[[str, int], bool | None], hour: int,
    known: Container[tuple[EventCode, str]] = (), counting: Mapping[int, Sequence[int]] = MappingProxyType({}),
) -> tuple[Conflict, ...]:
    """
    Return what cannot be of the modules that a concentrator lists.

    Parameters
    ----------
    directory : Directory
        The registry.
    name : str
        The concentrator that lists them.
    entries : iterable of ModuleEntry
        Its list, or a part of it.
    lists : callable
        Whether another concentrator, by name, lists an EUI too, as of a module that it has heard; None while it is not
        connected: then a twin that was known stays one, and who was not is taken to have moved.
    hour : int
        Whose meters count. [h since 1970]
    known : container of (EventCode, str)
        What was told before: code and device.
    counting : mapping of int to int
        Channels, by EUI, on which something counts.
    """
    found = []
    for entry in entries:
        module = directory.module_of_eui.get(entry.eui)
        if module is None or only_named(entry):
            continue
        if module.concentrator != name:
            twice = lists(module.concentrator, entry.eui)
            if twice is None:
                twice = (EventCode.DUPLICATE_EUI, module.name) in known
            found.append(_elsewhere(module, name, twice=twice))
        elif module.state in (ModuleState.REPLACED, ModuleState.RETIRED):
            said = f"{module.name}: {module.state} in the registry, heard at {name}"
            found.append(Conflict(EventCode.MODULE_GONE_HEARD, module.name, said))
        elif module.state in IN_SERVICE:
            found += _channels(directory, module, entry, hour, counting.get(entry.eui, ()))
    return tuple(found)


def _elsewhere(module: Module, name: str, *, twice: bool) -> Conflict:
    if twice:
        said = f"{module.name}: heard at {module.concentrator} and at {name} with the same EUI {module.eui:016X}"
        return Conflict(EventCode.DUPLICATE_EUI, module.name, said)
    said = f"{module.name}: registered at {module.concentrator}, heard at {name}"
    return Conflict(EventCode.WRONG_SUBNET, module.name, said)


def _channels(
    directory: Directory, module: Module, entry: ModuleEntry, hour: int, counting: Sequence[int]
) -> list[Conflict]:
    """A meter without a channel, or a channel that counts without a meter; one that is planned there is one too."""
    left = [one for one in directory.meters_of_eui.get(module.eui, ()) if one.valid_to is None or hour < one.valid_to]
    said = [
        f"{module.name}: meter {one.serial} hangs on channel {one.channel}, the module has {entry.channels} channels"
        for one in left if one.channel >= entry.channels and one.valid_from <= hour
    ]
    known = {one.channel for one in left}
    said += [
        f"{module.name}: channel {channel} counts, and no meter is registered or planned there"
        for channel in counting if channel not in known
    ]
    return [Conflict(EventCode.UNEXPECTED_CHANNEL, module.name, one) for one in said[:1]]
