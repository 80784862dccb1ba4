"""The area an alarm belongs to: whose dispatchers see to it. Pure."""

from collections.abc import Mapping

from scada.site import Directory
from scada.tags import Device


def area_of(name: str, devices: Mapping[str, Device], directory: Directory) -> str:
    """The area of a device: its own if it has one, else that of its concentrator or transformer; "" if none."""
    device = devices.get(name)
    if device is not None and device.area:
        return device.area
    module = directory.module_of_name.get(name)
    concentrator = directory.concentrator.get(name if module is None else module.concentrator)
    if concentrator is not None:
        return concentrator.area
    transformer = directory.transformer.get(name)
    return transformer.area if transformer is not None else ""
