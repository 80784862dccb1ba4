"""Once a week every group's phases are studied, kept as a row and shown as tags; what was not done is done later."""

import threading
from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pytest
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from scada.balancing.phases import weekly
from scada.balancing.phases.gather import gathered
from scada.balancing.phases.study import Asked, study
from scada.balancing.phases.weekly import PhaseWeekService
from scada.balancing.phases.weeks import KIND, WEEK_S, nothing, row_of, week_before
from scada.clock import HOUR_S, NS
from scada.compute import InThisProcess
from scada.errors import StorageError
from scada.phase_study import PHASE_WEEK_COLUMNS
from scada.ports import ResultRows, ResultTable
from scada.site import BalanceGroup, Directory, Medium
from tests.balancing.phases.test_outcome import PHASE, START, ZONE, Stores, site

MONDAY = "2026-01-12"                   # the week before begins on the 5th: four days after the stores
FIRST = START + 4 * 24


class Kept:
    """`ports.ResultStore`."""

    def __init__(self):
        self.rows, self.failing = {}, False

    def put_many(self, kind, span, rows):
        assert (kind, span) == (KIND, WEEK_S)
        if self.failing:
            raise OSError("no disk")
        for place, which in enumerate(rows.which.tolist()):
            self.rows[rows.names[which], int(rows.table.start[place])] = {
                name: float(column[place]) for name, column in rows.table.columns.items()}
        return succeed(None)

    def get(self, _kind, name, _span, first, last):
        found = [(start, row) for (of, start), row in self.rows.items() if of == name and first <= start < last]
        return self._table(found)

    def get_many(self, _kind, names, span, first, last):
        return ResultRows.joined(list(names), [self.get(KIND, name, span, first, last) for name in names])

    def _table(self, found):
        columns = {name: np.array([row[name] for _, row in found]) for name in (found[0][1] if found else ())}
        return ResultTable(np.array([start for start, _ in found], dtype=np.int64), columns)


class Sink:
    def __init__(self):
        self.devices, self.batches = {}, []

    def add_device(self, device):
        self.devices[device.name] = device

    def publish(self, batch):
        self.batches.append(batch)


class Registry:
    def __init__(self, directory):
        self.directory = directory


class At:
    """`SiteClock`, standing."""

    def now(self):
        return (FIRST + 8 * 24) * HOUR_S * NS


@pytest.fixture
def parts():
    groups = (
        *site().balance_groups, BalanceGroup("EMPTY", Medium.ELECTRICITY),
        BalanceGroup("W", Medium.WATER, members=("P0",)),
        BalanceGroup("NONE", Medium.ELECTRICITY, members=("S",)),
        BalanceGroup("S", Medium.ELECTRICITY, feed_tag="X/energy"),
    )
    return Registry(Directory(attrs.evolve(site(PHASE), balance_groups=groups))), Kept(), Sink()


def service(parts):
    registry, kept, sink = parts
    return PhaseWeekService(
        registry, Stores().sources(), kept, sink, InThisProcess(), At(), Clock(), None, "UTC")


def a_night(of, day=MONDAY):
    done = of._night(day, threading.Event())
    of._done()
    return done


