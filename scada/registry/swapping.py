"""Another module, or another meter, in the place of one: what that changes in a site. Pure; every reason at once."""

import attrs

from scada.registry.lifecycle import Happening, after
from scada.site import Directory, MeterPeriod, Module, ModuleState, Replacement, Site, Swap, SwappedMeter


def swapped(site: Site, directory: Directory, swap: Swap) -> tuple[Site, list[str]]:
    """
    Return the site after a swap, and every reason against it (then the site is as it was).

    The installed periods of the old module end at `swap.hour` with their final registers, and go on at the same points
    under the new module: with the same meter where only the module was changed, with another serial, constant and start
    register where the meter was. Its load, its place in load groups and the supply it switches go along. Where `new_eui`
    is the old one, only the meters that are named change.
    """
    old, new = directory.module_of_eui.get(swap.old_eui), directory.module_of_eui.get(swap.new_eui)
    reasons = _reasons(directory, swap, old, new)
    if old is None or reasons:
        return site, reasons
    named = {one.channel: one for one in swap.meters}
    same = swap.new_eui == swap.old_eui
    running = [one for one in directory.meters_of_eui.get(swap.old_eui, ()) if one.valid_to is None]
    moving = [one for one in running if not same or one.channel in named]
    closed = {id(one): _closed(one, swap.hour, named.get(one.channel)) for one in moving}
    opened = [_opened(one, swap, named.get(one.channel)) for one in moving]
    meters = (*(closed.get(id(one), one) for one in site.meters), *opened)
    site = attrs.evolve(site, meters=meters)
    if same:
        return site, []
    heir = new or Module(swap.new_eui, f"{old.concentrator}-{swap.new_eui:016X}", old.concentrator, 0, ModuleState.PLANNED,
                         old.channels, old.adapter)
    heir = attrs.evolve(heir, building=heir.building or old.building, title=heir.title or old.title)
    if heir.state is not ModuleState.PLANNED:
        heir = attrs.evolve(heir, state=ModuleState.ACTIVE)
    gone = attrs.evolve(old, state=ModuleState.REPLACED, index=0)
    modules = tuple(gone if one.eui == old.eui else heir if one.eui == heir.eui else one for one in site.modules)
    if new is None:
        modules = (*modules, heir)
    heirs = {old.eui: heir.eui}
    site = attrs.evolve(
        site, modules=modules,
        loads=tuple(attrs.evolve(one, eui=heirs.get(one.eui, one.eui)) for one in site.loads),
        supplies=tuple(attrs.evolve(one, eui=heirs.get(one.eui, one.eui)) for one in site.supplies),
        load_groups=tuple(
            attrs.evolve(group, epoch=group.epoch + 1, members=tuple(heirs.get(eui, eui) for eui in group.members))
            if old.eui in group.members else group for group in site.load_groups
        ),
        replacements=(
            *(one for one in site.replacements if one.eui != old.eui), Replacement(old.eui, heir.eui, swap.hour),
        ),
    )
    return site, []


def carried_out(directory: Directory, swap: Swap) -> bool:
    """Whether the registry stands as this swap leaves it: asking again must neither fail nor swap twice."""
    if swap.new_eui != swap.old_eui:
        done = directory.replacement_of_eui.get(swap.old_eui)
        return done is not None and (done.heir, done.hour) == (swap.new_eui, swap.hour)
    periods = directory.meters_of_eui.get(swap.old_eui, ())
    return bool(swap.meters) and all(
        any(
            one.channel == _channel(named.channel, swap) and one.valid_from == swap.hour
            and (not named.serial or one.serial == named.serial) and one.start_register == named.start_register
            for one in periods
        ) and any(
            one.channel == named.channel and one.valid_to == swap.hour
            and named.final_register in (None, one.final_register)      # None: it was closed with what was counted
            for one in periods
        )
        for named in swap.meters
    )


def _reasons(directory: Directory, swap: Swap, old: Module | None, new: Module | None) -> list[str]:
    if old is None:
        return [f"no module {swap.old_eui:016X} is in the registry"]
    reasons = []
    if after(old.state, Happening.REPLACED) is None:
        reasons.append(f"{old.name} is {old.state}; only a module in service can be replaced")
    if new is not None and new.eui != old.eui:
        if new.state not in (ModuleState.PLANNED, ModuleState.DISCOVERED, ModuleState.COMMISSIONING):
            reasons.append(f"{new.name} is {new.state}; a module that takes a place must be new")
        if new.concentrator != old.concentrator:
            reasons.append(f"{new.name} belongs to {new.concentrator}, {old.name} to {old.concentrator}")
        if any(one.valid_to is None for one in directory.meters_of_eui.get(new.eui, ())):
            reasons.append(f"{new.name} has a meter of its own already")
        if old.eui in directory.load_of_eui and not new.adapter:
            reasons.append(f"{new.name} has no actuator, and {old.name} has a load")
        if any(one.eui == old.eui for one in directory.site.supplies) and not new.adapter:
            reasons.append(f"{new.name} has no actuator, and {old.name} switches a supply")
    running = {one.channel: one for one in directory.meters_of_eui.get(old.eui, ()) if one.valid_to is None}
    for one in swap.meters:
        if one.channel not in running:
            reasons.append(f"no meter hangs on channel {one.channel} of {old.name}")
        if one.pulses_per_unit is not None and not one.pulses_per_unit > 0:
            reasons.append(f"{one.pulses_per_unit:g} pulses per unit: expected more than 0")
    channels = new.channels if new is not None else old.channels
    taken = [_channel(channel, swap) for channel in running]
    if any(not 0 <= channel < channels for channel in taken):
        reasons.append(f"the new module has {channels} channels, and channel {max(taken)} is needed")
    if len(set(taken)) < len(taken):
        reasons.append("two meters cannot hang on one channel")
    early = (period for period in running.values() if swap.hour <= period.valid_from)
    return reasons + [f"meter {period.serial} hangs there only since a later hour than the swap" for period in early]


def _channel(channel: int, swap: Swap) -> int:
    named = next((one for one in swap.meters if one.channel == channel), None)
    return channel if named is None or named.new_channel is None else named.new_channel


def _closed(period: MeterPeriod, hour: int, named: SwappedMeter | None) -> MeterPeriod:
    return attrs.evolve(period, valid_to=hour, final_register=named.final_register if named else None)


def _opened(period: MeterPeriod, swap: Swap, named: SwappedMeter | None) -> MeterPeriod:
    return MeterPeriod(
        serial=(named.serial if named and named.serial else period.serial),
        point=period.point,
        eui=swap.new_eui,
        channel=_channel(period.channel, swap),
        pulses_per_unit=(named.pulses_per_unit if named and named.pulses_per_unit is not None else period.pulses_per_unit),
        valid_from=swap.hour,
        start_register=named.start_register if named else None,
    )
