"""Whom a plan expects at a concentrator is on its list before he is heard, whatever breaks; no list is fetched in vain."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed

from scada.drivers.dmesh.additions import ListFiller, additions, news_for
from scada.drivers.dmesh.lists import RETRY_S, owed
from scada.drivers.dmesh.messages import (
    GetModules,
    ModuleAdd,
    ModuleEntry,
    ModuleJoined,
    ModuleRemove,
    ModuleReplace,
    Result,
)
from scada.drivers.dmesh.modules import Modules, listed
from scada.drivers.dmesh.numbers import Capability, Code
from scada.drivers.dmesh.simulator.answers import answers
from scada.errors import DataRejected, LinkError
from scada.site import Concentrator, Directory, Module, ModuleState, Site
from tests.drivers.dmesh.meeting import EUIS, Meeting
from tests.drivers.dmesh.peers import LINK_ID, Wire, bench, hello
from tests.drivers.dmesh.peers import Peer as FakePeer
from tests.drivers.dmesh.test_lists import DEAD, HEIR, bury, indices, swapped_site
from tests.fakes import NOON

PLANNED, ACTIVE, COMMISSIONING = ModuleState.PLANNED, ModuleState.ACTIVE, ModuleState.COMMISSIONING
FIRST = 0xAD00_0000


def planned(count: int, *more: Module) -> Site:
    """So many modules that a plan put at C01 without an index, and others."""
    modules = (Module(FIRST + number, f"plan-{number}", "C01", 0, PLANNED, channels=2) for number in range(count))
    return Site(
        concentrators=(Concentrator("C01", LINK_ID), Concentrator("C02", LINK_ID + 1)), modules=(*modules, *more),
    )


class Subnet:
    """A concentrator as the page of the protocol has it: link and book of a filler in one."""

    def __init__(self, site: Site, *, step: int = 1) -> None:
        self.directory, self.name, self.up, self.hello = Directory(site), "C01", True, hello(capabilities=128)
        self.list, self.generation, self._step = {1: EUIS[0]}, 7, step
        self.orders: list[ModuleAdd] = []
        self.fetched, self.now = 0, 0.0
        self.told: list[tuple[str, str]] = []
        self.before: Callable[[ModuleAdd], Code | None] = lambda order: None
        any_self: Any = self
        self.filler = ListFiller(any_self, any_self, any_self, lambda: self.now, lambda *said: self.told.append(said))

    async def ask(self, order: ModuleAdd, of: type) -> Result:
        self.orders.append(order)
        return Result(int(self._answer(order)))

    def _answer(self, order: ModuleAdd) -> Code:
        if (code := self.before(order)) is not None:
            return code
        if order.generation != self.generation:
            return Code.INTERLOCK
        free = [index for index in range(1, 241) if index not in self.list]
        if order.eui in self.list.values():
            return Code.DUPLICATE
        if not free or (order.index and order.index not in free):
            return Code.NO_SPACE
        self.change(order.index or free[0], order.eui)
        return Code.OK

    def change(self, index: int, eui: int) -> None:
        self.list[index] = eui
        self.generation += self._step

    def modules(self) -> Modules:
        return listed(self.generation, tuple(ModuleEntry(index, eui, 0) for index, eui in self.list.items()))

    def refresh(self) -> "Deferred[Modules | None]":
        self.fetched += 1
        return succeed(self.modules())

    def fill(self) -> Modules:
        found: list[Modules] = []
        Deferred.fromCoroutine(self.filler.fill(self.modules())).addCallback(found.append)
        return found[0]


def test_what_a_list_lacks() -> None:
    """Who is planned here and not there, those with a free index first; who takes another's place takes that one."""
    place = Module(21, "place", "C01", 9, PLANNED)
    begun = Module(22, "begun", "C01", 0, COMMISSIONING)
    taken = Module(23, "taken", "C01", 2, PLANNED)
    there = Module(EUIS[1], "there", "C01", 2, PLANNED)
    other = Module(24, "other", "C02", 0, PLANNED)
    silent = Module(25, "silent", "C01", 7, ModuleState.LOST)
    site = planned(1, place, begun, taken, there, other, silent)
    entries = tuple(ModuleEntry(index, eui, 1) for index, eui in enumerate(EUIS, 1))
    swapping = Directory(swapped_site())

    assert additions(Directory(site), "C01", listed(4, entries)) == (
        ModuleAdd(4, 21, 9), ModuleAdd(4, 22), ModuleAdd(4, FIRST),
    )
    assert additions(swapping, "C01", listed(4, entries)) == ()             # MODULE_REPLACE brings it
    assert additions(swapping, "C01", listed(4, entries[1:])) == (ModuleAdd(4, HEIR),)


