"""What damaged blocks lost comes back from another backend, as deliveries, and their news is owed to the next start."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scada.errors import StorageError
from scada.historian.embedded import EmbeddedHistory
from scada.historian.holes import days_of, holes
from scada.historian.refetching import Refetched, refetch, source_of
from scada.historian.repairing import repair
from scada.historian.store import EmbeddedIntervals
from scada.intervals import MISSING, IntervalSeries, Mark
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.historian.test_repairing import CHANNELS, DAYS, MONTH, SLOTS, TRUTH, commit, read
from tests.historian.test_verification import flip

LATER = (FIRST_HOUR + 1000) * 3600 * 10**9          # everything of the twelve days is over by then


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Twelve days of 250 channels, the first of them damaged and put away."""
    directory = tmp_path / "history"
    commit(directory, TRUTH, record=1)
    marks_of_a_start(directory, dealt=True)
    flip(directory / MONTH, "SELECT counts FROM block ORDER BY day")
    repair(directory)
    return directory


def other(directory: Path, counts: Any, **more: Any) -> EmbeddedHistory:
    """Another backend, which holds some of the same channels."""
    place = EmbeddedHistory(directory)
    place.write([block(counts, **more)])
    return place


def brought(directory: Path, *sources: tuple[str, Any], now: int = LATER) -> Refetched:
    return refetch(directory, sources, EmbeddedHistory(directory), now)


class Away(EmbeddedHistory):
    """A backend that cannot be asked."""

    asked = 0

    def intervals(self, *_: Any, **__: Any) -> IntervalSeries:
        self.asked += 1
        raise StorageError("influx (http://nowhere) does not answer: refused")


def test_what_another_backend_holds_comes_back(history: Path, tmp_path: Path) -> None:
    """All of the day; the second time there is nothing to look for."""
    source = other(tmp_path / "other", TRUTH)
    done, again = brought(history, ("city", source)), brought(history, ("city", source))

    assert (done.looked_for, done.brought, done.missing, done.left) == (CHANNELS * 24, {"city": CHANNELS * 24}, 0, [])
    assert np.array_equal(read(history), TRUTH)
    assert (again.looked_for, again.brought) == (0, {})


def test_status_bits_come_with_the_pulses(history: Path, tmp_path: Path) -> None:
    """An hour with a magnet stays one."""
    status = np.zeros(TRUTH.shape, np.uint8)
    status[3, 5] = 4
    brought(history, ("city", other(tmp_path / "other", TRUTH, status=status)))
    found = EmbeddedHistory(history).intervals(
        np.array([0x00124B0000000001 + 3], np.uint64), np.zeros(1, np.uint8), FIRST_HOUR, 24
    )

    assert np.flatnonzero(found.status[0]).tolist() == [5]


def test_what_came_from_the_field_meanwhile_is_not_replaced(history: Path, tmp_path: Path) -> None:
    """Not even asked for: no conflict is kept of it."""
    commit(history, TRUTH[:, :10] + 1, record=2)
    done = brought(history, ("city", other(tmp_path / "other", TRUTH)))
    counts = read(history)

    assert done.brought == {"city": CHANNELS * 14}
    assert np.array_equal(counts[:, :10], TRUTH[:, :10] + 1)
    assert np.array_equal(counts[:, 10:], TRUTH[:, 10:])


def test_each_backend_gives_what_the_ones_before_did_not_have(history: Path, tmp_path: Path) -> None:
    """And what none has is left, by channel and hour."""
    first, second = TRUTH.copy(), TRUTH.copy()
    first[:, 6:] = MISSING
    second[200:, :24] = MISSING
    done = brought(history, ("a", other(tmp_path / "a", first)), ("b", other(tmp_path / "b", second)))
    counts = read(history)
    (left,) = done.left

    assert done.brought == {"a": CHANNELS * 6, "b": 200 * 18}
    assert done.missing == 50 * 18
    assert (left.start, left.end) == ((FIRST_HOUR + 6) * 3600, (FIRST_HOUR + 24) * 3600)
    assert left.eui.tolist() == [0x00124B0000000001 + line for line in range(200, 250)]
    assert np.array_equal(counts[:200], TRUTH[:200])
    assert (counts[200:, 6:24] == MISSING).all()


def test_a_backend_that_is_away_is_named_once_and_the_others_are_asked(history: Path, tmp_path: Path) -> None:
    """One day was lost, and one more: it is not asked about the second."""
    flip(history / MONTH, "SELECT counts FROM block WHERE day = (SELECT max(day) FROM block)")
    repair(history)
    away = Away(tmp_path / "away")
    done = brought(history, ("away", away), ("city", other(tmp_path / "other", TRUTH)))

    assert done.trouble == ["influx (http://nowhere) does not answer: refused"]
    assert away.asked == 1
    assert np.array_equal(read(history), TRUTH)


def test_hours_that_are_not_over_are_not_missed(history: Path, tmp_path: Path) -> None:
    """In the middle of the sixth hour, five are due."""
    now = (FIRST_HOUR * 3600 + 5 * 3600 + 1800) * 10**9
    done = brought(history, now=now)

    assert done.looked_for == CHANNELS * 5
    assert [one.end for one in done.left] == [(FIRST_HOUR + 5) * 3600]


