"""An export holds what the store holds, and a store that imports it holds the same; in Parquet's own terms too."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scada.clock import HOUR_S, NS
from scada.errors import StartError, StorageError
from scada.historian import exporting, import_intervals, parquet
from scada.historian.backup import back_up
from scada.historian.database import ReadPool
from scada.historian.exported import EXPORT, Export, read_export
from scada.historian.exporting import export
from scada.historian.import_intervals import enter_batches
from scada.historian.importing import Imported, import_export
from scada.historian.livefiles import LiveFiles, LiveHistory
from scada.historian.noted import load_arrivals, load_joined
from scada.historian.restoring import restore
from scada.historian.result_file import open_results
from scada.historian.results import ResultHistory, store_rows
from scada.historian.samples import Samples
from scada.historian.service import open_reader
from scada.historian.store import EmbeddedIntervals
from scada.historian.whole import WholeBlocks
from scada.intervals import IntervalBlock
from scada.ports import ResultTable
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.influx import ROOT

NOW = 2_000_000_000 * NS
MAY = 493_776                           # hour number of 2026-05-01T00:00Z


def deliver(directory: Path, *blocks: IntervalBlock, keep: bool = False) -> int:
    """Commit blocks in order, merged when it returns; the conflicts there were."""
    reactor = PumpedReactor()
    store = EmbeddedIntervals(directory, reactor, merge_delay=0.0, keep_merged=keep)
    store.open()
    store.start()
    for one in blocks:
        reactor.wait(store.commit(one))
    store.close()
    return store.blocks.conflicts


def held(directory: Path) -> dict[tuple[int, str, int, int], list[list[int]]]:
    """All that a store keeps, by kind, file, EUI and channel: interval, pulses, status and register of each interval."""
    found: dict[tuple[int, str, int, int], list[list[int]]] = {}
    store = EmbeddedIntervals(directory, None)
    store.open()
    for path in sorted(directory.glob("intervals-*.sqlite")):
        with closing(sqlite3.connect(path)) as database:
            keys = database.execute("SELECT interval_s, day, block FROM block ORDER BY 1, 2, 3").fetchall()
        for interval_s, day, number in keys:
            dense = store.reader._block(number, day, interval_s)
            width = dense.counts.shape[1]
            for row in range(256):
                slot = np.array([number * 256 + row])
                if not store.blocks.book.known(slot)[0]:
                    continue
                eui, channel = store.channels(slot)
                lines = [
                    [day * width + column, int(dense.counts[row, column]), int(dense.status[row, column]),
                     int(dense.registers[row, column])]
                    for column in range(width)
                    if dense.counts[row, column] >= 0 or dense.status[row, column] or dense.registers[row, column] >= 0
                ]
                if lines:
                    key = interval_s, path.name, int(eui[0]), int(channel[0])
                    found.setdefault(key, []).extend(lines)
    store.close()
    return found


counts_in = st.integers(-1, 3000)


@st.composite
def deliveries(draw: st.DrawFn) -> IntervalBlock:
    """A block of few channels near the end of a month, with holes, status bits and registers that may contradict."""
    n, h = draw(st.integers(1, 3)), draw(st.integers(1, 30))
    interval_s = draw(st.sampled_from([3600, 900, 1800]))
    first = (MAY * HOUR_S) // interval_s + draw(st.integers(-60, 60))
    register = st.integers(-1, 50) | st.integers(2**32 - 9000, 2**32 - 1)
    return block(
        draw(st.lists(st.lists(counts_in, min_size=h, max_size=h), min_size=n, max_size=n)), first=first,
        eui=[2**64 - 1 - one for one in range(n)], channel=[draw(st.integers(0, 2))] * n,
        register=draw(st.lists(register, min_size=n, max_size=n)),
        status=draw(st.lists(st.lists(st.sampled_from([0, 0, 0, 4, 255]), min_size=h, max_size=h), min_size=n, max_size=n)),
        link=draw(st.sampled_from([1, 2**32 - 1])), interval_s=interval_s,
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(deliveries(), min_size=1, max_size=5), st.integers(7, 2000))
def test_what_is_exported_and_imported_into_an_empty_store_is_the_same(
    tmp_path: Path, blocks: list[IntervalBlock], rows: int
) -> None:
    """Pulses, what is missing, status, registers and their bases; however many rows a group has; twice is as once."""
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    deliver(tmp_path / "one", *blocks)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parquet, "ROWS", rows)
        made = export(tmp_path / "one", tmp_path / "export", ["intervals"])
    first = import_export(tmp_path / "two", tmp_path / "export", NOW)
    before, after = held(tmp_path / "one"), held(tmp_path / "two")
    again = import_export(tmp_path / "two", tmp_path / "export", NOW)

    assert after == before
    assert made.rows("intervals") == sum(len(lines) for lines in before.values())
    assert (first.conflicts, again.conflicts) == (0, 0)
    assert held(tmp_path / "two") == before


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Two months of intervals, live samples in the hot log and in chunks, results of two shapes."""
    directory = tmp_path / "history"
    deliver(
        directory, block(np.arange(3 * 72).reshape(3, 72), record=1, first=MAY - 24, register=[5, -1, 2**32 - 1]),
        block([[7, -1, 9]], eui=[0xAB], status=[[0, 4, 0]], first=MAY, record=2),
    )
    with closing(LiveFiles(directory)) as files:
        files.open()
        files.append([(1, "T01/power"), (2, "T01/voltage")], live([1, 2, 1], [0, 0, 1], [1.5, 230.0, float("nan")]))
        files.roll()
        files.append([(3, "T02/power")], live([1, 3], [2, 3], [2.5, -1.0]))
    with closing(open_results(directory / "results.sqlite")) as database:
        start = np.array([MAY * HOUR_S - 3600, MAY * HOUR_S])
        store_rows(database, "balance", "B1", 3600, ResultTable(start, {"feed_kwh": np.array([1.0, 2.0])}))
        store_rows(database, "balance", "B1", 3600, ResultTable(start[1:] + 3600, {
            "feed_kwh": np.array([3.0]), "lost_kwh": np.array([np.nan]),
        }))
    return directory


