"""Dead letters and replay: what a person decides beside the running server happens, once, and nothing else changes."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scada.errors import StorageError
from scada.historian import sender
from scada.historian.letters import Letters, in_ms
from scada.historian.spool import LIVE, ROTTEN, Spool
from tests.historian.helpers import FIRST_HOUR, block
from tests.historian.test_replica import NOW, Site
from tests.influx import Influx

DAY = FIRST_HOUR // 24


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[Influx]:
    server = Influx(tmp_path / "influx")
    server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "IDLE_S", 0.05)


def path_of(site: Site) -> Path:
    return site.historian._replicas[0].spool.path


def test_what_was_beyond_the_retention_arrives_once_it_is_put_right(influx: Influx, tmp_path: Path) -> None:
    """Live values and pulses of which nothing was stored; after the change all of it is there, with its own times."""
    influx.query("CREATE DATABASE scada WITH DURATION 1d")
    site = Site(tmp_path / "data", url=influx.url)
    site.publish(NOW, 1.0, 2.0)
    site.commit(block([[5, 7]], record=1))
    site.sent_all()
    letters = Letters(path_of(site))
    before = letters.read()
    influx.query("ALTER RETENTION POLICY autogen ON scada DURATION INF")
    queued = letters.retry()
    site.pump_until("sent_lines", 4)
    site.reactor.pump(lambda: site.health.figures["dead_lines"] == 0)
    site.stop()

    assert queued == (len(before), 0)
    assert sum(letter.lines for letter in before) == 4
    assert all("points beyond retention policy" in letter.reason for letter in before)
    assert letters.read() == []
    assert len(influx.points("live", "tag")) == 2
    assert [value for value, _ in influx.points("mh", "m").values()] == [5.0, 7.0]


def test_a_letter_that_is_still_wrong_comes_back_and_others_are_left(influx: Influx, tmp_path: Path) -> None:
    """Only the named one is tried, and dropping forgets only what is named; an unknown number changes nothing."""
    influx.query("CREATE DATABASE scada")
    site = Site(tmp_path / "data", url=influx.url)
    for name in "ab":
        site.historian._replicas[0].spool.put(f"live,tag={name} v= 1767225600123\n".encode(), 1, 1)
    site.publish(NOW, 1.0, 2.0)
    site.sent_all()
    letters = Letters(path_of(site))
    first, second = letters.read()
    letters.retry([first.number])
    before = ([first.number, second.number], [second.number])       # nothing tried yet, or on its way
    site.reactor.pump(lambda: [one.number for one in letters.read()] not in before)
    after = letters.read()
    with pytest.raises(StorageError, match=r"has no dead letter 99; nothing was changed"):
        letters.drop([second.number, 99])
    dropped = letters.drop([second.number])
    site.stop()

    assert [one.body for one in after] == [second.body, first.body]
    assert dropped == 1
    assert [one.body for one in letters.read()] == [first.body]


def test_days_are_sent_again_and_no_others(influx: Influx, tmp_path: Path) -> None:
    """A destination that lost everything gets back what is asked for, from the store, while the server runs."""
    influx.query("CREATE DATABASE scada")
    site = Site(tmp_path / "data", url=influx.url)
    for record in range(3):
        site.commit(block(np.full((2, 24), record + 1), record=record + 1, first=(DAY + record) * 24))
    site.sent_all()
    influx.query("DROP DATABASE scada")
    influx.query("CREATE DATABASE scada")
    blocks = Letters(path_of(site)).replay(DAY, DAY + 1)
    site.pump_until("sent_lines", 5 * 48)
    site.sent_all()
    site.stop()

    values = [value for value, _ in influx.points("mh", "m").values()]
    assert blocks == 2
    assert sorted(values) == [1.0] * 48 + [2.0] * 48


def test_what_was_asked_for_while_no_server_ran_happens_at_the_next_start(influx: Influx, tmp_path: Path) -> None:
    """The spool is a file: it does not matter who is there."""
    influx.query("CREATE DATABASE scada")
    site = Site(tmp_path / "data", url=influx.url)
    site.commit(block([[1, 2]], record=1))
    site.sent_all()
    site.stop()
    influx.query("DROP MEASUREMENT mh")
    Letters(path_of(site)).replay(DAY, DAY + 1)
    site = Site(tmp_path / "data", url=influx.url)
    site.sent_all()
    site.stop()

    assert [value for value, _ in influx.points("mh", "m").values()] == [1.0, 2.0]


def test_bytes_that_rotted_are_evidence_and_not_sent(tmp_path: Path) -> None:
    """A letter whose body is no line any more stays, whoever asks."""
    spool = Spool(tmp_path / "x.sqlite", 1 << 20)
    spool.open()
    spool.bury([("00ff", ROTTEN), ("live,tag=a v=1 1000", "why")], 5)
    spool.close()
    letters = Letters(spool.path)

    assert letters.retry() == (1, 1)
    assert [letter.reason for letter in letters.read()] == [ROTTEN]


def test_a_spool_that_is_none_is_named(tmp_path: Path) -> None:
    """A destination that was never used, and a file that is something else."""
    with pytest.raises(StorageError, match="does not exist"):
        Letters(tmp_path / "none.sqlite").read()
    (tmp_path / "other.sqlite").write_bytes(b"no database at all, but long enough to be read as one" * 20)
    with pytest.raises(StorageError, match=r"other\.sqlite cannot be used"):
        Letters(tmp_path / "other.sqlite").drop()


def test_letters_beyond_the_bound_are_counted_as_dropped(tmp_path: Path) -> None:
    """By their lines; the oldest go, and what a person dropped meanwhile makes room."""
    spool = Spool(tmp_path / "x.sqlite", 1 << 20)
    spool.open()
    spool.bury([(f"a v={n} 1\nb v={n} 1\n", "why") for n in range(900)], 5)
    spool.bury([(f"c v={n} 1", "why") for n in range(900)], 6)
    figures = spool.dead, spool.dead_lines, spool.dropped
    left = spool.dead_letters()
    Letters(spool.path).drop(list(range(801, 1801)))
    spool.bury([("d v=1 1", "why")], 7)
    after = spool.dead_letters(), spool.dropped
    spool.look()
    seen = spool.dead, spool.dead_lines
    spool.close()

    assert figures == (1000, 1100, 1600)
    assert (left[0][0], left[-1][0], len(left)) == ("a v=800 1\nb v=800 1\n", "c v=899 1", 1000)
    assert after == ([("d v=1 1", "why")], 1600)
    assert seen == (1, 1)


def test_a_letter_that_is_tried_again_is_not_too_old_to_be_sent(tmp_path: Path) -> None:
    """`spool_max_days` was over long ago: a person wants it all the same. What is old beside it still goes."""
    now, day = NOW, 86_400 * 10**9
    spool = Spool(tmp_path / "x.sqlite", 1 << 20, 7 * day)
    spool.open()
    spool.bury([("again v=1 1", "why")], now - 30 * day)
    Letters(spool.path).retry()
    spool.look()
    for body, age in ((b"old v=1 1\n", 10), (b"new v=1 1\n", 1), (b"newest v=1 1\n", 0)):
        spool.put(body, 1, now - age * day)
    bodies = []
    while (item := spool.take(LIVE)) is not None:
        bodies.append(item.body)
        spool.done(item.number)
    figures = spool.dropped, spool.oldest
    spool.close()

    assert bodies == [b"again v=1 1000\n", b"new v=1 1\n", b"newest v=1 1\n"]
    assert figures == (1, 0)


def test_a_server_counts_what_somebody_else_changed(tmp_path: Path) -> None:
    """Its own changes are no news; those of another connection are, once."""
    spool = Spool(tmp_path / "x.sqlite", 1 << 20)
    spool.open()
    spool.bury([("a v=1 1000", "why"), ("b v=1 1000", "why")], 5)
    own = spool.look()
    other = sqlite3.connect(spool.path)
    other.close()
    Letters(spool.path).retry()
    seen, again = spool.look(), spool.look()
    figures = spool.dead, spool.bodies, spool.lines
    spool.close()

    assert (own, seen, again) == (False, True, False)
    assert figures == (0, 2, 2)


def test_times_of_seconds_become_milliseconds() -> None:
    """And those of milliseconds, and lines without a time, stay as they are."""
    assert in_ms("mh,m=1/0 v=5 1767225600\nlive,tag=a v=1,q=4 1767225600123\nx v=1\n") == (
        "mh,m=1/0 v=5 1767225600000\nlive,tag=a v=1,q=4 1767225600123\nx v=1\n"
    )
