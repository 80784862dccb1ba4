"""Results as they were known at an instant: what was computed anew keeps what stood there, as long as retention says."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scada.bus import TagBus
from scada.clock import NS, SiteClock
from scada.errors import NotKept
from scada.historian.database import ReadPool, transaction
from scada.historian.former import forget, marks, remove_begun, remove_replaced
from scada.historian.results import RESULT_FILE, ResultHistory, open_results, store_many
from scada.historian.service import Historian
from scada.historian.verification import verify
from scada.ports import ResultRows, ResultTable
from scada.settings import HistorianSettings, RetentionSettings
from tests.historian.helpers import PumpedReactor
from tests.historian.test_live import NOW

T0 = NOW // NS
KEYS = st.tuples(st.sampled_from("AB"), st.sampled_from([0, 3600, 7200]))
PUT = st.dictionaries(KEYS, st.integers(0, 9).map(float), min_size=1, max_size=4)


class Store:
    """A file of results whose clock is moved by hand. [s since T0]"""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = open_results(directory / RESULT_FILE)
        self.history = ResultHistory(directory, ReadPool())

    def put(self, second: int, values: dict[tuple[str, int], float], column: str = "feed") -> None:
        names = sorted({name for name, _ in values})
        table = ResultTable(np.array([start for _, start in values]), {column: np.array(list(values.values()))})
        rows = ResultRows(tuple(names), np.array([names.index(name) for name, _ in values]), table)
        with transaction(self.database) as database:
            store_many(database, "balance", 3600, rows, (T0 + second) * NS)

    def known(self, second: int | None, names: tuple[str, ...] = ("A", "B")) -> dict[tuple[str, int], dict[str, float]]:
        """What was known then, or is known now."""
        as_of = None if second is None else (T0 + second) * NS
        found = self.history.get_many("balance", names, 3600, 0, 2**40, as_of)
        return {
            (names[which], start): {
                column: value for column, values in found.table.columns.items() if (value := float(values[row])) == value
            }
            for row, (which, start) in enumerate(zip(found.which.tolist(), found.table.start.tolist(), strict=True))
        }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path)
    yield one
    one.database.close()
    one.history._pool.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(PUT, min_size=1, max_size=8), st.data())
def test_at_every_instant_the_same_as_a_store_that_had_heard_no_more(
    tmp_path_factory: pytest.TempPathFactory, puts: list[dict[tuple[str, int], float]], data: Any
) -> None:
    """Of any puts, of any rows, with columns that come and go: before the first of a row nothing of it was known."""
    store, said, heard = Store(tmp_path_factory.mktemp("results")), {}, {}
    for second, values in enumerate(puts):
        column = data.draw(st.sampled_from(["feed", "members"]))
        store.put(2 * second, values, column)
        said |= {key: {column: value} for key, value in values.items()}
        heard[2 * second] = dict(said)

    for second, known in heard.items():
        assert store.known(second) == store.known(second + 1) == known
    assert store.known(None) == store.known(1000) == said
    store.database.close()
    store.history._pool.close()


def test_an_instant_from_before_anything_was_kept_is_refused(store: Store) -> None:
    """And is not answered with what came later; the error says from when on there is an answer."""
    store.put(10, {("A", 0): 1.0})

    with pytest.raises(NotKept) as refused:
        store.known(9)
    assert refused.value.since == (T0 + 10) * NS
    assert store.known(10) == {("A", 0): {"feed": 1.0}}


def test_what_a_former_server_stored_was_known_from_the_beginning(tmp_path: Path) -> None:
    """A file from before this was kept: its rows have no time, until they are computed anew."""
    store = Store(tmp_path)
    table = ResultTable(np.array([0, 3600]), {"feed": np.array([1.0, 2.0])})
    with transaction(store.database) as database:
        store_many(database, "balance", 3600, ResultRows(("A",), np.zeros(2, np.int64), table))
    with pytest.raises(NotKept, match="is not kept"):
        store.known(5)
    store.put(10, {("B", 0): 7.0})
    store.put(20, {("A", 0): 5.0})

    assert store.known(15) == {("A", 0): {"feed": 1.0}, ("A", 3600): {"feed": 2.0}, ("B", 0): {"feed": 7.0}}
    assert store.known(20)["A", 0] == {"feed": 5.0}


def test_what_was_replaced_too_long_ago_goes_and_instants_before_are_refused(store: Store) -> None:
    """A few rows at a time; what stands, and what was replaced since, stays."""
    start = T0 - 7200
    store.put(0, {("A", start): 1.0, ("B", start): 1.0})
    store.put(100, {("A", start): 2.0})
    store.put(200, {("A", start): 3.0})
    gone = []
    while not gone or gone[-1]:
        with transaction(store.database) as database:
            gone.append(remove_replaced(database, T0 + 150, 2))

    assert gone == [2, 1, 0]
    with pytest.raises(NotKept):
        store.known(149)
    assert store.known(150) == {("A", start): {"feed": 2.0}, ("B", start): {"feed": 1.0}}


def test_what_a_result_was_goes_with_it(store: Store) -> None:
    """Results that are to go by their age leave nothing behind of what they were."""
    store.put(0, {("A", 0): 1.0, ("A", T0): 1.0})
    store.put(1, {("A", 0): 2.0, ("A", T0): 2.0})
    with transaction(store.database) as database:
        gone = remove_begun(database, T0 - 1, 100)
    left = {start for start, in store.database.execute("SELECT start FROM former")}

    assert (gone, left) == (2, {T0})


def test_damage_of_what_was_is_named_and_not_served(store: Store) -> None:
    """One bit of a value, or of the instant; the rows beside it are sound."""
    store.put(0, {("A", 0): 12345.678, ("B", 0): 1.0})
    store.put(1, {("A", 0): 2.0, ("B", 0): 2.0})
    assert verify(store.directory).ok
    (row,) = store.database.execute("SELECT row FROM former WHERE version = 1 AND series = 1").fetchone()
    spoilt = bytes([row[0] ^ 4]) + row[1:]
    store.database.execute("UPDATE former SET row = ? WHERE version = 1 AND series = 1", (spoilt,))
    store.database.execute("UPDATE former SET until = until - 1 WHERE version = 0 AND series = 2")
    findings = verify(store.directory).findings

    assert [one.where for one in findings] == ["A, 1970-01-01T00:00Z, version 1", "B, 1970-01-01T00:00Z, version 0"]
    assert store.known(0) == {("B", 0): {"feed": 1.0}}
    assert store.known(1) == {("A", 0): {"feed": 2.0}, ("B", 0): {"feed": 2.0}}


@given(st.lists(st.integers(-2**63, 2**63 - 1), min_size=6, max_size=9), st.data())
def test_a_mark_changes_with_every_bit(row: list[int], data: Any) -> None:
    """Wherever it is flipped."""
    words = np.array([row], dtype=np.int64)
    other = words.copy()
    other[0, data.draw(st.integers(0, len(row) - 1))] ^= np.int64(1) << np.int64(data.draw(st.integers(0, 62)))

    first, second = (marks(one[:, :5], one[:, 5:].view(np.uint64)) for one in (words, other))
    assert first[0] != second[0]


@pytest.mark.parametrize("days", [92, 0])
def test_the_server_keeps_it_unless_it_is_told_not_to(tmp_path: Path, days: int) -> None:
    """By its own site time; with 0 days what was kept goes at the start, and no instant is answered."""
    reactor, clock = PumpedReactor(), SiteClock()
    (tmp_path / "history").mkdir()
    with closing(open_results(tmp_path / "history" / RESULT_FILE)) as database:
        table = ResultTable(np.array([0]), {"feed": np.array([1.0])})
        with transaction(database):
            store_many(database, "balance", 3600, ResultRows(("A",), np.zeros(1, np.int64), table), NOW)
    historian = Historian(
        HistorianSettings(retention=RetentionSettings(replaced_days=days)), tmp_path, clock, reactor, TagBus(clock, reactor)
    )
    reactor.wait(historian.start())
    before = clock.now()
    reactor.pump(lambda: clock.now() >= before + 5_000_000)
    reactor.wait(historian.results.put("balance", "A", 3600, ResultTable(np.array([0]), {"feed": np.array([2.0])})))
    results, now = historian.results, clock.now()

    try:
        assert results.get("balance", "A", 3600, 0, 1).columns["feed"].tolist() == [2.0]
        if days:
            assert results.get("balance", "A", 3600, 0, 1, before).columns["feed"].tolist() == [1.0]
            assert results.get("balance", "A", 3600, 0, 1, now + NS).columns["feed"].tolist() == [2.0]
            return
        with pytest.raises(NotKept) as refused:
            results.get("balance", "A", 3600, 0, 1, now)
        assert refused.value.since is None
    finally:
        reactor.wait(historian.stop())


def test_to_forget_is_to_forget_all(store: Store) -> None:
    """Half of it would be a wrong answer."""
    store.put(0, {("A", 0): 1.0})
    store.put(1, {("A", 0): 2.0})
    with transaction(store.database) as database:
        forget(database)

    with pytest.raises(NotKept):
        store.known(1)
    assert store.known(None) == {("A", 0): {"feed": 2.0}}
