"""A swap reaches the concentrator's list, wherever the link breaks and whoever is killed then; and the radio obeys."""

from pathlib import Path

import attrs
import numpy as np
import pytest

from scada.commands import Action, LoadClass
from scada.drivers.dmesh import sets
from scada.drivers.dmesh.lists import concerned, owed
from scada.drivers.dmesh.messages import GroupCommand, GroupSet, ModuleEntry, ModuleRemove, ModuleReplace, Result
from scada.drivers.dmesh.modules import listed
from scada.drivers.dmesh.numbers import Capability, Code
from scada.drivers.dmesh.simulator.answers import answers
from scada.site import Concentrator, Directory, Module, ModuleState, Replacement, Site
from tests.drivers.dmesh.meeting import EUIS, Meeting
from tests.drivers.dmesh.peers import LINK_ID, Bench, Wire, bench, hello
from tests.drivers.dmesh.peers import Peer as FakePeer
from tests.fakes import NOON

HEIR = 0xAB_0001
DEAD = ("nobody", "the server", "the concentrator", "both")
REPLACED, RETIRED, PLANNED, ACTIVE = (
    ModuleState.REPLACED, ModuleState.RETIRED, ModuleState.PLANNED, ModuleState.ACTIVE
)


def swapped_site(state: ModuleState = REPLACED) -> Site:
    """EUIS[0] has left; for a swap HEIR has its place."""
    modules = (
        Module(EUIS[0], "C01-001", "C01", 0, state), Module(EUIS[1], "C01-002", "C01", 2, ACTIVE),
        Module(HEIR, "heir", "C01", 0, PLANNED),
    )
    gone = (Replacement(EUIS[0], HEIR, 1),) if state is REPLACED else ()
    return Site(concentrators=(Concentrator("C01", LINK_ID),), modules=modules, replacements=gone)


def indices(one: Meeting) -> dict[int, int]:
    return {module.index: module.eui for module in one.state.modules}


