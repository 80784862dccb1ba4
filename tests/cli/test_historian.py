"""`scada historian`: what is in the store, whether it is sound, and a backup that a server starts from."""

import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.balancing.memory import Memory
from scada.cli import main
from scada.cli.site import registry_of
from scada.historian.livefiles import LiveFiles
from scada.historian.removal import Due, remember
from scada.historian.results import put_now
from scada.historian.samples import Samples
from scada.historian.store import EmbeddedIntervals
from scada.lock import lock_directory
from scada.ports import ResultTable
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.ports import free_port

MONTH = "intervals-2026-01.sqlite"


@pytest.fixture(autouse=True)
def usual_mask() -> Iterator[None]:
    """The commands make what they write private; the other tests go on as before."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site with an InfluxDB replica, and two days of three channels."""
    path = tmp_path / "scada.yaml"
    path.write_text(
        "site: {name: North, timezone: Europe/Chisinau}\n"
        "historian: {influx: [{name: city, url: 'http://127.0.0.1:8086', database: d}]}\n", encoding="utf-8",
    )
    reactor = PumpedReactor()
    store = EmbeddedIntervals(tmp_path / "data" / "history", reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block(np.ones((3, 48)), record=1)))
    store.close()
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["historian", *(str(one) for one in arguments)])


def spoil(config: Path) -> None:
    """A byte of the second day's block is not what was written."""
    with closing(sqlite3.connect(config.parent / "data" / "history" / MONTH)) as database, database:
        database.execute("UPDATE block SET crc = crc + 1 WHERE day = (SELECT max(day) FROM block)")


def without_replica(config: Path) -> None:
    """A site of its own."""
    config.write_text("site: {name: North, timezone: Europe/Chisinau}\n", encoding="utf-8")


def test_status_shows_sizes_by_kind_and_what_a_month_holds(config: Path) -> None:
    """For people, with units."""
    done = run("status", config)

    assert done.exit_code == 0
    for word in ("journal", "months", "live", "results", "spool", MONTH, "2026-01-01", "2026-01-02", "144", "3 channels"):
        assert word in done.stdout, word
    assert "0 B of the journal are not merged yet" in done.stdout


def test_status_in_json(config: Path) -> None:
    """For programs, in bytes."""
    (config.parent / "data" / "spool").mkdir()
    (config.parent / "data" / "spool" / "city.sqlite").write_bytes(b"x" * 10)
    said = json.loads(run("status", config, "--json").stdout)
    (month,) = said["months"]

    assert said["bytes"]["spool"] == 10
    assert (month["first_day"], month["last_day"]) == ("2026-01-01", "2026-01-02")
    assert (month["blocks"], month["channels"], month["values"], month["values_counted"]) == (2, 3, 144, True)
    assert month["bytes_per_value"] == round(month["bytes"] / 144, 3)
    assert (said["unmerged_bytes"], said["set_aside"], said["trouble"]) == (0, [], [])


def test_status_names_what_was_set_aside_and_is_not_well(config: Path) -> None:
    """Exit status 1, as `scada status` has it."""
    (config.parent / "data" / "history" / f"{MONTH}.damaged").write_bytes(b"x")
    done = run("status", config)

    assert done.exit_code == 1
    assert f"set aside as damaged: {MONTH}.damaged" in done.stderr


def test_status_says_what_retention_removed(config: Path) -> None:
    """How much, and what last."""
    folder = config.parent / "data" / "history"
    for month in ("2019-01", "2019-02"):
        remember(folder, Due("live", folder / f"live-{month}.sqlite", 1_551_398_400, 1_500_000), 1_767_225_600 * 10**9)
    done, said = run("status", config), json.loads(run("status", config, "--json").stdout)

    names = "live-2019-01.sqlite, live-2019-02.sqlite"
    assert f"removed by retention: 2 pieces, 3.0 MB, last 2026-01-01T00:00:00Z: {names}" in done.stdout
    assert (said["removed"]["pieces"], said["removed"]["bytes"]) == (2, 3_000_000)