def test_a_register_that_was_reset_is_no_conflict_of_the_import(tmp_path: Path) -> None:
    """It contradicted once, where it came from; both bases come over."""
    one = tmp_path / "one"
    clashed = deliver(
        one, block([[1]], first=MAY + 5, register=[100], record=1), block([[2]], first=MAY + 6, register=[500], record=2)
    )
    export(one, tmp_path / "export", ["intervals"])
    done = import_export(tmp_path / "two", tmp_path / "export", NOW)

    assert (clashed, done.conflicts) == (1, 0)
    assert held(tmp_path / "two") == held(one)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(deliveries(), min_size=1, max_size=3), st.lists(deliveries(), max_size=2), st.integers(40, 2000))
def test_blocks_that_nobody_holds_enter_as_if_they_were_delivered(
    tmp_path: Path, blocks: list[IntervalBlock], before: list[IntervalBlock], rows: int
) -> None:
    """Into a store that has some of it, or of its day: the same contents, conflicts, and who brought what when."""
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    one = blocks[0]
    other = block([[1, 2]], eui=[0xAB], first=one.first, link=5, interval_s=one.interval_s)
    deliver(tmp_path / "one", *blocks, other)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parquet, "ROWS", rows)
        export(tmp_path / "one", tmp_path / "export", ["intervals"])
    for name in ("whole", "merged"):
        deliver(tmp_path / name, *before)
    found = import_export(tmp_path / "whole", tmp_path / "export", NOW)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(WholeBlocks, "held", lambda whole, interval_s, day, numbers: np.ones(len(numbers), np.bool_))
        expected = import_export(tmp_path / "merged", tmp_path / "export", NOW)

    assert held(tmp_path / "whole") == held(tmp_path / "merged")
    assert brought(tmp_path / "whole") == brought(tmp_path / "merged")
    assert found.conflicts == expected.conflicts


