"""A meter is put into service on a channel of a module: what that changes in a site. Pure; every reason at once."""

from typing import Final

import attrs

from scada.clock import HOUR_S, NS
from scada.dial import PHOTO_NAME, DialReading, DialSource, Installation, Installed
from scada.errors import CommandRejected
from scada.registry.checks import text_fault
from scada.registry.columns import NAME_LENGTH, TEXT_LENGTH
from scada.registry.lifecycle import Happening, after
from scada.site import Directory, Medium, MeterPeriod, Module, ModuleState, Point, Site

FRESH_H: Final = 168                    # a planned period that began longer ago may be a meter that has long been counting
OVER: Final = (ModuleState.REPLACED, ModuleState.RETIRED)


def running_on(directory: Directory, eui: int, channel: int) -> MeterPeriod | None:
    """The meter that hangs, or is planned to hang, on a channel now."""
    periods = directory.meters_of_eui.get(eui, ())
    return next((one for one in periods if one.channel == channel and one.valid_to is None), None)


def installed(site: Site, directory: Directory, wish: Installation) -> tuple[Site, list[str]]:
    """
    Return the site after an installation, and every reason against it (then the site is as it was).

    A planned meter's period begins at the hour of the installation, and with it those of the other channels of a module
    that was not in service: nothing was measured before. The period of a module that is in service already keeps its
    beginning. A module that a concentrator has heard becomes active; one that was never heard is being put into service
    until it is. A point that nobody planned is made.
    """
    module = directory.module_of_eui.get(wish.eui)
    if module is None:
        return site, [f"no module {wish.eui:016X} has announced itself, and none is planned"]
    hour = wish.at // (NS * HOUR_S)
    running = running_on(directory, wish.eui, wish.channel)
    serves = after(module.state, Happening.BEGUN) is None and module.state is not ModuleState.COMMISSIONING
    name = wish.point or (running.point if running else f"{module.name}-{wish.channel}")
    point = directory.point.get(name)
    medium = point.medium if point is not None and not wish.medium else wish.medium or Medium.ELECTRICITY
    reasons = [
        *_of_module(module, wish), *_of_meter(wish, medium), *_of_running(module, running, serves, hour, wish),
        *_of_point(directory, name, point, medium, running), *_too_early(directory, name, wish, running, hour),
    ]
    if reasons:
        return site, reasons
    period = MeterPeriod(wish.serial, name, wish.eui, wish.channel, wish.pulses_per_unit, hour, None, wish.dial.value)
    if serves and running is not None:
        begun = wish.dial.value if running.valid_from == hour else running.start_register
        period = attrs.evolve(period, valid_from=running.valid_from, start_register=begun)
    meters = tuple(
        period if one is running else one if serves or one.eui != wish.eui or one.valid_to is not None
        else attrs.evolve(one, valid_from=max(one.valid_from, hour)) for one in site.meters
    )
    meters = meters if running is not None else (*meters, period)
    points = site.points if point is not None else (*site.points, Point(name, Medium(medium)))
    state = after(module.state, Happening.BEGUN) or module.state
    if module.index:
        state = after(state, Happening.ADOPTED) or state
    now = module if state is module.state else attrs.evolve(module, state=state)
    modules = site.modules if now is module else tuple(now if one is module else one for one in site.modules)
    same = meters == site.meters
    return attrs.evolve(site, modules=modules, points=points, meters=site.meters if same else meters), []


def installation_of(site: Site, wish: Installation, by: str) -> tuple[MeterPeriod, DialReading]:
    """The period that an installation opened in a site, and the reading that belongs to it."""
    period = running_on(Directory(site), wish.eui, wish.channel)
    assert period is not None
    reading = DialReading(
        period.point, period.serial, wish.at, wish.dial, DialSource.INSTALLER, by, wish.photo, wish.key
    )
    return period, reading


def installed_before(directory: Directory, wish: Installation, done: DialReading) -> Installed:
    """What an earlier request with the same key has done; raises `CommandRejected` where that was something else."""
    module = directory.module_of_eui.get(wish.eui)
    periods = (one for one in directory.meters_of_point.get(done.point, ()) if one.serial == done.serial)
    period = next((one for one in periods if (one.eui, one.channel) == (wish.eui, wish.channel)), None)
    if module is None or period is None:
        raise CommandRejected([f"the key {wish.key} was used for another installation, of meter {done.serial}"])
    return Installed(module, period, done, again=True)


def _of_module(module: Module, wish: Installation) -> list[str]:
    if module.state in OVER:
        return [f"{module.name} is {module.state}; no meter can be installed on it"]
    if not 0 <= wish.channel < max(module.channels, 1):
        return [f"{module.name} has {module.channels} channels; channel {wish.channel} is not among them"]
    return []


def _of_meter(wish: Installation, medium: str) -> list[str]:
    reasons = []
    if not wish.serial:
        reasons.append("the meter's serial number is missing")
    elif text_fault("serial", wish.serial):
        reasons.append(f"the meter's serial number has at most {TEXT_LENGTH} printable characters")
    if not 0 < wish.pulses_per_unit < 1e9:
        reasons.append(f"{wish.pulses_per_unit:g} pulses per unit: expected more than 0")
    if medium not in set(Medium):
        reasons.append(f"{medium} is no medium; expected one of {', '.join(Medium)}")
    if wish.photo and PHOTO_NAME.fullmatch(wish.photo) is None:
        reasons.append("the photo has no name of the photo store: send it first")
    return reasons


def _of_running(
    module: Module, running: MeterPeriod | None, serves: bool, hour: int, wish: Installation
) -> list[str]:
    if running is None:
        return []
    if running.start_register is not None and serves:
        return [f"meter {running.serial} is installed on channel {wish.channel} of {module.name} already"]
    stale = serves and hour - running.valid_from > FRESH_H
    if stale and (running.serial, running.pulses_per_unit) != (wish.serial, wish.pulses_per_unit):
        return [f"meter {running.serial} counts on channel {wish.channel} of {module.name} already; another is a swap"]
    return []


def _of_point(
    directory: Directory, name: str, point: Point | None, medium: str, running: MeterPeriod | None
) -> list[str]:
    reasons = []
    if running is not None and running.point != name:
        reasons.append(f"the channel is planned for {running.point}, not for {name}")
    if point is not None and point.medium != medium:
        reasons.append(f"{name} is a point of {point.medium}, not of {medium}")
    if point is None and text_fault("name", name):
        reasons.append(f"{name} cannot be a point's name: at most {NAME_LENGTH} printable characters without a slash")
    others = (one for one in directory.meters_of_point.get(name, ()) if one is not running)
    held = next((one for one in others if one.valid_to is None), None)
    return reasons if held is None else [*reasons, f"meter {held.serial} hangs at {name} already"]


def _too_early(
    directory: Directory, name: str, wish: Installation, running: MeterPeriod | None, hour: int
) -> list[str]:
    """A period may not reach into one that is over, of the same channel or point."""
    periods = (
        *(one for one in directory.meters_of_eui.get(wish.eui, ()) if one.channel == wish.channel),
        *directory.meters_of_point.get(name, ()),
    )
    ends = [one for one in periods if one is not running and one.valid_to is not None and one.valid_to > hour]
    return [f"meter {one.serial} hung there until a later hour" for one in ends[:1]]
