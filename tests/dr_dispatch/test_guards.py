"""Every guard red and green; and all of them at once."""

import re
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from scada.bus import TagBus
from scada.clock import NS
from scada.commands import Action, Actor, LoadClass, Role, ShedRequest
from scada.dr_dispatch import guards, planner
from scada.dr_dispatch.guards import GUARDS, Image
from scada.dr_dispatch.images import NOBODY
from scada.dr_dispatch.local import Say
from scada.dr_dispatch.outages import Outage, Outages
from scada.settings import DispatchSettings
from scada.site import Directory, Medium, Site, Supply, SupplyKind
from scada.tags import Batch, Quality
from tests.dr_dispatch.fakes import ANNA, EVERYBODY, METER, FakeLocal, ThreadClock, site
from tests.fakes import site_clock

FIRST, ADAM = EVERYBODY[0], Actor("adam", Role.ADMINISTRATOR)
DAY_S = 86400


def image(
    content: Site | None = None, *, actor: Actor = ANNA, group: str = "LG-Y", off_for_s: int = 600, trusted: bool = True,
    action: Action = Action.SHED, level_w: int = 0, outages: tuple[Outage, ...] = (), meter: Quality | None = Quality.GOOD,
    age_s: float = 5.0, rate: float = 1.0, local: tuple[str, ...] = (), **settings: Any,
) -> Image:
    """An image in which nothing forbids a shed, except what a test changes."""
    directory = Directory(content or site())
    found = directory.load_group.get(group)
    time = ThreadClock()
    clock = site_clock(time, rate=rate)
    time.advance(DAY_S)
    bus = TagBus(clock, time)
    now = clock.now()
    if meter is not None:
        bus.add_device(METER)
        at = now - round(age_s * NS * rate)
        bus.publish(Batch("T01-meter", np.array([1.0, 3.0]), np.array([0, meter], dtype=np.uint8), at, at))
    moved = Outages.of(attrs.evolve(one, begin=now + one.begin * NS, end=now + one.end * NS) for one in outages)
    return Image(
        now=now, rate=rate, trusted=trusted, actor=actor,
        request=ShedRequest(group, off_for_s, action=action, level_w=level_w),
        settings=DispatchSettings(monitor_only=False, **settings), directory=directory, group=found,
        members=planner.freeze(directory, found, now) if found else NOBODY,
        outages=(moved,), snapshot=bus.snapshot(), devices=bus.devices(), say=Say(FakeLocal(*local).locals(), directory),
    )


def off(begin: int, end: int, eui: int = FIRST) -> Outage:
    """An outage in seconds from now."""
    return Outage(eui, b"earlier", begin, end)


def with_meter(**changes: Any) -> Site:
    first, *others = site().meters
    return attrs.evolve(site(), meters=(attrs.evolve(first, **changes), *others))


def with_group(**changes: Any) -> Site:
    whole = site()
    return attrs.evolve(whole, load_groups=(attrs.evolve(whole.load_groups[0], **changes), whole.load_groups[1]))


def with_load(**changes: Any) -> Site:
    whole = site()
    return attrs.evolve(whole, loads=(attrs.evolve(whole.loads[0], **changes), *whole.loads[1:]))


def with_consumer(**changes: Any) -> Site:
    whole = site()
    return attrs.evolve(whole, consumers=(attrs.evolve(whole.consumers[0], **changes), *whole.consumers[1:]))


def with_area(area: str) -> Site:
    whole = site()
    return attrs.evolve(
        whole, concentrators=(attrs.evolve(whole.concentrators[0], area=area), *whole.concentrators[1:])
    )


def without_transformer() -> Site:
    whole = site()
    first = attrs.evolve(whole.concentrators[0], transformer="")
    return attrs.evolve(whole, concentrators=(first, *whole.concentrators[1:]))


def without_meter() -> Site:
    return attrs.evolve(site(), transformers=(attrs.evolve(site().transformers[0], meter=""),))