def brought(directory: Path) -> dict[tuple[str, ...], list[object]]:
    """Who brought each count and register, and each bit later than its count, by file and block."""
    found: dict[tuple[str, ...], list[object]] = {}
    for path in sorted(directory.glob("intervals-*.sqlite")):
        with closing(sqlite3.connect(path)) as database:
            for key in database.execute("SELECT interval_s, day, block FROM block ORDER BY 1, 2, 3").fetchall():
                notes = load_arrivals(database, key)
                names = [None, *map(tuple, notes.sources.tolist())]
                tables = [[names[one] for one in table.ravel().tolist()] for table in (notes.pulses, notes.registers)]
                found[path.name, *map(str, key)] = [*tables, load_joined(database, key)]
    return found


def test_what_enters_as_a_whole_is_known_from_then_on(history: Path, tmp_path: Path) -> None:
    """Who asks as of an earlier instant does not see it; the journal holds the names alone."""
    export(history, tmp_path / "export", ["intervals"])
    import_export(tmp_path / "two", tmp_path / "export", NOW)
    store = EmbeddedIntervals(tmp_path / "two", None)
    store.open()
    slots = store.slots(np.array([0x00124B0000000001], np.uint64), np.zeros(1, np.uint8))
    instants = [NOW - NS, NOW]
    counts = [store.as_of(one).read(slots, MAY - 24, 3).counts.tolist() for one in instants]
    store.close()

    assert counts == [[[-1, -1, -1]], [[0, 1, 2]]]
    assert sum(path.stat().st_size for path in (tmp_path / "two" / "journal").glob("*.journal")) < 400


def test_no_instant_is_restored_without_what_was_imported_before_it(history: Path, tmp_path: Path) -> None:
    """The journal has not what entered as a whole, and so has a hole there; what came before can be had."""
    source, backup = tmp_path / "two", tmp_path / "backup"
    sent = [block([[one]], eui=[0xAA], first=MAY + 24 * one, record=one, received=NOW + one) for one in range(6)]
    deliver(source, *sent[:1], keep=True)
    back_up(source, backup)
    deliver(source, *sent[1:3], keep=True)
    export(history, tmp_path / "export", ["intervals"])
    import_export(source, tmp_path / "export", NOW + 3)
    deliver(source, *sent[4:], keep=True)
    back_up(source, backup)
    for at in (NOW + 3, NOW + 4):
        with pytest.raises(StorageError, match=r"the journal between the backups .* is not whole"):
            restore(backup, tmp_path / "later", at)
    restore(backup, tmp_path / "earlier", NOW + 2)
    restore(backup, tmp_path / "newest", NOW + 5)
    eui = {key[2] for key in held(tmp_path / "earlier")}

    assert eui == {0xAA}
    assert sum(len(lines) for lines in held(tmp_path / "earlier").values()) == 3
    assert held(tmp_path / "newest") == held(source)


def test_a_month_that_the_disk_has_spoilt_is_put_aside(history: Path, tmp_path: Path) -> None:
    """As when it is delivered: the import goes on in a fresh file."""
    export(history, tmp_path / "export", ["intervals"])
    two = tmp_path / "two"
    two.mkdir()
    (two / "intervals-2026-05.sqlite").write_bytes(b"no database" * 1000)
    import_export(two, tmp_path / "export", NOW)

    assert [path.name for path in two.glob("*.damaged")] == ["intervals-2026-05.sqlite.damaged"]
    assert held(two) == held(history)


