"""The news of merges: nothing that changed is kept from who follows, whatever dies when, and it stays small."""

import sqlite3
from collections import deque
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from twisted.internet.defer import succeed

from scada.historian import months
from scada.historian import news as module
from scada.historian import state as state_module
from scada.historian.blocks import BlockStore, keys_of
from scada.historian.database import open_writer
from scada.historian.following import StoreFollowing
from scada.historian.journal import Position
from scada.historian.months import month_paths
from scada.historian.news import decoded, encoded, joined, marks_of, pieces, runs_of
from scada.historian.records import BatchRecord
from scada.historian.slots import SlotBook
from scada.historian.state import STATE_FILE, StateFile, owe
from scada.intervals import IntervalBatch, News
from tests.historian.helpers import FIRST_HOUR, block

DAY = FIRST_HOUR // 24
keys = st.sets(st.tuples(st.sampled_from([900, 3600]), st.integers(-2, 3), st.integers(0, 6)), max_size=30)


# ------------------------------------------------------------------------------------------------------ runs
def blocks_of(runs):
    return {(interval_s, day, one) for interval_s, day, first, end in runs.tolist() for one in range(first, end)}


@given(st.lists(keys, max_size=4))
def test_runs_hold_the_blocks_they_are_made_of_and_no_other(parts):
    """Joined, encoded, cut into pieces: always the same blocks, each in one run."""
    wanted = set().union(*parts)
    runs = joined([runs_of(part) for part in parts])
    days, count, body = encoded(runs)

    assert blocks_of(runs) == wanted
    assert sum(end - first for _, _, first, end in runs.tolist()) == len(wanted)
    assert days == len({key[:2] for key in wanted})
    assert np.array_equal(decoded(count, body), runs)
    assert set().union(*map(blocks_of, pieces(runs))) == wanted


def test_pieces_are_a_month_at_most_and_the_newest_comes_first():
    """A hundred days of one block."""
    found = list(pieces(runs_of((3600, day, 4) for day in range(100))))

    assert [(int(one[0, 1]), int(one[-1, 1])) for one in found] == [(69, 99), (38, 68), (7, 37), (0, 6)]


def test_too_many_runs_become_one_a_day(monkeypatch):
    """Whoever follows does more than he must; what is kept stays bounded."""
    monkeypatch.setattr(module, "MOST_RUNS", 3)

    assert runs_of((3600, day, one) for day in (1, 2) for one in (0, 5, 9)).tolist() == [[3600, 1, 0, 10], [3600, 2, 0, 10]]


def test_days_that_changed_alike_are_one_mark_of_the_channels_that_are_known():
    """A year of a whole site is one piece of news, not one a block and day."""
    book = SlotBook()
    book.adopt(1, np.arange(300, dtype=np.uint64), np.zeros(300, np.uint8), np.arange(300))
    marks = marks_of(runs_of((3600, day, one) for day in range(365) for one in (0, 1)), book)

    assert [(len(mark.slots), mark.first, mark.intervals, mark.interval_s) for mark in marks] == [(300, 0, 365 * 24, 3600)]


def test_bytes_that_are_not_what_was_written_do_not_prevent_a_start(tmp_path):
    """What they said is lost, and in the log; the rest goes on."""
    owe(tmp_path, [(3600, 1, 1)])
    with closing(sqlite3.connect(tmp_path / STATE_FILE)) as database, database:
        database.execute("UPDATE news SET body = x'0102'")
    owe(tmp_path, [(3600, 2, 1)])
    state = StateFile(tmp_path)
    state.open(SlotBook())
    piece = state.news.after(state.database, 0, state.news.last)
    state.close()

    assert blocks_of(piece.runs) == {(3600, 2, 1)}


def test_what_an_earlier_version_owed_is_owed_still(tmp_path):
    """In its table of single blocks."""
    owe(tmp_path, [(3600, 1, 1)])
    with closing(sqlite3.connect(tmp_path / STATE_FILE)) as database, database:
        database.execute("CREATE TABLE owed(interval_s INTEGER, day INTEGER, block INTEGER)")
        database.execute("INSERT INTO owed VALUES (900, 7, 3)")
    for _ in range(2):
        state = StateFile(tmp_path)
        state.open(SlotBook())
        piece = state.news.after(state.database, 0, state.news.last)
        state.close()

        assert blocks_of(piece.runs) == {(900, 7, 3), (3600, 1, 1)}


