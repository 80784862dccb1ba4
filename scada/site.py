"""What exists on a site, as values: the registry's content at one instant, with the look-ups everybody needs.

The registry package stores it; everybody else reads this. Names are the keys people see and files use;
they are unique per kind and never contain "/".
"""

import re
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from functools import cached_property
from itertools import zip_longest
from typing import Any

import attrs

from scada.commands import LoadClass


class Medium(StrEnum):
    ELECTRICITY = "electricity"
    WATER = "water"
    GAS = "gas"
    HEAT = "heat"


class SupplyKind(StrEnum):
    """What switches a whole supply."""

    CONTACTOR = "contactor"
    BREAKER = "breaker"
    VALVE = "valve"                     # closed from here, opened by hand on site alone


class MemberRole(StrEnum):
    """How a member counts in a balance group."""

    CONSUMPTION = "consumption"
    COMMON = "common"                   # common needs of the house (NGC): lifts, stairs; counts, and is shown apart
    GENERATION = "generation"           # feeds in behind the group's feed: counts negatively


class GroupKind(StrEnum):
    """What a balance group is a balance of (domain C1)."""

    FREE = "free"
    RISER = "riser"
    ENTRY = "entry"
    HOUSE = "house"
    STREET = "street"
    DISTRICT = "district"
    CITY = "city"
    REGION = "region"
    COUNTRY = "country"


NORMAL_LOSS = {Medium.ELECTRICITY: 0.08, Medium.GAS: 0.09, Medium.WATER: 0.12, Medium.HEAT: 0.12}    # domain C1
LIMIT_PERCENT = {Medium.ELECTRICITY: 10.0, Medium.GAS: 10.0, Medium.WATER: 12.0, Medium.HEAT: 12.0}     # ours
UNIT_OF_MEDIUM = {Medium.ELECTRICITY: "kWh", Medium.WATER: "m³", Medium.GAS: "m³", Medium.HEAT: "kWh"}


class ModuleState(StrEnum):
    """Life cycle of a radio module; what leads from one to the other is a table in `scada.registry.lifecycle`."""

    PLANNED = "planned"                # somebody wrote it down; nobody has heard it
    DISCOVERED = "discovered"          # announced itself; data is stored, nobody has adopted it
    COMMISSIONING = "commissioning"    # a person is putting it into service
    ACTIVE = "active"
    LOST = "lost"
    REPLACED = "replaced"              # another module has its place; kept for the hours it measured
    RETIRED = "retired"


EXPECTED = frozenset({ModuleState.PLANNED, ModuleState.COMMISSIONING})     # who may not have been heard yet
IN_SERVICE = frozenset({ModuleState.COMMISSIONING, ModuleState.ACTIVE, ModuleState.LOST})     # these have tags
OUT_OF_SERVICE = frozenset({ModuleState.REPLACED, ModuleState.RETIRED})    # who says no more, and whose alarms are over


class Adoption(StrEnum):
    AUTOMATIC = "automatic"
    ENGINEER = "engineer"


@attrs.frozen
class Transformer:
    name: str                           # also its device on the bus: "T01"
    title: str = ""
    rated_kva: float = 400.0
    area: str = ""
    meter: str = ""                     # device of its three-phase meter on the bus, "" if none
    uk_percent: float | None = None     # short-circuit voltage; None = unknown, and no losses are computed
    load_loss_kw: float | None = None   # at rated power
    no_load_loss_kw: float | None = None
    vector_group: str = ""              # "Dyn5"; "" is taken for Dyn
    root: str = ""                      # the node where it stands, "" = that of its name, or the only one that feeds
    form_alone: float | None = None     # a, b, c of the form factor of its consumers; None = the one that is shipped
    form_together: float | None = None
    form_alike: float | None = None
    form_doubt: float | None = None     # one sigma, relative; None = that of the shipped one
    form_minutes: int = 60              # the means it is for; losses are worked out from those of an hour
    form_source: str = ""               # where it is from, in words
    no_load_v: float = 400.0            # between phases at its terminals, as its tap is set