@pytest.mark.parametrize("stops_at", [1, 2, 3, 5, 7])
def test_an_import_that_was_broken_off_is_done_again(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops_at: int
) -> None:
    """Anywhere: what had come in is known, the rest follows, and nothing contradicts itself."""
    steps = []

    def breaks(*given: Any) -> Any:
        steps.append(given)
        if len(steps) == stops_at:
            raise KeyboardInterrupt
        return (enter_whole if isinstance(given[0], WholeBlocks) else enter_batches)(*given)

    monkeypatch.setattr(parquet, "ROWS", 50)
    export(history, tmp_path / "small", ["intervals"])
    enter_whole = WholeBlocks.enter
    monkeypatch.setattr(import_intervals, "enter_batches", breaks)
    monkeypatch.setattr(WholeBlocks, "enter", breaks)
    with pytest.raises(KeyboardInterrupt):
        import_export(tmp_path / "two", tmp_path / "small", NOW)
    monkeypatch.undo()
    partly = held(tmp_path / "two")
    done = import_export(tmp_path / "two", tmp_path / "small", NOW)

    assert partly != held(history)
    assert held(tmp_path / "two") == held(history)
    assert done.conflicts == 0


def live(tags: list[int], seconds: list[int], values: list[float]) -> Samples:
    at = MAY * HOUR_S * NS + np.array(seconds, np.int64) * NS
    return Samples(np.array(tags, np.int32), at, np.array(values), np.array([0] * (len(tags) - 1) + [24], np.uint8))


