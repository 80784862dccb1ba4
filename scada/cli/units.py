"""The unit of a stored tag: the history holds numbers, their meaning is where the tag is defined."""

from collections.abc import Sequence
from typing import Final

from scada.balancing import heat, ten_minutes
from scada.balancing.groups import device as balance_device
from scada.balancing.meters import UNBALANCE
from scada.balancing.transformers import OUTPUTS
from scada.dr_dispatch.board import GROUP_TAGS
from scada.drivers.dmesh.mesh import CONCENTRATOR_TAGS, MODULE_TAGS
from scada.drivers.modbus.template import load_template
from scada.errors import ConfigError
from scada.settings import Settings
from scada.site import Directory
from scada.tags import TagDef

WATCHED: Final = {
    "thermal": heat.OUTPUTS, "voltage": (*ten_minutes.OUTPUTS, ten_minutes.UNBALANCE), "unbalance": UNBALANCE,
}


def unit_of(settings: Settings, directory: Directory, tag: str) -> str:
    """Symbol of the unit; "" for a pure number, and where nobody defines the tag any more."""
    device, _, point = tag.partition("/")
    for one in settings.modbus.devices:
        if one.name == device:
            return modbus_units(one.template, settings).get(point, "")
    return next((one.unit for one in _definitions(directory, device) if one.point == point), "")


def modbus_units(template: str, settings: Settings) -> dict[str, str]:
    """Unit of each point; nothing where the template itself is at fault, which is told elsewhere."""
    try:
        return {point.name: point.unit for point in load_template(template, settings.modbus.template_dirs).points}
    except ConfigError:
        return {}


def _definitions(directory: Directory, device: str) -> Sequence[TagDef]:
    if device in directory.balance_group:
        return balance_device(directory, directory.balance_group[device]).tags
    for there, tags in (
        (directory.transformer, OUTPUTS), (directory.concentrator, CONCENTRATOR_TAGS),
        (directory.module_of_name, MODULE_TAGS), (directory.load_group, GROUP_TAGS),
    ):
        if device in there:
            return tags
    transformer, _, part = device.rpartition(".")
    return WATCHED.get(part, ()) if transformer in directory.transformer else ()
