"""Walk-by files: both forms are read whole, what is held is never replaced, and everything wrong is named at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import succeed

from scada.commands import Actor, Role
from scada.drivers.dmesh.walkby import blockfile, merge
from scada.drivers.dmesh.walkby.merge import Pending
from scada.drivers.dmesh.walkby.service import WalkbyService
from scada.historian.offline import ClosedHistory
from scada.historian.store import EmbeddedIntervals
from scada.intervals import MISSING, IntervalBlock, Mark
from scada.ports import WalkbyReport
from scada.site import Concentrator, Directory, Module, Site
from tests.fakes import site_clock
from tests.historian.helpers import FIRST_HOUR, PumpedReactor, block

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/walkby/walk.json").read_text())
FILE = bytes.fromhex(GOLDEN["file"])
EUI = 0x00124B0000000001
SITE = Site(concentrators=(Concentrator("C01", 0xC0FFEE01),), modules=(Module(EUI, "C01-001", "C01", 1),))
HEAD = "eui,channel,start,pulses,register,status\n"
ME = Actor("ana", Role.ENGINEER)


def row(hour: int, pulses: object = 3, eui: int = EUI, channel: int = 0, register: object = "", status: object = "") -> str:
    at = np.datetime64(hour, "h")
    return f"{eui:016x},{channel},{at}:00Z,{pulses},{register},{status}\n"


class FakeRegistry:
    directory = Directory(SITE)


class Audit:
    def __init__(self) -> None:
        self.rows: list[tuple[str, str, dict[str, Any]]] = []

    def append(self, actor: Actor, action: str, target: str = "", **detail: Any) -> Any:
        self.rows.append((action, target, detail))
        return succeed(None)


class Server:
    """The real store behind the real service."""

    def __init__(self, directory: Path) -> None:
        self.reactor = PumpedReactor()
        self.store = EmbeddedIntervals(directory, self.reactor, merge_delay=0.0)
        self.store.open()
        self.store.start()
        self.marks: list[Mark] = []
        self.store.subscribe(self.marks.append)
        self.audit, self.told = Audit(), list[tuple[Mark, IntervalBlock]]()
        clock: Any = site_clock(self.reactor)
        self.service = WalkbyService(
            self.store, self.store, FakeRegistry(), self.audit, clock,       # type: ignore[arg-type]
            lambda mark, one: self.told.append((mark, one)),
        )

    def take(self, *files: tuple[str, bytes]) -> WalkbyReport:
        examined = self.service.examine(files)
        report: WalkbyReport = self.reactor.wait(self.service.store(ME, examined))
        return report

    def commit(self, one: IntervalBlock) -> None:
        self.reactor.wait(self.store.commit(one))
        self.settle()

    def settle(self) -> None:
        self.reactor.pump(lambda: self.store.merging.records == self.store.records and not len(self.store.merging))

    def held(self, hours: int, eui: int = EUI, channel: int = 0, first: int = FIRST_HOUR) -> list[int]:
        self.settle()
        slots = self.store.slots(np.array([eui], np.uint64), np.array([channel], np.uint8))
        found: list[int] = self.store.read(slots, first, hours).counts[0].tolist()
        return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.store.close()


def test_the_golden_block_file_is_read_as_the_independent_script_meant_it() -> None:
    """EUIs, registers over 2**31, four-byte half-hours, a missing interval and a status bit."""
    found = merge.read("walk.dmwb", FILE, None, 1)

    assert found.problems == ()
    assert len(found.blocks) == len(GOLDEN["blocks"])
    for got, want in zip(found.blocks, GOLDEN["blocks"], strict=True):
        assert got.first == want["first_hour"] * 3600 // want["interval_s"]
        assert got.interval_s == want["interval_s"]
        assert [f"{one:016x}" for one in got.eui.tolist()] == want["eui"]
        assert got.channel.tolist() == want["channel"]
        assert got.register.tolist() == want["register"]
        assert [[None if one == MISSING else one for one in line] for line in got.counts.tolist()] == want["pulses"]
        assert got.status.tolist() == want["status"]


def test_the_golden_file_is_written_byte_for_byte() -> None:
    """What we write is what the script wrote."""
    maps = []
    at = len(blockfile.HEAD)
    while at < len(FILE):
        length = int.from_bytes(FILE[at:at + 4], "big")
        maps.append(blockfile.wire.unpack(FILE[at + 4:at + 4 + length]))
        at += length + 8

    assert blockfile.write(maps[1:], "J100UC-M 7", 1767225600) == FILE


def test_a_damaged_record_costs_itself_only() -> None:
    """A bit that fell over in the first block: it is named by its record and byte, and the second one is read."""
    damaged = bytearray(FILE)
    damaged[60] ^= 1

    found = merge.read("walk.dmwb", bytes(damaged), None, 1)

    assert [one.interval_s for one in found.blocks] == [1800]
    assert [str(one) for one in found.problems] == [
        "walk.dmwb: record 1 at byte 37: does not match its CRC-32; the record is left out",
    ]


@pytest.mark.parametrize("cut", [9, 20, 50, 120, len(FILE) - 1])
def test_a_file_that_was_cut_off_says_so(cut: int) -> None:
    """Whatever is lacking at the end, it is never taken for the whole."""
    assert merge.read("walk.dmwb", FILE[:cut], None, 1).problems


@given(st.binary(max_size=300), st.integers(0, len(FILE)), st.integers(0, 40))
def test_no_bytes_make_the_readers_fall_over(noise: bytes, at: int, gone: int) -> None:
    """Anything at all, alone or in the middle of a good file, ends in blocks and problems."""
    for data in (noise, b"DMWB" + noise, FILE[:at] + noise + FILE[at + gone:], (HEAD + row(FIRST_HOUR)).encode() + noise):
        found = merge.read("x", data, None, 1)

        assert all(len(one.eui) for one in found.blocks)


def test_all_that_is_wrong_in_a_csv_is_named_at_once_and_stops_no_good_row(server: Server) -> None:
    """File, line, field, what was found and what was expected."""
    text = HEAD + row(FIRST_HOUR) + "zz,0,2026-01-01T00:00Z,1,,\n" + f"{EUI:016x},9,2026-01-01T01:00Z,1,,\n"
    text += f"{EUI:016x},0,2026-01-01T01:30Z,1,,\n" + f"{EUI:016x},0,2026-01-01T01:00,1,,\n"
    text += f"{EUI:016x},0,2026-01-01T01:00Z,-1,,\n" + f"{EUI:016x},0,1999-01-01T01:00Z,1,,\n" + "a,b\n"
    text += row(FIRST_HOUR, 4) + row(FIRST_HOUR + 2, 5)

    report = server.take(("walk.csv", text.encode()))

    assert [(one.line, one.key) for one in report.problems] == [
        (3, "eui"), (4, "channel"), (5, "start"), (6, "start"), (7, "pulses"), (8, "start"), (9, ""), (10, "start"),
    ]
    assert "'zz'; expected 16 hexadecimal digits" in str(report.problems[0])
    assert (report.new, report.hours) == (2, 2)
    assert server.held(3) == [3, MISSING, 5]


@pytest.mark.parametrize("data", [b"", b"eui,channel,start\n", b"eui,channel,start,pulses,colour\n", b"\xff\xfe"])
def test_a_file_that_is_no_walk_by_file_is_refused_as_a_whole(data: bytes) -> None:
    """One sentence says what was expected."""
    found = merge.read("x.csv", data, None, 1)

    assert found.blocks == ()
    assert len(found.problems) == 1
    assert "expected" in str(found.problems[0])


def test_hours_of_the_radio_stay_and_conflicts_are_listed_with_both_values(server: Server) -> None:
    """Held 3 and 4; the walk says 3, 9 and 5: one known, one conflict, one new."""
    server.commit(block([[3, 4, MISSING]], record=1, register=[100]))

    report = server.take(("walk.csv", (HEAD + row(FIRST_HOUR) + row(FIRST_HOUR + 1, 9) + row(FIRST_HOUR + 2, 5)).encode()))

    assert (report.hours, report.new, report.known, report.conflicting) == (3, 1, 1, 1)
    (conflict,) = report.conflicts
    assert (conflict.module, conflict.channel, conflict.hour, conflict.kind) == ("C01-001", 0, FIRST_HOUR + 1, "pulses")
    assert (conflict.held, conflict.given) == (4, 9)
    assert server.held(3) == [3, 4, 5]
    assert server.store.health().figures["conflicts"] == 1


def test_a_register_that_contradicts_is_a_conflict(server: Server) -> None:
    """The counter was read 20 lower than the radio's registers say."""
    server.commit(block([[3, 4]], record=1, register=[100]))

    report = server.take(("walk.csv", (HEAD + row(FIRST_HOUR + 2, 1, register=87)).encode()))

    assert [(one.kind, one.held, one.given) for one in report.conflicts] == [("register", 107, 87)]


