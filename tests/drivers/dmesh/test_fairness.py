"""Many connections that speak at once share the turns of the loop."""

from collections.abc import Callable

from scada.drivers.dmesh.fairness import FairTurns


class Loop:
    """A reactor whose turns are run one by one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[Callable[[], None]] = []

    def seconds(self) -> float:
        return self.now

    def callLater(self, delay: float, function: Callable[[], None]) -> object:
        assert delay == 0
        self.due.append(function)
        return function

    def turn(self) -> float:
        """Run what is due now; how long it took."""
        began, due, self.due = self.now, self.due, []
        for function in due:
            function()
        return self.now - began


class Slow:
    """A connection whose every chunk takes a while."""

    def __init__(self, loop: Loop, takes: float, done: list["Slow"]) -> None:
        self._loop, self._takes, self._done = loop, takes, done

    def go_on(self) -> None:
        self._loop.now += self._takes
        self._done.append(self)


def test_what_does_not_fit_a_turn_waits_in_order_and_a_turn_is_never_much_longer() -> None:
    """A hundred chunks of 3 ms: each turn takes three of them, in the order they came, and none is forgotten."""
    loop, done = Loop(), []
    turns = FairTurns(loop, budget_s=0.008)
    readers = [Slow(loop, 0.003, done) for _ in range(100)]
    for one in readers:
        turns.put_off(one)
    lengths = []
    while turns.waiting:
        lengths.append(loop.turn())

    assert done == readers
    assert max(lengths) <= 0.008 + 0.003
    assert len(lengths) == 34


def test_the_time_of_a_turn_is_spent_once() -> None:
    """Who comes late in a turn is put off; the next turn begins anew."""
    loop = Loop()
    turns = FairTurns(loop, budget_s=0.008)
    began = loop.seconds()
    first = turns.may()
    loop.now += 0.009
    turns.spend(began)
    late = turns.may()
    loop.turn()

    assert (first, late, turns.may()) == (True, False, True)


def test_nobody_is_overtaken() -> None:
    """While somebody waits, whoever comes has to wait behind."""
    loop, done = Loop(), []
    turns = FairTurns(loop, budget_s=0.008)
    turns.put_off(Slow(loop, 0.001, done))

    assert not turns.may()
