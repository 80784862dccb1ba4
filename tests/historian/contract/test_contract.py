"""What every history backend promises; a kind that is registered is held to it, with a place of its own in `places`.

Where a backend cannot do something, its `Offers` says so and the promise is a clear error.
"""

import itertools
import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from scada.errors import DataRejected, NotOffered
from scada.historian.backends import KINDS, Backend
from scada.intervals import MISSING, IntervalBlock, IntervalSeries
from scada.ports import Historian, ResultTable, TagHistory
from tests.historian.contract.places import PLACES
from tests.historian.helpers import FIRST_HOUR, block

EUI = 0x00124B0000000001
MS = 1_000_000
START = FIRST_HOUR * 3600 * 1000 * MS
SERIES = itertools.count(secrets.randbits(36))      # every test has channels and names of its own, the place is shared


def test_every_kind_of_backend_has_a_place_to_be_tested_in() -> None:
    """So that none is registered and never held to anything."""
    assert {kind for kind, _ in PLACES.values()} == set(KINDS)


@pytest.fixture(scope="module", params=sorted(PLACES))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    directory, (kind, made) = tmp_path_factory.mktemp("place"), PLACES[request.param]
    with made(directory) as settings:
        (backend,) = KINDS[kind].configured(settings, directory)
        yield backend


@pytest.fixture
def history(place: Backend) -> Iterator[Historian]:
    opened = place.open()
    yield opened
    opened.close()


@pytest.fixture
def eui() -> int:
    """Room for a thousand modules that no other test has."""
    return EUI + 1000 * next(SERIES)


@pytest.fixture
def tag() -> str:
    return f"T01 meter {next(SERIES)}, L1=a/power"


def of(eui: int, counts: Any, **more: Any) -> IntervalBlock:
    """A block of modules from `eui` on."""
    table = np.asarray(counts, dtype=np.int64)
    return block(table, eui=eui + np.arange(len(table), dtype=np.uint64), **more)


def back(history: Historian, eui: int, n: int, first: int, count: int, **more: int) -> IntervalSeries:
    euis = eui + np.arange(n, dtype=np.uint64)
    return history.intervals(euis, np.zeros(n, np.uint8), first, count, **more)


def samples(at: Any, values: Any, quality: Any = None) -> TagHistory:
    n = len(at)
    bits = np.zeros(n, np.uint8) if quality is None else np.asarray(quality, np.uint8)
    return TagHistory(np.asarray(at, np.int64), np.asarray(values, np.float64), bits)


# ------------------------------------------------------------------------------------------------ intervals
def test_pulses_come_back_exactly(history: Historian, eui: int) -> None:
    """Nothing, one, more than 32 bits, and the largest number that is offered."""
    most = history.offers.pulses_most
    history.write([of(eui, [[0, 1, 65_535, 2**31, 2**40 + 1, most - 1, most]])])
    series = back(history, eui, 1, FIRST_HOUR, 7)

    assert series.counts.tolist() == [[0, 1, 65_535, 2**31, 2**40 + 1, most - 1, most]]
    assert (series.first, series.interval_s, series.counts.dtype) == (FIRST_HOUR, 3600, np.int64)
    assert not series.status.any()


def test_missing_comes_back_as_missing_and_status_where_it_was(history: Historian, eui: int) -> None:
    """Also a status without pulses; zero pulses are not missing."""
    history.write([of(eui, [[5, MISSING, 0, MISSING]], status=[[0, 0, 4, 128]])])
    series = back(history, eui, 1, FIRST_HOUR, 4)

    assert series.counts.tolist() == [[5, MISSING, 0, MISSING]]
    assert series.status.tolist() == [[0, 0, 4, 128]]


