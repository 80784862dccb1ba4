"""The planner of ARCH_READ: which hole is asked for, of whom, and who is left in peace."""

import numpy as np

from scada.clock import DAY_H
from scada.drivers.dmesh.gaps import SIZE, Ledger, Read, by_module, cost_of_a_read, gained, next_read

DAY = 20_000
COST = np.full(SIZE, 4, dtype=np.int64)


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
    """A budget of 10 packets holds two reads at level 4; the day after, two again."""
    ledger, read = Ledger(10), Read(DAY * DAY_H, 24, (3,))
    asked = 0
    for day in (DAY, DAY + 1):
        for _ in range(9):
            if ledger.ready(COST, day, 0.0)[3]:
                ledger.charge(read, COST)
                asked += 1

    assert asked == 4


def test_who_gives_nothing_is_left_alone_twice_as_long_each_time_and_forgiven_when_he_gives() -> None:
    """60 s, 120 s, 240 s of real time; the one beside him that gave is asked again at once."""
    ledger, read, waits = Ledger(500), Read(DAY * DAY_H, 24, (3, 4)), []
    gave = np.zeros(SIZE, dtype=bool)
    gave[4] = True
    now = 0.0
    for _ in range(3):
        ledger.settle(read, gave, now)
        assert ledger.ready(COST, DAY, now)[4]
        began = now
        while not ledger.ready(COST, DAY, now)[3]:
            now += 1.0
        waits.append(now - began)
    gave[3] = True
    ledger.settle(read, gave, now)
    gave[3] = False
    ledger.settle(read, gave, now)

    assert waits == [60.0, 120.0, 240.0]
    assert not ledger.ready(COST, DAY, now + 59)[3]
    assert ledger.ready(COST, DAY, now + 60)[3]


def test_a_read_costs_a_packet_a_level_and_block() -> None:
    """A module whose level is not known costs something too."""
    assert cost_of_a_read(np.array([0, 1, 8]), 2).tolist() == [2, 2, 16]


def test_only_hours_that_were_asked_for_count_as_gained() -> None:
    """What came by itself meanwhile, outside the read, says nothing about the module's answer."""
    before, after = words({3: 0b111, 4: 0b100000})[0], words({3: 0b011})[0]

    assert np.flatnonzero(gained(Read(DAY * DAY_H, 3, (3, 4)), before, after)).tolist() == [3]
