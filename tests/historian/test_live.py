"""Live history and results through the service: what the bus said is read back, from here and from another process."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scada.bus import TagBus
from scada.clock import HOUR_S, NS, SiteClock
from scada.errors import StartError, StorageError
from scada.historian.service import Historian, open_reader
from scada.ports import ResultTable
from scada.settings import HistorianSettings, InfluxSettings
from scada.tags import Batch, Device, Quality, TagDef
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.ports import free_port

NOW = FIRST_HOUR * HOUR_S * NS
DEVICE = Device("T01", tags=(TagDef("hidden", historise=False), TagDef("power"), TagDef("voltage")))


class Running:
    """A historian on a bus."""

    def __init__(self, directory: Path) -> None:
        self.reactor, self.clock = PumpedReactor(), SiteClock()
        self.bus = TagBus(self.clock, self.reactor)
        self.bus.add_device(DEVICE)
        self.historian = Historian(HistorianSettings(), directory, self.clock, self.reactor, self.bus)
        self.reactor.wait(self.historian.start())

    def publish(self, at: int, power: float, quality: int = 0) -> None:
        self.bus.publish(Batch("T01", np.array([9.0, power, 230.0]), np.array([0, quality, 0], np.uint8), at, at))

    def written(self, samples: int) -> None:
        self.reactor.pump(lambda: self.historian._log.tap.written >= samples)

    def stop(self) -> None:
        self.reactor.wait(self.historian.stop())
        assert not self.reactor.getDelayedCalls()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    one = Running(tmp_path)
    yield one
    one.stop()


def test_values_qualities_and_times_are_read_back_in_order(running: Running) -> None:
    """Out of order and across hours; NaN with its quality; what is not historised is not kept."""
    for second, power in ((7200, 3.0), (0, 1.0), (3600, 2.0)):
        running.publish(NOW + second * NS, power)
    running.publish(NOW + 9000 * NS, float("nan"), Quality.BAD_NOT_CONNECTED)
    running.written(8)
    history = running.historian.live.read("T01/power", NOW, NOW + 9001 * NS)

    assert history.at.tolist() == [NOW, NOW + 3600 * NS, NOW + 7200 * NS, NOW + 9000 * NS]
    assert history.values[:3].tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(history.values[3])
    assert history.quality.tolist() == [0, 0, 0, Quality.BAD_NOT_CONNECTED]
    assert not len(running.historian.live.read("T01/hidden", 0, 2 * NOW).at)
    assert not len(running.historian.live.read("T99/power", 0, 2 * NOW).at)


def test_a_device_that_is_defined_anew_leaves_nothing_of_its_former_definition(tmp_path: Path) -> None:
    """A server that runs for years knows each device once, in the live log and in front of every destination."""
    settings = HistorianSettings(influx=(InfluxSettings(url=f"http://127.0.0.1:{free_port()}"),), dead_bands={"*": 0.5})
    reactor, clock = PumpedReactor(), SiteClock()
    bus = TagBus(clock, reactor)
    historian = Historian(settings, tmp_path, clock, reactor, bus)
    reactor.wait(historian.start())
    log, replica = historian._log, historian._replicas[0]
    for number in range(5):
        bus.add_device(Device("T01", (TagDef("power"), *(TagDef(f"p{one}") for one in range(number)))))
        bus.publish(Batch("T01", np.full(1 + number, 7.0), np.zeros(1 + number, np.uint8), NOW + number, NOW))
        for tap in (log.tap, replica._tap):
            reactor.pump(lambda tap=tap, number=number: tap.written == (number + 1) * (number + 2) // 2)
    known = [len(one) for one in (log._numbers, log._bands, replica._escaped)]
    tags = replica._tap.tags
    reactor.wait(historian.stop())

    assert known == [1, 1, 1]
    assert tags == 5


def test_rolled_and_hot_samples_are_one_history_and_none_is_doubled(running: Running, tmp_path: Path) -> None:
    """Before, during and after a roll, which may also be repeated; the newest are given when there are too many."""
    for second in range(0, 7200, 60):
        running.publish(NOW + second * NS, float(second))
    running.written(240)
    before = running.historian.live.read("T01/power", NOW, NOW + 7200 * NS)
    files = running.historian._files
    saved = files._hot.execute("SELECT * FROM hot").fetchall()
    files.roll()
    after = running.historian.live.read("T01/power", NOW, NOW + 7200 * NS)
    files._hot.executemany("INSERT INTO hot VALUES (?,?,?,?,?,?)", saved)      # killed between chunks and hot log
    during = running.historian.live.read("T01/power", NOW, NOW + 7200 * NS)
    files.roll()
    again = running.historian.live.read("T01/power", NOW, NOW + 7200 * NS)

    for one in (before, after, during, again):
        assert one.values.tolist() == [float(second) for second in range(0, 7200, 60)]
    newest = running.historian.live.read("T01/power", NOW, NOW + 7200 * NS, limit=3)
    assert newest.values.tolist() == [7020.0, 7080.0, 7140.0]


def test_the_newest_before_an_instant_are_found_when_more_samples_than_asked_for_lie_behind_it(running: Running) -> None:
    """An edge of the hour opens a chunk whose samples all lie behind it; so does a flush of the hot log."""
    for second in range(0, 7200, 60):
        running.publish(NOW + second * NS, float(second))
    running.written(240)
    edge = NOW + 3600 * NS
    hot = running.historian.live.read("T01/power", NOW, edge + 1, limit=5)
    running.historian._files.roll()
    rolled = running.historian.live.read("T01/power", NOW, edge + 1, limit=5)

    for one in (hot, rolled):
        assert one.values.tolist() == [3360.0, 3420.0, 3480.0, 3540.0, 3600.0]
    assert running.historian.live.read("T01/power", NOW, edge, limit=2).values.tolist() == [3480.0, 3540.0]


def test_a_full_disk_keeps_live_values_in_memory_until_there_is_room(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is dropped before the bound; the health says why."""
    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(running.historian._files, "append", full)
        running.publish(NOW, 1.0)
        running.reactor.pump(lambda: not next(iter(running.historian.health())).ok)
        assert "the live log" in next(iter(running.historian.health())).text
        assert "the disk is full" in next(iter(running.historian.health())).text
    running.publish(NOW + NS, 2.0)
    running.written(4)

    assert running.historian.live.read("T01/power", NOW, NOW + 10 * NS).values.tolist() == [1.0, 2.0]
    assert next(iter(running.historian.health())).ok