# ------------------------------------------------------------------------------------------------- following
class Killed(BaseException):
    """The process ends here."""


class Followed(RuleBasedStateMachine):
    """Merges, faults and deaths at every step of them, and two who follow at their own pace."""

    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.directory = Path(self.folder.name)
        self.journal = []                           # (position, batch, slots): what is acknowledged
        self.results = [{}, {}]                     # of each follower; durable: content by key when he looked
        self.opened = None

    @initialize()
    def begin(self):
        self.start(0)

    # ------------------------------------------------------------------ a life
    def start(self, deaths):
        """Open, with so many deaths amid the replay."""
        while True:
            self.opened = BlockStore(self.directory)
            self.opened.open()
            waiting = [item for item in self.journal if item[0] > self.opened.state.merged]
            for _, batch, slots in waiting:
                self.opened.book.adopt_batch(batch, slots)
            try:
                self.merge_of(waiting, "killed" if deaths else "", again=True)
                break
            except Killed:
                deaths -= 1
                self.opened.close()
        self.heard = [deque(), deque()]
        self.following = [
            StoreFollowing(f"F{n}", self.directory, self.opened, lambda job: succeed(job()), lambda: None, lambda: None)
            for n in range(2)
        ]

    def merge_of(self, items, fault, *, again=False):
        """As the merge thread does; a fault strikes when the months are written and the state is not."""
        if not items:
            return
        save = self.opened.state.save

        def broken(*_):
            raise Killed if fault == "killed" else sqlite3.OperationalError("full")

        if fault in ("killed", "full"):
            self.opened.state.save = broken
        try:
            marks = self.opened.merge([(place, BatchRecord(batch, slots)) for place, batch, slots in items], again=again)
        except sqlite3.OperationalError:
            return
        finally:
            self.opened.state.save = save
        if marks and not again:
            for heard in self.heard:
                heard.append(News(self.opened.state.news.last, tuple(marks)))

    # ------------------------------------------------------------------ what happens
    @rule(
        channels=st.lists(st.sampled_from([0, 1, 2, 255, 256, 257, 600]), min_size=1, max_size=3, unique=True),
        first=st.integers(0, 200), hours=st.sampled_from([1, 3, 30]), count=st.integers(0, 2),
        fault=st.sampled_from(["", "", "", "full", "killed", "silent"]), deaths=st.integers(0, 1),
    )
    def deliver(self, channels, first, hours, count, fault, deaths):
        """Acknowledged, then merged with what waits; `silent` dies before anybody is told."""
        batch = IntervalBatch.of(block(
            np.full((len(channels), hours), count), first=FIRST_HOUR + first, eui=np.array(channels) + 1, record=1,
        ))
        book = self.opened.book
        book.adopt_batch(batch, np.array(channels, dtype=np.int64))
        self.journal.append((Position(1, len(self.journal) + 1), batch, np.array(channels, dtype=np.int64)))
        waiting = [item for item in self.journal if item[0] > self.opened.state.merged]
        try:
            self.merge_of(waiting, fault)
        except Killed:
            self.opened.close()
            self.start(deaths)
        if fault == "silent":
            self.die(0)

    @rule(deaths=st.integers(0, 2))
    def die(self, deaths):
        self.opened.close()
        self.start(deaths)

    @rule()
    def stop(self):
        self.opened.state.keep_places()
        self.opened.close()
        self.start(0)

    @rule(who=st.integers(0, 1), day=st.integers(0, 9), one=st.integers(0, 2))
    def bring(self, who, day, one):
        """Whole blocks of an import, told before they are written; here they are written by nobody."""
        self.opened.state.owe([(3600, DAY + day, one)])

    @rule(who=st.integers(0, 1), told=st.booleans())
    def hear(self, who, told):
        if self.heard[who]:
            self.deal(who, self.heard[who].popleft(), told)

    @rule(who=st.integers(0, 1), told=st.booleans())
    def look_behind(self, who, told):
        if (news := self.following[who].older().result) is not None:
            self.deal(who, news, told)

    def deal(self, who, news, told):
        """The results are durable; a death before the store knows of it is no loss."""
        held = self.held()
        self.results[who] |= {key: held[key] for mark in news.marks for key in keys_of(mark) if key in held}
        if told:
            self.following[who].dealt(news)

    def held(self):
        found = {}
        for path in month_paths(self.directory):
            with closing(sqlite3.connect(path)) as database:
                rows = database.execute("SELECT interval_s, day, block, counts FROM block")
                found |= {tuple(key): counts for *key, counts in rows}
        return found

    def teardown(self):
        if self.opened is None:
            return
        self.die(0)
        for who in range(2):
            while (news := self.following[who].older().result) is not None:
                self.deal(who, news, True)
        held, rows = self.held(), self.opened.state.database
        self.opened.state.keep_places()
        (left,) = rows.execute("SELECT count(*) FROM news").fetchone()
        self.opened.close()
        self.folder.cleanup()

        assert self.results == [held, held]
        assert left == 0


