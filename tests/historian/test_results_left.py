"""Results reach an InfluxDB: what was stored before it, what comes, what is replaced; nothing twice, nothing lost."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from scada.errors import StorageError
from scada.historian import left, sender
from scada.historian.influx_history import InfluxHistory
from scada.historian.letters import Letters
from scada.historian.result_file import RESULT_FILE, open_results
from scada.historian.results_left import ResultsLeft
from scada.ports import ResultTable
from scada.settings import InfluxSettings
from tests.historian.test_replica import Site
from tests.influx import Influx

START = 490_896 * 3600
NAME = "T01, street A"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "IDLE_S", 0.05)
    monkeypatch.setattr(left, "BODY_ROWS", 7)


def table(first: int, feed: list[float]) -> ResultTable:
    at = START + 3600 * np.arange(first, first + len(feed))
    return ResultTable(at, {"feed": np.array(feed), "not known": np.full(len(feed), np.nan)})


def put(site: Site, first: int, feed: list[float]) -> None:
    site.reactor.wait(site.historian.results.put("balance", NAME, 3600, table(first, feed)))


def stored(influx: Influx) -> dict[int, float]:
    """Hours since START -> feed; and there is no other field."""
    found = {}
    for series in influx.query('SELECT * FROM "balance_3600" GROUP BY "name"'):
        assert series["tags"] == {"name": NAME}
        assert series["columns"] == ["time", "feed"]
        found |= {(at // 1000 - START) // 3600: value for at, value in series["values"]}
    return found


def test_what_was_there_what_comes_and_what_is_replaced(influx: Influx, tmp_path: Path) -> None:
    """Also over a restart, and from a file that was made before changes were numbered."""
    site = Site(tmp_path / "data", url="http://127.0.0.1:1")
    put(site, 0, [float(hour) for hour in range(20)])
    site.stop()
    (tmp_path / "data" / "spool" / "influx.sqlite").unlink()
    with closing(sqlite3.connect(tmp_path / "data" / "history" / RESULT_FILE)) as database, database:
        for trigger in ("came", "changed", "went"):
            database.execute(f"DROP TRIGGER result_{trigger}")
        database.execute("DROP TABLE change")

    site = Site(tmp_path / "data", url=influx.url)
    site.sent_all()
    before = stored(influx)
    put(site, 20, [20.5])
    put(site, 3, [33.0])
    site.sent_all()
    site.stop()
    site = Site(tmp_path / "data", url=influx.url)
    sent = site.health.figures["sent_lines"]
    put(site, 21, [21.5])
    site.sent_all()
    again = site.health.figures["sent_lines"] - sent
    ours = site.historian.results.get("balance", NAME, 3600, START, START + 86_400)
    place = InfluxHistory(InfluxSettings(url=influx.url))
    theirs = place.results("balance", NAME, 3600, START, START + 86_400)
    place.close()
    site.stop()

    assert before == {hour: float(hour) for hour in range(20)}
    assert stored(influx) == before | {20: 20.5, 3: 33.0, 21: 21.5}
    assert again == 1
    assert theirs.start.tolist() == ours.start.tolist()
    assert {name: values.tolist() for name, values in theirs.columns.items()} == {"feed": ours.columns["feed"].tolist()}


def test_results_wait_while_it_is_away_and_come_again_when_asked(influx: Influx, tmp_path: Path) -> None:
    """The newest value of each row; and all of them after `backfill --again`."""
    site = Site(tmp_path / "data", url=influx.url)
    site.sent_all()
    influx.stop()
    for value in range(5):
        put(site, 0, [float(value)] * 3)
    site.reactor.pump(lambda: bool(site.health.figures["failures"]))
    waits = site.health.text
    influx.start()
    site.sent_all()
    first = stored(influx)
    influx.query('DROP MEASUREMENT "balance_3600"')
    Letters(tmp_path / "data" / "spool" / "influx.sqlite").refill()
    site.reactor.pump(lambda: len(stored(influx)) == 3)
    site.stop()

    assert "does not answer" in waits
    assert first == {0: 4.0, 1: 4.0, 2: 4.0}


def test_what_was_removed_is_no_change_any_more(tmp_path: Path) -> None:
    """Retention takes the numbers with the rows."""
    with closing(open_results(tmp_path / RESULT_FILE)) as database:
        database.execute("INSERT INTO result VALUES (1, 5, 1, 1, x'00')")
        database.execute("INSERT INTO result VALUES (1, 6, 1, 1, x'00')")
        database.execute("DELETE FROM result WHERE start = 5")
        assert database.execute("SELECT series, start FROM change").fetchall() == [(1, 6)]


def test_what_cannot_be_read_for_a_moment_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for nothing: the sender hears of it, and there is something left."""
    monkeypatch.setattr("scada.historian.database.BUSY_SECONDS", 0.05)
    open_results(tmp_path / RESULT_FILE).close()
    behind = ResultsLeft(tmp_path)
    behind.open("")
    with closing(sqlite3.connect(tmp_path / RESULT_FILE)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="locked"):
            behind.take()
        still = behind.left
    nothing = behind.take()
    behind.close()

    assert still
    assert nothing is None
    assert not behind.left