def test_only_who_is_expected_newly_is_news() -> None:
    """Hearing one of them, or losing another, calls for no look at a list."""
    before, more = Directory(planned(2)), Directory(planned(3))
    one, other = planned(2).modules
    heard = Directory(attrs.evolve(planned(2), modules=(attrs.evolve(one, state=ACTIVE), other)))
    moved = Directory(attrs.evolve(planned(2), modules=(one, attrs.evolve(other, concentrator="C02"))))

    assert news_for(before, more) == {"C01"}
    assert news_for(before, heard) == set()
    assert news_for(before, moved) == {"C02"}
    assert news_for(before, before) == set()


def test_a_plan_of_239_costs_a_request_each_and_one_list() -> None:
    """Every order names the generation that the one before has made."""
    one = Subnet(planned(239))
    filled = one.fill()

    assert set(one.list.values()) == {EUIS[0], *(FIRST + number for number in range(239))}
    assert [order.generation for order in one.orders] == list(range(7, 246))
    assert (one.fetched, len(filled)) == (1, 240)
    assert [what for what, _ in one.told] == ["added"]
    assert one.told[0][1].endswith(f"{FIRST + 7:016X} and 231 more")


@pytest.mark.parametrize("step", [1, 3])
def test_whoever_else_changes_the_list_is_noticed_by_the_next_order(step: int) -> None:
    """INTERLOCK: the list is fetched and the rest given on it; also where a concentrator counts generations in threes."""
    one = Subnet(planned(4, Module(31, "placed", "C01", 5, PLANNED)), step=step)

    def meddle(order: ModuleAdd) -> None:
        if len(one.orders) == 2:
            one.change(3, 0xEE)

    one.before = meddle
    one.fill()

    assert sorted(one.list.values()) == sorted([EUIS[0], 0xEE, 31, *(FIRST + number for number in range(4))])
    assert one.list[5] == 31
    assert one.told[-1][0] == "added"
    assert not one.filler.due()


def test_who_is_refused_is_told_once_asked_again_later_and_keeps_nobody_from_his_place() -> None:
    one = Subnet(planned(3))
    one.before = lambda order: Code.DENIED if order.eui == FIRST else None
    one.fill()
    at_once = len(one.orders)
    one.fill()
    early, one.now = (len(one.orders), one.filler.due()), RETRY_S
    due = one.filler.due()
    one.fill()

    assert set(one.list.values()) == {EUIS[0], FIRST + 1, FIRST + 2}
    assert early == (at_once, False)
    assert due
    assert [order.eui for order in one.orders] == [FIRST, FIRST + 1, FIRST + 2, FIRST]
    assert [said for said in one.told if said[0] == "refused"] == [("refused", f"{FIRST:016X}: DENIED")]


def test_a_list_without_a_free_index_is_asked_once_for_all_of_them() -> None:
    """And one that has 240 is not asked at all; both are told."""
    scarce, full = Subnet(planned(5)), Subnet(planned(3))
    scarce.before = lambda order: Code.NO_SPACE
    scarce.fill()
    full.list = {index: index for index in range(1, 241)}
    full.fill()

    assert len(scarce.orders) == 1
    assert [said.split(": ")[-1] for _, said in scarce.told] == ["NO_SPACE"]
    assert scarce.told[0][1].count(",") == 4
    assert full.orders == []
    assert [what for what, _ in full.told] == ["refused"]