def test_late_intervals_join_and_missing_ones_take_nothing_away(history: Historian, eui: int) -> None:
    """Hours in any order, over each other."""
    history.write([of(eui, [[MISSING, 2, MISSING]], first=FIRST_HOUR + 24)])
    history.write([of(eui, [[1, MISSING, 3]], first=FIRST_HOUR + 24)])
    history.write([of(eui, [[10, 11]], first=FIRST_HOUR)])
    series = back(history, eui, 1, FIRST_HOUR, 27)

    assert series.counts[0, :2].tolist() == [10, 11]
    assert (series.counts[0, 2:24] == MISSING).all()
    assert series.counts[0, 24:].tolist() == [1, 2, 3]


def test_the_same_delivery_again_changes_nothing(history: Historian, eui: int) -> None:
    """At once and later."""
    one = of(eui, [[3, MISSING, 4]], status=[[2, 0, 0]])
    history.write([one, one])
    history.write([one])
    series = back(history, eui, 1, FIRST_HOUR, 3)

    assert series.counts.tolist() == [[3, MISSING, 4]]
    assert series.status.tolist() == [[2, 0, 0]]


def test_of_contradicting_pulses_those_stay_that_are_offered_to(history: Historian, eui: int) -> None:
    """The first where deliveries are merged, with the bits joined; else the last as a whole."""
    history.write([of(eui, [[7, 8]], status=[[1, 1]])])
    history.write([of(eui, [[9, 8]], status=[[2, 2]])])
    series = back(history, eui, 1, FIRST_HOUR, 2)
    merged = ([[7, 8]], [[1, 3]]), ([[9, 8]], [[2, 2]])

    assert (series.counts.tolist(), series.status.tolist()) == merged[0 if history.offers.merges else 1]


def test_channels_come_in_the_order_asked(history: Historian, eui: int) -> None:
    """One that is asked twice comes twice, and channels of one module are told apart."""
    euis = np.array([eui, eui, eui + 1], np.uint64)
    history.write([block([[1], [2], [3]], eui=euis, channel=[0, 2, 0])])
    found = history.intervals(
        np.array([eui + 1, eui, eui, eui + 1], np.uint64), np.array([0, 2, 0, 0], np.uint8), FIRST_HOUR, 1
    )

    assert found.counts.tolist() == [[3], [2], [1], [3]]


def test_a_channel_nobody_wrote_is_missing(history: Historian, eui: int) -> None:
    """Alone and beside one that is held."""
    history.write([of(eui, [[1, 2]])])

    assert (back(history, eui + 500, 1, FIRST_HOUR, 2).counts == MISSING).all()
    assert back(history, eui, 2, FIRST_HOUR, 2).counts.tolist() == [[1, 2], [MISSING, MISSING]]


def test_a_range_holds_its_first_interval_and_not_its_end(history: Historian, eui: int) -> None:
    """Over the midnight and the end of a month; outside of all that is held there is nothing."""
    first = FIRST_HOUR + 31 * 24 - 2
    history.write([of(eui, [[1, 2, 3, 4]], first=first)])

    assert back(history, eui, 1, first + 1, 2).counts.tolist() == [[2, 3]]
    assert back(history, eui, 1, first - 1, 6).counts.tolist() == [[MISSING, 1, 2, 3, 4, MISSING]]
    assert (back(history, eui, 1, first + 4, 30).counts == MISSING).all()
    assert (back(history, eui, 1, first - 30, 30).counts == MISSING).all()


def test_an_empty_question_has_an_empty_answer(history: Historian, eui: int) -> None:
    """No channels, and no intervals."""
    history.write([of(eui, [[1, 2]])])

    assert back(history, eui, 0, FIRST_HOUR, 2).counts.shape == (0, 2)
    assert back(history, eui, 1, FIRST_HOUR, 0).counts.shape == (1, 0)


