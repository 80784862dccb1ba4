"""What the runner sends to one concentrator, and what it never sends: against a gateway that answers as it is told."""

from collections.abc import Iterable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from scada.errors import LinkError, StorageError
from scada.firmware.campaign import Campaign, Member, Progress
from scada.firmware.machine import Event
from scada.firmware.runner import REST_S, Runner
from scada.firmware.store import Package
from scada.rollout import CampaignRequest, Image, Lack, UpdateState
from scada.settings import FirmwareSettings
from tests.fakes import site_clock

IMAGE = Image(b"imagenr1", "Maker", "D100FC", "2.0", 2, 100, bytes(32), 50, b"")
LINK = 7


class Gateway:
    """One concentrator, whose store lacks both blocks."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.answers: dict[str, list[str]] = {}
        self.busy: str | None = ""

    def obstacle(self, link_id: int) -> str | None:
        return self.busy

    def ask(self, link_id: int) -> "Deferred[None]":
        self.sent.append("ask")
        return succeed(None)

    def _answer(self, what: str) -> "Deferred[str]":
        self.sent.append(what)
        waiting = self.answers.get(what, [])
        code = waiting.pop(0) if waiting else "OK"
        return fail(LinkError("C01", "the link is down")) if code == "down" else succeed(code)

    def offer(self, *_: Any) -> "Deferred[str]":
        return self._answer("offer")

    def block(self, link_id: int, image: bytes, number: int, data: bytes) -> "Deferred[str]":
        return self._answer(f"block {number}")

    def verify(self, *_: Any) -> "Deferred[str]":
        return self._answer("verify")

    def activate(self, *_: Any) -> "Deferred[str]":
        return self._answer("activate")


class Bench:
    def __init__(self) -> None:
        self.clock, self.gateway, self.saves = Clock(), Gateway(), 0
        self.broken = False
        member = Member(1, "m1", "C01", LINK, 0)
        self.campaign = Campaign(1, IMAGE, CampaignRequest(""), "ana", 0, {1: member}, {1: Progress()})
        self.campaign.apply(Event.START, 0)
        package = Package(IMAGE.id, b"", bytes(64), 0, "ana")

        async def save(campaign: Campaign, euis: Iterable[int]) -> None:
            if self.broken:
                raise StorageError("the disk is full")
            self.saves += 1

        async def content(image: bytes) -> bytes:
            return bytes(100)

        gateway: Any = self.gateway
        self.runner = Runner(
            FirmwareSettings(block_pause_seconds=1.0), gateway, site_clock(self.clock), self.clock, save,
            lambda image: package, content,
        )

    def turn(self, seconds: int = 10) -> list[str]:
        """What was sent in that time."""
        before = len(self.gateway.sent)
        for _ in range(seconds):
            self.runner.look([self.campaign])
            self.clock.advance(1.0)
        return self.gateway.sent[before:]

    def lack(self, blocks: bytes) -> None:
        self.runner.lacks(self.campaign, Lack(LINK, IMAGE.id, blocks))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_nothing_is_offered_before_it_was_asked_and_written_down(bench: Bench) -> None:
    """A disk that refuses stops the offer; blocks wait for what is missing."""
    bench.broken = True
    refused = bench.turn(2)
    bench.broken = False
    bench.clock.advance(REST_S)
    then = bench.turn()

    assert refused == ["ask"]
    assert then == ["offer"]
    assert bench.saves == 1
    assert bench.campaign.progress[1].state is UpdateState.TRANSFER
    assert bench.campaign.progress[1].missing == IMAGE.blocks


def test_only_what_the_concentrator_lacks_is_sent(bench: Bench) -> None:
    bench.turn()
    bench.lack(b"\x02")

    assert bench.turn() == ["block 1"]


def test_a_new_module_list_is_followed_by_the_question_and_the_offer_again(bench: Bench) -> None:
    bench.gateway.answers["offer"] = ["INTERLOCK"]

    assert bench.turn() == ["ask", "offer", "ask", "offer"]
    assert bench.campaign.progress[1].state is UpdateState.TRANSFER


def test_a_refused_offer_fails_the_modules_with_the_code(bench: Bench) -> None:
    bench.gateway.answers["offer"] = ["CRYPTO"]
    bench.turn()

    assert bench.campaign.progress[1] == Progress(
        UpdateState.FAILED, "the concentrator refused the offer: CRYPTO", 0, bench.campaign.progress[1].changed
    )


def test_a_denied_offer_is_made_again_after_asking_who_ran_a_higher_number_and_fails_only_then(bench: Bench) -> None:
    """One module must not cost all the others of its concentrator the update."""
    bench.gateway.answers["offer"] = ["DENIED", "DENIED"]
    sent = bench.turn()

    assert sent == ["ask", "offer", "ask", "offer"]
    assert bench.campaign.progress[1].reason == "the concentrator refused the offer: DENIED"


def test_more_urgent_work_and_a_pause_stop_it_between_two_blocks(bench: Bench) -> None:
    bench.turn()
    bench.lack(b"\x03")
    bench.gateway.busy = "a command is under way"
    busy = bench.turn()
    bench.gateway.busy = ""
    bench.runner.look([bench.campaign])
    bench.campaign.apply(Event.PAUSE, 0)
    paused = bench.turn()

    assert busy == []
    assert bench.gateway.sent[-1] == "block 0"
    assert paused == []


def test_a_lost_link_rests_and_begins_with_the_question(bench: Bench) -> None:
    bench.turn()
    bench.lack(b"\x03")
    bench.gateway.answers["block 0"] = ["down"]
    lost = bench.turn()
    bench.runner.link_changed(LINK)
    back = bench.turn()

    assert lost == ["block 0"]
    assert back[:2] == ["ask", "offer"]


def test_a_concentrator_that_takes_no_firmware_fails_its_modules(bench: Bench) -> None:
    bench.gateway.busy = None
    bench.turn(1)

    assert bench.campaign.progress[1].reason == "its concentrator does not take firmware"
