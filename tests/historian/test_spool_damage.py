"""The spool's file after a power cut or on a bad disk: what is whole goes out, what is not is kept as evidence."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from scada.historian.database import DamagedFile
from scada.historian.spool import BACKLOG, BODIES_AT_ONCE, LIVE, ROTTEN, Spool
from scada.historian.verification import verify
from tests.historian.helpers import FIRST_HOUR, block
from tests.historian.test_faults import Load
from tests.historian.test_replica import Site
from tests.influx import Influx

BODIES = [b"".join(b"live,tag=t%d v=%d %d\n" % (tag, number, tag) for tag in range(900)) for number in range(3)]


def opened(path: Path) -> Spool:
    spool = Spool(path, 1 << 30)
    spool.open()
    return spool


def drained(spool: Spool) -> list[bytes]:
    """What a sender would send, to the end."""
    found = []
    for lane in (LIVE, BACKLOG):
        while (item := spool.take(lane)) is not None:
            found.append(item.body)
            spool.done(item.number)
    return found


def test_a_torn_last_record_costs_that_record_alone(tmp_path: Path) -> None:
    """Wherever the log of the file was cut off: what was there before it goes out in its order, and new bodies follow."""
    spool = opened(tmp_path / "spool.sqlite")
    sizes = []
    for number, body in enumerate(BODIES):
        spool.put(body, 900, number)
        sizes.append((tmp_path / "spool.sqlite-wal").stat().st_size)
    for cut in (1, 500, 5_000, (sizes[2] - sizes[1]) // 2, sizes[2] - sizes[1] - 1, sizes[2] - sizes[1]):
        folder = tmp_path / str(cut)
        folder.mkdir()
        for suffix in ("", "-wal"):
            shutil.copyfile(tmp_path / f"spool.sqlite{suffix}", folder / f"spool.sqlite{suffix}")
        with (folder / "spool.sqlite-wal").open("r+b") as log:
            log.truncate(sizes[2] - cut)
        torn = opened(folder / "spool.sqlite")
        figures = torn.bodies, torn.lines, torn.aside
        torn.put(BODIES[2], 900, 9)
        left = drained(torn)
        torn.close()

        assert figures == (2, 1800, [])
        assert left == BODIES
    spool.close()


def test_a_flipped_byte_is_never_sent_and_never_keeps_the_spool_from_being_used(tmp_path: Path) -> None:
    """Whatever byte of the file it is: a body goes out as it was or not at all, and what comes later goes out."""
    spool = opened(tmp_path / "spool.sqlite")
    for number, body in enumerate(BODIES):
        spool.put(body, 900, number)
    spool.close()
    data = (tmp_path / "spool.sqlite").read_bytes()
    rotten = aside = 0
    for place in range(7, len(data), len(data) // 100):
        path = tmp_path / str(place) / "spool.sqlite"
        path.parent.mkdir()
        path.write_bytes(data[:place] + bytes((data[place] ^ 0x44,)) + data[place + 1:])
        left = sent_from(path, b"new v=1 1\n")

        assert set(left) <= {*BODIES, b"new v=1 1\n"}
        assert left[-1] == b"new v=1 1\n"
        after = opened(path)
        rotten += any(reason == ROTTEN for _, reason in after.dead_letters())
        aside += len(after.aside)
        after.close()
    assert rotten >= 10
    assert aside >= 1


def sent_from(path: Path, new: bytes) -> list[bytes]:
    """What goes out of a file that the disk has spoilt; who finds the damage on the way tries again, as the sender does."""
    spool, left = opened(path), []
    for _ in range(4):
        try:
            left += drained(spool)
            if new in left:
                break
            spool.put(new, 1, 10)
        except DamagedFile:
            continue
    spool.close()
    return left


def test_a_server_with_a_damaged_spool_starts_and_sends_every_block_again(influx: Influx, tmp_path: Path) -> None:
    """Which ones the destination has is not known any more; health says it, the file is kept, live values go on."""
    site = Site(tmp_path / "data", url=influx.url)
    load = Load(site)
    load.say()
    load.sent()
    path = site.historian._replicas[0].spool.path
    site.stop()
    spoilt = b"\xa5" * 512 + path.read_bytes()[512:]
    path.write_bytes(spoilt)
    influx.query("DROP MEASUREMENT mh")
    site = Site(tmp_path / "data", url=influx.url)
    load.site = site
    load.say()
    load.sent()
    seen = site.health
    site.stop()

    assert not seen.ok
    assert f"a damaged spool is kept as {path.name}.damaged" in seen.text
    assert seen.figures["damaged_spools"] == 1
    assert path.with_name(f"{path.name}.damaged").read_bytes() == spoilt
    load.check(influx, "scada")


def test_a_spool_that_rots_while_the_server_runs_is_replaced_under_it(influx: Influx, tmp_path: Path) -> None:
    """No restart: what is said afterwards arrives, and the blocks, as none of them is known to be there."""
    site = Site(tmp_path / "data", url=influx.url)
    load = Load(site)
    load.say()
    load.sent()
    spool = site.historian._replicas[0].spool
    spool._open().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = spool.path.read_bytes()
    with spool.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (len(data) - 4096))
    spool._open().execute("PRAGMA shrink_memory")
    influx.query("DROP MEASUREMENT mh")
    site.commit(block([[1]], record=99, first=FIRST_HOUR + 900))
    load.say()
    load.sent()
    site.reactor.pump(lambda: site.health.figures["damaged_spools"] == 1 and len(influx.points("mh", "m")) == 40 * 2 + 1)
    site.stop()

    assert spool.path.with_name(f"{spool.path.name}.damaged").exists()


def test_what_waits_falls_behind_whatever_the_clock_says(tmp_path: Path) -> None:
    """A clock that was put back makes yesterday's bodies look younger than what is live now."""
    spool = opened(tmp_path / "spool.sqlite")
    spool.put(b"before v=1 1\n", 1, made=2_000)
    spool.fall_behind()
    spool.put(b"after v=1 1\n", 1, made=1_000)
    left = drained(spool)
    spool.close()

    assert left == [b"after v=1 1\n", b"before v=1 1\n"]


def test_verify_names_a_damaged_body_that_waits_before_anybody_sends_it(tmp_path: Path) -> None:
    """A part at a time; a destination that was never used has no file."""
    spool = opened(tmp_path / "influx.sqlite")
    for number in range(BODIES_AT_ONCE + 2):
        spool.put(b"live,tag=t v=%d %d\n" % (number, number), 1, number)
    spool.close()
    files = [tmp_path / "influx.sqlite", tmp_path / "other.sqlite"]
    sound = verify(tmp_path / "history", spools=files)
    with closing(sqlite3.connect(files[0])) as database, database:
        database.execute("UPDATE queue SET body = zeroblob(length(body)) WHERE number = ?", (BODIES_AT_ONCE + 1,))
    (finding,) = verify(tmp_path / "history", spools=files).findings

    assert (sound.ok, sound.bodies) == (True, BODIES_AT_ONCE + 2)
    assert str(finding) == f"influx.sqlite, body {BODIES_AT_ONCE + 1} of what waits: {ROTTEN}"
