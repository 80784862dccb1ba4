"""Every fault of the catalogue, found through it: the server shows what it must, and no reading is lost or double."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from twisted.internet.defer import Deferred, succeed

from scada.events import EventCode
from scada.intervals import Mark
from scada.simulate.faults import CATALOGUE, Fault
from scada.simulate.faults.expect import Expectation
from tests.simulate.stand import HOUR, LINKS, MODULES, Stand, eui, play, rate_for
from tests.system import test_supplies


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.close()


VIRTUAL = {name: one for name, one in CATALOGUE.items() if not one.live}      # the others: tests/system/test_supplies.py


@pytest.mark.parametrize("fault", VIRTUAL.values(), ids=VIRTUAL)
def test_the_server_shows_what_it_must_and_loses_and_doubles_nothing(tmp_path: Path, fault: Fault) -> None:
    """A whole head-end over real TCP, through the fault and back; held against the truth file."""
    stand = Stand(tmp_path, rate=rate_for(fault), modules=max(MODULES, fault.modules))
    try:
        seen = play(stand, fault)
        lost, doubled = stand.lost_and_doubled()
    finally:
        stand.close()

    unmet = [str(one) for one in fault.expect if not one.holds(seen)]
    assert not unmet, {name: value for name, value in seen.items() if value}
    assert len(stand.witness.archived) > 300
    assert not doubled
    assert not (lost if fault.complete else [])


def test_who_is_deeper_than_thirty_levels_is_lost_by_name_and_the_others_go_on(tmp_path: Path) -> None:
    """A corridor of 36: module i stands at level i; what the server holds of the hours meanwhile ends at the 30th."""
    stand = Stand(tmp_path, modules=36)
    try:
        stand.run(2.5)
        undo = CATALOGUE["too-deep"].begin(stand.rig())
        stand.run(3.0)
        stand.look()
        view = stand.service.view("C01")
        held, _ = stand.witness.held()
        lost = {event.device for event in stand.head.events if event.code == EventCode.MODULE_LOST and event.raised}
        undo()
        stand.run(3.0)
        back = {event.device for event in stand.head.events if event.code == EventCode.MODULE_LOST and not event.raised}
        seen = stand.look()
    finally:
        stand.close()

    assert view is not None
    assert {one.index: one.level for one in view.nodes if one.level} == {index: index for index in range(1, 31)}
    assert lost == back == {f"C01-{index:03d}" for index in range(31, 37)}
    assert {index for index in range(1, 37) if (eui(LINKS[0], index), 0, HOUR + 4) in held} == set(range(1, 31))
    assert seen["hours.missing"] == 0


@pytest.mark.parametrize("command", ["", "during", "before", "twice", "campaign", "rotate"])
def test_what_a_fault_must_show_is_not_shown_without_it(stand: Stand, command: str) -> None:
    """Otherwise the test above would prove nothing."""
    faults = [one for one in CATALOGUE.values() if one.command == command]
    seen = play(stand, faults[0], really=False)
    vacuous = [one.name for one in faults if all(expected.holds(seen) for expected in one.expect)]

    assert seen["dmesh.readings"] > 0
    assert vacuous == (["two-operators"] if command == "twice" else [])     # there the second command is the fault


def test_the_stand_notices_a_server_that_acknowledges_what_it_does_not_keep(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading that was acknowledged and is not there is found to be lost."""
    honest = stand.store.commit
    forgotten: list[int] = []

    def forgetful(block: Any) -> "Deferred[Any]":
        if not forgotten or block.first in forgotten:       # also when the gap engine asks for it again
            forgotten[:] = [block.first]
            return succeed(Mark(stand.historian.slots(block.eui, block.channel), block.first, 1))
        return honest(block)

    stand.run(1.5)
    monkeypatch.setattr(stand.store, "commit", forgetful)
    stand.run(2.0)
    stand.look()
    lost, doubled = stand.lost_and_doubled()

    assert {hour for _, _, hour in lost} == set(forgotten)
    assert not doubled


def test_the_stand_notices_a_reading_that_was_changed(stand: Stand, tmp_path: Path) -> None:
    """What is held with a value that nobody archived counts as doubled."""
    stand.run(2.0)
    stand.look()
    text = (path := tmp_path / "truth.jsonl").read_text()
    first = eui(LINKS[0], 1)
    path.write_text(text.replace(f'"{first:016x}/0":[', f'"{first:016x}/0":[1', 1))
    lost, doubled = stand.lost_and_doubled()

    assert lost == []
    assert [key[0] for key in doubled] == [first]


