"""A group's key reaches every member, whatever breaks; an epoch is put to use when all hold its key, or somebody left."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.columns import Pairs
from scada.commands import Action, GroupOrder, LoadClass
from scada.drivers.dmesh.group_keys import InUse, assignments, under_old
from scada.drivers.dmesh.key_ledger import KeyLedger
from scada.drivers.dmesh.messages import GroupCommand, GroupSet, KeyHeld, KeyMembers, KeyPut, MemberKey, Result
from scada.drivers.dmesh.numbers import Capability, Code, KeyTarget
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.answers import answers
from scada.errors import StorageError
from scada.site import Concentrator, Directory, LoadGroup, Module, ModuleState, Site
from tests.drivers.dmesh.meeting import EUIS, Meeting
from tests.drivers.dmesh.peers import LINK_ID, Wire, bench, hello, run_now
from tests.drivers.dmesh.peers import Peer as FakePeer
from tests.fakes import NOON

DEAD = ("nobody", "the server", "the concentrator", "both")
GROUP = 5
COMMAND = b"c" * 16


def site(epoch: int = 1, members: tuple[int, ...] = EUIS) -> Site:
    modules = tuple(
        Module(eui, f"C01-00{index}", "C01", index, ModuleState.ACTIVE) for index, eui in enumerate(EUIS, 1)
    )
    group = LoadGroup("LG", GROUP, LoadClass.GREEN, epoch=epoch, members=members)
    return Site(concentrators=(Concentrator("C01", LINK_ID),), modules=modules, load_groups=(group,))


def meeting(folder: Path, **how: object) -> Meeting:
    folder.mkdir(exist_ok=True)
    one = Meeting(folder)
    one.registry.replace(site())
    return one


def holders(one: Meeting, epoch: int = 1) -> set[int]:
    """Who really holds the key, as the modules themselves would say."""
    place = (GROUP, epoch)
    there = {module.index: module.eui for module in one.state.modules}
    known, lacks = place in one.state.keys.groups, one.state.handing.lacks
    return {eui for index, eui in there.items() if known and not lacks(index, place)}


def missing(one: Meeting) -> tuple[int, ...]:
    state = one.service.group_keys("LG")
    assert state is not None
    return state.shares[0].missing


def in_use(one: Meeting) -> int:
    state = one.service.group_keys("LG")
    assert state is not None
    return state.shares[0].in_use


def bury(one: Meeting, who: str) -> None:
    if who in ("the server", "both"):
        one.start_server()
    if who in ("the concentrator", "both"):
        one.start_concentrator()


def test_every_member_gets_the_key_under_its_own_and_the_epoch_is_put_to_use(tmp_path: Path) -> None:
    """The third module has no key of its own: it gets the group's as the concentrator protects it."""
    one = meeting(tmp_path)
    one.keys.begin([(KeyTarget.MODULE, eui) for eui in EUIS[:2]], one.clock.real())
    one.connect()
    one.live(300)

    assert (missing(one), in_use(one)) == ((), 1)
    assert holders(one) == set(EUIS)
    assert one.state.control._groups[GROUP].epoch == 1


def test_a_member_with_another_key_than_ours_refuses_and_stays_missing(tmp_path: Path) -> None:
    """It is named, and the epoch waits."""
    one = meeting(tmp_path)
    one.keys.add([((KeyTarget.MODULE, EUIS[0]), b"k" * 16)])         # never carried there
    one.connect()
    one.live(60)

    assert missing(one) == (EUIS[0],)
    assert in_use(one) == 0


@pytest.mark.parametrize("dead", DEAD)
def test_the_link_may_break_at_every_frame_of_it_and_everybody_has_the_key_in_the_end(dead: str, tmp_path: Path) -> None:
    """Whoever is killed comes back from its disk; nobody is ever taken to hold what he has not."""
    whole = meeting(tmp_path / "whole")
    whole.connect()
    shaken = whole.carried
    whole.live(100)
    for last in range(shaken - 2, whole.carried + 1):       # the frames before are those of any session
        one = meeting(tmp_path / str(last))
        for _ in range(20 if one.connect(frames=last) else 0):
            one.reactor.advance(5.0)
            one.state.control.run(float(one.clock.seconds()))
            if not one.carry(frames=last - one.carried):
                break
        one.cut()
        assert set(EUIS) - set(missing(one)) <= holders(one)
        bury(one, dead)
        assert one.connect()
        for _ in range(60):
            one.live(10)
            if (missing(one), in_use(one)) == ((), 1):
                break
        else:
            pytest.fail(f"frame {last}: {missing(one)} still lack the key")
        if dead in ("nobody", "the server"):                # else it has forgotten, and only the modules know
            assert holders(one) == set(EUIS)


