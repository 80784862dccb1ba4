"""What people call the source of an alarm: the quantity of a tag, the consumer behind a module."""

from collections.abc import Mapping

from scada.site import Directory
from scada.tags import Device


def title_of(source: str, directory: Directory, devices: Mapping[str, Device]) -> str:
    """The title of a tag id or device name; "" where nothing better than the id is known. Look-ups in memory only."""
    name, _slash, point = source.partition("/")
    device = devices.get(name)
    if point:
        return next((tag.title for tag in device.tags if tag.point == point), "") if device else ""
    module = directory.module_of_name.get(name)
    consumer = directory.consumer.get(directory.consumer_of_eui.get(module.eui, "")) if module else None
    if consumer:
        return consumer.title or consumer.name
    return device.title if device and device.title != name else ""