def test_whatever_dies_when_who_follows_has_dealt_with_the_current_content_at_the_end(monkeypatch):
    """Of every block that ever changed; and nothing is left over."""
    def unsynced(path, schema):
        """Processes die here, not machines."""
        database = open_writer(path, schema)
        database.execute("PRAGMA synchronous=OFF")
        return database

    monkeypatch.setattr(months, "open_writer", unsynced)
    monkeypatch.setattr(state_module, "open_writer", unsynced)
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    monkeypatch.setattr(module, "PIECE_DAYS", 2)
    run_state_machine_as_test(
        Followed, settings=settings(max_examples=60, stateful_step_count=25, deadline=None, derandomize=True)
    )


def test_a_merge_costs_a_row_and_who_does_not_follow_for_long_costs_no_more_than_some(tmp_path, monkeypatch):
    """Rows are joined while the server runs, but not those that somebody reads one by one."""
    monkeypatch.setattr(module, "MOST_ROWS", 10)
    state = StateFile(tmp_path)
    state.open(SlotBook())
    counts = []
    for day in range(35):
        if day == 5:
            state.news.hold()
        state.owe([(3600, day, 7)])
        counts.append(state.database.execute("SELECT count(*) FROM news").fetchone()[0])
    state.close()

    assert counts[:15] == list(range(1, 16))
    assert max(counts) == 15
    assert counts[15] == 6


def test_what_is_older_is_handed_out_whole_though_much_is_merged_meanwhile(tmp_path, monkeypatch):
    """Rows that wait to be read are not joined with what comes: it would carry them past who reads."""
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    opened = BlockStore(tmp_path)
    opened.open()
    opened.state.owe([(3600, DAY, 0)])              # merged while the parts of the server start
    opened.state.owe([(3600, DAY + 1, 0)])
    following = StoreFollowing("F", tmp_path, opened, lambda job: succeed(job()), lambda: None, lambda: None)
    numbers = [following.older().result.number]
    for day in range(9):
        opened.state.owe([(3600, DAY + 40 + day, 0)])
    while (news := following.older().result) is not None:
        numbers.append(news.number)
    opened.close()

    assert numbers == [1, 2]


@pytest.mark.parametrize("told", [False, True])
def test_news_that_came_while_older_is_read_is_told_again_unless_both_are_dealt_with(tmp_path, told):
    """A place is one number: it cannot pass what is older and not done."""
    owe(tmp_path, [(3600, DAY, 0)])
    opened = BlockStore(tmp_path)
    opened.open()
    following = StoreFollowing("F", tmp_path, opened, lambda job: succeed(job()), lambda: None, lambda: None)
    older = following.older().result
    opened.state.owe([(3600, DAY + 40, 0)])
    if told:
        following.dealt(older)
    assert following.older().result is None
    following.dealt(News(opened.state.news.last, ()))
    opened.state.keep_places()
    (left,) = opened.state.database.execute("SELECT count(*) FROM news").fetchone()
    opened.close()

    assert left == (0 if told else 2)