def test_more_live_values_than_memory_may_hold_lose_the_oldest_counted(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded, from the oldest end."""
    monkeypatch.setattr("scada.historian.tap.WAITING_SAMPLES", 10)
    for second in range(20):
        running.publish(NOW + second * NS, float(second))
    running.written(10)

    assert running.historian.live.read("T01/power", NOW, NOW + 99 * NS).values.tolist() == [15.0, 16.0, 17.0, 18.0, 19.0]
    assert next(iter(running.historian.health())).figures["live_dropped"] == 30


def test_a_stop_on_a_full_disk_gives_everything_back_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be rolled into chunks stays in the hot log; the next life has it, and the folder is free."""
    running = Running(tmp_path)
    running.publish(NOW, 1.0)
    running.written(2)

    def full() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(running.historian._files, "roll", full)
    running.stop()
    running = Running(tmp_path)
    found = running.historian.live.read("T01/power", NOW, NOW + NS).values.tolist()
    running.stop()

    assert found == [1.0]


def test_history_survives_a_restart_and_is_read_from_outside(tmp_path: Path) -> None:
    """Tag numbers, samples, pulses and results, by the server's next life and by a reader beside it."""
    running = Running(tmp_path)
    running.publish(NOW, 1.0)
    mark = running.reactor.wait(running.historian.intervals.commit(block([[4, 5]], record=1)))
    running.reactor.wait(running.historian.results.put(
        "balance", "BG-1", 3600, ResultTable(np.array([0, 3600]), {"feed": np.array([1.0, 2.0])})
    ))
    running.written(2)
    running.stop()
    running = Running(tmp_path)
    running.publish(NOW + NS, 2.0)
    running.written(2)

    reader = open_reader(tmp_path / "history")
    for live in (running.historian.live, reader.live):
        assert live.read("T01/power", NOW, NOW + 2 * NS).values.tolist() == [1.0, 2.0]
    slots = reader.intervals.slots(np.array([0x00124B0000000001], np.uint64), np.array([0], np.uint8))
    assert slots.tolist() == mark.slots.tolist()
    assert reader.intervals.read(slots, FIRST_HOUR, 2).counts.tolist() == [[4, 5]]
    assert reader.intervals.channels(slots)[0].tolist() == [0x00124B0000000001]
    assert reader.results.get("balance", "BG-1", 3600, 0, 7200).columns["feed"].tolist() == [1.0, 2.0]
    with pytest.raises(StorageError):
        running.reactor.wait(reader.results.put("balance", "BG-1", 3600, ResultTable(np.empty(0, np.int64), {})))
    reader.close()
    running.stop()


def test_a_later_result_replaces_the_row_and_a_new_column_leaves_old_rows_nan(running: Running) -> None:
    """Versioned rows; other names and spans are other series."""
    results, wait = running.historian.results, running.reactor.wait
    first = results.put("balance", "BG-1", 3600, ResultTable(np.array([0, 3600]), {"feed": np.array([1.0, 2.0])}))
    second = results.put("balance", "BG-1", 3600, ResultTable(
        np.array([3600, 7200]), {"feed": np.array([7.0, np.nan]), "loss": np.array([0.1, 0.2])}
    ))
    other = results.put("balance", "BG-2", 3600, ResultTable(np.array([0]), {"feed": np.array([9.0])}))
    for one in (first, second, other):
        wait(one)
    table = results.get("balance", "BG-1", 3600, 0, 7201)

    assert table.start.tolist() == [0, 3600, 7200]
    assert np.array_equal(table.columns["feed"], [1.0, 7.0, np.nan], equal_nan=True)
    assert np.array_equal(table.columns["loss"], [np.nan, 0.1, 0.2], equal_nan=True)
    assert not len(results.get("balance", "BG-1", 86400, 0, 7201).start)


def test_a_reader_of_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    """No traceback for a wrong path."""
    with pytest.raises(StartError, match="holds no history"):
        open_reader(tmp_path / "nothing")


def test_a_historian_that_cannot_start_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    """A second server on the folder of the first."""
    running = Running(tmp_path)
    reactor = PumpedReactor()
    other = Historian(HistorianSettings(), tmp_path, running.clock, reactor, running.bus)

    with pytest.raises(StartError, match="another process writes"):
        reactor.wait(other.start())
    reactor.wait(other.stop())
    running.stop()