def test_retention_shows_what_may_go_and_removes_nothing(config: Path) -> None:
    """With what it waits for: here the replica, which has no spool yet."""
    text = config.read_text(encoding="utf-8").replace("historian: {", "historian: {retention: {interval_days: 400}, ")
    config.write_text(text, encoding="utf-8")
    folder = config.parent / "data" / "history"
    (folder / MONTH).rename(folder / "intervals-2019-01.sqlite")
    (folder / "live-2019-03.sqlite").write_bytes(b"x" * 10)
    (folder / "live-2199-03.sqlite").write_bytes(b"x" * 10)
    done, said = run("retention", config), json.loads(run("retention", config, "--json").stdout)

    assert done.exit_code == 0
    assert (
        "live samples 400 days, interval data 400 days, results for ever, events for ever, the merged journal 3 days"
    ) in done.stdout
    assert [(one["kind"], one["name"], one["before"], one["not_confirmed_by"]) for one in said] == [
        ("live", "live-2019-03.sqlite", "2019-04-01T00:00:00Z", ["city"]),
        ("intervals", "intervals-2019-01.sqlite", "2019-02-01T00:00:00Z", ["city"]),
    ]
    assert (folder / "live-2019-03.sqlite").exists()


def test_verify_says_what_it_read(config: Path) -> None:
    """So that an empty folder is not taken for a sound one."""
    done, said = run("verify", config), json.loads(run("verify", config, "--json").stdout)

    assert (done.exit_code, done.stderr) == (0, "")
    assert "blocks 2, records of the journal 1, chunks of live tags 0, events 0, " in done.stdout
    assert "rows of results 0, bodies of spools 0: all sound" in done.stdout
    assert said == {
        "ok": True, "blocks": 2, "records": 1, "chunks": 0, "events": 0, "results": 0, "bodies": 0,
        "torn_tails": 0, "kept": [], "damaged": [],
    }


def test_verify_names_a_damaged_block_and_ends_with_1(config: Path) -> None:
    """File, day, block, channels."""
    spoil(config)
    done, said = run("verify", config), run("verify", config, "--json")
    place = f"{MONTH}, 2026-01-02, block 0 of 3600 s (3 channels): the bytes do not match their check sum"

    assert (done.exit_code, said.exit_code) == (1, 1)
    assert f"damaged: {place}" in done.stderr
    assert "1 place is damaged" in done.stdout
    (one,) = json.loads(said.stdout)["damaged"]
    assert (one["file"], one["day"], one["block"], one["channels"]) == (MONTH, "2026-01-02", 0, 3)


def test_repair_names_what_it_put_away_and_then_nothing_is_wrong(config: Path) -> None:
    """Once; the second time there is nothing to put away, and what was lost is still missing."""
    without_replica(config)
    spoil(config)
    done, again = run("repair", config), run("repair", config, "--json")

    assert done.exit_code == 0
    assert f"put away as damaged: {MONTH}, 2026-01-02, block 0 of 3600 s (3 channels)" in done.stdout
    assert "still missing of what was damaged: 72 intervals" in done.stdout
    assert json.loads(again.stdout) == {
        "blocks_put_away": [], "notes_begun_anew": [], "files_set_aside": [], "blocks_salvaged": 0, "conflicts": 0,
        "live_put_away": [], "samples_salvaged": 0, "results_taken_out": [], "results_salvaged": 0, "left_damaged": [],
        "refetched": {"looked_for": 72, "brought_back": {}, "missing": 72, "trouble": [], "ask": []},
    }
    assert "there was nothing to repair" in run("repair", config).stdout
    assert run("verify", config).exit_code == 0


def test_repair_puts_damaged_results_out_and_lets_balances_be_computed_anew(config: Path) -> None:
    """Those hours of that group; the next start finds them due."""
    without_replica(config)
    folder = config.parent / "data" / "history"
    starts = 3600 * np.arange(10)
    put_now(folder, "balance", "T07", 3600, ResultTable(starts, {"feed": starts + 0.5}))
    with closing(sqlite3.connect(folder / "results.sqlite")) as database, database:
        database.execute("UPDATE result SET row = zeroblob(16) WHERE start IN (4 * 3600, 5 * 3600)")
    done = run("repair", config)
    memory = Memory(folder / "balancing.sqlite")
    memory.open()
    memory.close()

    assert done.exit_code == 0
    assert "taken out of the results as damaged: balance, T07, 1970-01-01T04:00Z" in done.stdout
    assert memory.touched == {"T07": [(4, 6)]}
    assert run("verify", config).exit_code == 0


