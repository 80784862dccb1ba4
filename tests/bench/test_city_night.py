"""The measurement of a city's night reads what it says it reads."""

from scada.bench.balance import city_night


def test_a_small_city_is_read_and_searched_for_leaks() -> None:
    figures = {one.id: one.value for one in city_night.measure(groups=20)}

    assert figures["city_night_read_per_s"] * figures["city_night_read_s"] > 17 * 50 * 20 * 24     # a tenth has no feed
    assert figures["city_night_leaks_s"] > 0
