"""Sites for tests: a small one to change by hand, and a strategy for random valid ones."""

from pathlib import Path
from typing import Any

import attrs
from hypothesis import strategies as st

from scada.commands import Actor, LoadClass, Role
from scada.registry.checks import PHASES
from scada.registry.names import PREFIXES, RESERVED
from scada.site import (
    Adoption,
    BalanceGroup,
    BalanceMember,
    Concentrator,
    Consumer,
    Feeder,
    GroupKind,
    Linecode,
    Load,
    LoadGroup,
    Medium,
    MemberRole,
    MeterPeriod,
    Module,
    ModuleState,
    Point,
    Replacement,
    Section,
    Site,
    Supply,
    SupplyKind,
    Transformer,
)

ENGINEER = Actor("ana", Role.ENGINEER)
HIGH = 0xFEDC_BA98_7654_3210            # above 2**63: what a signed column would break


def a_site() -> Site:
    """One of everything; three modules, two of them with a load."""
    return Site(
        transformers=(Transformer("T01", "Station 1", 400.0, "north", "T01-meter", 4.0, 4.6, 0.6, "Dyn5", "T01",
                                  0.9, 0.003, 0.5, 0.2, 60, "School street, May", 410.0),),
        feeders=(Feeder("F1", "T01"),),
        linecodes=(Linecode("4x95", 0.32, 0.082, 0.32, 0.082),),
        sections=(
            Section("F1-1", "F1", "T01", "pole 1", 80.0, "4x95"),
            Section("F1-2", "F1", "pole 1", "pole 2", 35.5, "", 0.64, 0.083, 0.64, 0.083),
        ),
        concentrators=(
            Concentrator("C01", 0x4A1000C1, area="north", transformer="T01"),
            Concentrator("C02", 0x4A1000C2, area="south", adoption=Adoption.ENGINEER),
        ),
        modules=(
            Module(HIGH, "C01-001", "C01", 1, ModuleState.ACTIVE, 2, "AD220/50", "House 1"),
            Module(HIGH + 1, "C01-002", "C01", 2, ModuleState.ACTIVE),
            Module(3, "C02-001", "C02", 1),
        ),
        consumers=(Consumer("K1", "Flat 1", "L1", "F1"), Consumer("K2", phases="", protected=True, contract_kw=6.5)),
        points=(
            Point("P1", Medium.ELECTRICITY, "K1", "", "pole 2", 0.95), Point("P2", Medium.ELECTRICITY, "K2"),
            Point("W1", Medium.WATER),
            Point("P3", Medium.ELECTRICITY), Point("P4", Medium.ELECTRICITY, sub_meter_of="P3"),
        ),
        meters=(
            MeterPeriod("A1", "P1", HIGH, 0, 1000.0, 480_000, 490_000),
            MeterPeriod("A2", "P1", HIGH, 0, 3200.0, 490_000),
            MeterPeriod("B1", "P2", HIGH + 1, 0, 1000.0, 480_000),
        ),
        loads=(Load(HIGH, LoadClass.GREEN, "Boiler", "K1", 2000.0), Load(HIGH + 1, LoadClass.YELLOW, consumer="K1")),
        load_groups=(LoadGroup("LG-1", 7, LoadClass.YELLOW, members=(HIGH + 1, HIGH)),),
        balance_groups=(
            BalanceGroup(
                "BG-1", Medium.ELECTRICITY, transformer="T01", feed_tag="T01-meter/energy_import", members=("P2", "P1")
            ),
            BalanceGroup("BG-2", Medium.ELECTRICITY, feed_point="P4", kind=GroupKind.STREET, metering_w_each=1.5),
        ),
        balance_members=(
            BalanceMember("BG-2", "BG-1", 480_000, 490_000), BalanceMember("BG-2", "BG-1", 495_000),
            BalanceMember("BG-2", "P3", role=MemberRole.GENERATION),
        ),
        supplies=(Supply("P1", HIGH, SupplyKind.CONTACTOR, "Main switch"),),
    )


def same(one: Site, other: Site) -> bool:
    """Equal, whatever the number of changes it took."""
    return attrs.evolve(one, generation=0) == attrs.evolve(other, generation=0)


def sqlite(folder: Path, name: str = "registry.sqlite") -> str:
    return f"sqlite:///{folder / name}"


printable = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
texts = st.text(printable, max_size=12).filter(lambda text: text.isprintable() and text == text.strip())
own = (*RESERVED, *PREFIXES)             # names the server keeps for itself; hypothesis knows the words of the source
names = texts.filter(lambda text: text and "/" not in text and not text.startswith(own))
euis = st.integers(0, 2**64 - 1)
positive = st.floats(0, exclude_min=True, allow_infinity=False)


def some(values: list[Any], most: int = 4) -> st.SearchStrategy[list[Any]]:
    """Some of the values, each once, in any order."""
    return st.lists(st.sampled_from(values), max_size=most, unique=True) if values else st.just([])