def test_a_register_that_passes_its_end_is_nothing_special(tmp_path: Path) -> None:
    """All of them wrap at 2**32: no conflict, no quarantine, and every hour is what the meter gave."""
    stand = Stand(tmp_path, register=2**32 - 100)
    try:
        stand.run(5.0)
        seen = stand.look()
        found = stand.lost_and_doubled()
        slots = stand.historian.slots(np.array([eui(LINKS[0], 1)], np.uint64), np.zeros(1, np.uint8))
        registers = [int(stand.historian.register(slots, HOUR + hour)[0]) for hour in range(5)]
    finally:
        stand.close()

    assert registers[0] == 2**32 - 100
    assert 0 < registers[-1] < 1000
    assert [seen[f"historian.{one}"] for one in ("conflicts", "quarantined")] == [0, 0]
    assert [seen[f"pulses.{one}"] for one in ("more", "fewer")] == [0, 0]
    assert found == ([], [])


def test_every_fault_says_what_it_does_and_what_must_be_seen() -> None:
    """In whole sentences, and with something to look at."""
    for one in CATALOGUE.values():
        assert one.does.endswith(".")
        assert one.shows.endswith(".")
        assert one.expect


FIELD_REPORTS = {
    "lost, duplicated, reordered, corrupt frames": ("lost-frames", "doubled-frames", "swapped-frames", "corrupt-frames"),
    "bad header CRC, oversize length, old version": (
        "bad-header-crc", "oversize-length", "old-version-frames", "old-version-hello"
    ),
    "replay, noise": ("replay", "noise"),
    "stuck window, half-open, flapping, slow": ("stuck-window", "half-open", "flapping-link", "slow-link"),
    "six-hour outage then flood": ("outage",),
    "second connection with the same id": ("second-connection",),
    "reboot in the middle of archive and of a group command": ("reboot-in-archive", "reboot-in-command"),
    "lost clock, full log, replaced by a spare": ("lost-clock", "full-log", "spare"),
    "wrong key, key half-changed": ("wrong-key", "key-half-changed"),
    "node loss, hot relay with its subtree": ("node-loss", "hot-relay-loss"),
    "parent flapping, partition, too many levels": ("parent-flapping", "partition", "too-deep"),
    "interferer, by hour": ("interferer", "interferer-by-hour"),
    "moved to another subnet, duplicate EUI": ("moved-module", "duplicate-eui", "duplicate-eui-elsewhere"),
    "missed epoch, execution after the deadline": ("missed-epoch", "late-execution"),
    "pulse stuck, bounce, lost pulses, wrong constant": ("pulse-stuck", "bounce", "lost-pulses", "wrong-constant"),
    "counter wrap and reset": ("counter-wrap", "counter-reset"),
    "magnet, open, short, cover": ("magnet", "open-circuit", "short-circuit", "cover"),
    "battery low, dead": ("battery-low", "battery-dead"),
    "drift, clock back, archive hole": ("drift", "clock-back", "archive-hole"),
    "contact welded, valve jammed, no feedback": ("welded-contact", "jammed-valve", "no-feedback"),
    "supply bypassed, its valve jammed": ("bypassed-supply", "jammed-supply"),
    "restored by hand, protected consumer, two operators": ("restored-by-hand", "protected-consumer", "two-operators"),
    "dark building, dark concentrator": ("dark-building", "dark-concentrator"),
}


def test_whatever_is_reported_from_real_fields_can_be_made_to_happen_here() -> None:
    """Each kind of report has its faults in the catalogue, and so its test."""
    assert {one for names in FIELD_REPORTS.values() for one in names} <= set(CATALOGUE)


def test_what_is_not_played_here_is_played_at_the_real_server() -> None:
    assert {name for name, one in CATALOGUE.items() if one.live} == set(test_supplies.LIVE)


@pytest.mark.parametrize("text", ["dmesh.x", "x >= 1", "dmesh.x > 1", "dmesh.x >= -1", ""])
def test_an_expectation_that_cannot_be_read_says_what_was_expected(text: str) -> None:
    """With an example."""
    with pytest.raises(ValueError, match=r"expected NAME >= NUMBER .* such as dmesh\.dropped_replay >= 1"):
        Expectation.read(text)
