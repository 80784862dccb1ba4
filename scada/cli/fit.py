"""Whether the configuration has what a site names: a misspelt meter would only show as a balance without a feed."""

from collections.abc import Iterator
from pathlib import Path

from scada.cli.units import modbus_units
from scada.errors import Problem
from scada.settings import Settings
from scada.site import Directory, Site


def misfits(config: Path, settings: Settings, site: Site) -> list[Problem]:
    """Warnings, because a device may be configured later: unknown meters of transformers, unknown tags of feeds."""
    return [Problem(str(config), "modbus.devices", said) for said in _sentences(settings, site)]


def unfit_networks(site: Site) -> list[Problem]:
    """Warnings: what is wrong with networks, whose losses are not computed then, and who is left out of one."""
    if not site.sections:
        return []
    from scada.balancing.network import networks

    known = networks(Directory(site))
    return [*(one for problems in known.problems.values() for one in problems), *known.remarks]


def _sentences(settings: Settings, site: Site) -> Iterator[str]:
    units = {device.name: modbus_units(device.template, settings) for device in settings.modbus.devices}
    unknown = f"which is no Modbus device here; expected one of {', '.join(units) or '(there are none)'}"
    for transformer in site.transformers:
        if transformer.meter and transformer.meter not in units:
            yield f"transformer {transformer.name} has the meter {transformer.meter}, {unknown}"
    for group in site.balance_groups:
        fed = f"balance group {group.name} is fed by {group.feed_tag}"
        device, slash, point = group.feed_tag.partition("/")
        if group.feed_tag and not slash:
            yield f"{fed}; expected device/point such as T01-meter/energy_import"
        elif group.feed_tag and device not in units:
            yield f"{fed}, {unknown}"
        elif group.feed_tag and units[device] and point not in units[device]:
            registers = ", ".join(one for one, unit in units[device].items() if unit == "kWh")
            yield f"{fed}, and {device} has no such point; expected one of {registers}"
