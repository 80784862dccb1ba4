"""Ends what modules said that have left service: nobody is left who could take it back. Pure."""

from collections.abc import Iterable

from scada.alarms.states import HOLDS
from scada.events import OF_MODULES, device_of
from scada.ports import Alarm
from scada.site import OUT_OF_SERVICE, Directory


def has_left(directory: Directory, device: str) -> bool:
    """Whether a device is a module that was replaced or retired."""
    module = directory.module_of_name.get(device)
    return module is not None and module.state in OUT_OF_SERVICE


def over(alarms: Iterable[Alarm], directory: Directory) -> list[str]:
    """
    Return the ids of alarms that cannot hold any more.

    What a list says of such a module (it is heard all the same, or elsewhere) is ended by whoever compares lists.
    """
    return [
        one.id for one in alarms
        if one.kind in OF_MODULES and one.state in HOLDS and has_left(directory, device_of(one.source))
    ]
