"""Reading on demand over one link: who is asked, what an answer says about whom, and when the field may forget it."""

from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import Deferred

from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import Reading, ReadNow, ReadResult, Result
from scada.drivers.dmesh.numbers import Capability, Code
from scada.errors import LinkError, StorageError
from scada.reads import ReadAnswer, ReadOrder, ReadReport
from tests.drivers.dmesh.peers import LINK_ID, Bench, Peer, Wire, bench, entries, hello
from tests.drivers.dmesh.test_groups import outcome
from tests.fakes import NOON

READ_ID = b"r" * 16
MEMBERS = tuple((entry.index, entry.eui) for entry in entries(3))
ORDER = ReadOrder(READ_ID, LINK_ID, MEMBERS, NOON + 600)
CAN = hello(capabilities=int(Capability.READ_NOW))


def wired(site: Bench, answer: Result | None = None) -> Wire:
    wire = Wire(site.service, Peer(CAN)).shake()
    wire.replies[ReadNow] = lambda _: answer or Result(Code.ACCEPTED)
    return wire


def ask(site: Bench, wire: Wire, order: ReadOrder = ORDER) -> object:
    found = outcome(site.service.read_now(order))
    wire.serve()
    return found[0]


def test_an_order_names_its_modules_and_its_deadline(tmp_path: Path) -> None:
    site = bench(tmp_path)
    wire = wired(site)

    assert ask(site, wire) == ReadAnswer("ACCEPTED")
    assert wire.said(ReadNow) == [ReadNow(READ_ID, sets.bitmap([1, 2, 3]), NOON + 600)]


def test_a_module_whose_index_is_anothers_now_is_not_asked(tmp_path: Path) -> None:
    """Else its neighbour's register would be read for it."""
    site = bench(tmp_path)
    wire = wired(site)
    moved = attrs.evolve(ORDER, members=((1, MEMBERS[0][1]), (2, 0xDEAD)))
    ask(site, wire, moved)
    nobody = ask(site, wire, attrs.evolve(ORDER, members=((2, 0xDEAD),)))

    assert [sets.indices(one.modules) for one in wire.said(ReadNow)] == [(1,)]
    assert nobody == ReadAnswer("UNKNOWN")


def test_a_concentrator_that_never_offered_it_is_not_asked(tmp_path: Path) -> None:
    site = bench(tmp_path)
    wire = Wire(site.service).shake()

    assert ask(site, wire) == ReadAnswer("NOT_SUPPORTED")
    assert wire.said(ReadNow) == []


def test_busy_comes_with_its_time(tmp_path: Path) -> None:
    site = bench(tmp_path)

    assert ask(site, wired(site, Result(Code.BUSY, 45))) == ReadAnswer("BUSY", 45)


def test_without_a_link_and_without_an_answer_nobody_knows(tmp_path: Path) -> None:
    """Both are LinkError: the same number may be asked for again."""
    site = bench(tmp_path)
    down = outcome(site.service.read_now(ORDER))
    wire = Wire(site.service, Peer(CAN)).shake()
    wire.replies[ReadNow] = lambda _: None
    silent = outcome(site.service.read_now(ORDER))
    wire.serve()
    site.reactor.advance(16)

    assert isinstance(down[0], LinkError)
    assert isinstance(silent[0], LinkError)


@pytest.mark.parametrize("stored", [True, False])
def test_a_part_is_acknowledged_when_it_is_on_disk_and_not_before(tmp_path: Path, stored: bool) -> None:
    """By EUI; a reading of an index that nobody owns is said of nobody; a disk that fails leaves it with the field."""
    site = bench(tmp_path)
    wire = wired(site)
    heard: list[ReadReport] = []
    written: Deferred[None] = Deferred()
    site.service.on_readings(lambda report: heard.append(report) or written)  # type: ignore[func-returns-value]
    readings = (Reading(2, 0, 0, 77, NOON), Reading(3, 255, int(Code.NO_ROUTE)), Reading(200, 255, int(Code.UNKNOWN)))
    wire.say(ReadResult(READ_ID, 0, readings, True), corr=5)
    early = [packet.corr for packet in wire.peer.heard if isinstance(packet.message, Result)]
    written.callback(None) if stored else written.errback(StorageError("the disk is full"))
    wire.serve()
    late = [packet.corr for packet in wire.peer.heard if isinstance(packet.message, Result)]

    assert [(eui, one.channel, one.code, one.pulses) for eui, one in heard[0].readings] == [
        (MEMBERS[1][1], 0, "OK", 77), (MEMBERS[2][1], -1, "NO_ROUTE", 0),
    ]
    assert (heard[0].final, heard[0].link_id) == (True, LINK_ID)
    assert 5 not in early
    assert (5 in late) is stored
