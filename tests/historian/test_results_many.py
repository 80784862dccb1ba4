"""Rows of many series at once: the same as of each alone, all or none, and as a later version where they were there."""

from contextlib import closing

import numpy as np
import pytest

from scada.historian.database import ReadPool, transaction
from scada.historian.result_file import open_results
from scada.historian.results import ResultHistory, store_many
from scada.ports import ResultRows, ResultTable


def rows(names, which, start, **columns):
    values = {name: np.array(column, dtype=float) for name, column in columns.items()}
    table = ResultTable(np.array(start, dtype=np.int64), values)
    return ResultRows(tuple(names), np.array(which, dtype=np.int64), table)


def test_rows_of_many_series_are_those_of_each(tmp_path):
    """Another order of names, a column that only some have, a series nobody wrote; a later row replaces an earlier one."""
    with closing(open_results(tmp_path / "results.sqlite")) as database:
        for put in (
            rows(["B", "A"], [0, 0, 1], [0, 3600, 3600], feed=[1, 2, np.nan]),
            rows(["A", "none", "B"], [0, 0, 2], [3600, 7200, 3600], feed=[5, 6, 7], own=[0, 1, 2]),
            rows(["C"], [], [], feed=[]),
        ):
            with transaction(database):
                store_many(database, "balance", 3600, put)
        versions = database.execute("SELECT version FROM result JOIN series ON number = series ORDER BY name, start")
        assert [version for version, in versions] == [2, 1, 1, 2]
    history = ResultHistory(tmp_path, ReadPool())
    found = history.get_many("balance", ["A", "C", "B"], 3600, 0, 7200)

    assert (found.names, found.which.tolist(), found.table.start.tolist()) == (("A", "C", "B"), [0, 2, 2], [3600, 0, 3600])
    np.testing.assert_array_equal(found.table.columns["feed"], [5, 1, 7])
    np.testing.assert_array_equal(found.table.columns["own"], [0, np.nan, 2])
    for place, name in enumerate(found.names):
        alone = history.get("balance", name, 3600, 0, 7200)
        assert found.of(place).start.tolist() == alone.start.tolist()
        for column, values in alone.columns.items():
            np.testing.assert_array_equal(found.of(place).columns[column], values)
    assert len(history.get_many("balance", ["A"], 60, 0, 7200).which) == 0
    assert len(history.get_many("other", [], 3600, 0, 7200).which) == 0


def test_all_of_them_or_none(tmp_path):
    """A transaction that fails behind them leaves nothing, no series either."""
    with closing(open_results(tmp_path / "results.sqlite")) as database:
        with pytest.raises(KeyError), transaction(database):
            _store_and_fail(database)
        assert database.execute("SELECT count(*) FROM series").fetchone() == (0,)


def _store_and_fail(database):
    store_many(database, "balance", 3600, rows(["A", "B"], [0, 1], [0, 0], feed=[1, 2]))
    raise KeyError


def test_tables_of_series_joined_come_apart_again():
    """A series without rows has none."""
    tables = [ResultTable(np.array([1, 2]), {"x": np.array([1.0, 2.0])}), ResultTable(np.empty(0, np.int64), {}),
              ResultTable(np.array([2]), {"y": np.array([3.0])})]
    joined = ResultRows.joined(["a", "b", "c"], tables)

    assert [joined.of(place).start.tolist() for place in range(3)] == [[1, 2], [], [2]]
    np.testing.assert_array_equal(joined.of(2).columns["x"], [np.nan])
    np.testing.assert_array_equal(joined.of(2).columns["y"], [3.0])
