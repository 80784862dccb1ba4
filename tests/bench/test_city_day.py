"""The bench of a city's day compares what is stored with what was written: a small city shows that it runs and is right."""

from scada.bench.balance.city_day import measure


def test_a_small_city_is_balanced_and_compared():
    """A hundred groups and two streets above them, in a process of its own."""
    said = {one.id: one.value for one in measure(100)}

    assert 0 < said["city_day_s"] < 60
    assert 0.9 < said["city_day_complete"] < 1