def test_a_week_is_kept_as_a_row_and_shown_as_tags(parts):
    """What its study says, by the column; of a group of which nothing can be said a row without, and no tags."""
    _registry, kept, sink = parts
    of = service(parts)
    assert a_night(of)
    registry, group = parts[0], parts[0].directory.balance_group["BG"]
    found = study(Asked("BG", FIRST, 168, gathered(registry.directory, group, FIRST, 168, ZONE, Stores().sources())))
    row = kept.rows["BG", FIRST * HOUR_S]

    assert set(kept.rows) == {("BG", FIRST * HOUR_S), ("NONE", FIRST * HOUR_S)}
    assert row == pytest.approx(dict(row_of(found)), nan_ok=True)
    assert (row["position"], row["g_all"]) == (found.uneven[HOUR_S].position, found.together.mean[-1])
    assert (row["neutral"], row["left"]) == (found.points[0].check.neutral, found.order[-1].left)
    assert kept.rows["NONE", FIRST * HOUR_S]["consumers"] == 0
    assert list(sink.devices) == ["BG-phases"]
    tags = dict(zip(sink.devices["BG-phases"].points, sink.batches[0].values, strict=True))
    assert tags["position"] == pytest.approx(row["position"])
    assert tags["left"] == pytest.approx(100 * row["left"])
    assert sink.batches[0].at == (FIRST + 168) * HOUR_S * NS
    assert set(of.table("BG", 0, 2**40).columns) == set(PHASE_WEEK_COLUMNS)


@pytest.fixture
def quick(monkeypatch):
    """The arithmetic is of no matter."""
    monkeypatch.setattr(weekly, "row_of_week", lambda asked: (asked.group, {**nothing(7), "consumers": 3.0}))


@pytest.mark.usefixtures("quick")
def test_a_group_is_studied_once_a_week_and_one_that_came_since_in_the_next_night(parts):
    """What is kept is not read again."""
    _registry, kept, _sink = parts
    of = service(parts)
    a_night(of)
    del kept.rows["NONE", FIRST * HOUR_S]
    before = dict(kept.rows)
    stores = of._sources.hourly.__self__
    read = stores.read
    a_night(of, "2026-01-13")

    assert stores.read == read
    assert set(kept.rows) == {*before, ("NONE", FIRST * HOUR_S)}


@pytest.mark.usefixtures("quick")
def test_what_could_not_be_stored_is_due_again_and_a_server_that_stops_enters_nothing(parts):
    """The disk is full in the first night."""
    _registry, kept, _sink = parts
    of, stopping = service(parts), threading.Event()
    stopping.set()
    stopped = of._night(MONDAY, stopping)
    kept.failing = True
    a_night(of)
    after_failure, kept.failing = dict(kept.rows), False
    a_night(of)

    assert not stopped
    assert after_failure == {}
    assert ("BG", FIRST * HOUR_S) in kept.rows


def test_weeks_begin_on_mondays_of_the_site_also_where_clocks_change():
    """Of any day of a week the one before; 167 hours with the change to summer."""
    assert {week_before(ZONE, f"2026-01-{day}") for day in range(12, 19)} == {(FIRST, 168)}
    assert week_before(ZoneInfo("Europe/Chisinau"), "2026-03-30")[1] == 167


def test_a_group_whose_study_fails_costs_no_other_its_week_and_is_named(parts, monkeypatch):
    """It is not asked again of that week; a disk that fails is another matter, and the whole night is tried again."""
    registry, kept, _sink = parts
    second = attrs.evolve(registry.directory.balance_group["BG"], name="BH")
    site_ = registry.directory.site
    registry.directory = Directory(attrs.evolve(site_, balance_groups=(*site_.balance_groups, second)))
    asked = []

    def row(one):
        asked.append(one.group)
        if one.group == "BG":
            raise KeyError("BG-HOUSE")
        return one.group, {**nothing(7), "consumers": 3.0}

    monkeypatch.setattr(weekly, "row_of_week", row)
    of = service(parts)
    assert a_night(of)
    assert a_night(of, "2026-01-13")
    (health,) = of.health()

    assert asked == ["BG", "BH"]
    assert set(kept.rows) == {("BH", FIRST * HOUR_S), ("NONE", FIRST * HOUR_S)}
    assert not health.ok
    assert "phases of 1 groups could not be studied" in health.text
    monkeypatch.setattr(weekly, "gathered", lambda *_: (_ for _ in ()).throw(StorageError("no disk")))
    with pytest.raises(StorageError):
        service((registry, Kept(), Sink()))._night(MONDAY, threading.Event())