def test_of_a_spoilt_month_every_day_is_looked_at(tmp_path: Path) -> None:
    """The file that was set aside cannot be read at all; a backend has everything it held."""
    directory = tmp_path / "history"
    commit(directory, TRUTH, record=1)
    (directory / MONTH).write_bytes(b"no database" * 1000)
    repair(directory)
    done = brought(directory, ("city", other(tmp_path / "other", TRUTH)))

    assert done.brought == {"city": TRUTH.size}
    assert np.array_equal(read(directory), TRUTH)
    assert {one.start // 86_400 for one in done.left} == set(range(FIRST_HOUR // 24 + DAYS, FIRST_HOUR // 24 + 31))


def test_shorter_intervals_come_back_as_such(tmp_path: Path) -> None:
    """A day of quarters."""
    directory, quarters = tmp_path / "history", np.arange(96).reshape(1, 96)
    place = other(directory, quarters, first=FIRST_HOUR * 4, interval_s=900)
    flip(directory / MONTH, "SELECT counts FROM block")
    repair(directory)
    lost = place.intervals(np.array([0x00124B0000000001], np.uint64), np.zeros(1, np.uint8), FIRST_HOUR * 4, 96, 900)
    source = other(tmp_path / "other", quarters, first=FIRST_HOUR * 4, interval_s=900)
    done = brought(directory, ("city", source))
    found = place.intervals(np.array([0x00124B0000000001], np.uint64), np.zeros(1, np.uint8), FIRST_HOUR * 4, 96, 900)

    assert (lost.counts == MISSING).all()
    assert done.brought == {"city": 96}
    assert np.array_equal(found.counts, quarters)


def test_a_sound_history_has_no_holes(tmp_path: Path) -> None:
    """Hours that never came are no damage."""
    commit(tmp_path / "history", TRUTH, record=1, first=FIRST_HOUR + 3)

    assert list(holes(tmp_path / "history", LATER // 10**9)) == []


def test_the_days_of_a_month_file(tmp_path: Path) -> None:
    """Of a leap year's February, set aside for the second time."""
    days = days_of(tmp_path / "intervals-2028-02.sqlite.2.damaged")

    assert (len(days), days[0]) == (29, 21_215)


def test_a_source_is_told_from_concentrators_and_from_other_sources() -> None:
    """Link 0 is nobody's, record 0 moves no cursor."""
    one, other_ = source_of("city"), source_of("plant")

    assert (one.link_id, one.record) == (0, 0)
    assert one.archive_id != other_.archive_id
    assert min(one.archive_id, other_.archive_id) >= 2**32


# ------------------------------------------------------------------------------------------------ what is owed
def marks_of_a_start(directory: Path, *, dealt: bool) -> list[Mark]:
    """What the next start owes who follows, by its days; he deals with it, or dies before that."""
    reactor, heard = PumpedReactor(), list[Mark]()
    store = EmbeddedIntervals(directory, reactor)
    store.open()
    store.start()
    following = store.follow("somebody", lambda news: None)
    while (news := reactor.wait(following.older())) is not None:
        heard += news.marks
        if dealt:
            following.dealt(news)
    store.close()
    return sorted(heard, key=lambda mark: mark.first)


def spans(marks: list[Mark]) -> list[tuple[int, int, int]]:
    return [(len(mark.slots), mark.first - FIRST_HOUR, mark.intervals) for mark in marks]


def test_a_repair_is_told_to_who_follows_at_the_next_start(history: Path) -> None:
    """Of the block that lost its hours the whole day, and until he has dealt with it."""
    assert spans(marks_of_a_start(history, dealt=False)) == [(CHANNELS, 0, 24)]
    assert spans(marks_of_a_start(history, dealt=True)) == [(CHANNELS, 0, 24)]
    assert spans(marks_of_a_start(history, dealt=True)) == []


def test_what_was_brought_back_is_told_too(history: Path, tmp_path: Path) -> None:
    """Though nobody listened when it was merged."""
    marks_of_a_start(history, dealt=True)
    brought(history, ("city", other(tmp_path / "other", TRUTH)))

    assert spans(marks_of_a_start(history, dealt=True)) == [(CHANNELS, 0, 24)]


def test_salvaged_blocks_are_told(tmp_path: Path) -> None:
    """Of a month file that was set aside; a repair that changes nothing owes nothing."""
    directory = tmp_path / "history"
    commit(directory, TRUTH, record=1)
    (directory / MONTH).rename(directory / f"{MONTH}.damaged")
    repair(directory)

    assert spans(marks_of_a_start(directory, dealt=True)) == [(CHANNELS, 0, 24 * DAYS)]
    repair(directory)
    assert spans(marks_of_a_start(directory, dealt=True)) == []


def test_what_a_crash_left_is_told_again_after_a_second_crash(tmp_path: Path) -> None:
    """The first start merged it and was killed before anybody had worked on the news."""
    directory = tmp_path / "history"
    reactor = PumpedReactor()
    store = EmbeddedIntervals(directory, reactor, merge_delay=3600.0)
    store.open()
    store.committing.start()                        # no merging: the journal alone has it
    reactor.wait(store.commit(block(TRUTH[:, :24], record=1)))
    store.committing.close()
    store.journal.close()
    store.blocks.close()
    assert store._lock is not None
    store._lock.close()

    assert spans(marks_of_a_start(directory, dealt=False)) == [(CHANNELS, 0, 24)]
    assert spans(marks_of_a_start(directory, dealt=True)) == [(CHANNELS, 0, 24)]
    assert spans(marks_of_a_start(directory, dealt=True)) == []
    assert np.array_equal(read(directory)[SLOTS, :24], TRUTH[:, :24])