def test_silent_members_are_named_again_and_the_epoch_before_goes_on_meanwhile(tmp_path: Path) -> None:
    """A command goes out under the epoch that reaches more; when the last one has the key, under the new one."""
    one = meeting(tmp_path)
    one.connect()
    one.live(300)
    one.state.plight.away = {1, 2}
    one.registry.replace(site(2))
    one.live(400)
    silent, used = missing(one), in_use(one)
    one.service.send(order(2))
    one.carry()
    sent = one.state.control._commands[COMMAND].command
    one.state.plight.away = set()
    one.live(3600)

    assert (silent, used, sent.epoch) == (EUIS[:2], 1, 1)
    assert (missing(one), in_use(one)) == ((), 2)
    assert (GROUP, 1) not in one.state.keys.groups            # taken back


def test_a_review_prepares_the_epoch_under_which_the_command_goes_out(tmp_path: Path) -> None:
    """Else the concentrator would be told the new epoch, then the old one again by the command."""
    one = meeting(tmp_path)
    one.connect()
    one.live(300)
    one.state.plight.away = {1, 2}
    one.registry.replace(site(2))
    one.live(400)
    one.service.prepare(LINK_ID, GROUP, 2, order(2).members)
    one.carry()
    prepared = one.state.control._groups[GROUP].epoch
    one.service.send(order(2))
    one.carry()

    assert (prepared, in_use(one)) == (1, 1)
    assert one.state.control._commands[COMMAND].command.epoch == 1


def test_who_left_the_group_is_not_commanded_by_the_epoch_before(tmp_path: Path) -> None:
    """The new epoch counts at once, though nobody holds its key yet; and only those who are meant are in it."""
    one = meeting(tmp_path)
    one.connect()
    one.live(300)
    one.state.plight.away = {1, 2}
    one.registry.replace(site(2, EUIS[:2]))
    one.live(10)
    group = one.state.control._groups[GROUP]

    assert (group.epoch, group.members) == (2, frozenset({1, 2}))
    assert set(missing(one)) == set(EUIS[:2])
    assert in_use(one) == 2


def test_a_command_for_members_without_the_key_is_refused_by_them_and_never_obeyed(tmp_path: Path) -> None:
    one = meeting(tmp_path)
    one.state._all = tuple(attrs.evolve(module, actuator=Actuator(LoadClass.GREEN)) for module in one.state._all)
    one.state.control = one.state._make_control()
    one.state.control.behind = one.state.handing.deaf = {3}
    one.connect()
    one.live(200)
    one.service.send(order(1))
    one.carry()
    one.live(200)
    progress = one.state.control._commands[COMMAND]

    assert progress.executed == {1, 2}
    assert progress.refused == {3: Code.CRYPTO}


def order(epoch: int) -> GroupOrder:
    pairs = tuple((index, eui) for index, eui in enumerate(EUIS, 1))
    return GroupOrder(COMMAND, LINK_ID, GROUP, epoch, Action.SHED, LoadClass.GREEN, 600, NOON + 5000, 0, 1, pairs)


def test_a_concentrator_that_cannot_hand_keys_on_is_not_asked_and_commands_go_out_as_ever(tmp_path: Path) -> None:
    there = bench(tmp_path)
    there.registry.replace(site())
    wire = Wire(there.service).shake()
    there.service.send(order(1))
    wire.serve()

    assert wire.said(KeyMembers) == []
    assert [type(one) for one in wire.peer.messages if isinstance(one, GroupSet | KeyPut | GroupCommand)] == [
        GroupSet, KeyPut, GroupCommand,
    ]


