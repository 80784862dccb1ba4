"""Many time-outs behind one timer: told in time, never after they were called off, nothing left behind."""

import random

from twisted.internet.task import Clock

from scada.timers import GRAIN_S, Deadline, Deadlines


def test_each_is_told_once_and_no_more_than_a_grain_late() -> None:
    """A thousand of all lengths; half of them are called off, and of those nothing is heard."""
    clock, dice = Clock(), random.Random(1)
    clock.advance(17.13)
    all_, told = Deadlines(clock), dict[int, float]()
    made: list[tuple[float, Deadline]] = []
    for number in range(1000):
        wait = dice.uniform(0, 20)
        one = all_.later(wait, lambda number=number: told.setdefault(number, clock.seconds()))
        made.append((clock.seconds() + wait, one))
        clock.advance(0.003)
    off = [number for number in range(0, 1000, 2) if made[number][1].active()]
    for number in off:
        made[number][1].cancel()
    clock.pump([0.01] * 2500)

    assert not set(off) & told.keys()
    assert told.keys() | set(off) == set(range(1000))
    assert all(0 <= told[number] - made[number][0] <= GRAIN_S + 0.01 for number in told)
    assert clock.calls == []


def test_one_timer_of_the_loop_for_all_of_them() -> None:
    """An earlier one moves it; the last to be called off ends it."""
    clock = Clock()
    all_ = Deadlines(clock)
    late, soon = all_.later(10, lambda: None), all_.later(1, lambda: None)

    assert [call.getTime() for call in clock.calls] == [1.0]
    soon.cancel()
    late.cancel()
    assert clock.calls == []
    assert not late.active()


def test_one_that_fails_keeps_no_other_from_being_told() -> None:
    """And one may set the next while it is told."""
    clock = Clock()
    all_, told = Deadlines(clock), list[str]()
    all_.later(1, lambda: 1 // 0)
    all_.later(1, lambda: told.append("second") or all_.later(1, lambda: told.append("third")))
    clock.advance(1)
    clock.advance(1)

    assert told == ["second", "third"]
    assert clock.calls == []


def test_calling_off_twice_or_too_late_is_nothing() -> None:
    """As with `cancel` for a call that has happened."""
    clock = Clock()
    all_, told = Deadlines(clock), list[int]()
    one = all_.later(0.5, lambda: told.append(1))
    clock.advance(0.5)
    one.cancel()
    one.cancel()

    assert told == [1]


def test_one_that_is_called_off_while_its_box_rings_is_not_told() -> None:
    """A link that goes down in a time-out calls off all its others, and some of them are due at the same moment."""
    clock = Clock()
    all_, told = Deadlines(clock), list[str]()
    others: list[Deadline] = []
    all_.later(1, lambda: told.append("first") or [one.cancel() for one in others])
    others += [all_.later(1, lambda: told.append("other")) for _ in range(3)]
    clock.advance(1)
    clock.advance(10)

    assert told == ["first"]
    assert clock.calls == []


class Turns(Clock):
    """A clock that makes only the calls that were there when the turn began, as the loop does."""

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call.called = 1
            call.func(*call.args, **call.kw)


def test_one_that_sets_itself_again_at_once_does_not_hold_the_loop() -> None:
    """It comes in the next turn, like a call of the loop's own."""
    loop = Turns()
    all_, told = Deadlines(loop), list[int]()

    def again() -> None:
        told.append(1)
        all_.later(0, again)

    all_.later(0, again)
    loop.turn()
    first = len(told)
    loop.turn()

    assert (first, len(told)) == (1, 2)