def test_the_same_file_twice_is_nothing_new_also_before_it_is_merged(server: Server) -> None:
    """Counted as known at once; and once it is merged nothing is handed to the store again."""
    first = server.take(("walk.dmwb", FILE))
    again = server.service.examine([("walk.dmwb", FILE)])
    server.settle()
    later = server.service.examine([("walk.dmwb", FILE)])

    assert (first.new, first.known) == (13, 0)
    for one in (again, later):
        assert (one.report.new, one.report.known, one.report.conflicting) == (0, 13, 0)
    assert later.blocks == ()


def test_one_hour_with_two_values_in_two_files_is_a_conflict() -> None:
    """Wherever the first value stands, a second one is told."""
    class Nothing:
        def slots(self, eui: Any, channel: Any) -> Any:
            return np.full(len(eui), -1)

        def read(self, slots: Any, first: int, hours: int) -> Any:
            return block(np.full((len(slots), hours), MISSING))

    files = [(name, (HEAD + row(FIRST_HOUR, pulses)).encode()) for name, pulses in (("a", 1), ("b", 2))]
    report = merge.examine(files, Nothing(), Directory(SITE), Pending(), None, 1).report        # type: ignore[arg-type]

    assert [(one.file, one.held, one.given) for one in report.conflicts] == [("b", 1, 2)]