@attrs.frozen
class Feeder:
    name: str
    transformer: str
    title: str = ""


@attrs.frozen
class Linecode:
    """A kind of cable: what a kilometre of it has, of a phase and of the neutral."""

    name: str
    r_phase: float                      # [ohm/km]
    x_phase: float
    r_neutral: float
    x_neutral: float


@attrs.frozen
class Section:
    """A piece of cable between two nodes, with a linecode or impedances of its own."""

    name: str
    feeder: str
    from_node: str                      # which of the two is nearer to the transformer does not matter
    to_node: str
    length_m: float
    linecode: str = ""
    r_phase: float | None = None        # [ohm/km]
    x_phase: float | None = None
    r_neutral: float | None = None
    x_neutral: float | None = None


@attrs.frozen
class Concentrator:
    name: str                           # "C01"
    link_id: int
    title: str = ""
    area: str = ""
    transformer: str = ""
    adoption: Adoption = Adoption.AUTOMATIC


@attrs.frozen
class Module:
    eui: int
    name: str                           # device on the bus: "C01-017"
    concentrator: str
    index: int                          # subnet index 1-240; 0: its index was given to another module, none now
    state: ModuleState = ModuleState.DISCOVERED
    channels: int = 1
    adapter: str = ""                   # actuator type ("AD220/50"), "" if none
    building: str = ""
    title: str = ""


@attrs.frozen
class Consumer:
    name: str
    title: str = ""
    phases: str = "L1"                  # "L1", "L2", "L3", "L1L2L3"; "" unknown
    feeder: str = ""
    building: str = ""
    protected: bool = False             # medical, lift, fire: never shed, whatever its load's class
    contract_kw: float | None = None


@attrs.frozen
class Point:
    """A metering point: the place whose consumption people ask for, whatever meter hangs there."""

    name: str
    medium: Medium
    consumer: str = ""
    title: str = ""
    node: str = ""                      # where it hangs in the network of its consumer's feeder, "" = it is in none
    power_factor: float = 1.0           # lagging; leading where negative
    sub_meter_of: str = ""              # the point whose meter has counted it already


@attrs.frozen
class MeterPeriod:
    """One meter at one point on one channel, from-to. The constant belongs to the period."""

    serial: str
    point: str
    eui: int
    channel: int                        # 0-based
    pulses_per_unit: float              # per kWh or per m³
    valid_from: int                     # h since 1970
    valid_to: int | None = None         # h since 1970, exclusive; None = still there
    start_register: float | None = None     # what its dial showed at the beginning [kWh or m³]; None = nobody wrote it down
    final_register: float | None = None     # and at the end
    accuracy_class: float = 1.0         # limit of error, % of what it measures
    verified: str = ""                  # made or last verified: "2014" or "2014-05-20"; "" = nobody wrote it down


@attrs.frozen
class MeterTerms:
    """What meters of a medium cost, and how they fail: what the time of their replacement is reckoned from."""

    medium: Medium
    tariff: float                       # [money/kWh or money/m³]
    verification: float                 # of one meter [money]
    replacement: float                  # of one meter, with the new one [money]
    lost: float = 0.4                   # share that a failed meter does not register [1]
    noticed: float = 0.2                # chance a year that a failure is noticed [1/a]
    drift: float = 0.0005               # share lost more with each year [1/a]
    ages: tuple[float, ...] = ()        # points of the failure curve, from 0 [a]; () = the example
    rates: tuple[float, ...] = ()       # failures a meter and year at each of them [1/a]


@attrs.frozen
class Replacement:
    """Which module took the place of one that was replaced; its concentrator is told until its list says so."""

    eui: int                            # of the one that left
    heir: int
    hour: int                           # h since 1970: from then on the heir measures


@attrs.frozen
class Load:
    """A secondary load behind a module's actuator."""

    eui: int
    load_class: LoadClass
    title: str = ""
    consumer: str = ""
    rated_w: float = 0.0
    never: bool = False                 # the module itself refuses
    manual_restore: bool = False        # must not start by itself (iron, heater)


