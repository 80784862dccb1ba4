"""Under which names on the bus the events of a module, a metering point or a group stand."""

from collections.abc import Iterable

from scada.site import Directory


def devices_of(directory: Directory, name: str) -> tuple[str, ...]:
    """Of a module, a metering point or a device: a module also by its EUI, which it was called by before its adoption."""
    if name in directory.point:
        return _modules(directory, (period.eui for period in directory.meters_of_point.get(name, ())))
    if (module := directory.module_of_name.get(name)) is not None:
        return _modules(directory, (module.eui,))
    return (name,)


def devices_in(directory: Directory, group: str) -> tuple[str, ...] | None:
    """Of all modules that are or were members of a load group or a balance group; None where there is no such group."""
    if (load := directory.load_group.get(group)) is not None:
        return _modules(directory, load.members)
    if (balance := directory.balance_group.get(group)) is not None:
        return _modules(directory, (
            period.eui for point in balance.members for period in directory.meters_of_point.get(point, ())
        ))
    return None


def _modules(directory: Directory, euis: Iterable[int]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for eui in euis:
        if (module := directory.module_of_eui.get(eui)) is not None:
            found[module.name] = None
        found[f"{eui:016x}"] = None
    return tuple(found)