def test_shorter_intervals_are_kept_beside_hours(history: Historian, eui: int) -> None:
    """By their own numbers; none is made of the other."""
    quarter = FIRST_HOUR * 4
    history.write([of(eui, [[1, 2, 3, MISSING, 5]], first=quarter, interval_s=900), of(eui, [[60]])])

    assert back(history, eui, 1, quarter, 5, interval_s=900).counts.tolist() == [[1, 2, 3, MISSING, 5]]
    assert back(history, eui, 1, FIRST_HOUR, 1).counts.tolist() == [[60]]
    assert (back(history, eui, 1, FIRST_HOUR * 2, 4, interval_s=1800).counts == MISSING).all()


def test_many_channels_over_many_days_come_back_equal(history: Historian, eui: int) -> None:
    """More than one statement, one block, one answer's chunk, one body holds: 300 channels, 40 days, a tenth missing."""
    random = np.random.default_rng(11)
    counts = random.integers(0, 100_000, (300, 40 * 24))
    counts[random.random(counts.shape) < 0.1] = MISSING
    status = np.where(random.random(counts.shape) < 0.02, 4, 0).astype(np.uint8)
    history.write([of(eui, counts, status=status)])
    series = back(history, eui, 300, FIRST_HOUR, 40 * 24)

    assert_array_equal(series.counts, counts)
    assert_array_equal(series.status, status)


def test_what_was_written_is_there_for_who_opens_the_place_anew(place: Backend, eui: int) -> None:
    """Durable, not remembered."""
    first = place.open()
    first.write([of(eui, [[42]])])
    first.close()
    second = place.open()
    counts = back(second, eui, 1, FIRST_HOUR, 1).counts
    second.close()

    assert counts.tolist() == [[42]]


def test_an_impossible_delivery_is_refused_and_leaves_nothing(history: Historian, eui: int) -> None:
    """Negative pulses; intervals of 7 s."""
    for wrong in (of(eui, [[-2]]), of(eui, [[1]], interval_s=7)):
        with pytest.raises(DataRejected):
            history.write([wrong])

    assert (back(history, eui, 1, FIRST_HOUR, 1).counts == MISSING).all()


# ------------------------------------------------------------------------------------------------ registers
def test_a_register_is_the_base_and_the_pulses_since_where_it_is_offered(history: Historian, eui: int) -> None:
    """MISSING behind a hole; a backend without registers says so."""
    history.write([of(eui, [[5, 6, MISSING, 7]], register=[100])])
    euis, channel = np.array([eui], np.uint64), np.zeros(1, np.uint8)
    if not history.offers.registers:
        with pytest.raises(NotOffered, match="holds no registers"):
            history.registers(euis, channel, FIRST_HOUR)
        return

    found = [int(history.registers(euis, channel, FIRST_HOUR + hour)[0]) for hour in range(4)]
    assert found == [100, 105, 111, MISSING]


