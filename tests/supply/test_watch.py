"""What the meter behind a disconnected supply proves: only hours that lie wholly behind the switch, and only what came."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scada.supplies import Effect
from scada.supply.watch import NANOS_PER_HOUR, ODD_PULSES, QUIET_H, first_hours, verdicts


def test_the_hour_of_the_switch_itself_has_counted_and_proves_nothing() -> None:
    at = np.array([7 * NANOS_PER_HOUR, 7 * NANOS_PER_HOUR + 1, 8 * NANOS_PER_HOUR - 1], dtype=np.int64)

    assert first_hours(at).tolist() == [8, 8, 8]


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=30), st.integers(90, 130))
def test_the_verdict_is_that_of_the_last_hours_that_came_after_the_switch(counts: list[int], first: int) -> None:
    """-1 is missing. The same for one supply as for many at once."""
    hours = np.arange(100, 100 + len(counts))
    pulses = np.array([counts, counts], dtype=np.int64)
    effects, sums = verdicts(pulses, pulses < 0, hours, np.array([first, 10_000]))
    mine = [one for hour, one in zip(hours.tolist(), counts, strict=True) if hour >= first and one >= 0][-QUIET_H:]
    expected = Effect.WAITING if not mine else Effect.BYPASS if sum(mine) > ODD_PULSES else Effect.CONFIRMED

    assert effects == [expected, Effect.WAITING]
    assert sums.tolist() == [sum(mine), 0]
