"""Back-off: longer each time, bounded, spread out, and forgiving."""

from scada.drivers.backoff import Backoff


def test_the_delay_doubles_up_to_the_most() -> None:
    """Without luck (draw = 1) the delays are the whole spans."""
    backoff = Backoff(1.0, 30.0, draw=lambda: 1.0)

    assert [backoff.next() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_jitter_spreads_over_the_upper_half() -> None:
    """No two devices come back in step, and none comes back at once."""
    assert Backoff(8.0, 30.0, draw=lambda: 0.0).next() == 4.0
    assert Backoff(8.0, 30.0, draw=lambda: 0.5).next() == 6.0


def test_an_answer_starts_it_anew() -> None:
    """After success the first delay is short again."""
    backoff = Backoff(1.0, 30.0, draw=lambda: 1.0)
    backoff.next(), backoff.next()
    backoff.reset()

    assert backoff.next() == 1.0