@attrs.frozen
class Supply:
    """The actuator that switches the whole supply of a metering point."""

    point: str
    eui: int                            # of the module it hangs on; a module has one at most
    kind: SupplyKind
    title: str = ""


@attrs.frozen
class LoadGroup:
    name: str
    number: int                         # 1-255, on the wire
    load_class: LoadClass
    title: str = ""
    area: str = ""
    epoch: int = 1                      # raised by every change of the members
    max_off_s: int = 900
    min_on_s: int = 1800
    members: tuple[int, ...] = ()       # EUIs


@attrs.frozen
class BalanceGroup:
    """What is fed in, and who takes it. The feed is a bus tag of an energy register, or a metering point."""

    name: str
    medium: Medium
    title: str = ""
    transformer: str = ""
    feed_tag: str = ""                  # energy register on the bus: "T01-meter/energy_import"
    feed_point: str = ""
    members: tuple[str, ...] = ()       # metering points or other groups that always take from it; others: `BalanceMember`
    normal_loss: float | None = None    # share of the feed; None = that of the medium
    limit_percent: float | None = None  # what is missing beyond expected losses, or too much; None = that of the medium
    kind: GroupKind = GroupKind.FREE
    metering_w: float = 0.0             # own consumption of the metering equipment, constant: of the group [W]
    metering_w_each: float = 0.0        # and of each meter that hangs in it [W]

    @property
    def fed(self) -> bool:
        return bool(self.feed_tag or self.feed_point)

    @property
    def normal_share(self) -> float:
        """Loss that is normal, as a share of the feed."""
        return NORMAL_LOSS[self.medium] if self.normal_loss is None else self.normal_loss

    @property
    def limit(self) -> float:
        """Imbalance beyond the losses that are to be expected, either way, that is an alarm. [% of the feed]"""
        return LIMIT_PERCENT[self.medium] if self.limit_percent is None else self.limit_percent


@attrs.frozen
class BalanceMember:
    """A member that comes and goes, or that counts otherwise than by consumption."""

    group: str
    member: str                         # metering point or balance group
    valid_from: int = 0                 # h since 1970
    valid_to: int | None = None         # h since 1970, exclusive; None = still there
    role: MemberRole = MemberRole.CONSUMPTION


