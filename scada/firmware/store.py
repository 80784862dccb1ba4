"""Trusted keys, images, what devices run, and campaigns, in SQLite: written before anything of it is sent.

The command line imports and trusts here too, beside a running server. All methods block; any thread may call them.
"""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import attrs

from scada.errors import StorageError
from scada.firmware.campaign import Campaign, Member, Progress
from scada.firmware.trust import TrustedKey
from scada.rollout import CampaignRequest, CampaignState, DeviceReport, Image, UpdateState
from scada.sqlite_file import SqliteFile

FILE: Final = "firmware.sqlite"
VERSION: Final = 1
KEPT: Final = 100                       # campaigns that are over and in memory all the same; the file keeps all
KEPT_MEMBERS: Final = 500_000           # and their modules together
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS trusted (
    key BLOB PRIMARY KEY, vendor TEXT NOT NULL, added INTEGER NOT NULL, "by" TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image (
    id BLOB PRIMARY KEY, manifest BLOB NOT NULL, signature BLOB NOT NULL, imported INTEGER NOT NULL, "by" TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS content (id BLOB PRIMARY KEY REFERENCES image (id), bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS device (
    eui TEXT PRIMARY KEY, running TEXT NOT NULL, hardware TEXT NOT NULL, rollback INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS campaign (
    number INTEGER PRIMARY KEY, image BLOB NOT NULL REFERENCES image (id), request TEXT NOT NULL, drafter TEXT NOT NULL,
    made INTEGER NOT NULL, left_out TEXT NOT NULL, state TEXT NOT NULL, stage INTEGER NOT NULL, approver TEXT NOT NULL,
    began INTEGER NOT NULL, soak_ends INTEGER NOT NULL, forgiven INTEGER NOT NULL, why TEXT NOT NULL,
    tripped INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS member (
    campaign INTEGER NOT NULL REFERENCES campaign (number), eui TEXT NOT NULL, place INTEGER NOT NULL, device TEXT NOT NULL,
    concentrator TEXT NOT NULL, link_id INTEGER NOT NULL, stage INTEGER NOT NULL,
    state INTEGER NOT NULL, reason TEXT NOT NULL, missing INTEGER NOT NULL, changed INTEGER NOT NULL,
    PRIMARY KEY (campaign, eui)
) WITHOUT ROWID;
"""
COURSE: Final = ("state", "stage", "approver", "began", "soak_ends", "forgiven", "why", "tripped")   # what changes


@attrs.frozen
class Package:
    """An image as it came from its maker; `content` is read only where it is needed."""

    id: bytes
    manifest: bytes
    signature: bytes
    imported: int                       # ns, real time
    by: str


@attrs.frozen
class Course:
    """The changing part of a campaign, copied in the reactor's thread for the thread that writes it."""

    number: int
    values: tuple[Any, ...]
    members: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, campaign: Campaign, euis: Iterable[int]) -> "Course":
        values = tuple(getattr(campaign, name) for name in COURSE)
        rows = []
        for eui in euis:
            one = campaign.progress[eui]
            rows.append((int(one.state), one.reason, one.missing, one.changed, campaign.number, _hex(eui)))
        return cls(campaign.number, values, tuple(rows))


class FirmwareStore:
    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, "firmware", "the firmware store", SCHEMA, VERSION, foreign_keys=True)

    def open(self) -> None:
        """Raises `StartError`."""
        self._file.open()

    def close(self) -> None:
        self._file.close()

    # ----------------------------------------------------------------------- trust
    def trust(self, key: TrustedKey) -> bool:
        """False where it is trusted already."""
        with self._file.transaction() as database:
            done = database.execute(
                'INSERT OR IGNORE INTO trusted (key, vendor, added, "by") VALUES (?, ?, ?, ?)',
                (key.key, key.vendor, key.added, key.by),
            )
            return done.rowcount == 1

    def distrust(self, key: bytes) -> bool:
        """False where it was not trusted."""
        with self._file.transaction() as database:
            return database.execute("DELETE FROM trusted WHERE key = ?", (key,)).rowcount == 1

    def trusted(self) -> tuple[TrustedKey, ...]:
        with self._file.read() as database:
            rows = database.execute('SELECT vendor, key, added, "by" FROM trusted ORDER BY vendor, added').fetchall()
            return tuple(TrustedKey(*row) for row in rows)

    # ---------------------------------------------------------------------- images
    def add_image(self, package: Package, content: bytes) -> bool:
        """False where it is here already."""
        with self._file.transaction() as database:
            done = database.execute(
                'INSERT OR IGNORE INTO image (id, manifest, signature, imported, "by") VALUES (?, ?, ?, ?, ?)',
                (package.id, package.manifest, package.signature, package.imported, package.by),
            )
            if done.rowcount == 1:
                database.execute("INSERT INTO content VALUES (?, ?)", (package.id, content))
            return done.rowcount == 1

    def packages(self) -> tuple[Package, ...]:
        """Newest first."""
        with self._file.read() as database:
            rows = database.execute('SELECT id, manifest, signature, imported, "by" FROM image ORDER BY imported DESC')
            return tuple(Package(*row) for row in rows.fetchall())

    def content(self, image: bytes) -> bytes:
        with self._file.read() as database:
            row = database.execute("SELECT bytes FROM content WHERE id = ?", (image,)).fetchone()
            if row is None:
                raise StorageError(f"the firmware store holds no image {image.hex()}")
            return bytes(row[0])

    # --------------------------------------------------------------------- devices
    def note_devices(self, reports: Iterable[DeviceReport]) -> None:
        rows = [(_hex(one.eui), one.running, one.hardware, one.rollback) for one in reports]
        with self._file.transaction() as database:
            database.executemany("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?)", rows)

    def devices(self) -> dict[int, tuple[str, str, int]]:
        """EUI → (running version, hardware class, highest anti-rollback number)."""
        with self._file.read() as database:
            rows = database.execute("SELECT eui, running, hardware, rollback FROM device").fetchall()
            return {int(eui, 16): (running, hardware, rollback) for eui, running, hardware, rollback in rows}

    # ------------------------------------------------------------------- campaigns
    def add_campaign(self, campaign: Campaign) -> None:
        with self._file.transaction() as database:
            request = json.dumps(attrs.asdict(campaign.request), ensure_ascii=False)
            fixed = (
                campaign.number, campaign.image.id, request, campaign.drafter, campaign.made,
                json.dumps(campaign.left_out, ensure_ascii=False),
            )
            columns = ("number", "image", "request", "drafter", "made", "left_out", *COURSE)
            database.execute(
                f"INSERT INTO campaign ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                (*fixed, *(getattr(campaign, name) for name in COURSE)),
            )
            database.executemany(
                "INSERT INTO member VALUES (?, ?, ?, ?, ?, ?, ?, 0, '', 0, ?)",
                [
                    (
                        campaign.number, _hex(one.eui), place, one.device, one.concentrator, one.link_id, one.stage,
                        campaign.made,
                    )
                    for place, one in enumerate(campaign.members.values())
                ],
            )

    def save(self, course: Course) -> None:
        with self._file.transaction() as database:
            database.execute(
                f"UPDATE campaign SET {', '.join(f'{name} = ?' for name in COURSE)} WHERE number = ?",
                (*course.values, course.number),
            )
            database.executemany(
                "UPDATE member SET state = ?, reason = ?, missing = ?, changed = ? WHERE campaign = ? AND eui = ?",
                course.members,
            )

    def campaigns(self, images: dict[bytes, Image]) -> list[Campaign]:
        """Oldest first: every one that is not over, and the newest of the others."""
        with self._file.read() as database:
            sizes = database.execute(
                "SELECT number, state IN (?, ?), (SELECT COUNT(*) FROM member WHERE campaign = number) FROM campaign",
                (CampaignState.DONE, CampaignState.ABORTED),
            ).fetchall()
            wanted = kept((number, bool(over), size) for number, over, size in sizes)
            columns = ("number", "image", "request", "drafter", "made", "left_out", *COURSE)
            found = []
            for number in sorted(wanted):
                row = database.execute(f"SELECT {', '.join(columns)} FROM campaign WHERE number = ?", (number,)).fetchone()
                found.append(self._campaign(database, dict(zip(columns, row, strict=True)), images))
            return found

    def _campaign(self, database: sqlite3.Connection, row: dict[str, Any], images: dict[bytes, Image]) -> Campaign:
        members, progress = {}, {}
        for eui_, device, concentrator, link_id, stage, state, reason, missing, changed in database.execute(
            "SELECT eui, device, concentrator, link_id, stage, state, reason, missing, changed FROM member"
            " WHERE campaign = ? ORDER BY place", (row["number"],),
        ):
            eui = int(eui_, 16)
            members[eui] = Member(eui, device, concentrator, link_id, stage)
            progress[eui] = Progress(UpdateState(state), reason, missing, changed)
        request = json.loads(row["request"])
        request |= {name: tuple(request[name]) for name in ("concentrators", "groups")}
        course = {name: row[name] for name in COURSE} | {
            "state": CampaignState(row["state"]), "tripped": bool(row["tripped"]),
        }
        return Campaign(
            row["number"], images[row["image"]], CampaignRequest(**request), row["drafter"], row["made"], members, progress,
            tuple(json.loads(row["left_out"])), **course,
        )


def kept(sizes: Iterable[tuple[int, bool, int]]) -> set[int]:
    """Which of (number, whether it is over, modules) stay in memory: memory is bounded, whatever was rolled out before."""
    found, over, members = set(), 0, 0
    for number, ended, size in sorted(sizes, reverse=True):
        over, members = over + ended, members + size * ended
        if not ended or over == 1 or (over <= KEPT and members <= KEPT_MEMBERS):
            found.add(number)
    return found


def _hex(eui: int) -> str:
    """EUIs as text: SQLite's integers are signed."""
    return f"{eui:016x}"
