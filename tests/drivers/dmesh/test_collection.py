"""The gap engine: holes are found, fetched and closed; it yields to commands; what it gives up it says."""

import itertools
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pytest
from numpy.typing import NDArray
from twisted.internet.defer import succeed

from scada.clock import DAY_H
from scada.commands import Actor, Origin, Role
from scada.drivers.dmesh import messages, profile, sets
from scada.drivers.dmesh.collection import DAYS, by_day, channels_of, day_edges, look
from scada.drivers.dmesh.coverage import Coverage
from scada.drivers.dmesh.messages import ArchRead, ProfileMessage, Result
from scada.drivers.dmesh.numbers import Code
from scada.drivers.dmesh.service import DmeshService
from scada.events import EventCode
from scada.intervals import HOURLY, MISSING, IntervalBlock, IntervalSeries, Mark
from scada.ports import RecallState
from scada.settings import CollectionSettings, DmeshSettings
from scada.site import MeterPeriod
from tests.drivers.dmesh.peers import HOUR, Bench, Peer, Store, Wire, bench, day, entries, hello, run_now
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
DAY = HOUR // DAY_H
COMMAND = bytes(16)


class Held(Store):
    """A store in memory that can be read: the slot of a channel is its EUI's last byte."""

    def commit(self, block: IntervalBlock) -> Any:
        mark = Mark(self.slots(block.eui, block.channel), block.first, block.counts.shape[1], block.interval_s)
        return super().commit(block).addCallback(lambda _: mark)

    def slot_bound(self) -> int:
        return 256

    def slots(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8]) -> NDArray[np.int64]:
        return (eui & np.uint64(0xFF)).astype(np.int64)

    def channels(self, slots: NDArray[np.int64]) -> Any:
        raise NotImplementedError

    def register(self, slots: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        raise NotImplementedError

    def read(self, slots: NDArray[np.int64], first_hour: int, hours: int) -> IntervalSeries:
        counts = np.full((len(slots), hours), MISSING, dtype=np.int64)
        for block in self.blocks:
            for slot, row in zip(self.slots(block.eui, block.channel), block.counts, strict=True):
                for place, count in enumerate(row, block.first - first_hour):
                    if 0 <= place < hours and count != MISSING:
                        counts[slots == slot, place] = count
        return IntervalSeries(first_hour, HOURLY, counts, np.zeros(counts.shape, dtype=np.uint8))


def site_with(
    tmp_path: Path, store: Held | None = None, state_file: Path | None = None, **collection: Any
) -> Bench:
    """The service with a store that can be read."""
    site = bench(tmp_path)
    site.service.stop()
    held = store or Held()
    settings = DmeshSettings(collection=CollectionSettings(**collection))
    service = DmeshService(
        settings, site.clock, site.reactor, site.bus, held, site.registry, site.keys, run_now, reader=held,
        state_file=state_file,
    )
    service.start()
    return attrs.evolve(site, store=held, service=service)


def holed(site: Bench, *, record: int = 1) -> Wire:
    """A concentrator that delivers yesterday whole for module 1, and without the hours 4 to 6 for module 2."""
    wire = Wire(site.service, Peer(hello(newest=record))).shake()
    block = day()
    block.counts[1, 4:7] = MISSING
    wire.say(ProfileMessage(record, profile.encode(block)))
    return wire


def turns(site: Bench, wire: Wire, seconds: float) -> list[Any]:
    """Let the engine look; what it asked meanwhile, with the corr."""
    before = len(wire.peer.heard)
    for turn in range(int(seconds / 0.25)):
        site.reactor.advance(0.25)
        if turn % 40:
            wire.serve()
        else:
            wire.say(messages.Ping(1))                      # keeps the link alive
    return [packet for packet in wire.peer.heard[before:] if isinstance(packet.message, ArchRead)]


def test_a_hole_is_asked_for_and_closed(tmp_path: Path) -> None:
    """Module 2, three hours; after the answer nothing is missing and nothing more is asked."""
    site = site_with(tmp_path)
    wire = holed(site)
    (asked,) = turns(site, wire, 5)
    assert asked.message == ArchRead(HOUR - 20, 3, sets.bitmap([2]), 8)
    assert site.value("C01-collection/missing") == 3

    part = day(HOUR - 24, (2,))
    answer = attrs.evolve(part, first_hour=HOUR - 20, counts=part.counts[:, :3], status=part.status[:, :3])
    wire.say(ProfileMessage(0, profile.encode(answer)), asked.corr)
    wire.say(Result(Code.OK), asked.corr)

    assert turns(site, wire, 20) == []
    assert (site.store.blocks[-1].first, site.store.blocks[-1].provenance.record) == (HOUR - 20, 0)
    assert site.service.collector is not None
    assert (site.service.collector.figures.reads, site.service.collector.figures.read_hours) == (1, 3)


def test_who_has_nothing_is_asked_again_after_a_minute_and_then_after_two(tmp_path: Path) -> None:
    """RESULT UNKNOWN: real time decides, and the wait doubles."""
    site = site_with(tmp_path)
    wire = holed(site)
    wire.replies[ArchRead] = lambda message: Result(Code.UNKNOWN)

    assert [len(turns(site, wire, seconds)) for seconds in (5, 50, 15, 100, 30)] == [1, 0, 1, 0, 1]


def test_a_busy_concentrator_is_asked_again_when_it_said_and_not_before(tmp_path: Path) -> None:
    """RESULT BUSY with 90 s: no strike, no cost, no second question in between."""
    site = site_with(tmp_path, packets_a_day=1)
    wire = holed(site)
    wire.replies[ArchRead] = lambda message: Result(Code.BUSY, 90)

    assert [len(turns(site, wire, seconds)) for seconds in (5, 80, 15)] == [1, 0, 1]
    assert site.service.collector is not None
    assert (site.service.collector.figures.reads_busy, site.service.collector.figures.reads_empty) == (2, 0)


def test_the_relays_on_the_way_pay_for_a_question(tmp_path: Path) -> None:
    """Module 2 sends through module 1: after one question 1 has sent two packets, and the budget is spent."""
    site = site_with(tmp_path, packets_a_day=2)
    wire = holed(site)
    nodes = (messages.TopologyNode(1, 0, 1), messages.TopologyNode(2, 1, 2))
    wire.say(messages.Topology(1, 0, 1, HOUR * 3600, nodes))
    wire.replies[ArchRead] = lambda message: Result(Code.UNKNOWN)
    asked = [len(turns(site, wire, seconds)) for seconds in (5, 300)]
    (summary,) = site.service.summaries()

    assert asked == [1, 0]
    assert (summary.spent, summary.budget) == (2, 2)


def test_the_radio_budget_of_the_day_ends_the_asking(tmp_path: Path) -> None:
    """A budget of one packet: asked once, and not again after the wait is over."""
    site = site_with(tmp_path, packets_a_day=1)
    wire = holed(site)
    wire.replies[ArchRead] = lambda message: Result(Code.UNKNOWN)

    assert [len(turns(site, wire, seconds)) for seconds in (5, 300)] == [1, 0]


def test_nothing_is_asked_while_a_command_is_under_way(tmp_path: Path) -> None:
    """From its sending until its final report, or until nobody may execute it any more."""
    site = site_with(tmp_path)
    wire = holed(site)
    log = site.service._commands[wire.peer.hello.link_id]
    log.enter(COMMAND, [(1, 0xD100_0001)], site.clock.seconds() + 60)
    assert turns(site, wire, 30) == []

    wire.say(messages.CommandReport(COMMAND, sets.bitmap([1]), final=True), 5)
    assert len(turns(site, wire, 5)) == 1


def test_nothing_is_asked_while_history_is_still_coming(tmp_path: Path) -> None:
    """HELLO said there are two records and one is here."""
    site = site_with(tmp_path)
    wire = Wire(site.service, Peer(hello(newest=2))).shake()
    block = day()
    block.counts[1, 4:7] = MISSING
    wire.say(ProfileMessage(1, profile.encode(block)))
    assert turns(site, wire, 10) == []

    wire.say(ProfileMessage(2, profile.encode(block)))
    assert len(turns(site, wire, 5)) == 1


def test_it_can_be_switched_off_and_still_shows_what_is_missing(tmp_path: Path) -> None:
    """dmesh.collection.enabled."""
    site = site_with(tmp_path, enabled=False)
    wire = holed(site)

    assert turns(site, wire, 30) == []
    assert site.value("C01-collection/missing") == 3


def test_the_picture_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """A new process reads the store: the same hours missing, and the hole is asked for again."""
    site = site_with(tmp_path, enabled=False)
    turns(site, holed(site), 5)
    before = site.value("C01-collection/missing"), site.value("C01-collection/held_yesterday")
    assert isinstance(site.store, Held)
    again = site_with(tmp_path / "again", site.store)
    wire = Wire(again.service, Peer(hello(newest=1))).shake()
    asked = turns(again, wire, 5)

    assert (again.value("C01-collection/missing"), again.value("C01-collection/held_yesterday")) == before
    assert [packet.message.first for packet in asked] == [HOUR - 20]


def delivering(site: Bench, modules: int, delivered: range, record: int | None = None) -> Wire:
    """A concentrator that lists some modules, and brought these days of the first two."""
    record = delivered.start + 2 if record is None else record
    wire = Wire(site.service, Peer(hello(newest=record + len(delivered) - 1)))
    wire.modules[1] = entries(modules)
    wire.replies[ArchRead] = lambda message: Result(Code.UNKNOWN)
    wire.shake()
    for number, one in enumerate(delivered, record):
        wire.say(ProfileMessage(number, profile.encode(day(HOUR + DAY_H * one))))
    return wire


def test_who_never_delivered_is_not_forgotten_by_a_restart(tmp_path: Path) -> None:
    """Module 3 is silent for two days, then the server starts anew: it still owes both."""
    state = tmp_path / "dmesh.sqlite"
    site = site_with(tmp_path, state_file=state, enabled=False)
    turns(site, delivering(site, 3, range(-1, 0)), 2)
    site.service.stop()
    assert isinstance(site.store, Held)
    again = site_with(tmp_path / "again", site.store, state, enabled=False)
    again.reactor.advance(2 * 86400)
    turns(again, delivering(again, 3, range(0, 2)), 2)

    due = 2 * DAY_H - 2                                     # two hours have time to come
    assert again.value("C01-collection/missing") == due - 1                 # from the first whole hour on


def test_a_newcomer_owes_nothing_from_before_it_existed(tmp_path: Path) -> None:
    """A server that has run for six days, and a module that joins now: not missing, not given up, not asked for."""
    site = site_with(tmp_path, state_file=tmp_path / "dmesh.sqlite", depth_days=2)
    first = delivering(site, 2, range(-1, 0))
    turns(site, first, 2)
    first.connection.connectionLost()
    for _ in range(6):
        site.reactor.advance(86400)
    asked = turns(site, delivering(site, 3, range(6)), 5)

    assert (site.value("C01-collection/missing"), site.value("C01-collection/given_up")) == (0, 0)
    assert asked == []


def test_who_was_silent_for_longer_than_is_looked_at_owes_it_when_it_speaks_again(tmp_path: Path) -> None:
    """Its first hour of these days is none of its life: what came before it is given up, and shown."""
    state = tmp_path / "dmesh.sqlite"
    site = site_with(tmp_path, state_file=state, enabled=False, depth_days=1)
    turns(site, delivering(site, 2, range(-1, 0)), 2)
    site.service.stop()
    again = site_with(tmp_path / "again", Held(), state, enabled=False, depth_days=1)
    again.reactor.advance(20 * 86400)
    turns(again, delivering(again, 2, range(19, 20), 1), 2)

    assert again.value("C01-collection/given_up") == 2 * 7 * DAY_H


def test_a_broken_link_is_no_fault_of_the_module(tmp_path: Path) -> None:
    """The question is forgotten with its session, and put again in the next one without a wait."""
    site = site_with(tmp_path)
    wire = holed(site)
    assert len(turns(site, wire, 3)) == 1
    wire.connection.connectionLost()
    again = Wire(site.service, Peer(hello(newest=1))).shake()

    assert len(turns(site, again, 5)) == 1


def test_a_channel_that_counts_without_a_meter_is_told_once_and_over_when_it_has_one(tmp_path: Path) -> None:
    """Over the wire and a restart: module 1 counts, module 2 delivers hours of 0, module 3 has a meter."""
    state, told = tmp_path / "dmesh.sqlite", []

    def hear(events: Any) -> Any:
        told.extend((one.device, one.raised) for one in events if one.code == EventCode.UNEXPECTED_CHANNEL)
        return succeed(None)

    def begun(path: Path, store: Held | None) -> Bench:
        site = site_with(path, store, state, enabled=False)
        site.service.on_events(hear)
        grown = (MeterPeriod("S3", "P3", entries(3)[2].eui, 0, 1000.0, 0),)
        site.registry.replace(attrs.evolve(site.registry.directory.site, meters=grown))
        wire = Wire(site.service, Peer(hello(newest=1)))
        wire.shake()
        block = day(modules=(1, 2, 3))
        block.counts[1] = 0
        wire.say(ProfileMessage(1, profile.encode(block)))
        turns(site, wire, 5)
        return site

    site = begun(tmp_path, None)
    first = list(told)
    site.service.stop()
    assert isinstance(site.store, Held)
    again = begun(tmp_path / "again", site.store)
    second = list(told)
    content = again.registry.directory.site
    meters = (*content.meters, MeterPeriod("S1", "P1", entries(3)[0].eui, 0, 1000.0, HOUR + 900))
    again.registry.replace(attrs.evolve(content, meters=meters))
    again.reactor.pump([0.25] * 20)

    assert first == second == [("C01-001", True)]
    assert told[1:] == [("C01-001", False)]


# --------------------------------------------------------------------------------------- asked for by a person
ANNA = Actor("anna", Role.DISPATCHER, origin=Origin.CLI)


def ask(site: Bench, *modules: str, first: int = HOUR - 24, hours: int = 24, actor: Actor = ANNA) -> Any:
    """The answer, or the exception."""
    found: list[Any] = []
    asking = site.service.ask_again(actor, "C01", modules, first, hours)
    asking.addCallbacks(found.append, lambda failure: found.append(failure.value))
    return found[0]


def test_a_person_asks_again_though_the_module_is_left_alone(tmp_path: Path) -> None:
    """It gave nothing and would be asked in a minute at the earliest; the wish is asked at once, and only once."""
    site = site_with(tmp_path)
    wire = holed(site)
    wire.replies[ArchRead] = lambda message: Result(Code.UNKNOWN)
    assert len(turns(site, wire, 5)) == 1
    recall = ask(site, "C01-002")
    asked = turns(site, wire, 10)
    (told,) = site.service.recalls()

    assert (recall.lacking, recall.state) == (3, RecallState.WAITING)
    assert [packet.message for packet in asked] == [ArchRead(HOUR - 20, 3, sets.bitmap([2]), 8)]
    assert (told.state, told.brought, told.by) == (RecallState.DONE, 0, "anna")


def test_a_wish_beyond_the_depth_is_asked_for_and_within_the_radio_budget_all_the_same(tmp_path: Path) -> None:
    """Nobody asks for given-up hours but a person; a module whose packets are spent is not asked by anybody."""
    site = site_with(tmp_path, depth_days=1, packets_a_day=1)
    wire = Wire(site.service, Peer(hello(newest=1))).shake()
    block = day(HOUR - 24 * 4)
    block.counts[1, 4:7] = MISSING
    wire.say(ProfileMessage(1, profile.encode(block)))
    wire.replies[ArchRead] = lambda message: Result(Code.UNKNOWN)
    by_itself = turns(site, wire, 10)
    ask(site, "C01-002", first=HOUR - 24 * 4, hours=24)
    wished = turns(site, wire, 10)
    ask(site, "C01-002", first=HOUR - 24 * 4, hours=24)

    assert [packet.message.first for packet in by_itself] == []
    assert [packet.message.first for packet in wished] == [HOUR - 24 * 4 + 4]
    assert turns(site, wire, 10) == []
    assert [one.state for one in site.service.recalls()] == [RecallState.WAITING, RecallState.DONE]


def test_a_wish_that_cannot_be_met_is_over_after_a_day(tmp_path: Path) -> None:
    """The link is down all the time: it is told as expired."""
    site = site_with(tmp_path)
    wire = holed(site)
    turns(site, wire, 1)
    wire.connection.connectionLost()
    ask(site, "C01-002")
    site.reactor.advance(86_401)
    site.reactor.advance(3)

    assert [one.state for one in site.service.recalls()] == [RecallState.EXPIRED]


def test_while_the_history_is_read_no_module_is_called_incomplete_and_nothing_is_asked_for(tmp_path: Path) -> None:
    """Days that were not read yet look empty; when all are read, the module that lacks hours has its tags."""
    site = site_with(tmp_path)
    assert site.service.collector is not None
    site.service.collector.rebuilt_from = DAY
    wire = holed(site)
    wire.replies[ArchRead] = lambda message: Result(Code.UNKNOWN)
    turns(site, wire, 5)
    early, refused = "C01-002-collection" in site.bus.devices(), ask(site, "C01-002")
    site.service.collector.rebuilt_from = 0
    turns(site, wire, 5)

    assert not early
    assert refused.reasons == ("what is held is still being read from the history; try again in a while",)
    assert "C01-001-collection" not in site.bus.devices()
    assert site.value("C01-002-collection/missing") == 3


def test_every_reason_against_a_wish_is_named_at_once(tmp_path: Path) -> None:
    """Who may not, whose module it is not, how long; and nothing to ask for is said too."""
    site = site_with(tmp_path)
    turns(site, holed(site), 5)
    refused = ask(site, "X", hours=0, actor=Actor("eva", Role.VIEWER, ("South",)))

    assert refused.reasons == (
        "eva is viewer; only dispatchers, engineers and administrators may ask for hours",
        "0 hours: expected 1 to 744", "eva may not read in area -", "X is not a module of C01",
    )
    assert ask(site, "C01-001").reasons == ("nothing is missing at C01 in these hours, as far as is known here",)


# ------------------------------------------------------------------------------------------------ the picture
def test_hours_of_site_days_are_counted_as_one_by_one() -> None:
    """Whatever the edges of the days, also outside of what is known."""
    dice = np.random.default_rng(5)
    held = dice.integers(0, 2**24, (9, 11), dtype=np.uint32)
    edges = tuple(DAY * DAY_H + edge for edge in (-30, -3, 0, 21, 44, 69, 200, 216, 300))
    bits = [bool(held[hour // 24, n] >> (hour % 24) & 1) for n in range(11) for hour in range(216)]
    hour = np.tile(np.arange(216), 11) + DAY * DAY_H
    true = [int(((hour >= low) & (hour < high) & bits).sum()) for low, high in itertools.pairwise(edges)]

    assert by_day(held, DAY, edges).tolist() == true


def test_days_have_the_length_they_have_on_the_clock_of_the_site() -> None:
    """The day of the change to winter time has 25 hours."""
    noon = datetime(2026, 10, 26, 12, tzinfo=(zone := ZoneInfo("Europe/Chisinau")))
    edges = day_edges(int(noon.timestamp()), zone)

    assert len(edges) == DAYS + 1
    assert np.diff(edges)[-2:].tolist() == [25, 24]


def test_beyond_the_depth_is_given_up_and_within_it_is_missing() -> None:
    """One channel without two hours of each of the last five days; a depth of two."""
    coverage = Coverage(2 + 8)
    coverage.advance(DAY)
    for back in range(5):
        counts = np.full((1, 24), 3, dtype=np.int64)
        counts[0, 2:4] = MISSING
        coverage.enter(np.array([0]), (DAY - back) * DAY_H, counts)
    edges = tuple((DAY - back) * DAY_H for back in range(DAYS - 1, -2, -1))
    picture = look(channels_of([(1, 5, 1)], np.array([HOUR])), np.array([0]), coverage, (DAY + 1) * DAY_H, 2, edges)

    assert (picture.missing, picture.given_up, picture.given_up_days) == (6, 4, (DAY - 4, DAY - 3))
    assert (picture.oldest, picture.newest) == ((DAY - 2) * DAY_H + 2, (DAY + 1) * DAY_H)
    assert picture.shares == pytest.approx((22 / 24, 22 / 24, 110 / 120, 110 / 120))


# ------------------------------------------------------------------------------------------------- end to end
@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A driver with its historian, a concentrator that loses hours, real TCP."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.drivers.dmesh.collect", str(free_port()), str(tmp_path_factory.mktemp("collect"))],
        cwd=ROOT, text=True, capture_output=True, timeout=60, check=False,
    )
    assert ran.stdout.startswith("{"), ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def test_holes_are_fetched_from_the_modules_and_the_history_equals_the_truth(outcome: Any) -> None:
    """Everything but what is lost for good or beyond the archive; nothing else, nothing twice, no conflict."""
    assert outcome["wrong"] == []
    assert outcome["conflicts"] == 0
    assert outcome["missing"] == [[5, -12], [5, -11]]
    assert outcome["lacking"][-1] == 2
    assert outcome["figures"]["read_hours"] == 10
    assert outcome["figures"]["quarantined"] == 0


def test_what_is_beyond_the_archive_is_never_asked_for_and_said_to_be_given_up(outcome: Any) -> None:
    """One event for that day, the counter, and the tag."""
    assert [row for row in outcome["told"] if row[2] == outcome["day"]] == [["C01", 19, outcome["day"]]]
    assert outcome["figures"]["given_up_hours"] == 4
    assert outcome["given_up"] == 4


def test_what_was_given_up_comes_when_a_person_asks_for_it(outcome: Any) -> None:
    """Nobody asked for it by itself; the module still had it."""
    assert outcome["wished"] == [4, 4, "done"]


def test_a_busy_concentrator_is_asked_again_and_gives(outcome: Any) -> None:
    """Twice it had no time; nothing is lost by that."""
    assert outcome["figures"]["reads_busy"] == 2
