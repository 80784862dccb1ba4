"""`scada historian`: what is in the store, whether it is sound, and a backup that a server starts from."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scada.cli import main
from scada.historian.store import EmbeddedIntervals
from scada.lock import lock_directory
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block
from tests.influx import free_port

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


def test_verify_says_what_it_read(config: Path) -> None:
    """So that an empty folder is not taken for a sound one."""
    done, said = run("verify", config), json.loads(run("verify", config, "--json").stdout)

    assert (done.exit_code, done.stderr) == (0, "")
    assert "blocks 2, records of the journal 1, chunks of live tags 0: all sound" in done.stdout
    assert said == {"ok": True, "blocks": 2, "records": 1, "chunks": 0, "torn_tails": 0, "damaged": []}


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
        "blocks_put_away": [], "files_set_aside": [], "blocks_salvaged": 0, "conflicts": 0,
        "refetched": {"looked_for": 72, "brought_back": {}, "missing": 72, "trouble": [], "ask": []},
    }
    assert "there was nothing to repair" in run("repair", config).stdout
    assert run("verify", config).exit_code == 0


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
    assert "with all that was acknowledged before 20" in restored.stdout
    assert counts.tolist() == [[1] * 48] * 3
    for folder in ("backup", "again"):
        assert [path for path in (tmp_path / folder).rglob("*") if path.stat().st_mode & 0o077] == []


def test_backup_and_restore_in_json(config: Path, tmp_path: Path) -> None:
    """The same figures of both."""
    made = json.loads(run("backup", config, tmp_path / "backup", "--json").stdout)
    restored = json.loads(run("restore", tmp_path / "backup", "--to", tmp_path / "again", "--json").stdout)

    assert made == restored
    assert made["files"] == len(list((tmp_path / "backup").rglob("*.sqlite"))) + 1
    assert made["damaged"] == []


def test_nothing_is_overwritten(config: Path, tmp_path: Path) -> None:
    """A sentence, exit status 1."""
    run("backup", config, tmp_path / "backup")
    again = run("backup", config, tmp_path / "backup")
    over = run("restore", tmp_path / "backup", "--to", config.parent / "data" / "history")

    assert (again.exit_code, over.exit_code) == (1, 1)
    assert "is not empty; nothing is overwritten" in again.stderr
    assert "is not empty; nothing is overwritten" in over.stderr


def test_a_site_without_history_is_a_sentence(tmp_path: Path) -> None:
    """Before its first start."""
    path = tmp_path / "scada.yaml"
    path.write_text("site: {name: North, timezone: Europe/Chisinau}\n", encoding="utf-8")
    for command in (("status", path), ("verify", path), ("backup", path, tmp_path / "backup")):
        done = run(*command)
        assert done.exit_code == 1
        assert "holds no history" in done.stderr