# ------------------------------------------------------------------------------------------------ live tags
def test_samples_come_back_oldest_first_with_value_and_quality(history: Historian, tag: str) -> None:
    """Written in any order; exact values; one that has no value is NaN and keeps its quality."""
    at = START + np.array([2000, 0, 1000, 3000]) * MS
    history.write_tag(tag, samples(at, [0.1 + 0.2, -1e-300, np.nan, 1.7e308], [0, 64, 34, 0]))
    found = history.tag(tag, START, START + 4000 * MS)

    assert ((found.at - START) // MS).tolist() == [0, 1000, 2000, 3000]
    assert_array_equal(found.values, [-1e-300, np.nan, 0.1 + 0.2, 1.7e308])
    assert found.quality.tolist() == [64, 34, 0, 0]


def test_times_are_as_fine_as_is_offered(history: Historian, tag: str) -> None:
    """Two samples one resolution apart are two."""
    fine = history.offers.resolution
    history.write_tag(tag, samples([START, START + fine], [1.0, 2.0]))
    found = history.tag(tag, START, START + 2 * fine)

    assert found.at.tolist() == [START, START + fine]
    assert found.values.tolist() == [1.0, 2.0]


def test_samples_of_a_range_hold_its_begin_and_not_its_end(history: Historian, tag: str) -> None:
    """To the millisecond, across hours; an empty range has none."""
    hour = 3_600_000
    at = START + np.array([hour - 1, hour, hour + 1, 2 * hour]) * MS
    history.write_tag(tag, samples(at, [1.0, 2.0, 3.0, 4.0]))

    assert history.tag(tag, int(at[1]), int(at[3])).values.tolist() == [2.0, 3.0]
    assert history.tag(tag, int(at[0]), int(at[3]) + 1).values.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert history.tag(tag, int(at[1]), int(at[1])).values.tolist() == []
    assert history.tag(tag, int(at[3]) + MS, int(at[3]) + hour * MS).values.tolist() == []


def test_of_more_samples_than_the_limit_the_newest_come(history: Historian, tag: str) -> None:
    """Oldest of them first."""
    history.write_tag(tag, samples(START + np.arange(10) * 1000 * MS, np.arange(10.0)))

    assert history.tag(tag, START, START + 60_000 * MS, 3).values.tolist() == [7.0, 8.0, 9.0]


def test_the_same_samples_again_are_once(history: Historian, tag: str) -> None:
    """And a later one joins them."""
    one = samples(START + np.arange(3) * 1000 * MS, [1.0, 2.0, 3.0])
    history.write_tag(tag, one)
    history.write_tag(tag, one)
    history.write_tag(tag, samples([START + 500 * MS], [1.5]))

    assert history.tag(tag, START, START + 60_000 * MS).values.tolist() == [1.0, 1.5, 2.0, 3.0]


def test_tags_are_told_apart_whatever_their_names(history: Historian, tag: str) -> None:
    """Quotes, commas, spaces, backslashes, another alphabet; a tag nobody wrote has no samples."""
    names = [f"{tag}'s", f'{tag}"', f"{tag}\\n", f"{tag} ș, ț = %", f"{tag} щит' OR tag =~ /.*/ OR tag = '"]
    for number, name in enumerate(names):
        history.write_tag(name, samples([START], [float(number)]))

    assert [history.tag(name, START, START + MS).values.tolist() for name in names] == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    assert len(history.tag(tag, START, START + MS).at) == 0


def test_many_samples_come_back_equal(history: Historian, tag: str) -> None:
    """More than one chunk, one body, one hour holds."""
    values = np.random.default_rng(12).normal(0.0, 1000.0, 25_000)
    at = START + np.arange(25_000) * 1000 * MS
    history.write_tag(tag, samples(at, values))
    found = history.tag(tag, START, int(at[-1]) + MS)

    assert_array_equal(found.at, at)
    assert_array_equal(found.values, values)


# ------------------------------------------------------------------------------------------------ results
def test_results_come_back_and_a_later_row_replaces_an_earlier_one(history: Historian) -> None:
    """Where they are offered; else it is said, on both ways."""
    name = f"group {next(SERIES)}"
    table = ResultTable(np.array([3600, 7200], np.int64), {"feed": np.array([1.5, np.nan]), "version": np.ones(2)})
    if not history.offers.results:
        with pytest.raises(NotOffered, match="holds no results"):
            history.write_results("balance", name, 3600, table)
        with pytest.raises(NotOffered, match="holds no results"):
            history.results("balance", name, 3600, 0, 10_000)
        return

    history.write_results("balance", name, 3600, table)
    history.write_results("balance", name, 3600, ResultTable(
        np.array([7200], np.int64), {"feed": np.array([2.5]), "version": np.array([2.0])},
    ))
    found = history.results("balance", name, 3600, 3600, 7201)

    assert found.start.tolist() == [3600, 7200]
    assert (found.columns["feed"].tolist(), found.columns["version"].tolist()) == ([1.5, 2.5], [1.0, 2.0])
    assert history.results("balance", name, 3600, 3600, 7200).start.tolist() == [3600]
    assert len(history.results("balance", "nobody's", 3600, 0, 10_000).start) == 0
