"""The planner of ARCH_READ: which hole is asked for, of whom, and who is left in peace."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scada.clock import DAY_H
from scada.drivers.dmesh.gaps import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    SIZE,
    Ledger,
    Read,
    busy_for,
    by_module,
    cost_of,
    gained,
    next_read,
    packets_by_node,
)

DAY = 20_000
ALONE = packets_by_node(np.zeros(SIZE, dtype=np.int64))     # everybody hears the concentrator


def tree(**parents: int) -> np.ndarray:
    """Packets in a subnet where m3=2 means that module 3 sends through module 2."""
    found = np.zeros(SIZE, dtype=np.int64)
    for name, parent in parents.items():
        found[int(name[1:])] = parent
    return packets_by_node(found)


def words(*rows: dict[int, int]) -> np.ndarray:
    found = np.zeros((len(rows), SIZE), dtype=np.uint32)
    for place, row in enumerate(rows):
        for index, word in row.items():
            found[place, index] = word
    return found


def test_the_newest_hole_comes_first_with_everybody_who_has_the_same() -> None:
    """Yesterday before the day before; modules 2 and 9 lack the same hours and are asked in one message."""
    lack = words({1: 0xFFFFFF}, {2: 0b1110000, 9: 0b1110000, 5: 0b0110000})
    everybody = np.ones(SIZE, dtype=bool)
    first = next_read(lack, DAY, everybody)
    assert first == Read((DAY + 1) * DAY_H + 4, 3, (2, 9))

    everybody[[2, 9, 5]] = False

    assert next_read(lack, DAY, everybody) == Read(DAY * DAY_H, 24, (1,))
    everybody[1] = False
    assert next_read(lack, DAY, everybody) is None


def test_a_module_is_asked_when_any_of_its_channels_lacks_an_hour() -> None:
    """Channels of one module share a read."""
    lack = np.array([[1, 4, 0]], dtype=np.uint32)

    assert np.flatnonzero(by_module(lack, np.array([7, 7, 8]))[0]).tolist() == [7]
    assert by_module(lack, np.array([7, 7, 8]))[0, 7] == 5


def test_the_radio_budget_of_a_day_is_never_exceeded_and_is_new_tomorrow() -> None:
    """Module 3 sends through 2, whose 5 packets hold two reads of it; the day after, two again."""
    ledger, read, packets = Ledger(5), Read(DAY * DAY_H, 24, (3,)), tree(m3=2)
    asked, spent = 0, []
    for day in (DAY, DAY + 1):
        for _ in range(9):
            if ledger.ready(packets, day, 0.0)[3]:
                ledger.charge(cost_of(read, packets))
                asked += 1
        spent.append(ledger.spent[[1, 2, 3]].tolist())

    assert asked == 4
    assert spent == [[0, 4, 2]] * 2


def test_relays_pay_for_what_they_carry_and_a_poor_one_bars_all_behind_it() -> None:
    """5 behind 4 behind 1, and 6 directly: asking 5 costs 1 and 4 two packets each; when 1 is poor only 6 may be asked."""
    packets = tree(m4=1, m5=4)
    ledger = Ledger(3)
    ledger.charge(cost_of(Read(DAY * DAY_H, 1, (5,)), packets))
    ready = ledger.ready(packets, 0, 0.0)

    assert ledger.spent[[1, 4, 5, 6]].tolist() == [2, 2, 1, 0]
    assert not ready[4]
    assert not ready[5]
    assert ready[6]


def test_a_read_of_many_asks_only_as_many_as_their_common_relay_can_pay_for() -> None:
    """Ten modules behind module 1 with six packets left: three of them now, the others another time."""
    packets = tree(**{f"m{index}": 1 for index in range(2, 12)})
    ledger = Ledger(6)
    read = ledger.affordable(Read(DAY * DAY_H, 24, tuple(range(2, 12))), packets)
    ledger.charge(cost_of(read, packets))

    assert read.modules == (2, 3, 4)
    assert ledger.spent.max() <= 6


def test_a_tree_that_is_a_circle_by_mistake_ends() -> None:
    """Reports that were taken while the tree changed may say so."""
    packets = tree(m1=2, m2=1)

    assert packets[1, [1, 2]].tolist() == [1, 2]


@given(
    parents=st.lists(st.integers(0, 40), min_size=41, max_size=41), budget=st.integers(1, 30),
    wanted=st.lists(st.sets(st.integers(1, 40), min_size=1), min_size=1, max_size=20),
)
def test_no_node_ever_sends_more_than_its_budget(parents: list[int], budget: int, wanted: list[set[int]]) -> None:
    """Whatever the tree, whoever lacks hours: relays included."""
    above = np.zeros(SIZE, dtype=np.int64)
    above[1:41] = [min(parent, index - 1) for index, parent in enumerate(parents[1:], 1)]
    packets, ledger = packets_by_node(above), Ledger(budget)
    for some in wanted:
        ready = ledger.ready(packets, DAY, 0.0)
        read = next_read(words(dict.fromkeys(some, 1)), DAY, ready)
        if read is not None:
            ledger.charge(cost_of(ledger.affordable(read, packets), packets))

    assert ledger.spent.max() <= budget


def test_a_busy_concentrator_is_left_alone_as_long_as_it_says_and_its_modules_pay_nothing() -> None:
    """And one that says nothing, for a usual wait; never longer than six hours."""
    ledger, cost = Ledger(1), cost_of(Read(DAY * DAY_H, 1, (3,)), ALONE)
    ledger.charge(cost)
    ledger.postpone(cost, 90.0)

    assert not ledger.ready(ALONE, 0, 89.0).any()
    assert ledger.ready(ALONE, 0, 90.0)[3]
    assert [busy_for(one) for one in (90, 0, 10**9)] == [90.0, FIRST_WAIT_S, LONGEST_WAIT_S]


def test_who_gives_nothing_is_left_alone_twice_as_long_each_time_and_forgiven_when_he_gives() -> None:
    """60 s, 120 s, 240 s of real time; the one beside him that gave is asked again at once."""
    ledger, read, waits = Ledger(500), Read(DAY * DAY_H, 24, (3, 4)), []
    gave = np.zeros(SIZE, dtype=bool)
    gave[4] = True
    now = 0.0
    for _ in range(3):
        ledger.settle(read, gave, now)
        assert ledger.ready(ALONE, DAY, now)[4]
        began = now
        while not ledger.ready(ALONE, DAY, now)[3]:
            now += 1.0
        waits.append(now - began)
    gave[3] = True
    ledger.settle(read, gave, now)
    gave[3] = False
    ledger.settle(read, gave, now)

    assert waits == [60.0, 120.0, 240.0]
    assert not ledger.ready(ALONE, DAY, now + 59)[3]
    assert ledger.ready(ALONE, DAY, now + 60)[3]


def test_only_hours_that_were_asked_for_count_as_gained() -> None:
    """What came by itself meanwhile, outside the read, says nothing about the module's answer."""
    before, after = words({3: 0b111, 4: 0b100000})[0], words({3: 0b011})[0]

    assert np.flatnonzero(gained(Read(DAY * DAY_H, 3, (3, 4)), before, after)).tolist() == [3]