def test_repair_puts_damaged_live_tags_away_and_status_names_them(config: Path) -> None:
    """Until the file is moved away."""
    without_replica(config)
    folder = config.parent / "data" / "history"
    with closing(LiveFiles(folder)) as files:
        files.open()
        files.append([(1, "T01/load")], Samples(
            np.ones(1, np.int32), np.array([3600 * 10**9]), np.ones(1), np.zeros(1, np.uint8)
        ))
        files.roll()
    with closing(sqlite3.connect(folder / "live-1970-01.sqlite")) as database, database:
        database.execute("UPDATE chunk SET crc = crc + 1")
    done, status, verified = run("repair", config), run("status", config), run("verify", config)

    assert "live tags, kept in" in done.stdout
    assert "live-1970-01.sqlite, T01/load, 1970-01-01T01:00Z: the bytes do not match their check sum" in done.stdout
    assert status.exit_code == 1
    assert "set aside as damaged: damaged/live-1970-01_T01-load-1970-01-01T01Z_" in status.stderr
    assert verified.exit_code == 0
    assert "was damaged, and is kept: damaged/live-1970-01_T01-load-1970-01-01T01Z_" in verified.stdout


@pytest.mark.parametrize("name", ["live-hot.sqlite", "results.sqlite", "state.sqlite"])
def test_status_names_a_file_that_nothing_can_be_read_of(config: Path, name: str) -> None:
    """Exit status 1, whichever it is."""
    folder = config.parent / "data" / "history"
    (folder / name).write_bytes(b"\xa5" * 8192)
    for log in folder.glob(f"{name}-*"):
        log.unlink()
    done = run("status", config)

    assert done.exit_code == 1
    assert f"error: {folder / name} is damaged" in done.stderr


def test_repair_says_what_it_brought_back(config: Path) -> None:
    """From a month file that the server had set aside."""
    without_replica(config)
    folder = config.parent / "data" / "history"
    (folder / MONTH).rename(folder / f"{MONTH}.damaged")

    assert "2 blocks of spoilt files were brought back" in run("repair", config).stdout


def test_a_replica_that_cannot_be_asked_is_named_and_the_repair_stands(config: Path) -> None:
    """Exit status 1, and what to do."""
    config.write_text(config.read_text().replace("8086", str(free_port())), encoding="utf-8")
    spoil(config)
    done = run("repair", config)

    assert done.exit_code == 1
    assert "does not answer" in done.stderr
    assert "make the repair again when it answers" in done.stderr
    assert run("verify", config).exit_code == 0


def test_compact_says_what_it_gained(config: Path) -> None:
    """Nothing here: the files are new."""
    done, said = run("compact", config), json.loads(run("compact", config, "--json").stdout)

    assert done.exit_code == 0
    assert "files written anew: 0" in done.stdout
    assert said["bytes_before"] == said["bytes_after"] > 0
    assert (said["files"], said["damaged"]) == ([], [])


def test_a_running_server_is_not_repaired(config: Path) -> None:
    """A sentence with what to do."""
    with closing(lock_directory(config.parent / "data" / "history")):
        done = run("repair", config)

    assert done.exit_code == 1
    assert "another process writes" in done.stderr
    assert "stop the server first" in done.stderr


def test_a_backup_restored_is_the_history_again(config: Path, tmp_path: Path) -> None:
    """Both say what they copied; files are for their owner alone."""
    made = run("backup", config, tmp_path / "backup")
    restored = run("restore", tmp_path / "backup", "--to", tmp_path / "again")
    store = EmbeddedIntervals(tmp_path / "again", PumpedReactor())
    store.open()
    counts = store.read(np.arange(3), FIRST_HOUR, 48).counts
    store.close()

    assert (made.exit_code, restored.exit_code) == (0, 0), made.output + restored.output
    assert "backed up to" in made.stdout
    assert "restored to" in restored.stdout
    assert "with all that was acknowledged before 20" in made.stdout
    assert "the newest record was received 1970-01-01T00:00:00Z" in restored.stdout
    assert counts.tolist() == [[1] * 48] * 3
    for folder in ("backup", "again"):
        assert [path for path in (tmp_path / folder).rglob("*") if path.stat().st_mode & 0o077] == []


def test_backup_and_restore_in_json(config: Path, tmp_path: Path) -> None:
    """The same figures of both."""
    made = json.loads(run("backup", config, tmp_path / "backup", "--json").stdout)
    restored = json.loads(run("restore", tmp_path / "backup", "--to", tmp_path / "again", "--json").stdout)

    assert {name: restored[name] for name in ("version", "begun", "ended", "files", "bytes", "damaged")} == {
        name: made[name] for name in ("version", "begun", "ended", "files", "bytes", "damaged")
    }
    assert made["bytes_copied"] == made["bytes"]
    assert made["files"] == len(list((tmp_path / "backup").rglob("*.sqlite"))) + 1
    assert made["damaged"] == []


