"""The tables of a command and its members: every state gets home, news is never lost and never believed twice."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.clock import NS
from scada.commands import Action, CommandState, LoadClass, Member, MemberReport, MemberState, Origin
from scada.dr_dispatch import lifecycle, planner
from scada.dr_dispatch.command import TERMINAL, Command
from scada.dr_dispatch.lifecycle import MEMBER_MOVES, TRANSITIONS
from scada.dr_dispatch.members import Progress
from scada.dr_dispatch.outages import ANSWER_MARGIN_S, outages

M, S = MemberState, CommandState
LATER = 300 * NS


def member(number: int) -> Member:
    return Member(number, f"C01-{number:03}", "C01", 7, number, "", LoadClass.YELLOW, 1000.0)


def command(action: Action = Action.SHED, off_for_s: int = 600, members: int = 3, **changes: object) -> Command:
    made = Command(
        id=b"c" * 16, selection="s", action=action, group="LG", number=1, epoch=1, load_class=LoadClass.YELLOW, area="",
        actor="anna", origin=Origin.HMI, off_for_s=off_for_s, not_after=LATER, made=0, jitter_s=60, repeat=3,
        monitor_only=False, reason="", state=S.SENDING, members=tuple(Progress(member(n)) for n in range(1, members + 1)),
    )
    return attrs.evolve(made, **changes)


def report(eui: int, state: MemberState, at: int = 0) -> MemberReport:
    return MemberReport(b"c" * 16, 7, eui, state, "", at)


@pytest.mark.parametrize("state", CommandState)
def test_every_state_gets_home(state: CommandState) -> None:
    """From everywhere a way leads to CLOSED or FAILED, and from there nowhere."""
    reached, frontier = {state}, {state}
    while frontier:
        frontier = {after for (before, _), after in TRANSITIONS.items() if before in frontier} - reached
        reached |= frontier

    assert reached & TERMINAL
    assert state not in TERMINAL or reached == {state}


@pytest.mark.parametrize("state", MemberState)
def test_no_member_goes_in_circles(state: MemberState) -> None:
    """Whatever is reported in whatever order, a member's story ends."""
    reached, frontier = set(), {state}
    while frontier:
        frontier = {after for before in frontier for after in MEMBER_MOVES[before]} - reached
        reached |= frontier

    assert state not in reached


events = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([M.RECEIVED, M.EXECUTED, M.REFUSED, M.RESTORED]), st.integers(0, 400)),
    max_size=12,
)


@given(events, st.sampled_from([60, 600, 900]), st.booleans())
def test_every_command_is_over_when_its_time_is(
    news: list[tuple[int, MemberState, int]], off_for_s: int, sent: bool
) -> None:
    """Reports in any order, then silence: CLOSED or FAILED, every member with a final state, no wake-up left."""
    one = command(off_for_s=off_for_s)
    if sent:
        one = lifecycle.mark(one, 7, M.SENT, "", 0)
    clock = 0
    for eui, state, later in news:
        clock += later * NS
        one = lifecycle.advance(one, clock)
        one = lifecycle.fold(one, [report(eui, state, clock)], clock)
    steps = 0
    while (wake := lifecycle.wake(one, clock)) is not None:
        clock, steps = wake, steps + 1
        one = lifecycle.advance(one, clock)
        assert steps < 50

    assert one.state in TERMINAL
    assert {progress.state for progress in one.members} <= {M.RESTORED, M.REFUSED, M.NO_ANSWER, M.NOT_SENT}


def test_a_wake_up_always_finds_something_to_do() -> None:
    """No timer spins: after each wake-up the next one is later."""
    one = lifecycle.mark(command(off_for_s=60), 7, M.SENT, "", 0)
    first = lifecycle.wake(one, 0)
    assert first is not None
    after = lifecycle.wake(lifecycle.advance(one, first), first)
    assert after is None or after > first


def test_a_repeat_that_is_refused_does_not_undo_an_execution() -> None:
    """The module executed the first broadcast and refused the second."""
    one = lifecycle.fold(command(), [report(1, M.EXECUTED, 5), report(1, M.REFUSED, 9)], 10)

    assert one.members[0].state is M.EXECUTED
    assert one.members[0].executed == 5