def wait(site: Bench, wire: Wire, seconds: int) -> None:
    """Time passes, and the peer goes on answering."""
    for _ in range(seconds // 5):
        site.reactor.advance(5)
        wire.serve()


def bury(one: Meeting, who: str) -> None:
    if who in ("the server", "both"):
        one.start_server()
    if who in ("the concentrator", "both"):
        one.start_concentrator()


@pytest.mark.parametrize(("state", "first"), [(REPLACED, HEIR), (RETIRED, None)])
def test_a_swap_or_retirement_while_the_link_is_up_changes_the_list_at_once(
    tmp_path: Path, state: ModuleState, first: int | None
) -> None:
    """MODULE_REPLACE keeps the index; MODULE_REMOVE frees it."""
    one = Meeting(tmp_path)
    one.registry.replace(attrs.evolve(swapped_site(), modules=tuple(
        attrs.evolve(module, state=ACTIVE) if module.eui == EUIS[0] else module for module in swapped_site().modules
    ), replacements=()))
    one.connect()
    one.registry.replace(swapped_site(state))
    one.carry()

    assert indices(one).get(1) == first
    assert indices(one)[2] == EUIS[1]


@pytest.mark.parametrize("dead", DEAD)
def test_the_link_may_break_at_every_frame_and_the_list_is_put_right_all_the_same(dead: str, tmp_path: Path) -> None:
    """Nothing but the registry and the list itself remembers what is owed; nothing is done twice."""
    whole = Meeting(tmp_path / "whole")
    whole.registry.replace(swapped_site())
    whole.connect()
    seen = set()
    for last in range(whole.carried + 1):
        one = Meeting(tmp_path / str(last))
        one.registry.replace(swapped_site())
        one.connect(frames=last)
        one.cut()
        seen.add(indices(one)[1])
        bury(one, dead)
        assert one.connect()
        assert indices(one) == {1: HEIR, 2: EUIS[1], 3: EUIS[2]}

    assert seen == {EUIS[0], HEIR}


def test_a_heir_that_nobody_has_heard_is_announced_only_when_it_speaks(tmp_path: Path) -> None:
    """The list has it at once; the registry goes on planning until its first word."""
    one = Meeting(tmp_path)
    one.registry.replace(swapped_site())
    one.connect()
    before = {module.eui for module in one.registry.joined}
    one.state.control.run(NOON + 3600.0)
    one.carry()

    assert HEIR not in before
    assert (HEIR, 1) in {(module.eui, module.index) for module in one.registry.joined}


def test_an_order_that_is_refused_is_given_again_later_and_not_before(tmp_path: Path) -> None:
    site = bench(tmp_path)
    site.registry.replace(swapped_site())
    wire = Wire(site.service, FakePeer(hello(capabilities=int(Capability.REGISTRY))))
    wire.replies[ModuleReplace] = lambda message: Result(Code.BUSY)
    wire.shake()
    wait(site, wire, 60)
    once = len(wire.said(ModuleReplace))
    wait(site, wire, 300)

    assert once == 1
    assert wire.said(ModuleReplace) == 2 * [ModuleReplace(1, EUIS[0], 1, HEIR)]


def test_a_concentrator_that_cannot_be_told_is_not_asked(tmp_path: Path) -> None:
    site = bench(tmp_path)
    site.registry.replace(swapped_site())
    wire = Wire(site.service).shake()
    wait(site, wire, 600)

    assert wire.said(ModuleReplace) == []


def test_what_a_list_owes() -> None:
    """The heir's heir has the place; one with an index of its own leaves a gap; where nobody said who, nothing leaves."""
    site = swapped_site()
    entries = listed(4, tuple(ModuleEntry(index, eui, 1) for index, eui in enumerate(EUIS, 1)))
    both = listed(4, (*entries.entries, ModuleEntry(9, HEIR, 1)))
    early = listed(4, (*entries.entries, ModuleEntry(9, HEIR, 0)))
    last = Module(7, "last", "C01", 0, PLANNED)
    chain = attrs.evolve(
        site, modules=(*site.modules[:2], attrs.evolve(site.modules[2], state=REPLACED), last),
        replacements=(*site.replacements, Replacement(HEIR, 7, 2)),
    )
    nobody = attrs.evolve(site, replacements=())
    ring = attrs.evolve(chain, replacements=(Replacement(EUIS[0], HEIR, 1), Replacement(HEIR, EUIS[0], 2)))

    assert owed(Directory(site), "C01", entries) == ModuleReplace(4, EUIS[0], 1, HEIR)
    assert owed(Directory(site), "C01", both) == ModuleRemove(4, EUIS[0], 1)
    assert owed(Directory(site), "C01", early) == ModuleRemove(4, HEIR, 9)      # planned before: it gets the place next
    assert owed(Directory(chain), "C01", entries) == ModuleReplace(4, EUIS[0], 1, 7)
    assert owed(Directory(nobody), "C01", entries) is None
    assert owed(Directory(site), "C02", entries) is None
    assert owed(Directory(ring), "C01", entries) == ModuleRemove(4, EUIS[0], 1)


def test_only_a_change_of_who_belongs_to_a_list_concerns_it() -> None:
    """Lost and back again are daily news of thousands."""
    site = swapped_site()
    lost = attrs.evolve(site, modules=(site.modules[0], attrs.evolve(site.modules[1], state=ModuleState.LOST)))
    moved = attrs.evolve(site, modules=(site.modules[0], attrs.evolve(site.modules[1], concentrator="C02")))

    assert concerned(site, lost) == set()
    assert concerned(site, moved) == {"C01", "C02"}
    assert concerned(Site(), site) == set()


def test_the_new_module_counts_from_0_what_hangs_on_the_same_wires(tmp_path: Path) -> None:
    """And delivers it under the new generation of the list."""
    state = Meeting(tmp_path).state
    eui = np.array([EUIS[0]], dtype=np.uint64)
    hour = NOON // 3600

    def close(at: int, register: int) -> None:
        state.close_hour(at, eui, np.zeros(1, np.uint8), np.array([register]), np.array([5]), np.zeros(1, np.uint8))

    close(hour, 1000)
    state.change_list(ModuleReplace(state.generation, EUIS[0], 1, HEIR), NOON + 3600.0)
    close(hour + 1, 1005)
    first, second = (one.profile for one in state.archive.after_all(0))

    assert (int(first.register[0]), int(second.register[0])) == (1000, 0)
    assert second.generation == first.generation + 1


def test_after_a_replacement_nobody_of_the_group_is_switched_until_the_server_says_who_is_meant(tmp_path: Path) -> None:
    state = Meeting(tmp_path).state
    pairs = [(1, EUIS[0]), (2, EUIS[1])]
    state.control.set_group(GroupSet(5, 2, sets.bitmap([1, 2]), sets.members_digest(pairs)))
    state.change_list(ModuleReplace(state.generation, EUIS[0], 1, HEIR), float(NOON))
    command = GroupCommand(b"c" * 16, 5, 2, Action.SHED, LoadClass.GREEN, 600, NOON + 300, 0, 1, NOON << 16)

    assert state.control.take(command, float(NOON)) is Code.INTERLOCK


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (ModuleReplace(1, EUIS[0], 1, HEIR), Code.OK), (ModuleReplace(9, EUIS[0], 1, HEIR), Code.INTERLOCK),
        (ModuleReplace(1, EUIS[0], 2, HEIR), Code.INTERLOCK), (ModuleReplace(1, EUIS[0], 1, EUIS[1]), Code.DUPLICATE),
        (ModuleRemove(1, EUIS[0], 1), Code.OK), (ModuleRemove(1, HEIR, 1), Code.DUPLICATE),
    ],
)
def test_the_simulated_concentrator_answers_as_the_protocol_says(
    tmp_path: Path, message: ModuleReplace | ModuleRemove, code: Code
) -> None:
    state = Meeting(tmp_path).state
    (answer,) = answers(state, message, float(NOON))

    assert answer == Result(int(code))