def test_a_busy_concentrator_is_left_alone_and_a_broken_link_says_what_was_done() -> None:
    busy, broken = Subnet(planned(5)), Subnet(planned(5))
    busy.before = lambda order: Code.BUSY if len(busy.orders) == 2 else None

    def fall(order: ModuleAdd) -> None:
        if len(broken.orders) == 3:
            raise LinkError("C01", "the link went down")

    broken.before = fall
    busy.fill()
    broken.fill()

    assert (len(busy.orders), busy.fetched, busy.filler.due()) == (2, 1, False)
    assert broken.told == [("added", f"{FIRST:016X}, {FIRST + 1:016X}")]
    busy.now = RETRY_S
    assert busy.filler.due()


def test_a_concentrator_that_says_yes_and_does_nothing_is_not_asked_in_circles() -> None:
    """Nor one whose list is never the one that it gave."""
    idle, mad = Subnet(planned(2)), Subnet(planned(2))
    idle.before = lambda order: Code.OK
    mad.before = lambda order: Code.INTERLOCK
    idle.fill()
    mad.fill()

    assert (len(idle.orders), idle.fetched) == (2, 1)
    assert (len(mad.orders), mad.fetched) == (1, 1)


def test_one_that_does_not_know_the_order_is_asked_again_much_later() -> None:
    """And whoever began it is told, for the log."""
    one = Subnet(planned(2))

    def puzzled(order: ModuleAdd) -> None:
        raise DataRejected("C01", "answered MODULE_ADD with UNKNOWN")

    one.before = puzzled
    failed: list[Any] = []
    Deferred.fromCoroutine(one.filler.fill(one.modules())).addErrback(failed.append)
    early, one.now = one.filler.due(), RETRY_S

    assert (len(one.orders), early, one.filler.due()) == (1, False, True)
    assert failed[0].check(DataRejected)


def test_a_concentrator_that_cannot_be_told_is_not_bothered() -> None:
    one = Subnet(planned(2))
    one.hello = hello(capabilities=int(~Capability.REGISTRY & 0xFFFF))
    one.fill()

    assert (one.orders, one.told, one.fetched) == ([], [], 0)


# ------------------------------------------------------------------------------------------ with both ends
def test_a_plan_that_is_imported_while_the_link_is_up_reaches_the_list_within_seconds(tmp_path: Path) -> None:
    """With the index that the plan names; and they stay planned, for nobody has heard them."""
    one = Meeting(tmp_path)
    one.connect()
    site = planned(2, Module(31, "placed", "C01", 77, PLANNED))
    one.registry.replace(site)
    one.live(30)

    assert {entry.eui: entry.index for entry in one.state.awaited} == {31: 77, FIRST: 4, FIRST + 1: 5}
    assert {module.eui for module in one.registry.joined} == set(EUIS)
    assert one.registry.states == []


@pytest.mark.parametrize("dead", DEAD)
def test_the_link_may_break_at_every_frame_and_everybody_is_on_the_list_once(dead: str, tmp_path: Path) -> None:
    """Nothing but the registry and the list remembers what is owed."""
    whole = Meeting(tmp_path / "whole")
    whole.registry.replace(planned(3))
    whole.connect()
    seen = set()
    for last in range(whole.carried + 1):
        one = Meeting(tmp_path / str(last))
        one.registry.replace(planned(3))
        one.connect(frames=last)
        one.cut()
        seen.add(len(one.state.awaited))
        before = one.state.awaited
        bury(one, dead)
        assert one.state.awaited == before                  # what was answered is on its disk
        assert one.connect()
        assert [(entry.index, entry.eui) for entry in one.state.awaited] == [(4, FIRST), (5, FIRST + 1), (6, FIRST + 2)]

    assert seen == {0, 1, 2, 3}