def test_an_import_moves_no_cursor_tells_the_gap_engine_and_is_audited(server: Server) -> None:
    """A concentrator's next record is still the one after its last; the coverage hears of the hours."""
    server.commit(block([[1]], record=1, eui=[77]))
    server.take(("walk.csv", (HEAD + row(FIRST_HOUR)).encode()))

    assert server.store.cursor(0xC0FFEE01, 7) == 1
    assert server.store.cursor(0, 0) == 0
    (mark, told), = server.told
    assert (mark.first, told.eui.tolist()) == (FIRST_HOUR, [EUI])
    assert [(action, target) for action, target, _ in server.audit.rows] == [("walkby.import", "walk.csv")]
    assert server.audit.rows[0][2]["new"] == 1


def test_a_module_nobody_knows_is_kept_and_named(server: Server) -> None:
    """Its hours are there when it is entered."""
    report = server.take(("walk.csv", (HEAD + row(FIRST_HOUR, eui=0xABC, channel=2)).encode()))

    assert report.unknown == (0xABC,)
    assert server.held(1, 0xABC, 2) == [3]


def test_registers_in_a_csv_must_follow_from_the_pulses_between() -> None:
    """A register later in the day gives the one at its start; one that does not follow is named and left out."""
    text = HEAD + row(FIRST_HOUR, 3) + row(FIRST_HOUR + 1, 4, register=2) + row(FIRST_HOUR + 2, 5, register=99)
    found = merge.read("x.csv", text.encode(), None, 1)

    assert [one.register.tolist() for one in found.blocks] == [[2**32 - 1]]
    assert [str(one) for one in found.problems] == [
        "x.csv:4: register: 99; expected 6, the register before and its pulses",
    ]


def test_a_register_behind_a_hole_begins_a_block_of_its_own() -> None:
    """Nothing may be assumed over a missing hour."""
    text = HEAD + row(FIRST_HOUR, 3, register=1) + row(FIRST_HOUR + 2, 5, register=50)
    found = merge.read("x.csv", text.encode(), None, 1)

    assert [(one.first, one.register.tolist()) for one in found.blocks] == [(FIRST_HOUR, [1]), (FIRST_HOUR + 2, [50])]
    assert found.problems == ()


def test_a_closed_history_takes_files_and_its_next_start_tells_of_them(tmp_path: Path) -> None:
    """In the journal at once, known to a second import, merged and marked when the server starts."""
    files = [("walk.csv", (HEAD + row(FIRST_HOUR)).encode())]
    with ClosedHistory(tmp_path) as history:
        history.append(merge.examine(files, history.reader, Directory(SITE), Pending(), None, 1).blocks)
        again = merge.examine(files, history.reader, Directory(SITE), Pending(history.pending), None, 1)
    with ClosedHistory(tmp_path) as history:
        later = merge.examine(files, history.reader, Directory(SITE), Pending(history.pending), None, 1)
    server = Server(tmp_path)
    try:
        assert (again.report.known, later.report.known) == (1, 1)
        assert server.held(1) == [3]
        late = server.reactor.wait(server.store.follow("balances", lambda news: None).older())
        assert [mark.first for mark in late.marks] == [FIRST_HOUR // 24 * 24]         # whole days of blocks are told
    finally:
        server.store.close()