def test_a_second_backup_adds_to_the_first(config: Path, tmp_path: Path) -> None:
    """It says how much it copied; an instant before the first cannot be restored."""
    run("backup", config, tmp_path / "backup")
    said = run("backup", config, tmp_path / "backup")
    before = run("restore", tmp_path / "backup", "--to", tmp_path / "old", "--at", "1971-01-01")
    restored = run("restore", tmp_path / "backup", "--to", tmp_path / "again", "--at", "2026-11-26T12:00+02:00")

    assert said.exit_code == 0, said.output
    assert "; copied now " in said.stdout
    assert (before.exit_code, restored.exit_code) == (0, 0)
    assert "results are those of that backup" in restored.stdout


def test_nothing_is_overwritten(config: Path, tmp_path: Path) -> None:
    """A sentence, exit status 1."""
    run("backup", config, tmp_path / "backup")
    again = run("backup", config, config.parent)
    over = run("restore", tmp_path / "backup", "--to", config.parent / "data" / "history")

    assert (again.exit_code, over.exit_code) == (1, 1)
    assert "is not empty; nothing is overwritten" in again.stderr
    assert "is not empty; nothing is overwritten" in over.stderr


def test_an_export_is_imported_into_another_site(config: Path, tmp_path: Path) -> None:
    """Both say how many rows; the import is in the audit; twice changes nothing; files are for their owner alone."""
    made = run("export", config, tmp_path / "export")
    other = tmp_path / "other" / "scada.yaml"
    other.parent.mkdir()
    other.write_text(config.read_text(encoding="utf-8"), encoding="utf-8")
    done = run("import", other, tmp_path / "export")
    again = json.loads(run("import", other, tmp_path / "export", "--json").stdout)
    store = EmbeddedIntervals(other.parent / "data" / "history", PumpedReactor())
    store.open()
    counts = store.read(np.arange(3), FIRST_HOUR, 48).counts
    store.close()
    with registry_of(other) as database:
        (second, first) = database.audit.page(action="historian.import")

    assert (made.exit_code, done.exit_code) == (0, 0), made.output + done.output
    assert "files: 1, rows of intervals 144, live 0, results 0, events 0" in made.stdout
    assert "rows of intervals 144" in done.stdout
    assert again == {"rows": {"intervals": 144}, "conflicts": 0, "results_kept": 0, "events_new": 0}
    assert counts.tolist() == [[1] * 48] * 3
    assert first.detail == second.detail
    assert [path for path in (tmp_path / "export").rglob("*") if path.stat().st_mode & 0o077] == []


def test_an_export_of_some_days_and_one_kind_in_json(config: Path, tmp_path: Path) -> None:
    """Times are the site's."""
    made = json.loads(run(
        "export", config, tmp_path / "export", "--from", "2026-01-02", "--to", "2026-01-03",
        "--kind", "intervals", "--json",
    ).stdout)

    assert (made["rows"], made["from"], made["to"]) == (
        {"intervals": 3 * 24}, "2026-01-01T22:00:00Z", "2026-01-02T22:00:00Z",
    )
    assert made["damaged"] == []


def test_an_export_names_what_is_damaged_and_ends_with_1(config: Path, tmp_path: Path) -> None:
    """The rest is in it."""
    spoil(config)
    done = run("export", config, tmp_path / "export")

    assert done.exit_code == 1
    assert "rows of intervals 72" in done.stdout
    assert f"damaged, and not in the export: {MONTH}" in done.stderr


def test_without_pyarrow_it_is_a_sentence(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do; the server itself does without."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for command in ("export", "import"):
        done = run(command, config, tmp_path)
        assert done.exit_code == 1
        assert "need the library pyarrow" in done.stderr


def test_a_site_without_history_is_a_sentence(tmp_path: Path) -> None:
    """Before its first start."""
    path = tmp_path / "scada.yaml"
    path.write_text("site: {name: North, timezone: Europe/Chisinau}\n", encoding="utf-8")
    for command in (("status", path), ("verify", path), ("backup", path, tmp_path / "backup")):
        done = run(*command)
        assert done.exit_code == 1
        assert "holds no history" in done.stderr