@attrs.frozen
class Site:
    """The whole registry at one instant."""

    transformers: tuple[Transformer, ...] = ()
    feeders: tuple[Feeder, ...] = ()
    linecodes: tuple[Linecode, ...] = ()
    sections: tuple[Section, ...] = ()
    concentrators: tuple[Concentrator, ...] = ()
    modules: tuple[Module, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    points: tuple[Point, ...] = ()
    meters: tuple[MeterPeriod, ...] = ()
    loads: tuple[Load, ...] = ()
    load_groups: tuple[LoadGroup, ...] = ()
    balance_groups: tuple[BalanceGroup, ...] = ()
    balance_members: tuple[BalanceMember, ...] = ()
    replacements: tuple[Replacement, ...] = ()
    supplies: tuple[Supply, ...] = ()
    meter_terms: tuple[MeterTerms, ...] = ()
    generation: int = 0                 # raised by every change of the registry


@attrs.frozen
class Directory:
    """Look-ups over one `Site`, each built once on first use."""

    site: Site

    @cached_property
    def module_of_eui(self) -> dict[int, Module]:
        return {module.eui: module for module in self.site.modules}

    @cached_property
    def module_at(self) -> dict[tuple[str, int], int]:
        """EUI of the module that has an index of a concentrator."""
        return {(module.concentrator, module.index): module.eui for module in self.site.modules if module.index}

    @cached_property
    def expected(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """(subnet index or 0, EUI) of who is planned at a concentrator or being put into service there, in that order."""
        found: dict[str, list[tuple[int, int]]] = {}
        for module in self.site.modules:
            if module.state in EXPECTED:
                found.setdefault(module.concentrator, []).append((module.index, module.eui))
        return {name: tuple(sorted(places)) for name, places in found.items()}

    @cached_property
    def module_of_name(self) -> dict[str, Module]:
        return {module.name: module for module in self.site.modules}

    @cached_property
    def concentrator(self) -> dict[str, Concentrator]:
        return {one.name: one for one in self.site.concentrators}

    @cached_property
    def concentrator_of_link(self) -> dict[int, Concentrator]:
        return {one.link_id: one for one in self.site.concentrators}

    @cached_property
    def transformer(self) -> dict[str, Transformer]:
        return {one.name: one for one in self.site.transformers}

    @cached_property
    def feeder(self) -> dict[str, Feeder]:
        return {one.name: one for one in self.site.feeders}

    @cached_property
    def linecode(self) -> dict[str, Linecode]:
        return {one.name: one for one in self.site.linecodes}

    @cached_property
    def consumer(self) -> dict[str, Consumer]:
        return {one.name: one for one in self.site.consumers}

    @cached_property
    def point(self) -> dict[str, Point]:
        return {one.name: one for one in self.site.points}

    @cached_property
    def meters_of_point(self) -> dict[str, tuple[MeterPeriod, ...]]:
        found: dict[str, list[MeterPeriod]] = {}
        for period in sorted(self.site.meters, key=lambda period: period.valid_from):
            found.setdefault(period.point, []).append(period)
        return {point: tuple(periods) for point, periods in found.items()}

    @cached_property
    def meters_of_eui(self) -> dict[int, tuple[MeterPeriod, ...]]:
        """Every period of every channel of a module."""
        found: dict[int, list[MeterPeriod]] = {}
        for period in self.site.meters:
            found.setdefault(period.eui, []).append(period)
        return {eui: tuple(periods) for eui, periods in found.items()}

    @cached_property
    def consumer_of_eui(self) -> dict[int, str]:
        """The consumer whom a module serves: of its last installed meter that has one."""
        points = {point.name: point.consumer for point in self.site.points if point.consumer}
        periods = sorted(self.site.meters, key=lambda period: (period.valid_from, -period.channel))
        return {period.eui: points[period.point] for period in periods if period.point in points}

    @cached_property
    def load_of_eui(self) -> dict[int, Load]:
        return {load.eui: load for load in self.site.loads}

    @cached_property
    def loads_of_consumer(self) -> dict[str, tuple[Load, ...]]:
        found: dict[str, list[Load]] = {}
        for load in self.site.loads:
            if load.consumer:
                found.setdefault(load.consumer, []).append(load)
        return {consumer: tuple(loads) for consumer, loads in found.items()}

    @cached_property
    def supply_of_point(self) -> dict[str, Supply]:
        return {one.point: one for one in self.site.supplies}

    @cached_property
    def load_group(self) -> dict[str, LoadGroup]:
        return {one.name: one for one in self.site.load_groups}

    @cached_property
    def replacement_of_eui(self) -> dict[int, Replacement]:
        """By the module that left."""
        return {one.eui: one for one in self.site.replacements}

    @cached_property
    def terms_of_medium(self) -> dict[Medium, MeterTerms]:
        return {one.medium: one for one in self.site.meter_terms}

    @cached_property
    def balance_group(self) -> dict[str, BalanceGroup]:
        return {one.name: one for one in self.site.balance_groups}

    @cached_property
    def groups_of_feed(self) -> dict[str, tuple[BalanceGroup, ...]]:
        """Balance groups by the tag of the register that feeds them."""
        found: dict[str, list[BalanceGroup]] = {}
        for one in self.site.balance_groups:
            if one.feed_tag:
                found.setdefault(one.feed_tag, []).append(one)
        return {tag: tuple(groups) for tag, groups in found.items()}

    @cached_property
    def members_of_group(self) -> dict[str, tuple[BalanceMember, ...]]:
        """Who takes directly from each balance group, wherever that was written."""
        found = {one.name: [BalanceMember(one.name, member) for member in one.members] for one in self.site.balance_groups}
        for member in self.site.balance_members:
            found.setdefault(member.group, []).append(member)
        return {name: tuple(members) for name, members in found.items()}

    @cached_property
    def sums(self) -> dict[str, Any]:
        """What counts in each balance group that somebody has asked for, by name; `site_groups.sum_of` fills it."""
        return {}

    @cached_property
    def memberships(self) -> dict[str, tuple[BalanceMember, ...]]:
        """In which balance groups each metering point or group is directly."""
        found: dict[str, list[BalanceMember]] = {}
        for members in self.members_of_group.values():
            for one in members:
                found.setdefault(one.member, []).append(one)
        return {name: tuple(members) for name, members in found.items()}


def verified_on(text: str) -> str | None:
    """The day of a `MeterPeriod.verified`, the middle of a year where only that stands; "" for none, None if neither."""
    if not text:
        return ""
    day = f"{text}-07-01" if re.fullmatch(r"[0-9]{4}", text) else text
    try:
        return date.fromisoformat(day).isoformat() if len(day) == 10 and 1900 <= int(day[:4]) <= 2200 else None
    except ValueError:
        return None


# What each look-up is made from: where none of it has changed, the look-up of the site before is still good.
MADE_FROM = {
    "module_of_eui": ("modules",), "module_at": ("modules",), "module_of_name": ("modules",), "expected": ("modules",),
    "concentrator": ("concentrators",), "concentrator_of_link": ("concentrators",), "transformer": ("transformers",),
    "terms_of_medium": ("meter_terms",), "feeder": ("feeders",), "linecode": ("linecodes",),
    "consumer": ("consumers",), "point": ("points",), "meters_of_point": ("meters",), "meters_of_eui": ("meters",),
    "consumer_of_eui": ("points", "meters"), "load_of_eui": ("loads",),
    "loads_of_consumer": ("loads",), "load_group": ("load_groups",),
    "balance_group": ("balance_groups",), "groups_of_feed": ("balance_groups",),
    "members_of_group": ("balance_groups", "balance_members"),
    "memberships": ("balance_groups", "balance_members"), "sums": ("balance_groups", "balance_members", "points"),
    "replacement_of_eui": ("replacements",), "supply_of_point": ("supplies",),
}
MOST_PATCHED = 1000                     # changed modules for which a look-up is copied and corrected, not made anew


def followed(before: Directory, site: Site) -> Directory:
    """The directory of a later site, with every look-up of the one before that is still good; any thread."""
    after = Directory(site)
    changed = differing(before.site.modules, site.modules)
    for name, fields in MADE_FROM.items():
        try:
            made = object.__getattribute__(before, name)
        except AttributeError:          # nobody has asked for it yet
            continue
        if all(getattr(before.site, field) is getattr(site, field) for field in fields):
            object.__setattr__(after, name, made)
        elif fields == ("modules",) and len(changed) <= MOST_PATCHED:
            patched = _expected(made, changed) if name == "expected" else _patched(name, made, changed)
            object.__setattr__(after, name, patched)
    return after


def _expected(made: dict[str, Any], changed: list[tuple[Module | None, Module | None]]) -> dict[str, Any]:
    found, touched = dict(made), {one.concentrator for pair in changed for one in pair if one and one.state in EXPECTED}
    for name in touched:
        left = {one.eui for one, _ in changed if one}
        places = [place for place in found.pop(name, ()) if place[1] not in left]
        places += [
            (now.index, now.eui) for _, now in changed if now and now.state in EXPECTED and now.concentrator == name
        ]
        if places:
            found[name] = tuple(sorted(places))
    return found


def differing(before: tuple[Any, ...], after: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    """Pairs (was, is) by position that are not one and the same; None where there is none."""
    if before is after:
        return []
    return [(was, now) for was, now in zip_longest(before, after) if was is not now]


def _patched(name: str, made: dict[Any, Any], changed: list[tuple[Module | None, Module | None]]) -> dict[Any, Any]:
    key_of: dict[str, Callable[[Module], Any]] = {
        "module_of_eui": lambda one: one.eui, "module_of_name": lambda one: one.name,
        "module_at": lambda one: (one.concentrator, one.index),
    }
    found, key = dict(made), key_of[name]
    for was, _ in changed:
        if was is not None:
            found.pop(key(was), None)
    for _, now in changed:
        if now is not None and (name != "module_at" or now.index):
            found[key(now)] = now.eui if name == "module_at" else now
    return found


@attrs.frozen
class SwappedMeter:
    """One meter of a swap; what is left out stays as it was."""

    channel: int                        # of the old module
    final_register: float | None = None
    new_channel: int | None = None
    serial: str = ""
    pulses_per_unit: float | None = None
    start_register: float | None = None


@attrs.frozen
class Swap:
    """A module, its meters, or both are changed at an hour."""

    old_eui: int
    new_eui: int                        # the old one where only meters are changed
    hour: int                           # h since 1970: the new periods begin
    meters: tuple[SwappedMeter, ...] = ()


class StepKind(StrEnum):
    """What a person does with one module of the registry, besides putting another in its place."""

    COMMISSION = "commission"           # begin to put it into service
    ADOPT = "adopt"                     # it is in service
    RETIRE = "retire"                   # out of service, and nothing in its place
    MOVE = "move"                       # it belongs to another concentrator


@attrs.frozen
class Step:
    """One such wish; asking again changes nothing more."""

    kind: StepKind
    eui: int
    concentrator: str = ""              # of a move: where it belongs


@attrs.frozen
class SiteChange:
    """What a swap or a step would change, thing by thing; (as it is, as it would be), None where there is none yet."""

    modules: tuple[tuple[Module | None, Module], ...] = ()
    closed: tuple[MeterPeriod, ...] = ()            # as they would end
    opened: tuple[MeterPeriod, ...] = ()
    loads: tuple[tuple[Load, Load], ...] = ()
    groups: tuple[tuple[LoadGroup, LoadGroup], ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.modules or self.closed or self.opened or self.loads or self.groups)


@attrs.frozen
class JoinedModule:
    """What MODULE_JOINED or a module list said about one module."""

    eui: int
    link_id: int
    index: int
    channels: int
    adapter: str = ""
    level: int = 0
    parent: int = 0                     # subnet index; 0 = the concentrator
    rssi_dbm: int = 0


@attrs.frozen
class MeshAlternative:
    """A parent that a module would take if it lost its own."""

    parent: int                         # subnet index; 0 = the concentrator
    rssi_dbm: float
    delivery: float                     # share of packets delivered, as far as it was tried, 0-1


@attrs.frozen
class MeshNeighbour:
    """A module of another subnet that is heard in this one."""

    eui: int
    heard: int                          # ns, site time
    rssi_dbm: float
    by: int                             # subnet index of who hears it best; 0 = the concentrator
    packets: int                        # today


@attrs.frozen
class MeshNode:
    """One module's place in the radio tree, as last reported."""

    eui: int
    index: int
    level: int
    parent: int                         # subnet index; 0 = the concentrator
    rssi_down_dbm: float
    rssi_up_dbm: float
    delivery: float                     # share of packets delivered, 0-1
    relayed_today: int
    battery_mv: int
    travel_s: float
    heard: int                          # ns, site time
    battery_idle_mv: float = float("nan")
    alternatives: tuple[MeshAlternative, ...] = ()          # best first
    parent_changes: int = 0             # today
    relay_budget: int = 0               # packets a day its battery allows; 0: it does not say
    noise_dbm: float = float("nan")
    failed: int = 0                     # packets given up today


@attrs.frozen
class MeshView:
    """The mesh of one concentrator as it was last reported; never from a scan."""

    concentrator: str
    link_up: bool
    generation: int
    nodes: tuple[MeshNode, ...]
    as_of: int                          # ns, site time of the last report
    overheard: tuple[MeshNeighbour, ...] = ()
    overheard_as_of: int = 0            # ns, site time of that account