def test_a_busy_concentrator_is_asked_again_when_it_said(tmp_path: Path) -> None:
    there = bench(tmp_path)
    there.registry.replace(site())
    wire = Wire(there.service, FakePeer(hello(capabilities=int(Capability.GROUP_KEYS))))
    wire.replies[KeyMembers] = lambda message: Result(Code.BUSY, 120)
    wire.shake()

    def wait(seconds: int) -> int:
        for _ in range(seconds // 5):
            there.reactor.advance(5)
            wire.serve()
        return len(wire.said(KeyMembers))

    assert [wait(110), wait(30)] == [1, 2]


def test_news_that_nobody_asked_for_makes_nobody_a_holder(tmp_path: Path) -> None:
    """Of another epoch, another group, a stranger's index, or out of the blue."""
    there = bench(tmp_path)
    there.registry.replace(site())
    wire = Wire(there.service, FakePeer(hello(capabilities=int(Capability.GROUP_KEYS))))
    wire.replies[KeyMembers] = lambda message: Result(Code.ACCEPTED)
    wire.shake()
    wire.say(KeyHeld(GROUP, 9, b"\xff" * 30))
    wire.say(KeyHeld(9, 1, b"\xff" * 30))
    before = there.service.group_keys("LG")
    there.reactor.advance(5)
    wire.serve()
    wire.say(KeyHeld(GROUP, 1, b"\xfe" + b"\xff" * 29))
    after = there.service.group_keys("LG")

    assert before is not None
    assert after is not None
    assert before.shares[0].missing == EUIS
    assert after.shares[0].missing == EUIS[:1]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (KeyMembers(GROUP, 1, (MemberKey(1, EUIS[0]),)), Code.ACCEPTED),
        (KeyMembers(GROUP, 2, (MemberKey(1, EUIS[0]),)), Code.UNKNOWN),
        (KeyMembers(GROUP, 1, (MemberKey(2, EUIS[0]),)), Code.INTERLOCK),
    ],
)
def test_the_simulated_concentrator_answers_as_the_protocol_says(tmp_path: Path, message: KeyMembers, code: Code) -> None:
    state = Meeting(tmp_path).state
    state.keys.groups[GROUP, 1] = b"g" * 16
    (answer,) = answers(state, message, float(NOON))

    assert answer == Result(int(code))


euis = st.integers(1, 6)


@given(
    st.sets(euis, min_size=1), st.sets(euis), st.none() | st.sets(euis, min_size=1), st.sets(euis),
)
def test_the_epoch_before_is_used_only_where_it_reaches_more_and_nobody_who_left(
    wanted: set[int], holds_new: set[int], before: set[int] | None, holds_old: set[int]
) -> None:
    pairs = tuple((eui, eui) for eui in sorted(wanted))
    old = None if before is None else InUse(1, tuple((eui, eui) for eui in sorted(before)))
    new_reach, old_reach = len(wanted & holds_new), len(wanted & holds_old & (before or set()))
    chosen = under_old(pairs, new_reach, old, old_reach)

    assert not chosen or (before is not None and before <= wanted and old_reach > new_reach)
    assert chosen or before is None or not before <= wanted or old_reach <= new_reach


def test_only_members_with_an_index_and_not_out_of_service_are_assigned() -> None:
    one = site()
    modules = (
        attrs.evolve(one.modules[0], index=0), attrs.evolve(one.modules[1], state=ModuleState.RETIRED), one.modules[2],
    )
    (made,) = assignments(Directory(attrs.evolve(one, modules=modules)))[LINK_ID]

    assert made.pairs == ((3, EUIS[2]),)
    assert made.missing(np.array([EUIS[2]], dtype=np.uint64)) == ()


def test_the_ledger_keeps_holders_and_the_epoch_in_use_over_a_restart(tmp_path: Path) -> None:
    """Another key under the same epoch makes nobody a holder; older epochs are forgotten when a newer one is used."""
    path = tmp_path / "group-keys.sqlite"
    first = KeyLedger(path, run_now)
    first.open()
    done(first.add(1, GROUP, 1, b"old-----", (EUIS[0],)))
    done(first.add(1, GROUP, 2, b"new-----", (EUIS[1], EUIS[0])))
    done(first.use(1, GROUP, 2, Pairs.of([(1, EUIS[0])])))
    first.close()
    again = KeyLedger(path, run_now)
    again.open()

    assert again.held(1, GROUP, 1).tolist() == []
    assert again.held(1, GROUP, 2, b"new-----").tolist() == list(EUIS[:2])
    assert again.held(1, GROUP, 2, b"other---").tolist() == []
    assert again.in_use(1, GROUP) == InUse(2, Pairs.of([(1, EUIS[0])]))


def test_a_ledger_that_cannot_be_written_makes_nobody_a_holder(tmp_path: Path) -> None:
    ledger = KeyLedger(tmp_path / "group-keys.sqlite", run_now)
    ledger.open()
    ledger.close()
    with pytest.raises(StorageError, match="is closed"):
        done(ledger.add(1, GROUP, 1, b"check---", EUIS))

    assert ledger.held(1, GROUP, 1).tolist() == []


def done(work: object) -> None:
    """Run a coroutine whose Deferreds have all fired."""
    with pytest.raises(StopIteration):
        work.send(None)                 # type: ignore[attr-defined]