@st.composite
def sites(draw: Any) -> Site:
    """A valid site: every reference is one that exists, periods follow each other."""

    def ref(things: list[Any], *, required: bool = False) -> str:
        named = [thing.name for thing in things]
        return draw(st.sampled_from(named if required else ["", *named]))

    pool = iter(draw(st.lists(names, min_size=28, max_size=28, unique=True)))
    transformers = [
        Transformer(next(pool), draw(texts), draw(positive), draw(texts), draw(texts))
        for _ in range(draw(st.integers(0, 2)))
    ]
    feeders = [Feeder(next(pool), ref(transformers, required=True), draw(texts)) for _ in range(2) if transformers]
    links = draw(st.lists(st.integers(0, 2**32 - 1), max_size=2, unique=True))
    concentrators = [
        Concentrator(next(pool), link, draw(texts), draw(texts), ref(transformers), draw(st.sampled_from(Adoption)))
        for link in links
    ]
    linecodes = [
        Linecode(next(pool), *draw(st.tuples(*[st.floats(-9, 9)] * 4))) for _ in range(draw(st.integers(0, 2)))
    ]
    sections = [
        Section(
            next(pool), ref(feeders, required=True), draw(texts) or "a", draw(texts) or "b", draw(st.floats(0, 9999)),
            ref(linecodes), *draw(st.tuples(*[st.none() | st.floats(-9, 9)] * 4)),
        )
        for _ in range(draw(st.integers(0, 2))) if feeders
    ]
    indices = draw(st.lists(st.integers(1, 240), min_size=4, max_size=4, unique=True))
    modules = [
        Module(
            eui, next(pool), ref(concentrators, required=True), index, draw(st.sampled_from(ModuleState)),
            draw(st.integers(0, 8)), draw(texts), draw(texts), draw(texts),
        )
        for eui, index in zip(draw(st.lists(euis, max_size=4, unique=True)), indices, strict=False) if concentrators
    ]
    consumers = [
        Consumer(
            next(pool), draw(texts), draw(st.sampled_from(PHASES)), ref(feeders), draw(texts), draw(st.booleans()),
            draw(st.none() | positive),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    points = [
        Point(next(pool), draw(st.sampled_from(Medium)), ref(consumers), draw(texts), draw(texts), draw(st.floats(0.1, 1)))
        for _ in range(draw(st.integers(0, 4)))
    ]
    meters = []
    for module, point in zip(modules, points, strict=False):
        edges = sorted(draw(st.lists(st.integers(0, 69_999_999), min_size=3, max_size=3, unique=True)))
        channel = draw(st.integers(0, 7))
        last = draw(st.sampled_from([None, edges[2]]))
        meters += [
            MeterPeriod(draw(texts), point.name, module.eui, channel, draw(positive), edges[0], edges[1]),
            MeterPeriod(
                draw(texts), point.name, module.eui, channel, draw(positive), edges[1], last, accuracy_class=draw(positive)
            ),
        ]
    loads = [
        Load(
            module.eui, draw(st.sampled_from(LoadClass)), draw(texts), ref(consumers),
            draw(st.floats(0, allow_infinity=False)), draw(st.booleans()), draw(st.booleans()),
        )
        for module in draw(some(modules))
    ]
    load_groups = [
        LoadGroup(
            next(pool), number, draw(st.sampled_from(LoadClass)), draw(texts), draw(texts), draw(st.integers(1, 2**32 - 1)),
            draw(st.integers(1, 86400)), draw(st.integers(0, 86400)), tuple(draw(some([load.eui for load in loads]))),
        )
        for number in draw(st.lists(st.integers(1, 255), max_size=2, unique=True))
    ]
    balance_groups: list[BalanceGroup] = []
    balance_members: list[BalanceMember] = []
    for _ in range(draw(st.integers(0, 2))):
        medium = draw(st.sampled_from(Medium))
        own = [point.name for point in points if point.medium is medium]
        feed_point = draw(st.sampled_from(["", *own]))
        balance_groups.append(
            BalanceGroup(
                next(pool), medium, draw(texts), ref(transformers), "" if feed_point else draw(texts), feed_point,
                tuple(draw(some([one for one in own if one != feed_point]))), draw(st.none() | st.floats(0, 1)),
                draw(positive), draw(st.sampled_from(GroupKind)),
            )
        )
        last = balance_groups[-1]
        edges = sorted(draw(st.lists(st.integers(0, 69_999_999), min_size=3, max_size=3, unique=True)))
        # A group without a feed: whatever it holds, nothing that feeds its parent is in it.
        child = [one.name for one in balance_groups[:-1] if one.medium is medium and not one.fed and not last.fed]
        role = draw(st.sampled_from([MemberRole.CONSUMPTION, MemberRole.COMMON]))
        balance_members += [
            BalanceMember(last.name, member, first, until, role)
            for member in draw(some([*(one for one in own if one != feed_point and one not in last.members), *child]))
            for first, until in ((edges[0], edges[1]), (edges[1], draw(st.sampled_from([None, edges[2]]))))
        ]
    replacements = [
        Replacement(old.eui, draw(st.sampled_from(modules)).eui, draw(st.integers(0, 69_999_999)))
        for old in draw(some(modules))
    ]
    supplies = [
        Supply(
            point.name, module.eui, draw(st.sampled_from([SupplyKind.CONTACTOR, SupplyKind.BREAKER]))
            if point.medium is Medium.ELECTRICITY else SupplyKind.VALVE, draw(texts),
        )
        for module, point in zip(draw(some(modules)), points, strict=False)
    ]
    kinds = (
        transformers, feeders, linecodes, sections, concentrators, modules, consumers, points, meters, loads, load_groups,
        balance_groups, balance_members, replacements, supplies,
    )
    return Site(*(tuple(kind) for kind in kinds))