def test_live_tags_and_results_come_back_equal(history: Path, tmp_path: Path) -> None:
    """The hot log too; NaN with its quality; results of several shapes. A second import changes nothing."""
    export(history, tmp_path / "export")
    done = import_export(tmp_path / "two", tmp_path / "export", NOW)
    again = import_export(tmp_path / "two", tmp_path / "export", NOW)
    first, last = MAY * HOUR_S, (MAY + 1) * HOUR_S
    for directory in (history, tmp_path / "two"):
        with closing(ReadPool()) as pool:
            tags, results = LiveHistory(directory, pool), ResultHistory(directory, pool)
            power = tags.read("T01/power", first * NS, last * NS)
            rows = results.get("balance", "B1", 3600, 0, 2**40)
            assert tags.tags() == ("T01/power", "T01/voltage", "T02/power")
            assert power.values.tolist() == pytest.approx([1.5, float("nan"), 2.5], nan_ok=True)
            assert power.quality.tolist() == [0, 24, 0]
            assert (rows.start // 3600 - MAY).tolist() == [-1, 0, 1]
            assert rows.columns["feed_kwh"].tolist() == [1.0, 2.0, 3.0]
            assert np.isnan(rows.columns["lost_kwh"]).tolist() == [True, True, True]
    assert done.rows == {"intervals": 3 * 72 + 3, "live": 5, "results": 4}
    assert (again.conflicts, again.results_kept) == (0, 0)


def test_a_result_with_its_quantities_in_two_row_groups_is_one(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row group may end anywhere."""
    monkeypatch.setattr(parquet, "ROWS", 2)
    export(history, tmp_path / "export", ["results"])
    monkeypatch.undo()
    done = import_export(tmp_path / "two", tmp_path / "export", NOW)
    with closing(sqlite3.connect(tmp_path / "two" / "results.sqlite")) as database:
        shapes = database.execute("SELECT start, columns, version FROM result JOIN shape ON number = shape ORDER BY 1")
        found = [columns for _, columns, _ in shapes]

    assert found == ['["feed_kwh"]', '["feed_kwh"]', '["feed_kwh", "lost_kwh"]']
    assert done.results_kept == 0


def test_what_is_held_stays_and_is_counted(history: Path, tmp_path: Path) -> None:
    """Pulses that contradict are kept beside; results stay; what is missing comes."""
    export(history, tmp_path / "export")
    two = tmp_path / "two"
    deliver(two, block([[99, -1, 2]], first=MAY - 24, record=1))
    with closing(open_results(two / "results.sqlite")) as database:
        store_rows(database, "balance", "B1", 3600, ResultTable(np.array([MAY * HOUR_S]), {"feed_kwh": np.array([8.0])}))
    done = import_export(two, tmp_path / "export", NOW)
    store = EmbeddedIntervals(two, None)
    store.open()
    slots = store.slots(np.array([0x00124B0000000001], np.uint64), np.zeros(1, np.uint8))
    counts = store.read(slots, MAY - 24, 3).counts.tolist()
    store.close()
    with closing(ReadPool()) as pool:
        rows = ResultHistory(two, pool).get("balance", "B1", 3600, 0, 2**40)

    assert counts == [[99, 1, 2]]
    assert (done.conflicts, done.results_kept) == (1, 1)
    assert rows.columns["feed_kwh"].tolist() == [1.0, 8.0, 3.0]


def test_a_period_and_a_kind_are_exported_alone(history: Path, tmp_path: Path) -> None:
    """By the start of an interval; months without rows have no file."""
    made = export(history, tmp_path / "export", ["intervals"], MAY * HOUR_S, (MAY + 1) * HOUR_S)

    assert [(part.name, part.rows) for part in made.files] == [("intervals/month=2026-05/part-0.parquet", 4)]
    assert read_export(tmp_path / "export") == made


def test_columns_have_types_units_and_a_version(history: Path, tmp_path: Path) -> None:
    """As any reader of Parquet sees them; hive partitions are a column."""
    export(history, tmp_path / "export")
    table = pq.read_table(tmp_path / "export" / "intervals")
    about = pq.read_schema(tmp_path / "export" / "intervals" / "month=2026-05" / "part-0.parquet")
    rows = [row for row in table.to_pylist() if row["eui"] == "00000000000000AB"]

    assert [(row["start"].isoformat(), row["pulses"], row["status"], row["register"]) for row in rows] == [
        ("2026-05-01T00:00:00+00:00", 7, 0, None), ("2026-05-01T01:00:00+00:00", None, 4, None),
        ("2026-05-01T02:00:00+00:00", 9, 0, None),
    ]
    assert {row["month"] for row in table.to_pylist()} == {"2026-04", "2026-05"}
    assert rows[0]["link"] == "C0FFEE01"
    assert about.metadata == {b"scada.kind": b"intervals", b"scada.schema": b"1"}
    assert about.field("pulses").metadata[b"unit"] == b"pulse"
    assert about.field("start").type == pa.timestamp("ms", tz="UTC")


def test_the_same_history_gives_the_same_bytes(history: Path, tmp_path: Path) -> None:
    """So that a copy can be compared."""
    one, two = export(history, tmp_path / "one"), export(history, tmp_path / "two")

    assert len(one.files) == 5
    assert one.files == two.files


def test_an_export_that_failed_has_not_the_name_of_one(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while it is written nor after an error; the next attempt clears what a kill left."""
    seen = []

    def full(*_: object) -> tuple[int, str]:
        seen.append((tmp_path / "export").exists())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "write_durably", full)
    with pytest.raises(StorageError, match="the disk is full"):
        export(history, tmp_path / "export")
    assert seen == [False]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history"]
    monkeypatch.undo()
    (tmp_path / ".export.exporting").mkdir()
    (tmp_path / ".export.exporting" / "old").write_bytes(b"x")
    export(history, tmp_path / "export")
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == [EXPORT, "intervals", "live", "results"]


def test_an_export_that_was_changed_is_refused_whole(history: Path, tmp_path: Path) -> None:
    """Every file is named, and nothing is entered."""
    made = export(history, tmp_path / "export")
    path = tmp_path / "export" / made.files[0].name
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    (tmp_path / "export" / made.files[1].name).unlink()
    with pytest.raises(StorageError, match="nothing was imported") as caught:
        import_export(tmp_path / "two", tmp_path / "export", NOW)

    assert f"{made.files[0].name} is not what was written" in str(caught.value)
    assert f"{made.files[1].name} is missing" in str(caught.value)
    assert not (tmp_path / "two").exists()
    (tmp_path / "export" / EXPORT).unlink()
    with pytest.raises(StorageError, match="it is no export, or one that was not finished"):
        import_export(tmp_path / "two", tmp_path / "export", NOW)


def test_a_damaged_block_is_named_and_left_out(history: Path, tmp_path: Path) -> None:
    """The rest is exported."""
    with closing(sqlite3.connect(history / "intervals-2026-04.sqlite")) as database, database:
        database.execute("UPDATE block SET crc = crc + 1")
    made = export(history, tmp_path / "export", ["intervals"])

    assert [name.split(",")[0] for name in made.damaged] == ["intervals-2026-04.sqlite"]
    assert [part.name for part in made.files] == ["intervals/month=2026-05/part-0.parquet"]


def test_a_running_server_is_not_imported_into(history: Path, tmp_path: Path) -> None:
    """Its folder has one writer."""
    export(history, tmp_path / "export")
    store = EmbeddedIntervals(tmp_path / "two", None)
    store.open()
    with pytest.raises(StartError, match="another process writes"):
        import_export(tmp_path / "two", tmp_path / "export", NOW)
    store.close()


def merged(source: Path, eui: np.ndarray) -> int:
    """Hours that others can read of a history that is being written."""
    if not source.exists():
        return 0
    with closing(open_reader(source)) as history:
        slots = history.intervals.slots(eui, np.zeros(len(eui), np.uint8))
        return int((history.intervals.read(slots, FIRST_HOUR, 5000).counts >= 0).any(axis=0).sum())


def test_a_history_is_exported_while_another_process_writes_it(tmp_path: Path) -> None:
    """What was acknowledged, and merged, before the export began is in it, each value as it was delivered."""
    from tests.historian.committer import CHANNELS, counts_of

    source = tmp_path / "history"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.historian.committer", str(source), "1"], cwd=ROOT, stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        eui = np.array(0x00124B0000000001 + np.arange(CHANNELS), dtype=np.uint64)
        while merged(source, eui) <= 200:
            for _ in range(100):
                assert process.stdout.readline()
        made: Export = export(source, tmp_path / "export", ["intervals"])
    finally:
        process.kill()
        process.communicate(timeout=60)
    done: Imported = import_export(tmp_path / "two", tmp_path / "export", NOW)
    store = EmbeddedIntervals(tmp_path / "two", None)
    store.open()
    counts = store.read(store.slots(eui, np.zeros(CHANNELS, np.uint8)), FIRST_HOUR, 5000).counts
    store.close()
    records = np.flatnonzero((counts >= 0).any(axis=0))

    assert len(records) > 200
    assert [one for one in records.tolist() if not np.array_equal(counts[:, one], counts_of(one)[:, 0])] == []
    assert (made.unnamed, done.conflicts) == (0, 0)


def test_memory_does_not_grow_with_what_is_exported(tmp_path: Path) -> None:
    """A month of 2,560 channels, 1.9 million rows: less than 150 MB more than nothing, export and import."""
    deliver(tmp_path / "history", *(
        block(np.random.default_rng(day).integers(0, 3000, (2560, 24)), first=MAY + 24 * day, record=day + 1)
        for day in range(31)
    ))
    script = (
        "import sys, resource; from pathlib import Path\n"
        "from scada.historian.exporting import export; from scada.historian.importing import import_export\n"
        "base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "export(Path(sys.argv[1]), Path(sys.argv[2]), ['intervals'])\n"
        "import_export(Path(sys.argv[3]), Path(sys.argv[2]), 1)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)\n"
    )
    folders = [str(tmp_path / name) for name in ("history", "export", "two")]
    said = subprocess.run([sys.executable, "-c", script, *folders], cwd=ROOT, capture_output=True, text=True, check=True)

    assert int(said.stdout) < 150_000, said.stdout
