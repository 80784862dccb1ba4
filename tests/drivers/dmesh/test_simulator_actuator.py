"""A module obeys its own rules whatever it is told: the table of wrong servers."""

import json
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.commands import Action, LoadClass
from scada.drivers.dmesh.messages import GroupCommand
from scada.drivers.dmesh.numbers import Code
from scada.drivers.dmesh.simulator.actuator import LIMITS, Actuator, Limits, Membership
from tests.simulate.peer import GROUP_KEY, command

T0 = 1_767_261_600.0
MEMBER = Membership(1, GROUP_KEY)


def boiler(**more: object) -> Actuator:
    return Actuator(LoadClass.YELLOW, **more)  # type: ignore[arg-type]


def ev() -> Actuator:
    return Actuator(LoadClass.GREEN)


def hear(actuator: Actuator, one: GroupCommand, at: float = T0, member: Membership | None = MEMBER) -> Code:
    return actuator.hear(one, member, at, 0.5)


WRONG_SERVERS: list[tuple[str, Callable[[], Actuator], GroupCommand, float, Membership | None, Code]] = [
    ("a load marked NEVER", lambda: boiler(never=True), command(T0), 0, MEMBER, Code.DENIED),
    ("a red load", lambda: Actuator(LoadClass.RED), command(T0), 0, MEMBER, Code.DENIED),
    ("a red load called green", lambda: Actuator(LoadClass.RED), command(T0, load_class=LoadClass.GREEN), 0, MEMBER,
     Code.DENIED),
    ("yellow for a second too long", boiler, command(T0, off_for=901), 0, MEMBER, Code.BAD_ARGUMENT),
    ("yellow for hours, called green", boiler, command(T0, off_for=7200, load_class=LoadClass.GREEN), 0, MEMBER,
     Code.DENIED),
    ("green for longer than its cap", ev, command(T0, off_for=14401, load_class=LoadClass.GREEN), 0, MEMBER,
     Code.BAD_ARGUMENT),
    ("green in the name of yellow", ev, command(T0), 0, MEMBER, Code.DENIED),
    ("no time at all", boiler, command(T0, off_for=0), 0, MEMBER, Code.BAD_ARGUMENT),
    ("an action it cannot do", boiler, command(T0, action=Action.LIMIT), 0, MEMBER, Code.BAD_ARGUMENT),
    ("heard after not_after", boiler, command(T0), 301, MEMBER, Code.EXPIRED),
    ("a restore heard after not_after", boiler, command(T0, action=Action.RESTORE), 301, MEMBER, Code.EXPIRED),
    ("a clock that is not valid", lambda: boiler(clock_valid=False), command(T0), 0, MEMBER, Code.INTERLOCK),
    ("no key for the group", boiler, command(T0), 0, None, Code.CRYPTO),
    ("a MAC under another key", boiler, command(T0, key=bytes(16)), 0, MEMBER, Code.CRYPTO),
    ("content changed after the MAC", boiler, attrs.evolve(command(T0), off_for_s=300), 0, MEMBER, Code.CRYPTO),
    ("another epoch", boiler, command(T0, epoch=2), 0, MEMBER, Code.INTERLOCK),
]


@pytest.mark.parametrize(
    ("make", "one", "after", "member", "code"),
    [case[1:] for case in WRONG_SERVERS],
    ids=[case[0] for case in WRONG_SERVERS],
)
def test_a_wrong_command_is_refused_and_the_load_stays_on(
    make: Callable[[], Actuator], one: GroupCommand, after: float, member: Membership | None, code: Code
) -> None:
    """Each row is a server that does what it must not; the module answers with the right reason and keeps the supply."""
    actuator = make()

    assert hear(actuator, one, T0 + after, member) is code
    assert actuator.supplied
    assert not actuator.holds


def test_a_good_shed_is_executed_and_ends_by_itself() -> None:
    """Off at once, on again when off_for ends, without another word from the server."""
    actuator = boiler()

    assert hear(actuator, command(T0, off_for=600)) is Code.OK
    assert not actuator.supplied
    assert not actuator.tick(T0 + 599)
    assert actuator.tick(T0 + 600)
    assert actuator.supplied


