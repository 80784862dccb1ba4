"""What a site must fulfil as a whole, whatever file or program it came from. Pure; names every problem at once."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final

from scada.commands import LoadClass
from scada.registry.balance_checks import balances
from scada.registry.columns import NAME_LENGTH, TEXT_LENGTH
from scada.registry.findings import Finding
from scada.registry.kinds import KIND, KINDS, hour_text
from scada.registry.names import clashes, one_of
from scada.site import Directory, Medium, MeterPeriod, Site, SupplyKind, verified_on

PHASES: Final = ("", "L1", "L2", "L3", "L1L2", "L1L3", "L2L3", "L1L2L3")
FORM: Final = ("form_alone", "form_together", "form_alike")
IMPEDANCES: Final = ("r_phase", "x_phase", "r_neutral", "x_neutral")
MOST_POINTS: Final = 40                 # of a failure curve
OLDEST: Final = 100                     # [a]
MAX_HOUR: Final = 70_000_000            # the year 9955; ISO 8601 ends at 9999
WEEK_S: Final = 7 * 24 * 3600

Rule = tuple[Callable[[Any], bool], str]
_positive: Final[Rule] = (lambda value: math.isfinite(value) and value > 0, "expected a number above 0")
_hour: Final[Rule] = (lambda value: value is None or 0 <= value < MAX_HOUR, "expected an hour since 1970")


def _between(low: float, high: float) -> Rule:
    return (lambda value: low <= value <= high), f"expected {low} to {high}"


_from_zero: Final[Rule] = (lambda value: math.isfinite(value) and value >= 0, "expected a number from 0 up")
_node: Final[Rule] = (lambda value: bool(value), "expected the name of a node")


def _or_none(rule: Rule) -> Rule:
    return (lambda value: value is None or rule[0](value)), rule[1]


RULES: Final[dict[tuple[str, str], Rule]] = {
    ("transformers", "rated_kva"): _positive,
    ("transformers", "uk_percent"): _or_none(_between(0.1, 100)),
    ("transformers", "load_loss_kw"): _or_none(_from_zero),
    ("transformers", "no_load_loss_kw"): _or_none(_from_zero),
    ("transformers", "form_alone"): _or_none(_from_zero),
    ("transformers", "form_together"): _or_none((math.isfinite, "expected a number")),
    ("transformers", "form_alike"): _or_none(_from_zero),
    ("transformers", "form_doubt"): _or_none(_from_zero),
    ("transformers", "form_minutes"): _between(1, 60),
    ("transformers", "no_load_v"): _between(100, 1000),
    **{("linecodes", name): (math.isfinite, "expected a number of ohm/km") for name in IMPEDANCES},
    **{("sections", name): _or_none((math.isfinite, "expected a number of ohm/km")) for name in IMPEDANCES},
    ("sections", "from_node"): _node,
    ("sections", "to_node"): _node,
    ("sections", "length_m"): _from_zero,
    ("points", "power_factor"): ((lambda value: 0 < abs(value) <= 1), "expected above 0, up to 1; negative when leading"),
    ("concentrators", "link_id"): _between(0, 2**32 - 1),
    ("modules", "eui"): _between(0, 2**64 - 1),
    ("modules", "index"): _between(0, 240),
    ("modules", "channels"): _between(0, 8),
    ("consumers", "phases"): (lambda value: value in PHASES, f"expected one of {', '.join(PHASES[1:])} or nothing"),
    ("consumers", "contract_kw"): (lambda value: value is None or _positive[0](value), "expected a number above 0"),
    ("meters", "channel"): _between(0, 7),
    ("meters", "pulses_per_unit"): _positive,
    ("meters", "valid_from"): _hour,
    ("meters", "valid_to"): _hour,
    ("loads", "rated_w"): _from_zero,
    ("load_groups", "number"): _between(1, 255),
    ("load_groups", "epoch"): _between(1, 2**32 - 1),
    ("load_groups", "max_off_s"): _between(1, WEEK_S),
    ("load_groups", "min_on_s"): _between(0, WEEK_S),
    ("meters", "accuracy_class"): _positive,
    ("balance_groups", "normal_loss"): (lambda value: value is None or 0 <= value <= 1, "expected 0 to 1"),
    ("balance_groups", "metering_w"): _from_zero,
    ("balance_groups", "metering_w_each"): _from_zero,
    ("balance_members", "valid_from"): _hour,
    ("balance_members", "valid_to"): _hour,
    ("replacements", "hour"): _hour,
    ("balance_groups", "limit_percent"): (
        lambda value: value is None or _positive[0](value), "expected a number above 0"
    ),
    ("meters", "verified"): (lambda value: verified_on(value) is not None, "expected a year or a day: 2014 or 2014-05-20"),
    ("meter_terms", "tariff"): _from_zero,
    ("meter_terms", "verification"): _from_zero,
    ("meter_terms", "replacement"): _positive,
    ("meter_terms", "lost"): _between(0, 1),
    ("meter_terms", "noticed"): _between(0, 10),
    ("meter_terms", "drift"): _between(0, 1),
}

# (kind, field) -> kind it refers to; "" refers to nothing.
REFERENCES: Final[dict[tuple[str, str], str | tuple[str, ...]]] = {
    ("feeders", "transformer"): "transformers",
    ("sections", "feeder"): "feeders",
    ("sections", "linecode"): "linecodes",
    ("concentrators", "transformer"): "transformers",
    ("modules", "concentrator"): "concentrators",
    ("consumers", "feeder"): "feeders",
    ("points", "consumer"): "consumers",
    ("meters", "point"): "points",
    ("meters", "eui"): "modules",
    ("loads", "eui"): "modules",
    ("loads", "consumer"): "consumers",
    ("supplies", "point"): "points",
    ("supplies", "eui"): "modules",
    ("load_groups", "members"): "loads",
    ("balance_groups", "transformer"): "transformers",
    ("balance_groups", "feed_point"): "points",
    ("balance_groups", "members"): ("points", "balance_groups"),
    ("balance_members", "group"): "balance_groups",
    ("balance_members", "member"): ("points", "balance_groups"),
    ("points", "sub_meter_of"): "points",
    ("replacements", "eui"): "modules",
    ("replacements", "heir"): "modules",
}
REQUIRED: Final = {
    ("feeders", "transformer"), ("sections", "feeder"), ("modules", "concentrator"), ("meters", "point"),
    ("supplies", "point"),
    ("balance_members", "group"), ("balance_members", "member"),
}

# What must differ within a kind besides its key.
UNIQUE: Final = (("concentrators", "link_id"), ("modules", "name"), ("load_groups", "number"), ("supplies", "eui"))


def check(site: Site, ghosts: dict[str, set[Any]] | None = None) -> tuple[Finding, ...]:
    """Every error and warning. References to `ghosts` (things whose entry is itself wrong) are not held against anybody."""
    return tuple(
        finding
        for one in (
            _fields(site), _unique(site), _references(site, ghosts or {}), _periods(site), _groups(site), _supplies(site),
            balances(site), _terms(site), _form_factors(site),
        )
        for finding in one
    )


def _form_factors(site: Site) -> Iterator[Finding]:
    for position, one in enumerate(site.transformers):
        missing = [name for name in FORM if getattr(one, name) is None]
        if 0 < len(missing) < len(FORM):
            said = f"is missing; a form factor is {', '.join(FORM[:-1])} and {FORM[-1]}, all of them or none"
            yield Finding("transformers", position, missing[0], said)


def _terms(site: Site) -> Iterator[Finding]:
    for position, one in enumerate(site.meter_terms):
        if said := curve_fault(one.ages, one.rates):
            yield Finding("meter_terms", position, "ages" if len(one.ages) < 2 else "rates", said)


def curve_fault(ages: tuple[float, ...], rates: tuple[float, ...]) -> str:
    """What is wrong with the points of a failure curve; "" if nothing is."""
    if not ages and not rates:
        return ""
    if not 2 <= len(ages) <= MOST_POINTS:
        return f"expected 2 to {MOST_POINTS} ages, or none for the example; found {len(ages)}"
    if ages[0] != 0 or any(not math.isfinite(b) or b <= a for a, b in pairwise(ages)) or ages[-1] > OLDEST:
        return f"expected ages that ascend from 0, up to {OLDEST} years"
    if len(rates) != len(ages) or any(not 0 <= one <= 10 for one in rates):
        return f"expected {len(ages)} rates of 0 to 10 failures a meter and year, one for each age"
    return ""


def _fields(site: Site) -> Iterator[Finding]:
    for kind in KINDS:
        texts = [name for name, form in kind.forms.items() if form.empty_is_value and not form.many]
        rules = [(field, *rule) for (name, field), rule in RULES.items() if name == kind.name]
        for position, thing in enumerate(getattr(site, kind.name)):
            for field in texts:
                if fault := text_fault(field, getattr(thing, field)):
                    yield Finding(kind.name, position, field, fault)
            for field, holds, expected in rules:
                if not holds(getattr(thing, field)):
                    yield Finding(kind.name, position, field, f"{expected}, found {getattr(thing, field)!r}")


def text_fault(field: str, text: str) -> str:
    longest = NAME_LENGTH if field == "name" else TEXT_LENGTH
    if field == "name" and not text:
        return "expected a name"
    if field == "name" and "/" in text:
        return f'expected a name without "/", found {text!r}'
    if len(text) > longest:
        return f"expected at most {longest} characters, found {len(text)}"
    if not text.isprintable() or text != text.strip():
        return f"expected printable text on one line, without space at its ends, found {text!r}"
    return ""


def _unique(site: Site) -> Iterator[Finding]:
    for kind in KINDS:
        yield from _twice(kind.name, kind.key[-1], [kind.key_of(thing) for thing in getattr(site, kind.name)], site)
    for name, field in UNIQUE:
        yield from _twice(name, field, [getattr(thing, field) for thing in getattr(site, name)], site)
    places = [(module.concentrator, module.index) if module.index else object() for module in site.modules]
    yield from _twice("modules", "index", places, site)
    for kind_name, position, said in clashes(site):
        yield Finding(kind_name, position, "name", said)


def _twice(kind: str, field: str, keys: list[Any], site: Site) -> Iterator[Finding]:
    first: dict[Any, int] = {}
    for position, key in enumerate(keys):
        if (earlier := first.setdefault(key, position)) != position:
            things = getattr(site, kind)
            text = KIND[kind].forms[field].text(getattr(things[position], field))
            expected = f"{text!r} stands twice, the other is {KIND[kind].label(things[earlier])}; expected it once"
            yield Finding(kind, position, field, expected)


def _references(site: Site, ghosts: dict[str, set[Any]]) -> Iterator[Finding]:
    known = {kind.name: {kind.key_of(thing) for thing in getattr(site, kind.name)} for kind in KINDS}
    for (name, field), target in REFERENCES.items():
        form = KIND[name].forms[field]
        kinds = (target,) if isinstance(target, str) else target
        there = set().union(*(known[one] | ghosts.get(one, set()) for one in kinds))
        for position, thing in enumerate(getattr(site, name)):
            value = getattr(thing, field)
            values = value if form.many else () if value == "" and (name, field) not in REQUIRED else (value,)
            unknown = [form.text(one) for one in values if one not in there]
            if unknown:
                what = " or ".join(map(one_of, kinds))
                yield Finding(name, position, field, f"no {what} {', '.join(unknown)}; expected one that exists")
            if form.many and len(set(values)) < len(values):
                twice = sorted({form.text(one) for one in values if values.count(one) > 1})
                yield Finding(name, position, field, f"{', '.join(twice)} stands twice; expected each member once")


def _periods(site: Site) -> Iterator[Finding]:
    for position, period in enumerate(site.meters):
        if period.valid_to is not None and period.valid_to <= period.valid_from:
            yield Finding("meters", position, "valid_to", "expected an hour after valid_from")
    for what, key in (("channel", lambda one: (one.eui, one.channel)), ("point", lambda one: one.point)):
        yield from _overlaps(site.meters, what, key)


def _overlaps(meters: tuple[MeterPeriod, ...], what: str, key: Callable[[MeterPeriod], Any]) -> Iterator[Finding]:
    ordered = sorted(range(len(meters)), key=lambda position: meters[position].valid_from)
    last: dict[Any, MeterPeriod] = {}
    for position in ordered:
        period = meters[position]
        earlier = last.get(key(period))
        if earlier is not None and _end(earlier) > period.valid_from:
            end = "open" if earlier.valid_to is None else hour_text(earlier.valid_to)
            yield Finding(
                "meters", position, "valid_from",
                f"overlaps meter {earlier.serial!r} on the same {what} ({hour_text(earlier.valid_from)} to {end}); "
                "expected one meter at a time",
            )
        if earlier is None or _end(period) > _end(earlier):
            last[key(period)] = period


def _end(period: MeterPeriod) -> float:
    return math.inf if period.valid_to is None else period.valid_to


def _groups(site: Site) -> Iterator[Finding]:
    directory = Directory(site)
    for position, group in enumerate(site.load_groups):
        for load in (directory.load_of_eui[eui] for eui in group.members if eui in directory.load_of_eui):
            consumer = directory.consumer.get(load.consumer)
            for holds, what in (
                (load.load_class is LoadClass.RED, "is red and is never shed"),
                (load.never, "is marked never and refuses by itself"),
                (LoadClass.RED < load.load_class < group.load_class, "is yellow in a green group: minutes, not hours"),
                (consumer is not None and consumer.protected, f"belongs to the protected consumer {load.consumer}"),
            ):
                if holds:
                    yield Finding("load_groups", position, "members", f"load {load.eui:016X} {what}", warning=True)
    for position, period in enumerate(site.meters):
        module = directory.module_of_eui.get(period.eui)
        if module is not None and period.channel >= module.channels:
            text = f"channel {period.channel} of a module with {module.channels} channels (the first is 0)"
            yield Finding("meters", position, "channel", text, warning=True)


def _supplies(site: Site) -> Iterator[Finding]:
    directory = Directory(site)
    for position, supply in enumerate(site.supplies):
        point = directory.point.get(supply.point)
        if point is None:
            continue
        valve, electric = supply.kind is SupplyKind.VALVE, point.medium is Medium.ELECTRICITY
        if valve == electric:
            expected = "a contactor or breaker" if electric else "a valve"
            yield Finding("supplies", position, "kind", f"point {point.name} measures {point.medium}; expected {expected}")
        metered = any(period.point == supply.point and period.valid_to is None for period in site.meters)
        if not metered:
            text = f"no meter is installed at {supply.point}: a bypass of its supply would not be seen"
            yield Finding("supplies", position, "point", text, warning=True)