def test_a_module_that_was_taken_off_is_brought_back_when_it_is_planned_again(tmp_path: Path) -> None:
    """Only MODULE_ADD does that; it is announced with its first word."""
    one = Meeting(tmp_path)
    one.connect()
    one.registry.replace(swapped_site(ModuleState.RETIRED))
    one.carry()
    gone = indices(one)
    one.registry.joined.clear()
    again = swapped_site(ModuleState.RETIRED)
    one.registry.replace(attrs.evolve(again, modules=(attrs.evolve(again.modules[0], state=PLANNED), again.modules[1])))
    one.live(10)
    listed_only = {module.eui for module in one.registry.joined}
    one.state.control.run(NOON + 3600.0)
    one.carry()

    bury(one, "the concentrator")

    assert 1 not in gone
    assert indices(one)[1] == EUIS[0]
    assert EUIS[0] not in listed_only
    assert (EUIS[0], 1) in {(module.eui, module.index) for module in one.registry.joined}


def test_who_is_planned_elsewhere_by_now_leaves_the_list_as_long_as_nobody_heard_him() -> None:
    """Heard, he is a matter for people: the wrong subnet."""
    here = planned(1)
    there = Directory(attrs.evolve(here, modules=(attrs.evolve(here.modules[0], concentrator="C02"),)))
    silent, heard, untold = (
        listed(4, (ModuleEntry(3, FIRST, channels, "", level),)) for channels, level in ((0, 0), (0, 2), (1, 0))
    )

    assert owed(there, "C01", silent) == ModuleRemove(4, FIRST, 3)
    assert owed(there, "C01", heard) is None
    assert owed(there, "C01", untold) is None               # not every concentrator tells the levels
    assert owed(Directory(here), "C01", silent) is None


def test_the_first_word_of_one_who_was_added_is_news_of_his_channels(tmp_path: Path) -> None:
    """The generation is the same, and yet the list is fetched: his hours are expected from then on."""
    site = bench(tmp_path)
    wire = Wire(site.service, FakePeer(hello(capabilities=int(Capability.REGISTRY)))).shake()
    wire.modules[1] = (*(wire.modules[1] or ()), ModuleEntry(4, FIRST, 0))
    site.registry.replace(planned(1))
    for _ in range(3):
        site.reactor.advance(5)
        wire.serve()
    before = len(wire.said(GetModules))
    wire.modules[1] = (*wire.modules[1][:-1], ModuleEntry(4, FIRST, 2, "", 1, 0, -70))
    wire.say(ModuleJoined(1, wire.modules[1][-1:]), corr=9)
    first = len(wire.said(GetModules))
    wire.say(ModuleJoined(1, wire.modules[1][-1:]), corr=10)

    assert (first, len(wire.said(GetModules))) == (before + 1, before + 1)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (ModuleAdd(1, 77), Code.OK), (ModuleAdd(1, 77, 9), Code.OK), (ModuleAdd(1, 77, 2), Code.NO_SPACE),
        (ModuleAdd(1, EUIS[0]), Code.DUPLICATE), (ModuleAdd(9, EUIS[0]), Code.DUPLICATE),
        (ModuleAdd(9, 77), Code.INTERLOCK),
    ],
)
def test_the_simulated_concentrator_answers_as_the_protocol_says(tmp_path: Path, message: ModuleAdd, code: Code) -> None:
    state = Meeting(tmp_path).state
    (answer,) = answers(state, message, float(NOON))

    assert answer == Result(int(code))
    assert state.generation == 1 + (code is Code.OK)


def test_who_was_added_and_never_heard_can_be_replaced_and_removed(tmp_path: Path) -> None:
    state = Meeting(tmp_path).state
    orders = (ModuleAdd(1, 77, 9), ModuleReplace(2, 77, 9, 78), ModuleReplace(3, 77, 9, 79), ModuleRemove(3, 78, 9))
    codes = [answers(state, one, float(NOON))[0] for one in orders[:3]]
    between = state.awaited
    codes += answers(state, orders[3], float(NOON))

    assert codes == [Result(int(code)) for code in (Code.OK, Code.OK, Code.INTERLOCK, Code.OK)]
    assert between == (ModuleEntry(9, 78, 0),)
    assert state.awaited == ()