def test_a_repeat_does_not_extend_the_shed() -> None:
    """off_for runs from the first execution: hearing the same command again gets the same answer and no more time."""
    actuator, one = boiler(), command(T0, off_for=600)
    hear(actuator, one)

    assert hear(actuator, one, T0 + 200) is Code.OK
    assert actuator.tick(T0 + 600)
    assert actuator.supplied


def test_a_counter_that_does_not_grow_is_denied() -> None:
    """A recorded command under a new id, or two in the wrong order, is refused."""
    actuator = boiler()
    hear(actuator, command(T0, number=1, ctr=7, off_for=60))

    assert hear(actuator, command(T0, number=2, ctr=7, off_for=60), T0 + 10) is Code.DENIED
    assert hear(actuator, command(T0, number=3, ctr=6, action=Action.RESTORE), T0 + 10) is Code.DENIED
    assert hear(actuator, command(T0, number=4, ctr=8, action=Action.RESTORE), T0 + 10) is Code.OK


def test_a_stale_shed_cannot_follow_the_restore_that_overtook_it() -> None:
    """RESTORE was given after SHED and heard before it: the load stays on."""
    actuator = boiler()
    hear(actuator, command(T0, number=2, action=Action.RESTORE))

    assert hear(actuator, command(T0, number=1)) is Code.DENIED
    assert actuator.supplied


def test_a_clock_that_is_not_valid_accepts_a_restore_however_late() -> None:
    """Supply must come back even to a module that does not know the time."""
    actuator = boiler()
    hear(actuator, command(T0, number=1))
    actuator.clock_valid = False

    assert hear(actuator, command(T0, number=2, action=Action.RESTORE), T0 + 500) is Code.OK
    assert actuator.supplied


def test_a_load_must_have_been_on_for_its_minimum_time() -> None:
    """A second shed right after the first is refused, and accepted when the minimum on-time is over."""
    actuator = boiler()
    hear(actuator, command(T0, number=1, off_for=300))
    actuator.tick(T0 + 300)
    early, later = T0 + 300 + 1799, T0 + 300 + 1800

    assert hear(actuator, command(early, number=2, off_for=300), early) is Code.INTERLOCK
    assert hear(actuator, command(later, number=3, off_for=300), later) is Code.OK


def test_two_sources_together_cannot_exceed_the_cap() -> None:
    """Another group's shed while the load is off counts on top of the time it is off already."""
    actuator = boiler()
    hear(actuator, command(T0, number=1, group=1, off_for=600))
    at = T0 + 500

    assert hear(actuator, command(at, number=2, group=2, off_for=401), at) is Code.INTERLOCK
    assert hear(actuator, command(at, number=3, group=2, off_for=400), at) is Code.OK
    assert not actuator.tick(T0 + 600)
    assert not actuator.supplied
    assert actuator.tick(T0 + 900)
    assert actuator.supplied


def test_supply_returns_only_when_every_holder_has_released_it() -> None:
    """A RESTORE of one group leaves what another group holds."""
    actuator = boiler()
    hear(actuator, command(T0, number=1, group=1, off_for=300))
    hear(actuator, command(T0, number=2, group=2, off_for=400))

    hear(actuator, command(T0, number=3, group=1, action=Action.RESTORE))
    assert not actuator.supplied
    hear(actuator, command(T0, number=4, group=2, action=Action.RESTORE))
    assert actuator.supplied


def test_the_jitter_lies_inside_off_for() -> None:
    """The whole jitter makes the load come back earlier, never later, and never takes more than half."""
    actuator = boiler()
    actuator.hear(command(T0, off_for=100, jitter=80), MEMBER, T0, 1.0)

    assert actuator.tick(T0 + 50)
    assert actuator.supplied