def test_times_a_device_cannot_have_meant_are_bounded() -> None:
    """A module whose clock is wrong cannot make the desk believe that its load is long back."""
    early = lifecycle.fold(command(made=1000 * NS, not_after=2000 * NS), [report(1, M.EXECUTED, 5)], 1100 * NS)
    late = lifecycle.fold(command(), [report(1, M.EXECUTED, 10**18)], 20 * NS)

    assert early.members[0].executed == 1000 * NS
    assert late.members[0].executed == 20 * NS


def test_outages_are_counted_on_the_safe_side() -> None:
    """Unknown means off for as long as possible; refused and not sent mean on."""
    one = command()
    states = dict(zip((1, 2, 3), (M.EXECUTED, M.SENT, M.REFUSED), strict=True))
    members = tuple(
        attrs.evolve(p, state=states[p.member.eui], executed=10 * NS if p.member.eui == 1 else 0) for p in one.members
    )
    spans = {o.eui: (o.begin, o.end) for o in outages(attrs.evolve(one, members=members))}

    assert spans == {1: (10 * NS, 610 * NS), 2: (0, LATER + 600 * NS)}
    assert len(outages(attrs.evolve(one, monitor_only=True))) == 0
    assert len(outages(attrs.evolve(one, action=Action.RESTORE))) == 0


def test_a_restore_is_over_when_everybody_answered_or_time_is_up() -> None:
    """It holds nothing, so it has no ACTIVE."""
    one = lifecycle.mark(command(Action.RESTORE, off_for_s=0), 7, M.SENT, "", 0)
    one = lifecycle.fold(one, [report(1, M.EXECUTED, 5), report(2, M.REFUSED, 5)], 10)
    assert one.state is S.COLLECTING
    one = lifecycle.advance(one, LATER + ANSWER_MARGIN_S * NS)
    assert one.state is S.CLOSED
    assert one.members[2].state is M.NO_ANSWER


def test_a_concentrator_speaks_for_its_own_members_only() -> None:
    """What another link says about a member changes nothing, whatever it has proved."""
    one = lifecycle.mark(command(), 7, M.ACCEPTED, "", 0)
    foreign = [attrs.evolve(report(1, M.RESTORED, 5), link_id=8)]

    assert lifecycle.fold(one, foreign, 10) == one
    assert lifecycle.fold(one, [report(1, M.EXECUTED, 5)], 10).members[0].state is M.EXECUTED


def test_a_shed_reported_late_and_restored_early_counts_in_full() -> None:
    """Off since 5 s, reported at 800 s when the link came back, restored at 810 s: that was not a shed of 10 s."""
    one = lifecycle.mark(command(off_for_s=900), 7, M.ACCEPTED, "", 0)
    one = lifecycle.fold(one, [report(1, M.EXECUTED, 800 * NS)], 800 * NS)
    one = lifecycle.fold(one, [report(1, M.RESTORED, 810 * NS)], 810 * NS)
    (outage,) = [found for found in outages(one) if found.eui == 1]

    assert (outage.begin, outage.end) == (0, 810 * NS)


def test_a_member_without_an_index_drops_out_at_once() -> None:
    """Its index was given to another module: no order holds it, and nobody waits for its answer."""
    first, *others = command().members
    lost = attrs.evolve(first, member=attrs.evolve(first.member, index=0))
    one = lifecycle.unaddressed(attrs.evolve(command(), members=(lost, *others)), "not in the registry", 0)

    assert [progress.state for progress in one.members] == [M.NOT_SENT, M.SELECTED, M.SELECTED]


def test_one_order_a_concentrator_over_all_its_members() -> None:
    """Members are sorted by index; whoever is not in the registry is on no order."""
    stranger = Progress(attrs.evolve(member(9), link_id=0, index=0))
    other = Progress(attrs.evolve(member(4), link_id=8))
    one = command()
    orders = tuple(planner.orders(attrs.evolve(one, members=(*reversed(one.members), other, stranger))))

    assert {order.link_id: order.members for order in orders} == {7: ((1, 1), (2, 2), (3, 3)), 8: ((4, 4),)}
    assert {(order.not_after, order.off_for_s, order.command_id) for order in orders} == {(300, 600, b"c" * 16)}


def test_the_jitter_leaves_half_of_a_short_shed() -> None:
    """Members come back spread inside `off_for`, never at once and never before half of it."""
    assert planner.jitter(900, 60) == 60
    assert planner.jitter(80, 60) == 40