RED: list[tuple[str, Callable[[], Image], str]] = [
    ("may_command", lambda: image(actor=Actor("eve", Role.ENGINEER)), "only dispatchers and administrators"),
    ("may_command", lambda: image(actor=Actor("sara", Role.DISPATCHER, ("south",))), "may not command in area north"),
    ("may_command", lambda: image(with_area("east")), "may not command in area east, where members"),
    ("may_command", lambda: image(with_area("")), r"may not command in area \(none\), where members"),
    ("may_command", lambda: image(with_group(area="")), r"may not command in area \(none\)"),
    ("nowhere_local", lambda: image(local=("area:north",)), "area:north is in local since ion said so.* may be restored"),
    ("nowhere_local", lambda: image(with_area("east"), actor=ADAM, local=("area:east",)), "area:east is in local"),
    ("nowhere_local", lambda: image(with_group(area=""), actor=ADAM, local=("area:",)), "area: is in local"),
    ("nowhere_local", lambda: image(with_load(consumer=""), local=("point:PC01-001",)), "point:PC01-001 is in local"),
    ("nowhere_local", lambda: image(attrs.evolve(site(), meters=()), local=("point:PC01-001",)), "point:PC01-001 is in"),
    ("nowhere_local", lambda: image(attrs.evolve(
        site(), supplies=(Supply("PC01-001", FIRST, SupplyKind.CONTACTOR),), meters=(), loads=with_load(consumer="").loads),
        local=("point:PC01-001",)), "point:PC01-001 is in local"),
    ("nowhere_local", lambda: image(local=("area:north",), action=Action.ECO), "area:north is in local"),
    ("effect_visible", lambda: image(without_transformer()), "effect would not be seen: C01"),
    ("group_exists", lambda: image(group="LG-X"), "no load group LG-X"),
    ("group_exists", lambda: image(with_group(members=())), "has no members"),
    ("group_exists", lambda: image(with_group(number=256)), "groups 1 to 255"),
    ("nothing_red", lambda: image(with_group(load_class=LoadClass.RED)), "is a red group"),
    ("nothing_red", lambda: image(with_load(load_class=LoadClass.RED)), "red load in the group: C01-001"),
    ("nothing_red", lambda: image(attrs.evolve(site(), loads=site().loads[1:])), "class is not known: C01-001"),
    ("nothing_never", lambda: image(with_load(never=True)), "never to be switched off: C01-001"),
    ("nobody_protected", lambda: image(with_consumer(protected=True)), "protected consumer in the group: C01-001"),
    ("nobody_protected", lambda: image(attrs.evolve(with_consumer(protected=True), loads=with_load(consumer="").loads)),
     "protected consumer in the group: C01-001"),
    ("nobody_protected", lambda: image(attrs.evolve(
        with_consumer(protected=True), loads=with_load(consumer="").loads, meters=with_meter(valid_to=1_000_000).meters)),
     "protected consumer in the group: C01-001"),
    ("nobody_protected", lambda: image(with_load(consumer="ghost")), r"not in the registry.*C01-001 \(ghost\)"),
    ("class_matches", lambda: image(with_load(load_class=LoadClass.GREEN)), r"than yellow in the group: C01-001 \(green\)"),
    ("action_known", lambda: image(action=Action.SUPPLY_OFF), "supply_off is not for a group"),
    ("action_known", lambda: image(action=Action.LIMIT), "limit of 0 W"),
    ("action_known", lambda: image(action=Action.ECO, level_w=5), "a level belongs to a limit"),
    ("action_known", lambda: image(level_w=5), "a level belongs to a limit"),
    ("off_for_allowed", lambda: image(action=Action.ECO, off_for_s=0), "a limit without an end is never sent"),
    ("off_for_allowed", lambda: image(action=Action.LIMIT, level_w=500, off_for_s=86401), "expected 1 to 86400 s"),
    ("nobody_protected", lambda: image(with_consumer(protected=True), action=Action.ECO), "protected consumer"),
    ("off_for_allowed", lambda: image(off_for_s=0), "expected more than 0"),
    ("off_for_allowed", lambda: image(off_for_s=-5), "expected more than 0"),
    ("off_for_allowed", lambda: image(off_for_s=901), "more than the 900 s allowed"),
    ("off_for_allowed", lambda: image(with_group(max_off_s=300), off_for_s=301), "more than the 300 s allowed"),
    ("not_off_already", lambda: image(outages=(off(-10, 1),)), "off already, or perhaps off.*C01-001"),
    ("rested", lambda: image(outages=(off(-2399, -1799),)), "minimum on-time until .*C01-001"),
    ("rested", lambda: image(attrs.evolve(with_group(min_on_s=0)), outages=(off(-2399, -1799),)), "minimum on-time"),
    ("rolling_off_time", lambda: image(with_group(min_on_s=0), outages=(off(-1000, -699),)), "900 s within 2700 s"),
    ("time_trusted", lambda: image(trusted=False), "not synchronised"),
    ("transformer_fresh", lambda: image(meter=None), "T01-meter has never been heard of"),
    ("transformer_fresh", lambda: image(meter=Quality.BAD_NOT_CONNECTED), r"is not good \(BAD_NOT_CONNECTED\)"),
    ("transformer_fresh", lambda: image(meter=Quality.UNCERTAIN_LAST_KNOWN), "is not good"),
    ("transformer_fresh", lambda: image(age_s=31), "is 31 s old"),
    ("transformer_fresh", lambda: image(age_s=31, rate=600.0), "is 31 s old"),
]
GREEN: list[tuple[str, Callable[[], Image]]] = [
    ("may_command", lambda: image(actor=Actor("adam", Role.ADMINISTRATOR))),
    ("may_command", lambda: image(with_area("east"), actor=Actor("anna", Role.DISPATCHER, ("north", "east")))),
    ("nobody_protected", lambda: image(attrs.evolve(site(), consumers=with_consumer(title="Flat 1").consumers))),
    ("off_for_allowed", lambda: image(off_for_s=900)),
    ("action_known", lambda: image(action=Action.LIMIT, level_w=500)),
    ("off_for_allowed", lambda: image(action=Action.LIMIT, level_w=500, off_for_s=86400)),
    ("not_off_already", lambda: image(outages=(off(-10, 1),), action=Action.ECO)),
    ("rested", lambda: image(outages=(off(-2399, -1799),), action=Action.ECO)),
    ("rolling_off_time", lambda: image(with_group(min_on_s=0), outages=(off(-1000, -699),), action=Action.ECO)),
    ("nobody_protected", lambda: image(attrs.evolve(
        with_consumer(protected=True), loads=with_load(consumer="").loads, meters=with_meter(valid_to=1).meters))),
    ("not_off_already", lambda: image(outages=(off(-10, 0),))),
    ("rested", lambda: image(outages=(off(-2400, -1800),))),
    ("rolling_off_time", lambda: image(with_group(min_on_s=0), outages=(off(-1000, -700),))),
    ("rolling_off_time", lambda: image(with_group(min_on_s=0), outages=(off(-3000, -2101),))),
    ("transformer_fresh", lambda: image(age_s=29)),
    ("transformer_fresh", lambda: image(age_s=29, rate=600.0)),
    ("transformer_fresh", lambda: image(without_meter(), meter=None)),
    ("effect_visible", lambda: image(without_meter(), meter=None)),
    ("effect_visible", lambda: image(without_transformer(), without_transformer=True)),
    ("nowhere_local", lambda: image(local=("area:south", "area:", "point:P"))),
    ("nowhere_local", lambda: image(attrs.evolve(
        with_meter(valid_to=1), loads=with_load(consumer="").loads), local=("point:PC01-001",))),
    ("nowhere_local", lambda: image(attrs.evolve(site(), meters=(), points=tuple(
        attrs.evolve(one, medium=Medium.WATER) for one in site().points)), local=("point:PC01-001",))),
    ("may_command", lambda: image(with_area(""), actor=Actor("anna", Role.DISPATCHER))),
]
BY_NAME = {guard.__name__: guard for guard in GUARDS}