def test_a_manual_load_waits_for_a_hand() -> None:
    """restore: manual: the end of the shed clears the flag, but the load starts only when somebody presses."""
    actuator = boiler(manual_restore=True)
    hear(actuator, command(T0, off_for=300))
    actuator.switch_on_by_hand(T0 + 100)
    assert not actuator.supplied

    assert actuator.tick(T0 + 300)
    assert not actuator.supplied
    actuator.switch_on_by_hand(T0 + 900)
    assert actuator.supplied


@given(
    st.lists(
        st.tuples(
            st.floats(0, 2500), st.integers(1, 900), st.integers(1, 3),
            st.sampled_from([Action.SHED, Action.SHED, Action.RESTORE]),
        ),
        max_size=30,
    )
)
def test_no_sequence_of_commands_breaks_the_cap_of_a_yellow_load(steps: list[tuple[float, int, int, Action]]) -> None:
    """Whatever servers and groups send, no window ever holds more off-time than the class allows."""
    limits = LIMITS[LoadClass.YELLOW]
    actuator = boiler()
    at, off_since = T0, None
    periods: list[tuple[float, float]] = []

    def note(now: float) -> None:
        nonlocal off_since
        if actuator.supplied and off_since is not None:
            periods.append((off_since, now))
            off_since = None
        elif not actuator.supplied and off_since is None:
            off_since = now

    def let_go(until: float) -> None:
        while ends := [hold.until for hold in actuator.holds.values() if hold.until <= until]:
            actuator.tick(min(ends))
            note(min(ends))

    for number, (wait, off_for, group, action) in enumerate(steps, start=1):
        at += wait
        let_go(at)
        hear(actuator, command(at, number=number, group=group, off_for=off_for, action=action), at)
        note(at)
    let_go(at + 1000)

    assert actuator.supplied
    for _, end in periods:
        start = end - limits.window_s
        assert sum(max(0.0, min(b, end) - max(a, start)) for a, b in periods) <= limits.cap_s + 1e-6


def test_limits_of_a_module_overrule_those_of_its_class() -> None:
    """A stricter cap set at commissioning holds."""
    actuator = boiler(limits=Limits(cap_s=120))

    assert hear(actuator, command(T0, off_for=121)) is Code.BAD_ARGUMENT
    assert hear(actuator, command(T0, number=2, off_for=120)) is Code.OK


def test_a_limit_and_economy_hold_for_their_time_and_take_nothing_off() -> None:
    """A newer word of the group replaces the older, and each ends by itself."""
    actuator = boiler()
    first = hear(actuator, command(T0, number=1, action=Action.LIMIT, level=800, off_for=3600))
    again = hear(actuator, command(T0, number=2, action=Action.LIMIT, level=500, off_for=600))
    limited = actuator.allowance
    eco = hear(actuator, command(T0, number=3, action=Action.ECO, off_for=600))
    economising = actuator.allowance
    actuator.tick(T0 + 600)

    assert {first, again, eco} == {Code.OK}
    assert (limited, economising) == ((500, False), (float("inf"), True))
    assert actuator.allowance == (float("inf"), False)
    assert actuator.supplied


def test_a_shed_during_a_limit_is_a_shed_and_the_limit_outlives_it() -> None:
    """Off for its time, and then down to the level; RESTORE ends both."""
    actuator = boiler()
    hear(actuator, command(T0, number=1, action=Action.LIMIT, level=500, off_for=3600))
    hear(actuator, command(T0, number=2, off_for=300))
    off = actuator.supplied
    actuator.tick(T0 + 300)
    between = actuator.supplied, actuator.allowance[0]
    hear(actuator, command(T0 + 301, number=3, action=Action.RESTORE), T0 + 301)

    assert not off
    assert between == (True, 500)
    assert actuator.allowance == (float("inf"), False)


def test_a_limit_survives_a_power_failure_of_its_module() -> None:
    """Like a hold."""
    actuator, again = boiler(), boiler()
    hear(actuator, command(T0, number=1, action=Action.LIMIT, level=500, off_for=3600))
    again.recall(json.loads(json.dumps(actuator.memory())))

    assert again.allowance == (500, False)
