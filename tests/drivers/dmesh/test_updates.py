"""Firmware messages of one link: an index is whose it was in the list that the message names."""

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import FwDevice, FwMissing, FwOffer, FwStatus, Missing, ModuleEntry, Result
from scada.drivers.dmesh.modules import Modules, listed
from scada.drivers.dmesh.numbers import Code
from scada.drivers.dmesh.updates import Updates
from scada.rollout import Lack

LINK, IMAGE = 7, b"imagenr1"
OLD = listed(3, (ModuleEntry(1, 0xA1, 1), ModuleEntry(2, 0xA2, 1)))
NOW = listed(4, (ModuleEntry(1, 0xB1, 1), ModuleEntry(2, 0xA2, 1)))


class Book:
    """Two generations of the list: index 1 changed its owner."""

    def __init__(self) -> None:
        self.refreshed = 0

    def of(self, generation: int) -> "Deferred[Modules | None]":
        return succeed({0: NOW, 3: OLD, 4: NOW}.get(generation))

    def refresh(self) -> "Deferred[Modules | None]":
        self.refreshed += 1
        return self.of(0)


class Link:
    def __init__(self) -> None:
        self.link_id, self.name, self.sent, self.code = LINK, "C01", list[Any](), Code.ACCEPTED

    def ask(self, message: Any, *_: Any) -> "Deferred[Any]":
        self.sent.append(message)
        return succeed(Result(self.code))


class Bench:
    def __init__(self) -> None:
        self.link, self.book, self.news = Link(), Book(), list[Any]()
        self.station: Any = SimpleNamespace(link=self.link, book=self.book)
        self.updates = Updates({LINK: self.station}, lambda link: False, str, lambda listener: lambda: None)
        self.updates.on_firmware(self.news.append)

    def hear(self, message: FwStatus | FwMissing) -> None:
        Deferred.fromCoroutine(self.updates.heard(self.station, message)).addErrback(lambda f: f.raiseException())


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(("generation", "owner"), [(0, 0xB1), (3, 0xA1), (4, 0xB1)])
def test_a_report_is_of_whoever_had_the_index_in_its_list(bench: Bench, generation: int, owner: int) -> None:
    """Without a generation the present list counts."""
    bench.hear(FwStatus(0, 1, 5, (FwDevice(1, "2.0"),), generation))

    assert [one.eui for one in bench.news[0]] == [owner]


def test_a_report_of_a_list_that_nobody_has_any_more_tells_nothing(bench: Bench) -> None:
    bench.hear(FwStatus(0, 1, 5, (FwDevice(1, "2.0"),), 2))

    assert bench.news == [[]]


def test_an_account_of_missing_blocks_is_of_its_own_list_and_pages_of_two_lists_are_two_accounts(bench: Bench) -> None:
    """A page of another list never completes an account."""
    bench.hear(FwMissing(IMAGE, 0, 2, 5, (Missing(0, 0, b"\x03"),), 3))
    bench.hear(FwMissing(IMAGE, 1, 2, 5, (Missing(1, 0, b"\x01"),), 4))
    mixed = list(bench.news)
    bench.hear(FwMissing(IMAGE, 0, 1, 6, (Missing(0, 0, b"\x03"), Missing(1, 0, b"\x07")), 3))

    assert mixed == []
    assert bench.news == [Lack(LINK, IMAGE, b"\x03", ((0xA1, 3),))]


def test_an_order_names_its_list_and_a_refusal_for_another_one_fetches_the_list(bench: Bench) -> None:
    """Those that are not in the subnet are left out."""
    bench.link.code = Code.INTERLOCK
    code: list[str] = []
    bench.updates.offer(LINK, b"m", bytes(64), {0xA2, 0xA1, 0xFFFF_FFFF_FFFF_FFFF}).addCallback(code.append)

    assert bench.link.sent == [FwOffer(b"m", bytes(64), sets.bitmap([2]), False, 4)]
    assert code == ["INTERLOCK"]
    assert bench.book.refreshed == 1