@pytest.mark.parametrize(("name", "make", "said"), RED)
def test_a_guard_forbids_with_a_reason(name: str, make: Callable[[], Image], said: str) -> None:
    """The guard that is meant speaks, and the command as a whole is refused."""
    made = make()
    reasons = list(BY_NAME[name](made))

    assert len(reasons) == 1
    assert re.search(said, reasons[0])
    assert reasons[0] in guards.refusals(made)


@pytest.mark.parametrize(("name", "make"), GREEN)
def test_a_guard_is_silent_where_nothing_is_wrong(name: str, make: Callable[[], Image]) -> None:
    """The nearest case that is still allowed."""
    assert list(BY_NAME[name](make())) == []


def test_nothing_forbids_the_plain_case() -> None:
    """Every guard is silent about a site in order."""
    assert guards.refusals(image()) == ()


@pytest.mark.parametrize("name", BY_NAME)
def test_every_guard_has_been_seen_red(name: str) -> None:
    """A guard added later must be added above."""
    assert name in {red for red, _, _ in RED}


def test_all_reasons_come_at_once() -> None:
    """One answer names everything: nobody has to click five times to learn five reasons."""
    made = image(
        with_load(never=True), actor=Actor("eve", Role.ENGINEER), off_for_s=5000, trusted=False, meter=None,
        outages=(off(-10, 10, EVERYBODY[1]),),
    )

    assert len(guards.refusals(made)) == 6


def test_a_long_list_of_members_is_cut_in_the_sentence() -> None:
    """A reason stays readable with a thousand members."""
    assert guards.some([f"C01-{n:03}" for n in range(9)]) == "C01-000, C01-001, C01-002, C01-003, C01-004 and 4 more"
